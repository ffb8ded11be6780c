//! The joiner's side: the intention is written down before anything is sent, and followed until it is decided.

use alloc::string::{String, ToString as _};
use alloc::vec::Vec;

use bytes::Bytes;
use core::time::Duration;
use lama_core::Ticket;
use lama_handshake::Mode;
use lama_identity::{InstanceId, PersonId, cbor};
use lama_invite::{DialRules, Invitation, InviteError, LinkOrigin, Locator, Policy};
use lama_store::{Reply, StoreError, Write};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::NodeError;
use crate::api::{DialError, Event, LinkCause, RefuseReason, Reply as NodeReply};
use crate::hub::{Effect, Purpose, Timer, setting};
use crate::node::{Node, Phase};

/// Settings under which joins stand; the locator in hexadecimal follows. They hold the invitation's secret.
pub(crate) const JOINS: &str = "join/";

/// What is written down of a join.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Journal {
    lan: bool,
    opened: bool,
    denied: bool,
    #[serde(with = "serde_bytes")]
    invitation: Vec<u8>,
}

/// A join that is not decided.
#[derive(Debug)]
pub(crate) struct Join {
    pub(crate) invitation: Invitation,
    rules: DialRules,
    /// The command that waits for the outcome.
    pub(super) reply: Option<Ticket>,
    /// Whether our Auth may have reached the inviter: it may have taken its durable step, so giving up is no more
    /// an answer than not having tried.
    pub(crate) begun: bool,
    /// Attempts that ended without a word of the other side, since one that went further.
    pub(super) refusals: u32,
    pub(super) failures: u32,
    /// Routes of the invitation that were tried in this round.
    tried: usize,
    dialling: bool,
    /// The pairing was denied here: the other side is dialled only to be told.
    pub(super) denied: bool,
}

impl Join {
    pub(crate) fn is_of(&self, person: &PersonId) -> bool {
        self.invitation.r_person_id() == *person
    }

    /// Whether it is still meant to succeed.
    pub(crate) const fn is_wanted(&self) -> bool {
        !self.denied
    }

    pub(crate) fn confirms(&self) -> bool {
        self.invitation.policy() == Policy::Confirm
    }

    /// Reads what [`Journal`] wrote. It is not known how far the process came, so the worst is assumed.
    pub(crate) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let journal: Journal = cbor::decode(bytes).ok()?;
        let invitation = Invitation::from_bytes(&journal.invitation).ok()?;
        let origin = if journal.opened { LinkOrigin::Opened } else { LinkOrigin::Handed };
        let join = Self::new(invitation, DialRules { lan: journal.lan, origin }, None, true);
        Some(Self { denied: journal.denied, ..join })
    }

    fn new(invitation: Invitation, rules: DialRules, reply: Option<Ticket>, begun: bool) -> Self {
        Self {
            invitation,
            rules,
            reply,
            begun,
            refusals: 0,
            failures: 0,
            tried: 0,
            dialling: false,
            denied: false,
        }
    }

    pub(super) fn to_bytes(&self) -> Result<Bytes, NodeError> {
        let invitation = self.invitation.to_bytes()?.to_vec();
        let opened = self.rules.origin == LinkOrigin::Opened;
        let journal = Journal { lan: self.rules.lan, opened, denied: self.denied, invitation };
        cbor::encode(&journal).map_err(|error| NodeError::Identity(error.into()))
    }
}

