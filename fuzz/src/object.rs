//! Objects: the one-pass checker, and every typed object of `lama-identity`.

use bytes::Bytes;
use ciborium::Value;
use lama_core::WallTime;
use lama_identity::{
    Access, Channel, ChannelEntry, Cid, Contact, Group, GroupMembers, Instance, InstanceCert, InstanceKeys,
    LocalIdentity, Object, OneInstanceEndpoint, Person, PersonKeys, PersonLog, Profile, PublicIdentity,
    Signable, Signed, TrustKeysCertificate, Versioned, cbor,
};

use crate::seeds;

/// The checker says yes exactly where decoding with ciborium and encoding canonically gives the same bytes, and what
/// it reports is there.
pub fn decode(data: &[u8]) {
    let mut links = Vec::new();
    let summary = cbor::scan(data, &mut |id: Cid| links.push(id));
    let mut rest = data;
    let slow = ciborium::from_reader::<Value, _>(&mut rest)
        .ok()
        .filter(|value| rest.is_empty() && cbor::encode(value).is_ok_and(|again| again == data));
    assert_eq!(summary.is_ok(), slow.is_some(), "{summary:?}");
    let (Ok(summary), Some(value)) = (summary, slow) else { return };
    assert_eq!(summary.links as usize, links.len());
    let Value::Map(entries) = value else {
        assert_eq!(summary.type_name, None);
        assert!(cbor::without(data, &[]).is_err());
        return;
    };
    let named = entries.iter().find(|(key, _)| key.as_text() == Some("$type$"));
    assert_eq!(summary.type_name, named.and_then(|(_, value)| value.as_text()));
    assert_eq!(cbor::without(data, &[]).unwrap(), data);
    if let Some((key, _)) = entries.first() {
        let less = cbor::without(data, &[key.as_text().unwrap()]).unwrap();
        assert!(cbor::check(&less).is_ok() && less.len() < data.len());
    }
}

/// Whatever is read as a typed object is written as the same bytes, and nothing that a stranger sends panics.
pub fn typed(data: &[u8]) {
    object::<Person>(data);
    object::<Instance>(data);
    object::<PersonKeys>(data);
    object::<InstanceKeys>(data);
    object::<OneInstanceEndpoint>(data);
    object::<Channel>(data);
    object::<Group>(data);
    object::<Contact>(data);
    signed::<ChannelEntry>(data);
    signed::<TrustKeysCertificate>(data);
    signed::<Versioned<Profile>>(data);
    signed::<Versioned<OneInstanceEndpoint>>(data);
    signed::<Versioned<GroupMembers>>(data);
    signed::<Versioned<Access>>(data);
    if let Ok(public) = cbor::decode::<PublicIdentity>(data) {
        let _ = public.verify(WallTime(0));
        assert_eq!(cbor::encode(&public).unwrap(), data);
    }
    let bytes = Bytes::copy_from_slice(data);
    if let Ok(cert) = InstanceCert::from_bytes(bytes.clone()) {
        assert_eq!(cert.bytes(), &bytes);
        assert_eq!(
            InstanceCert::assemble(cert.body().clone(), *cert.signatures().0, *cert.signatures().1)
                .unwrap()
                .bytes(),
            &bytes
        );
    }
    let me = &*seeds::ME;
    let mut log = PersonLog::new(me.person_id(), me.public().person_keys.sign_key);
    log.append(me.public().cert.bytes()).unwrap();
    let before = log.clone();
    if log.append(&bytes).is_err() {
        assert_eq!(log, before, "what is refused changes nothing");
    }
    let _ = LocalIdentity::danger_import(data);
}

fn object<T: Object>(data: &[u8]) {
    if let Ok(object) = T::from_bytes(data) {
        assert_eq!(object.to_bytes().unwrap(), data);
    }
}

fn signed<T: Signable>(data: &[u8]) {
    if let Ok(object) = Signed::<T>::from_bytes(Bytes::copy_from_slice(data)) {
        assert_eq!(object.bytes(), data);
        let _ = object.verify(seeds::ME.public());
    }
}
