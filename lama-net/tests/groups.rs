//! Connections of groups between applications, on both runtimes and mixed, over real sockets. `A` is the runtime of the
//! one who serves, `B` of the one who opens.
#![allow(
    missing_docs,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

mod support;

use std::time::Duration;

use bytes::Bytes;
use futures_util::{FutureExt as _, future};
use lama_net::{Connection, Listen, Options};
use lama_node::{Admits, Command, ConnectionEnd, DebugCommand, MAX_GROUP_MESSAGE, NodeError, Reply, Seen};
use support::{Host, Running};

const CHESS: &str = "org.example.chess";

fn listening() -> Options {
    Options { listen: Listen::Free, ..Options::default() }
}

/// Two contacts with a session that is up on both sides.
fn two<A: Host, B: Host>() -> (Running<A>, Running<B>) {
    let a = Running::<A>::new("ada@lama.test", listening());
    let b = Running::<B>::new("bob@lama.test", Options::default());
    let link = support::relay::invite(&a);
    support::relay::join(&b, &link);
    a.eventually("a session", |a| a.wait(connects(a, &b)).then_some(()));
    (a, b)
}

/// Whether the other side answers at all: it refuses what it does not serve.
async fn connects<A: Host, B: Host>(a: &Running<A>, b: &Running<B>) -> bool {
    matches!(a.handle.open(b.instance, "nothing").await, Err(NodeError::GroupRefused { .. }))
}

fn serve<A: Host>(a: &Running<A>) -> lama_net::Incoming {
    a.wait(a.handle.serve(CHESS, Admits::Contacts)).unwrap()
}

fn connected<A: Host, B: Host>(
    a: &Running<A>,
    b: &Running<B>,
    incoming: &mut lama_net::Incoming,
) -> (Connection, Connection) {
    let ours = b.wait(b.handle.open(a.instance, CHESS)).unwrap();
    let theirs = a.wait(incoming.next()).unwrap();
    assert_eq!(theirs.peer().unwrap().email, "bob@lama.test");
    (ours, theirs)
}

fn messages_arrive_in_order_both_ways_and_the_end_is_told<A: Host, B: Host>() {
    let (a, b) = two::<A, B>();
    let mut incoming = serve(&a);
    let (mut ours, mut theirs) = connected(&a, &b, &mut incoming);
    for number in 0..200_u32 {
        b.wait(ours.send(Bytes::copy_from_slice(&number.to_be_bytes()))).unwrap();
    }
    for number in 0..200_u32 {
        let message = a.wait(theirs.recv()).unwrap();
        assert_eq!(message, number.to_be_bytes()[..]);
        a.wait(theirs.send(message)).unwrap();
    }
    for number in 0..200_u32 {
        assert_eq!(b.wait(ours.recv()).unwrap(), number.to_be_bytes()[..]);
    }
    let last = a.wait(theirs.send(Bytes::from_static(b"goodbye")));
    last.unwrap();
    drop(theirs);
    assert_eq!(b.wait(ours.recv()).unwrap(), "goodbye");
    assert_eq!(b.wait(ours.recv()), Err(ConnectionEnd::ClosedByPeer));
    assert_eq!(b.wait(ours.send(Bytes::new())), Err(NodeError::NoSuchConnection));
    // Served no more.
    drop(incoming);
    let refused = b.eventually("that it is not served", |b| b.wait(b.handle.open(a.instance, CHESS)).err());
    assert_eq!(refused.code(), "node.group-not-served");
    // A newer server takes a group over, and an older one that is dropped takes nothing away.
    let older = serve(&a);
    let mut newer = serve(&a);
    drop(older);
    let _again = connected(&a, &b, &mut newer);
}

