//! A further instance of a person, enrolled by file, and what else a person's key writes into the log.
//!
//! ```text
//! a device with the person's key                     the new instance
//! InstanceOffer   who the person is, log head  --->
//!                                              <---  InstanceRequest  its keys, its back-signature
//! Enrolment       the log, with the certificate --->
//! ```
//!
//! None of the three is secret. The offer comes first because the back-signature covers the certificate's place in the
//! log and the key that certifies: nobody can move it to another person or to another place.

use alloc::string::String;
use alloc::vec::Vec;

use bytes::Bytes;
use lama_core::WallTime;
use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;

use crate::cert::{CERT_BACK_LABEL, CertBody};
use crate::chain::LogChain;
use crate::log::{LogHead, MAX_REASON, Revocation, Revoked, Rotation};
use crate::object::{Object, TypeName, TypeTag};
use crate::{
    Cid, Contact, IdentityError, Instance, InstanceCert, InstanceKeys, Keys, LocalIdentity, NoisePublic,
    NoiseSecret, Person, PersonKeys, PublicIdentity, SignSecret, Signature, cbor,
};

/// What a new instance has to know of its person before it can ask to be certified.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InstanceOffer {
    /// The end of the log: the certificate will stand behind it.
    pub head: LogHead,
    /// `InstanceOffer`.
    #[serde(rename = "$type$")]
    pub type_tag: TypeTag<Self>,
    /// The person.
    pub person: Person,
    /// The person's keys.
    #[serde(rename = "personKeys")]
    pub person_keys: PersonKeys,
}

impl TypeName for InstanceOffer {
    const TYPE: &'static str = "InstanceOffer";
}

impl Object for InstanceOffer {
    const LIMIT: usize = cbor::MAX_IDENTITY;

    fn validate(&self) -> Result<(), IdentityError> {
        self.person.validate()?;
        if self.person.id() == self.person_keys.owner {
            Ok(())
        } else {
            Err(IdentityError::Mismatch { field: "personKeys" })
        }
    }
}

impl InstanceOffer {
    /// An offer of the person whose log this is.
    #[must_use]
    pub fn new(identity: &PublicIdentity, head: LogHead) -> Self {
        let (person, person_keys) = (identity.person.clone(), identity.person_keys);
        Self { head, type_tag: TypeTag::default(), person, person_keys }
    }
}

/// "Certify me": the new instance's keys, and the certificate as it will be, signed by the instance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InstanceRequest {
    /// [`CertBody::to_bytes`].
    tbs: ByteBuf,
    /// The instance's keys.
    keys: InstanceKeys,
    #[serde(rename = "$type$")]
    type_tag: TypeTag<Self>,
    #[serde(rename = "backSig")]
    back_sig: Signature,
    /// Its name and owner.
    instance: Instance,
}

impl TypeName for InstanceRequest {
    const TYPE: &'static str = "InstanceRequest";
}

impl Object for InstanceRequest {
    const LIMIT: usize = cbor::MAX_IDENTITY;

    fn validate(&self) -> Result<(), IdentityError> {
        self.instance.validate()
    }
}

impl InstanceRequest {
    /// A request by the holder of these secrets, on an offer.
    ///
    /// # Errors
    /// [`IdentityError::Field`], [`IdentityError::TooLong`] for a bad name.
    pub fn new(
        offer: &InstanceOffer,
        name: &str,
        noise: &NoiseSecret,
        sign: &SignSecret,
        at: WallTime,
    ) -> Result<Self, IdentityError> {
        let instance = Instance::new(name, offer.person_keys.owner)?;
        let keys = Keys::new(instance.id(), *sign.public(), *noise.public());
        let body = CertBody::new(&offer.person_keys, &keys, offer.head, at.unix_seconds());
        let back_sig = sign.sign_input(&body.instance_input()?);
        Ok(Self { tbs: body.to_bytes()?.into(), keys, type_tag: TypeTag::default(), back_sig, instance })
    }

