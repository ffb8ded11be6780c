//! At which relays of the list the instance is registered, and what happens when one fails.

use alloc::vec::Vec;
use core::time::Duration;

use lama_core::{Instant, Ticket};
use lama_identity::SignPublic;
use lama_invite::Route;

use super::spare::Step;
use super::{Client, ClientOutput, Timer};
use crate::wire::Terms;
use crate::{LinkId, RelayAddress, RelayError};

/// How it stands at a relay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum HomeState {
    /// Others of the list are enough.
    Unneeded,
    /// A connection is being opened and registered.
    Connecting,
    /// Calls come through it.
    Registered,
    /// It failed; it is tried again later.
    Waiting,
}

/// What can be said of a relay of the list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Home {
    /// How it stands.
    pub state: HomeState,
    /// Where others ring.
    pub route: Route,
    /// Free connections that are registered.
    pub links: usize,
    /// Failures since it was last sound.
    pub failures: u32,
}

/// A relay of the list.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) address: RelayAddress,
    pub(super) key: SignPublic,
    /// Since the first of its connections was registered.
    since: Option<Instant>,
    failures: u32,
    /// Nothing is tried before.
    pub(super) again: Option<Instant>,
    /// As the relay says.
    pub(super) idle: Option<Duration>,
    /// Connections that ended lately: the relay may still count them.
    lately: Option<(Instant, u8)>,
    wanted: bool,
    links: usize,
}

impl Place {
    pub(super) fn new(address: RelayAddress, key: SignPublic) -> Self {
        Self {
            address,
            key,
            since: None,
            failures: 0,
            again: None,
            idle: None,
            lately: None,
            wanted: false,
            links: 0,
        }
    }

    /// It is in the list no more; if it comes back it begins anew.
    fn forget(&mut self) {
        (self.failures, self.again, self.wanted) = (0, None, false);
    }

    pub(super) fn home(&self) -> Home {
        let state = match (self.since, self.again) {
            (Some(_), _) => HomeState::Registered,
            _ if !self.wanted => HomeState::Unneeded,
            (None, Some(_)) => HomeState::Waiting,
            (None, None) => HomeState::Connecting,
        };
        Home { state, route: self.address.route(&self.key), links: self.links, failures: self.failures }
    }
}

impl Client {
    /// The list is this one from now on.
    pub(super) fn relays(&mut self, relays: Vec<(RelayAddress, SignPublic)>) {
        let mut order = Vec::new();
        for (address, key) in relays {
            let known = self.places.iter().position(|place| place.address == address && place.key == key);
            let home = known.unwrap_or(self.places.len());
            if known.is_none() {
                self.places.push(Place::new(address, key));
            }
            if !order.contains(&home) {
                order.push(home);
            }
        }
        let before = core::mem::replace(&mut self.order, order);
        for home in before {
            if !self.order.contains(&home) {
                self.timers.set(Timer::Home(home), None);
                self.leave(home);
                if let Some(place) = self.places.get_mut(home) {
                    place.forget();
                }
            }
        }
    }

    /// What has to be opened, and what is not needed any more.
    pub(super) fn settle(&mut self) {
        if self.stopping {
            if self.links.is_empty() && !self.stopped {
                self.stopped = true;
                self.out.push_back(ClientOutput::Stopped);
            }
            return;
        }
        let now = self.clock.latest().mono;
        let (relays, healthy) = (self.config.relays, self.config.healthy);
        // `sound`: registered for a while; `hopeful`: registered, or being tried without a failure so far.
        let (mut sound, mut hopeful) = (0, 0);
        for home in self.order.clone() {
            let Some(place) = self.places.get_mut(home) else { continue };
            let registered = place.since.is_some();
            // Who stands later in the list stays until those before it have been sound for a while: no flapping.
            let needed = sound < relays && (registered || place.failures > 0 || hopeful < relays);
            hopeful += usize::from(registered || (needed && place.failures == 0));
            let lasts_at = place.since.map(|since| since + healthy);
            let lasts = lasts_at.is_some_and(|at| at <= now);
            sound += usize::from(lasts);
            place.wanted = needed;
            let due = [place.again, lasts_at.filter(|_| !lasts)].into_iter().flatten().min();
            if needed {
                self.timers.set(Timer::Home(home), due);
                self.fill(home);
            } else {
                self.timers.set(Timer::Home(home), None);
                self.leave(home);
            }
        }
    }

    /// Opens what is missing at a relay: one connection to see whether it works, then the spare ones.
    fn fill(&mut self, home: usize) {
        let spares = self.config.spares;
        let under_way = self.dials.values().filter(|other| **other == home).count();
        let of_home = |step: fn(Step) -> bool| {
            self.links.values().filter(|spare| spare.home == home && step(spare.step)).count()
        };
        let coming = under_way + of_home(|step| matches!(step, Step::Hello | Step::Confirm));
        let registered = of_home(|step| step == Step::Idle);
        let registered = self.let_go(home, spares, registered);
        let Some(place) = self.places.get_mut(home) else { return };
        place.links = registered;
        if place.again.is_some() {
            return;
        }
        let target = if place.since.is_some() { spares } else { 1 };
        for _ in registered + coming..target {
            let ticket = self.tickets.issue();
            self.dials.insert(ticket, home);
            self.timers.set(Timer::Dial(ticket), Some(self.clock.latest().mono + self.config.step));
            self.out.push_back(ClientOutput::Dial { ticket, home });
        }
    }

