//! The first inputs of each corpus: valid ones, from which the fuzzer finds its way.

use std::sync::LazyLock;

use bytes::Bytes;
use ciborium::Value;
use lama_core::{Seed, WallTime};
use lama_identity::{
    Channel, ChannelEntry, Cid, Contact, Content, Group, Hlc, LocalIdentity, Object as _, Profile,
    Revocation, Revoked, Signer, TrustKeysCertificate, TrustOrigin, TypeTag, Unsigned, Versioned, cbor,
};

use crate::{chum, groups, handshake, invite, lan, recon, relay};

/// A seed: the target, a file name, and the input.
pub type Input = (&'static str, &'static str, Bytes);

/// An identity that is always the same.
pub fn identity(byte: u8) -> LocalIdentity {
    let email = format!("p{byte}@lama.local").parse().unwrap();
    LocalIdentity::create(email, "seed", Seed::danger_fixed([byte; 32]), WallTime(0)).unwrap()
}

/// [`identity`] 1, made once.
pub static ME: LazyLock<LocalIdentity> = LazyLock::new(|| identity(1));

/// All seeds of all targets.
pub fn all() -> Vec<Input> {
    let mut all: Vec<Input> =
        objects().into_iter().map(|(name, bytes)| ("object_typed", name, bytes)).collect();
    all.extend(chum::frame_seeds().into_iter().map(|(name, bytes)| ("chum_frames", name, bytes)));
    all.extend(chum::pair_seeds().into_iter().map(|(name, bytes)| ("chum_pair", name, bytes)));
    all.extend(recon::wire_seeds().into_iter().map(|(name, bytes)| ("chum_wire", name, bytes)));
    all.extend(recon::round_seeds().into_iter().map(|(name, bytes)| ("chum_round", name, bytes)));
    all.extend(recon::sets_seeds().into_iter().map(|(name, bytes)| ("chum_sets", name, bytes)));
    all.extend(recon::decoder_seeds().into_iter().map(|(name, bytes)| ("recon_decoder", name, bytes)));
    all.extend(recon::list_seeds().into_iter().map(|(name, bytes)| ("recon_list", name, bytes)));
    all.extend(chum::folder_seeds().into_iter().map(|(name, bytes)| ("folder", name, bytes)));
    all.extend(invite::link_seeds().into_iter().map(|(name, bytes)| ("invite_link", name, bytes)));
    all.extend(invite::body_seeds().into_iter().map(|(name, bytes)| ("invite_body", name, bytes)));
    all.extend(invite::route_seeds().into_iter().map(|(name, bytes)| ("invite_route", name, bytes)));
    all.extend(handshake::seeds().into_iter().map(|(target, name, bytes)| (target, name, bytes.into())));
    all.extend(groups::frame_seeds().into_iter().map(|(name, bytes)| ("group_frame", name, bytes)));
    all.extend(groups::peer_seeds().into_iter().map(|(name, bytes)| ("group_peer", name, bytes)));
    all.extend(groups::debug_seeds().into_iter().map(|(name, bytes)| ("debug_view", name, bytes)));
    all.extend(lan::seeds().into_iter().map(|(name, bytes)| ("lan_packets", name, bytes.into())));
    all.extend(relay::frame_seeds().into_iter().map(|(name, bytes)| ("relay_frames", name, bytes)));
    all.extend(relay::server_seeds().into_iter().map(|(name, bytes)| ("relay_server", name, bytes)));
    all.extend(objects().into_iter().chain(values()).map(|(name, bytes)| ("object_decode", name, bytes)));
    all
}

fn values() -> Vec<(&'static str, Bytes)> {
    let mut link = vec![0];
    link.extend_from_slice(&Cid::of_chunk(b"chunk").as_bytes());
    let every = Value::Array(vec![
        Value::from(23),
        Value::from(24),
        Value::from(u64::MAX),
        Value::from(-1),
        Value::from(i64::MIN),
        Value::Float(0.5),
        Value::Bool(true),
        Value::Null,
        Value::Bytes(vec![1; 30]),
        Value::Text("äöü".into()),
        Value::Tag(42, Box::new(Value::Bytes(link))),
        Value::Map(vec![(Value::Text("a".into()), Value::Null), (Value::Text("bb".into()), Value::Null)]),
    ]);
    let encoded = cbor::encode(&every).unwrap();
    vec![
        ("every-kind", encoded.clone()),
        ("trailing", [&encoded[..], &[0]].concat().into()),
        ("indefinite", Bytes::from_static(&[0xbf, 0x61, b'a', 0, 0xff])),
        ("unsorted", Bytes::from_static(&[0xa2, 0x62, b'a', b'a', 0, 0x61, b'b', 0])),
    ]
}

fn objects() -> Vec<(&'static str, Bytes)> {
    let (me, other) = (identity(1), identity(2));
    let public = me.public();
    let channel = Channel::direct(me.person_id(), other.person_id());
    let entry = ChannelEntry {
        by: Signer::Instance,
        sig: None,
        prev: Some(Cid::of_object(b"prev").into()),
        clock: Hlc { ms: 1, count: 2 },
        epoch: [3; 8],
        heads: vec![Cid::of_object(b"head").into()],
        type_tag: TypeTag::default(),
        author: me.person_id(),
        channel: channel.id(),
        content: Content { links: vec![Cid::of_object(b"shared")], ..Content::text("hello") },
        instance: me.instance_id(),
    };
    let profile = Versioned {
        by: Signer::Person,
        of: me.person_id().cid().into(),
        sig: None,
        data: Profile { name: "me".into() },
        clock: Hlc { ms: 1, count: 0 },
        type_tag: TypeTag::default(),
        author: me.person_id(),
        parents: Vec::new(),
        instance: me.instance_id(),
    };
    let trust = TrustKeysCertificate::new(
        &public.person_keys,
        &other.public().person_keys,
        TrustOrigin::Token,
        WallTime(9),
    );
    let person = &me.person().unwrap().sign;
    let revocation = Revocation {
        person_id: me.person_id(),
        signer: *person.public(),
        revoked: Revoked::Instance(*me.noise().public()),
        reason: "lost".into(),
        seq: 2,
        prev_hash: public.log_head.hash,
    };
    vec![
        ("person", public.person.to_bytes().unwrap()),
        ("instance", public.instance.to_bytes().unwrap()),
        ("person-keys", public.person_keys.to_bytes().unwrap()),
        ("instance-keys", public.instance_keys.to_bytes().unwrap()),
        ("endpoint", public.endpoint("ws://localhost:8765").unwrap().to_bytes().unwrap()),
        ("cert", public.cert.bytes().clone()),
        ("identity", cbor::encode(public).unwrap()),
        ("channel", channel.to_bytes().unwrap()),
        ("group", Group::new("friends", me.person_id()).unwrap().to_bytes().unwrap()),
        ("contact", Contact::pending(other.public(), TrustOrigin::Token, WallTime(5)).to_bytes().unwrap()),
        ("entry", Unsigned::new(entry).unwrap().sign(me.sign()).unwrap().bytes().clone()),
        ("profile", Unsigned::new(profile).unwrap().sign(person).unwrap().bytes().clone()),
        ("trust", Unsigned::new(trust.unwrap()).unwrap().sign(person).unwrap().bytes().clone()),
        ("revocation", revocation.assemble(person.sign_input(&revocation.input().unwrap())).unwrap()),
    ]
}
