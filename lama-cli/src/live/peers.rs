//! How the other side of a session sees it, and what differs from how it looks here.

use std::time::Duration;

use lama_node::{Command, DebugCommand, HealthItem, NodeError, PeerInfo, PeerStatus, Reply, Seen, Severity};

use super::rows::millis;
use super::seeing::{connect, named};
use super::work::{contact, unexpected};
use super::{Live, people};
use crate::api;
use crate::doctor::row;
use crate::failure::{Exit, Failure};

/// Clocks that differ by more are worth a word, and by this much they are in the way.
const CLOCK_SLACK: u64 = 60_000;
const CLOCK_WRONG: u64 = 600_000;

/// What the instances that `text` names say: each that is connected, or why none is.
pub(super) fn ask(live: &Live, text: &str) -> Result<api::PeerViews, Failure> {
    let mut rows = named(live, text)?;
    if rows.iter().all(|row| row.session.is_none()) {
        match connect(live, text, &rows) {
            Ok(found) => rows = found,
            Err(failure) if failure.exit == Exit::Unreached => {
                let first = rows.first().map(|row| not_connected(&row.peer, &failure));
                return Ok(api::PeerViews { peers: first.into_iter().collect() });
            }
            Err(failure) => return Err(failure),
        }
    }
    let connected = rows.iter().filter(|row| row.session.is_some());
    let peers = connected.map(|row| one(live, row)).collect::<Result<_, _>>()?;
    Ok(api::PeerViews { peers })
}

fn one(live: &Live, status: &PeerStatus) -> Result<api::PeerView, Failure> {
    match live.port.call(Command::Debug(DebugCommand::Ask { instance: status.peer.instance })) {
        Ok(Reply::Seen(seen)) => Ok(view(&seen)),
        Ok(other) => Err(unexpected(&other)),
        Err(error) => Ok(refused(&status.peer, &error)),
    }
}

fn of(peer: &PeerInfo, items: &[HealthItem]) -> api::PeerView {
    api::PeerView {
        person: peer.person.full(),
        email: peer.email.clone(),
        instance: peer.instance.full(),
        name: peer.instance_name.clone(),
        seen: None,
        items: items.iter().map(row).collect(),
    }
}

fn not_connected(peer: &PeerInfo, failure: &Failure) -> api::PeerView {
    let remedy = "see that it runs (`lama run`); what is wrong on this side stands above";
    let item = HealthItem::new(
        Severity::Warning,
        "peer.not-connected",
        "there is no session to ask on",
        failure.message.clone(),
        remedy,
    );
    of(peer, &[item])
}

/// Nothing was told: why, and who has to do something about it.
fn refused(peer: &PeerInfo, error: &NodeError) -> api::PeerView {
    let (code, title, remedy) = match error.code() {
        "node.group-not-allowed" => (
            "peer.not-allowed",
            "the other side does not let you ask",
            "ask its person to say `lama debug allow` with your e-mail address there, and then try again",
        ),
        "node.no-groups-there" => (
            "peer.too-old",
            "the program of the other side cannot be asked",
            "its person has to bring it up to date",
        ),
        "node.group-silent" => (
            "peer.silent",
            "the other side does not answer though the session is up",
            "try again; if it stays so, its person has to look at it with `lama doctor` there",
        ),
        _ => (
            "peer.not-asked",
            "the other side could not be asked",
            "try again; `lama status` shows where it stands",
        ),
    };
    of(peer, &[HealthItem::new(Severity::Warning, code, title, error.to_string(), remedy)])
}

fn view(seen: &Seen) -> api::PeerView {
    let view = &seen.view;
    let mut items = vec![clock(seen), log(seen), session(seen)];
    items.extend(view.items.iter().map(|(code, severity)| told(code, *severity)));
    items.sort_by_key(|item| std::cmp::Reverse(item.severity));
    let mut row = of(&seen.peer, &items);
    // Codes that only the other side knows.
    for (shown, item) in row.items.iter_mut().zip(&items) {
        if item.code == UNKNOWN {
            shown.code.clone_from(&item.text);
            shown.text.clear();
        }
    }
    row.seen = Some(api::SeenThere {
        clock_ahead: seen.clock_ahead,
        round_trip: millis(seen.round_trip),
        their_round_trip: view.round_trip.map(|micros| millis(Duration::from_micros(micros))),
        program: view.program.clone(),
        versions: [view.versions.0, view.versions.1],
        age: view.age,
        path: if view.relayed { "relay" } else { "direct" }.to_owned(),
        dialled: view.dialled,
        in_sync: view.in_sync,
        entries: view.head.seq,
        of_entries: seen.own_head.seq,
    });
    row
}

fn clock(seen: &Seen) -> HealthItem {
    let (apart, title) = (seen.clock_ahead.unsigned_abs(), "the clocks of both sides");
    let way = if seen.clock_ahead < 0 { "behind" } else { "ahead of" };
    let text = format!(
        "the other one is {}.{:03} s {way} this one, give or take {} ms",
        apart / 1000,
        apart % 1000,
        millis(seen.round_trip / 2)
    );
    if apart <= CLOCK_SLACK {
        return HealthItem::good("peer.clock", title, text);
    }
    let severity = if apart <= CLOCK_WRONG { Severity::Warning } else { Severity::Error };
    let remedy = "set the clock of the machine that is wrong; invitations, certificates and the order of messages go by it";
    HealthItem::new(severity, "peer.clock", title, text, remedy)
}

