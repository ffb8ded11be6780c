//! From what the node says to what `--json` shows.

use lama_node::{
    ContactInfo, ContactStanding, EntryInfo, EntryStanding, Event, InvitationInfo, InvitationState,
    PeerState, PeerStatus, PendingInfo, WaitsFor,
};
use serde_json::{Value, json};

use crate::api;

/// A contact.
pub(super) fn contact(info: &ContactInfo) -> api::Contact {
    api::Contact {
        person: info.person.full(),
        email: info.email.clone(),
        state: match info.standing {
            ContactStanding::Pending => "pending",
            ContactStanding::Active => "active",
        }
        .to_owned(),
        fingerprint: info.pin.full(),
        check_code: info.check_code.clone(),
        instances: info
            .instances
            .iter()
            .map(|instance| api::ContactInstance {
                instance: instance.instance.full(),
                name: instance.name.clone(),
                url: Some(instance.url.clone()).filter(|url| !url.is_empty()),
                connected: instance.connected,
            })
            .collect(),
    }
}

/// A pairing that is not complete.
pub(super) fn pairing(info: &PendingInfo) -> api::Pairing {
    api::Pairing {
        person: info.person.full(),
        email: info.peer.as_ref().map(|peer| peer.email.clone()).unwrap_or_default(),
        instance_name: info.peer.as_ref().map(|peer| peer.instance_name.clone()).unwrap_or_default(),
        fingerprint: info.pin.full(),
        check_code: info.check_code.clone(),
        waits_for: match info.waits_for {
            WaitsFor::OurApproval => "our_approval",
            WaitsFor::TheirApproval => "their_approval",
            WaitsFor::Peer => "peer",
        }
        .to_owned(),
    }
}

/// An invitation.
pub(super) fn invitation(info: &InvitationInfo) -> api::Invitation {
    api::Invitation {
        locator: info.locator.to_string(),
        state: match info.state {
            InvitationState::Open => "open",
            InvitationState::Blocked => "blocked",
            InvitationState::Consumed { .. } => "consumed",
            InvitationState::Completed { .. } => "completed",
            InvitationState::Revoked => "revoked",
            InvitationState::Expired => "expired",
        }
        .to_owned(),
        label: info.label.clone(),
        expires: info.exp.unix_seconds(),
        confirm: info.policy == lama_invite::Policy::Confirm,
    }
}

/// A message.
pub(super) fn message(info: &EntryInfo) -> api::Message {
    api::Message {
        id: info.id.to_string(),
        author: info.author.full(),
        email: info.email.clone(),
        time: info.written.0,
        text: info.text.clone(),
        attachment: info.attachment.map(|id| id.to_string()),
        edited: match info.standing {
            EntryStanding::Edited { at } => Some(at.0),
            _ => None,
        },
        deleted: match info.standing {
            EntryStanding::Deleted { at } => Some(at.0),
            _ => None,
        },
        unread: info.unread,
    }
}

/// A peer.
pub(super) fn peer(status: &PeerStatus) -> api::Peer {
    let left = |flow: lama_chum::Flow| flow.total.map(|total| total.saturating_sub(flow.done));
    api::Peer {
        person: status.peer.person.full(),
        email: status.peer.email.clone(),
        instance: status.peer.instance.full(),
        path: match (status.session, status.relayed) {
            (None, _) => "none",
            (Some(_), true) => "relay",
            (Some(_), false) => "direct",
        }
        .to_owned(),
        state: match status.state {
            PeerState::InSync => "in_sync",
            PeerState::Syncing => "syncing",
            PeerState::Pairing => "pairing",
            PeerState::Connecting => "connecting",
            PeerState::Waiting => "waiting",
            PeerState::Unreachable => "unreachable",
            PeerState::Blocked => "blocked",
            PeerState::Off => "off",
            _ => "other",
        }
        .to_owned(),
        dialled: status.dialled,
        count: status.in_sync.map(|(count, _)| count),
        fingerprint: status.in_sync.map(|(_, fingerprint)| fingerprint.to_string()),
        to_send: left(status.progress.sent),
        to_receive: left(status.progress.received),
        bytes_sent: status.traffic.bytes_out,
        bytes_received: status.traffic.bytes_in,
        frames_sent: status.traffic.frames_out,
        frames_received: status.traffic.frames_in,
        round_trips_to_authenticated: status.traffic.authenticated_after,
        round_trips_to_first_object: status.traffic.first_object_after,
        last_seen: status.last_seen.map(|time| time.0),
        name: status.peer.instance_name.clone(),
        url: Some(status.url.clone()).filter(|url| !url.is_empty()),
        failures: status.failures,
        problem: status
            .problem
            .as_ref()
            .map(|fault| api::Problem { code: fault.code.to_owned(), message: fault.text.clone() }),
        again: status.again.map(|pause| u64::try_from(pause.as_millis()).unwrap_or(u64::MAX)),
        round_trip: status.round_trip.map(millis),
    }
}

