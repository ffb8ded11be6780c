//! The inviter's side: the gate, and the one durable step before its Auth (`security.md` 5).

use alloc::boxed::Box;
use alloc::vec::Vec;

use lama_handshake::{RejectCode, ResponderVerified};
use lama_identity::{
    Contact, PublicIdentity, Signature, Signed, TrustKeysCertificate, TrustOrigin, Unsigned,
};
use lama_invite::{Admission, InviteError, Outcome, Policy, Settled, Step};
use lama_store::{Reply, StoreError, TrustRecord, Write};

use crate::api::{LinkId, RefuseReason, WhichKey};
use crate::hub::{Effect, Known, NOTES, Note, setting};
use crate::node::Node;
use crate::session::Stage;

impl Node {
    /// A joiner is verified. A new contact needs a trust certificate first; then the token is spent.
    pub(crate) fn admit(&mut self, id: LinkId, verified: ResponderVerified) {
        let identity = verified.peer().identity.clone();
        let known = self.book.person(&identity.person_id()).is_some();
        if !known && self.book.pending() >= self.config.max_pending {
            return self.refuse_told(id, verified, RejectCode::Busy, RefuseReason::TooMany);
        }
        self.stage(id, Stage::Admitting(Box::new(verified)));
        if known {
            self.spend(id, None);
        } else {
            self.certify(id, &identity);
        }
    }

    /// Has a trust certificate for a person signed; goes on in `trust_signed`.
    pub(crate) fn certify(&mut self, id: LinkId, peer: &PublicIdentity) {
        let at = self.clock.latest().wall;
        let own = &self.identity.public.person_keys;
        let unsigned = TrustKeysCertificate::new(own, &peer.person_keys, TrustOrigin::Token, at)
            .and_then(Unsigned::new)
            .and_then(|unsigned| Ok((unsigned.input()?, unsigned)));
        match unsigned {
            Ok((bytes, unsigned)) => {
                self.sign(WhichKey::Person, bytes, Effect::Trust { link: id, unsigned: Box::new(unsigned) });
            }
            Err(error) => self.refuse_with(id, error.code(), &error),
        }
    }

    /// The trust certificate is signed: on with the durable step of either side.
    pub(crate) fn trust_signed(
        &mut self,
        id: LinkId,
        unsigned: Unsigned<TrustKeysCertificate>,
        signature: Option<Signature>,
    ) {
        let Some(link) = self.links.get(&id) else { return };
        let inviter = match &link.stage {
            Stage::Admitting(_) => true,
            Stage::Verified(_) => false,
            _ => return,
        };
        let Some(signature) = signature else {
            return self.refuse(id, RefuseReason::NotSigned);
        };
        match unsigned.attach(signature) {
            Ok(signed) => {
                let trust = trust_record(&signed);
                if inviter { self.spend(id, Some(trust)) } else { self.store_pending(id, trust) }
            }
            Err(error) => self.refuse_with(id, error.code(), &error),
        }
    }

