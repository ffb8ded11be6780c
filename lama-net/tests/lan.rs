//! Multicast on the loopback, on both runtimes and mixed: contacts find each other, and somebody listens.
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

use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, UdpSocket};
use std::time::Duration;

use lama_net::{LanOptions, Listen, Options};
use lama_node::Event;
use socket2::{Domain, Protocol, Socket, Type};
use support::relay::{invite, join, say};
use support::{Disk, Host, Running, Who};

const GROUP: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 251);

/// Hears what everybody on the loopback hears.
fn listener(port: u16) -> UdpSocket {
    let socket = Socket::new(Domain::IPV4, Type::DGRAM, Some(Protocol::UDP)).unwrap();
    socket.set_reuse_address(true).unwrap();
    socket.bind(&SocketAddr::from((Ipv4Addr::UNSPECIFIED, port)).into()).unwrap();
    socket.join_multicast_v4(&GROUP, &Ipv4Addr::LOCALHOST).unwrap();
    socket.set_multicast_if_v4(&Ipv4Addr::LOCALHOST).unwrap();
    socket.set_nonblocking(true).unwrap();
    socket.into()
}

fn packets(socket: &UdpSocket) -> Vec<Vec<u8>> {
    let mut buffer = [0; 9000];
    std::iter::from_fn(|| socket.recv(&mut buffer).ok().map(|len| buffer[..len].to_vec())).collect()
}

/// Ada moves to another port while Bob is away, and he knows only the old one: they find each other all the same.
fn contacts_find_each_other_where_no_known_route_leads<A: Host, B: Host>() {
    let dir = tempfile::tempdir().unwrap();
    let port = UdpSocket::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port();
    let ear = listener(port);
    let lan = Some(LanOptions { port, loopback: true });
    let (ada, bob) = (Who::new("ada@lama.test", "desk"), Who::new("bob@lama.test", "desk"));
    let (ada_disk, bob_disk) = (Disk::file(dir.path(), "ada"), Disk::file(dir.path(), "bob"));
    let listening = Options { listen: Listen::Free, ..Options::default() };
    // Bob never listens, so that Ada cannot dial him.
    let first = Running::<A>::start(&ada, &ada_disk, listening);
    let second = Running::<B>::start(&bob, &bob_disk, Options::default());
    join(&second, &invite(&first));
    say(&first, &second, "hello");
    let old = first.port();
    first.shutdown();
    second.shutdown();
    assert!(packets(&ear).is_empty(), "it is off unless that is said");

    let taken = std::net::TcpListener::bind(("127.0.0.1", old)).unwrap();
    let first = Running::<A>::start(&ada, &ada_disk, Options { lan, ..listening });
    let second = Running::<B>::start(&bob, &bob_disk, Options { lan, ..Options::default() });
    say(&first, &second, "from somewhere else");
    let url = second.until("a session", |event| match event {
        Event::SessionStarted { url: Some(url), .. } => Some(url.clone()),
        _ => None,
    });
    assert_eq!(url, format!("ws://127.0.0.1:{}", first.port()), "by what was found");
    drop(taken);

    let heard = packets(&ear);
    assert!(heard.len() >= 2, "a question and an answer at least");
    let secrets: Vec<Vec<u8>> = [&ada, &bob]
        .iter()
        .flat_map(|who| {
            let identity = who.identity();
            let public = identity.public();
            [
                public.person_id().0.to_vec(),
                public.instance_id().0.to_vec(),
                public.noise().as_bytes().to_vec(),
                public.pin().0.to_vec(),
                public.person.email.as_str().as_bytes().to_vec(),
                b"desk".to_vec(),
            ]
        })
        .collect();
    for packet in &heard {
        for secret in &secrets {
            let written = data_encoding::HEXLOWER.encode(secret);
            let at_most = |len: usize| secret.len().min(len);
            let raw = &secret[..at_most(8)];
            let hex = &written.as_bytes()[..2 * at_most(8)];
            assert!(!packet.windows(raw.len()).any(|stretch| stretch == raw), "{raw:?}");
            assert!(!packet.windows(hex.len()).any(|stretch| stretch.eq_ignore_ascii_case(hex)), "{hex:?}");
        }
    }
    first.shutdown();
    second.shutdown();
}

/// Whatever is thrown at the port, both go on and find each other.
fn noise_on_the_network_changes_nothing<A: Host, B: Host>() {
    let dir = tempfile::tempdir().unwrap();
    let port = UdpSocket::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port();
    let noise = listener(port);
    let lan = Some(LanOptions { port, loopback: true });
    let (ada, bob) = (Who::new("ada@lama.test", "desk"), Who::new("bob@lama.test", "desk"));
    let (ada_disk, bob_disk) = (Disk::file(dir.path(), "ada"), Disk::file(dir.path(), "bob"));
    let options = Options { listen: Listen::Free, lan, ..Options::default() };
    let first = Running::<A>::start(&ada, &ada_disk, options);
    let second = Running::<B>::start(&bob, &bob_disk, Options { lan, ..Options::default() });
    join(&second, &invite(&first));
    say(&first, &second, "hello");
    let old = first.port();
    first.shutdown();
    let _taken = std::net::TcpListener::bind(("127.0.0.1", old)).unwrap();
    let first = Running::<A>::start(&ada, &ada_disk, options);
    let group = SocketAddrV4::new(GROUP, port);
    let mut state = 1_u32;
    for n in 0..3_000_usize {
        let packet: Vec<u8> = (0..n % 1400)
            .map(|_| {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (state >> 24) as u8
            })
            .collect();
        let _ = noise.send_to(&packet, group);
        // And back what was heard, changed.
        for mut packet in packets(&noise).into_iter().take(1) {
            if let Some(byte) = packet.get_mut(n % 200) {
                *byte ^= 1;
            }
            let _ = noise.send_to(&packet, group);
        }
        if n % 500 == 0 {
            std::thread::sleep(Duration::from_millis(50));
        }
    }
    say(&first, &second, "all the same");
    first.shutdown();
    second.shutdown();
}

on_both_and_mixed!(contacts_find_each_other_where_no_known_route_leads, noise_on_the_network_changes_nothing,);
