//! What our own person writes into the log: certificates for further instances, and revocations.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;

use bytes::Bytes;
use lama_core::Ticket;
use lama_identity::{
    CertBody, Certified, Enrolment, IdentityError, InstanceOffer, InstanceRequest, LogChain, NoisePublic,
    Object as _, Revocation, Signature, revoke_instance,
};
use lama_store::{Reply as StoreReply, StoreError, Write};

use super::{NAMES, entry_writes};
use crate::NodeError;
use crate::api::{Event, OwnInstance, OwnInstances, Reply, WhichKey};
use crate::hub::{Effect, setting};
use crate::node::Node;

/// Why a key is revoked in whose place another one came.
const REPLACED: &str = "replaced by new keys";

/// An entry on its way into the log.
#[derive(Debug)]
pub(crate) enum Issuing {
    /// A certificate for an instance that asked by file.
    Certify { reply: Ticket, request: Box<InstanceRequest>, body: Box<CertBody> },
    /// A revocation; nobody asked for that of a key that was replaced.
    Revoke { reply: Option<Ticket>, revocation: Box<Revocation> },
    /// Another signing key of our person, signed by the host.
    RotatePerson { reply: Ticket },
}

impl Issuing {
    const fn reply(&self) -> Option<Ticket> {
        match self {
            Self::Certify { reply, .. } | Self::RotatePerson { reply } => Some(*reply),
            Self::Revoke { reply, .. } => *reply,
        }
    }

    fn assemble(&self, signature: Signature) -> Result<Bytes, IdentityError> {
        match self {
            Self::Certify { request, body, .. } => {
                Ok(request.certificate(CertBody::clone(body), signature)?.bytes().clone())
            }
            Self::Revoke { revocation, .. } => revocation.assemble(signature),
            Self::RotatePerson { .. } => Err(IdentityError::PersonKeyAbsent),
        }
    }
}

impl Node {
    pub(super) fn own_chain(&self) -> Result<&LogChain, NodeError> {
        self.logs.of(&self.me()).ok_or(NodeError::Identity(IdentityError::NotCertified))
    }

    /// [`crate::Command::OfferInstance`].
    pub(crate) fn offer_instance(&mut self, reply: Ticket) -> Result<(), NodeError> {
        let offer = InstanceOffer::new(&self.identity.public, self.own_chain()?.head());
        let bytes = offer.to_bytes()?;
        self.reply(reply, Ok(Reply::File(bytes)));
        Ok(())
    }

    /// [`crate::Command::CertifyInstance`]. A request that was granted before is granted again, without another entry.
    pub(crate) fn certify_instance(
        &mut self,
        reply: Ticket,
        request: &Bytes,
        replace: bool,
    ) -> Result<(), NodeError> {
        let request = InstanceRequest::from_bytes(request)?;
        let chain = self.own_chain()?;
        if chain.log().check_instance(&request.keys().encryption_key).is_ok() {
            let bytes = Enrolment::new(&self.identity.public, chain, self.to_hand_on()).to_bytes()?;
            self.reply(reply, Ok(Reply::File(bytes)));
            return Ok(());
        }
        let same = |entry: &&Certified| entry.instance_id == request.keys().owner && entry.revoked.is_none();
        if !replace && chain.log().certified().iter().any(|entry| same(&entry)) {
            return Err(NodeError::InstanceNameTaken { name: request.instance().name.clone() });
        }
        let body = request.check(&self.identity.public, chain)?;
        let input = body.person_input()?;
        let (request, body) = (Box::new(request), Box::new(body));
        self.issue(Issuing::Certify { reply, request, body }, input)
    }

    /// Active contacts: a new instance of our person may dial them.
    fn to_hand_on(&self) -> Vec<lama_identity::Contact> {
        self.book.iter().filter(|known| known.is_active()).map(|known| known.contact.clone()).collect()
    }

    /// [`crate::Command::RevokeInstance`].
    pub(crate) fn revoke_an_instance(
        &mut self,
        reply: Option<Ticket>,
        noise: &NoisePublic,
        reason: String,
    ) -> Result<(), NodeError> {
        if noise == self.identity.public.noise() {
            return Err(NodeError::OwnInstance);
        }
        let revocation = match revoke_instance(&self.identity.public, self.own_chain()?, noise, reason) {
            Err(IdentityError::NotCertified) => return Err(NodeError::NoSuchInstance),
            other => other?,
        };
        let input = revocation.input()?;
        self.issue(Issuing::Revoke { reply, revocation: Box::new(revocation) }, input)
    }

    /// One entry at a time: the next one has to name the hash of this one.
    fn issue(&mut self, issuing: Issuing, input: Vec<u8>) -> Result<(), NodeError> {
        if core::mem::replace(&mut self.issuing, true) {
            return Err(NodeError::Busy { max: 1 });
        }
        self.sign(WhichKey::Person, input.into(), Effect::IssueSigned(Box::new(issuing)));
        Ok(())
    }

