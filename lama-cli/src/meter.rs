//! How far everything is: for each contact, and over all of them. No figure ever goes back, whatever order sessions
//! begin, grow, break off and begin again in.
//!
//! A session counts from its own start. What it had done when it broke off stays done, and the next one with the same
//! contact counts on from there; its total is what was done before and what it has to do. So the total is exact as soon
//! as the session knows its own.

use std::collections::BTreeMap;

use serde_json::{Value, json};

/// One direction.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Flow {
    pub(crate) done: u64,
    /// `None`: not known yet.
    pub(crate) total: Option<u64>,
    pub(crate) bytes: u64,
}

impl Flow {
    /// On top of what was done before.
    fn after(self, before: Self) -> Self {
        Self {
            done: before.done.saturating_add(self.done),
            total: self.total.map(|total| before.done.saturating_add(total)),
            bytes: before.bytes.saturating_add(self.bytes),
        }
    }

    /// Never below what was shown.
    fn at_least(self, shown: Self) -> Self {
        let done = self.done.max(shown.done);
        let total = self.total.max(shown.total).map(|total| total.max(done));
        Self { done, total, bytes: self.bytes.max(shown.bytes) }
    }

    fn read(row: &Value) -> Self {
        let number = |key: &str| row.get(key).and_then(Value::as_u64);
        Self {
            done: number("done").unwrap_or_default(),
            total: number("total"),
            bytes: number("bytes").unwrap_or_default(),
        }
    }

    fn row(self) -> Value {
        json!({ "done": self.done, "total": self.total, "bytes": self.bytes })
    }
}

/// What is received from a contact and sent to him.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Both {
    pub(crate) received: Flow,
    pub(crate) sent: Flow,
}

impl Both {
    fn each(self, other: Self, with: impl Fn(Flow, Flow) -> Flow) -> Self {
        Self { received: with(self.received, other.received), sent: with(self.sent, other.sent) }
    }
}

/// One contact.
#[derive(Debug, Default)]
struct Contact {
    /// The last session of each of his instances, and how far it is.
    sessions: BTreeMap<u64, Both>,
    /// What sessions did that are over.
    before: Both,
    shown: Both,
}

/// Adds up the progress of all sessions.
#[derive(Debug, Default)]
pub(crate) struct Meter {
    contacts: BTreeMap<String, Contact>,
    shown: Both,
}

impl Meter {
    /// Takes a `progress` event: gives whose it is. Others are ignored, but for the end of a session.
    pub(crate) fn event(&mut self, event: &Value) -> Option<String> {
        let text = |key: &str| event.get(key).and_then(Value::as_str);
        let session = event.get("session").and_then(Value::as_u64).unwrap_or_default();
        let kind = text("type")?;
        if kind == "session_ended" {
            self.ended(session);
        }
        if kind != "progress" {
            return None;
        }
        let (person, none) = (text("person").unwrap_or_default().to_owned(), Value::Null);
        let flow = |key: &str| Flow::read(event.get(key).unwrap_or(&none));
        let now = Both { received: flow("received"), sent: flow("sent") };
        let contact = self.contacts.entry(person.clone()).or_default();
        contact.sessions.insert(session, now);
        let all = contact.sessions.values().copied().reduce(|all, one| all.each(one, sum));
        let all = all.unwrap_or_default().each(contact.before, Flow::after);
        contact.shown = all.each(contact.shown, Flow::at_least);
        let known = self.contacts.values().map(|contact| contact.shown);
        let overall = known.reduce(|all, one| all.each(one, sum)).unwrap_or_default();
        self.shown = overall.each(self.shown, Flow::at_least);
        Some(person)
    }

    /// What a session has done stays done.
    fn ended(&mut self, session: u64) {
        for contact in self.contacts.values_mut() {
            if let Some(last) = contact.sessions.remove(&session) {
                contact.before = last.each(contact.before, Flow::after);
            }
        }
    }

    /// How far everything is.
    pub(crate) const fn overall(&self) -> Both {
        self.shown
    }

    /// How far everything with one contact is.
    pub(crate) fn of(&self, person: &str) -> Both {
        self.contacts.get(person).map(|contact| contact.shown).unwrap_or_default()
    }

    /// With how many contacts something moved.
    pub(crate) fn contacts(&self) -> usize {
        self.contacts.len()
    }

    /// The same for programs, to be added to an event.
    pub(crate) fn row(&self) -> Value {
        json!({ "received": self.shown.received.row(), "sent": self.shown.sent.row() })
    }
}

