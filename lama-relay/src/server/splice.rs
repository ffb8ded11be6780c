//! A call that stands: every message of one end goes to the other as it is, within bounds.

use bytes::Bytes;
use lama_core::Instant;

use super::Server;
use super::link::{Link, MESSAGE_COST, Owed, Splice, Stage};
use crate::wire::MAX_MESSAGE;
use crate::{LinkId, RelayError};

impl Server {
    /// ACCEPT: the two are one call from here on, if there is room for one.
    pub(super) fn accept(&mut self, callee: LinkId, caller: LinkId, now: Instant) {
        let Some(route) = self.links.get(&callee).and_then(Link::route) else { return };
        // More may have rung while there was room than there is room for.
        if self.splices() >= self.config.splices {
            self.stats.rings_limited += 1;
            self.refuse_by(caller);
            return self.close(callee, None);
        }
        let ends = now + self.config.splice_time;
        for (own, other) in [(callee, caller), (caller, callee)] {
            let Some(link) = self.links.get_mut(&own) else { continue };
            link.stage = Stage::Spliced(
                Splice { route, other, queue: Default::default(), queued: 0, heard: now, ends, moved: 0 }
                    .into(),
            );
            self.due(own, now + self.config.idle);
        }
        if let Some(place) = self.routes.by_id.get_mut(&route) {
            place.splices += 1;
        }
        self.stats.connected += 1;
        self.unregister(callee, route);
        self.owe(caller, Owed::CONNECTED);
        self.release(caller);
    }

    /// A message from one end.
    pub(super) fn carry(&mut self, id: LinkId, message: Bytes, now: Instant) -> Result<(), RelayError> {
        let len = message.len();
        if len > MAX_MESSAGE {
            return Err(RelayError::MessageTooLong { len });
        }
        let Some(splice) = self.links.get_mut(&id).and_then(Link::splice_mut) else { return Ok(()) };
        splice.heard = now;
        splice.moved = splice.moved.saturating_add(len as u64);
        let (other, route, moved) = (splice.other, splice.route, splice.moved);
        let (limit, window) = (self.config.route_bytes, self.config.route_bytes_in);
        let within = self
            .routes
            .by_id
            .get_mut(&route)
            .is_none_or(|route| route.bytes.take_bytes(len as u64, limit, window, now));
        let Some(peer) = self.links.get_mut(&other).and_then(Link::splice_mut) else { return Ok(()) };
        if !within || moved.saturating_add(peer.moved) > self.config.splice_bytes {
            return Err(RelayError::SpliceQuota);
        }
        self.stats.messages += 1;
        self.stats.bytes += len as u64;
        peer.queued += len + MESSAGE_COST;
        peer.queue.push_back(message);
        self.ready.insert(other);
        Ok(())
    }

    /// The next message for this end, or what is left for it after the other end has closed.
    pub(super) fn spliced_frame(&mut self, id: LinkId) -> Option<Bytes> {
        let link = self.links.get_mut(&id)?;
        let splice = match &mut link.stage {
            Stage::Spliced(splice) => splice,
            Stage::Closing(rest) => return rest.pop_front(),
            _ => return None,
        };
        let message = splice.queue.pop_front()?;
        splice.queued = splice.queued.saturating_sub(message.len() + MESSAGE_COST);
        let (other, room) = (splice.other, splice.queued < self.config.splice_buffer);
        if room {
            self.release(other);
        }
        Some(message)
    }

    pub(super) fn splice_timer(&mut self, id: LinkId, now: Instant) {
        let Some(own) = self.links.get(&id).and_then(Link::splice) else { return };
        let other = self.links.get(&own.other).and_then(Link::splice);
        let heard = other.map_or(own.heard, |other| other.heard.max(own.heard));
        let idle = heard + self.config.idle;
        let due = idle.min(own.ends);
        if own.ends <= now {
            self.close(id, Some(RelayError::SpliceTime));
        } else if idle <= now {
            self.close(id, Some(RelayError::SpliceIdle));
        } else {
            self.due(id, due);
        }
    }

    /// One end is gone: so is the other, with what was on its way to it.
    pub(super) fn end_splice(&mut self, splice: &Splice) {
        let other = self.links.get(&splice.other).and_then(Link::splice).is_some();
        if other {
            self.stats.ended += 1;
            if let Some(place) = self.routes.by_id.get_mut(&splice.route) {
                place.splices = place.splices.saturating_sub(1);
            }
            self.close(splice.other, None);
            self.route_left(splice.route);
        }
    }

    pub(super) fn splices(&self) -> usize {
        let calls = self.stats.connected.saturating_sub(self.stats.ended);
        usize::try_from(calls).unwrap_or(usize::MAX)
    }
}