impl Node {
    /// [`crate::Command::Join`]: everything that can be checked before the network is touched, then the journal.
    pub(crate) fn join(
        &mut self,
        reply: Ticket,
        link: &Zeroizing<String>,
        rules: DialRules,
    ) -> Result<(), NodeError> {
        let wall = self.clock.latest().wall;
        let invitation =
            lama_invite::parse(link, wall, Some(self.me()), rules).map_err(|error| match error {
                InviteError::SamePerson { person, inviter } => NodeError::SamePerson {
                    person,
                    ours: self.identity.public.instance.name.clone(),
                    theirs: short(inviter.as_bytes()),
                },
                error => NodeError::Invite(error),
            })?;
        let locator = invitation.locator();
        if let Some(join) = self.joins.get_mut(&locator) {
            if join.denied {
                return Err(NodeError::DeniedHere { person: invitation.r_person_id() });
            }
            if join.reply.is_some() {
                return Err(NodeError::JoinUnderWay);
            }
            // It was begun before a restart: the command now waits for the same outcome.
            join.reply = Some(reply);
            join.failures = 0;
            self.join_timer(locator);
            return Ok(());
        }
        if let Some(known) = self.book.person(&invitation.r_person_id()) {
            let (pinned, person) = (known.contact.pin(), invitation.r_person_id());
            if pinned != invitation.r_person_pin() {
                let shown = invitation.r_person_pin();
                self.event(Event::KeyChanged { person, known: pinned, shown: Some(shown) });
                return Err(NodeError::KeyChanged { person, known: pinned, shown });
            }
            let instance = known.contact.instance_by_noise(invitation.r_static());
            if let Some(instance) = instance.map(|known| known.keys.owner).filter(|_| known.is_active()) {
                let contact = self.contact_info(known);
                self.take_routes(person, instance, &invitation, rules);
                self.reply(reply, Ok(NodeReply::Contact(alloc::boxed::Box::new(contact))));
                return Ok(());
            }
        }
        if self.joins.len() >= self.config.max_pending {
            return Err(NodeError::Busy { max: self.config.max_pending });
        }
        let join = Join::new(invitation, rules, Some(reply), false);
        let value = Some(join.to_bytes()?);
        self.joins.insert(locator, join);
        let key = setting(JOINS, locator.as_bytes());
        self.commit(alloc::vec![Write::Setting { key, value }], Effect::Journal { locator });
        Ok(())
    }

    /// A contact's new invitation says where the contact is now: the only way to tell one who dials and was away
    /// when it moved. Whoever answers there still has to prove the known key.
    fn take_routes(
        &mut self,
        person: PersonId,
        instance: InstanceId,
        invitation: &Invitation,
        rules: DialRules,
    ) {
        let routes = invitation.dialable(rules);
        let urls: Vec<String> = routes.map(|route| route.to_string()).collect();
        // The first named becomes the first tried.
        for url in urls.iter().rev() {
            self.learn_url(person, instance, url);
        }
    }

    /// The intention is written down.
    pub(crate) fn journalled(&mut self, locator: Locator, result: Option<Result<Reply, StoreError>>) {
        match result {
            Some(Err(error)) => {
                if let Some(Join { reply: Some(reply), .. }) = self.joins.remove(&locator) {
                    self.reply(reply, Err(NodeError::Store(error)));
                }
            }
            _ => self.join_timer(locator),
        }
    }

    /// The next attempt of a join.
    pub(crate) fn join_timer(&mut self, locator: Locator) {
        self.join_attempt(locator, Mode::Pairing);
    }

    pub(super) fn join_attempt(&mut self, locator: Locator, mode: Mode) {
        let wall = self.clock.latest().wall;
        let Some(join) = self.joins.get_mut(&locator) else { return };
        if self.phase != Phase::Running || join.dialling {
            return;
        }
        let active = self.book.person(&join.invitation.r_person_id()).is_some_and(|known| {
            known.is_active() && known.contact.instance_by_noise(join.invitation.r_static()).is_some()
        });
        if active {
            let person = join.invitation.r_person_id();
            return self.forget_joins(&person);
        }
        let begun = join.begun || self.book.person(&join.invitation.r_person_id()).is_some();
        if !begun && wall > join.invitation.exp() {
            let exp = join.invitation.exp();
            let error = InviteError::Expired { exp, now: wall };
            return self.join_failed(locator, NodeError::Invite(error));
        }
        let mut routes = join.invitation.dialable(join.rules);
        let url = routes.nth(join.tried).map(|route| route.to_string());
        drop(routes);
        let rules = join.rules;
        let Some(url) = url else {
            join.tried = 0;
            return self.join_later(locator);
        };
        join.dialling = true;
        self.dial(Purpose::Join { locator, mode }, url, rules);
    }

    /// Waits, then tries again.
    pub(super) fn join_later(&mut self, locator: Locator) {
        let Some(join) = self.joins.get(&locator) else { return };
        let pause = self.backoff(join.failures);
        self.join_after(locator, pause);
    }

    pub(super) fn join_after(&mut self, locator: Locator, pause: Duration) {
        let at = self.clock.latest().mono + pause;
        self.timers.set(Timer::Join(locator), Some(at));
    }