fn a_reader_who_waits_holds_up_his_sender_and_nobody_else<A: Host, B: Host>() {
    let (a, b) = two::<A, B>();
    let mut incoming = serve(&a);
    let (ours, mut theirs) = connected(&a, &b, &mut incoming);
    let message = Bytes::from(vec![7; MAX_GROUP_MESSAGE]);
    let mut sent = 0;
    // One after the other, until one has to wait.
    let waiting = loop {
        let mut next = Box::pin(ours.send(message.clone()));
        let soon = B::within(Duration::from_millis(500), next.as_mut());
        match soon {
            Some(left) => left.unwrap(),
            None => break next,
        }
        sent += 1;
        assert!(sent < 64, "nobody reads, and nothing holds it up");
    };
    assert!(sent >= 3, "{sent} fit into the credit");
    // Another connection of the same session goes on, and so does CHUM.
    let (mut second, third) = connected(&a, &b, &mut incoming);
    a.wait(third.send(Bytes::from_static(b"not held up"))).unwrap();
    assert_eq!(b.wait(second.recv()).unwrap(), "not held up");
    b.ask(Command::Send { to: a.person, channel: None, text: "nor this".into() });
    let text = |event: &lama_node::Event| match event {
        lama_node::Event::Message(entry) => Some(entry.text.clone()),
        _ => None,
    };
    assert_eq!(a.until("the message", text), "nor this");
    for _ in 0..=sent {
        assert_eq!(a.wait(theirs.recv()).unwrap().len(), MAX_GROUP_MESSAGE);
    }
    b.wait(waiting).unwrap();
}

fn the_end_of_the_session_ends_connections_on_both_sides<A: Host, B: Host>() {
    let (a, b) = two::<A, B>();
    let mut incoming = serve(&a);
    let (mut ours, mut theirs) = connected(&a, &b, &mut incoming);
    a.ask(Command::Block { person: b.person });
    assert_eq!(a.wait(theirs.recv()), Err(ConnectionEnd::SessionEnded));
    assert_eq!(b.wait(ours.recv()), Err(ConnectionEnd::SessionEnded));
    let refused = b.wait(b.handle.open(a.instance, CHESS)).unwrap_err();
    assert_eq!(refused, NodeError::NotConnected { person: a.person });
    // And with the node the server ends.
    a.shutdown();
    assert!(b.wait(incoming.next()).is_none());
}

fn the_other_side_says_how_it_sees_the_session_where_that_is_allowed<A: Host, B: Host>() {
    let (a, b) = two::<A, B>();
    let ask = || match b.try_ask(Command::Debug(DebugCommand::Ask { instance: a.instance }))? {
        Reply::Seen(seen) => Ok::<Seen, NodeError>(*seen),
        other => panic!("{other:?}"),
    };
    assert_eq!(ask().unwrap_err().code(), "node.group-not-allowed");
    a.ask(Command::Debug(DebugCommand::Allow { person: b.person, allow: true }));
    let seen = ask().unwrap();
    assert!(!seen.view.dialled && !seen.view.relayed);
    assert!(seen.clock_ahead.unsigned_abs() < 30_000, "one clock: {}", seen.clock_ahead);
    assert_eq!(seen.view.head, seen.own_head);
    assert!(seen.view.items.iter().any(|(code, severity)| code == "listener.routes" && *severity == 0));
    // Several at a time.
    let both = future::join_all((0..4).map(|_| {
        b.handle
            .command(Command::Debug(DebugCommand::Ask { instance: a.instance }))
            .map(|asked| asked.is_ok())
    }));
    assert_eq!(b.wait(both), [true; 4]);
    a.ask(Command::Debug(DebugCommand::Allow { person: b.person, allow: false }));
    assert!(ask().is_err());
}

on_both_and_mixed!(
    messages_arrive_in_order_both_ways_and_the_end_is_told,
    a_reader_who_waits_holds_up_his_sender_and_nobody_else,
    the_end_of_the_session_ends_connections_on_both_sides,
    the_other_side_says_how_it_sees_the_session_where_that_is_allowed,
);
