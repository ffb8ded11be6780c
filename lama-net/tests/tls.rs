//! `wss` on both runtimes and mixed: `A` is the runtime of the server, `B` of the one who dials. Every test has a
//! certificate authority of its own, which is trusted because it is named, and for no other reason.
#![allow(
    missing_docs,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

mod support;

use std::future::poll_fn;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use lama_invite::DialRules;
use lama_net::{
    CertificateFault, Dialer, Link, Options, Runtime as _, TlsClient, TlsFilesError, TlsServer, dial,
    inspect_certificate, upgrade,
};
use lama_node::{DialError, TlsFault};
use support::authority::Authority;
use support::relay::{Relay, invite, join, relayed, routes, say};
use support::{Host, Running, Who, aside, bind, seed};
use tungstenite::protocol::Role;

const SOON: Duration = Duration::from_secs(10);

fn trusting(authority: &Authority) -> Dialer {
    Dialer { tls: authority.client(), ..Dialer::default() }
}

/// A server with this certificate that serves one connection; how dialling it fares.
fn try_dial<A: Host, B: Host>(
    server: TlsServer,
    dialer: Dialer,
    host: &str,
) -> Result<Link<B::R>, DialError> {
    let (socket, url) = bind();
    let url = url.replace("ws://127.0.0.1", &format!("wss://{host}"));
    let serving = aside(move || {
        A::within(SOON, async {
            let runtime = A::runtime();
            let listener = runtime.listener(socket).unwrap();
            let (mut wire, _) = runtime.accept(&listener).await.unwrap();
            server.accept(&mut wire).await?;
            upgrade::accept(&mut wire).await.map_err(|_| TlsFault::Lost)
        })
    });
    let dialled = B::block_on(async { dial(&B::runtime(), &dialer, &url, DialRules::default(), SOON).await });
    let served = serving.join().unwrap();
    assert_eq!(served.is_some_and(|served| served.is_ok()), dialled.is_ok());
    dialled
}

fn a_certificate_counts_if_its_issuer_is_trusted_and_it_is_valid_now_and_here<A: Host, B: Host>() {
    let (authority, other) = (Authority::new(), Authority::new());
    let good = authority.issue("localhost");
    let dialled = |server, dialer, host| {
        try_dial::<A, B>(server, dialer, host).map(drop).map_err(|error| match error {
            DialError::Tls(fault) => fault,
            error => panic!("{error:?}"),
        })
    };
    assert_eq!(dialled(good.server(), trusting(&authority), "localhost"), Ok(()));
    for (server, dialer, host, fault) in [
        (good.server(), trusting(&other), "localhost", TlsFault::UnknownIssuer),
        (good.server(), Dialer::default(), "localhost", TlsFault::UnknownIssuer),
        (good.server(), trusting(&authority), "127.0.0.1", TlsFault::WrongName),
        (good.server(), trusting(&authority), "other.localhost", TlsFault::WrongName),
        (
            authority.issue_for("localhost", 2020, 2021).server(),
            trusting(&authority),
            "localhost",
            TlsFault::Expired,
        ),
        (
            authority.issue_for("localhost", 2080, 2090).server(),
            trusting(&authority),
            "localhost",
            TlsFault::NotYetValid,
        ),
    ] {
        assert_eq!(dialled(server, dialer, host), Err(fault));
    }
    let address = authority.issue("127.0.0.1").server();
    assert_eq!(dialled(address, trusting(&authority), "127.0.0.1"), Ok(()));
}

/// A server without TLS, and one that hangs up.
fn what_is_no_tls_is_said_to_be_none<A: Host, B: Host>() {
    let authority = Authority::new();
    for (says, fault) in [(&b"HTTP/1.1 400 Bad Request\r\n\r\n"[..], TlsFault::NotTls), (b"", TlsFault::Lost)]
    {
        let (socket, url) = bind();
        socket.set_nonblocking(false).unwrap();
        let server = aside(move || {
            use std::io::{Read as _, Write as _};
            let (mut stream, _) = socket.accept().unwrap();
            let _ = stream.read(&mut [0; 4096]);
            stream.write_all(says).unwrap();
        });
        let url = url.replace("ws://127.0.0.1", "wss://localhost");
        let dialled = B::block_on(async {
            dial(&B::runtime(), &trusting(&authority), &url, DialRules::default(), SOON).await.map(drop)
        });
        assert_eq!(dialled, Err(DialError::Tls(fault)));
        server.join().unwrap();
    }
}