    /// Nobody answered at a route: the next one, or the end of the round.
    pub(crate) fn join_not_reached(&mut self, locator: Locator, url: String, cause: DialError) {
        let Some(join) = self.joins.get_mut(&locator) else { return };
        join.dialling = false;
        join.tried = join.tried.saturating_add(1);
        let routes = join.invitation.dialable(join.rules).count();
        if join.tried < routes {
            return self.join_attempt(locator, Mode::Pairing);
        }
        join.tried = 0;
        join.failures = join.failures.saturating_add(1);
        if self.join_is_open(&locator) {
            self.join_later(locator);
        } else {
            self.join_failed(locator, NodeError::NotReached { url, cause });
        }
    }

    /// Whether the inviter may have taken its step, so that only an answer ends the join.
    fn join_is_open(&self, locator: &Locator) -> bool {
        self.joins
            .get(locator)
            .is_some_and(|join| join.begun || self.book.person(&join.invitation.r_person_id()).is_some())
    }

    /// A link of a join ended before both persons were authenticated.
    pub(crate) fn join_attempt_over(&mut self, locator: Locator, mode: Mode, reason: &RefuseReason) {
        let open = self.join_is_open(&locator);
        let has_contact = self
            .joins
            .get(&locator)
            .is_some_and(|join| self.book.person(&join.invitation.r_person_id()).is_some());
        let retries = self.config.join_retries;
        let Some(join) = self.joins.get_mut(&locator) else { return };
        join.dialling = false;
        join.failures = join.failures.saturating_add(1);
        if join.denied {
            return self.telling_over(locator, mode, reason);
        }
        match reason {
            RefuseReason::Rejected("rejected-busy") => self.join_later(locator),
            // It was said in an authenticated way.
            RefuseReason::Rejected("rejected-same-person") => {
                let error = self.same_person_as(&locator);
                self.join_failed(locator, error);
            }
            RefuseReason::Rejected(code) => self.join_failed(locator, NodeError::Rejected { code }),
            RefuseReason::SamePerson { .. } => {
                let error = self.same_person_as(&locator);
                self.join_failed(locator, error);
            }
            RefuseReason::KeyChanged { person } => {
                let known = self.book.person(person).map(|known| known.contact.pin());
                let Some(join) = self.joins.get(&locator) else { return };
                let shown = join.invitation.r_person_pin();
                let error = NodeError::KeyChanged { person: *person, known: known.unwrap_or(shown), shown };
                self.join_failed(locator, error);
            }
            RefuseReason::NotSigned => self.join_failed(locator, NodeError::KeyAbsent),
            RefuseReason::Handshake(fault) if !open => {
                let error = if fault.code == "message-2-unauthentic" || fault.code == "message-2-length" {
                    NodeError::InvitationRefused
                } else {
                    NodeError::Violation { code: fault.code, text: fault.text.clone() }
                };
                self.join_failed(locator, error);
            }
            RefuseReason::LinkDown(LinkCause::Closed) | RefuseReason::Handshake(_) => {
                join.refusals = join.refusals.saturating_add(1);
                if !open {
                    self.join_failed(locator, NodeError::InvitationRefused);
                } else if join.refusals <= retries.saturating_mul(2) {
                    // The token may be burnt, and then only the known key opens the door to being told so.
                    let other = if mode == Mode::Pairing { Mode::Known } else { Mode::Pairing };
                    self.join_attempt(locator, other);
                } else if has_contact {
                    // Never given up: whoever holds a pending contact dials again.
                    join.refusals = 0;
                    self.join_later(locator);
                } else {
                    self.join_failed(locator, NodeError::InvitationRefused);
                }
            }
            _ => self.join_later(locator),
        }
    }

    /// A session of a join ended before the contact was active, or after.
    pub(crate) fn join_cut(&mut self, locator: Locator) {
        let Some(join) = self.joins.get_mut(&locator) else { return };
        join.dialling = false;
        join.refusals = 0;
        join.failures = join.failures.saturating_add(1);
        self.join_later(locator);
    }

    fn same_person_as(&self, locator: &Locator) -> NodeError {
        let theirs = self.joins.get(locator).map(|join| short(join.invitation.r_static().as_bytes()));
        NodeError::SamePerson {
            person: self.me(),
            ours: self.identity.public.instance.name.clone(),
            theirs: theirs.unwrap_or_default(),
        }
    }
}

/// The write that forgets a join.
pub(super) fn forget_journal(locator: &Locator) -> Write {
    Write::Setting { key: setting(JOINS, locator.as_bytes()), value: None }
}

/// The start of a key, for people.
fn short(key: &[u8; 32]) -> String {
    let mut text = setting("key ", key.first_chunk::<5>().map_or(&[], |head| head.as_slice()));
    text.push('\u{2026}');
    text
}
