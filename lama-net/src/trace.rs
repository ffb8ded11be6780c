//! What `tracing` gets to see of a node: a span for each session, and an event with a stable name for everything that
//! happens (`docs/observability.md` has the table). No secret, no address of a mailbox and no text is in any of it.

use std::collections::BTreeMap;
use std::time::Duration;

use lama_core::Instant;
use lama_identity::InstanceId;
use lama_node::{Event, GroupEvent, LinkId, PeerInfo, RefuseReason, SessionId};
use tracing::{Span, debug, error, info, trace, warn};

/// The process and its clock.
const NODE: &str = "lama::node";
/// Links that are no sessions yet, and dials that come to nothing.
const LINK: &str = "lama::link";
/// Sessions.
const SESSION: &str = "lama::session";
/// Invitations and contacts.
const PAIRING: &str = "lama::pairing";
/// What is exchanged.
const SYNC: &str = "lama::sync";
/// What must not be missed.
const ALARM: &str = "lama::alarm";

/// The spans of the sessions that are up.
#[derive(Debug, Default)]
pub(crate) struct Traces {
    spans: BTreeMap<SessionId, (InstanceId, Span)>,
    refusals: Refusals,
}

/// Strangers may be refused a thousand times a second: of that the log of what happened tells as much as a reader takes in.
#[derive(Debug, Default)]
struct Refusals {
    /// When the lines began that are counted, and how many there were since.
    since: Instant,
    told: u32,
    /// Refused and not told.
    untold: u64,
}

impl Refusals {
    const EVERY: Duration = Duration::from_secs(10);
    const LINES: u32 = 10;

    /// Another one: whether it is told, and then how many before it were not.
    fn another(&mut self, now: Instant) -> Option<u64> {
        if now.since(self.since) >= Self::EVERY {
            (self.since, self.told) = (now, 0);
        }
        if self.told < Self::LINES {
            self.told += 1;
            return Some(std::mem::take(&mut self.untold));
        }
        self.untold += 1;
        None
    }

    fn note(&mut self, now: Instant, link: LinkId, reason: &RefuseReason) {
        let (link, reason) = (link.0, reason.code());
        match self.another(now) {
            Some(untold) => info!(target: LINK, event = "link.refused", link, reason, untold),
            None => debug!(target: LINK, event = "link.refused", link, reason),
        }
    }
}

/// A URL without what follows `#`: a relay's key and a route's name.
fn bare(url: &str) -> &str {
    url.split('#').next().unwrap_or_default()
}

/// What happens on a connection, without messages.
fn note_group(event: &GroupEvent) {
    match event {
        GroupEvent::Opened { connection, group, .. } => {
            debug!(target: SESSION, event = "connection.opened", connection = connection.0, %group);
        }
        GroupEvent::Message { connection, message, .. } => {
            trace!(target: SESSION, event = "connection.message", connection = connection.0, bytes = message.len());
        }
        GroupEvent::Closed { connection, end } => {
            debug!(target: SESSION, event = "connection.closed", connection = connection.0, end = end.code());
        }
    }
}

impl Traces {
    /// An event of the node.
    pub(crate) fn note(&mut self, now: Instant, event: &Event) {
        match event {
            Event::LinkRefused { link, reason } => self.refusals.note(now, *link, reason),
            Event::SessionStarted { session, link, peer, group, dialled, url } => {
                let url = url.as_deref().map(bare);
                let span = tracing::info_span!(
                    target: SESSION, "session", session = session.0, link = link.0, person = %peer.person,
                    instance = %peer.instance, dialled, url
                );
                span.in_scope(|| info!(target: SESSION, event = "session.started", ?group));
                self.spans.insert(*session, (peer.instance, span));
            }
            Event::SessionEnded { session, reason, traffic, .. } => {
                let span = self.spans.remove(session).map_or_else(Span::none, |(_, span)| span);
                span.in_scope(|| {
                    info!(
                        target: SESSION, event = "session.ended", reason = reason.code(), bytes_in = traffic.bytes_in,
                        bytes_out = traffic.bytes_out, frames_in = traffic.frames_in, frames_out = traffic.frames_out,
                        authenticated_after = traffic.authenticated_after, first_object_after = traffic.first_object_after,
                    );
                });
            }
            Event::InSync { session, count, .. } => {
                self.span(*session).in_scope(|| debug!(target: SYNC, event = "sync.in-sync", count));
            }
            Event::Progress { session, progress, .. } => {
                let (sent, received) = (progress.sent.done, progress.received.done);
                self.span(*session).in_scope(|| trace!(target: SYNC, event = "sync.progress", sent, received));
            }
            Event::Received { peer, objects, aside } => {
                self.span_of(peer).in_scope(|| debug!(target: SYNC, event = "sync.received", objects, aside));
            }
            Event::ObjectRefused { peer, id, there, reason } => self.span_of(peer).in_scope(|| {
                warn!(target: SYNC, event = "sync.refused", %id, there, ?reason);
            }),
            Event::OutOfSync { peer } => {
                self.span_of(peer).in_scope(|| error!(target: ALARM, event = "alarm.out-of-sync"));
            }
            Event::Group(event) => note_group(event),
            Event::LogArrived { peer, seq } => {
                self.span_of(peer).in_scope(|| debug!(target: SESSION, event = "session.log-arrived", seq));
            }
            Event::EndpointChanged { peer, url } => self.span_of(peer).in_scope(|| {
                info!(target: LINK, event = "link.endpoint-changed", instance = %peer.instance, url = bare(url));
            }),
            event => plain(event),
        }
    }

