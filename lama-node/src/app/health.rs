//! What is wrong, as data: each item with what to do about it.

use alloc::borrow::ToOwned as _;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use crate::api::{Event, HealthItem, InvitationState, Reply, Severity};
use crate::hub::Known;
use crate::node::Node;

/// How far the wall clock may lie behind the highest reading before it is worth a word: clocks are corrected all the time.
const CLOCK_SLACK: u64 = 60_000;

/// What to do about a problem with this code, in reaching somebody or of the last session with him.
fn remedy(code: &str) -> &'static str {
    match code {
        "dial.refused" => "start the other side (`lama run`), or see whether it listens at another port",
        "dial.not-found" | "dial.unreachable" => "check the network of this machine, and the address",
        "dial.timeout" => "see that the other machine is on, and that no firewall swallows the connection",
        "dial.proxy" => "check the HTTP proxy that the environment of this machine names",
        "dial.tls" => "check the clock of this machine and the certificate of the server",
        "dial.not-lama" => "another program listens there: end it, or run the other side at another port",
        "dial.not-allowed" => "the name leads into another network than it should; check it with its owner",
        "dial.unavailable" => "start the other side with the same relay (`lama run --relay`)",
        "dial.relay" => "ask for a new invitation: the relay has another key, or it is not the relay",
        "same-person" => {
            "both sides belong to one person, and those do not connect to each other; use an instance of another \
             person (`lama --data DIR init OTHER@EMAIL`)"
        }
        "removed-by-peer" | "rejected-blocked" | "rejected-denied" => {
            "the other side has removed this contact; ask the person, and pair again with a new invitation"
        }
        "key-changed" => "ask the person by another way whether the key really changed, before anything else",
        "revoked" => "that instance was revoked by its person; wait for another one of theirs",
        "dead" | "truncated" => {
            "see whether the network drops idle connections; it is dialled again by itself"
        }
        _ => {
            "see that the other side runs a version that fits this one, and look at its log (LAMA_LOG=lama=debug)"
        }
    }
}

impl Node {
    /// [`crate::Command::Health`]: the worst first.
    pub(crate) fn health(&self) -> Reply {
        Reply::Health(self.health_items())
    }

    pub(crate) fn health_items(&self) -> Vec<HealthItem> {
        let mut items: Vec<HealthItem> = self.alarms.values().cloned().collect();
        items.push(self.clock_health());
        items.push(self.listener_health());
        items.push(self.contacts_health());
        items.extend(self.book.iter().filter_map(|known| self.contact_health(known)));
        items.sort_by_key(|item| core::cmp::Reverse(item.severity));
        items
    }

    fn clock_health(&self) -> HealthItem {
        let (now, highest) = (self.clock.latest().wall, self.ledger.highest_wall());
        let behind = highest.0.saturating_sub(now.0);
        if behind > CLOCK_SLACK {
            return HealthItem::new(
                Severity::Error,
                "clock.behind",
                "the clock went back",
                format!("it reads {} s less than it did before, so no invitation works", behind / 1000),
                "set the clock of this machine; if it was ahead before and is right now, invitations work again once it \
                 has caught up",
            );
        }
        HealthItem::good("clock.forward", "the clock goes forward", String::new())
    }

    fn listener_health(&self) -> HealthItem {
        if self.listening.is_empty() {
            return HealthItem::new(
                Severity::Warning,
                "listener.none",
                "it listens nowhere",
                "nobody can dial this instance, so nobody can join by an invitation of it".into(),
                "start it with `lama run` and a free port, or behind a relay (`lama run --relay ADDRESS`)",
            );
        }
        HealthItem::good("listener.routes", "others can dial it", self.listening.join(", "))
    }

    /// Without contacts nothing is synchronised; what is missing is one invitation.
    fn contacts_health(&self) -> HealthItem {
        let active = self.book.active().len();
        if active > 0 {
            return HealthItem::good("contacts", "there are contacts", format!("{active}"));
        }
        let open = self.invitations().iter().any(|info| info.state == InvitationState::Open);
        let (text, remedy) = match (self.book.pending() > 0 || !self.joins.is_empty(), open) {
            (true, _) => (
                "a pairing is under way and not complete, so nothing is synchronised yet",
                "`lama pending` shows what it waits for",
            ),
            (false, true) => (
                "an invitation is open and nobody has taken it; without a contact nothing is found, dialled or \
                 synchronised",
                "give the link to the other side, whose `lama join` takes it while this instance runs",
            ),
            (false, false) => (
                "no invitation was made or taken; without a contact nothing is found, dialled or synchronised",
                "`lama invite` on one side, `lama join` on the other",
            ),
        };
        HealthItem::new(Severity::Warning, "contacts.none", "there are no contacts", text.into(), remedy)
    }

