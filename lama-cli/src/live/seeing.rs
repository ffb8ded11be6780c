//! What an operator looks at: how things stand while they change, and signs of life.

use std::sync::mpsc::RecvTimeoutError;
use std::time::Duration;

use lama_identity::{Email, Person, PersonId};
use lama_node::{Command, PeerStatus, Reply, RouteScope};
use serde_json::{Value, json};

use super::rows::millis;
use super::work::{status, unexpected};
use super::{Live, people};
use crate::api;
use crate::failure::{Exit, Failure};

/// The longest pause between two looks: figures that no event speaks of, such as bytes, move on as well.
const LOOK: Duration = Duration::from_secs(1);
/// Events come in swarms: one look for all of them.
const SWARM: Duration = Duration::from_millis(100);
/// How long an unreached peer is waited for, in steps of [`SWARM`].
const PATIENCE: u32 = 100;

/// Tells the status whenever it has changed, until nobody listens any more or the instance stops.
pub(super) fn watch(live: &Live, emit: &mut dyn FnMut(Value) -> bool) -> Result<(), Failure> {
    let events = live.events.subscribe();
    let mut last: Option<api::Status> = None;
    loop {
        let status = status(live)?;
        // What only counts down is no change.
        let mut still = status.clone();
        still.peers.iter_mut().for_each(|peer| peer.again = None);
        let row = if last.as_ref() == Some(&still) {
            json!({ "type": "tick" })
        } else {
            last = Some(still);
            let mut row = serde_json::to_value(&status).unwrap_or_default();
            if let Value::Object(fields) = &mut row {
                fields.insert("type".to_owned(), json!("status"));
            }
            row
        };
        if !emit(row) || live.stop.is_set() {
            return Ok(());
        }
        match events.recv_timeout(LOOK) {
            Ok(_) => {
                if live.stop.wait(SWARM) {
                    return Ok(());
                }
                events.try_iter().for_each(drop);
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return Ok(()),
        }
    }
}

/// One sign of life of each connected instance that `text` names.
pub(super) fn ping(live: &Live, text: &str) -> Result<api::Pongs, Failure> {
    let mut rows = named(live, text)?;
    if rows.iter().all(|row| row.session.is_none()) {
        rows = connect(live, text, &rows)?;
    }
    let mut pongs = Vec::new();
    let mut failed = None;
    for row in rows.iter().filter(|row| row.session.is_some()) {
        match live.call(Command::Ping { instance: row.peer.instance }) {
            Ok(Reply::Pong { round_trip, relayed, url }) => pongs.push(api::Pong {
                person: row.peer.person.full(),
                email: row.peer.email.clone(),
                instance: row.peer.instance.full(),
                name: row.peer.instance_name.clone(),
                path: if relayed { "relay" } else { "direct" }.to_owned(),
                url,
                round_trip: millis(round_trip),
            }),
            Ok(other) => return Err(unexpected(&other)),
            Err(failure) => failed = Some(failure),
        }
    }
    match failed {
        Some(failure) if pongs.is_empty() => Err(failure),
        _ => Ok(api::Pongs { pongs }),
    }
}

/// The peers that `text` names: all instances of a person, or the one whose name or id it is.
pub(super) fn named(live: &Live, text: &str) -> Result<Vec<PeerStatus>, Failure> {
    let all = match live.call(Command::Status)? {
        Reply::Status(status) => status.peers,
        other => return Err(unexpected(&other)),
    };
    let known = all.iter().map(|row| (row.peer.person, row.peer.email.as_str()));
    match people::find(text, known, "your contacts") {
        Ok(person) => Ok(all.into_iter().filter(|row| row.peer.person == person).collect()),
        Err(failure) => {
            let id = text.to_ascii_lowercase();
            let is_meant = |row: &PeerStatus| {
                row.peer.instance_name == text
                    || (id.len() >= people::SHORTEST && row.peer.instance.full().starts_with(&id))
            };
            let found: Vec<PeerStatus> = all.into_iter().filter(is_meant).collect();
            if found.is_empty() { Err(failure) } else { Ok(found) }
        }
    }
}

/// Dials whoever is not connected, and waits for a session with one of them.
pub(super) fn connect(live: &Live, text: &str, rows: &[PeerStatus]) -> Result<Vec<PeerStatus>, Failure> {
    if let Some(row) = rows.first() {
        // Who has no route may dial us.
        let _ = live.call(Command::Connect { person: row.peer.person });
    }
    let mut rows = rows.to_vec();
    for _ in 0..PATIENCE {
        if live.stop.wait(SWARM) {
            return Err(Failure::interrupted());
        }
        rows = named(live, text)?;
        if rows.iter().any(|row| row.session.is_some()) {
            return Ok(rows);
        }
    }
    let why = rows.iter().find_map(|row| row.problem.as_ref()).map_or_else(
        || "nothing says where it is reached, so it has to connect to this one".to_owned(),
        |fault| fault.text.clone(),
    );
    Err(Failure::new(
        Exit::Unreached,
        "not-reached",
        format!(
            "no instance of {text} is connected: {why}; see that it runs, `lama doctor` says what is wrong here"
        ),
    ))
}

/// A contact, or whoever has this e-mail address.
pub(super) fn anybody(live: &Live, text: &str) -> Result<PersonId, Failure> {
    match super::work::contact(live, text) {
        Ok(contact) => Ok(contact.person),
        Err(failure) => match text.parse::<Email>() {
            Ok(email) => Ok(Person::new(email).id()),
            Err(_) => Err(failure),
        },
    }
}

/// Who is blocked and named so.
pub(super) fn blocked_person(live: &Live, text: &str) -> Result<PersonId, Failure> {
    if let Ok(email) = text.parse::<Email>() {
        return Ok(Person::new(email).id());
    }
    let list = match live.call(Command::Blocked)? {
        Reply::Blocked(list) => list,
        other => return Err(unexpected(&other)),
    };
    people::find(text, list.iter().map(|(person, _)| (*person, "")), "those who are blocked")
}

pub(super) fn blocked(live: &Live) -> Result<api::BlockedList, Failure> {
    match live.call(Command::Blocked)? {
        Reply::Blocked(list) => {
            let row = |(person, email): (PersonId, Option<String>)| api::BlockedPerson {
                person: person.full(),
                email,
            };
            Ok(api::BlockedList { blocked: list.into_iter().map(row).collect() })
        }
        other => Err(unexpected(&other)),
    }
}

pub(super) fn routes(live: &Live) -> Result<api::Routes, Failure> {
    let rows = match live.call(Command::Routes)? {
        Reply::Routes(rows) => rows,
        other => return Err(unexpected(&other)),
    };
    let row = |info: lama_node::RouteInfo| api::Route {
        person: info.peer.person.full(),
        email: info.peer.email,
        instance: info.peer.instance.full(),
        name: info.peer.instance_name,
        route: info.route,
        path: if info.relayed { "relay" } else { "direct" }.to_owned(),
        on: info.off_by.is_none(),
        off_by: info.off_by.map(|scope| {
            match scope {
                RouteScope::Person(_) => "person",
                RouteScope::Instance(_) => "instance",
                RouteScope::Route(_) => "route",
            }
            .to_owned()
        }),
        in_use: info.in_use,
    };
    Ok(api::Routes { routes: rows.into_iter().map(row).collect() })
}

/// Switches what `which` names: a route, all of a person, or all of an instance.
pub(super) fn set_route(live: &Live, which: &str, on: bool) -> Result<api::Routes, Failure> {
    let scope = if which.contains("://") {
        RouteScope::Route(which.to_owned())
    } else {
        let known = named(live, which)?;
        match (super::work::contact(live, which), known.as_slice()) {
            (Ok(contact), _) => RouteScope::Person(contact.person),
            (Err(_), [one]) => RouteScope::Instance(one.peer.instance),
            (Err(_), _) => {
                return Err(Failure::new(
                    Exit::RefusedByRule,
                    "ambiguous_instance",
                    format!("{which} names several instances; give the beginning of the id"),
                ));
            }
        }
    };
    match live.call(Command::SetRoute { scope, on })? {
        Reply::Done => routes(live),
        other => Err(unexpected(&other)),
    }
}
