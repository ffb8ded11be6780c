//! Through relays over real sockets, on both runtimes and mixed. `A` is the runtime of the instance behind the relays, `B`
//! of the one who dials; the relay runs on `B`'s.
#![allow(clippy::disallowed_methods)] // A test reads the clock to lose patience.
#![allow(
    missing_docs,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

mod support;

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use lama_identity::SignSecret;
use lama_invite::DialRules;
use lama_net::{Dialer, Listen, Options, Runtime};
use lama_node::{ChannelRef, Command, PageFrom, Reply};
use support::relay::{Relay, behind, invite, join, relayed, routes, say};
use support::{Host, Running, seed};

fn pairing_and_sync_through_a_relay<A: Host, B: Host>() {
    let relay = Relay::<B>::start();
    let alice = behind::<A>("alice@lama.test", Options::default(), vec![relay.home()]);
    alice.eventually("the route is advertised", |_| (routes(&alice) == 1).then_some(()));
    let bob = Running::<B>::new("bob@lama.test", Options::default());
    let invitation = invite(&alice);
    assert!(invitation.routes().iter().all(|route| route.via.is_some()), "nothing but the relay");
    join(&bob, &invitation);
    say(&alice, &bob, "hello through the relay");
    say(&bob, &alice, "hello back");
    assert_eq!((relayed(&alice), relayed(&bob)), (Some(true), Some(true)));
    assert_eq!((relay.splices(), relay.routes()), (1, 1));
    assert!(relay.page("/health").ends_with("\r\n\r\nok\n"));
    assert!(relay.page("/metrics").contains("\nlama_relay_calls 1\n"));
    alice.shutdown();
    bob.eventually("the end is seen", |_| (relayed(&bob).is_none()).then_some(()));
    bob.eventually("the relay has let go", |_| (relay.splices() == 0 && relay.routes() == 0).then_some(()));
}

fn when_one_of_two_relays_is_killed_the_other_is_used<A: Host, B: Host>() {
    let (first, second) = (Relay::<B>::start(), Relay::<A>::start());
    let alice = behind::<A>("alice@lama.test", Options::default(), vec![first.home(), second.home()]);
    alice.eventually("both routes are advertised", |_| (routes(&alice) == 2).then_some(()));
    let bob = Running::<B>::new("bob@lama.test", Options::default());
    join(&bob, &invite(&alice));
    say(&alice, &bob, "before");
    assert_eq!((first.splices(), second.splices()), (1, 0), "the best first");
    first.kill();
    say(&alice, &bob, "after");
    say(&bob, &alice, "and back");
    assert_eq!(second.splices(), 1);
}

