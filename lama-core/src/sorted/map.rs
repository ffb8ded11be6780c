//! The map.

use alloc::vec::{self, Vec};
use core::borrow::Borrow;
use core::fmt;
use core::iter::{Flatten, FusedIterator, Zip};
use core::ops::{Bound, RangeBounds};
use core::slice;

use super::RUN;

/// Keys in ascending order, and their values beside them. Never empty in a map.
#[derive(Clone)]
pub struct Run<K, V> {
    keys: Vec<K>,
    values: Vec<V>,
}

/// Where an entry is, or where it would be.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Place {
    run: usize,
    at: usize,
}

/// An ordered map; see the [module](super) for what it costs. Keys must not change their order while they are in it.
#[derive(Clone)]
pub struct SortedMap<K, V> {
    runs: Vec<Run<K, V>>,
    len: usize,
}

/// The entries in the order of the keys.
pub type Iter<'a, K, V> = Flatten<slice::Iter<'a, Run<K, V>>>;

impl<K, V> SortedMap<K, V> {
    /// Nothing in it; takes no memory.
    #[must_use]
    pub const fn new() -> Self {
        Self { runs: Vec::new(), len: 0 }
    }

    /// How many entries there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Takes all out.
    pub fn clear(&mut self) {
        *self = Self::new();
    }

    /// The entries, by key.
    pub fn iter(&self) -> Iter<'_, K, V> {
        self.runs.iter().flatten()
    }

    /// The entries, by key; the values may be changed.
    pub fn iter_mut(&mut self) -> Flatten<slice::IterMut<'_, Run<K, V>>> {
        self.runs.iter_mut().flatten()
    }

    /// The keys in order.
    pub fn keys(&self) -> impl DoubleEndedIterator<Item = &K> + Clone {
        self.runs.iter().flat_map(|run| &run.keys)
    }

    /// The values, by key.
    pub fn values(&self) -> impl DoubleEndedIterator<Item = &V> + Clone {
        self.runs.iter().flat_map(|run| &run.values)
    }

    /// The values, by key, to be changed.
    pub fn values_mut(&mut self) -> impl DoubleEndedIterator<Item = &mut V> {
        self.runs.iter_mut().flat_map(|run| &mut run.values)
    }

    /// The keys in order.
    pub fn into_keys(self) -> impl DoubleEndedIterator<Item = K> {
        self.runs.into_iter().flat_map(|run| run.keys)
    }

    /// The values, by key.
    pub fn into_values(self) -> impl DoubleEndedIterator<Item = V> {
        self.runs.into_iter().flat_map(|run| run.values)
    }

    /// The entry with the smallest key.
    #[must_use]
    pub fn first_key_value(&self) -> Option<(&K, &V)> {
        let run = self.runs.first()?;
        Some((run.keys.first()?, run.values.first()?))
    }

    /// The entry with the largest key.
    #[must_use]
    pub fn last_key_value(&self) -> Option<(&K, &V)> {
        let run = self.runs.last()?;
        Some((run.keys.last()?, run.values.last()?))
    }

    /// Takes out the entry with the smallest key.
    pub fn pop_first(&mut self) -> Option<(K, V)> {
        (self.len > 0).then(|| self.take(Place { run: 0, at: 0 }))
    }

    /// Keeps the entries that `keep` says `true` to.
    pub fn retain(&mut self, mut keep: impl FnMut(&K, &mut V) -> bool) {
        for run in &mut self.runs {
            let mut at = 0;
            // One after another: that the two vectors stay side by side is worth more than fewer moves in 32.
            while let (Some(key), Some(value)) = (run.keys.get(at), run.values.get_mut(at)) {
                if keep(key, value) {
                    at += 1;
                } else {
                    run.keys.remove(at);
                    run.values.remove(at);
                    self.len -= 1;
                }
            }
        }
        self.runs.retain(|run| !run.keys.is_empty());
    }

    fn get_at(&self, place: Place) -> Option<(&K, &V)> {
        let run = self.runs.get(place.run)?;
        Some((run.keys.get(place.at)?, run.values.get(place.at)?))
    }

    /// Takes out the entry at a place that was found.
    fn take(&mut self, place: Place) -> (K, V) {
        self.len -= 1;
        let run = self.run_mut(place.run);
        let entry = (run.keys.remove(place.at), run.values.remove(place.at));
        if run.keys.is_empty() {
            self.runs.remove(place.run);
        }
        entry
    }

    /// A run that was found.
    #[allow(clippy::indexing_slicing, reason = "was found by a search, with nothing in between")]
    fn run_mut(&mut self, run: usize) -> &mut Run<K, V> {
        &mut self.runs[run]
    }

    /// A value that was found.
    #[allow(clippy::indexing_slicing, reason = "was found by a search, with nothing in between")]
    fn value_mut(&mut self, place: Place) -> &mut V {
        &mut self.run_mut(place.run).values[place.at]
    }

    /// Puts an entry at the place where a search did not find its key; gives the place where it stands then.
    fn put(&mut self, place: Place, key: K, value: V) -> Place {
        let mut place = place;
        self.len += 1;
        let last = self.runs.len().saturating_sub(1);
        match self.runs.get_mut(place.run).map(|run| (run.keys.len(), run)) {
            Some((RUN.., _)) if place == (Place { run: last, at: RUN }) => {
                place = Place { run: last + 1, at: 0 }
            }
            Some((RUN.., run)) => {
                // What comes in order fills its runs (above); what does not leaves them half full.
                let half = RUN / 2;
                let behind = Run { keys: run.keys.split_off(half), values: run.values.split_off(half) };
                self.runs.insert(place.run + 1, behind);
                if place.at > half {
                    place = Place { run: place.run + 1, at: place.at - half };
                }
            }
            _ => {}
        }
        if place.run == self.runs.len() {
            self.runs.push(Run { keys: Vec::new(), values: Vec::new() });
        }
        let run = self.run_mut(place.run);
        run.keys.insert(place.at, key);
        run.values.insert(place.at, value);
        place
    }
}

