//! Bounds on WebSocket frames while the peer is a stranger.
//!
//! Neither WebSocket crate can change its limits on an open stream, and both reserve whatever length a header
//! claims. The [`Guard`] therefore sits *below* them, between socket and crate: it reads the header of every frame
//! first, refuses a claim above the limit of the moment before the crate sees it, and never reads beyond the end
//! of a frame. So the limit may change from one frame to the next, and at the end of any frame nothing is
//! buffered, so that the socket can be put under a crate's stream with other settings.
//!
//! Where a route says `wss`, TLS lies below the guard again: all that passes here is what was meant.

use std::io;
use std::task::Poll;

use bytes::{Buf, Bytes};

use crate::tls::Tls;

/// What a control frame may carry (RFC 6455, 5.5).
const MAX_CONTROL: u64 = 125;

/// Why a frame was refused by its header alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum FrameRefused {
    /// The header claims more than the limit of the moment.
    TooLong {
        /// Octets claimed.
        claimed: u64,
        /// Octets allowed.
        limit: usize,
    },
    /// A text frame: LAMA speaks binary frames only.
    Text,
    /// A message in several frames, before the peer has proved who it is.
    Fragmented,
    /// Reserved bits or an opcode that RFC 6455 does not define.
    Malformed,
}

impl core::fmt::Display for FrameRefused {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::TooLong { claimed, limit } => {
                write!(f, "a frame claims {claimed} bytes where {limit} are allowed")
            }
            Self::Text => f.write_str("a text frame where only binary frames are spoken"),
            Self::Fragmented => f.write_str("a fragmented message from a peer that is not known yet"),
            Self::Malformed => f.write_str("a frame header that RFC 6455 does not allow"),
        }
    }
}

impl core::error::Error for FrameRefused {}

/// Watches the bytes that come from the socket. It starts open (for the upgrade, which is no frame yet).
#[derive(Debug, Default)]
pub struct Guard {
    /// Octets of one data frame; `None`: pass everything.
    limit: Option<usize>,
    header: [u8; 14],
    have: usize,
    remaining: u64,
    early: Bytes,
    /// Between here and the socket.
    tls: Option<Box<Tls>>,
}

impl Guard {
    /// Bounds the data frames from the next header on, in octets of payload.
    pub fn limit(&mut self, octets: usize) {
        self.limit = Some(octets);
    }

    /// Stops watching. Only at the end of a frame: the WebSocket crate's own limits hold from here.
    pub fn open(&mut self) {
        debug_assert!(self.at_boundary());
        self.limit = None;
    }

    /// Whether no frame is half read.
    #[must_use]
    pub const fn at_boundary(&self) -> bool {
        self.have == 0 && self.remaining == 0
    }

    /// Gives back what was read too far during the upgrade: it is delivered before the socket's bytes.
    pub(crate) fn unread(&mut self, early: Bytes) {
        self.early = early;
    }

    /// From now on everything goes through TLS.
    pub(crate) fn encrypt(&mut self, tls: Box<Tls>) {
        self.tls = Some(tls);
    }

    /// What only the two ends of the TLS connection know; `None` without one.
    pub(crate) fn exporter(&self) -> Option<[u8; 32]> {
        self.tls.as_ref().and_then(|tls| tls.exporter())
    }

    /// Writes some of `buf` through `socket`. An adapter's write calls nothing else.
    ///
    /// # Errors
    /// What the socket reports.
    pub fn write(
        &mut self,
        buf: &[u8],
        mut socket: impl FnMut(&[u8]) -> Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        match &mut self.tls {
            Some(tls) => tls.write(buf, &mut socket),
            None => socket(buf),
        }
    }

    /// Hands all that was written to `socket`. An adapter's flush calls it before it flushes the socket itself.
    ///
    /// # Errors
    /// What the socket reports.
    pub fn flush(
        &mut self,
        mut socket: impl FnMut(&[u8]) -> Poll<io::Result<usize>>,
    ) -> Poll<io::Result<()>> {
        self.tls.as_mut().map_or(Poll::Ready(Ok(())), |tls| tls.flush(&mut socket))
    }

