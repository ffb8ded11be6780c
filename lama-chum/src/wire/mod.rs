//! What goes over the wire: one fixed header per message, then object bytes as they are. Big-endian throughout.
//!
//! The types 0x20 to 0x2f are kept for reconciliation. Nothing here knows the machine's state:
//! what a message says is checked against it there.

mod gone;
mod hello;
mod label;
mod objects;
mod recon;
mod short;

pub use gone::{GONE_HEADER, MAX_GONE, gone_len, read_gone, write_gone};
pub use hello::{HELLO_LEN, HELLO_LONG, Hello, LogNews};
pub use label::Label;
pub use objects::{MAX_MESSAGE, OBJECTS_HEADER, ObjectsHeader, ObjectsWriter, framed_len, read_objects};
pub use recon::{
    CELLS, GOAL, LIST, MARKS, MAX_WANT, MORE, RECON, Recon, WANT, WantFlags, read_goal, read_range,
    read_want, write_goal, write_range, write_want,
};
pub use short::{
    MAX_REFUSED, Refused, Synced, ack, read_ack, read_held, read_refused, write_held, write_refused,
};

/// Type of OBJECTS.
pub const OBJECTS: u8 = 0x01;
/// Type of ACK.
pub const ACK: u8 = 0x02;
/// Type of SYNCED.
pub const SYNCED: u8 = 0x03;
/// Type of REFUSED.
pub const REFUSED: u8 = 0x04;
/// Type of GONE.
pub const GONE: u8 = 0x05;
/// Type of HELD.
pub const HELD: u8 = 0x06;

/// Whether the peer waits for this message before it goes on: HELLO and everything of reconciliation. Objects,
/// acknowledgements and reports (types below 0x10) pass the peer's own messages on the way. For the count of round
/// trips.
#[must_use]
pub fn is_awaited(message: &[u8]) -> bool {
    message.first().is_some_and(|kind| kind & 0x30 != 0)
}

/// A big-endian `u32` at `at`; `None` beyond the end.
fn u32_at(bytes: &[u8], at: usize) -> Option<u64> {
    let end = at.checked_add(4)?;
    let field: [u8; 4] = bytes.get(at..end)?.try_into().ok()?;
    Some(u64::from(u32::from_be_bytes(field)))
}

/// `N` bytes at `at`; `None` beyond the end.
fn array_at<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    let end = at.checked_add(N)?;
    bytes.get(at..end)?.try_into().ok()
}

/// The four bytes of a sequence number or count. Saturates: the machine refuses larger ones before.
fn be(number: u64) -> [u8; 4] {
    u32::try_from(number).unwrap_or(u32::MAX).to_be_bytes()
}
