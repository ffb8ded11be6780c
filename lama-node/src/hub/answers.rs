//! The store's answers, each to whoever waits for it; and what a commit did besides.

use alloc::vec::Vec;

use lama_core::Ticket;
use lama_identity::{InstanceId, Object as _, OneInstanceEndpoint, PersonId, Versioned, cbor};
use lama_invite::{Event as LedgerEvent, Output as LedgerOutput};
use lama_store::{Committed, Effect as Stored, Reply, StoreError, Write};

use super::load::WALL;
use super::{Effect, Known, Timer};
use crate::api::{Event, LinkId};
use crate::node::Node;
use crate::pairing::{outcome, token_writes};

const fn committed(reply: &Reply) -> Option<&Committed> {
    match reply {
        Reply::Committed(committed) => Some(committed),
        _ => None,
    }
}

impl Node {
    /// An answer of the store.
    pub(crate) fn stored(&mut self, effect: Effect, mut results: Vec<Result<Reply, StoreError>>) {
        match effect {
            Effect::Load => self.loaded(results),
            Effect::Opened { link, pair } => self.opened(link, pair, results),
            Effect::Answer { reply, answer } => self.answered(reply, answer, results),
            effect => {
                let result = results.pop();
                self.stored_one(effect, result);
            }
        }
    }

    /// What a commit wrote can be seen, and is not durable yet: it is shown, and leaves for peers. Who waits for the
    /// commit itself waits on: nothing is acknowledged, and no command answered.
    pub(crate) fn staged(&mut self, ticket: Ticket, results: &[Result<Reply, StoreError>]) {
        let Some(effect) = self.effects.get(&ticket) else { return };
        let from = match effect {
            Effect::Chum { link, .. } => Some(*link),
            _ => None,
        };
        if !self.staged.insert(ticket) {
            return;
        }
        for committed in results.iter().filter_map(|result| committed(result.as_ref().ok()?)) {
            self.committed(committed, from);
        }
    }

    /// The final answer without what was dealt with when it was staged.
    pub(crate) fn beyond_staged(
        &mut self,
        ticket: Ticket,
        mut results: Vec<Result<Reply, StoreError>>,
    ) -> Vec<Result<Reply, StoreError>> {
        if self.staged.remove(&ticket) {
            for result in &mut results {
                if let Ok(Reply::Committed(committed)) = result {
                    committed.effects.clear();
                    committed.grown.clear();
                }
            }
        }
        results
    }

    fn stored_one(&mut self, effect: Effect, result: Option<Result<Reply, StoreError>>) {
        match effect {
            Effect::Prepared => self.prepared(result),
            Effect::Ledger { change } | Effect::Completed { change } => {
                let now = self.clock.latest();
                self.ledger.settle(now, change, outcome(&result));
                self.quiet("recording the state of an invitation", result);
            }
            Effect::Quiet { doing } => self.quiet(doing, result),
            Effect::Issued { reply, change, invitation } => self.issued(reply, change, invitation, &result),
            Effect::Revoked { reply, change, person, by_peer } => {
                self.revoked(reply, change, person.map(|person| (person, by_peer)), result);
            }
            Effect::Removed { reply, person, by_peer } => self.removed(reply, person, by_peer, result),
            Effect::Journal { locator } => self.journalled(locator, result),
            Effect::Admitted { link, change, known } => self.admitted(link, change, known, result),
            Effect::Pending { link, known } => self.pending_stored(link, known, result),
            Effect::Ready { link, known } => self.ready_stored(link, known, result),
            Effect::Activated { known, change, reply } => self.activated(known, change, reply, result),
            Effect::Head { link } => self.head_read(link, result),
            Effect::Chum { link, ticket } => self.chum_stored(link, ticket, result),
            Effect::EndpointStored { id, url } => self.endpoint_stored(id, url, result),
            Effect::PostHeads { channel } => self.post_heads(channel, result),
            Effect::Posted { channel } => self.posted(channel, result),
            Effect::LogTaken { link, head } => self.log_stored(link, head, result),
            Effect::EntryIssued { issuing, chain } => self.entry_issued(&issuing, *chain, result),
            Effect::Asked { connection } => self.debug_looked(connection, result),
            Effect::Shared { reply, wish } => self.shared(reply, *wish, result),
            // Answered above, or by a signature.
            _ => {}
        }
    }

