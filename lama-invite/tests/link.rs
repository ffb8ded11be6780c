//! The link: round trips, and one test for each thing that can be wrong with it before any network access.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

mod common;

use core::time::Duration;

use common::{create, draft, invitation, noise, person, routed, wall};
use data_encoding::BASE64URL_NOPAD;
use lama_core::Seed;
use lama_identity::{PersonPin, cbor};
use lama_invite::{
    Config, Damage, DialRules, Draft, HostClass, Invitation, InviteError, LAMA_BASE, LinkOrigin, MAX_LINK,
    Policy, Route, RouteUrl, UrlProblem, Via, parse, parse_unchecked,
};
use proptest::prelude::*;
use serde::Serialize;
use serde_bytes::ByteArray;
use sha2::{Digest, Sha256};

fn read(link: &str) -> Result<Invitation, InviteError> {
    parse(link, wall(0), Some(person(9)), DialRules::default())
}

/// A link around any bytes, with right check bytes: what a careless or hostile writer would make.
fn link_of(body: &[u8]) -> String {
    let check = Sha256::new().chain_update(b"LAMA/link/1\0").chain_update(body).finalize();
    let payload = [body, &check[..4]].concat();
    format!("{LAMA_BASE}#{}", BASE64URL_NOPAD.encode(&payload))
}

#[derive(Serialize)]
struct Raw {
    v: u64,
    suite: u64,
    token: ByteArray<32>,
    r_static: ByteArray<32>,
    r_person_id: ByteArray<32>,
    r_person_pin: ByteArray<32>,
    routes: Vec<(String, Option<ByteArray<32>>, Option<ByteArray<32>>)>,
    policy: &'static str,
    exp: u64,
}

fn raw() -> Raw {
    Raw {
        v: 1,
        suite: 1,
        token: ByteArray::new([5; 32]),
        r_static: ByteArray::new(*noise(1).as_bytes()),
        r_person_id: ByteArray::new([1; 32]),
        r_person_pin: ByteArray::new([0x11; 32]),
        routes: vec![("ws://localhost:8765".into(), None, None)],
        policy: "auto",
        exp: wall(900).unix_seconds(),
    }
}

fn read_raw(raw: &Raw) -> Result<Invitation, InviteError> {
    read(&link_of(&cbor::encode(raw).unwrap()))
}

#[test]
fn what_was_created_is_read_back_and_derives_the_same() {
    let mut all = draft();
    all.routes.push(Route {
        url: RouteUrl::parse("wss://relay.example/lama").unwrap(),
        via: Some(Via { relay_pin: [3; 32], route_id: [4; 32] }),
    });
    all.policy = Policy::Confirm;
    let made = create(all, 5);
    for base in
        [LAMA_BASE, "lama:", "https://lama.example/join", "http://localhost:8080/", "http://[::1]:1/x?y"]
    {
        let link = made.to_link(base).unwrap();
        let found = read(&link).unwrap();
        assert_eq!(found, made);
        assert_eq!(found.psk(), made.psk());
        assert_eq!(found.locator(), made.locator());
        assert!(link.starts_with(&format!("{base}#")));
    }
    assert_eq!(Invitation::from_bytes(&made.to_bytes().unwrap()).unwrap(), made);
    assert_eq!(made.danger_token().expose(), &[5; 32]);
    assert_eq!((made.policy(), made.routes().len(), made.exp()), (Policy::Confirm, 2, wall(900)));
    assert_eq!(
        (made.r_person_id(), made.r_person_pin(), made.r_static()),
        (person(1), PersonPin([0x11; 32]), &noise(1))
    );
}

#[test]
fn the_secret_is_in_the_fragment_alone() {
    let link = invitation(5).to_link("https://lama.example/join#old").unwrap();
    assert!(link.starts_with("https://lama.example/join#") && !link.contains("old"));
    assert_eq!(format!("{:?}", invitation(5).danger_token()), "Token(..)");
    assert!(!format!("{:?}", invitation(5)).contains("5, 5"));
}

