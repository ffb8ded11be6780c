//! Objects, signatures, certificates and contacts, as a peer sees them.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, clippy::expect_used)]

use bytes::Bytes;
use lama_core::{Seed, WallTime};
use lama_identity::*;

const NOW: WallTime = WallTime(1_800_000_000_000);

fn identity(email: &str, byte: u8) -> LocalIdentity {
    LocalIdentity::create(email.parse().unwrap(), "laptop", Seed::danger_fixed([byte; 32]), NOW).unwrap()
}

fn entry(me: &LocalIdentity, channel: &Channel, text: &str) -> ChannelEntry {
    ChannelEntry {
        by: Signer::Instance,
        sig: None,
        prev: None,
        clock: Hlc { ms: NOW.0, count: 0 },
        epoch: [1; 8],
        heads: Vec::new(),
        type_tag: TypeTag::default(),
        author: me.person_id(),
        channel: channel.id(),
        content: Content::text(text),
        instance: me.instance_id(),
    }
}

#[test]
fn one_mailbox_has_one_id() {
    let id = |text: &str| Person::new(text.parse().unwrap()).id();
    assert_eq!(id("demo@lama.local"), id("  Demo@LAMA.local\n"));
    assert_ne!(id("demo@lama.local"), id("node-demo@lama.local"));
    assert_eq!(id("demo@lama.local").full().len(), 52);
}

#[test]
fn addresses_that_are_none_are_refused() {
    for text in [
        "",
        "@",
        "a@",
        "@b",
        "plain",
        "a@b@c",
        "a..b@c",
        ".a@c",
        "a.@c",
        "a b@c",
        "a@b..c",
        "a@-b",
        "a@b-",
        "a@.b",
        "a@b.",
        "ä@b",
        "a@bü",
        "\"a b\"@c",
        "a@[127.0.0.1]",
        "a\0@b",
        "a,b@c",
        "<a@b>",
    ] {
        assert!(matches!(text.parse::<Email>(), Err(IdentityError::Email { .. })), "{text:?}");
    }
    assert!(format!("{}@b", "a".repeat(65)).parse::<Email>().is_err());
    assert!(format!("{}@b", "a".repeat(64)).parse::<Email>().is_ok());
    assert!(format!("a@{}", "b".repeat(64)).parse::<Email>().is_err());
    for text in ["a@b", "a.b+tag@c-d.example", "o'neil@x.org", "a@xn--bcher-kva.example", "1@2"] {
        assert_eq!(text.parse::<Email>().unwrap().as_str(), text);
    }
}

#[test]
fn an_object_with_another_spelling_of_the_address_is_refused() {
    let good = Person::new("demo@lama.local".parse().unwrap()).to_bytes().unwrap();
    let mut bad = good.to_vec();
    let at = bad.windows(4).position(|window| window == b"demo").unwrap();
    bad[at] = b'D';
    assert!(Person::from_bytes(&good).is_ok());
    assert_eq!(Person::from_bytes(&bad), Err(IdentityError::Encoding(EncodingError::Shape)));
}

#[test]
fn id_objects_are_named_by_their_bytes() {
    let me = identity("demo@lama.local", 1);
    let public = me.public();
    assert_eq!(public.person.cid().unwrap(), public.person.id().cid());
    assert_eq!(public.instance.cid().unwrap(), public.instance.id().cid());
    let peer = identity("peer@lama.local", 2);
    let channel = Channel::direct(peer.person_id(), me.person_id());
    assert_eq!(channel.cid().unwrap(), channel.id().cid());
    assert_eq!(channel, Channel::direct(me.person_id(), peer.person_id()));
    assert_eq!(channel, Channel::new("chat", [peer.person_id(), me.person_id(), me.person_id()]).unwrap());
    let group = Group::new("friends", me.person_id()).unwrap();
    assert_eq!(group.cid().unwrap(), group.id().cid());
}