    /// Nobody waits: only a failure is worth a word.
    fn quiet(&mut self, doing: &'static str, result: Option<Result<Reply, StoreError>>) {
        match result {
            Some(Ok(Reply::Committed(committed))) => self.committed(&committed, None),
            Some(Err(error)) => self.store_failed(doing, error),
            _ => {}
        }
    }

    /// What a commit did besides: views that have grown, and objects that took effect. `from`: the session that
    /// brought it.
    pub(crate) fn committed(&mut self, committed: &Committed, from: Option<LinkId>) {
        for effect in &committed.effects {
            match effect {
                Stored::ChannelEntry(row) => self.entry_came(row, from.is_some()),
                Stored::ChannelEntryChanged(row) => self.entry_changed(row, from.is_some()),
                Stored::Access(row) => self.access_came(row),
                Stored::Endpoint(row) => self.endpoint_came(row.person, row.instance, &row.object),
                _ => {}
            }
        }
        for person in &committed.grown {
            self.view_grown(person, from);
        }
    }

    /// A signed endpoint of an instance took effect.
    fn endpoint_came(&mut self, person: PersonId, instance: InstanceId, object: &[u8]) {
        if person == self.me() {
            return;
        }
        if let Ok(version) = Versioned::<OneInstanceEndpoint>::from_bytes(object) {
            self.learn_url(person, instance, &version.data.url);
        }
    }

    /// An instance is reached at another place: remember it, say so, and dial there if nothing is up.
    pub(crate) fn learn_url(&mut self, person: PersonId, instance: InstanceId, url: &str) {
        let Some(known) = self.book.person(&person) else { return };
        let before = known.contact.instance(&instance).and_then(|known| known.urls.first().cloned());
        let mut known: Known = known.clone();
        if !known.contact.learn_url(&instance, url) {
            return;
        }
        self.update_contact(known);
        if before.is_some()
            && let Some(peer) = self.instance_info(&instance)
        {
            self.event(Event::EndpointChanged { peer, url: url.into() });
        }
        if let Some(peer) = self.peers.get_mut(&instance) {
            peer.failures = 0;
            if peer.session.is_some() {
                self.seek_direct_now(instance);
            } else if peer.dialling.is_none() {
                self.dial_later(instance, core::time::Duration::ZERO);
            }
        }
    }

    /// Keeps what is newly known of a contact. While he is being made active the store hears of it afterwards: a
    /// write in between would make him pending again.
    pub(crate) fn update_contact(&mut self, known: Known) {
        if !self.activating.contains(&known.contact.id()) {
            let write = Write::Contact(known.contact.clone());
            self.commit(
                alloc::vec![write],
                Effect::Quiet { doing: "keeping what a contact says of himself" },
            );
        }
        self.book.put(known);
    }

    /// What the ledger wants of its own accord.
    pub(crate) fn drive_ledger(&mut self) {
        while let Some(output) = self.ledger.poll() {
            match output {
                LedgerOutput::Change(change) => {
                    let mut writes = token_writes(change.step);
                    writes.push(self.wall_write());
                    self.commit(writes, Effect::Ledger { change: change.ticket });
                }
                LedgerOutput::Event(event) => self.ledger_event(event),
            }
        }
        let due = self.ledger.poll_timeout();
        self.timers.set(Timer::Ledger, due);
    }

    fn ledger_event(&mut self, event: LedgerEvent) {
        self.event(match event {
            LedgerEvent::Expired { locator } => Event::InvitationExpired { locator },
            LedgerEvent::Muted { locator, .. } => Event::InvitationMuted { locator },
            LedgerEvent::ClockBehind { highest, now } => Event::ClockBehind { highest, now },
            LedgerEvent::ClockCorrected => Event::ClockCorrected,
        });
    }

    /// The highest wall reading, so that a restart does not forget it.
    pub(crate) fn wall_write(&self) -> Write {
        let value = cbor::encode(&self.ledger.highest_wall().0).ok();
        Write::Setting { key: WALL.into(), value }
    }
}