/// Milliseconds with their fraction, to a microsecond.
pub(super) fn millis(time: std::time::Duration) -> f64 {
    (time.as_secs_f64() * 1e6).round() / 1e3
}

/// An event that a person or a program may want to see; `None` for what only a log wants.
pub(crate) fn event(event: &Event) -> Option<Value> {
    Some(match event {
        Event::Ready => json!({ "type": "ready" }),
        Event::Listening { urls } => json!({ "type": "listening", "urls": urls }),
        Event::SessionStarted { session, peer, dialled, url, .. } => json!({
            "type": "session_started", "session": session.0, "person": peer.person.full(), "email": peer.email,
            "instance": peer.instance.full(), "dialled": dialled, "url": url,
        }),
        Event::SessionEnded { session, peer, reason, .. } => json!({
            "type": "session_ended", "session": session.0, "person": peer.person.full(), "email": peer.email,
            "instance": peer.instance.full(), "reason": reason.code(), "message": reason.to_string(),
        }),
        Event::LinkRefused { reason, .. } => {
            json!({ "type": "link_refused", "reason": reason.code(), "message": reason.to_string() })
        }
        Event::DialFailed { peer, url, cause, failures } => json!({
            "type": "dial_failed", "email": peer.as_ref().map(|peer| peer.email.clone()), "url": url,
            "cause": cause.to_string(), "failures": failures,
        }),
        Event::PairingPending(info) => json!({ "type": "pairing_pending", "pairing": pairing(info) }),
        Event::Paired(info) => json!({ "type": "paired", "contact": contact(info) }),
        Event::PairingFailed { person, error } => json!({
            "type": "pairing_failed", "person": person.map(|person| person.full()), "code": error.code(),
            "message": error.to_string(),
        }),
        Event::ContactRemoved { person, by_peer } => {
            json!({ "type": "contact_removed", "person": person.full(), "by_peer": by_peer })
        }
        Event::KeyChanged { person, known, shown } => json!({
            "type": "key_changed", "person": person.full(), "known": known.full(), "shown": shown.map(|shown| shown.full()),
        }),
        Event::InstanceRevoked { person, noise } => json!({
            "type": "instance_revoked", "person": person.full(), "key": crate::identity::hex(noise.as_bytes()),
        }),
        Event::InstanceRotated { peer } => json!({
            "type": "instance_rotated", "person": peer.person.full(), "email": peer.email, "instance": peer.instance_name,
        }),
        Event::PersonRotated { person, before, now } => json!({
            "type": "person_rotated", "person": person.full(), "before": before.full(), "fingerprint": now.full(),
        }),
        Event::LogArrived { peer, seq } => {
            json!({ "type": "log_arrived", "email": peer.email, "instance": peer.instance_name, "entries": seq })
        }
        Event::RevokedHere => json!({ "type": "revoked_here" }),
        Event::LogAlarm { person, code } => {
            json!({ "type": "log_alarm", "person": person.full(), "code": code })
        }
        Event::InvitationExpired { locator } => {
            json!({ "type": "invitation_expired", "locator": locator.to_string() })
        }
        Event::EndpointChanged { peer, url } => {
            json!({ "type": "endpoint_changed", "email": peer.email, "url": url })
        }
        Event::Message(entry) => json!({ "type": "message", "message": message(entry) }),
        Event::MessageChanged(entry) => json!({ "type": "message_changed", "message": message(entry) }),
        Event::Shared(info) => json!({
            "type": "shared", "by": info.by.full(), "id": info.root.to_string(), "of_type": info.type_name,
        }),
        Event::Progress { session, person, progress } => json!({
            "type": "progress", "session": session.0, "person": person.full(),
            "received": flow(progress.received), "sent": flow(progress.sent),
        }),
        Event::InSync { peer, count, fingerprint, .. } => json!({
            "type": "in_sync", "person": peer.person.full(), "email": peer.email, "count": count,
            "fingerprint": fingerprint.to_string(),
        }),
        Event::OutOfSync { peer } => json!({ "type": "out_of_sync", "email": peer.email }),
        Event::StoreFailed { doing, error } => {
            json!({ "type": "store_failed", "doing": doing, "cause": error.to_string() })
        }
        Event::Stopped => json!({ "type": "stopped" }),
        _ => return None,
    })
}

fn flow(flow: lama_chum::Flow) -> Value {
    json!({ "done": flow.done, "total": flow.total, "objects": flow.objects, "bytes": flow.bytes })
}
