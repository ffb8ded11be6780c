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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Cursor, Fingerprint, ViewHead};

    /// A HELLO: own epoch and head, the other's epoch and the cursor, and a letter for the set.
    fn hello(epoch: u8, seq: u64, their_epoch: u8, upto: u64, set: u8) -> Hello {
        let fingerprint = Fingerprint([set; 16]);
        Hello {
            head: ViewHead { epoch: [epoch; 8], seq, count: seq, fingerprint },
            cursor: Cursor { epoch: [their_epoch; 8], upto },
        }
    }

    #[test]
    fn every_case_of_the_table() {
        let case = |sender: Hello, receiver: Hello, from: u64, whole: bool, name: &str| {
            assert_eq!(start(&sender, &receiver), Start { from, whole }, "{name}");
        };
        case(hello(1, 9, 0, 0, 7), hello(2, 9, 0, 0, 7), 9, false, "strangers with equal sets");
        case(hello(1, 9, 0, 0, 7), hello(2, 4, 0, 0, 8), 0, false, "first contact");
        case(hello(1, 9, 2, 4, 7), hello(2, 4, 1, 9, 8), 0, true, "both at the heads, and yet unequal");
        case(hello(1, 9, 2, 4, 7), hello(2, 4, 1, 6, 8), 6, false, "a tail");
        case(hello(1, 9, 2, 3, 7), hello(2, 4, 1, 9, 8), 9, false, "the tail of the other direction");
        case(hello(1, 9, 0, 0, 7), hello(2, 4, 1, 6, 8), 6, false, "a tail to somebody who never sent");
        case(hello(1, 9, 3, 4, 7), hello(2, 4, 1, 6, 8), 0, true, "the receiver was restored");
        case(hello(1, 9, 3, 4, 7), hello(2, 4, 0, 0, 8), 0, true, "the receiver was re-created");
        case(hello(1, 9, 2, 4, 7), hello(2, 4, 5, 6, 8), 0, false, "the sender begins a new life");
        case(hello(1, 9, 3, 4, 7), hello(2, 4, 5, 6, 8), 0, true, "both begin new lives");
    }
}
