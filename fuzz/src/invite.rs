//! Invitations: the link, the encoded map inside it, and the URLs inside that.

use bytes::Bytes;
use lama_core::{Seed, WallTime};
use lama_identity::{PersonId, cbor};
use lama_invite::{
    Config, DialRules, Draft, HostClass, Invitation, InviteError, LAMA_BASE, LinkOrigin, MAX_INVITATION,
    Policy, Route, RouteUrl, Via, parse, parse_unchecked,
};

use crate::seeds;

/// Any text: as a whole link, and as the part behind the `#`. What is read comes back as the same bytes.
pub fn link(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    for link in [text.to_string(), format!("{LAMA_BASE}#{text}"), format!("https://lama.example/{text}")] {
        let Ok(read) = parse_unchecked(&link) else {
            let error = parse(&link, WallTime(0), None, DialRules::default()).unwrap_err();
            assert!(!error.code().is_empty() && !error.to_string().contains('\n'));
            continue;
        };
        let fragment = link.trim().split_once('#').unwrap().1;
        assert!(
            read.to_link(LAMA_BASE).unwrap().ends_with(&format!("#{fragment}")),
            "one invitation, one link"
        );
        invitation(&read);
    }
}

/// Any bytes in the place of the encoded invitation. What is read is written as the same bytes.
pub fn body(data: &[u8]) {
    match Invitation::from_bytes(data) {
        Ok(read) => {
            assert_eq!(read.to_bytes().unwrap().as_slice(), data);
            assert!(data.len() <= MAX_INVITATION && cbor::check(data).is_ok());
            invitation(&read);
        }
        Err(InviteError::NewerVersion { found, known }) => assert!(found > known),
        Err(error) => assert!(!error.code().is_empty()),
    }
}

/// What holds of everything that is read as an invitation.
fn invitation(read: &Invitation) {
    let link = read.to_link(LAMA_BASE).unwrap();
    assert_eq!(parse_unchecked(&link).as_ref(), Ok(read));
    assert!((1..=8).contains(&read.routes().len()));
    read.routes().iter().for_each(|route| url(route.url.as_str()));
    let same =
        parse(&link, WallTime(0), Some(read.r_person_id()), DialRules { lan: true, ..DialRules::default() });
    assert!(matches!(same, Err(InviteError::SamePerson { .. })));
    let opened = DialRules { lan: false, origin: LinkOrigin::Opened };
    assert!(read.dialable(opened).all(|route| route.url.class() == HostClass::Public));
    let changed = Draft {
        r_static: *read.r_static(),
        r_person_id: PersonId(read.r_person_id().0.map(|byte| !byte)),
        r_person_pin: read.r_person_pin(),
        routes: read.routes().to_vec(),
        policy: read.policy(),
        lifetime: None,
    };
    let seed = Seed::danger_fixed(*read.danger_token().expose());
    let now = WallTime(read.exp().0.saturating_sub(Config::default().default_lifetime.as_millis() as u64));
    if let Ok(changed) = Invitation::create(changed, &Config::default(), now, seed) {
        assert_ne!((changed.psk(), changed.locator()), (read.psk(), read.locator()));
    }
}

/// Any text as a URL.
pub fn route(data: &[u8]) {
    url(&String::from_utf8_lossy(data));
}

fn url(text: &str) {
    let Ok(url) = RouteUrl::parse(text) else { return };
    assert_eq!(url.as_str(), text);
    assert!(text.is_ascii() && !text.contains(['?', '#', '\\', ' ']) && text.len() <= 256);
    assert!(url.port() > 0 && !url.host().is_empty() && !url.host().contains(['@', '/', '[', ']']));
    assert_ne!(url.class(), HostClass::Unreachable);
    if let Ok(ip) = url.host().parse() {
        assert_eq!(url.class(), lama_invite::classify_ip(ip), "the text and the address agree");
    }
}

/// Seeds of [`link`].
pub fn link_seeds() -> Vec<(&'static str, Bytes)> {
    let text = |link: &str| Bytes::copy_from_slice(link.as_bytes());
    let invitation = example();
    let link = invitation.to_link(LAMA_BASE).unwrap();
    let (_, fragment) = link.split_once('#').unwrap();
    vec![
        ("link", text(&link)),
        ("fragment", text(fragment)),
        ("https", text(&invitation.to_link("https://lama.example/join").unwrap())),
        ("local-page", text(&invitation.to_link("http://localhost:8080/").unwrap())),
        ("cut", text(&fragment[..fragment.len() - 3])),
        ("foreign", text("ftp://lama.example#x")),
    ]
}

/// Seeds of [`body`].
pub fn body_seeds() -> Vec<(&'static str, Bytes)> {
    let body = Bytes::copy_from_slice(&example().to_bytes().unwrap());
    let newer = [&body[..3], &[2], &body[4..]].concat();
    vec![
        ("body", body),
        ("newer", newer.into()),
        ("version-only", Bytes::from_static(&[0xa1, 0x61, b'v', 0x01])),
    ]
}

/// Seeds of [`route`].
pub fn route_seeds() -> Vec<(&'static str, Bytes)> {
    let urls: [(&str, &'static str); 8] = [
        ("localhost", "ws://localhost:8765"),
        ("tls", "wss://lama.example/path~x%20"),
        ("v4", "ws://192.168.1.2:1"),
        ("v6", "ws://[2001:db8::1]:65535/x"),
        ("mapped", "ws://[::ffff:127.0.0.1]"),
        ("number", "ws://0x7f.1"),
        ("credentials", "ws://a:b@localhost"),
        ("query", "ws://localhost/?x#y"),
    ];
    urls.map(|(name, url)| (name, Bytes::from_static(url.as_bytes()))).to_vec()
}

fn example() -> Invitation {
    let me = seeds::ME.public();
    let relay = Route {
        url: RouteUrl::parse("wss://relay.example").unwrap(),
        via: Some(Via { relay_pin: [1; 32], route_id: [2; 32] }),
    };
    let draft = Draft {
        r_static: *me.noise(),
        r_person_id: me.person_id(),
        r_person_pin: me.pin(),
        routes: vec![Route::direct("ws://localhost:8765").unwrap(), relay],
        policy: Policy::Confirm,
        lifetime: None,
    };
    Invitation::create(draft, &Config::default(), WallTime(0), Seed::danger_fixed([7; 32])).unwrap()
}