    /// Says goodbye where there is a word for it. An adapter's close calls it before it closes the socket itself.
    ///
    /// # Errors
    /// What the socket reports.
    pub fn close(
        &mut self,
        mut socket: impl FnMut(&[u8]) -> Poll<io::Result<usize>>,
    ) -> Poll<io::Result<()>> {
        self.tls.as_mut().map_or(Poll::Ready(Ok(())), |tls| tls.close(&mut socket))
    }

    /// Reads into `buf` through `socket`, as far as the guard allows. An adapter's read calls nothing else.
    ///
    /// # Errors
    /// What the socket reports, or [`FrameRefused`] inside [`io::ErrorKind::InvalidData`].
    pub fn read(
        &mut self,
        buf: &mut [u8],
        mut socket: impl FnMut(&mut [u8]) -> Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        let room = self.wanted().min(buf.len());
        let Some(buf) = buf.get_mut(..room) else { return Poll::Ready(Ok(0)) };
        let read = if self.early.is_empty() {
            let read = match &mut self.tls {
                Some(tls) => tls.read(buf, &mut socket),
                None => socket(buf),
            };
            match read {
                Poll::Ready(Ok(read)) => read,
                other => return other,
            }
        } else {
            let read = room.min(self.early.len());
            self.early.copy_to_slice(buf.get_mut(..read).unwrap_or_default());
            read
        };
        if self.limit.is_some()
            && let Err(refused) = self.pass(buf.get(..read).unwrap_or_default())
        {
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, refused)));
        }
        Poll::Ready(Ok(read))
    }

    /// How many octets may be read without going beyond what is known of the current frame.
    fn wanted(&self) -> usize {
        if self.limit.is_none() {
            usize::MAX
        } else if self.remaining > 0 {
            usize::try_from(self.remaining).unwrap_or(usize::MAX)
        } else {
            self.header_len() - self.have
        }
    }

    /// Octets of the header, as far as the first two tell.
    fn header_len(&self) -> usize {
        let [_, second, ..] = self.header;
        if self.have < 2 {
            return 2;
        }
        let length = match second & 0x7f {
            126 => 2,
            127 => 8,
            _ => 0,
        };
        2 + length + if second & 0x80 == 0 { 0 } else { 4 }
    }

    fn pass(&mut self, bytes: &[u8]) -> Result<(), FrameRefused> {
        if self.remaining > 0 {
            self.remaining = self.remaining.saturating_sub(bytes.len() as u64);
            return Ok(());
        }
        let end = (self.have + bytes.len()).min(self.header.len());
        if let Some(room) = self.header.get_mut(self.have..end) {
            room.copy_from_slice(bytes.get(..room.len()).unwrap_or_default());
        }
        self.have = end;
        if self.have >= 2 && self.have == self.header_len() {
            self.remaining = self.judge()?;
            self.have = 0;
        }
        Ok(())
    }

    /// The payload length of a complete header that is allowed.
    fn judge(&self) -> Result<u64, FrameRefused> {
        let [first, second, a, b, c, d, e, f, g, h, ..] = self.header;
        let claimed = match second & 0x7f {
            126 => u64::from(u16::from_be_bytes([a, b])),
            127 => u64::from_be_bytes([a, b, c, d, e, f, g, h]),
            short => u64::from(short),
        };
        if first & 0x70 != 0 {
            return Err(FrameRefused::Malformed);
        }
        let limit = match first & 0x0f {
            1 => return Err(FrameRefused::Text),
            2 => self.limit.unwrap_or(usize::MAX) as u64,
            8..=10 => MAX_CONTROL,
            0 => return Err(FrameRefused::Fragmented),
            _ => return Err(FrameRefused::Malformed),
        };
        if claimed > limit {
            let limit = usize::try_from(limit).unwrap_or(usize::MAX);
            return Err(FrameRefused::TooLong { claimed, limit });
        }
        if first & 0x80 == 0 {
            return Err(FrameRefused::Fragmented);
        }
        Ok(claimed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Feeds `wire` through a guard, `step` octets a read at most; says how far it came.
    fn feed(guard: &mut Guard, wire: &[u8], step: usize) -> Result<usize, FrameRefused> {
        let mut passed = 0;
        while passed < wire.len() {
            let mut buf = vec![0; 4096];
            let read = guard.read(&mut buf, |room| {
                let n = room.len().min(step).min(wire.len() - passed);
                room[..n].copy_from_slice(&wire[passed..passed + n]);
                Poll::Ready(Ok(n))
            });
            let Poll::Ready(read) = read else { panic!("never pending here") };
            match read {
                Ok(n) => passed += n,
                Err(error) => {
                    return Err(*error.get_ref().unwrap().downcast_ref().unwrap());
                }
            }
            if guard.at_boundary() {
                return Ok(passed);
            }
        }
        Ok(passed)
    }

    fn binary(len: usize) -> Vec<u8> {
        let mut frame = vec![0x82];
        if len < 126 {
            frame.push(0x80 | u8::try_from(len).unwrap());
        } else {
            frame.push(0x80 | 126);
            frame.extend(u16::try_from(len).unwrap().to_be_bytes());
        }
        frame.extend([1, 2, 3, 4]);
        frame.resize(frame.len() + len, 7);
        frame
    }

    #[test]
    fn stops_at_the_end_of_a_frame_whatever_the_reads() {
        for step in 1..20 {
            for len in [0, 1, 68, 125, 126, 256] {
                let mut guard = Guard::default();
                guard.limit(256);
                let one = binary(len);
                let mut two = one.clone();
                two.extend(binary(3));
                assert_eq!(feed(&mut guard, &two, step), Ok(one.len()), "len {len} step {step}");
            }
        }
    }

    #[test]
    fn a_claim_above_the_limit_is_refused_at_its_header() {
        for step in 1..20 {
            let mut guard = Guard::default();
            guard.limit(256);
            let refused = FrameRefused::TooLong { claimed: 257, limit: 256 };
            assert_eq!(feed(&mut guard, &binary(257), step), Err(refused));
        }
        let mut guard = Guard::default();
        guard.limit(256);
        let huge = [0x82, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0];
        let refused = FrameRefused::TooLong { claimed: u64::MAX, limit: 256 };
        assert_eq!(feed(&mut guard, &huge, 100), Err(refused));
    }

    #[test]
    fn the_limit_changes_between_two_frames() {
        let mut guard = Guard::default();
        guard.limit(256);
        feed(&mut guard, &binary(64), 9).unwrap();
        guard.limit(4300);
        assert_eq!(feed(&mut guard, &binary(4112), 1000), Ok(binary(4112).len()));
    }

    #[test]
    fn text_fragments_and_nonsense_are_refused() {
        for (head, refused) in [
            (0x81, FrameRefused::Text),
            (0x02, FrameRefused::Fragmented),
            (0x80, FrameRefused::Fragmented),
            (0xc2, FrameRefused::Malformed),
            (0x83, FrameRefused::Malformed),
        ] {
            let mut guard = Guard::default();
            guard.limit(256);
            assert_eq!(feed(&mut guard, &[head, 0x80, 0, 0, 0, 0], 2), Err(refused));
        }
        let mut guard = Guard::default();
        guard.limit(4096);
        let ping = [0x89, 0xfe, 0, 126, 0, 0, 0, 0];
        assert_eq!(feed(&mut guard, &ping, 9), Err(FrameRefused::TooLong { claimed: 126, limit: 125 }));
    }

    #[test]
    fn what_was_read_too_early_comes_first_and_is_judged() {
        let mut guard = Guard::default();
        guard.unread(Bytes::from_static(&[0x81, 0x02, b'h', b'i']));
        guard.limit(256);
        let mut buf = [0; 64];
        let read = guard.read(&mut buf, |_| Poll::Pending);
        assert!(matches!(read, Poll::Ready(Err(_))));
    }
}