/// What it holds of this side's log.
fn log(seen: &Seen) -> HealthItem {
    let (there, here) = (seen.view.head, seen.own_head);
    let title = "what it has of your list of instances";
    let text = format!("{} of {} entries", there.seq, here.seq);
    if there == here {
        return HealthItem::good("peer.log", title, text);
    }
    if there.seq < here.seq {
        let remedy = "it is on its way as long as the session is up; look again";
        return HealthItem::new(Severity::Warning, "peer.log", title, text, remedy);
    }
    let remedy = "this instance has an older list, or another one: see `lama instance list` here and on your other instances";
    HealthItem::new(Severity::Error, "peer.log", title, text, remedy)
}

fn session(seen: &Seen) -> HealthItem {
    let view = &seen.view;
    let text = format!(
        "{}, dialled by {} side, up for {} s, {}; {} ms to the other side and back; protocol {} to {}, program {}",
        if view.relayed { "through a relay" } else { "direct" },
        if view.dialled { "the other" } else { "this" },
        view.age / 1000,
        if view.in_sync { "in sync" } else { "still exchanging" },
        millis(seen.round_trip),
        view.versions.0,
        view.versions.1,
        view.program
    );
    HealthItem::good("peer.session", "the session as the other side sees it", text)
}

/// Stands for a code that this program does not know.
const UNKNOWN: &str = "peer.unknown";

/// A code of the other side in this side's words.
fn told(code: &str, severity: u8) -> HealthItem {
    let severity = match severity {
        0 => Severity::Good,
        1 => Severity::Warning,
        _ => Severity::Error,
    };
    let (code, title, remedy) = match code {
        "clock.forward" => ("clock.forward", "its clock goes forward", ""),
        "clock.behind" => {
            ("clock.behind", "its clock went back", "its person has to set the clock of that machine")
        }
        "listener.routes" => ("listener.routes", "others can dial it", ""),
        "listener.none" => (
            "listener.none",
            "it listens nowhere",
            "nothing, if it is meant only to dial; else its person starts it with a port or behind a relay",
        ),
        "store.opens" => ("store.opens", "its store opens", ""),
        "store.failed" => (
            "store.failed",
            "its store has failed",
            "its person has to see that the disk there has room and is sound (`lama store check`)",
        ),
        "alarm.key-changed" => (
            "alarm.key-changed",
            "it was shown another key of yours",
            "compare your fingerprint (`lama id`) with what that person has; somebody may pose as you",
        ),
        "alarm.cloned" => (
            "alarm.cloned",
            "it sees one of your instances live twice",
            "revoke that instance from another one (`lama instance revoke`): its keys were copied",
        ),
        "alarm.log" => (
            "alarm.log",
            "it was shown another list of your instances",
            "see `lama instance list`; a restored backup does this, and so does a thief of the key",
        ),
        "alarm.revoked-here" => (
            "alarm.revoked-here",
            "it was revoked by its person",
            "nothing here: its person has to enrol it anew",
        ),
        "sync.out-of-sync" => {
            ("sync.out-of-sync", "it holds another set than this side", "`lama store check` on both sides")
        }
        other => {
            let remedy = "its person runs `lama doctor` there, which says what to do";
            let remedy = if severity == Severity::Good { "" } else { remedy };
            return HealthItem::new(severity, UNKNOWN, "it says so of itself", other.to_owned(), remedy);
        }
    };
    HealthItem::new(severity, code, title, String::new(), remedy)
}

/// Who may ask how this side sees a session.
pub(super) fn allowed(live: &Live) -> Result<api::AllowedList, Failure> {
    match live.call(Command::Debug(DebugCommand::Allowed))? {
        Reply::DebugAllowed(list) => {
            let allowed =
                list.into_iter().map(|(person, email)| api::BlockedPerson { person: person.full(), email });
            Ok(api::AllowedList { allowed: allowed.collect() })
        }
        other => Err(unexpected(&other)),
    }
}

/// Lets somebody ask, or no more.
pub(super) fn allow(live: &Live, text: &str, allow: bool) -> Result<api::AllowedList, Failure> {
    let person = match contact(live, text) {
        Ok(contact) => contact.person,
        Err(failure) if allow => return Err(failure),
        // One who is no contact any more may stand in the list.
        Err(failure) => match live.call(Command::Debug(DebugCommand::Allowed))? {
            Reply::DebugAllowed(list) => {
                let known = list.iter().map(|(person, _)| (*person, ""));
                people::find(text, known, "those who may ask").map_err(|_| failure)?
            }
            other => return Err(unexpected(&other)),
        },
    };
    live.call(Command::Debug(DebugCommand::Allow { person, allow }))?;
    allowed(live)
}
