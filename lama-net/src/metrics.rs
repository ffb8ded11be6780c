//! Counts of what happened, and the figures of the moment, as Prometheus reads them.
//!
//! Names of persons, instances and addresses are no labels: they would tell whoever may read the figures more than how the
//! instance does, and there is no bound on how many there are. Labels are stable words of this program alone.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use lama_node::{Event, HealthItem, PeerState, Severity, Status, Traffic};

use crate::gate::Full;

/// By a stable word.
type Words = BTreeMap<&'static str, u64>;

/// What has happened since the start.
#[derive(Debug, Clone, Default)]
pub struct Counters {
    sessions_started: u64,
    sessions_ended: Words,
    links_refused: Words,
    door_refused: Words,
    put_out: u64,
    dials_failed: Words,
    pairings: Words,
    alarms: Words,
    messages: u64,
    objects: u64,
    objects_refused: Words,
    /// Of sessions that have ended.
    ended: Traffic,
    /// The most that was ever told: a counter does not go back.
    told: [u64; 2],
}

fn one(words: &mut Words, word: &'static str) {
    let count = words.entry(word).or_default();
    *count = count.saturating_add(1);
}

impl Counters {
    /// A connection was not even accepted as a link.
    pub(crate) fn refused_at_door(&mut self, full: Full) {
        one(&mut self.door_refused, full.code());
    }

    /// Somebody who had proved nothing lost his place at the door to somebody newer.
    pub(crate) fn put_out(&mut self) {
        self.put_out = self.put_out.saturating_add(1);
    }

    /// Counts an event.
    pub fn note(&mut self, event: &Event) {
        match event {
            Event::SessionStarted { .. } => self.sessions_started = self.sessions_started.saturating_add(1),
            Event::SessionEnded { reason, traffic, .. } => {
                one(&mut self.sessions_ended, reason.code());
                self.ended.bytes_in = self.ended.bytes_in.saturating_add(traffic.bytes_in);
                self.ended.bytes_out = self.ended.bytes_out.saturating_add(traffic.bytes_out);
            }
            Event::LinkRefused { reason, .. } => one(&mut self.links_refused, reason.code()),
            Event::DialFailed { cause, .. } => one(&mut self.dials_failed, cause.code()),
            Event::Paired(_) => one(&mut self.pairings, "complete"),
            Event::PairingFailed { .. } => one(&mut self.pairings, "failed"),
            Event::Message(_) => self.messages = self.messages.saturating_add(1),
            Event::Received { objects, .. } => self.objects = self.objects.saturating_add(*objects),
            Event::ObjectRefused { there, .. } => {
                one(&mut self.objects_refused, if *there { "there" } else { "here" });
            }
            Event::KeyChanged { .. } => one(&mut self.alarms, "key-changed"),
            Event::InstanceCloned { .. } => one(&mut self.alarms, "cloned"),
            Event::RevokedHere => one(&mut self.alarms, "revoked-here"),
            Event::LogAlarm { .. } => one(&mut self.alarms, "log"),
            Event::OutOfSync { .. } => one(&mut self.alarms, "out-of-sync"),
            Event::StoreFailed { .. } => one(&mut self.alarms, "store-failed"),
            _ => {}
        }
    }

    /// Everything, in Prometheus' text form (version 0.0.4).
    pub fn text(&mut self, status: &Status, health: &[HealthItem], version: &str) -> String {
        let mut out = Page::default();
        out.head("lama_info", "gauge", "What runs.");
        out.row("lama_info", "version", Some(version), 1);
        out.number("lama_sessions_started_total", "counter", "Sessions begun.", self.sessions_started);
        out.words("lama_sessions_ended_total", "reason", "Sessions ended.", &self.sessions_ended);
        out.words(
            "lama_links_refused_total",
            "reason",
            "Links that did not become sessions.",
            &self.links_refused,
        );
        out.words(
            "lama_door_refused_total",
            "limit",
            "Connections dropped at the door, by the limit.",
            &self.door_refused,
        );
        out.number(
            "lama_door_put_out_total",
            "counter",
            "Strangers who lost their place to somebody newer.",
            self.put_out,
        );
        out.words("lama_dials_failed_total", "cause", "Dials that reached nobody.", &self.dials_failed);
        out.words("lama_pairings_total", "result", "Pairings decided.", &self.pairings);
        out.words("lama_alarms_total", "alarm", "What must not be missed.", &self.alarms);
        out.number("lama_messages_received_total", "counter", "Messages that arrived.", self.messages);
        out.number(
            "lama_objects_received_total",
            "counter",
            "Objects that arrived and are durable.",
            self.objects,
        );
        out.words(
            "lama_objects_refused_total",
            "at",
            "Objects refused, by which end.",
            &self.objects_refused,
        );
        self.bytes(status, &mut out);
        gauges(status, health, &mut out);
        out.0
    }

