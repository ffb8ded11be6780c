//! From where on each side sends: derived from both HELLOs alone, so both ends derive the same.

use crate::Positions;
use crate::wire::{Hello, LogNews};
use crate::{NO_EPOCH, Past};

/// From where on one side sends its log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Start {
    /// Entries above are sent.
    pub(crate) from: Positions,
    /// Those that came from the receiver, too: it has lost them.
    pub(crate) whole: bool,
    /// Only what changes no set is sent of what the log holds now.
    pub(crate) news: bool,
}

/// Entries of which no lane was taken over yet, at both sides, above which both reconcile: what came to both through
/// others is then not sent. What is left of a long transfer is no such tail: its first lane has gone ahead.
const SHORT_TAIL: u64 = 64;

/// From where on the side that said `sender` sends to the side that said `receiver`, unless they
/// [reconcile](reconciles).
///
/// | case | from | with what came from the receiver |
/// |---|---|---|
/// | counts and fingerprints are equal, and the sender has no [news](tells) | the sender's head: nothing | - |
/// | they are equal, and it has | the receiver's cursor, if it is of the sender's epoch, else 0: what changes no set | - |
/// | both cursors count | the receiver's cursor | no |
/// | otherwise, one set being empty | 0 | yes |
pub(crate) fn start(sender: &Hello, receiver: &Hello) -> Start {
    if equal(sender, receiver) {
        let known = receiver.cursor.epoch == sender.head.epoch;
        let news = tells(sender, receiver);
        let from = match (news, known) {
            (false, _) => Positions::all(sender.head.seq),
            (true, true) => receiver.cursor.upto,
            (true, false) => Positions::all(0),
        };
        Start { from, whole: false, news }
    } else if tail(sender, receiver).is_some() {
        Start { from: receiver.cursor.upto, whole: false, news: false }
    } else {
        Start { from: Positions::all(0), whole: receiver.head.count == 0, news: false }
    }
}

/// Whether both find out first what either lacks. Not if sets are equal or one is empty; else if a cursor does not
/// count, if both are at the heads (somebody lost something), or if both tails are long.
pub(crate) fn reconciles(ours: &Hello, theirs: &Hello) -> bool {
    if equal(ours, theirs) || ours.head.count.min(theirs.head.count) == 0 {
        return false;
    }
    match (tail(ours, theirs), tail(theirs, ours)) {
        (Some(Tail { left: 0, .. }), Some(Tail { left: 0, .. })) => true,
        (Some(ours), Some(theirs)) => ours.new.min(theirs.new) > SHORT_TAIL,
        _ => true,
    }
}

/// Whether the cells go out with HELLO: our side alone can tell that a cursor may not count, since nothing of the peer's
/// log is known, or the peer knows nothing of this life of ours; and the set is not the one last agreed on, so that
/// they are not sent for nothing where nothing has happened. A tail behind cursors that count costs no cells.
pub(crate) fn speculates(ours: &Hello, past: &Past) -> bool {
    let unknown = ours.cursor.epoch == NO_EPOCH || !past.seen;
    unknown && ours.head.count > 0 && past.agreed != Some((ours.head.count, ours.head.fingerprint))
}

/// Whether the sender's log holds what changes no set and the receiver may not know: he has not acknowledged it, or may
/// have lost it with an earlier life than the one that he is in, of which the sender does not know.
fn tells(sender: &Hello, receiver: &Hello) -> bool {
    match sender.news {
        LogNews::None => false,
        LogNews::Acknowledged => sender.cursor.epoch != receiver.head.epoch,
        LogNews::Open => true,
    }
}

fn equal(a: &Hello, b: &Hello) -> bool {
    a.head.count == b.head.count && a.head.fingerprint == b.head.fingerprint
}

/// What the sender has behind the receiver's cursor.
struct Tail {
    /// Entries not all of which were taken over.
    left: u64,
    /// Entries of which none was.
    new: u64,
}

