//! Through relays over real sockets, on both runtimes and mixed. `A` is the runtime of the instance behind the relays, `B`
//! of the one who dials; the relay runs on `B`'s.
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
use std::net::{TcpListener, TcpStream};
use std::thread::JoinHandle;

use lama_identity::SignSecret;
use lama_invite::{DialRules, Invitation, LAMA_BASE, Policy, RouteUrl};
use lama_net::{Listen, Options, RelayHandle, RelayHome, RelayParts, Runtime, prepare_relay};
use lama_node::{ChannelRef, Command, PageFrom, Reply};
use lama_relay::RelayAddress;
use support::{Host, Running, Who, aside, seed};
use zeroize::Zeroizing;

/// A relay on a thread of its own.
struct Relay<H: Host> {
    address: RelayAddress,
    port: u16,
    handle: RelayHandle<H::R>,
    kill: std::sync::mpsc::Sender<()>,
    thread: JoinHandle<()>,
}

impl<H: Host> Relay<H> {
    fn start() -> Self {
        let socket = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        socket.set_nonblocking(true).unwrap();
        let port = socket.local_addr().unwrap().port();
        let key = SignSecret::from_seed(seed());
        let url = RouteUrl::parse(&format!("ws://127.0.0.1:{port}")).unwrap();
        let address = RelayAddress::new(url, key.public());
        let (kill, killed) = std::sync::mpsc::channel();
        let (tell, told) = std::sync::mpsc::channel();
        let thread = aside(move || {
            let parts = RelayParts::new(key, vec!["127.0.0.1".into()], vec![socket]);
            let (handle, mut relay) = prepare_relay(H::runtime(), parts);
            tell.send(handle).unwrap();
            // Dropped from one moment to the next, as when its process is killed.
            H::block_on(async move {
                std::future::poll_fn(|cx| {
                    use std::future::Future as _;
                    let killed = killed.try_recv() == Err(std::sync::mpsc::TryRecvError::Disconnected);
                    if killed {
                        return std::task::Poll::Ready(());
                    }
                    std::pin::Pin::new(&mut relay).poll(cx)
                })
                .await;
            });
        });
        Self { address, port, handle: told.recv().unwrap(), kill, thread }
    }

    fn home(&self) -> RelayHome {
        RelayHome { address: self.address.clone(), key: SignSecret::from_seed(seed()) }
    }

    fn routes(&self) -> usize {
        H::block_on(self.handle.stats()).map_or(0, |stats| stats.routes)
    }

    fn splices(&self) -> usize {
        H::block_on(self.handle.stats()).map_or(0, |stats| stats.splices)
    }

    /// Its process dies.
    fn kill(self) {
        drop(self.kill);
        // It has to look once more.
        assert_eq!(H::block_on(self.handle.stats()), None);
        self.thread.join().unwrap();
    }

    fn page(&self, path: &str) -> String {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n").as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }
}

fn behind<H: Host>(email: &str, options: Options, relays: Vec<RelayHome>) -> Running<H> {
    Running::start_behind(&Who::new(email, "desk"), options, relays)
}

fn invite<H: Host>(node: &Running<H>) -> Invitation {
    let command =
        Command::Invite { policy: Policy::Auto, lifetime: None, label: "test".into(), seed: seed() };
    let Reply::Invitation { invitation, .. } = node.ask(command) else { panic!("no invitation") };
    *invitation
}

fn join<H: Host>(node: &Running<H>, invitation: &Invitation) {
    let link = invitation.to_link(LAMA_BASE).unwrap().to_string();
    let command = Command::Join { link: Zeroizing::new(link), rules: DialRules::default() };
    let Reply::Contact(_) = node.ask(command) else { panic!("no contact") };
}

fn routes<H: Host>(node: &Running<H>) -> usize {
    let Reply::Status(status) = node.ask(Command::Status) else { panic!() };
    status.listening.iter().filter(|url| url.contains('#')).count()
}

fn say<A: Host, B: Host>(from: &Running<A>, to: &Running<B>, text: &str) {
    from.ask(Command::Send { to: to.person, channel: None, text: text.into() });
    to.eventually(text, |to| {
        let channel = ChannelRef::With { person: from.person, name: None };
        let log = to.try_ask(Command::Log { channel, from: PageFrom::First, limit: 1000 });
        let Ok(Reply::Log(entries)) = log else { return None };
        entries.iter().any(|entry| entry.author == from.person && entry.text == text).then_some(())
    });
}

/// How the session goes with the only peer: `None` without one.
fn relayed<H: Host>(node: &Running<H>) -> Option<bool> {
    let Reply::Status(status) = node.ask(Command::Status) else { panic!() };
    status.peers.first().and_then(|peer| peer.session.map(|_| peer.relayed))
}

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
    let rules = DialRules::default();
    let url = relay.address.url.as_str();
    let patience = support::PATIENCE;
    let direct = B::block_on(lama_net::dial(&B::runtime(), url, rules, patience));
    assert_eq!(direct.err(), Some(lama_node::DialError::Other), "lama.1 is not spoken here");
    let mut via = relay.address.route(SignSecret::from_seed(seed()).public()).via.unwrap();
    let dial = |via| B::block_on(lama_net::dial_route(&B::runtime(), url, Some(&via), rules, patience)).err();
    assert_eq!(dial(via), Some(lama_node::DialError::Unavailable));
    via.relay_pin[0] ^= 1;
    assert_eq!(dial(via), Some(lama_node::DialError::Relay));
}

on_both_and_mixed!(
    pairing_and_sync_through_a_relay,
    when_one_of_two_relays_is_killed_the_other_is_used,
    an_invitation_carries_direct_and_relayed_routes_and_the_direct_one_is_used,
    a_relay_answers_nothing_but_its_protocol,
);

/// The bound of the trait, so that a change of it is noticed here.
const _: fn() = || {
    fn runtime<R: Runtime>() {}
    runtime::<lama_net_tokio::Tokio>();
};
