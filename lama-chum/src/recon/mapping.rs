//! Which cells a short id stands in: doubling blocks and two classes, in integers only.
//!
//! Cell 0 holds every id. Block `g` is the cells `2^g .. 2^(g+1)`. An id is of the dense class (share 0.339) or
//! of the light one, and stands in `k` cells of each block, where `k` is the class's mean for that block, rounded
//! up or down at random. The means make decoding succeed with 1.20 cells per difference at 1,000 differences,
//! where the classic mapping of rateless tables needs 1.38.

/// Most cells of one table; block numbers go up to 15.
pub const MAX_CELLS: u32 = 1 << 16;

/// Share of the dense class, in 65,536ths: 0.339.
const DENSE: u32 = 22_217;

/// Mean number of cells in block `g`, in 65,536ths; the last one is that of all further blocks.
const DENSE_MEANS: [u32; 11] =
    means([811, 1_270, 1_774, 2_218, 2_538, 2_816, 3_027, 3_199, 3_350, 3_494, 3_650]);
/// As [`DENSE_MEANS`], for the light class.
const LIGHT_MEANS: [u32; 11] = means([530, 633, 700, 738, 759, 740, 718, 694, 671, 649, 628]);

/// Thousandths as 65,536ths, rounded.
const fn means(thousandths: [u32; 11]) -> [u32; 11] {
    let mut out = [0; 11];
    let (mut to, mut from) = (out.as_mut_slice(), thousandths.as_slice());
    while let (Some((place, to_rest)), Some((mean, from_rest))) = (to.split_first_mut(), from.split_first()) {
        *place = (*mean * 65_536 + 500) / 1_000;
        (to, from) = (to_rest, from_rest);
    }
    out
}

/// Distance of the inputs of the hashes that one short id takes.
const STEP: u64 = 0x9e37_79b9_7f4a_7c15;

/// Mixes 64 bits (the finaliser of SplitMix64).
#[inline]
pub(super) const fn mix(mut bits: u64) -> u64 {
    bits ^= bits >> 30;
    bits = bits.wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits ^= bits >> 27;
    bits = bits.wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

/// The mean of a class in a block.
#[inline]
fn mean(means: &[u32; 11], block: u32) -> u32 {
    means.get(block as usize).or(means.last()).copied().unwrap_or_default()
}

/// Visits the cells in `first .. end` in which a short id stands; each once, in no order within a block.
///
/// With `h(j) = mix(short + j * 0x9e3779b97f4a7c15)` modulo 2^64: dense if `h(0) >> 48` is below 22,217. In block
/// `g`, with `h = h(g + 1)` and the class's mean `m`: `k = (m >> 16)`, plus one if `h >> 48` is below the low 16
/// bits of `m`; the cells are `2^g + (h + t * ((h >> 24) | 1)) mod 2^g` for `t` in `0 .. k`.
#[inline]
pub fn each_cell(short: u64, first: u32, end: u32, mut visit: impl FnMut(u32)) {
    let end = end.min(MAX_CELLS);
    if first == 0 && end > 0 {
        visit(0);
    }
    let means = if mix(short) >> 48 < u64::from(DENSE) { &DENSE_MEANS } else { &LIGHT_MEANS };
    let mut block = first.checked_ilog2().unwrap_or(0);
    while block < 16 && 1 << block < end {
        let size = 1_u32 << block;
        let hash = mix(short.wrapping_add(STEP.wrapping_mul(u64::from(block) + 1)));
        let mean = mean(means, block);
        let more = hash >> 48 < u64::from(mean & 0xffff);
        let (mut at, step) = (hash as u32, (hash >> 24) as u32 | 1);
        for _ in 0..(mean >> 16) + u32::from(more) {
            let cell = size | (at & (size - 1));
            if (first..end).contains(&cell) {
                visit(cell);
            }
            at = at.wrapping_add(step);
        }
        block += 1;
    }
}

/// The chance that an id stands in a cell, in units of 2^-32; cell 0, which holds all, has 2^32.
#[must_use]
pub(super) fn chance(cell: u32) -> u64 {
    let Some(block) = cell.checked_ilog2() else { return 1 << 32 };
    let dense = u64::from(DENSE) * u64::from(mean(&DENSE_MEANS, block));
    let light = u64::from(65_536 - DENSE) * u64::from(mean(&LIGHT_MEANS, block));
    (dense + light) >> block
}

#[cfg(test)]
mod tests {
    use alloc::vec;
    use alloc::vec::Vec;

    use super::*;

    #[test]
    fn the_means_are_those_of_the_specification() {
        assert_eq!(
            DENSE_MEANS,
            [53_150, 83_231, 116_261, 145_359, 166_330, 184_549, 198_377, 209_650, 219_546, 228_983, 239_206]
        );
        assert_eq!(
            LIGHT_MEANS,
            [34_734, 41_484, 45_875, 48_366, 49_742, 48_497, 47_055, 45_482, 43_975, 42_533, 41_157]
        );
    }

    #[test]
    fn an_id_stands_in_a_cell_as_often_as_the_chance_says_and_never_twice() {
        let mut seen = vec![0_u32; 256];
        for n in 0..100_000_u64 {
            let mut cells = Vec::new();
            each_cell(mix(n), 0, 256, |cell| cells.push(cell));
            cells.iter().for_each(|cell| seen[*cell as usize] += 1);
            cells.sort_unstable();
            assert!(cells.windows(2).all(|pair| pair[0] < pair[1]), "{cells:?}");
        }
        for (cell, seen) in (0..).zip(seen) {
            let expected = chance(cell) as f64 / 2_f64.powi(32) * 100_000.0;
            let difference = (f64::from(seen) - expected).abs();
            assert!(difference <= 5.0 * expected.sqrt(), "cell {cell}: {seen}, expected {expected}");
        }
    }

    #[test]
    fn a_part_of_the_cells_is_the_part_of_all_cells() {
        for n in 0..300_u64 {
            let mut all = Vec::new();
            each_cell(mix(n), 0, 3_000, |cell| all.push(cell));
            for (first, end) in [(0, 1), (1, 2), (1, 33), (32, 61), (61, 900), (900, 3_000)] {
                let mut part = Vec::new();
                each_cell(mix(n), first, end, |cell| part.push(cell));
                let expected: Vec<u32> =
                    all.iter().copied().filter(|cell| (first..end).contains(cell)).collect();
                assert_eq!(part, expected);
            }
        }
    }

    #[test]
    fn there_is_a_last_cell() {
        for n in 0..50_u64 {
            each_cell(mix(n), 0, u32::MAX, |cell| assert!(cell < MAX_CELLS));
            each_cell(mix(n), MAX_CELLS, u32::MAX, |_| panic!("beyond the last"));
            each_cell(mix(n), 0, 0, |_| panic!("no cell was asked for"));
        }
    }
}