impl<K: Ord, V> SortedMap<K, V> {
    /// Where the key is, or where it would be: in the run whose last key is not smaller, or at the end of the last.
    fn find<Q: Ord + ?Sized>(&self, key: &Q) -> Result<Place, Place>
    where
        K: Borrow<Q>,
    {
        let run = self.runs.partition_point(|run| run.keys.last().is_some_and(|last| last.borrow() < key));
        let Some(found) = self.runs.get(run) else {
            let at = self.runs.last().map_or(0, |last| last.keys.len());
            return Err(Place { run: self.runs.len().saturating_sub(1), at });
        };
        match found.keys.binary_search_by(|known| known.borrow().cmp(key)) {
            Ok(at) => Ok(Place { run, at }),
            Err(at) => Err(Place { run, at }),
        }
    }

    /// The value of a key.
    #[must_use]
    pub fn get<Q: Ord + ?Sized>(&self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
    {
        self.get_key_value(key).map(|(_, value)| value)
    }

    /// A key as it stands in the map, and its value.
    #[must_use]
    pub fn get_key_value<Q: Ord + ?Sized>(&self, key: &Q) -> Option<(&K, &V)>
    where
        K: Borrow<Q>,
    {
        self.get_at(self.find(key).ok()?)
    }

    /// The value of a key, to be changed.
    #[must_use]
    pub fn get_mut<Q: Ord + ?Sized>(&mut self, key: &Q) -> Option<&mut V>
    where
        K: Borrow<Q>,
    {
        let place = self.find(key).ok()?;
        Some(self.value_mut(place))
    }

    /// Whether the key is in it.
    #[must_use]
    pub fn contains_key<Q: Ord + ?Sized>(&self, key: &Q) -> bool
    where
        K: Borrow<Q>,
    {
        self.find(key).is_ok()
    }

    /// Sets the value of a key; gives the one it had. The key that was there stays.
    pub fn insert(&mut self, key: K, value: V) -> Option<V> {
        match self.find(&key) {
            Ok(place) => Some(core::mem::replace(self.value_mut(place), value)),
            Err(place) => {
                self.put(place, key, value);
                None
            }
        }
    }

    /// Takes a key out; gives its value.
    pub fn remove<Q: Ord + ?Sized>(&mut self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
    {
        let place = self.find(key).ok()?;
        Some(self.take(place).1)
    }

    /// The key's place, to be filled or changed.
    pub fn entry(&mut self, key: K) -> Entry<'_, K, V> {
        Entry { place: self.find(&key), map: self, key }
    }

    /// The entries whose keys are within the bounds, by key.
    pub fn range<Q: Ord + ?Sized>(&self, bounds: impl RangeBounds<Q>) -> Range<'_, K, V>
    where
        K: Borrow<Q>,
    {
        let place = |key: &Q, behind_it: bool| match self.find(key) {
            Ok(place) if behind_it => Place { at: place.at + 1, ..place },
            Ok(place) | Err(place) => place,
        };
        let end = Place { run: self.runs.len(), at: 0 };
        Range {
            map: self,
            from: match bounds.start_bound() {
                Bound::Included(key) => place(key, false),
                Bound::Excluded(key) => place(key, true),
                Bound::Unbounded => Place { run: 0, at: 0 },
            },
            to: match bounds.end_bound() {
                Bound::Included(key) => place(key, true),
                Bound::Excluded(key) => place(key, false),
                Bound::Unbounded => end,
            },
        }
    }

    /// Takes all entries out of the other map and into this one; where both have a key, the other's value counts.
    pub fn append(&mut self, other: &mut Self) {
        self.extend(core::mem::take(other));
    }
}

/// The place of a key in a map.
pub struct Entry<'a, K, V> {
    map: &'a mut SortedMap<K, V>,
    key: K,
    place: Result<Place, Place>,
}