#[test]
fn ids_are_read_back_from_text() {
    let me = identity("demo@lama.local", 1);
    let id = me.person_id();
    assert_eq!(id.full().parse::<PersonId>().unwrap(), id);
    assert_eq!(id.short().parse::<PersonId>(), Err(IdentityError::BadText));
    assert!(id.full().starts_with(&id.to_string()));
    let cid = Cid::of_object(b"x");
    assert_eq!(cid.to_string().parse::<Cid>().unwrap(), cid);
    assert_eq!(cid.to_string().len(), 59);
    assert_eq!(Cid::try_from(&cid.as_bytes()[..]).unwrap(), cid);
    assert_eq!(Cid::try_from(&cid.as_bytes()[..35]), Err(IdentityError::BadCid));
    let mut order = [Cid::of_object(b"a"), Cid::of_chunk(b"a"), Cid::of_object(b"b"), Cid::of_chunk(b"b")];
    order.sort();
    assert!(order.windows(2).all(|pair| pair[0].as_bytes() < pair[1].as_bytes()));
}

#[test]
fn json_shows_ids_as_text_and_objects_as_bytes() {
    let me = identity("demo@lama.local", 1);
    let json = serde_json::to_value(me.public().instance.clone()).unwrap();
    assert_eq!(json["owner"], me.person_id().full());
    let back: Instance = serde_json::from_value(json).unwrap();
    assert_eq!(back, me.public().instance);
    assert_eq!(serde_json::to_value(Cid::of_chunk(b"")).unwrap(), Cid::of_chunk(b"").to_string());
}

#[test]
fn an_identity_verifies_and_every_swapped_part_is_found() {
    let (me, other) = (identity("demo@lama.local", 1), identity("other@lama.local", 2));
    let (mine, theirs) = (me.public().clone(), other.public().clone());
    mine.verify(NOW).unwrap();
    let mismatch = |public: PublicIdentity| match public.verify(NOW) {
        Err(IdentityError::Mismatch { field }) => field,
        result => panic!("{result:?}"),
    };
    assert_eq!(mismatch(PublicIdentity { person: theirs.person.clone(), ..mine.clone() }), "Person");
    assert_eq!(mismatch(PublicIdentity { instance: theirs.instance.clone(), ..mine.clone() }), "Instance");
    assert_eq!(mismatch(PublicIdentity { person_keys: theirs.person_keys, ..mine.clone() }), "Person");
    assert_eq!(mismatch(PublicIdentity { instance_keys: theirs.instance_keys, ..mine.clone() }), "Instance");
    assert_eq!(mismatch(PublicIdentity { cert: theirs.cert.clone(), ..mine.clone() }), "log_head");
    let cert = PublicIdentity { cert: theirs.cert.clone(), log_head: theirs.log_head, ..mine.clone() };
    assert_eq!(mismatch(cert), "person_id");
    assert_eq!(mismatch(PublicIdentity { log_head: LogHead::default(), ..mine.clone() }), "log_head");
    // Another person's instance shown as one's own.
    let stolen = Instance::new("laptop", other.person_id()).unwrap();
    let keys = Keys::new(stolen.id(), *me.sign().public(), *me.noise().public());
    assert_eq!(mismatch(PublicIdentity { instance: stolen, instance_keys: keys, ..mine }), "Instance.owner");
}

#[test]
fn a_certificate_needs_both_signatures_over_its_exact_bytes() {
    let me = identity("demo@lama.local", 1);
    let public = me.public();
    let body = public.cert.body().clone();
    let person = me.person().unwrap().sign.sign_input(&body.person_input().unwrap());
    let back = me.sign().sign_input(&body.instance_input().unwrap());
    let verify = |person, back| {
        InstanceCert::assemble(body.clone(), person, back)
            .unwrap()
            .verify(&public.person_keys, &public.instance_keys)
    };
    assert_eq!(verify(person, back), Ok(()));
    assert_eq!(verify(back, person), Err(IdentityError::BadSignature));
    let unlabelled = me.sign().sign_input(&body.to_bytes().unwrap());
    assert_eq!(verify(person, unlabelled), Err(IdentityError::BadSignature));
    let cross = me.sign().sign_input(&body.person_input().unwrap());
    assert_eq!(verify(person, cross), Err(IdentityError::BadSignature));
    for at in 0..public.cert.bytes().len() {
        let mut bytes = public.cert.bytes().to_vec();
        bytes[at] ^= 1;
        let refused = match InstanceCert::from_bytes(bytes.into()) {
            Ok(cert) => cert.verify(&public.person_keys, &public.instance_keys).is_err(),
            Err(_) => true,
        };
        assert!(refused, "byte {at}");
    }
}