    /// The name and owner that are asked for.
    #[must_use]
    pub const fn instance(&self) -> &Instance {
        &self.instance
    }

    /// The keys that are to be certified.
    #[must_use]
    pub const fn keys(&self) -> &InstanceKeys {
        &self.keys
    }

    /// Checks a request against the log of the person `me` and gives the certificate's body, whose
    /// [`CertBody::person_input`] the person's key then signs.
    ///
    /// # Errors
    /// [`IdentityError::Mismatch`] for another person, key or owner, and for a name that another, living instance of
    /// the person has; [`IdentityError::LogFork`] if the log has grown since the offer; [`IdentityError::BadSignature`];
    /// [`IdentityError::Revoked`] for a key that was revoked once.
    pub fn check(&self, me: &PublicIdentity, chain: &LogChain) -> Result<CertBody, IdentityError> {
        let body = CertBody::from_bytes(&self.tbs)?;
        let expected = CertBody {
            not_before: body.not_before,
            ..CertBody::new(&me.person_keys, &self.keys, chain.head(), body.not_before)
        };
        let checks = [
            ("person_id", body.person_id == me.person_id()),
            ("owner", self.instance.owner == me.person_id()),
            ("instance_id", self.instance.id() == self.keys.owner),
            ("person_sign_key", body.person_sign_key == expected.person_sign_key),
        ];
        if let Some((field, _)) = checks.into_iter().find(|(_, holds)| !holds) {
            return Err(IdentityError::Mismatch { field });
        }
        if (body.seq, body.prev_hash) != (expected.seq, expected.prev_hash) {
            return Err(IdentityError::LogFork { seq: body.seq });
        }
        if body != expected {
            return Err(IdentityError::Mismatch { field: "tbs" });
        }
        self.keys.sign_key.verify(CERT_BACK_LABEL, &self.tbs, &self.back_sig)?;
        if chain.is_revoked(&self.keys.encryption_key) {
            return Err(IdentityError::Revoked);
        }
        Ok(body)
    }

    /// The certificate, from the person's signature over a checked body.
    ///
    /// # Errors
    /// [`IdentityError::Encoding`]; none in practice.
    pub fn certificate(&self, body: CertBody, signature: Signature) -> Result<InstanceCert, IdentityError> {
        InstanceCert::assemble(body, signature, self.back_sig)
    }
}

/// What the new instance gets back: the whole log, its certificate among the entries.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Enrolment {
    /// `Enrolment`.
    #[serde(rename = "$type$")]
    pub type_tag: TypeTag<Self>,
    /// The person.
    pub person: Person,
    /// Every entry, exact bytes.
    pub entries: Vec<ByteBuf>,
    /// The person's contacts with their pinned keys: whom the new instance may dial. Private, though not secret.
    pub contacts: Vec<Contact>,
    /// The person's keys.
    #[serde(rename = "personKeys")]
    pub person_keys: PersonKeys,
}

impl TypeName for Enrolment {
    const TYPE: &'static str = "Enrolment";
}

impl Object for Enrolment {
    fn validate(&self) -> Result<(), IdentityError> {
        self.contacts.iter().try_for_each(Object::validate)
    }
}

impl Enrolment {
    /// The answer to a request, once its certificate is in the log.
    #[must_use]
    pub fn new(me: &PublicIdentity, chain: &LogChain, contacts: Vec<Contact>) -> Self {
        let entries = chain.entries().iter().map(|bytes| ByteBuf::from(bytes.to_vec())).collect();
        let (person, person_keys) = (me.person.clone(), me.person_keys);
        Self { type_tag: TypeTag::default(), person, entries, contacts, person_keys }
    }

    /// The log, verified from its first entry on.
    ///
    /// # Errors
    /// As [`LogChain::verify`].
    pub fn log(&self) -> Result<LogChain, IdentityError> {
        let entries: Vec<Bytes> = self.entries.iter().map(|bytes| bytes.to_vec().into()).collect();
        LogChain::verify(self.person_keys.owner, &entries)
    }

