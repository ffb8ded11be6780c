//! Lanes: what leaves first, and how far each is.
//!
//! A view log is numbered once, and every entry is in one of four lanes. What someone waits for overtakes what is
//! large, and what links to something overtakes nothing of it: an entry's lane is never before that of what it
//! links to. So a place in a log is four numbers instead of one, the same four times if nothing was overtaken.
//!
//! What others wrote comes last: the peer may have it from them, and is asked before it is sent (`relay`). So an own object
//! that links to it may arrive first, and waits at the receiver.

/// What an entry is, to those who wait. In the order in which entries leave.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Lane {
    /// Small objects for which someone waits: channel entries, access rules, endpoints. They link to nothing.
    Interactive,
    /// Objects that lead to no chunk.
    #[default]
    Objects,
    /// Chunks of raw bytes, and whatever links to them.
    Blobs,
    /// What another than our own person wrote, whatever it is: the peer may have it from elsewhere.
    Relayed,
}

impl Lane {
    /// All, in the order in which they leave.
    pub const ALL: [Self; LANES] = [Self::Interactive, Self::Objects, Self::Blobs, Self::Relayed];

    /// The one that leaves last: what moves it moves all.
    pub const LAST: Self = Self::Relayed;

    /// The place in [`Lane::ALL`].
    #[must_use]
    pub const fn index(self) -> usize {
        self as usize
    }
}

/// How many lanes there are.
pub const LANES: usize = 4;

/// Some of the lanes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lanes(u8);

impl Lanes {
    /// All of them.
    pub const ALL: Self = Self(0b1111);
    /// None of them.
    pub const NONE: Self = Self(0);

    /// These and one more.
    #[must_use]
    pub const fn with(self, lane: Lane) -> Self {
        Self(self.0 | 1 << lane as u8)
    }

    /// Whether a lane is among them.
    #[must_use]
    pub const fn contains(self, lane: Lane) -> bool {
        self.0 & (1 << lane as u8) != 0
    }

    /// The last of them in the order in which they leave.
    #[must_use]
    pub fn last(self) -> Option<Lane> {
        Lane::ALL.into_iter().rev().find(|lane| self.contains(*lane))
    }
}

/// A place in a log: how far each lane is. No lane is ahead of one that leaves before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Positions([u64; LANES]);

impl Positions {
    /// The same number for all lanes: everything up to there.
    #[must_use]
    pub const fn all(upto: u64) -> Self {
        Self([upto; LANES])
    }

    /// A number for each lane in the order of [`Lane::ALL`]; `None` if one is ahead of the lane before it.
    #[must_use]
    pub fn new(lanes: [u64; LANES]) -> Option<Self> {
        lanes.is_sorted_by(|a, b| a >= b).then_some(Self(lanes))
    }

    /// A number for each lane in the order of [`Lane::ALL`]; none counts beyond that of a lane before it.
    #[must_use]
    pub fn limited(lanes: [u64; LANES]) -> Self {
        let mut limit = u64::MAX;
        Self(lanes.map(|upto| {
            limit = limit.min(upto);
            limit
        }))
    }

    /// How far a lane is.
    #[must_use]
    pub fn of(self, lane: Lane) -> u64 {
        self.0.get(lane.index()).copied().unwrap_or_default()
    }

    /// Everything up to here, whatever its lane.
    #[must_use]
    pub const fn whole(self) -> u64 {
        let [.., whole] = self.0;
        whole
    }

    /// How far the lane is that is ahead.
    #[must_use]
    pub const fn highest(self) -> u64 {
        let [highest, ..] = self.0;
        highest
    }

    /// The numbers in the order of [`Lane::ALL`].
    #[must_use]
    pub const fn to_array(self) -> [u64; LANES] {
        self.0
    }

    /// Moves the lanes up to and with `lane` to `upto`, those that are not there yet.
    pub fn raise(&mut self, lane: Lane, upto: u64) {
        for (position, _) in self.0.iter_mut().zip(Lane::ALL).filter(|(_, other)| *other <= lane) {
            *position = upto.max(*position);
        }
    }