    /// The compare-and-set that spends the token, with the pending contact and the trust record in one commit.
    fn spend(&mut self, id: LinkId, trust: Option<TrustRecord>) {
        let now = self.clock.latest();
        let Some(link) = self.links.get(&id) else { return };
        let (Stage::Admitting(verified), Some(locator)) = (&link.stage, link.locator) else { return };
        let (peer, h) = (verified.peer(), *verified.handshake_hash());
        let identity = peer.identity.clone();
        let url = peer.endpoint.url.clone();
        let person = identity.person_id();
        let confirm = self.ledger.record(&locator).is_some_and(|record| record.policy == Policy::Confirm);
        match self.ledger.consume(now, &locator, *identity.noise(), person, h) {
            Err(error) => self.refuse(id, RefuseReason::Token(error)),
            // The same joiner comes again. If the contact is gone it was removed here: the token is spent.
            Ok(Admission::Retry { .. }) => match self.book.person(&person) {
                Some(_) => self.admitted_on(id),
                None => self.refuse(id, RefuseReason::Token(InviteError::Spent)),
            },
            Ok(Admission::Store(change)) => {
                let mut writes = token_writes(change.step);
                let note = Note { inviter: true, locator: Some(locator), confirm, ready: false, code: None };
                let known = match (self.book.person(&person), trust) {
                    (Some(known), _) if known.is_active() => None,
                    // He had begun with another invitation of ours.
                    (Some(known), _) => Some(Box::new(Known { note, ..known.clone() })),
                    (None, trust) => {
                        let mut contact = Contact::pending(&identity, TrustOrigin::Token, now.wall);
                        contact.learn_url(&identity.instance_id(), &url);
                        writes.extend(trust.map(Write::Trust));
                        Some(Box::new(Known { contact, note }))
                    }
                };
                if let Some(known) = &known {
                    writes.extend(known_writes(known));
                }
                writes.extend(self.forgive(identity.noise()));
                self.commit(writes, Effect::Admitted { link: id, change: change.ticket, known });
            }
        }
    }

    /// The durable step is done, or not.
    pub(crate) fn admitted(
        &mut self,
        id: LinkId,
        change: lama_core::Ticket,
        known: Option<Box<Known>>,
        result: Option<Result<Reply, StoreError>>,
    ) {
        let now = self.clock.latest();
        let outcome = outcome(&result);
        let settled = self.ledger.settle(now, change, outcome);
        if outcome == Outcome::Stored
            && let Some(known) = known
        {
            let instances: Vec<_> = known.contact.instances.iter().map(|i| i.keys.owner).collect();
            let person = known.contact.id();
            self.book.put(*known);
            for instance in instances {
                self.peer(person, instance);
            }
        }
        match settled {
            Settled::Done | Settled::Yours { .. } => self.admitted_on(id),
            Settled::Lost(error) => self.refuse(id, RefuseReason::Token(error)),
            Settled::Again(_) | Settled::NotMine => self.refuse(id, RefuseReason::Ended),
        }
    }

    /// Everything is durable: our Auth.
    fn admitted_on(&mut self, id: LinkId) {
        let Some(link) = self.links.get_mut(&id) else { return };
        match link.take() {
            Stage::Admitting(verified) if self.book.person(&verified.peer().person().id).is_some() => {
                self.introduce_responder(id, *verified);
            }
            Stage::Admitting(_) => self.refuse(id, RefuseReason::Ended),
            other => link.stage = other,
        }
    }
}

/// How a certificate is kept: one for each key of a person, so that an approval replaces what the token said.
pub(crate) fn trust_record(signed: &Signed<TrustKeysCertificate>) -> TrustRecord {
    let certificate = signed.value();
    let slot = certificate.pin.0.first_chunk().copied().unwrap_or_default();
    TrustRecord { person: certificate.subject, slot, body: signed.bytes().clone() }
}

/// What a change of the ledger writes.
pub(crate) fn token_writes(step: Step) -> Vec<Write> {
    match step {
        Step::Put { record, expect } => alloc::vec![Write::Token { record, expect }],
        Step::Forget { locator } => alloc::vec![Write::ForgetToken(locator)],
    }
}

/// What the store keeps of a contact and its note.
pub(crate) fn known_writes(known: &Known) -> [Write; 2] {
    let key = setting(NOTES, &known.contact.id().0);
    [Write::Contact(known.contact.clone()), Write::Setting { key, value: Some(known.note.to_bytes()) }]
}

/// What the store said, as the ledger wants to hear it.
pub(crate) fn outcome(result: &Option<Result<Reply, StoreError>>) -> Outcome {
    match result {
        Some(Ok(Reply::Committed(_))) => Outcome::Stored,
        Some(Ok(Reply::Conflict(_))) => Outcome::Conflict,
        _ => Outcome::Failed,
    }
}