    fn contact_health(&self, known: &Known) -> Option<HealthItem> {
        let (person, contact) = (known.contact.id(), &known.contact);
        let email = contact.person.email.as_str();
        if !known.is_active() {
            return Some(HealthItem::about(
                person,
                Severity::Warning,
                "pairing.pending",
                format!("the pairing with {email} is not complete"),
                "it is no contact yet, so nothing is synchronised".into(),
                "`lama pending` shows what it waits for",
            ));
        }
        if self.is_blocked(&person) {
            let title = format!("{email} is blocked");
            let text = "no session, whoever dials".into();
            return Some(HealthItem::about(
                person,
                Severity::Warning,
                "contact.blocked",
                title,
                text,
                "`lama unblock`",
            ));
        }
        let peers: Vec<_> = self.peers.values().filter(|peer| peer.person == person).collect();
        if peers.iter().any(|peer| peer.session.is_some()) {
            return None;
        }
        let living = contact.instances.iter().filter(|instance| instance.revoked.is_none());
        let mut routes =
            living.flat_map(|instance| instance.urls.iter().map(move |url| (instance.keys.owner, url)));
        let mut any = false;
        let on = routes.any(|(instance, url)| {
            any = true;
            self.routes_off.by(&person, &instance, url).is_none()
        });
        if !any {
            return Some(HealthItem::about(
                person,
                Severity::Warning,
                "contact.no-endpoint",
                format!("{email} says nowhere how to be reached"),
                "no instance of this contact listens or stands behind a relay, so this one waits until it is dialled"
                    .into(),
                "run one of the two sides with a port or a relay that the other can reach",
            ));
        }
        if !on {
            return Some(HealthItem::about(
                person,
                Severity::Warning,
                "contact.routes-off",
                format!("all routes to {email} are switched off"),
                "this side does not dial".into(),
                "`lama route list` shows them, `lama route enable` switches them on",
            ));
        }
        let problem = peers.iter().find_map(|peer| peer.problem.as_ref());
        let (text, remedy) = problem.map_or_else(
            || ("it was not dialled yet".to_owned(), "wait, or `lama ping` it"),
            |fault| (format!("{} ({})", fault.text, fault.code), remedy(fault.code)),
        );
        let title = format!("{email} is not connected");
        Some(HealthItem::about(person, Severity::Warning, "contact.not-connected", title, text, remedy))
    }

    /// Keeps what must not be missed until the next start.
    pub(crate) fn note_alarm(&mut self, event: &Event) {
        let error = Severity::Error;
        let item = match event {
            Event::KeyChanged { person, known, .. } => HealthItem::about(
                *person,
                error,
                "alarm.key-changed",
                format!("{person} was shown with another key"),
                format!("known is {known}; nothing was accepted"),
                "ask the person by another way; remove the contact only if the key really changed",
            ),
            Event::InstanceCloned { peer } => HealthItem::about(
                peer.person,
                error,
                "alarm.cloned",
                format!("an instance of {} lives twice", peer.email),
                format!(
                    "{} answers from two processes: its key file was copied or restored",
                    peer.instance_name
                ),
                "tell its person: one of the two has to be revoked (`lama instance revoke`)",
            ),
            Event::LogAlarm { person, code } => HealthItem::about(
                *person,
                error,
                "alarm.log",
                format!("the log of {person} was shown in another version"),
                format!("the rule that was broken: {code}"),
                "ask the person; a restored backup of an old state does this, and so does a thief of the key",
            ),
            Event::RevokedHere => HealthItem::new(
                error,
                "alarm.revoked-here",
                "this instance was revoked",
                "its person has revoked it on another one; it speaks to nobody any more".into(),
                "enrol it anew with `lama instance request`, or delete it",
            ),
            Event::OutOfSync { peer } => HealthItem::about(
                peer.person,
                error,
                "sync.out-of-sync",
                format!("{} and this instance hold different sets", peer.email),
                "everything was exchanged, and yet the two differ".into(),
                "`lama store check` on both sides",
            ),
            Event::StoreFailed { doing, error: why } => HealthItem::new(
                error,
                "store.failed",
                "the store has failed",
                format!("{doing}: {why}"),
                "see that the disk has room and is sound; `lama store check`",
            ),
            Event::InSync { peer, .. } => {
                self.alarms.remove(&("sync.out-of-sync", Some(peer.person)));
                return;
            }
            _ => return,
        };
        self.alarms.insert((item.code, item.person), item);
    }
}
