//! The start: what the store knows, our own identity objects, and whom to dial.

use alloc::vec::Vec;

use lama_core::{SortedMap, WallTime};
use lama_handshake::PairKey;
use lama_identity::{ChannelId, Cid, IdentityError, InstanceId, Object as _, cbor};
use lama_invite::{Ledger, Locator};
use lama_store::{Read, Reply, Request, StoreError, Write};

use super::denied::DENIED;
use super::off::{BLOCKED, ROUTES_OFF, RoutesOff};
use super::{Denied, Effect, Known, NOTES, Note, PeerNote, setting_id};
use crate::NodeError;
use crate::api::Event;
use crate::app::{POSTS, Posting};
use crate::debug::ALLOWED;
use crate::log::{GONE, LOGS, NAMES};
use crate::node::{Node, Phase};
use crate::pairing::{JOINS, Join};

/// Settings of the node itself.
pub(crate) const NODE: &str = "node/";
/// The newest version of our endpoint: its id and URL.
pub(crate) const ENDPOINT: &str = "node/endpoint";
/// The highest wall time seen when something was written down.
pub(crate) const WALL: &str = "node/wall";

impl Node {
    /// Asks for everything that is kept in memory.
    pub(crate) fn load(&mut self) {
        let reads = [
            Read::Stats,
            Read::Contacts,
            Read::Peers(None),
            Read::Tokens,
            Read::Settings(NOTES.into()),
            Read::Settings(JOINS.into()),
            Read::Settings(DENIED.into()),
            Read::Settings(BLOCKED.into()),
            Read::Settings(NODE.into()),
            Read::Settings(POSTS.into()),
            Read::Settings(LOGS.into()),
            Read::Settings(GONE.into()),
            Read::Settings(NAMES.into()),
            Read::Settings(ALLOWED.into()),
        ];
        // The store judges clocks of others by it, also before anything comes in.
        let clock = Request::Commit(alloc::vec![Write::Clock(self.clock.latest().wall)]);
        let reads = reads.into_iter().map(Request::Read);
        self.store(core::iter::once(clock).chain(reads).collect(), Effect::Load);
    }

    /// What the store knows.
    pub(crate) fn loaded(&mut self, results: Vec<Result<Reply, StoreError>>) {
        let (mut contacts, mut peers, mut tokens) = (Vec::new(), Vec::new(), Vec::new());
        let mut settings = Vec::new();
        for result in results {
            match result {
                Ok(Reply::Stats(stats)) => self.epoch = stats.epoch,
                Ok(Reply::Contacts(found)) => contacts = found,
                Ok(Reply::Peers(found)) => peers = found,
                Ok(Reply::Tokens(found)) => tokens = found,
                Ok(Reply::Settings(found)) => settings.extend(found),
                Ok(_) => {}
                Err(error) => return self.over(NodeError::Store(error)),
            }
        }
        let now = self.clock.latest();
        let mut highest = None;
        let mut notes = SortedMap::new();
        for (key, value) in settings {
            if let Some(person) = setting_id::<32>(NOTES, &key) {
                notes.extend(Note::from_bytes(&value).map(|note| (person, note)));
            } else if let Some(locator) = setting_id::<16>(JOINS, &key) {
                self.joins.extend(Join::from_bytes(&value).map(|join| (Locator::new(locator), join)));
            } else if let Some(noise) = setting_id::<32>(DENIED, &key) {
                self.denied.extend(Denied::from_bytes(&value).map(|denied| (noise, denied)));
            } else if let Some(person) = setting_id::<32>(BLOCKED, &key) {
                self.blocked.insert(lama_identity::PersonId(person));
            } else if let Some(person) = setting_id::<32>(ALLOWED, &key) {
                self.groups.debug_allowed.insert(lama_identity::PersonId(person));
            } else if let Some(channel) = setting_id::<32>(POSTS, &key) {
                self.posting.extend(Posting::from_bytes(&value).map(|last| (ChannelId(channel), last)));
            } else if let Some(instance) = setting_id::<32>(NAMES, &key) {
                self.names.extend(cbor::decode(&value).ok().map(|name| (InstanceId(instance), name)));
            } else if self.logs.loaded(&key, &value) {
            } else if key == WALL {
                highest = cbor::decode::<u64>(&value).ok().map(WallTime);
            } else if key == ROUTES_OFF {
                self.routes_off = RoutesOff::from_bytes(&value).unwrap_or_default();
            } else if key == ENDPOINT {
                self.endpoint_loaded(&value);
            }
        }
        self.ledger = Ledger::new(self.config.invite.clone(), tokens, highest, now);
        for contact in contacts {
            let person = contact.id();
            // A contact without a note is established: nothing more is known of how.
            let plain = Note { inviter: true, locator: None, confirm: false, ready: false, code: None };
            let note = notes.remove(&person.0).unwrap_or(plain);
            for instance in &contact.instances {
                self.peer(person, instance.keys.owner);
            }
            self.book.put(Known { contact, note });
        }
        for record in peers {
            let Some(note) = cbor::decode::<PeerNote>(&record.body).ok() else { continue };
            let peer = self.peer(record.person, record.instance);
            peer.pair = Some(PairKey::from_stored(*record.pair_key.expose(), note.pair));
            peer.seen = Some(WallTime(note.seen));
            (peer.has, peer.shown) = (note.has, note.shown);
        }
        match self.logs_loaded() {
            Ok(writes) => self.prepare(writes),
            Err(error) => self.over(error),
        }
    }

