//! Who is let in at the door: how many strangers at a time, and how fast (`security.md` 9).
//!
//! A connection counts from the accepted socket until both persons are authenticated. What strangers can cost is bounded by
//! places and rates. Within that bound, a flood of them must not keep out those who are known:
//!
//! - Some places and a quarter of the rate are for sources from which somebody has authenticated before.
//! - At a limit, nobody is refused for those who only wait: who has not got on for a moment loses his place to somebody newer,
//!   those first who have shown least. Whoever is let in has that moment for each step, which is many round trips here.
//! - The rate lets in whoever comes when there is room again, so a newcomer's chance is his share of the attempts.
//!
//! Nobody is put out who is authenticated: he is counted no more.

mod config;
mod seats;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::future::poll_fn;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};
use std::time::Duration;

use lama_core::Instant;
use lama_invite::Source;
use lama_node::Familiar;

pub use config::GateConfig;
pub(crate) use seats::Step;
use seats::{Notice, Seats};

/// Why a connection was dropped at the door.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Full {
    /// All places of its source are taken.
    Source,
    /// All places are taken.
    Total,
    /// Its source comes too often.
    Rate,
    /// Too many come from everywhere.
    TotalRate,
    /// Too many sources to remember.
    Sources,
}

impl Full {
    /// A stable name for figures.
    pub(crate) const fn code(self) -> &'static str {
        match self {
            Self::Source => "source",
            Self::Total => "total",
            Self::Rate => "rate",
            Self::TotalRate => "total-rate",
            Self::Sources => "sources",
        }
    }
}

/// When everything will be paid for that was let in, at one in an interval. `None`: that would be later than a burst allows.
fn pay(paid: Instant, interval: Duration, burst: u32, now: Instant) -> Option<Instant> {
    let next = paid.max(now) + interval;
    (next.since(now) <= interval.saturating_mul(burst)).then_some(next)
}

#[derive(Debug)]
struct Inside {
    seats: Seats,
    familiar: Familiar,
    /// When each source will have paid for its connections.
    paid: BTreeMap<Source, Instant>,
    paid_by_all: Instant,
}

/// The door. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Gate {
    config: GateConfig,
    inside: Arc<Mutex<Inside>>,
}

impl Gate {
    pub(crate) fn new(config: GateConfig) -> Self {
        let inside = Inside {
            seats: Seats::default(),
            familiar: Familiar::new(config.familiar),
            paid: BTreeMap::new(),
            paid_by_all: Instant::ORIGIN,
        };
        Self { config, inside: Arc::new(Mutex::new(inside)) }
    }

    fn inside(&self) -> MutexGuard<'_, Inside> {
        self.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets a stranger in, in place of another if need be, or says why not. He counts until the permit is dropped.
    pub(crate) fn admit(&self, source: Source, now: Instant) -> Result<Permit, Full> {
        let config = &self.config;
        let mut inside = self.inside();
        let inside = &mut *inside;
        let familiar = inside.familiar.knows(&source, now);
        let (interval, rest) = if familiar {
            (config.interval / Familiar::RATE, 0)
        } else {
            (config.interval, config.total_burst / 4)
        };
        let by_all = pay(inside.paid_by_all, config.total_interval, config.total_burst - rest, now);
        let by_all = by_all.ok_or(Full::TotalRate)?;
        if !familiar && inside.paid.len() >= config.sources && !inside.paid.contains_key(&source) {
            inside.paid.retain(|_, paid| *paid > now);
            if inside.paid.len() >= config.sources {
                return Err(Full::Sources);
            }
        }
        let paid = inside.paid.get(&source).copied().unwrap_or_default();
        let paid = pay(paid, interval, config.burst, now).ok_or(Full::Rate)?;
        let weakest = config.place(&inside.seats, source, familiar, now)?;
        if let Some(weakest) = weakest {
            inside.seats.put_out(weakest);
        }
        inside.paid.insert(source, paid);
        inside.paid_by_all = by_all;
        let (number, notice) = inside.seats.take(source, familiar, now);
        Ok(Permit { gate: self.clone(), source, number, notice, step: Step::Came })
    }

    #[cfg(test)]
    fn counts(&self) -> (usize, usize, usize) {
        let inside = self.inside();
        (inside.seats.count(false), inside.seats.count(true), inside.paid.len())
    }
}

impl GateConfig {
    /// Whose place somebody gets who comes now; `None`: there is room.
    fn place(
        &self,
        seats: &Seats,
        source: Source,
        familiar: bool,
        now: Instant,
    ) -> Result<Option<u64>, Full> {
        let places = if familiar { Familiar::PLACES } else { 1 };
        if seats.from(&source) >= self.per_source.saturating_mul(places) {
            return seats.weakest_of(&source, self.tenure, now).map(Some).ok_or(Full::Source);
        }
        let open = self.total.saturating_sub(self.reserved);
        if seats.all() < self.total && (familiar || seats.count(false) < open) {
            return Ok(None);
        }
        let of_strangers = seats.weakest(false, self.tenure, now);
        let weakest = of_strangers.or_else(|| seats.weakest(true, self.tenure, now).filter(|_| familiar));
        weakest.map(Some).ok_or(Full::Total)
    }
}

/// One stranger inside. Dropped when he is known, or gone.
#[derive(Debug)]
pub(crate) struct Permit {
    gate: Gate,
    source: Source,
    number: u64,
    notice: Arc<Notice>,
    step: Step,
}

impl Permit {
    pub(crate) const fn source(&self) -> Source {
        self.source
    }

    /// The WebSocket is open: the first message has its own time.
    pub(crate) fn opened(&self, now: Instant) {
        self.gate.inside().seats.step(self.number, Step::Came, now);
    }

    /// He has come so far; to have come there before changes nothing.
    pub(crate) fn came(&mut self, step: Step, now: Instant) {
        if self.step < step {
            self.step = step;
            self.gate.inside().seats.step(self.number, step, now);
        }
    }

    /// He is authenticated: his source is familiar from now on, and owes nothing for what it cost as a strange one.
    pub(crate) fn authenticated(self, now: Instant) {
        let mut inside = self.gate.inside();
        inside.familiar.remember(self.source, now);
        inside.paid.remove(&self.source);
    }

    /// Whether he has lost his place: his connection is to be dropped.
    pub(crate) fn is_put_out(&self) -> bool {
        self.notice.out.load(Ordering::Acquire)
    }

    /// Wakes this when he loses his place.
    pub(crate) fn watch(&self, waker: &Waker) {
        self.notice.waker.register(waker);
        if self.is_put_out() {
            waker.wake_by_ref();
        }
    }

    /// Until he loses his place.
    pub(crate) async fn put_out(&self) {
        poll_fn(|cx| {
            self.notice.waker.register(cx.waker());
            if self.is_put_out() { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.gate.inside().seats.leave(self.number);
    }
}
