//! Who is let in at the door: how many strangers at a time, and how fast (`security.md` 9).
//!
//! A connection counts from the accepted socket until both persons are authenticated. At a limit the newest is
//! refused; nobody who is inside is ever put out.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use lama_core::Instant;
use lama_invite::Source;

/// How many strangers may knock. All finite.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GateConfig {
    /// Unauthenticated connections from one source: 8.
    pub per_source: usize,
    /// Unauthenticated connections in all: 256.
    pub total: usize,
    /// Connections from one source: so many at once...
    pub burst: u32,
    /// ...and then one in this time: 100 ms.
    pub interval: Duration,
    /// Sources remembered for the rate: 4,096. Above that, strangers from new sources are refused.
    pub sources: usize,
}

impl Default for GateConfig {
    fn default() -> Self {
        Self { per_source: 8, total: 256, burst: 40, interval: Duration::from_millis(100), sources: 4096 }
    }
}

/// Why a connection was dropped at the door.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Full {
    Source,
    Total,
    Rate,
    Sources,
}

#[derive(Debug, Default)]
struct Visitor {
    open: usize,
    /// When the source will have paid for all its connections, at one in an interval.
    paid: Instant,
}

#[derive(Debug, Default)]
struct Inside {
    total: usize,
    sources: BTreeMap<Source, Visitor>,
}

/// The door. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Gate {
    config: GateConfig,
    inside: Arc<Mutex<Inside>>,
}

impl Gate {
    pub(crate) fn new(config: GateConfig) -> Self {
        Self { config, inside: Arc::default() }
    }

    /// Lets a stranger in, or says why not. It counts until the permit is dropped.
    pub(crate) fn admit(&self, source: Source, now: Instant) -> Result<Permit, Full> {
        let config = &self.config;
        let mut inside = self.inside.lock().unwrap_or_else(PoisonError::into_inner);
        if inside.total >= config.total {
            return Err(Full::Total);
        }
        if inside.sources.len() >= config.sources && !inside.sources.contains_key(&source) {
            inside.sources.retain(|_, visitor| visitor.open > 0 || visitor.paid > now);
            if inside.sources.len() >= config.sources {
                return Err(Full::Sources);
            }
        }
        let visitor = inside.sources.entry(source).or_default();
        if visitor.open >= config.per_source {
            return Err(Full::Source);
        }
        let paid = visitor.paid.max(now) + config.interval;
        if paid.since(now) > config.interval.saturating_mul(config.burst) {
            return Err(Full::Rate);
        }
        visitor.paid = paid;
        visitor.open += 1;
        inside.total += 1;
        Ok(Permit { gate: self.clone(), source })
    }

    fn leave(&self, source: Source) {
        let mut inside = self.inside.lock().unwrap_or_else(PoisonError::into_inner);
        inside.total = inside.total.saturating_sub(1);
        if let Some(visitor) = inside.sources.get_mut(&source) {
            visitor.open = visitor.open.saturating_sub(1);
        }
    }
}

/// One stranger inside. Dropped when he is known, or gone.
#[derive(Debug)]
pub(crate) struct Permit {
    gate: Gate,
    source: Source,
}

impl Permit {
    pub(crate) const fn source(&self) -> Source {
        self.source
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.gate.leave(self.source);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(n: u8) -> Source {
        Source::new([n; 16])
    }

    fn at(ms: u64) -> Instant {
        Instant::from_origin(Duration::from_millis(ms))
    }

    #[test]
    fn the_newest_is_refused_and_leaving_makes_room() {
        let gate = Gate::new(GateConfig { per_source: 2, total: 3, ..GateConfig::default() });
        let first = gate.admit(source(1), at(0)).unwrap();
        let _second = gate.admit(source(1), at(0)).unwrap();
        assert_eq!(gate.admit(source(1), at(0)).unwrap_err(), Full::Source);
        let _third = gate.admit(source(2), at(0)).unwrap();
        assert_eq!(gate.admit(source(2), at(0)).unwrap_err(), Full::Total);
        drop(first);
        assert!(gate.admit(source(1), at(0)).is_ok());
    }

    #[test]
    fn a_burst_then_one_in_an_interval() {
        let config = GateConfig { burst: 3, interval: Duration::from_millis(100), ..GateConfig::default() };
        let gate = Gate::new(config);
        let mut admitted = |ms| gate.admit(source(1), at(ms)).is_ok();
        assert_eq!(
            [0, 0, 0, 0, 99, 100, 150, 200].map(&mut admitted),
            [true, true, true, false, false, true, false, true]
        );
    }

    #[test]
    fn what_is_remembered_is_bounded_and_forgotten() {
        let config = GateConfig { sources: 2, burst: 1, ..GateConfig::default() };
        let gate = Gate::new(config);
        drop(gate.admit(source(1), at(0)).unwrap());
        drop(gate.admit(source(2), at(0)).unwrap());
        assert_eq!(gate.admit(source(3), at(0)).unwrap_err(), Full::Sources);
        assert!(gate.admit(source(3), at(100)).is_ok());
    }
}