    /// Those of ended sessions and of those that are up.
    fn bytes(&mut self, status: &Status, out: &mut Page) {
        let live = |of: fn(&Traffic) -> u64| status.peers.iter().map(|peer| of(&peer.traffic)).sum::<u64>();
        let now = [
            self.ended.bytes_in.saturating_add(live(|traffic| traffic.bytes_in)),
            self.ended.bytes_out.saturating_add(live(|traffic| traffic.bytes_out)),
        ];
        out.head("lama_bytes_total", "counter", "Bytes of sessions, without WebSocket's own.");
        for ((told, now), direction) in self.told.iter_mut().zip(now).zip(["received", "sent"]) {
            *told = (*told).max(now);
            out.row("lama_bytes_total", "direction", Some(direction), *told);
        }
    }
}

fn gauges(status: &Status, health: &[HealthItem], out: &mut Page) {
    const STATES: [(PeerState, &str); 8] = [
        (PeerState::InSync, "in-sync"),
        (PeerState::Syncing, "syncing"),
        (PeerState::Pairing, "pairing"),
        (PeerState::Connecting, "connecting"),
        (PeerState::Waiting, "waiting"),
        (PeerState::Unreachable, "unreachable"),
        (PeerState::Blocked, "blocked"),
        (PeerState::Off, "off"),
    ];
    let count = |number: usize| u64::try_from(number).unwrap_or(u64::MAX);
    out.head("lama_peers", "gauge", "Known instances, by where they stand.");
    for (state, word) in STATES {
        out.row(
            "lama_peers",
            "state",
            Some(word),
            count(status.peers.iter().filter(|p| p.state == state).count()),
        );
    }
    let relayed = status.peers.iter().filter(|peer| peer.session.is_some() && peer.relayed).count();
    let direct = status.peers.iter().filter(|peer| peer.session.is_some() && !peer.relayed).count();
    out.head("lama_sessions", "gauge", "Sessions that are up, by path.");
    out.row("lama_sessions", "path", Some("direct"), count(direct));
    out.row("lama_sessions", "path", Some("relay"), count(relayed));
    let slowest = status.peers.iter().filter_map(|peer| peer.round_trip).max().unwrap_or_default();
    out.number(
        "lama_round_trip_slowest_microseconds",
        "gauge",
        "The longest of the last round trips to peers.",
        u64::try_from(slowest.as_micros()).unwrap_or(u64::MAX),
    );
    let unknown = count(status.unauthenticated);
    out.number("lama_links_unauthenticated", "gauge", "Links that have not proved anything yet.", unknown);
    out.number("lama_offline", "gauge", "1 without any network.", u64::from(status.offline));
    out.number("lama_routes_advertised", "gauge", "Where others can dial.", count(status.listening.len()));
    out.number("lama_store_objects", "gauge", "Objects here.", status.store.objects);
    out.number("lama_store_bytes", "gauge", "Their bytes.", status.store.bytes);
    out.number("lama_store_aside", "gauge", "Objects that wait for a part of theirs.", status.store.aside);
    out.head("lama_health_items", "gauge", "What was looked at, by how bad it is.");
    for severity in [Severity::Good, Severity::Warning, Severity::Error] {
        let number = health.iter().filter(|item| item.severity == severity).count();
        out.row("lama_health_items", "severity", Some(severity.name()), count(number));
    }
}

#[derive(Default)]
struct Page(String);

impl Page {
    fn head(&mut self, name: &str, kind: &str, help: &str) {
        let _ = write!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}\n");
    }

    fn row(&mut self, name: &str, label: &str, value: Option<&str>, number: u64) {
        let _ = match value {
            Some(value) => writeln!(self.0, "{name}{{{label}=\"{value}\"}} {number}"),
            None => writeln!(self.0, "{name} {number}"),
        };
    }

    fn number(&mut self, name: &str, kind: &str, help: &str, number: u64) {
        self.head(name, kind, help);
        self.row(name, "", None, number);
    }

    fn words(&mut self, name: &str, label: &str, help: &str, words: &Words) {
        self.head(name, "counter", help);
        for (word, number) in words {
            self.row(name, label, Some(word), *number);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_happens_is_counted_under_words_of_this_program_alone() {
        let mut counters = Counters::default();
        let refused = Event::LinkRefused {
            link: lama_node::LinkId(1),
            reason: lama_node::RefuseReason::UnknownInstance { group: None },
        };
        counters.note(&refused);
        counters.note(&refused);
        counters.note(&Event::RevokedHere);
        assert_eq!(counters.links_refused.get("unknown-instance"), Some(&2));
        assert_eq!(counters.alarms.get("revoked-here"), Some(&1));
        let mut page = Page::default();
        page.words("lama_links_refused_total", "reason", "Links.", &counters.links_refused);
        assert_eq!(
            page.0,
            "# HELP lama_links_refused_total Links.\n# TYPE lama_links_refused_total counter\n\
             lama_links_refused_total{reason=\"unknown-instance\"} 2\n"
        );
    }
}
