//! Registering: a proof, our own proof, and a place in the route.

use lama_core::Now;
use lama_identity::{SignPublic, Signature};

use super::link::{Link, Owed, Spare, Stage};
use super::{Server, ServerOutput, Timer};
use crate::wire::Register;
use crate::{Binding, LinkId, RelayError, RouteId, confirm_input, register_input};

impl Server {
    /// REGISTER. The order of work: times, rate, key, signature, room, and only then our own signature.
    pub(super) fn register(&mut self, id: LinkId, register: Register, now: Now) -> Result<(), RelayError> {
        let Some(Link { source, stage: Stage::Fresh(fresh), .. }) = self.links.get(&id) else {
            return Ok(());
        };
        let source = *source;
        let wall = now.wall.unix_seconds();
        if register.exp <= wall || register.exp > wall.saturating_add(self.config.proof.as_secs()) {
            return Err(RelayError::RegisterExpiry);
        }
        let rate = self.config.registers_per_source;
        let block = self.routes.block(source, &self.config, now.mono);
        if !block.is_some_and(|block| block.registers.take(&rate, now.mono)) {
            self.refuse_registration(id);
            return Ok(());
        }
        let key = SignPublic::try_from(register.route_key).map_err(|_| RelayError::BadKey)?;
        let host = self.hosts.get(fresh.host).map_or("", |host| host.as_str());
        let binding = Binding { hello: &fresh.hello, host, exporter: &fresh.exporter };
        let input = register_input(&binding, &register.route_key, &register.nonce, register.exp);
        key.verify_input(&input, &register.signature).map_err(|_| RelayError::RegisterSignature)?;
        let route = RouteId::of(&key);
        let bytes = confirm_input(&binding, &register);
        if !self.has_room(route, source, now) {
            self.refuse_registration(id);
            return Ok(());
        }
        let ticket = self.tickets.issue();
        self.signing.insert(ticket, id);
        self.out.push_back(ServerOutput::Sign { ticket, bytes });
        if let Some(link) = self.links.get_mut(&id) {
            link.stage = Stage::Signing(route);
        }
        Ok(())
    }

    /// Our own signature is there: the registration counts from now on.
    pub(super) fn confirmed(&mut self, id: LinkId, signature: Option<Signature>) {
        let now = self.clock.latest();
        let Some(Link { source, stage: Stage::Signing(route), .. }) = self.links.get(&id) else { return };
        let (source, route) = (*source, *route);
        let Some(signature) = signature else { return self.close(id, Some(RelayError::NoSignature)) };
        // Others may have come while it was signed.
        if !self.has_room(route, source, now) {
            return self.refuse_registration(id);
        }
        let stale = self.stale(route);
        let Some(place) = self.routes.open(route, source, &self.config, now.mono) else { return };
        place.links.push(id);
        let links = place.links.clone();
        if let Some(link) = self.links.get_mut(&id) {
            let spare = Spare { route, confirm: Some(signature.into()), ping: 0, heard: now.mono };
            link.stage = Stage::Idle(spare.into());
        }
        self.timers.set(Timer::Route(route), None);
        self.stats.registered += 1;
        self.due(id, now.mono + self.config.ping);
        self.owe(id, Owed::CONFIRM);
        self.release(id);
        if links.len() > self.config.links_per_route
            && let Some(stale) = stale
        {
            self.close(stale, Some(RelayError::Replaced));
        }
        self.tell_terms(route);
        self.ring_next(route);
    }

    /// Whether a further connection of this route has a place here. A full route has one if a connection of it has missed
    /// its last PING: who proves the key anew is more likely to be there than that one.
    fn has_room(&mut self, route: RouteId, source: lama_invite::Source, now: Now) -> bool {
        if self.draining {
            return false;
        }
        match self.routes.by_id.get(&route) {
            Some(place) if place.links.len() >= self.config.links_per_route => self.stale(route).is_some(),
            Some(_) => true,
            None => {
                let (config, routes) = (&self.config, &mut self.routes);
                routes.by_id.len() < config.routes
                    && routes
                        .block(source, config, now.mono)
                        .is_some_and(|block| block.routes < config.routes_per_source)
            }
        }
    }

    /// The free connection of a route that was not heard of for longest, if it has missed a PING.
    fn stale(&self, route: RouteId) -> Option<LinkId> {
        let place = self.routes.by_id.get(&route)?;
        let missed = self.config.ping.saturating_add(self.config.half_open);
        let heard = |id: &LinkId| match &self.links.get(id)?.stage {
            Stage::Idle(spare) => Some((spare.heard, *id)),
            _ => None,
        };
        let (oldest, id) = place.links.iter().filter_map(heard).min()?;
        (self.clock.latest().mono.since(oldest) > missed).then_some(id)
    }

    fn refuse_registration(&mut self, id: LinkId) {
        self.stats.registers_limited += 1;
        self.refuse(id, RelayError::Unavailable);
    }

    /// Every holder of the route's key learns how many there are; but for a connection that was told of a call: what comes
    /// on it next belongs to the caller.
    fn tell_terms(&mut self, route: RouteId) {
        let links = self.routes.by_id.get(&route).map(|route| route.links.clone()).unwrap_or_default();
        for link in links {
            if matches!(self.links.get(&link).map(|link| &link.stage), Some(Stage::Idle(_))) {
                self.owe(link, Owed::TERMS);
            }
        }
    }

    /// A registered connection is gone, or became part of a call.
    pub(super) fn unregister(&mut self, id: LinkId, route: RouteId) {
        if let Some(place) = self.routes.by_id.get_mut(&route) {
            place.links.retain(|link| *link != id);
        }
        self.route_left(route);
    }

    /// Forgets a route that nobody uses, now or when it has paid back.
    pub(super) fn route_left(&mut self, route: RouteId) {
        let until = self.routes.leave(route, self.clock.latest().mono);
        self.timers.set(Timer::Route(route), until);
    }
}
