//! Each request, as commands to the node.

use std::path::Path;
use std::sync::mpsc::Receiver;
use std::time::Duration;

use lama_host::entropy;
use lama_identity::PersonId;
use lama_invite::{DialRules, LAMA_BASE, Locator, Policy};
use lama_node::{Command, ContactInfo, ContactStanding, Event, InvitationInfo, InvitationState, Reply};
use serde::Serialize;
use serde_json::Value;
use zeroize::Zeroizing;

use super::instances::Rotate;
use super::{
    Live, bundle, folders, getting, health, instances, keeping, limits, messages, peers, people, relays,
    rows, seeing, unsharing,
};
use crate::api::{self, Request};
use crate::failure::{Exit, Failure};
use crate::relay::list;

type Emit<'a> = &'a mut dyn FnMut(Value) -> bool;

/// Answers a request.
pub(super) fn answer(live: &Live, request: Request, emit: Emit<'_>) -> Result<Value, Failure> {
    match request {
        Request::Invite { confirm, lifetime, label } => value(&invite(live, confirm, lifetime, label)?),
        Request::Join { link, lan, timeout } => value(&join(live, link, lan, timeout, emit)?),
        Request::Await { locator } => value(&await_contact(live, &locator, emit)?),
        Request::Relays => value(&relays::show(live)?),
        Request::AddRelay { relay, first } => {
            let relay = list::address(&relay)?;
            value(&relays::change(live, |list| Ok(list::added(list, &relay, first)))?)
        }
        Request::RemoveRelay { relay } => value(&relays::change(live, |list| list::removed(list, &relay))?),
        Request::Pending => value(&pending(live)?),
        Request::Approve { person } => {
            let person = pending_person(live, &person)?;
            live.call(Command::Approve { person }).map(done)
        }
        Request::Deny { person } => {
            let person = pending_person(live, &person)?;
            live.call(Command::Deny { person }).map(done)
        }
        Request::Revoke { locator } => {
            let locator = find_invitation(live, &locator)?;
            live.call(Command::RevokeInvitation { locator }).map(done)
        }
        Request::Contacts => {
            let contacts = contacts(live)?.iter().map(rows::contact).collect();
            value(&api::Contacts { contacts })
        }
        Request::Send { to, text } => value(&messages::send(live, &to, text)?),
        Request::Log { with, limit, unread, before, mark_read } => {
            let wanted = messages::Wanted { with, limit, unread, before, mark_read };
            value(&messages::log(live, &wanted)?)
        }
        Request::Edit { message, text } => value(&messages::amend(live, &message, Some(text))?),
        Request::Delete { message } => value(&messages::amend(live, &message, None)?),
        Request::Share { path, with, watch, keep } => {
            value(&folders::share(live, Path::new(&path), &with, watch, keep, emit)?)
        }
        Request::Withdraw { what, with } => value(&unsharing::withdraw(live, &what, &with)?),
        Request::Unshare { path } => keeping::stop(live, &path).map(|()| done(Reply::Done)),
        Request::Shared => value(&getting::list(live)?),
        Request::Get { what, from, file, into, named, force } => {
            let wanted = getting::Wanted { what, from, file };
            value(&getting::get(live, &wanted, Path::new(&into), named, force)?)
        }
        Request::Read { what, from, file, start, end } => {
            let wanted = getting::Wanted { what, from, file };
            value(&getting::read(live, &wanted, start, end, emit)?)
        }
        Request::Explain { object, person } => value(&limits::explain(live, &object, &person)?),
        Request::Quota { person, set, objects, bytes, hourly, days } => {
            let quota = lama_store::Quota { objects, bytes, bytes_per_hour: hourly, days };
            value(&limits::quota(live, &person, set.then_some(quota))?)
        }
        Request::Instances => value(&instances::list(live)?),
        Request::OfferInstance => value(&instances::file(live, Command::OfferInstance)?),
        Request::CertifyInstance { request } => value(&instances::certify(live, &request)?),
        Request::RotateInstance { passphrase } => {
            value(&instances::rotate(live, passphrase, Rotate::Instance)?)
        }
        Request::RotatePerson { passphrase } => value(&instances::rotate(live, passphrase, Rotate::Person)?),
        Request::RevokeInstance { which, reason } => value(&instances::revoke(live, &which, &reason)?),
        Request::Status => value(&status(live)?),
        Request::Watch => seeing::watch(live, emit).map(|()| done(Reply::Done)),
        Request::Ping { peer } => value(&seeing::ping(live, &peer)?),
        Request::Health => value(&health::health(live)?),
        Request::PeerHealth { peer } => value(&peers::ask(live, &peer)?),
        Request::AllowDebug { person, allow } => value(&peers::allow(live, &person, allow)?),
        Request::DebugAllowed => value(&peers::allowed(live)?),
        Request::Block { person } => {
            let person = seeing::anybody(live, &person)?;
            live.call(Command::Block { person }).map(done)
        }
        Request::Unblock { person } => {
            let person = seeing::blocked_person(live, &person)?;
            live.call(Command::Unblock { person }).map(done)
        }
        Request::Blocked => value(&seeing::blocked(live)?),
        Request::Routes => value(&seeing::routes(live)?),
        Request::SetRoute { which, on } => value(&seeing::set_route(live, &which, on)?),
        Request::Bundle => bundle::bundle(live),
        Request::Wake => live.call(Command::Wake).map(done),
        Request::Check => match live.call(Command::CheckStore)? {
            Reply::StoreChecked(checked) => value(&crate::atrest::row(&checked)),
            other => Err(unexpected(&other)),
        },
        Request::Stop => {
            live.stop.set();
            Ok(done(Reply::Done))
        }
    }
}

