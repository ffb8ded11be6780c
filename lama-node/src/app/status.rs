//! How things stand.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;

use lama_handshake::Via;
use lama_identity::InstanceId;
use lama_store::Stats;

use crate::api::{Group, PeerState, PeerStatus, Reply, Status};
use crate::hub::Peer;
use crate::node::Node;
use crate::session::{Gate, is_complete};

impl Node {
    /// The answer to [`crate::Command::Status`].
    pub(crate) fn status(&self, store: Stats) -> Reply {
        let peers = self.peers.iter().filter_map(|(instance, peer)| self.peer_status(instance, peer));
        Reply::Status(Box::new(Status {
            me: self.own_info(),
            pin: self.identity.public.pin(),
            listening: self.listening.clone(),
            peers: peers.collect::<Vec<_>>(),
            offline: self.is_offline(),
            unauthenticated: self.limits.unauthenticated(),
            store,
        }))
    }

    /// Whether nothing but the way to any host is missing.
    fn is_offline(&self) -> bool {
        // Who says nowhere how to be reached says nothing of the network either.
        let tried = |peer: &&Peer| peer.again.is_some() || peer.dialling.is_some();
        let mut tried = self.peers.values().filter(tried).peekable();
        let no_way = |peer: &Peer| {
            let code = peer.problem.as_ref().map(|problem| problem.code);
            matches!(code, Some("dial.unreachable" | "dial.not-found"))
        };
        tried.peek().is_some() && self.peers.values().all(|peer| peer.session.is_none()) && tried.all(no_way)
    }

    /// Whether there are routes to an instance, and all are switched off.
    fn is_off(&self, instance: &InstanceId, peer: &Peer) -> bool {
        let known = self.book.person(&peer.person).and_then(|known| known.contact.instance(instance));
        let urls = known.map_or(&[][..], |known| &known.urls);
        !urls.is_empty() && urls.iter().all(|url| self.routes_off.by(&peer.person, instance, url).is_some())
    }

    fn peer_status(&self, instance: &InstanceId, peer: &Peer) -> Option<PeerStatus> {
        let info = self.instance_info(instance)?;
        let link = peer.session.and_then(|link| self.links.get(&link));
        let live = link.and_then(|link| link.live());
        let url: String = self
            .book
            .person(&peer.person)
            .and_then(|known| known.contact.instance(instance))
            .and_then(|known| known.urls.first().cloned())
            .unwrap_or_default();
        let state = match live {
            Some(live) if live.group == Group::Pairing || live.gate != Gate::Open => PeerState::Pairing,
            // Both ends agreed, and what came since has been exchanged.
            Some(live) if live.in_sync && is_complete(&Self::progress_of(live)) => PeerState::InSync,
            Some(_) => PeerState::Syncing,
            None if self.is_blocked(&peer.person) => PeerState::Blocked,
            None if self.is_off(instance, peer) => PeerState::Off,
            None if peer.dialling.is_some() => PeerState::Connecting,
            None if peer.again.is_some() => PeerState::Waiting,
            None => PeerState::Unreachable,
        };
        Some(PeerStatus {
            peer: info,
            state,
            session: live.map(|live| live.id),
            dialled: link.is_some_and(|link| link.dialled()),
            relayed: link.is_some_and(|link| link.via() != Via::Direct),
            url,
            last_seen: peer.seen,
            progress: live.map(Self::progress_of).unwrap_or_default(),
            in_sync: peer.in_sync,
            traffic: link.map(|link| link.traffic).unwrap_or_default(),
            failures: peer.failures,
            problem: peer.problem.clone(),
            again: peer.again.map(|at| at.since(self.clock.latest().mono)),
            round_trip: live.and_then(|live| live.mux.round_trip()),
        })
    }
}