#[test]
fn a_certificate_has_its_time() {
    let me = identity("demo@lama.local", 1);
    let cert = &me.public().cert;
    let at =
        |seconds: i64| WallTime::from_unix_seconds(NOW.unix_seconds().checked_add_signed(seconds).unwrap());
    assert_eq!(cert.check_time(at(-11), 10), Err(IdentityError::NotYetValid));
    assert_eq!(cert.check_time(at(-10), 10), Ok(()));
    assert_eq!(cert.check_time(at(1_000_000_000), 0), Ok(()));
    let mut body = cert.body().clone();
    body.not_after = Some(NOW.unix_seconds() + 100);
    let ends = InstanceCert::assemble(body, Signature([0; 64]), Signature([0; 64])).unwrap();
    assert_eq!(ends.check_time(at(109), 10), Ok(()));
    assert_eq!(ends.check_time(at(110), 10), Err(IdentityError::NoLongerValid));
}

#[test]
fn an_identity_survives_its_key_file_and_a_damaged_one_is_refused() {
    let me = identity("demo@lama.local", 1);
    let file = me.danger_export().unwrap();
    let back = LocalIdentity::danger_import(&file).unwrap();
    assert_eq!(back.public(), me.public());
    assert_eq!(*back.danger_export().unwrap(), *file);
    for at in 0..file.len() {
        let mut bytes = file.to_vec();
        bytes[at] ^= 1;
        // One bit of an X25519 secret is clamped away; every other change is found.
        if let Ok(changed) = LocalIdentity::danger_import(&bytes) {
            assert!(
                (16 + 1..16 + 1 + 128).contains(&at) || changed.public().verify(NOW).is_err(),
                "byte {at}"
            );
        }
        assert!(LocalIdentity::danger_import(&file[..at]).is_err());
    }
    let (public, noise, sign, _) = back.into_parts();
    let device = LocalIdentity::from_parts(public, noise, sign, None).unwrap();
    assert_eq!(device.person().err(), Some(IdentityError::PersonKeyAbsent));
    let again = LocalIdentity::danger_import(&device.danger_export().unwrap()).unwrap();
    assert!(again.person().is_err());
}

#[test]
fn secrets_are_never_printed() {
    let me = identity("demo@lama.local", 1);
    assert_eq!(format!("{:?}", me.noise()), "NoiseSecret(..)");
    assert_eq!(format!("{:?}", me.sign()), "SignSecret(..)");
    assert_eq!(format!("{:?}", me.person().unwrap()), "PersonSecrets(..)");
    assert_eq!(format!("{:?}", me.person().unwrap().seal), "SealSecret(..)");
    let all = format!("{me:?}{:?}", me.public());
    for secret in
        [me.noise().danger_expose(), me.sign().danger_expose(), me.person().unwrap().sign.danger_expose()]
    {
        let hex: String = secret.iter().map(|byte| format!("{byte:02x}")).collect();
        assert!(!all.contains(&hex) && !all.contains(&format!("{:?}", *secret)));
    }
}