fn value<T: Serialize>(answer: &T) -> Result<Value, Failure> {
    serde_json::to_value(answer).map_err(|error| Failure::new(Exit::Failed, "internal", error.to_string()))
}

fn done(_: Reply) -> Value {
    serde_json::json!({ "done": true })
}

/// The node answered with something else than this command's answer: a fault of ours.
pub(super) fn unexpected(reply: &Reply) -> Failure {
    Failure::new(Exit::Failed, "internal", format!("the node answered with {reply:?}; please report this"))
}

fn invite(live: &Live, confirm: bool, lifetime: u64, label: String) -> Result<api::Invited, Failure> {
    let policy = if confirm { Policy::Confirm } else { Policy::Auto };
    let seed = entropy::seed()?;
    let lifetime = Some(Duration::from_secs(lifetime));
    match live.call(Command::Invite { policy, lifetime, label, seed })? {
        Reply::Invitation { locator, invitation, exp } => Ok(api::Invited {
            link: invitation.to_link(LAMA_BASE).map_err(lama_node::NodeError::from)?.to_string(),
            locator: locator.to_string(),
            expires: exp.unix_seconds(),
            confirm,
            urls: invitation.routes().iter().map(|route| route.url.to_string()).collect(),
        }),
        other => Err(unexpected(&other)),
    }
}

fn join(live: &Live, link: String, lan: bool, timeout: u64, emit: Emit<'_>) -> Result<api::Contact, Failure> {
    let link = Zeroizing::new(link);
    let rules = DialRules { lan, ..DialRules::default() };
    let events = live.events.subscribe();
    let mut ticks = timeout.saturating_mul(10);
    let reply = live.call_while(Command::Join { link, rules }, || {
        forward_events(&events, emit)?;
        ticks = ticks.saturating_sub(1);
        if ticks > 0 && !live.stop.is_set() {
            return Ok(());
        }
        Err(if live.stop.is_set() { Failure::interrupted() } else { join_timed_out() })
    })?;
    match reply {
        Reply::Contact(contact) => Ok(rows::contact(&contact)),
        other => Err(unexpected(&other)),
    }
}

fn join_timed_out() -> Failure {
    Failure::new(
        Exit::TimedOut,
        "timed_out",
        "the pairing did not complete in time; what was begun is kept: `lama run` goes on with it, `lama pending` shows it",
    )
}

/// Waits for the contact that comes of an invitation.
fn await_contact(live: &Live, locator: &str, emit: Emit<'_>) -> Result<api::Contact, Failure> {
    let locator = find_invitation(live, locator)?;
    let events = live.events.subscribe();
    loop {
        let info = invitations(live)?.into_iter().find(|info| info.locator == locator);
        match info.map(|info| info.state) {
            Some(InvitationState::Completed { by }) => {
                let active = contacts(live)?.into_iter().find(|contact| contact.person == by);
                if let Some(contact) = active.filter(|contact| contact.standing == ContactStanding::Active) {
                    return Ok(rows::contact(&contact));
                }
            }
            Some(InvitationState::Expired) => {
                return Err(Failure::new(
                    Exit::TimedOut,
                    "expired",
                    "nobody took the invitation in time; make a new one with `lama invite`",
                ));
            }
            Some(InvitationState::Revoked) | None => {
                return Err(Failure::new(
                    Exit::RefusedByRule,
                    "revoked",
                    "the invitation was taken back or the joiner was denied; make a new one with `lama invite`",
                ));
            }
            Some(_) => {}
        }
        if live.stop.wait(Duration::from_millis(200)) {
            return Err(Failure::interrupted());
        }
        forward_events(&events, emit)?;
    }
}

