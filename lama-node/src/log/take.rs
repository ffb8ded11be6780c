//! What a longer log changes here: who is let in, whose session ends, which key is dialled.

use alloc::vec::Vec;

use bytes::Bytes;
use lama_identity::{
    ContactInstance, IdentityError, InstanceCert, InstanceId, Keys, LogChain, LogHead, NoisePublic, PersonId,
};
use lama_store::{Reply, StoreError, Write};

use super::entry_writes;
use crate::api::{EndReason, Event, LinkId};
use crate::hub::{Effect, Known, Timer};
use crate::node::Node;

impl Node {
    /// A contact's log, verified from its first entry or from what was known: everything it says is in effect when this
    /// returns, and durable when the store answers.
    pub(super) fn take_log(&mut self, id: LinkId, person: PersonId, chain: LogChain) {
        let wall = self.clock.latest().wall.0;
        let Some(known) = self.book.person(&person) else { return };
        // The head in the contact was signed by the pinned key: a log that does not pass through it is another one.
        if let Err(error) = chain.check_head(known.contact.log_head) {
            return self.log_refused(id, &error);
        }
        let pinned = known.contact.pin();
        if !chain.log().keys().iter().any(|(_, key)| key.pin() == pinned) {
            return self.log_refused(id, &IdentityError::LogFork { seq: chain.head().seq });
        }
        let mut known: Known = known.clone();
        known.contact.follow(chain.log());
        let now = known.contact.pin();
        let before = self.logs.of(&person).map_or(0, |chain| chain.head().seq);
        let head = chain.head();
        let mut writes = entry_writes(&person, &chain, before);
        known.contact.log_head = head;
        let gone = self.newly_gone(&chain);
        writes.extend(gone.iter().map(|noise| self.logs.bury(noise, person)));
        let mut moved = Vec::new();
        for instance in &mut known.contact.instances {
            if follow(instance, &chain, wall) {
                moved.push(instance.keys.owner);
            }
        }
        if !self.activating.contains(&person) {
            writes.push(Write::Contact(known.contact.clone()));
        }
        self.logs.put(person, chain);
        self.book.put(known);
        if now != pinned {
            self.event(Event::PersonRotated { person, before: pinned, now });
        }
        self.end_gone(person, &gone);
        for instance in moved {
            self.has_moved(instance);
        }
        self.commit(writes, Effect::LogTaken { link: id, head });
        // His other instances hear of it, too: they do not connect to each other.
        self.spread();
    }

    /// Keys that a log revokes and that were not known to be revoked.
    fn newly_gone(&self, chain: &LogChain) -> Vec<NoisePublic> {
        let all_of_them = chain.log().key().is_none();
        let revoked = |entry: &&lama_identity::Certified| all_of_them || entry.revoked.is_some();
        let mut gone: Vec<NoisePublic> =
            chain.log().certified().iter().filter(revoked).map(|entry| entry.noise).collect();
        gone.retain(|noise| !self.logs.is_gone(noise));
        gone.dedup();
        gone
    }

    /// Sessions and handshakes with these keys end now, and nothing is dialled for them.
    fn end_gone(&mut self, person: PersonId, gone: &[NoisePublic]) {
        for noise in gone {
            for link in self.links_of(noise) {
                self.log_refused(link, &IdentityError::Revoked);
            }
            if let Some(instance) = self.replaced_at(person, noise) {
                self.dial_by_new_key(instance);
            } else {
                self.event(Event::InstanceRevoked { person, noise: *noise });
            }
        }
        let Some(known) = self.book.person(&person) else { return };
        let dead: Vec<_> = known
            .contact
            .instances
            .iter()
            .filter(|instance| instance.revoked.is_some())
            .map(|instance| instance.keys.owner)
            .collect();
        for instance in dead {
            if let Some(peer) = self.peers.get_mut(&instance) {
                peer.again = None;
                self.timers.set(Timer::Peer(instance), None);
            }
        }
    }

    /// The living instance whose key this was before it got another one.
    fn replaced_at(&self, person: PersonId, noise: &NoisePublic) -> Option<InstanceId> {
        let mut of_key = self.logs.of(&person)?.log().certified().iter();
        let instance = of_key.find(|entry| entry.noise == *noise)?.instance_id;
        let known = self.book.person(&person)?.contact.instance(&instance)?;
        (known.revoked.is_none() && known.keys.encryption_key != *noise).then_some(instance)
    }

