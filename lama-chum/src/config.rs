//! The limits of the machine.

use core::time::Duration;

/// Largest object, in bytes (security.md 7). Part of the protocol.
pub const MAX_OBJECT: usize = 1 << 20;

/// What a receiver has to take without having acknowledged it: this many bytes of OBJECTS messages. Part of
/// the protocol: a sender keeps below it, and a receiver ends the session beyond it.
pub const WINDOW_BYTES: usize = 8 << 20;

/// What a receiver has to take without having acknowledged it: this many objects. Part of the protocol.
pub const WINDOW_OBJECTS: usize = 65_536;

/// Of [`WINDOW_BYTES`], what only [interactive](crate::Lane::Interactive) objects may use.
pub const RESERVE_BYTES: usize = 256 << 10;

/// Of [`WINDOW_OBJECTS`], what only [interactive](crate::Lane::Interactive) objects may use.
pub const RESERVE_OBJECTS: usize = 1_024;

/// Limits, all finite. Values outside of what the protocol allows are brought inside by [`crate::Chum::new`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Config {
    /// Bytes that one message may take to fit into one record of the session below; many small objects share a
    /// message up to here, and a larger object has a message of its own. Default 65,500.
    pub room: usize,
    /// Bytes of objects of each lane that are read ahead: no more are asked for while so many wait to be sent. Default
    /// 2 MiB.
    pub page_bytes: usize,
    /// Bytes of objects asked for in one scan, at most `page_bytes`: what someone waits for is read after the scan that
    /// is under way. Default 512 KiB.
    pub scan_bytes: usize,
    /// Bytes of objects at which a batch is imported though another import is under way, and at which it ends with the
    /// message that reaches it. Default 256 KiB: what someone waits for is stored between two batches.
    pub batch_bytes: usize,
    /// Objects at which a batch is imported, and ends, in the same way. Default 512.
    pub batch_objects: usize,
    /// Imports of each kind under way at a time: so many batches can share a sync of the disk. Default 32.
    pub max_imports: usize,
    /// Bytes sent and not acknowledged; at most [`WINDOW_BYTES`], the default. A part is for interactive objects
    /// alone: [`RESERVE_BYTES`], or a quarter if that is less.
    pub send_bytes: usize,
    /// Objects sent and not acknowledged; at most [`WINDOW_OBJECTS`], the default. A part is for interactive objects
    /// alone: [`RESERVE_OBJECTS`], or a quarter if that is less.
    pub send_objects: usize,
    /// How long what others wrote is held back, for the peer to say that it has it already. Default 200 ms.
    pub relay_delay: Duration,
    /// Bits of a short id that tell ids apart. 64, as the protocol says, is the default; fewer of them make ids collide,
    /// for tests of what follows from that. Both ends need the same.
    pub short_bits: u32,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            room: 65_500,
            page_bytes: 2 << 20,
            scan_bytes: 512 << 10,
            batch_bytes: 256 << 10,
            batch_objects: 512,
            max_imports: 32,
            send_bytes: WINDOW_BYTES,
            send_objects: WINDOW_OBJECTS,
            relay_delay: Duration::from_millis(200),
            short_bits: 64,
        }
    }
}

impl Config {
    /// Bytes and objects that may be unacknowledged, with what interactive objects alone may use if `urgent`.
    pub(crate) fn credit(&self, urgent: bool) -> (usize, usize) {
        let keep = |whole: usize, reserve: usize| if urgent { 0 } else { reserve.min(whole / 4) };
        let bytes = self.send_bytes.saturating_sub(keep(self.send_bytes, RESERVE_BYTES));
        let objects = self.send_objects.saturating_sub(keep(self.send_objects, RESERVE_OBJECTS));
        (bytes.min(credit(urgent).0), objects.min(credit(urgent).1).max(1))
    }

    /// Bytes and objects at which a batch is one.
    pub(crate) const fn batch(&self) -> (usize, usize) {
        (self.batch_bytes, self.batch_objects)
    }

    /// The same limits, each brought into the range in which the machine works.
    pub(crate) fn clamped(self) -> Self {
        Self {
            room: self.room.clamp(1_024, MAX_OBJECT),
            page_bytes: self.page_bytes.clamp(1, WINDOW_BYTES),
            scan_bytes: self.scan_bytes.min(self.page_bytes).clamp(1, WINDOW_BYTES),
            batch_bytes: self.batch_bytes.clamp(1, WINDOW_BYTES),
            batch_objects: self.batch_objects.clamp(1, WINDOW_OBJECTS),
            max_imports: self.max_imports.max(1),
            send_bytes: self.send_bytes.min(WINDOW_BYTES),
            send_objects: self.send_objects.clamp(1, WINDOW_OBJECTS),
            relay_delay: self.relay_delay.min(Duration::from_secs(60)),
            short_bits: self.short_bits.clamp(8, 64),
        }
    }
}

/// What a receiver takes without having acknowledged it: bytes of messages, and objects. All of it may be `urgent`.
pub(crate) const fn credit(urgent: bool) -> (usize, usize) {
    if urgent {
        (WINDOW_BYTES, WINDOW_OBJECTS)
    } else {
        (WINDOW_BYTES - RESERVE_BYTES, WINDOW_OBJECTS - RESERVE_OBJECTS)
    }
}