#[test]
fn the_derivations_are_those_of_rfc_5869_over_the_map_without_its_token() {
    // HKDF by hand: HMAC(salt, ikm), then HMAC(prk, info || 1), with HMAC from its definition.
    fn hmac(key: &[u8], parts: &[&[u8]]) -> [u8; 32] {
        let mut block = [0_u8; 64];
        block[..key.len()].copy_from_slice(key);
        let inner =
            parts.iter().fold(Sha256::new().chain_update(block.map(|b| b ^ 0x36)), |h, p| h.chain_update(p));
        Sha256::new().chain_update(block.map(|b| b ^ 0x5c)).chain_update(inner.finalize()).finalize().into()
    }
    let made = invitation(5);
    let public = cbor::without(&made.to_bytes().unwrap(), &["token"]).unwrap();
    let info: [u8; 32] = Sha256::digest(&public).into();
    assert_eq!(made.info(), info);
    let psk = hmac(&hmac(b"LAMA/pair/1 psk", &[&[5; 32]]), &[&info, &[1]]);
    assert_eq!(made.psk().expose(), &psk);
    let locator = hmac(&hmac(b"LAMA/pair/1 locator", &[&[5; 32]]), &[&info, &[1]]);
    assert_eq!(made.locator().as_bytes()[..], locator[..16]);
}

#[test]
fn any_changed_field_gives_another_psk_and_locator() {
    let one = create(draft(), 5);
    let changed = [
        create(draft(), 6),
        create(Draft { r_static: noise(2), ..draft() }, 5),
        create(Draft { r_person_id: person(2), ..draft() }, 5),
        create(Draft { r_person_pin: PersonPin([0x12; 32]), ..draft() }, 5),
        create(Draft { policy: Policy::Confirm, ..draft() }, 5),
        create(Draft { lifetime: Some(Duration::from_secs(901)), ..draft() }, 5),
        create(routed(&["ws://localhost:8766"]), 5),
        create(routed(&["wss://localhost:8765"]), 5),
        create(routed(&["ws://localhost:8765", "ws://localhost:8765"]), 5),
    ];
    for other in changed {
        assert_ne!(other.psk(), one.psk());
        assert_ne!(other.locator(), one.locator());
        assert_ne!(other, one);
    }
}

#[test]
fn no_link() {
    assert_eq!(read("").unwrap_err(), InviteError::NoLink);
    assert_eq!(read(" \n").unwrap_err(), InviteError::NoLink);
}

#[test]
fn link_too_long() {
    let long = format!("{LAMA_BASE}#{}", "A".repeat(MAX_LINK));
    assert_eq!(read(&long).unwrap_err(), InviteError::LinkTooLong { len: long.len() });
    let full = format!("{LAMA_BASE}#{}", "A".repeat(MAX_LINK - LAMA_BASE.len() - 1));
    assert_eq!(full.len(), MAX_LINK);
    assert_eq!(read(&full).unwrap_err(), InviteError::Damaged(Damage::Checksum));
    let body = link_of(&[0xa1; 2_049]);
    assert_eq!(read(&body).unwrap_err(), InviteError::LinkTooLong { len: 2_049 });
    let base = format!("https://lama.example/{}", "x".repeat(MAX_LINK));
    assert!(matches!(invitation(5).to_link(&base), Err(InviteError::LinkTooLong { .. })));
}

#[test]
fn wrong_scheme() {
    let fragment = invitation(5).to_link(LAMA_BASE).unwrap().split_once('#').unwrap().1.to_owned();
    let wrong = |base: &str, found: &str| {
        let found = InviteError::WrongScheme { found: found.into() };
        assert_eq!(read(&format!("{base}#{fragment}")).unwrap_err(), found, "{base}");
        assert_eq!(invitation(5).to_link(base).unwrap_err(), found, "{base}");
    };
    wrong("ftp://lama.example", "ftp");
    wrong("ws://localhost:8765", "ws");
    wrong("http://lama.example/join", "http");
    wrong("http://localhost.example/join", "http");
    wrong("http:localhost", "http");
    wrong("https:lama.example", "https");
    wrong("mailto:someone@lama.example", "mailto");
    wrong("averyveryverylongscheme://x", "averyveryverylon");
    wrong("lama.example/join", "");
    assert_eq!(read(&fragment).unwrap_err(), InviteError::WrongScheme { found: String::new() });
    assert!(read(&format!("LAMA://join#{fragment}")).is_ok());
}

#[test]
fn no_fragment() {
    for link in ["lama://join", "lama://join#", "https://lama.example/join?invitation=abc"] {
        assert_eq!(read(link).unwrap_err(), InviteError::NoFragment, "{link}");
    }
}

#[test]
fn damaged_by_white_space_and_foreign_characters() {
    let link = invitation(5).to_link(LAMA_BASE).unwrap();
    let (head, tail) = link.split_at(60);
    for (between, damage) in [
        ("\n", Damage::WhiteSpace),
        (" ", Damage::WhiteSpace),
        ("=", Damage::Character),
        ("+", Damage::Character),
        ("#", Damage::Character),
        ("\u{200b}", Damage::Character),
    ] {
        let changed = format!("{head}{between}{tail}");
        assert_eq!(read(&changed).unwrap_err(), InviteError::Damaged(damage), "{between:?}");
    }
    assert!(read(&format!("  {}\n", *link)).is_ok(), "white space around it does no harm");
}

