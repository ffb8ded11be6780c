//! How joins are decided: done, failed, denied, and the other side told of a denial.

use core::time::Duration;

use lama_handshake::Mode;
use lama_identity::PersonId;
use lama_invite::Locator;
use lama_store::Write;

use super::join::{JOINS, Join, forget_journal};
use crate::NodeError;
use crate::api::{Event, LinkCause, LinkId, RefuseReason, Reply as NodeReply};
use crate::hub::{Effect, Purpose, Timer, setting};
use crate::node::Node;
use crate::session::{Link, Way};

impl Node {
    /// An attempt to tell the other side of a denial is over. It knows when it has answered; and when it does not
    /// open to us any more, in either mode, it has nothing left to remove.
    pub(super) fn telling_over(&mut self, locator: Locator, mode: Mode, reason: &RefuseReason) {
        let Some(join) = self.joins.get_mut(&locator) else { return };
        match reason {
            RefuseReason::Rejected(_) => self.forget_join(locator),
            RefuseReason::LinkDown(LinkCause::Closed) => {
                join.refusals = join.refusals.saturating_add(1);
                if join.refusals < 2 {
                    let other = if mode == Mode::Pairing { Mode::Known } else { Mode::Pairing };
                    self.join_attempt(locator, other);
                } else {
                    self.forget_join(locator);
                }
            }
            _ => self.join_later(locator),
        }
    }

    /// Whether a dial is there only to tell of a denial.
    pub(crate) fn is_telling(&self, locator: &Locator) -> bool {
        self.joins.get(locator).is_some_and(|join| join.denied)
    }

    /// The other side has been told, or has nothing to be told.
    pub(crate) fn forget_join(&mut self, locator: Locator) {
        self.timers.set(Timer::Join(locator), None);
        if self.joins.remove(&locator).is_some() {
            let writes = alloc::vec![forget_journal(&locator)];
            self.commit(writes, Effect::Quiet { doing: "forgetting a join that was denied" });
        }
    }

    /// A join is decided against us: whatever was pending for it is removed.
    pub(crate) fn join_failed(&mut self, locator: Locator, error: NodeError) {
        if self.is_telling(&locator) {
            return self.forget_join(locator);
        }
        let Some(join) = self.joins.remove(&locator) else { return };
        self.timers.set(Timer::Join(locator), None);
        let person = join.invitation.r_person_id();
        let mut writes = alloc::vec![forget_journal(&locator)];
        let pending =
            self.book.person(&person).is_some_and(|known| !known.is_active() && !known.note.inviter);
        if pending {
            writes.extend(Self::removal_writes(&person));
            self.book.remove(&person);
            self.forget_peers(&person);
        }
        self.commit(writes, Effect::Quiet { doing: "forgetting a join that failed" });
        if pending {
            self.event(Event::ContactRemoved { person, by_peer: true });
        }
        self.event(Event::PairingFailed { person: Some(person), error: error.clone() });
        if let Some(reply) = join.reply {
            self.reply(reply, Err(error));
        }
    }

    /// The joins by which a person became a contact: done.
    pub(crate) fn joins_done(&mut self, person: &PersonId) {
        let done: alloc::vec::Vec<Locator> = self
            .joins
            .iter()
            .filter(|(_, join)| join.invitation.r_person_id() == *person)
            .map(|(locator, _)| *locator)
            .collect();
        for locator in done {
            self.timers.set(Timer::Join(locator), None);
            if let Some(Join { reply: Some(reply), .. }) = self.joins.remove(&locator)
                && let Some(known) = self.book.person(person)
            {
                let contact = self.contact_info(known);
                self.reply(reply, Ok(NodeReply::Contact(alloc::boxed::Box::new(contact))));
            }
        }
    }

    /// A contact that was active before has taken another invitation of his to the end.
    pub(crate) fn forget_joins(&mut self, person: &PersonId) {
        let writes = self.forget_journals(person);
        if !writes.is_empty() {
            self.commit(writes, Effect::Quiet { doing: "forgetting a join that is done" });
            self.joins_done(person);
        }
    }

    /// The writes that forget the joins with a person.
    pub(crate) fn forget_journals(&self, person: &PersonId) -> alloc::vec::Vec<Write> {
        let of = |join: &&Join| join.invitation.r_person_id() == *person;
        self.joins.values().filter(of).map(|join| forget_journal(&join.invitation.locator())).collect()
    }

    /// The writes that remember that the joins with a person were denied here, where the other side may have to be
    /// told.
    pub(crate) fn deny_journals(&mut self, person: &PersonId) -> alloc::vec::Vec<Write> {
        let mut writes = alloc::vec::Vec::new();
        for (locator, join) in &mut self.joins {
            if join.invitation.r_person_id() == *person {
                join.denied = true;
                (join.refusals, join.failures) = (0, 0);
                let value = join.to_bytes().ok();
                writes.push(Write::Setting { key: setting(JOINS, locator.as_bytes()), value });
            }
        }
        writes
    }

    /// A person denied a pairing, on this side or the other: the commands that wait for it.
    pub(crate) fn joins_denied(&mut self, person: &PersonId, error: &NodeError) {
        let denied: alloc::vec::Vec<Locator> = self
            .joins
            .iter()
            .filter(|(_, join)| join.invitation.r_person_id() == *person)
            .map(|(locator, _)| *locator)
            .collect();
        for locator in denied {
            let Some(join) = self.joins.get_mut(&locator) else { continue };
            let (reply, telling) = (join.reply.take(), join.denied);
            if telling {
                self.join_after(locator, Duration::ZERO);
            } else {
                self.timers.set(Timer::Join(locator), None);
                self.joins.remove(&locator);
            }
            if let Some(reply) = reply {
                self.reply(reply, Err(error.clone()));
            }
            let mine = |link: &Link| matches!(&link.way, Way::Dialled { purpose: Purpose::Join { locator: of, .. }, .. } if *of == locator);
            let links: alloc::vec::Vec<LinkId> =
                self.links.iter().filter(|(_, link)| mine(link)).map(|(id, _)| *id).collect();
            for link in links {
                self.refuse(link, RefuseReason::Ended);
            }
        }
    }

    /// Stops following joins; the journal takes them up at the next start.
    pub(crate) fn joins_stop(&mut self) {
        for join in self.joins.values_mut() {
            if let Some(reply) = join.reply.take() {
                self.out
                    .push_back(crate::api::Output::Reply { ticket: reply, result: Err(NodeError::Stopped) });
            }
        }
    }
}