    /// What the instance that asked shows of itself from now on, and its person's log.
    ///
    /// # Errors
    /// [`IdentityError::Mismatch`] for another person than the one who offered, or another instance;
    /// [`IdentityError::NotCertified`], [`IdentityError::Revoked`]; and what verifying the log finds.
    pub fn accept(
        &self,
        offer: &InstanceOffer,
        request: &InstanceRequest,
    ) -> Result<(PublicIdentity, LogChain), IdentityError> {
        if self.person != offer.person || self.person_keys != offer.person_keys {
            return Err(IdentityError::Mismatch { field: "personKeys" });
        }
        let chain = self.log()?;
        if !chain.is_pinned_by(offer.head, &self.person_keys.sign_key) {
            return Err(IdentityError::LogFork { seq: offer.head.seq });
        }
        let noise = &request.keys.encryption_key;
        let certified = chain.log().check_instance(noise)?.seq;
        let at = usize::try_from(certified.saturating_sub(1)).unwrap_or(usize::MAX);
        let bytes = chain.entries().get(at).ok_or(IdentityError::NotCertified)?;
        let cert = InstanceCert::from_bytes(bytes.clone())?;
        cert.verify(&self.person_keys, &request.keys)?;
        let public = PublicIdentity {
            cert,
            person: self.person.clone(),
            instance: request.instance.clone(),
            log_head: chain.head(),
            person_keys: self.person_keys,
            instance_keys: request.keys,
        };
        Ok((public, chain))
    }
}

/// The revocation of an instance's key as the next entry of a log. The person's key signs [`Revocation::input`].
///
/// # Errors
/// [`IdentityError::NotCertified`] for a key that the log does not know, [`IdentityError::Revoked`] for one that is
/// revoked already, and after the person's own key was; [`IdentityError::TooLong`] for the reason.
pub fn revoke_instance(
    me: &PublicIdentity,
    chain: &LogChain,
    noise: &NoisePublic,
    reason: String,
) -> Result<Revocation, IdentityError> {
    if reason.len() > MAX_REASON {
        return Err(IdentityError::TooLong { field: "reason", limit: MAX_REASON });
    }
    chain.log().check_instance(noise)?;
    let signer = *chain.log().key().ok_or(IdentityError::Revoked)?;
    let head = chain.head();
    Ok(Revocation {
        person_id: me.person_id(),
        signer,
        revoked: Revoked::Instance(*noise),
        reason,
        seq: head.seq.saturating_add(1),
        prev_hash: head.hash,
    })
}

/// The two entries by which a person gets another signing key: the rotation, signed by the old key and the new one, and a
/// certificate of the present instance under the new one. Certificates of the person's other instances keep standing.
///
/// # Errors
/// [`IdentityError::PersonKeyAbsent`] on a device without the person's key.
pub fn rotate_person(
    me: &LocalIdentity,
    head: LogHead,
    new: &SignSecret,
    at: WallTime,
) -> Result<Vec<Bytes>, IdentityError> {
    let (public, old) = (me.public(), &me.person()?.sign);
    let rotation = Rotation {
        person_id: me.person_id(),
        old_key: *old.public(),
        new_key: *new.public(),
        seq: head.seq.saturating_add(1),
        prev_hash: head.hash,
    };
    let input = rotation.input()?;
    let entry = rotation.assemble(old.sign_input(&input), new.sign_input(&input))?;
    let head = LogHead { seq: rotation.seq, hash: *Cid::of_object(&entry).digest() };
    let keys = Keys::new(me.person_id(), *new.public(), public.person_keys.encryption_key);
    let body = CertBody::new(&keys, &public.instance_keys, head, at.unix_seconds());
    let (sig, back) = (new.sign_input(&body.person_input()?), me.sign().sign_input(&body.instance_input()?));
    Ok(alloc::vec![entry, InstanceCert::assemble(body, sig, back)?.bytes().clone()])
}
