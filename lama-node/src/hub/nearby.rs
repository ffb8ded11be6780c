//! The local network: whom the host may look for there, and what comes of finding somebody.
//!
//! An address that was found is a hint: it is dialled once, before the routes that are known, and kept nowhere. Who answers there has
//! to prove himself as anywhere else.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::net::SocketAddrV4;

use lama_identity::InstanceId;
use lama_lan::{LanKey, LanPeer};

use super::Known;
use crate::node::{Node, Phase};

impl Node {
    /// The instances of contacts that may be looked for on the local network, and answered there. Sought are those with whom
    /// there is no session, or one through a relay only.
    #[must_use]
    pub fn lan_peers(&self) -> Vec<LanPeer> {
        if self.phase != Phase::Running || self.am_revoked() {
            return Vec::new();
        }
        let entry = |(instance, peer): (&InstanceId, &super::Peer)| {
            let known = self.book.person(&peer.person).filter(|known| known.is_active())?;
            let living = known.contact.instance(instance)?.revoked.is_none();
            if !living || self.is_blocked(&peer.person) {
                return None;
            }
            let key = LanKey::of(peer.pair.as_ref()?.expose());
            let apart = peer.session.is_none() || self.is_relayed(instance);
            let sought = apart && self.routes_off.by(&peer.person, instance, "").is_none();
            Some(LanPeer { instance: *instance, key, sought })
        };
        self.peers.iter().filter_map(entry).collect()
    }

    /// Where an instance was found, for the dial that tries it.
    pub(crate) fn found_nearby(&mut self, instance: InstanceId) -> Option<String> {
        self.peers.get_mut(&instance)?.nearby.take()
    }

    /// [`crate::Input::Nearby`]: it is dialled there at once, whatever the backoff, unless a direct session is there.
    pub(crate) fn nearby(&mut self, instance: InstanceId, at: SocketAddrV4) {
        let url = format!("ws://{at}");
        let off = |peer: &super::Peer| self.routes_off.by(&peer.person, &instance, &url).is_some();
        let active = |peer: &super::Peer| self.book.person(&peer.person).is_some_and(Known::is_active);
        let wanted = self.peers.get(&instance).is_some_and(|peer| active(peer) && !off(peer));
        let Some(peer) = self.peers.get_mut(&instance).filter(|_| wanted) else { return };
        peer.nearby = Some(url);
        if peer.session.is_none() {
            self.dial_peer(instance);
        } else {
            self.seek_direct_now(instance);
        }
    }
}