#[test]
fn an_endpoint_speaks_of_its_keys() {
    let (me, other) = (identity("demo@lama.local", 1), identity("other@lama.local", 2));
    let endpoint = me.public().endpoint("ws://localhost:8765").unwrap();
    let (mine, theirs) = (me.public(), other.public());
    assert_eq!(OneInstanceEndpoint::from_bytes(&endpoint.to_bytes().unwrap()).unwrap(), endpoint);
    endpoint.check_keys(&mine.person_keys, &mine.instance_keys).unwrap();
    assert!(endpoint.check_keys(&theirs.person_keys, &mine.instance_keys).is_err());
    assert!(endpoint.check_keys(&mine.person_keys, &theirs.instance_keys).is_err());
    let mut same_owner = mine.person_keys;
    same_owner.sign_key = theirs.person_keys.sign_key;
    assert_eq!(
        endpoint.check_keys(&same_owner, &mine.instance_keys),
        Err(IdentityError::Mismatch { field: "personKeys" })
    );
    assert!(me.public().endpoint("ws://a b").is_err());
    assert!(me.public().endpoint(&"x".repeat(MAX_URL + 1)).is_err());
    // References, not content links: sharing an endpoint shares nothing else.
    assert_eq!(cbor::check(&endpoint.to_bytes().unwrap()).unwrap().links, 0);
}

#[test]
fn entries_are_signed_stored_and_verified_as_exact_bytes() {
    let (me, peer) = (identity("demo@lama.local", 1), identity("peer@lama.local", 2));
    let channel = Channel::direct(me.person_id(), peer.person_id());
    let signed = Unsigned::new(entry(&me, &channel, "hello")).unwrap().sign(me.sign()).unwrap();
    let received = Signed::<ChannelEntry>::from_bytes(signed.bytes().clone()).unwrap();
    assert_eq!(received, signed);
    received.verify(me.public()).unwrap();
    assert_eq!(received.verify(peer.public()), Err(IdentityError::NotCertified));
    assert_eq!(received.verify_with(peer.sign().public()), Err(IdentityError::BadSignature));
    let contact = Contact::pending(me.public(), TrustOrigin::Token, NOW);
    received.verify(&contact).unwrap();
    // What another implementation signs: the label, a zero, and the object without its signature.
    let mut unsigned = received.value().clone();
    unsigned.sig = None;
    let body = cbor::encode(&unsigned).unwrap();
    assert_eq!(cbor::without(received.bytes(), &["sig"]).unwrap(), body);
    me.sign().public().verify("LAMA/channel-entry/1", &body, received.value().sig.as_ref().unwrap()).unwrap();
    for at in 0..signed.bytes().len() {
        let mut bytes = signed.bytes().to_vec();
        bytes[at] ^= 1;
        let refused =
            Signed::<ChannelEntry>::from_bytes(bytes.into()).and_then(|entry| entry.verify(&contact));
        assert!(refused.is_err(), "byte {at}");
    }
    assert_eq!(Signed::<ChannelEntry>::from_bytes(body), Err(IdentityError::NotSigned));
}

#[test]
fn an_entry_links_what_it_shares_and_only_refers_to_the_rest() {
    let (me, peer) = (identity("demo@lama.local", 1), identity("peer@lama.local", 2));
    let channel = Channel::direct(me.person_id(), peer.person_id());
    let mut with_link = entry(&me, &channel, "look");
    let shared = Cid::of_object(b"folder");
    with_link.content.links.push(shared);
    with_link.prev = Some(Cid::of_object(b"before").into());
    with_link.heads.push(Cid::of_object(b"head").into());
    let signed = Unsigned::new(with_link).unwrap().sign(me.sign()).unwrap();
    let mut links = Vec::new();
    cbor::scan(signed.bytes(), &mut |id| links.push(id)).unwrap();
    assert_eq!(links, [shared]);
    let mut silent = entry(&me, &channel, "x");
    silent.content = Content::default();
    assert!(Unsigned::new(silent).is_err());
    let mut long = entry(&me, &channel, "x");
    long.content = Content::text("x".repeat(MAX_TEXT + 1));
    assert_eq!(Unsigned::new(long).err(), Some(IdentityError::TooLong { field: "text", limit: MAX_TEXT }));
    let mut unsorted = entry(&me, &channel, "x");
    unsorted.heads = vec![Cid::of_object(b"b").into(), Cid::of_object(b"b").into()];
    assert!(Unsigned::new(unsorted).is_err());
}

