//! The relay: frames of both sides, and a server among clients that do anything in any order.

use bytes::Bytes;
use lama_relay::wire::{FromClient, FromRelay, Hello, Terms};
use lama_relay::{Caller, Config, LinkId, RouteId};

use crate::relay_support::{World, key, ms, route_of};

/// What one side reads is written as the same bytes, and the other side never takes it for its own.
pub fn frames(data: &[u8]) {
    let (relay, client) = (FromRelay::read(data), FromClient::read(data));
    assert!(relay.is_err() || client.is_err());
    if let Ok(frame) = relay {
        assert_eq!(frame.to_bytes(), data);
    }
    if let Ok(frame) = client {
        assert_eq!(frame.to_bytes(), data);
    }
    let via = lama_invite::Via { relay_pin: [0; 32], route_id: [0; 32] };
    // Without HELLO of the pinned relay no call is connected.
    assert!(!matches!(Caller::ring(&via).0.read(data), Ok(lama_relay::Called::Connected)));
}

/// A small relay: its limits hold, the machine never asks for a frame twice, and nothing is left at the end.
pub fn server(data: &[u8]) {
    let config =
        Config { links_per_route: 2, pending_per_route: 2, routes: 3, splices: 2, ..Config::default() };
    let mut world = World::new(config);
    let mut links: Vec<LinkId> = Vec::new();
    for step in data.chunks_exact(2).take(400) {
        let (what, with) = (step[0], step[1]);
        let link = links.get(usize::from(with) % links.len().max(1)).copied();
        match (what % 10, link) {
            (0, _) => links.push(world.register(with % 4, &key(u64::from(with % 5)))),
            (1, _) => links.push(world.ring(with % 4, route_of(&key(u64::from(with % 5))))),
            (2, _) => links.push(world.connect(with % 4)),
            (3, Some(link)) => world.send(link, FromClient::Accept.to_bytes()),
            (4, Some(link)) => world.down(link),
            (5, Some(link)) if world.server.wants_input(link) => {
                world.send(link, vec![what; usize::from(with) * 300])
            }
            (6, _) => world.pass(ms(u64::from(with) * 200)),
            (7, Some(link)) => world.full.push(link),
            (8, _) => {
                for link in std::mem::take(&mut world.full) {
                    world.flush(link);
                }
                world.run();
            }
            (9, Some(link)) => world.send(link, FromClient::Pong(u64::from(what / 10)).to_bytes()),
            _ => {}
        }
        let stats = world.server.stats();
        assert!(stats.splices <= 2 && stats.routes <= 3);
    }
    for link in links {
        world.down(link);
    }
    let stats = world.server.stats();
    assert_eq!((stats.links, stats.routes, stats.splices), (0, 0, 0));
}

/// Frames of every type for the corpus of [`frames`].
pub fn frame_seeds() -> Vec<(&'static str, Bytes)> {
    let terms = Terms { links: 1, max_links: 4, ping: 25, idle: 90, draining: false };
    let signature = key(1).sign_input(b"seed");
    let register = lama_relay::wire::Register { route_key: [1; 32], nonce: [2; 32], exp: 3, signature };
    vec![
        ("hello", FromRelay::Hello(Hello { relay_key: [1; 32], nonce: [2; 32], tls: true }).to_bytes()),
        ("confirm", FromRelay::Confirm(signature).to_bytes()),
        ("terms", FromRelay::Terms(terms).to_bytes()),
        ("ping", FromRelay::Ping(7).to_bytes()),
        ("incoming", FromRelay::Incoming.to_bytes()),
        ("register", FromClient::Register(register).to_bytes()),
        ("pong", FromClient::Pong(7).to_bytes()),
        ("ring", FromClient::Ring(RouteId([9; 32])).to_bytes()),
        ("accept", FromClient::Accept.to_bytes()),
    ]
}

/// Histories for the corpus of [`server`].
pub fn server_seeds() -> Vec<(&'static str, Bytes)> {
    vec![
        ("call", Bytes::from_static(&[0, 1, 1, 1, 3, 0, 5, 0, 5, 1, 4, 0])),
        ("full", Bytes::from_static(&[0, 1, 1, 1, 3, 0, 7, 0, 5, 1, 5, 1, 5, 1, 5, 1, 8, 0, 4, 1])),
        // More rang at once than there was room for, and all were accepted.
        ("at_once", Bytes::from_static(b"\x00:(\x01\x00\x01\x01\x01\x00\x00e533+++++T*33333\x03\x02")),
        ("idle", Bytes::from_static(&[0, 1, 0, 1, 6, 200, 19, 0, 1, 1, 6, 255, 6, 255, 6, 255])),
    ]
}
