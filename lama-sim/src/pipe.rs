//! One direction of a link: bounded in bytes, with a delay, a rate, and a place where it breaks.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::BytesMut;
use lama_core::Instant;

/// What a direction of a link is like.
#[derive(Debug, Clone, Copy)]
pub struct PipeConfig {
    /// Bytes under way at once: what both sockets' buffers and the network hold. A frame that is larger passes
    /// alone, in pieces, as it would through a socket.
    pub capacity: usize,
    /// From the first byte in to the first byte out.
    pub delay: Duration,
    /// Bytes a second, or as fast as the other end takes them.
    pub rate: Option<u64>,
    /// The link breaks when this many bytes (counted over its life) have come out in this direction.
    pub cut_after: Option<u64>,
}

impl Default for PipeConfig {
    fn default() -> Self {
        Self { capacity: 64 * 1024, delay: Duration::from_millis(1), rate: None, cut_after: None }
    }
}

/// What comes out of a pipe.
#[derive(Debug)]
pub enum Arrival {
    /// A whole frame.
    Frame(BytesMut),
    /// The link broke inside this frame: its rest never comes.
    Cut,
}

/// One direction of a link.
#[derive(Debug)]
pub struct Pipe {
    config: PipeConfig,
    under_way: VecDeque<(Instant, BytesMut)>,
    bytes_under_way: usize,
    free_at: Instant,
    carried: u64,
    frames: u64,
}

impl Pipe {
    /// An empty pipe.
    #[must_use]
    pub const fn new(config: PipeConfig) -> Self {
        Self {
            config,
            under_way: VecDeque::new(),
            bytes_under_way: 0,
            free_at: Instant::ORIGIN,
            carried: 0,
            frames: 0,
        }
    }

    /// Whether the writer may put in another frame.
    #[must_use]
    pub fn has_room(&self) -> bool {
        self.under_way.is_empty() || self.bytes_under_way < self.config.capacity
    }

    /// Takes a frame at `now`.
    pub fn push(&mut self, now: Instant, frame: BytesMut) {
        let start = self.free_at.max(now);
        self.free_at = start + self.duration_of(frame.len());
        self.bytes_under_way += frame.len();
        self.under_way.push_back((self.free_at + self.config.delay, frame));
    }

    /// When the next frame can be taken out.
    #[must_use]
    pub fn next_arrival(&self) -> Option<Instant> {
        self.under_way.front().map(|(at, _)| *at)
    }

    /// The next frame, if it has arrived by `now`.
    pub fn pop(&mut self, now: Instant) -> Option<Arrival> {
        if self.next_arrival()? > now {
            return None;
        }
        let (_, frame) = self.under_way.pop_front()?;
        self.bytes_under_way -= frame.len();
        let end = self.carried + frame.len() as u64;
        if self.config.cut_after.is_some_and(|cut| cut < end) {
            return Some(Arrival::Cut);
        }
        self.carried = end;
        self.frames += 1;
        Some(Arrival::Frame(frame))
    }

    /// Whether the link broke exactly behind the last whole frame.
    #[must_use]
    pub fn is_spent(&self) -> bool {
        self.config.cut_after == Some(self.carried)
    }

    /// When the last frame under way comes out; the host's origin if there is none.
    #[must_use]
    pub fn last_arrival(&self) -> Instant {
        self.under_way.back().map_or(Instant::ORIGIN, |(at, _)| *at)
    }

    /// From the first byte in to the first byte out.
    #[must_use]
    pub const fn delay(&self) -> Duration {
        self.config.delay
    }

    /// Loses what is under way.
    pub fn clear(&mut self) {
        self.under_way.clear();
        self.bytes_under_way = 0;
    }

    /// Bytes that have come out so far.
    #[must_use]
    pub const fn carried(&self) -> u64 {
        self.carried
    }

    /// Whole frames that have come out so far.
    #[must_use]
    pub const fn frames(&self) -> u64 {
        self.frames
    }

    fn duration_of(&self, bytes: usize) -> Duration {
        self.config.rate.map_or(Duration::ZERO, |rate| {
            Duration::from_nanos((bytes as u64).saturating_mul(1_000_000_000) / rate.max(1))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Instant {
        Instant::ORIGIN + Duration::from_millis(ms)
    }

    fn frame(len: usize) -> BytesMut {
        BytesMut::from(vec![0; len].as_slice())
    }

    #[test]
    fn frames_come_in_order_after_the_delay() {
        let mut pipe = Pipe::new(PipeConfig::default());
        pipe.push(at(0), frame(1));
        pipe.push(at(0), frame(2));
        assert!(pipe.pop(at(0)).is_none());
        assert!(matches!(pipe.pop(at(1)), Some(Arrival::Frame(f)) if f.len() == 1));
        assert!(matches!(pipe.pop(at(1)), Some(Arrival::Frame(f)) if f.len() == 2));
    }

    #[test]
    fn room_is_bounded_in_bytes_but_one_large_frame_passes() {
        let mut pipe = Pipe::new(PipeConfig { capacity: 10, ..PipeConfig::default() });
        pipe.push(at(0), frame(100));
        assert!(!pipe.has_room());
        assert!(matches!(pipe.pop(at(1)), Some(Arrival::Frame(_))));
        assert!(pipe.has_room());
    }

    #[test]
    fn a_rate_spaces_frames() {
        let mut pipe = Pipe::new(PipeConfig { rate: Some(1000), ..PipeConfig::default() });
        pipe.push(at(0), frame(10));
        pipe.push(at(0), frame(10));
        assert_eq!(pipe.next_arrival(), Some(at(11)));
        assert!(pipe.pop(at(11)).is_some());
        assert_eq!(pipe.next_arrival(), Some(at(21)));
    }

    #[test]
    fn a_cut_inside_a_frame_swallows_it_and_one_behind_it_does_not() {
        let cut = |after| {
            let mut pipe = Pipe::new(PipeConfig { cut_after: Some(after), ..PipeConfig::default() });
            pipe.push(at(0), frame(4));
            (matches!(pipe.pop(at(1)), Some(Arrival::Cut)), pipe.is_spent())
        };
        assert_eq!(cut(0), (true, true));
        assert_eq!(cut(3), (true, false));
        assert_eq!(cut(4), (false, true));
        assert_eq!(cut(5), (false, false));
    }
}
