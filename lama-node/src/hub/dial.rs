//! Whom to dial and when: at the start, after a loss with growing pauses, and when asked.

use alloc::string::String;
use core::time::Duration;

use lama_core::Ticket;
use lama_handshake::Mode;
use lama_identity::InstanceId;
use lama_invite::{Locator, Route, Via};

use super::Timer;
use crate::api::{DialError, Event, Fault, Output, PeerInfo};
use crate::node::{Node, Phase};

/// What a dial is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// A known instance.
    Peer(InstanceId),
    /// Joining by an invitation, or resuming that.
    Join { locator: Locator, mode: Mode },
    /// Whether an instance answers there.
    Probe(Ticket),
}

/// A dial that is under way.
#[derive(Debug)]
pub(crate) struct Dial {
    pub(crate) purpose: Purpose,
    /// The route as text.
    pub(crate) url: String,
    pub(crate) via: Option<Via>,
}

impl Node {
    /// A pause before the next attempt: twice as long after each failure, up to a bound, and never quite regular.
    pub(crate) fn backoff(&mut self, failures: u32) -> Duration {
        self.pause(self.config.backoff_first, self.config.backoff_max, failures)
    }

    /// The same with other bounds.
    pub(crate) fn pause(&mut self, first: Duration, max: Duration, failures: u32) -> Duration {
        let first = u64::try_from(first.as_millis()).unwrap_or(u64::MAX);
        let max = u64::try_from(max.as_millis()).unwrap_or(u64::MAX);
        let pause = first.saturating_mul(1_u64.checked_shl(failures.min(32)).unwrap_or(u64::MAX)).min(max);
        let half = pause / 2;
        Duration::from_millis(
            half.saturating_add(self.rng.below(pause.saturating_sub(half).saturating_add(1))),
        )
    }

    /// Dials an instance again after a pause.
    pub(crate) fn dial_later(&mut self, instance: InstanceId, pause: Duration) {
        let at = self.clock.latest().mono + pause;
        if let Some(peer) = self.peers.get_mut(&instance) {
            peer.again = Some(at);
            self.timers.set(Timer::Peer(instance), Some(at));
        }
    }

    /// Dials an instance again after the pause that its failures ask for.
    pub(crate) fn dial_again(&mut self, instance: InstanceId) {
        let Some(peer) = self.peers.get(&instance) else { return };
        let pause = if peer.nearby.is_some() { Duration::ZERO } else { self.backoff(peer.failures) };
        self.dial_later(instance, pause);
    }

    pub(crate) fn peer_timer(&mut self, instance: InstanceId) {
        if let Some(peer) = self.peers.get_mut(&instance) {
            peer.again = None;
            if peer.session.is_none() {
                self.dial_peer(instance);
            } else {
                self.try_direct(instance);
            }
        }
    }

    /// Opens a link to an instance, if there is a contact and a way to it. A pending contact whose joiner we are is
    /// dialled by its join; one that waits for an approval here is not dialled before that.
    pub(crate) fn dial_peer(&mut self, instance: InstanceId) {
        if self.phase != Phase::Running {
            return;
        }
        let Some(peer) = self.peers.get(&instance) else { return };
        let Some(known) = self.book.person(&peer.person) else { return };
        let living = known.contact.instance(&instance).is_some_and(|known| known.revoked.is_none());
        let wanted = living && !self.am_revoked();
        let wanted = wanted && !self.is_blocked(&peer.person);
        let wanted = wanted && (known.is_active() || (known.note.inviter && !known.note.confirm));
        let urls = known.contact.instance(&instance).map_or(&[][..], |known| &known.urls);
        let on = |url: &&String| self.routes_off.by(&peer.person, &instance, url).is_none();
        let count = urls.iter().filter(on).count();
        let turn = usize::try_from(peer.failures).unwrap_or(0).checked_rem(count).unwrap_or(0);
        let usual = urls.iter().filter(on).nth(turn).cloned();
        if !wanted || peer.dialling.is_some() {
            return;
        }
        let Some(url) = self.found_nearby(instance).or(usual) else { return };
        let ticket = self.dial(Purpose::Peer(instance), url, self.config.dial);
        if let Some(peer) = self.peers.get_mut(&instance) {
            peer.dialling = Some(ticket);
            peer.again = None;
            self.timers.set(Timer::Peer(instance), None);
        }
    }

    /// Asks the host for a link along a route.
    pub(crate) fn dial(&mut self, purpose: Purpose, route: String, rules: lama_invite::DialRules) -> Ticket {
        let ticket = self.tickets.issue();
        let parsed = Route::parse(&route).ok();
        let via = parsed.as_ref().and_then(|route| route.via);
        // What cannot be read is the host's to refuse.
        let url = parsed.map_or_else(|| route.clone(), |route| route.url.as_str().into());
        self.dials.insert(ticket, Dial { purpose, url: route, via });
        self.out.push_back(Output::Dial { ticket, url, via, rules });
        ticket
    }

    /// Nobody answered a dial.
    pub(crate) fn dial_failed(&mut self, ticket: Ticket, cause: DialError) {
        let Some(dial) = self.dials.remove(&ticket) else { return };
        match dial.purpose {
            Purpose::Peer(instance)
                if self.peers.get(&instance).is_some_and(|peer| peer.session.is_some()) =>
            {
                self.dial_lost(instance);
            }
            Purpose::Peer(instance) => {
                self.troubled(instance, Fault::new(cause.code(), &cause));
                let failures = self.dial_lost(instance);
                let peer = self.instance_info(&instance);
                if self.phase == Phase::Running {
                    self.event(Event::DialFailed { peer, url: dial.url, cause, failures });
                }
            }
            Purpose::Probe(ticket) => self.probe_failed(ticket, Fault::new(cause.code(), &cause)),
            Purpose::Join { locator, .. } => self.join_not_reached(locator, dial.url, cause),
        }
    }

    /// A dial or a handshake with a known instance came to nothing.
    pub(crate) fn dial_lost(&mut self, instance: InstanceId) -> u32 {
        let Some(peer) = self.peers.get_mut(&instance) else { return 0 };
        peer.dialling = None;
        if peer.session.is_some() {
            let failures = peer.failures;
            self.beside_lost(instance);
            return failures;
        }
        peer.failures = peer.failures.saturating_add(1);
        let failures = peer.failures;
        self.dial_again(instance);
        failures
    }

    /// Notes why an instance was not reached, or its session ended.
    pub(crate) fn troubled(&mut self, instance: InstanceId, problem: Fault) {
        if let Some(peer) = self.peers.get_mut(&instance)
            && peer.session.is_none()
        {
            peer.problem = Some(problem);
        }
    }

    /// How an instance of a contact is shown.
    pub(crate) fn instance_info(&self, instance: &InstanceId) -> Option<PeerInfo> {
        let peer = self.peers.get(instance)?;
        let contact = &self.book.person(&peer.person)?.contact;
        let known = contact.instance(instance)?;
        Some(PeerInfo {
            person: peer.person,
            email: contact.person.email.as_str().into(),
            instance: *instance,
            instance_name: known.instance.name.clone(),
        })
    }
}
