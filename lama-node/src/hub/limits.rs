//! What strangers may cost: links, first messages and failed authentications (`security.md` 9).

use core::time::Duration;

use lama_core::{Instant, SortedMap};
use lama_invite::Source;

use super::Familiar;
use crate::Config;
use crate::api::RefuseReason;

/// A bucket that fills by one token per interval, up to a burst.
#[derive(Debug, Clone, Copy)]
struct Bucket {
    tokens: u32,
    filled: Instant,
}

impl Bucket {
    const fn full(burst: u32, now: Instant) -> Self {
        Self { tokens: burst, filled: now }
    }

    /// Takes a token, if more than `rest` are left.
    fn take(&mut self, burst: u32, interval: Duration, rest: u32, now: Instant) -> bool {
        let nanos = interval.as_nanos().max(1);
        let gained = now.since(self.filled).as_nanos() / nanos;
        if gained > 0 {
            let gained = u32::try_from(gained).unwrap_or(u32::MAX);
            self.tokens = self.tokens.saturating_add(gained).min(burst);
            self.filled =
                if self.tokens == burst { now } else { self.filled + interval.saturating_mul(gained) };
        }
        if self.tokens <= rest {
            return false;
        }
        self.tokens = self.tokens.saturating_sub(1);
        true
    }

    fn is_full(&self, burst: u32, interval: Duration, now: Instant) -> bool {
        now.since(self.filled) >= interval.saturating_mul(burst.saturating_sub(self.tokens))
    }
}

#[derive(Debug, Default)]
struct PerSource {
    links: usize,
    msg1: Option<Bucket>,
}

/// Failed authentications of one instance key since `start`.
#[derive(Debug, Clone, Copy)]
struct Failed {
    start: Instant,
    count: u32,
}

/// Counts what has not proved anything.
#[derive(Debug, Default)]
pub(crate) struct Limits {
    sources: SortedMap<Source, PerSource>,
    links: usize,
    msg1: Option<Bucket>,
    failed: SortedMap<[u8; 32], Failed>,
    familiar: Option<Familiar>,
}

impl Limits {
    /// A new link from outside. Refuses the newest, never an older one.
    pub(crate) fn link_up(
        &mut self,
        config: &Config,
        source: Source,
        now: Instant,
    ) -> Result<(), RefuseReason> {
        let places = if self.is_familiar(&source, now) { Familiar::PLACES } else { 1 };
        if self.links >= config.unauthenticated {
            return Err(RefuseReason::TooMany);
        }
        let from = self.sources.entry(source).or_default();
        if from.links >= config.unauthenticated_per_source.saturating_mul(places) {
            return Err(RefuseReason::TooManyFromSource);
        }
        from.links = from.links.saturating_add(1);
        self.links = self.links.saturating_add(1);
        Ok(())
    }

    /// A counted link ended or was authenticated.
    pub(crate) fn link_done(&mut self, config: &Config, source: Source, now: Instant) {
        self.links = self.links.saturating_sub(1);
        if let Some(from) = self.sources.get_mut(&source) {
            from.links = from.links.saturating_sub(1);
        }
        if self.sources.len() > config.remembered_sources {
            self.forget(config, now);
        }
    }

    /// A first message, before any key exchange is computed for it.
    pub(crate) fn msg1(&mut self, config: &Config, source: Source, now: Instant) -> Result<(), RefuseReason> {
        let (interval, rest) = match self.is_familiar(&source, now) {
            true => (config.msg1_interval / Familiar::RATE, 0),
            false => (config.msg1_interval, config.msg1_total_burst / 4),
        };
        let from = self.sources.entry(source).or_default();
        let bucket = from.msg1.get_or_insert(Bucket::full(config.msg1_burst, now));
        if !bucket.take(config.msg1_burst, interval, 0, now) {
            return Err(RefuseReason::RateOfSource);
        }
        let bucket = self.msg1.get_or_insert(Bucket::full(config.msg1_total_burst, now));
        if !bucket.take(config.msg1_total_burst, config.msg1_total_interval, rest, now) {
            return Err(RefuseReason::Rate);
        }
        Ok(())
    }

    fn is_familiar(&self, source: &Source, now: Instant) -> bool {
        self.familiar.as_ref().is_some_and(|familiar| familiar.knows(source, now))
    }

    /// Somebody has authenticated from there: first messages from there come before those of strangers from now on.
    pub(crate) fn authenticated(&mut self, config: &Config, source: Source, now: Instant) {
        self.familiar.get_or_insert_with(|| Familiar::new(config.familiar_sources)).remember(source, now);
    }

    /// Whether this instance key has failed too often to be listened to.
    pub(crate) fn may_authenticate(&self, config: &Config, noise: &[u8; 32], now: Instant) -> bool {
        let minute = Duration::from_secs(60);
        self.failed.get(noise).is_none_or(|failed| {
            now.since(failed.start) >= minute || failed.count < config.failed_auth_per_minute
        })
    }