    fn span(&self, session: SessionId) -> &Span {
        const NONE: &Span = &Span::none();
        self.spans.get(&session).map_or(NONE, |(_, span)| span)
    }

    fn span_of(&self, peer: &PeerInfo) -> Span {
        let found = self.spans.values().find(|(instance, _)| *instance == peer.instance);
        found.map_or_else(Span::none, |(_, span)| span.clone())
    }
}

/// Events that belong to no session.
fn plain(event: &Event) {
    match event {
        Event::Ready => info!(target: NODE, event = "node.ready"),
        Event::Listening { urls } => {
            let urls: Vec<&str> = urls.iter().map(|url| bare(url)).collect();
            info!(target: NODE, event = "node.listening", ?urls);
        }
        Event::Stopped => info!(target: NODE, event = "node.stopped"),
        Event::ClockBehind { highest, now } => {
            warn!(target: NODE, event = "node.clock-behind", highest = highest.0, now = now.0);
        }
        Event::ClockCorrected => info!(target: NODE, event = "node.clock-corrected"),
        Event::OwnLogGrown { seq } => info!(target: NODE, event = "node.log-grown", seq),
        Event::StoreFailed { doing, error } => {
            error!(target: ALARM, event = "alarm.store-failed", doing, error = error.code());
        }
        Event::DialFailed { peer, url, cause, failures } => {
            let instance = peer.as_ref().map(|peer| tracing::field::display(peer.instance));
            info!(target: LINK, event = "link.dial-failed", instance, url = bare(url), cause = cause.code(), failures);
        }
        Event::PairingPending(info) => {
            info!(target: PAIRING, event = "pairing.pending", person = %info.person, waits_for = ?info.waits_for);
        }
        Event::Paired(contact) => {
            info!(target: PAIRING, event = "pairing.complete", person = %contact.person)
        }
        Event::PairingFailed { person, error } => {
            let person = person.map(tracing::field::display);
            warn!(target: PAIRING, event = "pairing.failed", person, code = error.code());
        }
        Event::ContactRemoved { person, by_peer } => {
            info!(target: PAIRING, event = "pairing.removed", %person, by_peer);
        }
        Event::InvitationExpired { locator } => {
            info!(target: PAIRING, event = "pairing.invitation-expired", %locator);
        }
        Event::InvitationMuted { locator } => {
            warn!(target: PAIRING, event = "pairing.invitation-muted", %locator);
        }
        Event::Message(entry) => {
            debug!(target: SYNC, event = "sync.message", id = %entry.id, author = %entry.author)
        }
        Event::MessageChanged(entry) => debug!(target: SYNC, event = "sync.message-changed", id = %entry.id),
        Event::Shared(info) => debug!(target: SYNC, event = "sync.shared", id = %info.root, by = %info.by),
        Event::KeyChanged { person, known, .. } => {
            error!(target: ALARM, event = "alarm.key-changed", %person, %known);
        }
        Event::InstanceCloned { peer } => {
            error!(target: ALARM, event = "alarm.cloned", person = %peer.person, instance = %peer.instance);
        }
        Event::InstanceRevoked { person, .. } => warn!(target: ALARM, event = "alarm.revoked", %person),
        Event::RevokedHere => error!(target: ALARM, event = "alarm.revoked-here"),
        Event::InstanceRotated { peer } => {
            info!(target: NODE, event = "instance.rotated", person = %peer.person, instance = %peer.instance);
        }
        Event::PersonRotated { person, now, .. } => {
            info!(target: NODE, event = "person.rotated", %person, %now)
        }
        Event::LogAlarm { person, code } => error!(target: ALARM, event = "alarm.log", %person, code),
        other => trace!(target: NODE, event = "node.other", ?other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_of_refusals_is_a_few_lines_and_a_number() {
        let at = |millis| Instant::from_origin(Duration::from_millis(millis));
        let mut refusals = Refusals::default();
        // A thousand a second, half a minute long.
        let told: Vec<u64> = (0..30_000).filter_map(|millis| refusals.another(at(millis))).collect();
        assert_eq!(told.len(), 30);
        let untold: Vec<u64> = told.into_iter().filter(|untold| *untold > 0).collect();
        assert_eq!(untold, [9_990, 9_990]);
        // The rest of it comes with whoever is next.
        assert_eq!(refusals.another(at(3_600_000)), Some(9_990));
        assert_eq!(refusals.another(at(3_600_001)), Some(0));
    }
}