/// Messages of every size, both ways at once, all as they were sent: neither direction waits for the other for ever.
fn bulk_goes_both_ways_through_tls<A: Host, B: Host>() {
    const MESSAGES: usize = 600;
    async fn both_ways<H: Host>(mut link: Link<H::R>) {
        let message = |n: usize| {
            let len = (n * 7919) % 65_000;
            Bytes::from(vec![u8::try_from(n % 251).unwrap(); len])
        };
        let (mut sent, mut received) = (0, 0);
        poll_fn(|cx| {
            loop {
                let mut moved = false;
                while sent < MESSAGES && link.poll_ready(cx).is_ready() {
                    link.send(message(sent)).unwrap();
                    sent += 1;
                    moved = true;
                }
                if link.is_unflushed() {
                    assert!(!matches!(link.poll_flush(cx), Poll::Ready(Err(_))));
                }
                while received < MESSAGES
                    && let Poll::Ready(next) = link.poll_recv(cx, lama_net::MAX_MESSAGE)
                {
                    assert!(next.unwrap() == message(received), "{received}");
                    received += 1;
                    moved = true;
                }
                if sent == MESSAGES && received == MESSAGES && !link.is_unflushed() {
                    return Poll::Ready(());
                }
                if !moved {
                    return Poll::Pending;
                }
            }
        })
        .await;
        poll_fn(|cx| link.poll_close(cx)).await.ok();
        poll_fn(|cx| link.poll_drained(cx)).await;
    }
    let authority = Authority::new();
    let server = authority.issue("localhost").server();
    let (socket, url) = bind();
    let serving = aside(move || {
        A::within(support::PATIENCE, async {
            let runtime = A::runtime();
            let listener = runtime.listener(socket).unwrap();
            let (mut wire, _) = runtime.accept(&listener).await.unwrap();
            server.accept(&mut wire).await.unwrap();
            upgrade::accept(&mut wire).await.unwrap();
            both_ways::<A>(Link::new(wire, Role::Server)).await;
        })
    });
    let url = url.replace("ws://127.0.0.1", "wss://localhost");
    let done = B::within(support::PATIENCE, async {
        let dialer = trusting(&authority);
        both_ways::<B>(dial(&B::runtime(), &dialer, &url, DialRules::default(), SOON).await.unwrap()).await;
    });
    assert_eq!((done, serving.join().unwrap()), (Some(()), Some(())));
}

/// Registration (bound to the TLS connection), pairing and sync through a relay at which TLS ends.
fn pairing_through_a_relay_with_a_certificate<A: Host, B: Host>() {
    let authority = Authority::new();
    let relay = Relay::<B>::start_tls(authority.issue("localhost").server());
    let dialer = trusting(&authority);
    let alice = Running::<A>::start_dialing(
        &Who::new("alice@lama.test", "desk"),
        Options::default(),
        vec![relay.home()],
        dialer.clone(),
    );
    alice.eventually("the route is advertised", |_| (routes(&alice) == 1).then_some(()));
    let bob = Running::<B>::start_dialing(
        &Who::new("bob@lama.test", "desk"),
        Options::default(),
        Vec::new(),
        dialer,
    );
    join(&bob, &invite(&alice));
    say(&alice, &bob, "hello through TLS");
    say(&bob, &alice, "hello back");
    assert_eq!((relayed(&alice), relayed(&bob)), (Some(true), Some(true)));
    assert_eq!((relay.splices(), relay.routes()), (1, 1));
}

