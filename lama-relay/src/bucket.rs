//! Rates: so much at once, and then so much in a time.

use core::time::Duration;

use lama_core::Instant;

use crate::Rate;

/// What was taken lately, as the time at which it will be paid for. All 16 bytes of it.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Bucket {
    paid: Instant,
}

impl Bucket {
    /// Takes one, if the rate allows it.
    pub(crate) fn take(&mut self, rate: &Rate, now: Instant) -> bool {
        let paid = self.paid.max(now) + rate.interval;
        let allowed = paid.since(now) <= rate.interval.saturating_mul(rate.burst);
        if allowed {
            self.paid = paid;
        }
        allowed
    }

    /// Takes `amount` of `limit` in `window`; `false` above that.
    pub(crate) fn take_bytes(&mut self, amount: u64, limit: u64, window: Duration, now: Instant) -> bool {
        let nanos = window.as_nanos().saturating_mul(u128::from(amount)) / u128::from(limit.max(1));
        let cost = Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX));
        self.paid = self.paid.max(now) + cost;
        self.paid.since(now) <= window
    }

    /// When everything is paid for.
    pub(crate) const fn paid(&self) -> Instant {
        self.paid
    }
}