    /// The entry is signed: into the log with it.
    pub(crate) fn issue_signed(&mut self, issuing: Issuing, signature: Option<Signature>) {
        let signed = signature.ok_or(NodeError::KeyAbsent);
        let chain = signed.and_then(|signature| {
            let mut chain = self.own_chain()?.clone();
            chain.extend(&[issuing.assemble(signature)?])?;
            Ok(chain)
        });
        let chain = match chain {
            Ok(chain) => chain,
            Err(error) => return self.not_issued(&issuing, error),
        };
        let mut writes = entry_writes(&self.me(), &chain, chain.head().seq.saturating_sub(1));
        if let Issuing::Certify { request, .. } = &issuing {
            let key = setting(NAMES, request.keys().owner.as_bytes());
            let value = lama_identity::cbor::encode(&request.instance().name).ok();
            writes.push(Write::Setting { key, value });
            self.names.insert(request.keys().owner, request.instance().name.clone());
        }
        self.commit(writes, Effect::EntryIssued { issuing: Box::new(issuing), chain: Box::new(chain) });
    }

    fn not_issued(&mut self, issuing: &Issuing, error: NodeError) {
        self.issuing = false;
        if let Some(reply) = issuing.reply() {
            self.reply(reply, Err(error));
        }
    }

    /// The entry is durable: every session gets it, and every contact that comes.
    pub(crate) fn entry_issued(
        &mut self,
        issuing: &Issuing,
        chain: LogChain,
        result: Option<Result<StoreReply, StoreError>>,
    ) {
        if let Some(Err(error)) = result {
            return self.not_issued(issuing, NodeError::Store(error));
        }
        self.issuing = false;
        let seq = chain.head().seq;
        let enrolment = Enrolment::new(&self.identity.public, &chain, self.to_hand_on()).to_bytes();
        self.own_log(chain);
        self.event(Event::OwnLogGrown { seq });
        self.spread();
        let answer = match issuing {
            Issuing::Certify { .. } | Issuing::RotatePerson { .. } => {
                enrolment.map(Reply::File).map_err(NodeError::Identity)
            }
            Issuing::Revoke { .. } => Ok(Reply::Done),
        };
        match issuing.reply() {
            Some(reply) => self.reply(reply, answer),
            None => self.revoke_replaced(),
        }
    }

    /// A key that this instance had before its present one and that the log still certifies.
    pub(super) fn replaced_key(&self) -> Option<NoisePublic> {
        let own = self.identity.public.cert.body();
        let older = |entry: &&Certified| {
            let same = entry.instance_id == own.instance_id && entry.revoked.is_none();
            same && entry.seq < own.seq && entry.noise != *self.identity.public.noise()
        };
        self.own_chain().ok()?.log().certified().iter().find(older).map(|entry| entry.noise)
    }

    /// After a rotation of this instance's keys the old ones are still certified: whoever has a copy of them is shut out
    /// as soon as the new ones are in use, however often the rotation was interrupted.
    pub(crate) fn revoke_replaced(&mut self) {
        if let Some(noise) = self.replaced_key() {
            // Where the person's key is not on this device the old key stays certified until one that has it is asked.
            let _ = self.revoke_an_instance(None, &noise, REPLACED.into());
        }
    }

    /// [`crate::Command::Instances`].
    pub(crate) fn own_instances(&self) -> Result<Reply, NodeError> {
        let chain = self.own_chain()?;
        let me = &self.identity.public;
        let certified = chain.log().certified();
        // Under another key of the person the same keys are certified once more.
        let newest = |entry: &&Certified| {
            !certified.iter().any(|other| other.noise == entry.noise && other.seq > entry.seq)
        };
        let instances = certified.iter().filter(newest).map(|entry| OwnInstance {
            instance: entry.instance_id,
            name: self.name_of(&entry.instance_id),
            noise: entry.noise,
            certified: entry.seq,
            revoked: entry.revoked,
            is_this: entry.noise == *me.noise(),
        });
        let instances = instances.collect();
        Ok(Reply::Instances(Box::new(OwnInstances {
            head: chain.head(),
            instances,
            reached: self.reached(),
        })))
    }

    fn name_of(&self, instance: &lama_identity::InstanceId) -> Option<String> {
        if *instance == self.identity.public.instance_id() {
            return Some(self.identity.public.instance.name.clone());
        }
        self.names.get(instance).cloned()
    }

    /// How far our log has come, for each living instance of each contact.
    fn reached(&self) -> Vec<crate::api::Reached> {
        let rows = self.peers.iter().filter_map(|(instance, peer)| {
            let known = self.book.person(&peer.person).filter(|known| known.is_active())?;
            known.contact.instance(instance).filter(|instance| instance.revoked.is_none())?;
            Some(crate::api::Reached {
                peer: self.instance_info(instance)?,
                has: peer.has,
                seen: peer.seen,
                connected: peer.session.is_some(),
            })
        });
        rows.collect()
    }
}