impl<'a, K, V> Entry<'a, K, V> {
    /// The value, which is made if there is none.
    pub fn or_insert_with(self, make: impl FnOnce() -> V) -> &'a mut V {
        let place = match self.place {
            Ok(place) => place,
            Err(place) => self.map.put(place, self.key, make()),
        };
        self.map.value_mut(place)
    }

    /// The value, which is this one if there is none.
    pub fn or_insert(self, value: V) -> &'a mut V {
        self.or_insert_with(|| value)
    }

    /// The value, which is the default if there is none.
    pub fn or_default(self) -> &'a mut V
    where
        V: Default,
    {
        self.or_insert_with(V::default)
    }

    /// Changes the value, if there is one.
    #[must_use]
    pub fn and_modify(self, change: impl FnOnce(&mut V)) -> Self {
        if let Ok(place) = self.place {
            change(self.map.value_mut(place));
        }
        self
    }
}

/// The entries of a part of a map, by key.
pub struct Range<'a, K, V> {
    map: &'a SortedMap<K, V>,
    from: Place,
    to: Place,
}

impl<'a, K, V> Iterator for Range<'a, K, V> {
    type Item = (&'a K, &'a V);

    fn next(&mut self) -> Option<Self::Item> {
        let run = self.map.runs.get(self.from.run)?;
        if self.from.at >= run.keys.len() {
            self.from = Place { run: self.from.run + 1, at: 0 };
        }
        if (self.from.run, self.from.at) >= (self.to.run, self.to.at) {
            return None;
        }
        let entry = self.map.get_at(self.from);
        self.from.at += 1;
        entry
    }
}

impl<K, V> FusedIterator for Range<'_, K, V> {}

impl<K, V> Default for SortedMap<K, V> {
    fn default() -> Self {
        Self::new()
    }
}

impl<K: fmt::Debug, V: fmt::Debug> fmt::Debug for SortedMap<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self).finish()
    }
}

impl<K: PartialEq, V: PartialEq> PartialEq for SortedMap<K, V> {
    fn eq(&self, other: &Self) -> bool {
        self.len == other.len && self.iter().eq(other)
    }
}

impl<K: Eq, V: Eq> Eq for SortedMap<K, V> {}

impl<K: Ord, V> Extend<(K, V)> for SortedMap<K, V> {
    fn extend<I: IntoIterator<Item = (K, V)>>(&mut self, entries: I) {
        for (key, value) in entries {
            self.insert(key, value);
        }
    }
}

impl<K: Ord, V> FromIterator<(K, V)> for SortedMap<K, V> {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(entries: I) -> Self {
        let mut map = Self::new();
        map.extend(entries);
        map
    }
}

impl<K: Ord, V, const N: usize> From<[(K, V); N]> for SortedMap<K, V> {
    fn from(entries: [(K, V); N]) -> Self {
        entries.into_iter().collect()
    }
}

impl<K, V> IntoIterator for SortedMap<K, V> {
    type Item = (K, V);
    type IntoIter = Flatten<vec::IntoIter<Run<K, V>>>;

    fn into_iter(self) -> Self::IntoIter {
        self.runs.into_iter().flatten()
    }
}

impl<'a, K, V> IntoIterator for &'a SortedMap<K, V> {
    type Item = (&'a K, &'a V);
    type IntoIter = Iter<'a, K, V>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl<'a, K, V> IntoIterator for &'a mut SortedMap<K, V> {
    type Item = (&'a K, &'a mut V);
    type IntoIter = Flatten<slice::IterMut<'a, Run<K, V>>>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter_mut()
    }
}

