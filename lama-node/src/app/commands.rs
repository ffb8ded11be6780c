//! Each command to its place.

use alloc::string::String;
use alloc::vec::Vec;

use bytes::Bytes;
use lama_core::Ticket;
use lama_identity::{Channel, ChannelId, Cid, Codec, InstanceId, Object as _, PersonId, cbor};
use lama_store::{Read, Request, Write};

use super::Answer;
use crate::NodeError;
use crate::api::{ChannelRef, Command, ContactInfo, ContactStanding, InstanceInfo, Reply, WaitsFor};
use crate::hub::{Effect, Known};
use crate::node::Node;
use crate::session::Gate;

/// With what the keys of settings begin that are the host's.
const HOSTS: [&str; 2] = ["relay", "host/"];

impl Node {
    /// Does what a command asks, or says why not. Commands that wait answer later.
    pub(crate) fn dispatch(&mut self, reply: Ticket, command: Command) -> Result<(), NodeError> {
        match command {
            Command::Invite { policy, lifetime, label, seed } => {
                self.invite(reply, policy, lifetime, &label, seed)
            }
            Command::Invitations => self.done(reply, Reply::Invitations(self.invitations())),
            Command::RevokeInvitation { locator } => self.revoke_invitation(reply, &locator),
            Command::Join { link, rules } => self.join(reply, &link, rules),
            Command::Pending => self.done(reply, Reply::Pending(self.pending())),
            Command::Approve { person } => self.approve(reply, person),
            Command::Deny { person } => self.deny(reply, person),
            Command::Contacts => self.done(reply, Reply::Contacts(self.contacts())),
            Command::RemoveContact { person } => self.remove_contact(reply, person),
            Command::Endpoints { person } => {
                self.known(&person)?;
                self.ask(reply, Read::Endpoints(person), Answer::Endpoints { person })
            }
            Command::Send { to, channel, text } => self.send(reply, to, channel.as_deref(), text),
            Command::Channels => self.ask(reply, Read::Channels, Answer::Channels),
            Command::Log { channel, from, limit } => {
                let channel = self.channel_id(&channel)?;
                self.ask(reply, Read::Channel { channel, from, limit }, Answer::Log)
            }
            Command::Edit { entry, text } => self.amend(reply, entry, Some(text)),
            Command::Delete { entry } => self.amend(reply, entry, None),
            Command::MarkRead { channel, upto } => {
                let channel = self.channel_id(&channel)?;
                let writes = alloc::vec![Write::MarkRead { channel, upto }];
                self.commit(writes, Effect::Answer { reply, answer: Answer::Put });
                Ok(())
            }
            Command::Put { objects } => self.put(reply, objects),
            Command::Share { root, with, note } => self.share(reply, root, with, note),
            Command::Unshare { root, with } => self.unshare(reply, root, with),
            Command::Shared { with } => self.ask(reply, Read::AllAccessRules, Answer::Rules { with }),
            Command::Object { id } => self.ask(reply, Read::Object(id), Answer::Object),
            Command::Connect { person } => self.connect(reply, person),
            Command::Ping { instance } => self.ping(reply, instance),
            Command::Explain { object, person } => {
                self.ask(reply, Read::Explain { object, person }, Answer::Explain)
            }
            Command::Quota { person, set } => {
                self.known(&person)?;
                let write = set.map(|quota| Request::Commit(alloc::vec![Write::Quota { person, quota }]));
                let requests = write.into_iter().chain([Request::Read(Read::Quota(person))]).collect();
                self.store(requests, Effect::Answer { reply, answer: Answer::Quota });
                Ok(())
            }
            Command::DeleteObjects { ids } => {
                let writes = alloc::vec![Write::Delete { ids }];
                self.commit(writes, Effect::Answer { reply, answer: Answer::Put });
                Ok(())
            }
            Command::Instances => {
                let list = self.own_instances()?;
                self.done(reply, list)
            }
            Command::OfferInstance => self.offer_instance(reply),
            Command::CertifyInstance { request, replace } => self.certify_instance(reply, &request, replace),
            Command::RotateInstance { request } => self.rotate_instance(reply, &request),
            Command::RotatePerson { entries } => self.rotate_person(reply, &entries),
            Command::RevokeInstance { noise, reason } => self.revoke_an_instance(Some(reply), &noise, reason),
            Command::Block { person } => self.block(reply, person),
            Command::Unblock { person } => {
                self.unblock(reply, person);
                Ok(())
            }
            Command::Blocked => self.done(reply, self.blocked()),
            Command::Routes => self.done(reply, self.routes()),
            Command::SetRoute { scope, on } => {
                self.set_route(reply, scope, on);
                Ok(())
            }
            Command::Wake => {
                self.wake();
                self.done(reply, Reply::Done)
            }
            Command::Probe { instance, route } => self.start_probe(reply, instance, route),
            Command::Group(command) => self.group_command(reply, command),
            Command::Debug(command) => self.debug_command(reply, command),
            Command::Health => self.done(reply, self.health()),
            Command::Status => self.ask(reply, Read::Stats, Answer::Status),
            Command::CheckStore => self.ask(reply, Read::Check, Answer::Check),
            Command::HostSetting { key, set } => self.host_setting(reply, key, set),
            Command::Shutdown => {
                self.shut_down(reply);
                Ok(())
            }
        }
    }

    fn done(&mut self, ticket: Ticket, reply: Reply) -> Result<(), NodeError> {
        self.reply(ticket, Ok(reply));
        Ok(())
    }

