//! URLs: what is taken, what is refused and why, and how far away a host is.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

use core::net::IpAddr;

use lama_invite::{HostClass, RouteUrl, UrlProblem, classify_ip};
use proptest::prelude::*;

#[test]
fn taken_as_written() {
    for (text, host, port, tls) in [
        ("ws://localhost:8765", "localhost", 8765, false),
        ("ws://lama.example", "lama.example", 80, false),
        ("wss://lama.example", "lama.example", 443, true),
        ("wss://lama.example/", "lama.example", 443, true),
        ("WSS://Lama.Example:1/a/b-c_d~e!$&'()*+,;=:@%20", "Lama.Example", 1, true),
        ("ws://[2001:db8::1]:65535/x", "2001:db8::1", 65535, false),
        ("ws://[::1]", "::1", 80, false),
        ("ws://192.0.2.7:9", "192.0.2.7", 9, false),
        ("ws://a_b.example", "a_b.example", 80, false),
        ("wss://xn--bcher-kva.example", "xn--bcher-kva.example", 443, true),
    ] {
        let url = RouteUrl::parse(text).unwrap_or_else(|problem| panic!("{text}: {problem}"));
        assert_eq!((url.as_str(), url.host(), url.port(), url.is_tls()), (text, host, port, tls));
        assert_eq!(url.to_string(), text);
        assert_eq!(format!("{url:?}"), format!("RouteUrl({text})"));
    }
}

#[test]
fn refused_with_the_rule_that_is_broken() {
    use UrlProblem::{Credentials, Host, Path, Port, Query, Scheme, TooLong, Unreachable};
    let label64 = format!("ws://{}.example", "a".repeat(64));
    let long_host = format!("ws://{}example", "abcdefg.".repeat(31));
    for (text, problem) in [
        ("", Scheme),
        ("http://localhost", Scheme),
        ("ws:/localhost", Scheme),
        ("ws//localhost", Scheme),
        ("wss:localhost", Scheme),
        ("w\u{e9}://localhost", Scheme),
        ("ws://user@localhost", Credentials),
        ("wss://user:secret@lama.example:1/x", Credentials),
        ("ws://", Host),
        ("ws://:80", Host),
        ("ws:///x", Host),
        ("ws://a..b", Host),
        ("ws://.a", Host),
        ("ws://localhost.", Host),
        ("ws://-a.example", Host),
        ("ws://a-.example", Host),
        ("ws://b\u{fc}cher.example", Host),
        ("ws://a b.example", Host),
        ("ws://2130706433", Host),
        ("ws://127.1", Host),
        ("ws://0177.0.0.1", Host),
        ("ws://0x7f.0.0.1", Host),
        ("ws://a.0x7f", Host),
        ("ws://a.0x", Host),
        ("ws://1.2.3.256", Host),
        ("ws://1.2.3.4.5", Host),
        ("ws://[::1", Host),
        ("ws://[::1]x", Host),
        ("ws://[::g]", Host),
        ("ws://[fe80::1%25eth0]", Host),
        ("ws://[127.0.0.1]", Host),
        (&label64, Host),
        ("ws://localhost:", Port),
        ("ws://localhost:0", Port),
        ("ws://localhost:080", Port),
        ("ws://localhost:65536", Port),
        ("ws://localhost:+80", Port),
        ("ws://localhost:8 0", Port),
        ("ws://[::1]:", Port),
        ("ws://::1", Port),
        ("ws://localhost/a b", Path),
        ("ws://localhost/\u{e9}", Path),
        ("ws://localhost\\x", Path),
        ("ws://localhost/<x>", Path),
        ("ws://localhost/\n", Path),
        ("ws://localhost/x?y", Query),
        ("ws://localhost?y", Query),
        ("ws://localhost#k", Query),
        ("ws://0.0.0.0:1", Unreachable),
        ("ws://255.255.255.255:1", Unreachable),
        ("ws://224.0.0.1:1", Unreachable),
        ("ws://[::]:1", Unreachable),
        ("ws://[ff02::1]:1", Unreachable),
    ] {
        assert_eq!(RouteUrl::parse(text), Err(problem), "{text}");
    }
    assert_eq!(long_host.len(), 260);
    assert_eq!(RouteUrl::parse(&long_host), Err(TooLong));
    let host254 = format!("{}a.b", "abcdefg.".repeat(31));
    assert_eq!(host254.len(), 251);
    let fits = "ws://".to_owned() + &host254;
    assert_eq!(fits.len(), 256);
    assert!(RouteUrl::parse(&fits).is_ok());
    let label63 = format!("ws://{}.example", "a".repeat(63));
    assert!(RouteUrl::parse(&label63).is_ok());
}