fn profile(me: &LocalIdentity, name: &str, ms: u64, parents: &[Cid]) -> Signed<Versioned<Profile>> {
    let mut parents: Vec<Reference> = parents.iter().map(|id| Reference(*id)).collect();
    parents.sort();
    let version = Versioned {
        by: Signer::Person,
        of: me.person_id().cid().into(),
        sig: None,
        data: Profile { name: name.into() },
        clock: Hlc { ms, count: 0 },
        type_tag: TypeTag::default(),
        author: me.person_id(),
        parents,
        instance: me.instance_id(),
    };
    Unsigned::new(version).unwrap().sign(&me.person().unwrap().sign).unwrap()
}

#[test]
fn concurrent_versions_merge_alike_in_every_order() {
    let me = identity("demo@lama.local", 1);
    let a = profile(&me, "a", 1, &[]);
    let b = profile(&me, "b", 5, &[a.cid()]);
    let c = profile(&me, "c", 3, &[a.cid()]);
    let d = profile(&me, "d", 4, &[c.cid()]);
    let all = [a.clone(), b.clone(), c.clone(), d.clone()];
    for rotation in 0..4 {
        let mut order = all.to_vec();
        order.rotate_left(rotation);
        order.push(all[rotation].clone());
        let mut expected = [b.cid(), d.cid()];
        expected.sort();
        assert_eq!(heads(&order).iter().map(|head| head.cid()).collect::<Vec<_>>(), expected);
        assert_eq!(winner(&order).unwrap().value().data.name, "b");
    }
    let merged = profile(&me, "e", 6, &[b.cid(), d.cid()]);
    let mut with_merge = all.to_vec();
    with_merge.push(merged.clone());
    assert_eq!(heads(&with_merge), [&merged]);
    b.verify(me.public()).unwrap();
    assert_eq!(cbor::check(b.bytes()).unwrap().type_name, Some("Profile"));
}

#[test]
fn only_the_owner_versions_his_endpoint_and_profile() {
    let (me, other) = (identity("demo@lama.local", 1), identity("other@lama.local", 2));
    let version = |author: &LocalIdentity, of: Cid| Versioned {
        by: Signer::Instance,
        of: of.into(),
        sig: None,
        data: me.public().endpoint("ws://localhost:1").unwrap(),
        clock: Hlc::default(),
        type_tag: TypeTag::default(),
        author: author.person_id(),
        parents: Vec::new(),
        instance: author.instance_id(),
    };
    let good = Unsigned::new(version(&me, me.instance_id().cid())).unwrap().sign(me.sign()).unwrap();
    let read = Signed::<Versioned<OneInstanceEndpoint>>::from_bytes(good.bytes().clone()).unwrap();
    read.verify(me.public()).unwrap();
    assert_eq!(cbor::check(good.bytes()).unwrap().type_name, Some("EndpointVersion"));
    assert!(Unsigned::new(version(&other, me.instance_id().cid())).is_err());
    assert!(Unsigned::new(version(&me, other.instance_id().cid())).is_err());
}

#[test]
fn access_lists_are_sets() {
    let me = identity("demo@lama.local", 1);
    let version = |persons: Vec<PersonId>| {
        Unsigned::new(Versioned {
            by: Signer::Instance,
            of: me.person_id().cid().into(),
            sig: None,
            data: Access { persons, objects: vec![Cid::of_object(b"x").into()], ..Access::default() },
            clock: Hlc::default(),
            type_tag: TypeTag::default(),
            author: me.person_id(),
            parents: Vec::new(),
            instance: me.instance_id(),
        })
    };
    assert!(version(vec![PersonId([1; 32]), PersonId([2; 32])]).is_ok());
    assert!(version(vec![PersonId([2; 32]), PersonId([1; 32])]).is_err());
    assert!(version(vec![PersonId([1; 32]), PersonId([1; 32])]).is_err());
    let bytes = version(vec![PersonId([1; 32])]).unwrap().sign(me.sign()).unwrap().bytes().clone();
    assert_eq!(
        cbor::check(&bytes).unwrap().links,
        0,
        "an access speaks of objects, it does not contain them"
    );
}