/// Nobody is registered at a relay whose certificate does not count.
fn a_relay_with_a_foreign_certificate_is_not_used<A: Host, B: Host>() {
    let (authority, other) = (Authority::new(), Authority::new());
    let relay = Relay::<B>::start_tls(authority.issue("localhost").server());
    let alice = Running::<A>::start_dialing(
        &Who::new("alice@lama.test", "desk"),
        Options::default(),
        vec![relay.home()],
        trusting(&other),
    );
    std::thread::sleep(Duration::from_millis(700));
    assert_eq!((routes(&alice), relay.routes()), (0, 0));
}

/// Connections that come after a renewal get the new certificate; a bad one changes nothing.
fn a_certificate_is_renewed_while_the_server_runs<A: Host, B: Host>() {
    let (old, new) = (Authority::new(), Authority::new());
    let server = old.issue("localhost").server();
    assert!(try_dial::<A, B>(server.clone(), trusting(&old), "localhost").is_ok());
    let (files, other) = (new.issue("localhost"), new.issue("localhost"));
    assert_eq!(
        server.renew(files.certificate.as_bytes(), other.key.as_bytes()),
        Err(TlsFilesError::Mismatch)
    );
    assert!(try_dial::<A, B>(server.clone(), trusting(&old), "localhost").is_ok());
    server.renew(files.certificate.as_bytes(), files.key.as_bytes()).unwrap();
    assert!(try_dial::<A, B>(server.clone(), trusting(&new), "localhost").is_ok());
    assert!(try_dial::<A, B>(server, trusting(&old), "localhost").is_err());
}

on_both_and_mixed!(
    a_certificate_counts_if_its_issuer_is_trusted_and_it_is_valid_now_and_here,
    what_is_no_tls_is_said_to_be_none,
    bulk_goes_both_ways_through_tls,
    pairing_through_a_relay_with_a_certificate,
    a_relay_with_a_foreign_certificate_is_not_used,
    a_certificate_is_renewed_while_the_server_runs,
);

#[test]
fn faults_of_certificates_are_found_before_anybody_dials() {
    const IN_2026: i64 = 1_800_000_000;
    let authority = Authority::new();
    let (good, other) = (authority.issue("relay.test"), authority.issue("relay.test"));
    let look = |certificate: &str, key: &str, host: &str, now: i64| {
        inspect_certificate(certificate.as_bytes(), key.as_bytes(), host, now)
    };
    assert_eq!(look(&good.certificate, &good.key, "relay.test", IN_2026), []);
    assert_eq!(
        look(&good.certificate, &other.key, "relay.test", IN_2026),
        [CertificateFault::Files(TlsFilesError::Mismatch)]
    );
    assert_eq!(
        look(&good.key, &good.key, "relay.test", IN_2026),
        [CertificateFault::Files(TlsFilesError::Certificate)]
    );
    assert_eq!(
        look(&good.certificate, &good.certificate, "relay.test", IN_2026),
        [CertificateFault::Files(TlsFilesError::Key)]
    );
    assert_eq!(look(&good.certificate, &good.key, "other.test", IN_2026), [CertificateFault::WrongName]);
    let until = 3_786_912_000;
    assert_eq!(
        look(&good.certificate, &good.key, "relay.test", until + 1),
        [CertificateFault::Expired { until }]
    );
    assert_eq!(
        look(&good.certificate, &good.key, "relay.test", until - 1000),
        [CertificateFault::ExpiresSoon { until }]
    );
    assert_eq!(
        look(&good.certificate, &good.key, "relay.test", 1_500_000_000),
        [CertificateFault::NotYetValid { from: 1_577_836_800 }]
    );
    let key = rcgen::KeyPair::generate().unwrap();
    let own = rcgen::CertificateParams::new(vec!["relay.test".into()]).unwrap().self_signed(&key).unwrap();
    assert_eq!(look(&own.pem(), &key.serialize_pem(), "relay.test", IN_2026), [CertificateFault::SelfSigned]);
    assert!(TlsClient::with_roots(b"").is_err());
    let _ = seed();
}