    /// Closes what is registered beyond what is wanted, the oldest first: those in doubt were believed again while others
    /// were being opened in their place. Gives how many are left.
    fn let_go(&mut self, home: usize, wanted: usize, registered: usize) -> usize {
        let idle = self.links.iter().filter(|(_, spare)| spare.home == home && spare.step == Step::Idle);
        let beyond: alloc::vec::Vec<LinkId> =
            idle.map(|(id, _)| *id).take(registered.saturating_sub(wanted)).collect();
        for link in &beyond {
            self.remember(home);
            self.close(*link);
        }
        registered - beyond.len()
    }

    /// Gives up a relay that is not needed.
    fn leave(&mut self, home: usize) {
        let open: Vec<LinkId> = self
            .links
            .iter()
            .filter(|(_, spare)| spare.home == home && !matches!(spare.step, Step::Rung | Step::Closing))
            .map(|(id, _)| *id)
            .collect();
        for link in open {
            self.close(link);
        }
        let dials: Vec<Ticket> =
            self.dials.iter().filter(|(_, other)| **other == home).map(|(ticket, _)| *ticket).collect();
        for ticket in dials {
            self.dials.remove(&ticket);
            self.timers.set(Timer::Dial(ticket), None);
        }
        let Some(place) = self.places.get_mut(home) else { return };
        place.links = 0;
        if place.since.take().is_some() {
            self.out.push_back(ClientOutput::Lost { home, why: None, pause: None });
        }
    }

    pub(super) fn registered(&mut self, home: usize) {
        let now = self.clock.latest().mono;
        let Some(place) = self.places.get_mut(home) else { return };
        if place.since.is_none() {
            place.since = Some(now);
            self.out.push_back(ClientOutput::Registered { home });
        }
    }

    pub(super) fn dial_failed(&mut self, ticket: Ticket) -> Result<(), RelayError> {
        // One that was given up in the meantime is no news.
        if let Some(home) = self.dials.remove(&ticket) {
            self.timers.set(Timer::Dial(ticket), None);
            self.lost(home, None, false);
        }
        Ok(())
    }

    /// A connection ended that was at this step.
    pub(super) fn gone(&mut self, home: usize, was: Step, why: Option<RelayError>) {
        if matches!(was, Step::Idle | Step::Doubted | Step::Rung) {
            self.remember(home);
        }
        // Others are being opened in its place: what becomes of them decides.
        if was == Step::Doubted {
            return;
        }
        self.lost(home, why, was == Step::Idle);
    }

    /// The relay may still count a connection that is registered no more.
    pub(super) fn remember(&mut self, home: usize) {
        let now = self.clock.latest().mono;
        let idle = self.config.idle;
        let Some(place) = self.places.get_mut(home) else { return };
        let before = place.lately.filter(|(until, _)| *until > now).map_or(0, |(_, count)| count);
        place.lately = Some((now + place.idle.unwrap_or(idle), before.saturating_add(1)));
    }

    /// A dial or a connection came to nothing: the next attempt after a pause.
    pub(super) fn lost(&mut self, home: usize, why: Option<RelayError>, was_idle: bool) {
        let now = self.clock.latest().mono;
        let others = self.links.values().any(|spare| spare.home == home && spare.step == Step::Idle);
        let healthy = self.config.healthy;
        let Some(place) = self.places.get_mut(home) else { return };
        if was_idle && place.since.is_some_and(|since| now.since(since) >= healthy) {
            place.failures = 0;
        }
        let pause = {
            let failures = place.failures;
            self.backoff(failures)
        };
        let Some(place) = self.places.get_mut(home) else { return };
        place.failures = place.failures.saturating_add(1);
        place.again = Some(now + pause);
        // While another connection is registered, calls still come through: the pause is for the spare one alone.
        if !others {
            place.since = None;
            self.out.push_back(ClientOutput::Lost { home, why, pause: Some(pause) });
        }
    }

    fn backoff(&mut self, failures: u32) -> Duration {
        let millis = |duration: Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        let factor = 1_u64.checked_shl(failures.min(32)).unwrap_or(u64::MAX);
        let pause =
            millis(self.config.backoff_first).saturating_mul(factor).min(millis(self.config.backoff_max));
        let half = pause / 2;
        Duration::from_millis(half.saturating_add(self.below(pause.saturating_sub(half).saturating_add(1))))
    }

    pub(super) fn retry(&mut self) {
        self.doubt();
        for home in 0..self.places.len() {
            if let Some(place) = self.places.get_mut(home) {
                place.again = None;
            }
        }
    }

    /// TERMS: what the relay counts, against what we know to be ours.
    pub(super) fn terms(&mut self, home: usize, terms: Terms) {
        let now = self.clock.latest().mono;
        // A relay that names no sound time is not followed.
        let idle = Duration::from_secs(u64::from(terms.idle));
        let ours =
            self.links.values().filter(|spare| spare.home == home && spare.step != Step::Hello).count();
        let Some(place) = self.places.get_mut(home) else { return };
        place.idle = (10..=600).contains(&terms.idle).then_some(idle);
        let lately =
            place.lately.filter(|(until, _)| *until > now).map_or(0, |(_, count)| usize::from(count));
        if usize::from(terms.links) > ours + lately {
            self.out.push_back(ClientOutput::Shared { home, links: terms.links });
        }
    }
}