impl<K, V> IntoIterator for Run<K, V> {
    type Item = (K, V);
    type IntoIter = Zip<vec::IntoIter<K>, vec::IntoIter<V>>;

    fn into_iter(self) -> Self::IntoIter {
        self.keys.into_iter().zip(self.values)
    }
}

impl<'a, K, V> IntoIterator for &'a Run<K, V> {
    type Item = (&'a K, &'a V);
    type IntoIter = Zip<slice::Iter<'a, K>, slice::Iter<'a, V>>;

    fn into_iter(self) -> Self::IntoIter {
        self.keys.iter().zip(&self.values)
    }
}

impl<'a, K, V> IntoIterator for &'a mut Run<K, V> {
    type Item = (&'a K, &'a mut V);
    type IntoIter = Zip<slice::Iter<'a, K>, slice::IterMut<'a, V>>;

    fn into_iter(self) -> Self::IntoIter {
        self.keys.iter().zip(&mut self.values)
    }
}

#[cfg(test)]
mod tests {
    use alloc::collections::BTreeMap;

    use super::*;

    /// Numbers that look like chance (xorshift).
    struct Draws(u32);

    impl Draws {
        fn below(&mut self, end: u32) -> u32 {
            for shift in [13, -17, 5_i32] {
                self.0 ^= if shift > 0 { self.0 << shift } else { self.0 >> -shift };
            }
            self.0 % end
        }
    }

    fn sound(map: &SortedMap<u32, u32>) {
        let lens = || map.runs.iter().map(|run| run.keys.len());
        assert!(map.runs.iter().all(|run| run.keys.len() == run.values.len()));
        assert!(lens().all(|len| (1..=RUN).contains(&len)));
        assert_eq!(lens().sum::<usize>(), map.len());
        assert!(map.keys().is_sorted_by(|a, b| a < b));
    }

    /// Every call with chance for everything beside the standard library's map: the same answers, and sound runs.
    #[test]
    fn does_what_the_map_of_the_standard_library_does() {
        let mut draws = Draws(1);
        for keys in [3, 40, 700, 5_000] {
            let (mut ours, mut theirs) = (SortedMap::new(), BTreeMap::new());
            for step in 0..4_000_u32 {
                let key = draws.below(keys);
                match draws.below(14) {
                    0..6 => assert_eq!(ours.insert(key, step), theirs.insert(key, step)),
                    6..8 => assert_eq!(ours.remove(&key), theirs.remove(&key)),
                    8 => assert_eq!(ours.entry(key).or_default(), theirs.entry(key).or_default()),
                    9 => assert_eq!(
                        ours.entry(key).and_modify(|n| *n = 7).or_insert(step),
                        theirs.entry(key).and_modify(|n| *n = 7).or_insert(step)
                    ),
                    10 => assert_eq!(ours.pop_first(), theirs.pop_first()),
                    11 => assert_eq!(ours.get_mut(&key), theirs.get_mut(&key)),
                    12 if draws.below(50) == 0 => {
                        let mut keep = |key: &u32, value: &mut u32| {
                            *value = step;
                            !key.is_multiple_of(3)
                        };
                        ours.retain(&mut keep);
                        theirs.retain(&mut keep);
                    }
                    _ => {
                        let to = key + draws.below(keys);
                        assert!(ours.range(key..to).eq(theirs.range(key..to)));
                        assert!(ours.range(key..=to).eq(theirs.range(key..=to)));
                        assert!(ours.range(..key).eq(theirs.range(..key)));
                        let behind = (Bound::Excluded(key), Bound::Unbounded);
                        assert!(ours.range(behind).eq(theirs.range(behind)));
                        assert_eq!(ours.get_key_value(&key), theirs.get_key_value(&key));
                        assert_eq!(ours.first_key_value(), theirs.first_key_value());
                        assert_eq!(ours.last_key_value(), theirs.last_key_value());
                    }
                }
                sound(&ours);
            }
            assert!(ours.iter().eq(&theirs) && ours.iter().rev().eq(theirs.iter().rev()));
            assert!(ours.values().eq(theirs.values()));
            assert!(ours.clone().into_iter().eq(theirs));
        }
    }

    #[test]
    fn what_comes_in_order_fills_its_runs() {
        let map: SortedMap<u32, ()> = (0..RUN as u32 * 10).map(|key| (key, ())).collect();
        assert_eq!(map.runs.len(), 10);
    }
}
