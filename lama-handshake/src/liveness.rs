//! PING and PONG: whether the peer is still there. A WebSocket's own pings do not count, a relay could answer them;
//! nor do other records, a relay could hold some back and let them drip.

use core::time::Duration;

use lama_core::Instant;

use crate::{Config, HandshakeError};

/// The timers of one session.
#[derive(Debug, Clone)]
pub(crate) struct Liveness {
    ping_every: Duration,
    dead_after: Duration,
    next_ping: Instant,
    /// When the peer last proved that it is there.
    proved: Instant,
    /// Numbers of the last PING sent and of the last one answered.
    sent: u64,
    answered: u64,
    sent_at: Instant,
    ping_due: bool,
    /// A PING whose answer is awaited with less patience: its number, and until when.
    probe: Option<(u64, Instant)>,
    round_trip: Option<Duration>,
    /// State of the jitter's generator.
    jitter: u64,
}

impl Liveness {
    pub(crate) fn new(config: &Config, jitter: u64, now: Instant) -> Self {
        let mut liveness = Self {
            ping_every: config.ping_every,
            dead_after: config.dead_after,
            next_ping: now,
            proved: now,
            sent: 0,
            answered: 0,
            sent_at: now,
            ping_due: false,
            probe: None,
            round_trip: None,
            jitter,
        };
        liveness.next_ping = now + liveness.interval();
        liveness
    }

    /// The interval to the next PING: four to six fifths of the configured one.
    fn interval(&mut self) -> Duration {
        // SplitMix64 (Steele, Lea, Flood 2014): the jitter need not be secret.
        self.jitter = self.jitter.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.jitter;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^= z >> 31;
        let thousandths = 800 + (z >> 32) % 401;
        let nanos = u128::from(thousandths) * self.ping_every.as_nanos() / 1_000;
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }

    /// There is reason to doubt that the peer is still there: a PING leaves now, and without its answer by `until` the
    /// peer is gone. A second doubt waits for the answer to the first.
    pub(crate) fn probe(&mut self, until: Instant) {
        if self.probe.is_none() {
            self.probe = Some((self.sent.wrapping_add(1), until));
            self.ping_due = true;
        }
    }

    /// Time has passed.
    pub(crate) fn handle_timeout(&mut self, now: Instant) -> Result<(), HandshakeError> {
        let probed = self.probe.is_some_and(|(_, until)| now >= until);
        if probed || now >= self.proved + self.dead_after {
            return Err(HandshakeError::PeerSilent);
        }
        if now >= self.next_ping {
            self.ping_due = true;
            self.next_ping = now + self.interval();
        }
        Ok(())
    }

    pub(crate) fn due(&self) -> Instant {
        let due = self.next_ping.min(self.proved + self.dead_after);
        self.probe.map_or(due, |(_, until)| due.min(until))
    }

    pub(crate) const fn is_ping_due(&self) -> bool {
        self.ping_due
    }

    /// Whether a PING waits to be sent or answered.
    pub(crate) const fn is_outstanding(&self) -> bool {
        self.ping_due || self.answered < self.sent
    }

    /// The body of the PING that is due.
    pub(crate) fn ping(&mut self, now: Instant) -> [u8; 8] {
        self.ping_due = false;
        self.sent = self.sent.wrapping_add(1);
        self.sent_at = now;
        self.sent.to_be_bytes()
    }

    /// A PONG came with this body.
    pub(crate) fn pong(&mut self, body: [u8; 8], now: Instant) -> Result<(), HandshakeError> {
        let number = u64::from_be_bytes(body);
        if number <= self.answered || number > self.sent {
            return Err(HandshakeError::PongUnasked);
        }
        if number == self.sent {
            self.round_trip = Some(now.since(self.sent_at));
        }
        self.answered = number;
        self.proved = now;
        self.probe = self.probe.filter(|(probe, _)| *probe > number);
        Ok(())
    }

    pub(crate) const fn round_trip(&self) -> Option<Duration> {
        self.round_trip
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Instant {
        Instant::from_origin(Duration::from_millis(millis))
    }

    #[test]
    fn pings_keep_their_distance_with_jitter() {
        let mut seen = alloc::collections::BTreeSet::new();
        let mut live = Liveness::new(&Config::default(), 7, at(0));
        let mut last = 0;
        for _ in 0..200 {
            let due = live.next_ping;
            let gap = due.since_origin().as_millis() as u64 - last;
            assert!((20_000..=30_000).contains(&gap), "{gap}");
            seen.insert(gap);
            last += gap;
            live.handle_timeout(due).unwrap();
            assert!(live.is_ping_due());
            let body = live.ping(due);
            live.pong(body, due + Duration::from_millis(3)).unwrap();
            assert_eq!(live.round_trip(), Some(Duration::from_millis(3)));
        }
        assert!(seen.len() > 100);
    }

    #[test]
    fn the_jitter_is_that_of_splitmix64() {
        // The generator's first outputs for the seed 1234567, as published with its authors' reference code.
        let outputs = [6_457_827_717_110_365_317_u64, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423];
        let mut live = Liveness::new(&Config::default(), 0, at(0));
        live.jitter = 1_234_567;
        for output in outputs {
            let thousandths = 800 + (output >> 32) % 401;
            assert_eq!(live.interval(), Config::default().ping_every * thousandths as u32 / 1_000);
        }
    }

    #[test]
    fn peer_silent() {
        let mut live = Liveness::new(&Config::default(), 1, at(0));
        assert_eq!(live.handle_timeout(at(59_999)), Ok(()));
        let body = live.ping(at(59_999));
        live.pong(body, at(59_999)).unwrap();
        assert_eq!(live.handle_timeout(at(119_998)), Ok(()));
        assert_eq!(live.handle_timeout(at(119_999)), Err(HandshakeError::PeerSilent));
    }

    #[test]
    fn a_probe_is_answered_or_the_peer_is_silent() {
        let mut live = Liveness::new(&Config::default(), 1, at(0));
        let earlier = live.ping(at(1));
        live.probe(at(5_000));
        live.probe(at(9_000));
        assert!(live.is_ping_due());
        assert_eq!(live.due(), at(5_000));
        // The answer to an earlier PING was perhaps on its way already: it proves nothing.
        live.pong(earlier, at(2)).unwrap();
        assert_eq!(live.due(), at(5_000));
        let probe = live.ping(at(3));
        assert_eq!(live.handle_timeout(at(4_999)), Ok(()));
        assert_eq!(live.clone().handle_timeout(at(5_000)), Err(HandshakeError::PeerSilent));
        live.pong(probe, at(4_999)).unwrap();
        assert_eq!(live.handle_timeout(at(5_000)), Ok(()));
        assert!(live.due() > at(5_000));
    }

    #[test]
    fn pong_unasked() {
        let mut live = Liveness::new(&Config::default(), 1, at(0));
        assert_eq!(live.pong(1_u64.to_be_bytes(), at(1)), Err(HandshakeError::PongUnasked));
        let first = live.ping(at(1));
        let second = live.ping(at(2));
        live.pong(first, at(3)).unwrap();
        assert_eq!(live.pong(first, at(3)), Err(HandshakeError::PongUnasked));
        assert_eq!(live.round_trip(), None);
        live.pong(second, at(4)).unwrap();
        assert_eq!(live.pong(3_u64.to_be_bytes(), at(5)), Err(HandshakeError::PongUnasked));
        assert_eq!(live.round_trip(), Some(Duration::from_millis(2)));
    }
}
