//! From a relay to a direct route: while a session goes through a relay, direct routes are tried beside it, and the first
//! that answers takes over. The session through the relay goes on until then.
//!
//! Nothing is lost by the change and nothing is taken twice: the new session begins where the durable cursors of both ends
//! are, as after any reconnect.

use alloc::string::String;
use alloc::vec::Vec;
use core::time::Duration;

use lama_handshake::Via;
use lama_identity::InstanceId;

use super::{Purpose, Timer};
use crate::node::{Node, Phase};
use crate::session::Gate;

/// Whether a route, as text, leads to the other side without a relay.
fn is_direct(route: &str) -> bool {
    !route.contains('#')
}

impl Node {
    /// Whether the session with an instance goes through a relay.
    pub(crate) fn is_relayed(&self, instance: &InstanceId) -> bool {
        let session = self.peers.get(instance).and_then(|peer| peer.session);
        session.and_then(|id| self.links.get(&id)).is_some_and(|link| link.via() != Via::Direct)
    }

    /// Those that are not switched off.
    fn direct_routes(&self, instance: &InstanceId) -> Vec<String> {
        let Some(peer) = self.peers.get(instance) else { return Vec::new() };
        let known = self.book.person(&peer.person).and_then(|known| known.contact.instance(instance));
        let urls = peer.nearby.iter().chain(known.into_iter().flat_map(|known| &known.urls));
        let on = |url: &&String| self.routes_off.by(&peer.person, instance, url).is_none();
        urls.filter(|url| is_direct(url)).filter(on).cloned().collect()
    }

    /// A session has begun, or an attempt beside it has failed: when a direct route is tried next, if that could be better.
    pub(crate) fn seek_direct(&mut self, instance: InstanceId) {
        if !self.is_relayed(&instance) {
            if let Some(peer) = self.peers.get_mut(&instance) {
                peer.sought = 0;
            }
            return;
        }
        let Some(peer) = self.peers.get(&instance) else { return };
        let (first, max) = (self.config.direct_first, self.config.direct_max);
        let pause = self.pause(first, max, peer.sought);
        self.seek_direct_after(instance, pause);
    }

    /// A direct route may work that did not before: it is tried at once, if the session goes through a relay.
    pub(crate) fn seek_direct_now(&mut self, instance: InstanceId) {
        if let Some(peer) = self.peers.get_mut(&instance) {
            peer.sought = 0;
        }
        self.seek_direct_after(instance, Duration::ZERO);
    }

    fn seek_direct_after(&mut self, instance: InstanceId, pause: Duration) {
        if self.is_relayed(&instance) && !self.direct_routes(&instance).is_empty() {
            let at = self.clock.latest().mono + pause;
            self.timers.set(Timer::Peer(instance), Some(at));
        }
    }

    /// The time has come: the next direct route is dialled beside the session through the relay.
    pub(crate) fn try_direct(&mut self, instance: InstanceId) {
        if self.phase != Phase::Running || self.am_revoked() || !self.is_relayed(&instance) {
            return;
        }
        let routes = self.direct_routes(&instance);
        let Some(peer) = self.peers.get_mut(&instance) else { return };
        let turn = usize::try_from(peer.sought).unwrap_or(0).checked_rem(routes.len()).unwrap_or(0);
        let Some(route) = routes.get(turn).cloned() else { return };
        peer.sought = peer.sought.saturating_add(1);
        let live = peer.session.and_then(|id| self.links.get(&id)).and_then(|link| link.live());
        // A pairing is completed where it was begun.
        let open = live.is_some_and(|live| live.gate == Gate::Open);
        let active = self.book.person(&peer.person).is_some_and(super::Known::is_active);
        if !(open && active) || peer.dialling.is_some() {
            return self.seek_direct(instance);
        }
        let route = self.found_nearby(instance).unwrap_or(route);
        let ticket = self.dial(Purpose::Peer(instance), route, self.config.dial);
        if let Some(peer) = self.peers.get_mut(&instance) {
            peer.dialling = Some(ticket);
        }
    }

    /// A dial beside a live session came to nothing: that session goes on.
    pub(crate) fn beside_lost(&mut self, instance: InstanceId) {
        let session = self.peers.get(&instance).and_then(|peer| peer.session);
        let link = session.and_then(|id| self.links.get_mut(&id));
        if let Some(live) = link.and_then(|link| link.live_mut()) {
            // A renewal is tried again with the session's next deadline.
            live.renewing = false;
        }
        self.seek_direct(instance);
    }
}
