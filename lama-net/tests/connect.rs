//! Through an HTTP proxy, on both runtimes and mixed. `A` is the runtime of the instance behind a relay, `B` of the one who
//! dials and of the relay. All of it is on this machine, so the proxy is said to be for that, too.
#![allow(
    missing_docs,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

mod support;

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use lama_invite::DialRules;
use lama_net::{Dialer, Options, Proxies, dial};
use lama_node::{DialError, ProxyFault, TlsFault};
use support::authority::Authority;
use support::relay::{Relay, invite, join, relayed, routes, say};
use support::{Host, Running, Who};

const SOON: Duration = Duration::from_secs(5);

/// A proxy that does what CONNECT asks, and remembers that.
struct HttpProxy {
    port: u16,
    heads: Arc<Mutex<Vec<String>>>,
}

impl HttpProxy {
    fn start() -> Self {
        Self::answering(None)
    }

    /// One that says this instead of connecting anybody.
    fn answering(says: Option<&'static str>) -> Self {
        let socket = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let port = socket.local_addr().unwrap().port();
        let heads = Arc::new(Mutex::new(Vec::new()));
        let shared = Arc::clone(&heads);
        thread::spawn(move || {
            for client in socket.incoming().map_while(Result::ok) {
                let heads = Arc::clone(&shared);
                thread::spawn(move || serve(client, says, &heads));
            }
        });
        Self { port, heads }
    }

    fn proxies(&self, user: &str) -> Proxies {
        let url = format!("http://{user}127.0.0.1:{}", self.port);
        Proxies::from_variables(|name| (name == "all_proxy").then(|| url.clone()))
    }

    fn dialer(&self) -> Dialer {
        let proxies = Arc::new(self.proxies("").also_for_loopback());
        Dialer { proxies, ..Dialer::default() }
    }

    fn targets(&self) -> Vec<String> {
        let first = |head: &String| head.split(' ').nth(1).unwrap_or_default().to_owned();
        self.heads.lock().unwrap().iter().map(first).collect()
    }
}

fn serve(mut client: TcpStream, says: Option<&str>, heads: &Mutex<Vec<String>>) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        if client.read(&mut byte).unwrap_or(0) == 0 {
            return;
        }
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).unwrap();
    let target = head.strip_prefix("CONNECT ").and_then(|rest| rest.split(' ').next()).unwrap().to_owned();
    heads.lock().unwrap().push(head);
    if let Some(says) = says {
        let _ = client.write_all(says.as_bytes());
        return;
    }
    let Ok(server) = TcpStream::connect(target.replace("localhost", "127.0.0.1")) else {
        let _ = client.write_all(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n");
        return;
    };
    client.write_all(b"HTTP/1.1 200 Connection established\r\nX: y\r\n\r\n").unwrap();
    let (mut from, mut to) = (client.try_clone().unwrap(), server.try_clone().unwrap());
    let up = thread::spawn(move || {
        let _ = std::io::copy(&mut from, &mut to);
        let _ = to.shutdown(Shutdown::Write);
    });
    let (mut from, mut to) = (server, client);
    let _ = std::io::copy(&mut from, &mut to);
    let _ = to.shutdown(Shutdown::Write);
    let _ = up.join();
}

/// Registration, a call, pairing and sync, with TLS from end to end inside; and the same without TLS.
fn relays_are_reached_through_a_proxy<A: Host, B: Host>() {
    let authority = Authority::new();
    for tls in [true, false] {
        let relay = match tls {
            true => Relay::<B>::start_tls(authority.issue("localhost").server()),
            false => Relay::<B>::start(),
        };
        let (hers, his) = (HttpProxy::start(), HttpProxy::start());
        let dialer = |proxy: &HttpProxy| Dialer { tls: authority.client(), ..proxy.dialer() };
        let alice = Running::<A>::start_dialing(
            &Who::new("alice@lama.test", "desk"),
            Options::default(),
            vec![relay.home()],
            dialer(&hers),
        );
        alice.eventually("the route is advertised", |_| (routes(&alice) == 1).then_some(()));
        let bob = Running::<B>::start_dialing(
            &Who::new("bob@lama.test", "desk"),
            Options::default(),
            Vec::new(),
            dialer(&his),
        );
        join(&bob, &invite(&alice));
        say(&alice, &bob, "hello through the proxy");
        say(&bob, &alice, "hello back");
        assert_eq!((relayed(&alice), relayed(&bob)), (Some(true), Some(true)));
        let target = format!("{}:{}", relay.address.url.host(), relay.port);
        assert!(hers.targets().len() >= 2 && hers.targets().iter().all(|asked| *asked == target));
        assert_eq!(his.targets(), [target]);
    }
}