    /// The further of two places in each lane.
    #[must_use]
    pub fn max(self, other: Self) -> Self {
        let mut further = self;
        further.0.iter_mut().zip(other.0).for_each(|(ours, theirs)| *ours = theirs.max(*ours));
        further
    }

    /// Whether no lane is behind the other place.
    #[must_use]
    pub fn covers(self, other: Self) -> bool {
        self.0.iter().zip(other.0).all(|(ours, theirs)| *ours >= theirs)
    }
}

/// Counts entries that are dealt with: all up to a number, and what is known to lie beyond it.
///
/// Exact at both ends, and never too high in between: a stretch that the number has entered is left out until the
/// number has passed it.
#[derive(Debug, Default)]
pub(crate) struct Ahead {
    /// Entries, and a number below all of theirs.
    stretches: alloc::vec::Vec<(u64, u64)>,
}

/// Stretches that are told apart.
const MAX_STRETCHES: usize = 64;

impl Ahead {
    /// Notes that so many entries above `from` are dealt with.
    pub(crate) fn add(&mut self, from: u64, entries: u64) {
        if entries == 0 {
            return;
        }
        match self.stretches.last_mut().filter(|last| last.0 == from) {
            Some(last) => last.1 = last.1.saturating_add(entries),
            None => self.stretches.push((from, entries)),
        }
        if self.stretches.len() > MAX_STRETCHES
            && let (Some(last), Some(before)) = (self.stretches.pop(), self.stretches.last_mut())
        {
            *before = (before.0.min(last.0), before.1.saturating_add(last.1));
        }
    }

    /// How many are dealt with if all up to `upto` are.
    pub(crate) fn done(&mut self, upto: u64) -> u64 {
        self.stretches.retain(|(from, _)| *from >= upto);
        self.stretches.iter().fold(upto, |sum, (_, entries)| sum.saturating_add(*entries))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_lane_is_ahead_of_one_before_it() {
        assert_eq!(Positions::new([5, 6, 1, 1]), None);
        assert_eq!(Positions::limited([5, 6, 1, 2]), Positions([5, 5, 1, 1]));
        let mut at = Positions::new([9, 4, 4, 4]).unwrap();
        at.raise(Lane::Objects, 7);
        assert_eq!(at, Positions([9, 7, 4, 4]));
        at.raise(Lane::LAST, 8);
        assert_eq!(at, Positions([9, 8, 8, 8]));
        assert_eq!((at.whole(), at.highest(), at.of(Lane::Objects)), (8, 9, 8));
        assert!(at.covers(Positions::all(8)) && !at.covers(Positions::all(9)));
        assert_eq!(at.max(Positions([8, 8, 8, 8])), at);
    }

    #[test]
    fn entries_are_counted_once() {
        let mut ahead = Ahead::default();
        ahead.add(10, 3);
        ahead.add(20, 2);
        assert_eq!(ahead.done(5), 10);
        assert_eq!(ahead.done(15), 17, "the stretch that the number is in");
        assert_eq!(ahead.done(30), 30);
        (0..1_000).for_each(|n| ahead.add(100 + n, 1));
        assert_eq!(ahead.stretches.len(), MAX_STRETCHES);
        assert_eq!(ahead.done(40), 1_040);
    }

    #[test]
    fn some_lanes() {
        let some = Lanes::NONE.with(Lane::Interactive).with(Lane::Objects);
        assert_eq!(Lane::ALL.map(|lane| some.contains(lane)), [true, true, false, false]);
        assert_eq!((some.last(), Lanes::NONE.last()), (Some(Lane::Objects), None));
        assert_eq!(some.with(Lane::Blobs).with(Lane::Relayed), Lanes::ALL);
        assert_eq!(some.with(Lane::Objects), some, "once is enough");
    }
}
