//! Sorted lists of short ids, for sets that have little in common: some 2.7 bytes per id.
//!
//! A list of `n` ids does not need 64 bits of each. Ids are scaled to `0 .. n * 2^20`, so that one that is not
//! listed looks as if it were once in a million, and the gaps between them, 2^20 in the mean, are Rice coded.

use alloc::vec::Vec;

use bytes::{BufMut, BytesMut};

use super::ReconError;

/// Most ids of one list.
pub const MAX_LIST: usize = 20_000;

/// Bits of a gap that are written as they are.
const LOW: u32 = 20;

/// A short id as it stands in a list for which `n` ids are spread over all short ids: `short * n * 2^20 / 2^64`.
/// Keeps the order. With `n` of 2^44 or more it is cut down to 2^44 - 1.
#[must_use]
pub fn scale(short: u64, n: u64) -> u64 {
    let n = n.min((1 << 44) - 1);
    ((u128::from(short) * (u128::from(n) << LOW)) >> 64) as u64
}

/// Appends a list of scaled ids in ascending order: for each the gap to the one before (the first: to `base`),
/// its high part in unary (as many ones, then a zero), then its low 20 bits, most significant bit first; the last
/// byte is filled with zeros.
pub fn write_list(base: u64, ids: impl IntoIterator<Item = u64>, out: &mut BytesMut) {
    let (mut bits, mut held, mut last) = (0_u64, 0_u32, base);
    let mut put = |value: u64, count: u32| {
        bits = bits << count | value;
        held += count;
        while held >= 8 {
            held -= 8;
            out.put_u8((bits >> held) as u8);
        }
    };
    for id in ids {
        let gap = id.saturating_sub(last);
        last = id;
        for _ in 0..gap >> LOW {
            put(1, 1);
        }
        put(0, 1);
        put(gap & ((1 << LOW) - 1), LOW);
    }
    put(0, 7);
}

/// Reads a list of `count` scaled ids, in ascending order, none at or above `limit`.
///
/// # Errors
/// [`ReconError::Length`], [`ReconError::Encoding`], [`ReconError::TooMany`].
pub fn read_list(bytes: &[u8], base: u64, limit: u64, count: usize) -> Result<Vec<u64>, ReconError> {
    // An id takes 21 bits at least: a count that lies is found before anything is reserved for it.
    if count > MAX_LIST {
        return Err(ReconError::TooMany);
    }
    if bytes.len().saturating_mul(8) < count.saturating_mul(21) {
        return Err(ReconError::Length);
    }
    let mut ids = Vec::with_capacity(count);
    let mut reader = Bits { bytes, at: 0 };
    let mut last = base;
    for _ in 0..count {
        let mut high = 0_u64;
        while reader.bits(1)? == 1 {
            high += 1;
        }
        let gap = high << LOW | reader.bits(LOW)?;
        last = last.saturating_add(gap);
        if last >= limit {
            return Err(ReconError::Encoding);
        }
        ids.push(last);
    }
    reader.end()?;
    Ok(ids)
}

struct Bits<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Bits<'_> {
    fn bits(&mut self, count: u32) -> Result<u64, ReconError> {
        let mut value = 0;
        for _ in 0..count {
            let byte = self.bytes.get(self.at / 8).ok_or(ReconError::Length)?;
            value = value << 1 | u64::from(byte >> (7 - self.at % 8) & 1);
            self.at += 1;
        }
        Ok(value)
    }

    /// Only zeros of the last byte may be left.
    fn end(mut self) -> Result<(), ReconError> {
        if self.bytes.len() != self.at.div_ceil(8) {
            return Err(ReconError::Length);
        }
        while !self.at.is_multiple_of(8) {
            if self.bits(1)? == 1 {
                return Err(ReconError::Encoding);
            }
        }
        Ok(())
    }
}

/// Compares a list with what we have, both scaled alike and ascending: for each listed id whether we lack it, and
/// for each of ours whether it is not listed.
#[must_use]
pub fn compare(listed: &[u64], ours: &[u64]) -> (Vec<bool>, Vec<bool>) {
    let lacks = |of: &[u64], among: &[u64]| {
        let mut among = among.iter().peekable();
        of.iter()
            .map(|id| {
                while among.next_if(|other| *other < id).is_some() {}
                among.peek() != Some(&id)
            })
            .collect()
    };
    (lacks(listed, ours), lacks(ours, listed))
}

#[cfg(test)]
mod tests {
    use super::super::mapping::mix;
    use super::*;

    fn listed(n: u64) -> Vec<u64> {
        let mut ids: Vec<u64> = (0..n).map(|id| scale(mix(id), n)).collect();
        ids.sort_unstable();
        ids
    }

    fn written(ids: &[u64]) -> BytesMut {
        let mut out = BytesMut::new();
        write_list(0, ids.iter().copied(), &mut out);
        out
    }

    #[test]
    fn lists_come_back_and_cost_2_7_bytes() {
        for n in [0, 1, 2, 3, 1_000, 20_000] {
            let ids = listed(n);
            let out = written(&ids);
            assert_eq!(read_list(&out, 0, n << 20, n as usize), Ok(ids));
            assert!(n < 1_000 || out.len() as u64 * 100 < n * 272, "{} bytes for {n}", out.len());
        }
        assert_eq!(scale(u64::MAX, u64::MAX) >> 20, (1 << 44) - 2);
    }

    #[test]
    fn what_is_not_a_list_is_refused() {
        let ids = listed(50);
        let out = written(&ids);
        let read = |bytes: &[u8], count| read_list(bytes, 0, 50 << 20, count).map(|_| ());
        assert_eq!(read(&out, MAX_LIST + 1), Err(ReconError::TooMany));
        assert_eq!(read(&out[..out.len() - 1], 50), Err(ReconError::Length));
        assert_eq!(read(&[&out[..], &[0]].concat(), 50), Err(ReconError::Length));
        assert_eq!(read(&out, 49), Err(ReconError::Length));
        assert_eq!(read(&[], 0), Ok(()));
        assert_eq!(read(&[0xff; 3_000], 50), Err(ReconError::Length), "ones without end");
        assert_eq!(read_list(&out, 0, ids[49], 50), Err(ReconError::Encoding));
        assert_eq!(read(&[0, 0, 1], 1), Err(ReconError::Encoding), "bits behind the last one");
    }

    #[test]
    fn comparing_tells_what_either_side_lacks() {
        let (listed, ours) = compare(&[1, 3, 3, 7, 9], &[0, 3, 7, 7, 8]);
        assert_eq!(listed, [true, false, false, false, true]);
        assert_eq!(ours, [true, false, false, false, true]);
    }
}