/// Passes on what a waiting person wants to see.
fn forward_events(events: &Receiver<Event>, emit: Emit<'_>) -> Result<(), Failure> {
    for event in events.try_iter() {
        let wanted = matches!(
            event,
            Event::PairingPending(_)
                | Event::Paired(_)
                | Event::DialFailed { .. }
                | Event::PairingFailed { .. }
                | Event::Progress { .. }
        );
        if let Some(row) = rows::event(&event).filter(|_| wanted)
            && !emit(row)
        {
            return Err(Failure::interrupted());
        }
    }
    Ok(())
}

fn invitations(live: &Live) -> Result<Vec<InvitationInfo>, Failure> {
    match live.call(Command::Invitations)? {
        Reply::Invitations(list) => Ok(list),
        other => Err(unexpected(&other)),
    }
}

fn find_invitation(live: &Live, text: &str) -> Result<Locator, Failure> {
    let text = text.to_ascii_lowercase();
    let all = invitations(live)?;
    let mut found = all.iter().filter(|info| text.len() >= 4 && info.locator.to_string().starts_with(&text));
    match (found.next(), found.next()) {
        (Some(one), None) => Ok(one.locator),
        (None, _) => Err(Failure::new(
            Exit::RefusedByRule,
            "unknown_invitation",
            format!("{text} names no invitation; `lama pending` shows them"),
        )),
        _ => Err(Failure::new(
            Exit::RefusedByRule,
            "ambiguous_invitation",
            format!("{text} is the beginning of several invitations; give more of it"),
        )),
    }
}

fn pending(live: &Live) -> Result<api::PendingList, Failure> {
    let pairings = match live.call(Command::Pending)? {
        Reply::Pending(list) => list.iter().map(rows::pairing).collect(),
        other => return Err(unexpected(&other)),
    };
    Ok(api::PendingList { invitations: invitations(live)?.iter().map(rows::invitation).collect(), pairings })
}

fn pending_person(live: &Live, text: &str) -> Result<PersonId, Failure> {
    match live.call(Command::Pending)? {
        Reply::Pending(list) => {
            let email =
                |peer: &Option<lama_node::PeerInfo>| peer.as_ref().map_or(String::new(), |p| p.email.clone());
            let known: Vec<_> = list.iter().map(|info| (info.person, email(&info.peer))).collect();
            people::find(
                text,
                known.iter().map(|(person, email)| (*person, email.as_str())),
                "pending pairings",
            )
        }
        other => Err(unexpected(&other)),
    }
}

pub(super) fn contacts(live: &Live) -> Result<Vec<ContactInfo>, Failure> {
    match live.call(Command::Contacts)? {
        Reply::Contacts(mut list) => {
            list.sort_by(|a, b| (&a.email, a.person).cmp(&(&b.email, b.person)));
            Ok(list)
        }
        other => Err(unexpected(&other)),
    }
}

/// The contact that `text` names.
pub(super) fn contact(live: &Live, text: &str) -> Result<ContactInfo, Failure> {
    let all = contacts(live)?;
    let person =
        people::find(text, all.iter().map(|info| (info.person, info.email.as_str())), "your contacts")?;
    all.into_iter().find(|info| info.person == person).ok_or_else(|| Failure::usage("no such contact"))
}

pub(super) fn status(live: &Live) -> Result<api::Status, Failure> {
    match live.call(Command::Status)? {
        Reply::Status(status) => Ok(api::Status {
            running: true,
            runtime: live.runtime.to_owned(),
            urls: status.listening,
            objects: status.store.objects,
            bytes: status.store.bytes,
            peers: status.peers.iter().map(rows::peer).collect(),
            offline: status.offline,
        }),
        other => Err(unexpected(&other)),
    }
}