#[test]
fn every_cut_and_every_changed_character_is_damage() {
    let link = invitation(5).to_link(LAMA_BASE).unwrap();
    let start = LAMA_BASE.len() + 1;
    for end in start + 1..link.len() {
        assert!(matches!(read(&link[..end]), Err(InviteError::Damaged(_))), "cut at {end}");
    }
    for at in start..link.len() {
        for with in ["A", "B", "_", "-", "z"] {
            let changed = format!("{}{with}{}", &link[..at], &link[at + 1..]);
            if *changed != **link {
                assert!(matches!(read(&changed), Err(InviteError::Damaged(_))), "{with} at {at}");
            }
        }
    }
    assert_eq!(read("lama://join#AAAA").unwrap_err(), InviteError::Damaged(Damage::Truncated));
    assert_eq!(read("lama://join#A").unwrap_err(), InviteError::Damaged(Damage::Truncated));
}

#[test]
fn damaged_encoding_and_shape() {
    let damaged = |body: &[u8], damage| {
        assert_eq!(read(&link_of(body)).unwrap_err(), InviteError::Damaged(damage));
    };
    let good = cbor::encode(&raw()).unwrap();
    assert!(read(&link_of(&good)).is_ok());
    damaged(&[&good[..], &[0]].concat(), Damage::Encoding); // trailing byte
    damaged(&[0xa1, 0x61, b'v', 0x18, 0x01], Damage::Encoding); // not the shortest form
    damaged(&[0xa1, 0x61, b'v', 0x01], Damage::Shape);
    damaged(&[0xa1, 0x61, b'v', 0x00], Damage::Shape);
    damaged(&[0xa1, 0x61, b'v', 0x20], Damage::Shape); // -1
    damaged(&[0xa1, 0x61, b'w', 0x01], Damage::Shape);
    damaged(&[0x80], Damage::Shape);
    damaged(&[], Damage::Shape);
    damaged(&cbor::without(&good, &["token"]).unwrap(), Damage::Shape);
    damaged(&cbor::without(&good, &["policy"]).unwrap(), Damage::Shape);
    let shape = |raw: &Raw| assert_eq!(read_raw(raw).unwrap_err(), InviteError::Damaged(Damage::Shape));
    shape(&Raw { v: 0, ..raw() });
    shape(&Raw { policy: "Auto", ..raw() });
    shape(&Raw { policy: "always", ..raw() });
    let half = Some(ByteArray::new([1; 32]));
    shape(&Raw { routes: vec![("wss://relay.example".into(), half, None)], ..raw() });
    shape(&Raw { routes: vec![("wss://relay.example".into(), None, half)], ..raw() });
}

#[test]
fn newer_version_is_named_whatever_it_holds() {
    for (head, found) in [
        (vec![0x02], 2),
        (vec![0x17], 23),
        (vec![0x18, 24], 24),
        (vec![0x19, 1, 0], 256),
        (vec![0x1a, 0, 1, 0, 0], 65_536),
        (vec![0x1b, 1, 0, 0, 0, 0, 0, 0, 0], 1 << 56),
    ] {
        let body = [&[0xa2, 0x61, b'v'], &head[..], b"anything at all"].concat();
        assert_eq!(read(&link_of(&body)).unwrap_err(), InviteError::NewerVersion { found, known: 1 });
    }
    assert_eq!(
        read_raw(&Raw { v: 2, ..raw() }).unwrap_err(),
        InviteError::NewerVersion { found: 2, known: 1 }
    );
}

#[test]
fn unknown_suite() {
    assert_eq!(read_raw(&Raw { suite: 2, ..raw() }).unwrap_err(), InviteError::UnknownSuite { found: 2 });
}

#[test]
fn bad_key() {
    for key in [[0; 32], [0xff; 32]] {
        assert_eq!(
            read_raw(&Raw { r_static: ByteArray::new(key), ..raw() }).unwrap_err(),
            InviteError::BadKey
        );
    }
}

#[test]
fn route_count() {
    let routes = |n| vec![("ws://localhost:1".to_owned(), None, None); n];
    assert!(read_raw(&Raw { routes: routes(8), ..raw() }).is_ok());
    for found in [0, 9] {
        assert_eq!(
            read_raw(&Raw { routes: routes(found), ..raw() }).unwrap_err(),
            InviteError::RouteCount { found }
        );
        let draft = Draft { routes: vec![Route::direct("ws://localhost:1").unwrap(); found], ..draft() };
        let made = Invitation::create(draft, &Config::default(), wall(0), Seed::danger_fixed([1; 32]));
        assert_eq!(made.unwrap_err(), InviteError::RouteCount { found });
    }
}

