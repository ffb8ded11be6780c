//! What others wrote is held back for a moment: in a mesh the peer mostly has it from them already.
//!
//! While it is held, each side says what its set is ([`HELD`](crate::wire::HELD)) whenever that has changed and nothing
//! else is left to say. A side that sees the other's set equal to its own, as it is or was a moment ago, knows that
//! nothing up to there needs sending. What no equal set was seen for when its time has come is sent like anything else.

use alloc::collections::VecDeque;
use core::time::Duration;

use lama_core::Instant;

use crate::{Fingerprint, ViewHead};

/// A set: how many ids, and their fingerprint.
pub(crate) type Set = (u64, Fingerprint);

/// Heads and sets that are remembered: sets grow at different paces at both ends, and are equal at different times.
const HEADS: usize = 64;

/// What is held, and what is known of both sets.
#[derive(Debug, Default)]
pub(crate) struct Relay {
    /// Up to where entries are held, and until when. Ascending in both.
    holds: VecDeque<(u64, Instant)>,
    /// Entries up to here were held long enough.
    released: u64,
    /// The peer has our log up to here.
    known: u64,
    /// The last of our heads, the newest last.
    heads: VecDeque<(u64, Set)>,
    /// What the peer has said of its set since one of them was equal to ours, the newest last.
    theirs: VecDeque<Set>,
    /// Our set as we last said.
    said: Option<Set>,
}

/// The set of a head.
pub(crate) const fn set(head: &ViewHead) -> Set {
    (head.count, head.fingerprint)
}

impl Relay {
    /// Both logs are counted from 0 again.
    pub(crate) fn begin_again(&mut self) {
        *self = Self { said: self.said, ..Self::default() };
    }

    /// Entries up to `upto` wait to be sent: those that are new are held for so long.
    pub(crate) fn hold(&mut self, upto: Option<u64>, now: Instant, delay: Duration) {
        let Some(upto) = upto.filter(|upto| *upto > self.released) else { return };
        let until = now + delay;
        match self.holds.back_mut() {
            Some(last) if last.0 >= upto => {}
            // A stream of entries makes a few steps of the delay, not one each.
            Some(last) if until < last.1 + delay / 8 => last.0 = upto,
            _ => self.holds.push_back((upto, until)),
        }
    }

    /// Time has passed.
    pub(crate) fn release(&mut self, now: Instant) {
        while let Some((upto, _)) = self.holds.pop_front_if(|(_, until)| *until <= now) {
            self.released = upto;
        }
    }

    /// Entries up to here may be sent.
    pub(crate) const fn released(&self) -> u64 {
        self.released
    }

    /// When the next ones may be.
    pub(crate) fn due(&self) -> Option<Instant> {
        self.holds.front().map(|(_, until)| *until)
    }

    /// The peer lacks what is going to be sent up to here: nothing of it is held.
    pub(crate) fn release_all(&mut self, upto: u64) {
        self.released = upto.max(self.released);
        while self.holds.pop_front_if(|(held, _)| *held <= upto).is_some() {}
    }

    /// The peer has our log up to here.
    pub(crate) const fn known(&self) -> u64 {
        self.known
    }

    /// Our set is this now.
    pub(crate) fn grew(&mut self, head: &ViewHead) {
        let (seq, now) = (head.seq, set(head));
        if self.heads.back() == Some(&(seq, now)) {
            return;
        }
        self.heads.push_back((seq, now));
        if self.heads.len() > HEADS {
            self.heads.pop_front();
        }
        if let Some(at) = self.theirs.iter().rposition(|theirs| *theirs == now) {
            self.theirs.drain(..=at);
            self.equal(seq);
        }
    }

    /// The peer says that its set is this.
    pub(crate) fn heard(&mut self, theirs: Set) {
        if let Some(&(upto, _)) = self.heads.iter().rfind(|(_, ours)| *ours == theirs) {
            self.theirs.clear();
            return self.equal(upto);
        }
        self.theirs.push_back(theirs);
        if self.theirs.len() > HEADS {
            self.theirs.pop_front();
        }
    }

    /// The peer has what our log held at `upto`.
    fn equal(&mut self, upto: u64) {
        self.known = upto.max(self.known);
        while self.holds.pop_front_if(|(held, _)| *held <= upto).is_some() {}
    }

    /// What to say of our set, if the peer does not know it and something is held.
    pub(crate) fn to_say(&self, head: &ViewHead) -> Option<Set> {
        let now = set(head);
        (!self.holds.is_empty() && self.said != Some(now)).then_some(now)
    }

