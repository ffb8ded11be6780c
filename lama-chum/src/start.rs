//! From where on each side sends: derived from both HELLOs alone, so both ends derive the same.

use crate::NO_EPOCH;
use crate::wire::Hello;

/// From where on one side sends its log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Start {
    /// Entries above this one are sent.
    pub(crate) from: u64,
    /// Those that came from the receiver, too: it has lost them.
    pub(crate) whole: bool,
}

/// From where on the side that said `sender` sends to the side that said `receiver`.
///
/// | case | from | with what came from the receiver |
/// |---|---|---|
/// | counts and fingerprints are equal | the sender's head: nothing | - |
/// | both cursors are at the heads, and yet the sets differ | 0 | yes: one side has lost something |
/// | the receiver's cursor is of the sender's epoch, and the receiver lives on | the cursor | no |
/// | the receiver's cursor is of the sender's epoch, but the receiver begins a new life | 0 | yes |
/// | the receiver's cursor is of another epoch, and the receiver lives on or is new to the sender | 0 | no |
/// | both are of other epochs | 0 | yes |
pub(crate) fn start(sender: &Hello, receiver: &Hello) -> Start {
    let equal =
        sender.head.count == receiver.head.count && sender.head.fingerprint == receiver.head.fingerprint;
    if equal {
        return Start { from: sender.head.seq, whole: false };
    }
    let (valid, lives_on) = (is_valid(sender, receiver), lives_on(sender, receiver));
    let at_head =
        |a: &Hello, b: &Hello| is_valid(a, b) && lives_on_known(a, b) && b.cursor.upto == a.head.seq;
    if at_head(sender, receiver) && at_head(receiver, sender) {
        return Start { from: 0, whole: true };
    }
    if valid && lives_on {
        return Start { from: receiver.cursor.upto, whole: false };
    }
    Start { from: 0, whole: !lives_on }
}

/// Whether the receiver's cursor counts in the sender's log.
fn is_valid(sender: &Hello, receiver: &Hello) -> bool {
    receiver.cursor.epoch == sender.head.epoch
}

/// Whether the receiver is in the life that the sender knows, or was never met.
fn lives_on(sender: &Hello, receiver: &Hello) -> bool {
    sender.cursor.epoch == NO_EPOCH || lives_on_known(sender, receiver)
}

/// Whether the receiver is in the life that the sender knows.
fn lives_on_known(sender: &Hello, receiver: &Hello) -> bool {
    sender.cursor.epoch == receiver.head.epoch
}