#[test]
fn bad_url() {
    let routes = vec![("ws://localhost:1".into(), None, None), ("http://localhost".into(), None, None)];
    assert_eq!(read_raw(&Raw { routes, ..raw() }).unwrap_err(), InviteError::BadUrl(UrlProblem::Scheme));
}

#[test]
fn too_many_long_routes_do_not_fit() {
    let url = format!("wss://lama.example/{}", "x".repeat(237));
    let draft = Draft { routes: vec![Route::direct(&url).unwrap(); 8], ..draft() };
    let made = Invitation::create(draft, &Config::default(), wall(0), Seed::danger_fixed([1; 32]));
    assert!(matches!(made, Err(InviteError::LinkTooLong { len }) if len > 2_048));
}

#[test]
fn expired_by_the_joiners_clock() {
    let link = invitation(5).to_link(LAMA_BASE).unwrap();
    let at = |secs| parse(&link, wall(secs), None, DialRules::default());
    assert!(at(899).is_ok());
    assert_eq!(at(900).unwrap_err(), InviteError::Expired { exp: wall(900), now: wall(900) });
    let text = at(900 + 3 * 60).unwrap_err().to_string();
    assert!(
        text.contains("3 minutes ago") && text.contains("ask for a new one") && text.contains("clock"),
        "{text}"
    );
}

#[test]
fn same_person_on_both_sides_names_both_and_the_remedy() {
    let link = invitation(5).to_link(LAMA_BASE).unwrap();
    let error = parse(&link, wall(0), Some(person(1)), DialRules::default()).unwrap_err();
    assert_eq!(error, InviteError::SamePerson { person: person(1), inviter: noise(1) });
    let text = error.to_string();
    assert_eq!(text.matches(&person(1).short()).count(), 2, "{text}");
    assert!(text.contains("another person") && text.contains("init OTHER@EMAIL"), "{text}");
    // It comes before the end and the routes: it is the thing to change first.
    assert_eq!(parse(&link, wall(9_999), Some(person(1)), DialRules::default()).unwrap_err(), error);
}

#[test]
fn only_what_the_rules_allow_is_dialled() {
    let handed = DialRules::default();
    let opened = DialRules { origin: LinkOrigin::Opened, ..handed };
    let lan = DialRules { lan: true, ..handed };
    let opened_lan = DialRules { lan: true, ..opened };
    let allowed = |urls: &[&str], rules| {
        parse(&create(routed(urls), 5).to_link(LAMA_BASE).unwrap(), wall(0), None, rules)
    };
    for (url, class, expected) in [
        ("wss://lama.example", HostClass::Public, [true, true, true, true]),
        ("ws://localhost:1", HostClass::Loopback, [true, false, true, true]),
        ("ws://[::1]:1", HostClass::Loopback, [true, false, true, true]),
        ("ws://192.168.1.2:1", HostClass::Private, [false, false, true, true]),
        ("ws://desk.local:1", HostClass::Private, [false, false, true, true]),
    ] {
        for (rules, expected) in [handed, opened, lan, opened_lan].into_iter().zip(expected) {
            let result = allowed(&[url], rules);
            match expected {
                true => assert!(result.is_ok(), "{url} {rules:?}"),
                false => {
                    assert_eq!(result.unwrap_err(), InviteError::NotAllowed { class }, "{url} {rules:?}")
                }
            }
        }
    }
    // One route that may be dialled is enough, and the others are left out.
    let mixed = allowed(&["ws://10.0.0.1:1", "wss://lama.example", "ws://localhost:1"], opened).unwrap();
    let dialled: Vec<_> = mixed.dialable(opened).map(|route| route.url.as_str()).collect();
    assert_eq!(dialled, ["wss://lama.example"]);
    let text = allowed(&["ws://10.0.0.1:1"], handed).unwrap_err().to_string();
    assert!(text.contains("--lan"), "{text}");
    let text = allowed(&["ws://localhost:1"], opened).unwrap_err().to_string();
    assert!(text.contains("this machine") && text.contains("--lan"), "{text}");
}