    /// An instance of a contact has other keys.
    fn has_moved(&mut self, instance: InstanceId) {
        if let Some(peer) = self.instance_info(&instance) {
            self.event(Event::InstanceRotated { peer });
        }
        self.dial_by_new_key(instance);
    }

    /// What failed before failed by the old key.
    fn dial_by_new_key(&mut self, instance: InstanceId) {
        let Some(peer) = self.peers.get_mut(&instance) else { return };
        peer.failures = 0;
        if peer.session.is_none() && peer.dialling.is_none() {
            self.dial_later(instance, core::time::Duration::ZERO);
        }
    }

    /// It is durable.
    pub(crate) fn log_stored(
        &mut self,
        id: LinkId,
        head: LogHead,
        result: Option<Result<Reply, StoreError>>,
    ) {
        match result {
            Some(Err(error)) => self.store_ends(id, error),
            _ => self.log_taken(id, head),
        }
    }

    /// Entries of our own log, which another instance of our person has made and a contact hands on.
    pub(super) fn own_tail(&mut self, id: LinkId, entries: &[Bytes]) {
        let me = self.me();
        let Some(mut chain) = self.logs.of(&me).cloned() else { return };
        let before = chain.head();
        if let Err(error) = chain.extend(entries) {
            if matches!(error, IdentityError::LogFork { .. }) {
                self.event(Event::LogAlarm { person: me, code: error.code() });
            }
            return self.log_refused(id, &error);
        }
        let seq = chain.head().seq;
        if let Some(live) = self.links.get_mut(&id).and_then(|link| link.live_mut()) {
            live.log.known_there(seq);
        }
        if chain.head() == before {
            return;
        }
        let writes = entry_writes(&me, &chain, before.seq);
        self.own_log(chain);
        self.commit(writes, Effect::Quiet { doing: "keeping our own log" });
        self.event(Event::OwnLogGrown { seq });
        self.end_if_revoked();
        self.spread();
    }

    /// If our own person has revoked this instance, it has nothing more to say to anybody.
    pub(crate) fn end_if_revoked(&mut self) {
        if !self.am_revoked() {
            return;
        }
        self.event(Event::RevokedHere);
        let links: Vec<LinkId> = self.links.keys().copied().collect();
        for link in links {
            self.end_session(link, None, EndReason::Revoked);
            self.refuse(link, crate::api::RefuseReason::Revoked { person: self.me() });
        }
    }

    /// Forgets a contact's log; the keys that it revoked stay revoked.
    pub(crate) fn forget_log(&mut self, person: &PersonId) -> Vec<Write> {
        self.logs.forget(person)
    }
}

/// What a log says of a known instance: another key of its own (then `true`), or its end.
fn follow(instance: &mut ContactInstance, chain: &LogChain, wall: u64) -> bool {
    let id = instance.keys.owner;
    let mut of_it = chain.log().certified().iter().filter(|entry| entry.instance_id == id);
    let living = of_it.rfind(|entry| entry.revoked.is_none()).copied();
    match living.filter(|_| chain.log().key().is_some()) {
        None if chain.is_revoked(&instance.keys.encryption_key) || chain.log().key().is_none() => {
            instance.revoked.get_or_insert(wall);
            false
        }
        Some(entry) if entry.noise != instance.keys.encryption_key => {
            let at = usize::try_from(entry.seq.saturating_sub(1)).unwrap_or(usize::MAX);
            let bytes = chain.entries().get(at).cloned();
            let Some(Ok(cert)) = bytes.map(InstanceCert::from_bytes) else { return false };
            // It may have had more than one meanwhile.
            let before = chain.log().certified().iter().filter(|other| other.instance_id == id);
            for other in before.filter(|other| other.seq < entry.seq) {
                if other.sign != entry.sign && !instance.former.contains(&other.sign) {
                    instance.former.push(other.sign);
                }
            }
            instance.rekey(cert, Keys::new(id, entry.sign, entry.noise));
            instance.revoked = None;
            true
        }
        Some(entry) if entry.seq > instance.cert.body().seq => {
            // The same keys, under another key of the person.
            let at = usize::try_from(entry.seq.saturating_sub(1)).unwrap_or(usize::MAX);
            let bytes = chain.entries().get(at).cloned();
            if let Some(Ok(cert)) = bytes.map(InstanceCert::from_bytes) {
                instance.cert = cert;
            }
            false
        }
        _ => false,
    }
}