/// Both together; the total is known once both are.
fn sum(one: Flow, other: Flow) -> Flow {
    Flow {
        done: one.done.saturating_add(other.done),
        total: one.total.zip(other.total).map(|(one, other)| one.saturating_add(other)),
        bytes: one.bytes.saturating_add(other.bytes),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Numbers that look random and are the same every time.
    struct Dice(u64);

    impl Dice {
        fn below(&mut self, limit: u64) -> u64 {
            self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (self.0 >> 33) % limit
        }
    }

    /// A session as it really is.
    struct Real {
        number: u64,
        person: String,
        flow: Flow,
        over: bool,
    }

    fn row(of: &Real) -> Value {
        json!({
            "type": "progress", "session": of.number, "person": of.person,
            "received": of.flow.row(), "sent": Flow::default().row(),
        })
    }

    fn real_done<'a>(all: impl Iterator<Item = &'a Real>) -> (u64, u64) {
        all.fold((0, 0), |(done, bytes), one| (done + one.flow.done, bytes + one.flow.bytes))
    }

    /// Sessions that begin, learn their totals, grow, are counted again, break off and come back, several at once with
    /// one contact too: nothing that is shown goes back, what is done is what was done, and the total is exact once all
    /// of it is known and done.
    #[test]
    fn no_figure_goes_back_and_the_totals_are_exact() {
        let (mut reconnects, mut recounts, mut complete) = (0, 0, 0);
        for seed in 0..400 {
            let mut dice = Dice(seed);
            let (mut meter, mut real): (Meter, Vec<Real>) = (Meter::default(), Vec::new());
            for _ in 0..120 {
                let before = (meter.overall(), meter.of("0"), meter.of("1"));
                let open: Vec<usize> = (0..real.len()).filter(|at| !real[*at].over).collect();
                if open.is_empty() || dice.below(8) == 0 {
                    let person = dice.below(2).to_string();
                    reconnects += u64::from(real.iter().any(|one| one.person == person && one.over));
                    let number = real.len() as u64 + 1;
                    real.push(Real { number, person, flow: Flow::default(), over: false });
                    continue;
                }
                let one = &mut real[open[usize::try_from(dice.below(open.len() as u64)).unwrap()]];
                match (dice.below(6), one.flow.total) {
                    (0, _) => {
                        one.over = true;
                        meter.event(&json!({ "type": "session_ended", "session": one.number }));
                    }
                    (1, Some(total)) => one.flow.total = Some(total + dice.below(50)),
                    (2, Some(total)) => {
                        // Counted again, and found to be less: what was shown stays.
                        one.flow.total = Some(one.flow.done + dice.below(total - one.flow.done + 1));
                        recounts += 1;
                    }
                    (_, Some(total)) => {
                        let step = dice.below(total - one.flow.done + 1);
                        one.flow.done += step;
                        one.flow.bytes += step * 10;
                    }
                    (_, None) => one.flow.total = Some(dice.below(100)),
                }
                if !one.over {
                    meter.event(&row(one));
                }
                let after = (meter.overall(), meter.of("0"), meter.of("1"));
                for (before, after) in [(before.0, after.0), (before.1, after.1), (before.2, after.2)] {
                    let (before, after) = (before.received, after.received);
                    assert!(before.done <= after.done && before.bytes <= after.bytes, "seed {seed}");
                    assert!(before.total <= after.total, "seed {seed}: {before:?} {after:?}");
                    assert!(after.total.is_none_or(|total| after.done <= total), "seed {seed}: {after:?}");
                }
                let shown = after.0.received;
                assert_eq!((shown.done, shown.bytes), real_done(real.iter()), "seed {seed}");
                let his = |person: &str| real_done(real.iter().filter(|one| one.person == person));
                assert_eq!((after.1.received.done, after.1.received.bytes), his("0"), "seed {seed}");
            }
            // Without recounts, what is all done says so.
            let mut meter = Meter::default();
            for one in real.iter_mut().filter(|one| one.flow.total.is_some()) {
                one.flow.done = one.flow.total.unwrap_or_default();
                meter.event(&row(one));
                if one.over {
                    meter.event(&json!({ "type": "session_ended", "session": one.number }));
                }
                let shown = meter.overall().received;
                assert_eq!(shown.total, Some(shown.done), "seed {seed}");
                complete += 1;
            }
        }
        assert!(reconnects > 500 && recounts > 500 && complete > 500, "{reconnects} {recounts} {complete}");
    }

    #[test]
    fn what_a_session_had_done_counts_in_the_next() {
        let mut meter = Meter::default();
        let flow = |done, total| Flow { done, total: Some(total), bytes: done };
        let mut one = Real { number: 1, person: "a".to_owned(), flow: flow(40, 100), over: false };
        assert_eq!(meter.event(&row(&one)), Some("a".to_owned()));
        assert_eq!(meter.event(&json!({ "type": "session_ended", "session": 1 })), None);
        one = Real { number: 2, flow: flow(0, 60), ..one };
        meter.event(&row(&one));
        assert_eq!(meter.of("a").received, flow(40, 100));
        let other = Real { number: 3, person: "b".to_owned(), flow: flow(5, 10), over: false };
        meter.event(&row(&other));
        assert_eq!(meter.overall().received, flow(45, 110));
        assert_eq!((meter.contacts(), meter.row()["received"]["total"].as_u64()), (2, Some(110)));
    }
}