#[test]
fn lifetimes_are_bounded_and_end_on_a_whole_second() {
    let make = |millis: u64, lifetime: Option<Duration>| {
        let now = lama_core::WallTime(wall(0).0 + millis);
        Invitation::create(
            Draft { lifetime, ..draft() },
            &Config::default(),
            now,
            Seed::danger_fixed([1; 32]),
        )
    };
    let day = Duration::from_secs(24 * 60 * 60);
    assert_eq!(make(0, None).unwrap().exp(), wall(900));
    assert_eq!(make(1, None).unwrap().exp(), wall(901));
    assert_eq!(make(0, Some(Duration::from_millis(1))).unwrap().exp(), wall(1));
    assert_eq!(make(0, Some(day)).unwrap().exp(), wall(86_400));
    for asked in [Duration::ZERO, day + Duration::from_millis(1)] {
        assert_eq!(make(0, Some(asked)).unwrap_err(), InviteError::Lifetime { asked, max: day });
    }
}

#[test]
fn every_error_has_its_code_and_says_what_to_do() {
    let errors = [
        InviteError::NoLink,
        InviteError::LinkTooLong { len: 5_000 },
        InviteError::WrongScheme { found: "ftp".into() },
        InviteError::WrongScheme { found: String::new() },
        InviteError::NoFragment,
        InviteError::Damaged(Damage::Checksum),
        InviteError::NewerVersion { found: 2, known: 1 },
        InviteError::UnknownSuite { found: 2 },
        InviteError::BadKey,
        InviteError::RouteCount { found: 0 },
        InviteError::BadUrl(UrlProblem::Port),
        InviteError::NotAllowed { class: HostClass::Private },
    ];
    let remedies = ["paste", "copy", "update", "ask for", "--lan", "do not use"];
    for error in errors {
        let text = error.to_string();
        assert!(remedies.iter().any(|remedy| text.contains(remedy)), "{text}");
        assert!(!text.contains('\n') && error.code().starts_with("invite."));
    }
}

proptest! {
    #[test]
    fn nothing_panics_and_what_is_read_is_canonical(text in ".{0,200}", bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let _ = parse_unchecked(&text);
        let _ = parse_unchecked(&format!("lama://join#{text}"));
        if let Ok(found) = parse_unchecked(&link_of(&bytes)) {
            prop_assert_eq!(&found.to_bytes().unwrap()[..], &bytes[..]);
        }
    }

    #[test]
    fn mutated_bodies_never_pass_as_the_original(at in 0_usize..240, with in any::<u8>()) {
        let made = invitation(5);
        let mut body = made.to_bytes().unwrap().to_vec();
        let at = at % body.len();
        prop_assume!(body[at] != with);
        body[at] = with;
        if let Ok(found) = parse_unchecked(&link_of(&body)) {
            // Whatever was changed, the handshake would fail: both derived values differ.
            prop_assert_ne!(found.psk(), made.psk());
            prop_assert_ne!(found.locator(), made.locator());
        }
    }

    #[test]
    fn every_draft_makes_the_round_trip(
        token in any::<[u8; 32]>(), id in any::<[u8; 32]>(), pin in any::<[u8; 32]>(),
        hosts in prop::collection::vec("[a-z][a-z0-9]{0,20}(\\.[a-z][a-z0-9]{0,9}){0,3}", 1..8),
        port in 1_u16.., via in any::<Option<([u8; 32], [u8; 32])>>(), millis in 1_u64..86_400_000, confirm in any::<bool>(),
    ) {
        let via = via.map(|(relay_pin, route_id)| Via { relay_pin, route_id });
        let url = |host: &String| RouteUrl::parse(&format!("wss://{host}:{port}/lama")).unwrap();
        let routes = hosts.iter().map(|host| Route { url: url(host), via }).collect();
        let draft = Draft {
            r_person_id: lama_identity::PersonId(id),
            r_person_pin: PersonPin(pin),
            routes,
            policy: if confirm { Policy::Confirm } else { Policy::Auto },
            lifetime: Some(Duration::from_millis(millis)),
            ..draft()
        };
        let made = Invitation::create(draft, &Config::default(), wall(0), Seed::danger_fixed(token));
        prop_assume!(made.is_ok());
        let made = made.unwrap();
        let link = made.to_link(LAMA_BASE).unwrap();
        prop_assert_eq!(parse_unchecked(&link).unwrap(), made);
    }
}

/// What is wrong with a damaged link stands in the text, and each damage has words of its own.
#[test]
fn the_text_says_what_is_damaged() {
    let damages = [
        (Damage::WhiteSpace, "white space"),
        (Damage::Character, "character that does not belong"),
        (Damage::Truncated, "the end is missing"),
        (Damage::Checksum, "was changed"),
        (Damage::Encoding, "not encoded"),
        (Damage::Shape, "its fields"),
    ];
    for (damage, words) in damages {
        let text = InviteError::Damaged(damage).to_string();
        assert!(text.contains(words), "{text}");
    }
}