    /// Our own identity objects have to be in the store before they can be shared.
    fn prepare(&mut self, mut writes: Vec<Write>) {
        match self.own_objects() {
            Ok(objects) => {
                if self.has_new_keys() {
                    // Contacts see the new ones too, and where we listen is said anew, signed by them.
                    let ids = objects.iter().map(|(id, _)| *id).collect();
                    writes.push(Write::Share { ids, persons: self.book.active() });
                    self.endpoint_url = None;
                }
                // What is shared with contacts that were taken over has to be there first.
                writes.insert(0, Write::Put { objects });
                self.commit(writes, Effect::Prepared);
            }
            Err(error) => self.over(NodeError::Identity(error)),
        }
    }

    fn own_objects(&self) -> Result<Vec<(Cid, bytes::Bytes)>, IdentityError> {
        let public = &self.identity.public;
        let objects = [
            public.person.to_bytes()?,
            public.instance.to_bytes()?,
            public.person_keys.to_bytes()?,
            public.instance_keys.to_bytes()?,
            public.cert.bytes().clone(),
        ];
        Ok(objects.into_iter().map(|bytes| (Cid::of_object(&bytes), bytes)).collect())
    }

    /// The ids of our identity objects: what every contact sees.
    pub(crate) fn own_ids(&self) -> Vec<Cid> {
        self.own_objects().map(|objects| objects.into_iter().map(|(id, _)| id).collect()).unwrap_or_default()
    }

    /// The node works from now on.
    pub(crate) fn prepared(&mut self, result: Option<Result<Reply, StoreError>>) {
        if let Some(Err(error)) = result {
            return self.over(NodeError::Store(error));
        }
        self.phase = Phase::Running;
        self.event(Event::Ready);
        for input in core::mem::take(&mut self.backlog) {
            self.input(input);
        }
        self.revoke_replaced();
        self.end_if_revoked();
        let joins: Vec<Locator> = self.joins.keys().copied().collect();
        for locator in joins {
            self.join_timer(locator);
        }
        let instances: Vec<_> = self.peers.keys().copied().collect();
        for instance in instances {
            self.dial_peer(instance);
        }
    }

    /// The node cannot go on.
    pub(crate) fn over(&mut self, error: NodeError) {
        for input in core::mem::take(&mut self.backlog) {
            if let crate::api::Input::Command { ticket, .. } = input {
                self.reply(ticket, Err(error.clone()));
            }
        }
        self.phase = Phase::Over(error);
    }
}
