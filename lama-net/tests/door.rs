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

use lama_net::{GateConfig, Listen, Options, Site, SiteFile};
use lama_node::Event;
use support::relay::{invite, join};
use support::{Disk, Host, OnSmol, OnTokio, Raw, Running, Who, port_of};

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
    let gate = GateConfig { per_source: 3, ..GateConfig::refusing() };
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

fn who_only_waits_makes_room<H: Host>() {
    let gate = GateConfig { per_source: 2, ..GateConfig::default() };
    let node = Running::<H>::new("a@lama.test", Options { gate, ..options() });
    let open = || {
        let until = Instant::now() + PROMPT;
        loop {
            let mut raw = Raw::connect(node.port());
            if raw.upgrade(|request| request) == SWITCHING {
                return raw;
            }
            assert!(Instant::now() < until, "nobody made room");
        }
    };
    // One says nothing at all, one has a WebSocket, and those who come next get the places of both.
    let (mut silent, mut opened) = (Raw::connect(node.port()), open());
    let (_third, _fourth) = (open(), open());
    assert_eq!(silent.rest(PROMPT), Some(Vec::new()));
    assert_eq!(opened.rest(PROMPT), Some(Vec::new()));
}

/// Strangers have all the places that they can get, and keep them.
#[cfg(target_os = "linux")] // Elsewhere a machine has one loopback address.
fn a_known_peer_gets_in_while_strangers_hold_every_place<H: Host>() {
    let gate = GateConfig { total: 6, reserved: 2, tenure: Duration::MAX, ..GateConfig::default() };
    let dir = tempfile::tempdir().unwrap();
    let (disk, bob) = (Disk::file(dir.path(), "bob"), Who::new("bob@lama.test", "desk"));
    let node = Running::<H>::new("a@lama.test", Options { gate, ..options() });
    let peer = Running::<H>::start(&bob, &disk, Options::default());
    join(&peer, &invite(&node));
    peer.shutdown();
    let stranger = || {
        let mut raw = Raw::connect_from([127, 0, 9, 1], node.port());
        (raw.upgrade(|request| request) == SWITCHING).then_some(raw)
    };
    for _ in 0..3 {
        let mut inside = Vec::new();
        while inside.len() < 4 {
            inside.extend(stranger());
        }
        assert!(stranger().is_none());
        let peer = Running::<H>::start(&bob, &disk, Options::default());
        let came = |event: &Event| matches!(event, Event::SessionStarted { .. }).then_some(());
        peer.until("a session", came);
        let all_there = inside.iter_mut().all(|raw| raw.rest(Duration::from_millis(1)).is_none());
        peer.shutdown();
        // Unless this took so long that they lost their places by their deadlines.
        if all_there {
            return;
        }
    }
    panic!("strangers did not keep their places");
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

fn with_site<H: Host>() -> Running<H> {
    let file = |path: &str, body: String| SiteFile {
        path: path.into(),
        content_type: "text/plain",
        body: body.into(),
    };
    let files = [file("/", "the page".into()), file("/big", "0123456789".repeat(100_000))];
    let site = Site { files: files.into(), headers: "X-Test: yes\r\n", ..Site::default() };
    Running::<H>::with_site("a@lama.test", site, options())
}

/// Asks for a file under a name of the port; the whole answer, or nothing.
fn get(raw: &mut Raw, path: &str, host: &str) -> String {
    use std::io::Read as _;
    raw.write(format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n").as_bytes());
    let (mut answer, mut buf) = (Vec::new(), [0; 4096]);
    loop {
        match raw.0.read(&mut buf) {
            Ok(0) | Err(_) => break,
            Ok(read) => answer.extend_from_slice(&buf[..read]),
        }
        let text = String::from_utf8_lossy(&answer);
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let length = head.lines().find_map(|line| line.strip_prefix("Content-Length: ")).unwrap();
        if body.len() == length.parse::<usize>().unwrap() {
            break;
        }
    }
    String::from_utf8(answer).unwrap()
}

fn a_browser_fetches_files_and_speaks_on_one_port<H: Host>() {
    let node = with_site::<H>();
    let host = format!("localhost:{}", node.port());
    let mut raw = Raw::connect(node.port());
    // One connection, several files.
    let page = get(&mut raw, "/", &host);
    assert!(
        page.starts_with("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 8\r\n"),
        "{page}"
    );
    assert!(page.contains("\r\nX-Test: yes\r\n") && page.ends_with("\r\n\r\nthe page"), "{page}");
    assert!(get(&mut raw, "/big", &host).ends_with("0123456789"));
    assert_eq!(get(&mut raw, "/none", &host), "");
    // And on another one, with the page's own origin, a WebSocket.
    let with_origin = |request: String| {
        let fields = format!("Host: {host}\r\nOrigin: http://{host}\r\n");
        request.replace("Host: localhost\r\n", &fields)
    };
    assert_eq!(Raw::connect(node.port()).upgrade(with_origin), SWITCHING);
}

fn a_foreign_site_gets_nothing<H: Host>() {
    let node = with_site::<H>();
    let port = node.port();
    for host in ["evil.example", &format!("evil.example:{port}"), "localhost:1", "localhost"] {
        assert_eq!(get(&mut Raw::connect(port), "/", host), "", "{host}");
    }
    for (origin, host) in [
        ("http://evil.example", format!("localhost:{port}")),
        ("http://localhost:3000", format!("localhost:{port}")),
        ("null", format!("localhost:{port}")),
        // A name on the web that points here: its pages have its origin, and call this port by it.
        (&*format!("http://evil.example:{port}"), format!("evil.example:{port}")),
        (&*format!("http://localhost:{port}"), "evil.example".to_owned()),
    ] {
        let change = |request: String| {
            request.replace("Host: localhost\r\n", &format!("Host: {host}\r\nOrigin: {origin}\r\n"))
        };
        let mut raw = Raw::connect(port);
        assert_eq!(raw.upgrade(change), "", "{origin} {host}");
        assert_eq!(raw.rest(PROMPT), Some(Vec::new()));
    }
}

fn files_take_no_place_from_those_who_speak<H: Host>() {
    let node = with_site::<H>();
    let host = format!("localhost:{}", node.port());
    // More than strangers from one source may be, all of them kept open by the browser.
    let browsers: Vec<Raw> = (0..12)
        .map(|_| {
            let mut raw = Raw::connect(node.port());
            assert!(get(&mut raw, "/", &host).ends_with("the page"));
            raw
        })
        .collect();
    assert_eq!(Raw::connect(node.port()).upgrade(|request| request), SWITCHING);
    drop(browsers);
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
    who_only_waits_makes_room,
    connections_come_at_a_rate,
    a_listener_moves_and_comes_back,
    a_shutdown_closes_sockets_and_store,
    a_browser_fetches_files_and_speaks_on_one_port,
    a_foreign_site_gets_nothing,
    files_take_no_place_from_those_who_speak,
);

#[cfg(target_os = "linux")]
mod from_other_addresses {
    mod tokio {
        #[test]
        fn a_known_peer_gets_in_while_strangers_hold_every_place() {
            crate::a_known_peer_gets_in_while_strangers_hold_every_place::<crate::OnTokio>();
        }
    }
    mod smol {
        #[test]
        fn a_known_peer_gets_in_while_strangers_hold_every_place() {
            crate::a_known_peer_gets_in_while_strangers_hold_every_place::<crate::OnSmol>();
        }
    }
}
