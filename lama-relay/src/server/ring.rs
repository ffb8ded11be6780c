//! Ringing: a call finds a free connection, waits for one, or is refused like any other.

use lama_core::Instant;

use super::Server;
use super::link::{Link, Owed, Stage};
use crate::{LinkId, RelayError, RouteId};

impl Server {
    /// RING.
    pub(super) fn ring(&mut self, id: LinkId, route: RouteId, now: Instant) {
        self.stats.rings += 1;
        let Some(source) = self.links.get(&id).map(|link| link.source) else { return };
        let rate = self.config.rings_per_source;
        let block = self.routes.block(source, &self.config, now);
        let allowed = block.is_some_and(|block| block.rings.take(&rate, now))
            && self.splices() < self.config.splices
            && !self.draining;
        let rate = self.config.rings_per_route;
        let waiting = self.config.pending_per_route;
        let found = match self.routes.by_id.get_mut(&route) {
            // A route whose connections are all in calls is about to register a fresh one.
            Some(place) if !place.links.is_empty() || place.splices > 0 => {
                allowed && place.pending.len() < waiting && place.rings.take(&rate, now)
            }
            _ => {
                self.stats.rings_unknown += 1;
                return self.refuse(id, RelayError::Unavailable);
            }
        };
        if !found {
            self.stats.rings_limited += 1;
            return self.refuse(id, RelayError::Unavailable);
        }
        if let Some(link) = self.links.get_mut(&id) {
            link.stage = Stage::Ringing { route, callee: None, since: now };
        }
        self.due(id, now + self.config.half_open);
        if let Some(place) = self.routes.by_id.get_mut(&route) {
            place.pending.push_back(id);
        }
        self.ring_next(route);
    }

    /// Gives waiting callers the free connections of a route, first come, first served; among the connections the one that
    /// answered a PING last.
    pub(super) fn ring_next(&mut self, route: RouteId) {
        loop {
            let Some(place) = self.routes.by_id.get(&route) else { return };
            let heard = |id: &LinkId| match &self.links.get(id)?.stage {
                Stage::Idle(spare) => Some((spare.heard, *id)),
                _ => None,
            };
            let Some((_, callee)) = place.links.iter().filter_map(heard).max() else { return };
            let Some(place) = self.routes.by_id.get_mut(&route) else { return };
            let Some(caller) = place.pending.pop_front() else { return };
            self.ring_at(caller, callee);
        }
    }

    fn ring_at(&mut self, caller: LinkId, callee: LinkId) {
        let Some(Link { stage: Stage::Ringing { callee: rung, since, .. }, .. }) =
            self.links.get_mut(&caller)
        else {
            return;
        };
        *rung = Some(callee);
        let due = *since + self.config.half_open;
        if let Some(link) = self.links.get_mut(&callee) {
            let stage = core::mem::replace(&mut link.stage, Stage::Closing(Default::default()));
            link.stage = match stage {
                Stage::Idle(spare) => Stage::Rung { spare, caller },
                other => other,
            };
        }
        self.due(callee, due);
        self.owe(callee, Owed::INCOMING);
    }

    /// The connection that a caller was given is gone: the next one, if there is time left.
    pub(super) fn ring_on(&mut self, caller: LinkId) {
        let Some(Link { stage: Stage::Ringing { route, callee, .. }, .. }) = self.links.get_mut(&caller)
        else {
            return;
        };
        *callee = None;
        let route = *route;
        match self.routes.by_id.get_mut(&route) {
            // First in line again: it was there before those who wait.
            Some(place) if !place.links.is_empty() || place.splices > 0 => {
                place.pending.push_front(caller);
                self.ring_next(route);
            }
            _ => self.refuse_by(caller),
        }
    }

    /// Refuses a caller whose route or room went away: not before the time at which all others are refused.
    pub(super) fn refuse_by(&mut self, caller: LinkId) {
        if let Some(Link { stage: Stage::Ringing { since, .. }, .. }) = self.links.get(&caller) {
            let at = (*since + self.config.unavailable_after).max(self.clock.latest().mono);
            self.refuse_at(caller, RelayError::Unavailable, at);
        }
    }

    /// Answers `unavailable` after the time that every refusal takes.
    pub(super) fn refuse(&mut self, id: LinkId, why: RelayError) {
        let at = self.clock.latest().mono + self.config.unavailable_after;
        self.refuse_at(id, why, at);
    }

    fn refuse_at(&mut self, id: LinkId, why: RelayError, at: Instant) {
        if let Some(link) = self.links.get_mut(&id) {
            link.stage = Stage::Refused { why };
            self.due(id, at);
        }
    }

    /// It is time.
    pub(super) fn refuse_now(&mut self, id: LinkId, why: RelayError) {
        self.owe(id, Owed::UNAVAILABLE);
        self.close(id, Some(why));
    }
}