/// A connection that is registered is no stranger any more, though its client may say nothing for 25 s: it used to keep its
/// place at the door until then, and a relay took no more than the door has places for in that time.
fn a_registered_connection_gives_its_place_at_the_door_back<A: Host, B: Host>() {
    let relay = Relay::<B>::start_changed(|parts| parts.gate.total = 3);
    let start = std::time::Instant::now();
    let emails = ["a@lama.test", "b@lama.test", "c@lama.test", "d@lama.test"];
    let instances = emails.map(|email| behind::<A>(email, Options::default(), vec![relay.home()]));
    while relay.links() < 2 * instances.len() {
        assert!(start.elapsed() < std::time::Duration::from_secs(15), "{} connections", relay.links());
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
}

fn an_invitation_carries_direct_and_relayed_routes_and_the_direct_one_is_used<A: Host, B: Host>() {
    let relay = Relay::<B>::start();
    let options = Options { listen: Listen::Free, ..Options::default() };
    let alice = behind::<A>("alice@lama.test", options, vec![relay.home()]);
    alice.eventually("the route is advertised", |_| (routes(&alice) == 1).then_some(()));
    let bob = Running::<B>::new("bob@lama.test", Options::default());
    let invitation = invite(&alice);
    let ways: Vec<bool> = invitation.routes().iter().map(|route| route.via.is_some()).collect();
    assert_eq!(ways, [false, true]);
    join(&bob, &invitation);
    assert_eq!((relayed(&bob), relay.splices()), (Some(false), 0));
}

/// She stands behind a relay, and listens later: the session moves, with messages under way in both directions all the time.
fn a_session_moves_to_a_direct_route_while_messages_go_both_ways<A: Host, B: Host>() {
    let relay = Relay::<B>::start();
    let alice = behind::<A>("alice@lama.test", Options::default(), vec![relay.home()]);
    alice.eventually("the route is advertised", |_| (routes(&alice) == 1).then_some(()));
    let bob = Running::<B>::new("bob@lama.test", Options::default());
    join(&bob, &invite(&alice));
    say(&alice, &bob, "through the relay");
    assert_eq!((relayed(&alice), relayed(&bob)), (Some(true), Some(true)));
    let mut sent = Vec::new();
    let mut moved = None;
    for n in 0.. {
        if n == 20 {
            alice.wait(alice.handle.listen(Listen::Free)).unwrap();
        }
        let text = format!("message {n}");
        alice.ask(Command::Send { to: bob.person, channel: None, text: text.as_str().into() });
        bob.ask(Command::Send { to: alice.person, channel: None, text: text.as_str().into() });
        sent.push(text);
        if (relayed(&alice), relayed(&bob)) == (Some(false), Some(false)) {
            moved.get_or_insert(n);
        }
        if moved.is_some_and(|moved| n > moved + 20) {
            break;
        }
        assert!(n < 5_000, "it stays with the relay");
        std::thread::sleep(std::time::Duration::from_millis(2));
    }
    say(&alice, &bob, "last of hers");
    say(&bob, &alice, "last of his");
    let from = |entries: &[lama_node::EntryInfo], who, last: &str| {
        let own = entries.iter().filter(|entry| entry.author == who);
        let texts: Vec<String> = own.map(|entry| entry.text.clone()).collect();
        texts.into_iter().filter(|text| text != last && text != "through the relay").collect::<Vec<_>>()
    };
    for entries in [log(&alice, bob.person), log(&bob, alice.person)] {
        assert_eq!(from(&entries, alice.person, "last of hers"), sent);
        assert_eq!(from(&entries, bob.person, "last of his"), sent);
    }
    bob.eventually("the relay has let go", |_| (relay.splices() == 0).then_some(()));
}

/// Everything that was said with somebody, oldest first.
fn log<H: Host>(node: &Running<H>, with: lama_identity::PersonId) -> Vec<lama_node::EntryInfo> {
    let channel = ChannelRef::With { person: with, name: None };
    let Reply::Log(entries) = node.ask(Command::Log { channel, from: PageFrom::First, limit: 20_000 }) else {
        panic!("no log");
    };
    entries
}

fn a_relay_answers_nothing_but_its_protocol<A: Host, B: Host>() {
    let relay = Relay::<A>::start();
    for request in
        ["GET /other HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", "POST /health HTTP/1.1\r\n\r\n", "\r\n\r\n"]
    {
        let mut stream = TcpStream::connect(("127.0.0.1", relay.port)).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        let _ = stream.read_to_string(&mut answer);
        assert_eq!(answer, "", "{request}");
    }
    let (rules, dialer) = (DialRules::default(), Dialer::default());
    let url = relay.address.url.as_str();
    let patience = support::PATIENCE;
    let direct = B::block_on(lama_net::dial(&B::runtime(), &dialer, url, rules, patience));
    assert_eq!(direct.err(), Some(lama_node::DialError::Other), "lama.1 is not spoken here");
    let mut via = relay.address.route(SignSecret::from_seed(seed()).public()).via.unwrap();
    let dial = |via| {
        B::block_on(lama_net::dial_route(&B::runtime(), &dialer, url, Some(&via), rules, patience)).err()
    };
    assert_eq!(dial(via), Some(lama_node::DialError::Unavailable));
    via.relay_pin[0] ^= 1;
    assert_eq!(dial(via), Some(lama_node::DialError::Relay));
}

on_both_and_mixed!(
    pairing_and_sync_through_a_relay,
    when_one_of_two_relays_is_killed_the_other_is_used,
    a_registered_connection_gives_its_place_at_the_door_back,
    an_invitation_carries_direct_and_relayed_routes_and_the_direct_one_is_used,
    a_session_moves_to_a_direct_route_while_messages_go_both_ways,
    a_relay_answers_nothing_but_its_protocol,
);

/// The bound of the trait, so that a change of it is noticed here.
const _: fn() = || {
    fn runtime<R: Runtime>() {}
    runtime::<lama_net_tokio::Tokio>();
};