    /// An authentication by this instance key failed.
    pub(crate) fn failed(&mut self, config: &Config, noise: [u8; 32], now: Instant) {
        if self.failed.len() >= config.remembered_sources && !self.failed.contains_key(&noise) {
            let oldest = self.failed.iter().min_by_key(|(_, failed)| failed.start).map(|(key, _)| *key);
            if let Some(oldest) = oldest {
                self.failed.remove(&oldest);
            }
        }
        let failed = self.failed.entry(noise).or_insert(Failed { start: now, count: 0 });
        if now.since(failed.start) >= Duration::from_secs(60) {
            *failed = Failed { start: now, count: 0 };
        }
        failed.count = failed.count.saturating_add(1);
    }

    /// How many links have not proved anything.
    pub(crate) const fn unauthenticated(&self) -> usize {
        self.links
    }

    /// Forgets sources that owe nothing; if that is not enough, those without links.
    fn forget(&mut self, config: &Config, now: Instant) {
        self.sources.retain(|_, from| {
            from.links > 0
                || from
                    .msg1
                    .is_some_and(|bucket| !bucket.is_full(config.msg1_burst, config.msg1_interval, now))
        });
        if self.sources.len() > config.remembered_sources {
            self.sources.retain(|_, from| from.links > 0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Instant {
        Instant::from_origin(Duration::from_millis(ms))
    }

    #[test]
    fn links_are_bounded_per_source_and_in_all() {
        let config = Config { unauthenticated: 3, unauthenticated_per_source: 2, ..Config::default() };
        let (a, b) = (Source::new([1; 16]), Source::new([2; 16]));
        let mut limits = Limits::default();
        assert_eq!(limits.link_up(&config, a, at(0)), Ok(()));
        assert_eq!(limits.link_up(&config, a, at(0)), Ok(()));
        assert_eq!(limits.link_up(&config, a, at(0)), Err(RefuseReason::TooManyFromSource));
        assert_eq!(limits.link_up(&config, b, at(0)), Ok(()));
        assert_eq!(limits.link_up(&config, b, at(0)), Err(RefuseReason::TooMany));
        limits.link_done(&config, a, at(0));
        assert_eq!(limits.link_up(&config, b, at(0)), Ok(()));
    }

    #[test]
    fn where_somebody_has_authenticated_there_is_room_for_three_times_as_many() {
        let config = Config { unauthenticated_per_source: 2, ..Config::default() };
        let (known, other) = (Source::new([1; 16]), Source::new([2; 16]));
        let mut limits = Limits::default();
        limits.authenticated(&config, known, at(0));
        let mut links = |source| (0..10).filter(|_| limits.link_up(&config, source, at(1)).is_ok()).count();
        assert_eq!((links(known), links(other)), (6, 2));
    }

    #[test]
    fn first_messages_come_in_bursts_and_then_at_the_rate() {
        let config = Config { msg1_burst: 2, msg1_interval: Duration::from_millis(200), ..Config::default() };
        let source = Source::new([1; 16]);
        let mut limits = Limits::default();
        assert!(limits.msg1(&config, source, at(0)).is_ok());
        assert!(limits.msg1(&config, source, at(0)).is_ok());
        assert_eq!(limits.msg1(&config, source, at(199)), Err(RefuseReason::RateOfSource));
        assert!(limits.msg1(&config, source, at(200)).is_ok());
        assert_eq!(limits.msg1(&config, source, at(399)), Err(RefuseReason::RateOfSource));
        assert!(limits.msg1(&config, Source::new([2; 16]), at(399)).is_ok());
    }

    #[test]
    fn strangers_leave_first_messages_for_those_who_were_here_before() {
        let config = Config {
            msg1_total_burst: 8,
            msg1_total_interval: Duration::from_millis(1),
            ..Config::default()
        };
        let familiar = Source::new([0xff; 16]);
        let mut limits = Limits::default();
        limits.authenticated(&config, familiar, at(0));
        // Ten strangers in each millisecond, each from another address: as many get through as the rate says.
        let (mut through, mut number) = (0, 0_u64);
        for ms in 0..1_000 {
            for _ in 0..10 {
                number += 1;
                let mut id = [0; 16];
                id[..8].copy_from_slice(&number.to_be_bytes());
                through += u32::from(limits.msg1(&config, Source::new(id), at(ms)).is_ok());
            }
            if ms % 25 == 0 {
                assert_eq!(limits.msg1(&config, familiar, at(ms)), Ok(()), "after {ms} ms");
            }
        }
        // 6 of the burst and 999 that came in time, without the 40 of those who were here before.
        assert_eq!(through, 6 + 999 - 40);
    }

    #[test]
    fn failed_authentications_silence_one_key_for_a_minute() {
        let config = Config { failed_auth_per_minute: 2, ..Config::default() };
        let mut limits = Limits::default();
        limits.failed(&config, [1; 32], at(0));
        assert!(limits.may_authenticate(&config, &[1; 32], at(1)));
        limits.failed(&config, [1; 32], at(1));
        assert!(!limits.may_authenticate(&config, &[1; 32], at(2)));
        assert!(limits.may_authenticate(&config, &[2; 32], at(2)));
        assert!(limits.may_authenticate(&config, &[1; 32], at(60_000)));
    }
}