/// What the sender has behind the receiver's cursor, if both cursors count.
fn tail(sender: &Hello, receiver: &Hello) -> Option<Tail> {
    let known = receiver.cursor.epoch == sender.head.epoch && sender.cursor.epoch == receiver.head.epoch;
    let behind = |upto| sender.head.seq.saturating_sub(upto);
    let upto = receiver.cursor.upto;
    known.then(|| Tail { left: behind(upto.whole()), new: behind(upto.highest()) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recon::Sketch;
    use crate::{Cursor, Fingerprint, ViewHead};

    /// A HELLO: own epoch and head, the other's epoch and the cursor, and a letter for the set.
    fn hello(epoch: u8, seq: u64, their_epoch: u8, upto: u64, set: u8) -> Hello {
        let fingerprint = Fingerprint([set; 16]);
        Hello {
            head: ViewHead { epoch: [epoch; 8], seq, count: seq, fingerprint },
            news: LogNews::None,
            cursor: Cursor::all([their_epoch; 8], upto),
        }
    }

    #[test]
    fn cells_go_out_with_hello_where_a_cursor_may_not_count_and_the_set_has_changed() {
        let past = |seen: bool, agreed: Option<u8>| Past {
            sketch: Sketch::default(),
            seen,
            agreed: agreed.map(|set| (9, Fingerprint([set; 16]))),
            ..Past::default()
        };
        for (hello, past, expected, name) in [
            (hello(1, 9, 0, 0, 7), past(false, None), true, "never met"),
            (hello(1, 0, 0, 0, 7), past(false, None), false, "nothing to tell of"),
            (hello(1, 9, 2, 4, 7), past(true, Some(7)), false, "all as it was"),
            (hello(1, 9, 2, 4, 8), past(true, Some(7)), false, "a tail"),
            (hello(1, 9, 2, 4, 8), past(false, Some(7)), true, "a new life, and a change"),
            (hello(1, 9, 2, 4, 7), past(false, Some(7)), false, "a new life, and no change"),
            (hello(1, 9, 0, 0, 8), past(true, Some(7)), true, "the cursor is lost"),
            (hello(1, 9, 0, 0, 7), past(true, Some(7)), false, "the cursor is lost, and nothing else"),
        ] {
            assert_eq!(speculates(&hello, &past), expected, "{name}");
        }
    }

    #[test]
    fn every_case_of_the_table() {
        let case = |sender: Hello, receiver: Hello, from: u64, whole: bool, name: &str| {
            let expected = Start { from: Positions::all(from), whole, news: tells(&sender, &receiver) };
            assert_eq!(start(&sender, &receiver), expected, "{name}");
        };
        let again = |ours: Hello, theirs: Hello, expected: bool, name: &str| {
            assert_eq!(reconciles(&ours, &theirs), expected, "{name}");
            assert_eq!(reconciles(&theirs, &ours), expected, "{name}");
        };
        case(hello(1, 9, 0, 0, 7), hello(2, 9, 0, 0, 7), 9, false, "strangers with equal sets");
        again(hello(1, 9, 0, 0, 7), hello(2, 9, 0, 0, 7), false, "strangers with equal sets");
        let news = |hello: Hello| Hello { news: LogNews::Open, ..hello };
        let old = |hello: Hello| Hello { news: LogNews::Acknowledged, ..hello };
        case(
            news(hello(1, 9, 0, 0, 7)),
            hello(2, 9, 0, 0, 7),
            0,
            false,
            "news for a stranger with an equal set",
        );
        case(news(hello(1, 9, 3, 2, 7)), hello(2, 9, 1, 6, 7), 6, false, "news behind the cursor");
        case(hello(1, 9, 0, 0, 7), news(hello(2, 9, 0, 0, 7)), 9, false, "news of the other side");
        case(old(hello(1, 9, 2, 2, 7)), hello(2, 9, 1, 6, 7), 9, false, "it knows them");
        case(old(hello(1, 9, 3, 2, 7)), hello(2, 9, 1, 6, 7), 6, false, "it knew them in an earlier life");
        case(old(hello(1, 9, 3, 2, 7)), hello(2, 9, 4, 6, 7), 0, false, "and of an earlier life of ours");
        case(hello(1, 9, 0, 0, 7), hello(2, 0, 0, 0, 8), 0, true, "first contact of an empty set");
        again(hello(1, 9, 0, 0, 7), hello(2, 0, 0, 0, 8), false, "first contact of an empty set");
        again(hello(1, 9, 0, 0, 7), hello(2, 4, 0, 0, 8), true, "first contact");
        again(hello(1, 9, 2, 4, 7), hello(2, 4, 1, 9, 8), true, "both at the heads, and yet unequal");
        case(hello(1, 9, 2, 4, 7), hello(2, 4, 1, 6, 8), 6, false, "a tail");
        again(hello(1, 9, 2, 4, 7), hello(2, 4, 1, 6, 8), false, "a tail");
        again(hello(1, 999, 2, 4, 7), hello(2, 68, 1, 6, 8), false, "one long tail");
        again(hello(1, 999, 2, 4, 7), hello(2, 69, 1, 6, 8), true, "two long tails");
        case(hello(1, 9, 2, 3, 7), hello(2, 4, 1, 9, 8), 9, false, "the tail of the other direction");
        let interrupted = |hello: Hello, ahead: u64| {
            let upto = Positions::new([ahead, ahead, ahead, hello.cursor.upto.whole()]).unwrap();
            Hello { cursor: Cursor { upto, ..hello.cursor }, ..hello }
        };
        let (ours, theirs) = (hello(1, 999, 2, 4, 7), hello(2, 999, 1, 6, 8));
        again(
            interrupted(ours, 990),
            interrupted(theirs, 990),
            false,
            "two long transfers that were interrupted",
        );
        again(interrupted(ours, 990), interrupted(theirs, 20), false, "one of them, and one long tail");
        again(interrupted(ours, 999), interrupted(theirs, 999), false, "bulk alone is missing");
        again(hello(1, 9, 0, 0, 7), hello(2, 4, 1, 6, 8), true, "one cursor only");
        again(hello(1, 9, 3, 4, 7), hello(2, 4, 1, 6, 8), true, "the receiver was restored");
        case(hello(1, 9, 3, 4, 7), hello(2, 0, 0, 0, 8), 0, true, "the receiver was re-created");
        again(hello(1, 9, 3, 4, 7), hello(2, 0, 0, 0, 8), false, "the receiver was re-created");
    }
}