fn a_proxy_that_brings_nobody_there_is_named<A: Host, B: Host>() {
    let try_dial = |dialer: &Dialer, url: &str| {
        let dialled = B::block_on(dial(&B::runtime(), dialer, url, DialRules::default(), SOON));
        dialled.map(drop).unwrap_err()
    };
    for (says, fault) in [
        ("HTTP/1.1 403 Forbidden\r\n\r\n", ProxyFault::Refused),
        ("HTTP/1.1 407 Proxy Authentication Required\r\n\r\n", ProxyFault::Password),
        ("", ProxyFault::Refused),
        ("SSH-2.0-x\r\n\r\n", ProxyFault::Unusable),
    ] {
        let proxy = HttpProxy::answering(Some(says));
        assert_eq!(try_dial(&proxy.dialer(), "wss://relay.test"), DialError::Proxy(fault), "{says}");
        assert_eq!(proxy.targets(), ["relay.test:443"]);
    }
    let working = HttpProxy::start();
    assert_eq!(try_dial(&working.dialer(), "ws://127.0.0.1:1"), DialError::Proxy(ProxyFault::Refused));
    // What answers behind it is judged as ever.
    let relay = Relay::<A>::start_tls(Authority::new().issue("localhost").server());
    let url = format!("wss://localhost:{}", relay.port);
    assert_eq!(try_dial(&working.dialer(), &url), DialError::Tls(TlsFault::UnknownIssuer));
    // An address in figures is not dialled through it either if the rules forbid it.
    assert_eq!(try_dial(&working.dialer(), "ws://10.1.2.3:1"), DialError::NotAllowed);
    // Nobody there, and no proxy at all.
    let gone = TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap();
    for (proxy, fault) in [
        (format!("http://{gone}"), ProxyFault::Unreached),
        (format!("socks5://{gone}"), ProxyFault::Unusable),
    ] {
        let proxies = Proxies::from_variables(|name| (name == "HTTPS_PROXY").then(|| proxy.clone()));
        let dialer = Dialer { proxies: Arc::new(proxies), ..Dialer::default() };
        assert_eq!(try_dial(&dialer, "wss://relay.test"), DialError::Proxy(fault));
    }
}

fn this_machine_is_not_asked_for_at_a_proxy<A: Host, B: Host>() {
    let (proxy, relay) = (HttpProxy::start(), Relay::<A>::start());
    let dialer = Dialer { proxies: Arc::new(proxy.proxies("")), ..Dialer::default() };
    let url = relay.address.url.as_str();
    let dialled = B::block_on(dial(&B::runtime(), &dialer, url, DialRules::default(), SOON));
    // The relay hangs up, since `lama.1` is not spoken there: it was reached.
    assert_eq!(dialled.map(drop), Err(DialError::Other));
    assert_eq!(proxy.targets(), Vec::<String>::new());
}

fn a_password_goes_to_the_proxy<A: Host, B: Host>() {
    let proxy = HttpProxy::start();
    let proxies = Arc::new(proxy.proxies("user:p%40ss@").also_for_loopback());
    let dialer = Dialer { proxies, ..Dialer::default() };
    let dialled = B::block_on(dial(&B::runtime(), &dialer, "ws://127.0.0.1:1", DialRules::default(), SOON));
    assert!(dialled.is_err());
    let head = proxy.heads.lock().unwrap()[0].clone();
    assert!(head.contains("\r\nProxy-Authorization: Basic dXNlcjpwQHNz\r\n"), "{head}");
}

on_both_and_mixed!(
    relays_are_reached_through_a_proxy,
    a_proxy_that_brings_nobody_there_is_named,
    this_machine_is_not_asked_for_at_a_proxy,
    a_password_goes_to_the_proxy,
);