#[test]
fn names_are_classified_by_their_text() {
    for (host, class) in [
        ("localhost", HostClass::Loopback),
        ("LOCALHOST", HostClass::Loopback),
        ("a.localhost", HostClass::Loopback),
        ("127.0.0.1", HostClass::Loopback),
        ("127.255.255.254", HostClass::Loopback),
        ("[::1]", HostClass::Loopback),
        ("[::ffff:127.0.0.1]", HostClass::Loopback),
        ("desk", HostClass::Private),
        ("desk.local", HostClass::Private),
        ("desk.Lan", HostClass::Private),
        ("desk.home.arpa", HostClass::Private),
        ("desk.internal", HostClass::Private),
        ("desk.intranet", HostClass::Private),
        ("desk.home", HostClass::Private),
        ("desk.corp", HostClass::Private),
        ("lama.example", HostClass::Public),
        ("localhost.example", HostClass::Public),
        ("local.example", HostClass::Public),
        ("ahome.arpa", HostClass::Public),
        ("0xcafe.example", HostClass::Public),
        ("example.0xg", HostClass::Public),
        ("8.8.8.8", HostClass::Public),
    ] {
        assert_eq!(RouteUrl::parse(&format!("ws://{host}:1")).unwrap().class(), class, "{host}");
    }
}

#[test]
fn addresses_are_classified_by_their_range() {
    use HostClass::{Loopback, Private, Public, Unreachable};
    for (ip, class) in [
        ("0.0.0.1", Unreachable),
        ("1.1.1.1", Public),
        ("9.255.255.255", Public),
        ("10.0.0.0", Private),
        ("10.255.255.255", Private),
        ("11.0.0.0", Public),
        ("100.63.255.255", Public),
        ("100.64.0.0", Private),
        ("100.127.255.255", Private),
        ("100.128.0.0", Public),
        ("126.255.255.255", Public),
        ("127.0.0.0", Loopback),
        ("128.0.0.0", Public),
        ("169.253.255.255", Public),
        ("169.254.169.254", Private),
        ("172.15.255.255", Public),
        ("172.16.0.0", Private),
        ("172.31.255.255", Private),
        ("172.32.0.0", Public),
        ("192.167.255.255", Public),
        ("192.168.0.0", Private),
        ("223.255.255.255", Public),
        ("224.0.0.0", Unreachable),
        ("240.0.0.1", Unreachable),
        ("255.255.255.255", Unreachable),
        ("::", Unreachable),
        ("::1", Loopback),
        ("::2", Unreachable),
        ("::10.0.0.1", Unreachable),
        ("::ffff:10.0.0.1", Private),
        ("::ffff:8.8.8.8", Public),
        ("::ffff:0.0.0.0", Unreachable),
        ("64:ff9b::10.0.0.1", Private),
        ("64:ff9b::8.8.8.8", Public),
        ("64:ff9b:1::1", Public),
        ("2002:7f00:1::1", Loopback),
        ("2002:808:808::1", Public),
        ("2002:c0a8:101::1", Private),
        ("2001:db8::1", Public),
        ("fbff::1", Public),
        ("fc00::1", Private),
        ("fdff::1", Private),
        ("fe00::1", Public),
        ("fe7f::1", Public),
        ("fe80::1", Private),
        ("febf::1", Private),
        ("fec0::1", Private),
        ("feff::1", Private),
        ("ff00::1", Unreachable),
        ("ff02::fb", Unreachable),
    ] {
        assert_eq!(classify_ip(ip.parse::<IpAddr>().unwrap()), class, "{ip}");
    }
}

proptest! {
    #[test]
    fn nothing_panics_and_nothing_strange_is_taken(text in "(ws|wss)://.{0,80}") {
        if let Ok(url) = RouteUrl::parse(&text) {
            prop_assert_eq!(url.as_str(), &text);
            prop_assert!(text.is_ascii() && !text.contains([' ', '@', '?', '#', '\\']) || text.contains("/") && !text.contains(['?', '#']));
            prop_assert!(!url.host().is_empty() && url.port() > 0);
            prop_assert!(url.class() != HostClass::Unreachable);
        }
    }
}