#[test]
fn trust_is_signed_by_its_issuer_about_another() {
    let (me, other) = (identity("demo@lama.local", 1), identity("other@lama.local", 2));
    let (mine, theirs) = (&me.public().person_keys, &other.public().person_keys);
    let trust = TrustKeysCertificate::new(mine, theirs, TrustOrigin::TokenAndCode, NOW).unwrap();
    let signed = Unsigned::new(trust).unwrap().sign(&me.person().unwrap().sign).unwrap();
    let read = Signed::<TrustKeysCertificate>::from_bytes(signed.bytes().clone()).unwrap();
    read.verify(me.public()).unwrap();
    assert_eq!(read.value().pin, other.public().pin());
    assert_eq!(read.verify(other.public()), Err(IdentityError::NotCertified));
    assert!(TrustKeysCertificate::new(mine, mine, TrustOrigin::Token, NOW).is_err());
}

#[test]
fn objects_of_another_type_or_with_more_in_them_are_refused() {
    let me = identity("demo@lama.local", 1);
    let person = me.public().person.to_bytes().unwrap();
    assert_eq!(Instance::from_bytes(&person), Err(IdentityError::WrongType { expected: "Instance" }));
    let more =
        cbor::encode(&serde_json::json!({"$type$": "Person", "email": "demo@lama.local", "x": 1})).unwrap();
    assert!(matches!(Person::from_bytes(&more), Err(IdentityError::Encoding(_))));
    let long = format!("{}@b", "a".repeat(60));
    assert!(Person::from_bytes(&Bytes::from(vec![0; cbor::MAX_IDENTITY + 1])).is_err());
    assert!(Person::from_bytes(&Person::new(long.parse().unwrap()).to_bytes().unwrap()).is_ok());
    for name in ["", " a", "a\u{7}", &"x".repeat(MAX_NAME + 1)] {
        let bytes = cbor::encode(&serde_json::json!({"$type$": "Group", "name": name, "owner": 0})).unwrap();
        assert!(Group::from_bytes(&bytes).is_err());
        assert!(Group::new(name, me.person_id()).is_err());
    }
}

#[test]
fn a_contact_learns_but_never_another_key_or_a_lower_log() {
    let (me, other) = (identity("demo@lama.local", 1), identity("other@lama.local", 2));
    let mut contact = Contact::pending(me.public(), TrustOrigin::Token, NOW);
    assert_eq!(Contact::from_bytes(&contact.to_bytes().unwrap()).unwrap(), contact);
    assert_eq!(contact.learn(me.public()), Ok(false));
    assert_eq!(contact.learn(other.public()), Err(IdentityError::Mismatch { field: "personId" }));
    // The same address with other keys: a key change.
    let changed = identity("demo@lama.local", 3);
    assert_eq!(contact.learn(changed.public()), Err(IdentityError::Mismatch { field: "personKeys" }));
    let mut lower = me.public().clone();
    lower.log_head = LogHead::default();
    assert_eq!(contact.learn(&lower), Err(IdentityError::LogLower { known: 1, shown: 0 }));
    let mut forked = me.public().clone();
    forked.log_head.hash = [9; 32];
    assert_eq!(contact.learn(&forked), Err(IdentityError::LogFork { seq: 1 }));
    let mut longer = me.public().clone();
    longer.log_head = LogHead { seq: 2, hash: [9; 32] };
    assert_eq!(contact.learn(&longer), Ok(true));
    assert!(contact.learn_url(&me.instance_id(), "ws://localhost:1"));
    assert!(!contact.learn_url(&me.instance_id(), "ws://localhost:1"));
    assert!(contact.learn_url(&me.instance_id(), "ws://localhost:2"));
    assert_eq!(contact.instances[0].urls, ["ws://localhost:2", "ws://localhost:1"]);
    assert!(contact.instance_by_noise(me.noise().public()).is_some());
    contact.instances[0].revoked = Some(NOW.0);
    assert_eq!(contact.learn(&longer), Err(IdentityError::Revoked));
    assert_eq!(contact.instance_key(&me.person_id(), &me.instance_id()), None);
}