    /// Our set has been said.
    pub(crate) const fn said(&mut self, said: Set) {
        self.said = Some(said);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DELAY: Duration = Duration::from_millis(200);

    fn at(millis: u64) -> Instant {
        Instant::from_origin(Duration::from_millis(millis))
    }

    fn head(seq: u64) -> ViewHead {
        ViewHead { seq, count: seq, fingerprint: Fingerprint([seq as u8; 16]), ..ViewHead::default() }
    }

    #[test]
    fn what_is_held_is_released_in_its_time_and_a_stream_in_few_steps() {
        let mut relay = Relay::default();
        for seq in 1..=100 {
            relay.hold(Some(seq), at(seq), DELAY);
        }
        assert!(relay.holds.len() <= 5, "{:?}", relay.holds);
        assert_eq!(relay.due(), Some(at(201)));
        relay.release(at(200));
        assert_eq!(relay.released(), 0);
        relay.release(at(400));
        assert_eq!((relay.released(), relay.due()), (100, None));
        relay.hold(Some(100), at(500), DELAY);
        assert_eq!(relay.due(), None, "not held a second time");
    }

    #[test]
    fn a_head_is_held_from_when_it_is_known_and_never_shorter() {
        let mut relay = Relay::default();
        relay.hold(Some(9), at(0), DELAY);
        relay.hold(Some(7), at(10), DELAY);
        relay.hold(Some(9), at(100), DELAY);
        assert_eq!(relay.holds, [(9, at(200))]);
        relay.hold(Some(10), at(24), DELAY);
        assert_eq!(relay.holds, [(10, at(200))], "a few more milliseconds of a stream");
        relay.hold(Some(11), at(25), DELAY);
        assert_eq!(relay.holds, [(10, at(200)), (11, at(225))]);
    }

    #[test]
    fn so_many_heads_and_sets_are_remembered_and_no_more() {
        for remembered in [true, false] {
            let oldest = if remembered { 7 } else { 6 };
            let mut relay = Relay::default();
            (1..=70).for_each(|seq| relay.grew(&head(seq)));
            assert_eq!(relay.heads.len(), HEADS);
            relay.heard(set(&head(oldest)));
            assert_eq!(relay.known(), if remembered { 7 } else { 0 });
            let mut relay = Relay::default();
            (1..=70).for_each(|seq| relay.heard(set(&head(seq))));
            assert_eq!(relay.theirs.len(), HEADS);
            relay.grew(&head(oldest));
            assert_eq!(relay.known(), if remembered { 7 } else { 0 });
        }
    }

    #[test]
    fn a_round_forgets_places_and_not_what_was_said() {
        let mut relay = Relay::default();
        relay.grew(&head(7));
        relay.hold(Some(8), at(0), DELAY);
        relay.heard(set(&head(7)));
        relay.said(set(&head(8)));
        relay.release_all(5);
        relay.begin_again();
        assert_eq!((relay.known(), relay.released(), relay.due()), (0, 0, None));
        relay.hold(Some(3), at(0), DELAY);
        assert_eq!(relay.to_say(&head(8)), None);
        relay.heard(set(&head(7)));
        assert_eq!(relay.known(), 0, "heads were numbered in another way");
    }

    #[test]
    fn an_equal_set_counts_whichever_side_sees_it_first() {
        let mut relay = Relay::default();
        relay.hold(Some(7), at(0), DELAY);
        relay.heard(set(&head(7)));
        relay.grew(&head(6));
        assert_eq!((relay.known(), relay.due()), (0, Some(at(200))));
        relay.grew(&head(7));
        assert_eq!((relay.known(), relay.due()), (7, None), "ours came to be what theirs was");
        relay.grew(&head(8));
        relay.hold(Some(8), at(0), DELAY);
        relay.grew(&head(9));
        relay.hold(Some(9), at(100), DELAY);
        relay.heard(set(&head(8)));
        assert_eq!(
            (relay.known(), relay.due()),
            (8, Some(at(300))),
            "theirs is what ours was; what came since is held"
        );
        relay.heard(set(&head(5)));
        assert_eq!(relay.known(), 8);
        relay.release_all(9);
        assert_eq!((relay.released(), relay.due()), (9, None));
    }

    #[test]
    fn a_set_is_said_once_and_only_while_something_is_held() {
        let mut relay = Relay::default();
        assert_eq!(relay.to_say(&head(1)), None);
        relay.hold(Some(1), at(0), DELAY);
        assert_eq!(relay.to_say(&head(1)), Some(set(&head(1))));
        relay.said(set(&head(1)));
        assert_eq!(relay.to_say(&head(1)), None);
        assert_eq!(relay.to_say(&head(2)), Some(set(&head(2))));
    }
}
