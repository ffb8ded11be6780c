//! What a network sees that stands between an instance and its relay, and what the relay itself sees: every byte of a first
//! pairing and of a reconnect is recorded and searched. `A` is the runtime of the instance behind the relay, `B` of the one
//! who dials and of the relay.
#![allow(
    missing_docs,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

mod support;

use lama_invite::RouteUrl;
use lama_net::{Options, RelayHome};
use lama_relay::RelayAddress;
use support::relay::{Relay, invite, join, relayed, routes, say};
use support::tap::{Frame, Tap};
use support::{Host, Running, Who};

const HERS: &str = "alice.in.clear@lama.test";
const HIS: &str = "bob.in.clear@lama.test";
const SAID: &str = "words that nobody else may read";

/// Something that must not be seen, in every way in which it may be written down.
fn shapes(secret: &[u8]) -> Vec<(&'static str, Vec<u8>)> {
    let hex: String = secret.iter().map(|byte| format!("{byte:02x}")).collect();
    let mut shapes = vec![
        ("raw", secret.to_vec()),
        ("hex", hex.clone().into_bytes()),
        ("HEX", hex.to_ascii_uppercase().into_bytes()),
    ];
    for (name, alphabet) in [
        ("base64", b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"),
        ("base64url", b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"),
    ] {
        for before in 0..3_usize {
            let mut padded = vec![0; before];
            padded.extend_from_slice(secret);
            let whole: String = padded
                .chunks(3)
                .flat_map(|three| {
                    let bits = three.iter().fold(0_u32, |bits, byte| (bits << 8) | u32::from(*byte))
                        << (8 * (3 - three.len()));
                    (0..=three.len()).map(move |at| (bits >> (18 - 6 * at)) & 63)
                })
                .map(|six| char::from(alphabet[six as usize]))
                .collect();
            // Characters that hold bits of what stands before or behind differ from place to place.
            let start = (before * 8).div_ceil(6);
            let end = (padded.len() * 8) / 6;
            shapes.push((name, whole.as_bytes()[start..end].to_vec()));
        }
    }
    shapes
}

fn holds(capture: &[u8], what: &[u8]) -> bool {
    !what.is_empty() && capture.windows(what.len()).any(|window| window == what)
}

/// The first way in which it is there.
fn found(captures: &[Vec<u8>], secret: &[u8]) -> Option<&'static str> {
    let shapes = shapes(secret);
    shapes
        .iter()
        .find(|(_, shape)| captures.iter().any(|capture| holds(capture, shape)))
        .map(|(name, _)| *name)
}

/// What must not be seen, with its name.
fn secrets(who: &Who, email: &str) -> Vec<(String, Vec<u8>)> {
    let identity = who.identity();
    let public = identity.public();
    [
        ("the e-mail address", email.as_bytes().to_vec()),
        ("the person's id", public.person_id().as_bytes().to_vec()),
        ("the instance's id", public.instance_id().as_bytes().to_vec()),
        ("the static key", identity.noise().public().as_bytes().to_vec()),
        ("the instance's signing key", public.instance_keys.sign_key.as_bytes().to_vec()),
        ("the person's signing key", public.person_keys.sign_key.as_bytes().to_vec()),
        ("the person's pin", public.pin().as_bytes().to_vec()),
        ("the instance's name", public.instance.name.as_bytes().to_vec()),
    ]
    .map(|(name, secret)| (format!("{name} of {email}"), secret))
    .into()
}

/// The sizes of the session's first messages: message 1 to 3 of the handshake, and both introductions.
fn first_sizes(frames: &[Frame]) -> Vec<(bool, usize)> {
    // Behind RING, HELLO and CONNECTED.
    let begin =
        frames.iter().position(|frame| !frame.from_client && frame.payload == [0x0a]).expect("CONNECTED");
    frames[begin + 1..].iter().take(5).map(|frame| (frame.from_client, frame.payload.len())).collect()
}

fn captures_show_neither_who_speaks_nor_what_is_said<A: Host, B: Host>() {
    let relay = Relay::<B>::start();
    // Both go to the relay through the tap, so it has the relay's outer sockets, all of them.
    let tap = Tap::start(relay.port);
    let mut address: RelayAddress = relay.address.clone();
    address.url = RouteUrl::parse(&format!("ws://127.0.0.1:{}", tap.port)).unwrap();
    let home = RelayHome { address: address.clone(), key: relay.home().key };
    let route_id = address.route(home.key.public()).via.unwrap().route_id;
    let (her, him) = (Who::new(HERS, "desk of hers in clear"), Who::new(HIS, "desk of his in clear"));
    let alice = Running::<A>::start_behind(&her, Options::default(), vec![home]);
    alice.eventually("the route is advertised", |_| (routes(&alice) == 1).then_some(()));
    let bob = Running::<B>::start_behind(&him, Options::default(), Vec::new());
    let invitation = invite(&alice);
    join(&bob, &invitation);
    say(&alice, &bob, SAID);
    assert_eq!((relayed(&alice), relayed(&bob)), (Some(true), Some(true)));
    let pairing = tap.calls();
    assert_eq!(pairing.len(), 1);
    // The line breaks, and they find each other again.
    tap.cut();
    say(&bob, &alice, "found again");
    assert_eq!((relayed(&alice), relayed(&bob)), (Some(true), Some(true)));
    let calls = tap.calls();
    assert!(calls.len() >= 2);
    let (first, again) = (first_sizes(&calls[0]), first_sizes(calls.last().unwrap()));
    assert_eq!(first[..3], [(true, 68), (false, 48), (true, 64)]);
    assert_eq!(first, again, "one look does not tell a pairing from a reconnect");

    let captures = tap.captures();
    assert!(captures.iter().map(Vec::len).sum::<usize>() > 20_000);
    let token: &[u8] = invitation.danger_token().expose();
    let mut hidden = [secrets(&her, HERS), secrets(&him, HIS)].concat();
    hidden.push(("what was said".into(), SAID.as_bytes().to_vec()));
    hidden.push(("the token".into(), token.to_vec()));
    hidden.push(("the group of a pairing".into(), b"pairing".to_vec()));
    hidden.push(("the group of a reconnect".into(), b"chum".to_vec()));
    for (name, secret) in &hidden {
        assert_eq!(found(&captures, secret), None, "{name} is seen");
    }
    // What a relay may see is there, so the search works on these very bytes.
    assert_eq!(found(&captures, &route_id), Some("raw"));
    assert_eq!(found(&captures, b"lama-relay.1"), Some("raw"));
}

on_both_and_mixed!(captures_show_neither_who_speaks_nor_what_is_said);

#[test]
fn the_search_finds_what_is_written_down_in_any_way() {
    let secret = b"secret \xff\xfe\xfb bytes";
    for (name, shape) in shapes(secret) {
        assert!(shape.len() >= secret.len(), "{name}");
        let planted = [b"before".as_slice(), &shape, b"behind"].concat();
        assert!(found(&[planted], secret).is_some(), "{name}");
    }
    // By another hand: what stands around it moves it to each of the three places in a group.
    for (before, text) in [("", "c2VjcmV0IA=="), ("x", "eHNlY3JldCA="), ("xy", "eHlzZWNyZXQg")] {
        assert!(found(&[text.as_bytes().to_vec()], b"secret ").is_some(), "{before}");
    }
    assert_eq!(found(&[b"no such thing".to_vec()], secret), None);
}
