//! The listener against strangers: what `security.md` 9 calls limits for unauthenticated connections.
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

use std::time::{Duration, Instant};

use lama_net::{GateConfig, Listen, Options};
use support::{Host, OnSmol, OnTokio, Raw, Running, port_of};

/// What is long enough for the loop to hang up, and short against every deadline of the node.
const PROMPT: Duration = Duration::from_secs(3);

fn options() -> Options {
    Options { listen: Listen::Free, ..Options::default() }
}

const SWITCHING: &str = "HTTP/1.1 101 Switching Protocols";

fn a_wrong_upgrade_is_dropped_without_a_word<H: Host>() {
    let node = Running::<H>::new("a@lama.test", options());
    for change in [
        |request: String| request.replace("GET / ", "GET /other "),
        |request: String| request.replace("lama.1", "lama.2"),
        |request: String| request.replace("Sec-WebSocket-Protocol: lama.1\r\n", ""),
        |request: String| request.replace("websocket", "h2c"),
        |request: String| format!("{}{request}", "x".repeat(9000)),
        |request: String| format!("{request}early"),
        |_| "\0\0\0\0\r\n\r\n".to_owned(),
    ] {
        let mut raw = Raw::connect(node.port());
        assert_eq!(raw.upgrade(change), "");
        assert_eq!(raw.rest(PROMPT), Some(Vec::new()));
    }
    assert_eq!(Raw::connect(node.port()).upgrade(|request| request), SWITCHING);
}

fn a_slow_upgrade_is_cut_off<H: Host>() {
    let node = Running::<H>::new(
        "a@lama.test",
        Options { upgrade_deadline: Duration::from_millis(300), ..options() },
    );
    let start = Instant::now();
    let mut raw = Raw::connect(node.port());
    raw.write(b"GET / HTTP/1.1\r\n");
    assert_eq!(raw.rest(PROMPT), Some(Vec::new()));
    assert!(start.elapsed() >= Duration::from_millis(300));
    // One octet now and then does not buy time.
    let mut raw = Raw::connect(node.port());
    let start = Instant::now();
    for byte in b"GET / HTTP/1.1\r\nHost: localhost\r\n".iter().cycle() {
        raw.write(&[*byte]);
        if raw.rest(Duration::from_millis(50)).is_some() {
            break;
        }
        assert!(start.elapsed() < PROMPT, "still open");
    }
}

/// What frames of a stranger end the link, by their header alone: nothing of the payload is ever sent here.
fn hostile_headers_end_the_link<H: Host>() {
    let node = Running::<H>::new("a@lama.test", options());
    for (first, claim) in [
        (0x82, 257),
        (0x82, 65_535),
        (0x82, 1 << 20),
        (0x82, 1 << 40),
        (0x82, u64::MAX),
        (0x81, 5),
        (0x02, 5),
        (0x80, 5),
        (0x89, 126),
        (0xc2, 5),
        (0x83, 5),
    ] {
        let mut raw = Raw::connect(node.port());
        assert_eq!(raw.upgrade(|request| request), SWITCHING);
        raw.frame(first, claim, b"");
        assert!(raw.rest(PROMPT).is_some(), "{first:#x} {claim}");
    }
}

fn pings_are_answered_and_change_nothing<H: Host>() {
    let node = Running::<H>::new("a@lama.test", options());
    let mut raw = Raw::connect(node.port());
    assert_eq!(raw.upgrade(|request| request), SWITCHING);
    for _ in 0..100 {
        raw.frame(0x89, 3, b"abc");
    }
    // As many as come through are one pong: the newest. The link is still there.
    let seen = raw.rest(Duration::from_millis(500));
    assert_eq!(seen, None);
}

fn the_newest_stranger_is_refused<H: Host>() {
    let gate = GateConfig { per_source: 3, ..GateConfig::default() };
    let node = Running::<H>::new("a@lama.test", Options { gate, ..options() });
    let inside: Vec<Raw> = (0..3)
        .map(|_| {
            let mut raw = Raw::connect(node.port());
            assert_eq!(raw.upgrade(|request| request), SWITCHING);
            raw
        })
        .collect();
    let mut refused = Raw::connect(node.port());
    assert_eq!(refused.upgrade(|request| request), "");
    assert_eq!(refused.rest(PROMPT).unwrap_or_default(), Vec::<u8>::new());
    // Those inside are not put out, and one that leaves makes room.
    drop(inside.into_iter().next());
    let until = Instant::now() + PROMPT;
    while Raw::connect(node.port()).upgrade(|request| request) != SWITCHING {
        assert!(Instant::now() < until, "no room was made");
    }
}

fn connections_come_at_a_rate<H: Host>() {
    let gate = GateConfig { burst: 4, interval: Duration::from_secs(60), ..GateConfig::default() };
    let node = Running::<H>::new("a@lama.test", Options { gate, ..options() });
    let granted = (0..8).filter(|_| Raw::connect(node.port()).upgrade(|request| request) == SWITCHING);
    assert_eq!(granted.count(), 4);
}

fn a_listener_moves_and_comes_back<H: Host>() {
    let node = Running::<H>::new("a@lama.test", options());
    let old = node.port();
    let urls = node.wait(node.handle.listen(Listen::Free)).unwrap();
    let new: u16 = urls[0].rsplit(':').next().unwrap().parse().unwrap();
    assert_ne!(old, new);
    assert_eq!(Raw::connect(new).upgrade(|request| request), SWITCHING);
    let until = Instant::now() + PROMPT;
    while std::net::TcpStream::connect(("127.0.0.1", old)).is_ok() {
        assert!(Instant::now() < until, "the old place still answers");
    }
    // Back to the old port, at once.
    node.wait(node.handle.listen(Listen::Port(old))).unwrap();
    assert_eq!(Raw::connect(old).upgrade(|request| request), SWITCHING);
    // There already.
    assert_eq!(port_of(&node.wait(node.handle.listen(Listen::Port(old))).unwrap()), old);
    // A taken port changes nothing.
    let other = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let taken = other.local_addr().unwrap().port();
    assert!(node.wait(node.handle.listen(Listen::Port(taken))).is_err());
    assert_eq!(Raw::connect(old).upgrade(|request| request), SWITCHING);
}

fn a_shutdown_closes_sockets_and_store<H: Host>() {
    let node = Running::<H>::new("a@lama.test", options());
    let port = node.port();
    let mut raw = Raw::connect(port);
    assert_eq!(raw.upgrade(|request| request), SWITCHING);
    node.shutdown();
    assert!(raw.rest(PROMPT).is_some());
    assert!(std::net::TcpStream::connect(("127.0.0.1", port)).is_err());
}

macro_rules! on_both {
    ($($name:ident),+ $(,)?) => {
        mod tokio { $(#[test] fn $name() { super::$name::<super::OnTokio>() })+ }
        mod smol { $(#[test] fn $name() { super::$name::<super::OnSmol>() })+ }
    };
}

on_both!(
    a_wrong_upgrade_is_dropped_without_a_word,
    a_slow_upgrade_is_cut_off,
    hostile_headers_end_the_link,
    pings_are_answered_and_change_nothing,
    the_newest_stranger_is_refused,
    connections_come_at_a_rate,
    a_listener_moves_and_comes_back,
    a_shutdown_closes_sockets_and_store,
);