    pub(crate) fn ask(&mut self, reply: Ticket, read: Read, answer: Answer) -> Result<(), NodeError> {
        self.read(read, Effect::Answer { reply, answer });
        Ok(())
    }

    /// What the host keeps beside the node.
    fn host_setting(&mut self, reply: Ticket, key: String, set: Option<Bytes>) -> Result<(), NodeError> {
        if !HOSTS.iter().any(|hosts| key.starts_with(hosts)) {
            return Err(NodeError::NotTheHosts { key });
        }
        let read = Request::Read(Read::Setting(key.clone()));
        let write = set.map(|value| Request::Commit(alloc::vec![Write::Setting { key, value: Some(value) }]));
        let requests = write.into_iter().chain([read]).collect();
        self.store(requests, Effect::Answer { reply, answer: Answer::Setting });
        Ok(())
    }

    /// An active contact, or why not.
    pub(crate) fn known(&self, person: &PersonId) -> Result<&Known, NodeError> {
        let known = self.book.person(person).ok_or(NodeError::NotAContact { person: *person })?;
        if known.is_active() { Ok(known) } else { Err(NodeError::ContactPending { person: *person }) }
    }

    /// The id of a channel.
    pub(crate) fn channel_id(&self, channel: &ChannelRef) -> Result<ChannelId, NodeError> {
        match channel {
            ChannelRef::Id(id) => Ok(*id),
            ChannelRef::With { person, name } => {
                let name = name.as_deref().unwrap_or(Channel::DIRECT);
                Ok(Channel::new(name, [self.me(), *person])?.id())
            }
        }
    }

    /// Objects made here; each has to be what its id says.
    fn put(&mut self, reply: Ticket, objects: Vec<(Cid, Bytes)>) -> Result<(), NodeError> {
        for (id, bytes) in &objects {
            let canonical = match id.codec() {
                Codec::DagCbor => cbor::check(bytes).is_ok(),
                _ => bytes.len() <= lama_chum::MAX_OBJECT,
            };
            if !canonical || Cid::of(id.codec(), bytes) != *id {
                return Err(NodeError::ObjectMismatch { id: *id });
            }
        }
        self.commit(alloc::vec![Write::Put { objects }], Effect::Answer { reply, answer: Answer::Put });
        Ok(())
    }

    /// Dials all instances of a contact now.
    fn connect(&mut self, reply: Ticket, person: PersonId) -> Result<(), NodeError> {
        let contact = &self.known(&person)?.contact;
        let reachable: Vec<InstanceId> = contact
            .instances
            .iter()
            .filter(|instance| !instance.urls.is_empty())
            .map(|instance| instance.keys.owner)
            .collect();
        if reachable.is_empty() {
            return Err(NodeError::NoRoute { person });
        }
        for instance in reachable {
            if self.peers.get(&instance).is_some_and(|peer| peer.session.is_none()) {
                self.dial_peer(instance);
            }
        }
        self.done(reply, Reply::Done)
    }

    fn contacts(&self) -> Vec<ContactInfo> {
        self.book.iter().map(|known| self.contact_info(known)).collect()
    }

    /// A contact as it is shown.
    pub(crate) fn contact_info(&self, known: &Known) -> ContactInfo {
        let contact = &known.contact;
        let instances = contact.instances.iter().map(|instance| {
            let peer = self.peers.get(&instance.keys.owner);
            InstanceInfo {
                instance: instance.keys.owner,
                name: instance.instance.name.clone(),
                url: instance.urls.first().cloned().unwrap_or_default(),
                last_seen: peer.and_then(|peer| peer.seen),
                connected: peer.is_some_and(|peer| peer.session.is_some()),
            }
        });
        ContactInfo {
            person: contact.id(),
            email: contact.person.email.as_str().into(),
            pin: contact.pin(),
            standing: if known.is_active() { ContactStanding::Active } else { ContactStanding::Pending },
            role: known.note.role(),
            since: lama_core::WallTime(contact.since),
            check_code: known.note.code.clone(),
            instances: instances.collect(),
        }
    }

    fn pending(&self) -> Vec<crate::api::PendingInfo> {
        let mut rows: Vec<_> = self
            .book
            .iter()
            .filter(|known| !known.is_active())
            .map(|known| self.pending_info(known, self.waits_for(known)))
            .collect();
        for join in self.joins.values().filter(|join| join.is_wanted()) {
            if self.book.person(&join.invitation.r_person_id()).is_none() {
                rows.push(crate::api::PendingInfo {
                    peer: None,
                    person: join.invitation.r_person_id(),
                    pin: join.invitation.r_person_pin(),
                    role: crate::api::PairingRole::Joiner,
                    waits_for: WaitsFor::Peer,
                    check_code: None,
                    since: self.clock.latest().wall,
                });
            }
        }
        rows
    }

    /// What a pending pairing waits for.
    fn waits_for(&self, known: &Known) -> WaitsFor {
        if known.note.inviter && known.note.confirm && known.note.ready {
            return WaitsFor::OurApproval;
        }
        let waiting = self
            .links_with(&known.contact.id())
            .into_iter()
            .filter_map(|link| self.links.get(&link).and_then(|link| link.live()))
            .any(|live| live.gate == Gate::Acknowledgement);
        if waiting && known.note.confirm && !known.note.inviter {
            WaitsFor::TheirApproval
        } else {
            WaitsFor::Peer
        }
    }

    /// The identity object of a channel with its id; children of nothing.
    pub(crate) fn channel_object(channel: &Channel) -> Result<(Cid, Bytes), NodeError> {
        let bytes = channel.to_bytes()?;
        Ok((Cid::of_object(&bytes), bytes))
    }
}
