//! Who is inside, and who has to go first.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::task::AtomicWaker;
use lama_core::Instant;
use lama_invite::Source;

/// How far somebody inside has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Step {
    /// The socket is there, or the WebSocket; anybody can have that.
    Came,
    /// His first message was answered: he knows this instance's key, and has computed a key exchange.
    Answered,
    /// His third message was right: he has proved a key of his own.
    Proved,
}

const STEPS: [Step; 3] = [Step::Came, Step::Answered, Step::Proved];

/// Tells somebody inside that he has lost his place.
#[derive(Debug, Default)]
pub(super) struct Notice {
    pub(super) out: AtomicBool,
    pub(super) waker: AtomicWaker,
}

impl Notice {
    fn tell(&self) {
        self.out.store(true, Ordering::Release);
        self.waker.wake();
    }
}

#[derive(Debug)]
struct Seat {
    source: Source,
    familiar: bool,
    step: Step,
    since: Instant,
    notice: Arc<Notice>,
}

impl Seat {
    /// Those who are put out first come first.
    const fn order(&self, number: u64) -> (Step, Instant, u64) {
        (self.step, self.since, number)
    }
}

/// The weakest first.
type Order = BTreeSet<(Step, Instant, u64)>;

/// Everybody inside.
#[derive(Debug, Default)]
pub(super) struct Seats {
    next: u64,
    seats: BTreeMap<u64, Seat>,
    strangers: Order,
    /// From familiar sources.
    familiar: Order,
    sources: BTreeMap<Source, Vec<u64>>,
}

impl Seats {
    const fn order(&self, familiar: bool) -> &Order {
        if familiar { &self.familiar } else { &self.strangers }
    }

    const fn order_mut(&mut self, familiar: bool) -> &mut Order {
        if familiar { &mut self.familiar } else { &mut self.strangers }
    }

    /// From familiar sources, or strangers.
    pub(super) fn count(&self, familiar: bool) -> usize {
        self.order(familiar).len()
    }

    pub(super) fn all(&self) -> usize {
        self.seats.len()
    }

    pub(super) fn from(&self, source: &Source) -> usize {
        self.sources.get(source).map_or(0, Vec::len)
    }

    pub(super) fn take(&mut self, source: Source, familiar: bool, now: Instant) -> (u64, Arc<Notice>) {
        let number = self.next;
        self.next += 1;
        let notice = Arc::<Notice>::default();
        let seat = Seat { source, familiar, step: Step::Came, since: now, notice: Arc::clone(&notice) };
        self.order_mut(familiar).insert(seat.order(number));
        self.seats.insert(number, seat);
        self.sources.entry(source).or_default().push(number);
        (number, notice)
    }

    /// He got on: what follows has its own time.
    pub(super) fn step(&mut self, number: u64, step: Step, now: Instant) {
        let Some(seat) = self.seats.get_mut(&number) else { return };
        let (familiar, before) = (seat.familiar, seat.order(number));
        (seat.step, seat.since) = (step, now);
        let after = seat.order(number);
        let order = self.order_mut(familiar);
        order.remove(&before);
        order.insert(after);
    }

    /// `None`: he was put out before.
    pub(super) fn leave(&mut self, number: u64) -> Option<Arc<Notice>> {
        let seat = self.seats.remove(&number)?;
        self.order_mut(seat.familiar).remove(&seat.order(number));
        if let Some(of_source) = self.sources.get_mut(&seat.source) {
            of_source.retain(|other| *other != number);
            if of_source.is_empty() {
                self.sources.remove(&seat.source);
            }
        }
        Some(seat.notice)
    }

    pub(super) fn put_out(&mut self, number: u64) {
        if let Some(notice) = self.leave(number) {
            notice.tell();
        }
    }

    /// Who may be put out for somebody newer: of those who have not got on for `tenure`, whoever has come least far, and of
    /// them who has been there for longest.
    pub(super) fn weakest(&self, familiar: bool, tenure: Duration, now: Instant) -> Option<u64> {
        let order = self.order(familiar);
        STEPS.iter().find_map(|step| {
            let first = (*step, Instant::ORIGIN, 0);
            let (of, since, number) = order.range(first..).next()?;
            (of == step && now.since(*since) >= tenure).then_some(*number)
        })
    }

    /// The same of one source.
    pub(super) fn weakest_of(&self, source: &Source, tenure: Duration, now: Instant) -> Option<u64> {
        let of_source = self.sources.get(source)?.iter();
        let due = of_source.filter_map(|number| Some((*number, self.seats.get(number)?)));
        let due = due.filter(|(_, seat)| now.since(seat.since) >= tenure);
        due.min_by_key(|(number, seat)| seat.order(*number)).map(|(number, _)| number)
    }
}
