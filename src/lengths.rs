//! Lengths of runs of units, by number.
//!
//! ```text
//!   number   0  1  2  3  4  5  6  7  8  9 10 11 12 13
//!   units    1  2  3  4  6  8 12 16 24 32 40 48 56 64
//! ```
//!
//! A run of any length begins at a multiple of the power of two from it on, so three quarters of a power are as well aligned as
//! all of it. They waste an eighth in the mean in place of a quarter, and what is behind them serves other requests. The
//! longest, which need the front of a block of 64 units, go by eighths.
//!
//! Blocks of more units than one word has bits (word.rs) have powers of two only: there a run's number is its order.
//!
//! Invariants: lengths ascend; `number_of(n)` is the first that has n units.
//! May know: nothing. Plain arithmetic.

/// The largest order of blocks that have all these lengths.
pub const LONGEST: u32 = u64::BITS.trailing_zeros();

const UNITS: [u8; 14] = [1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 40, 48, 56, 64];

/// The number of the shortest run that has so many units, by their number less one.
const NUMBERS: [u8; 1 << LONGEST] = {
    let mut numbers = [0; 1 << LONGEST];
    let (mut last, mut number) = (0, 0);
    while last < numbers.len() {
        if last == UNITS[number] as usize {
            number += 1;
        }
        numbers[last] = number as u8;
        last += 1;
    }
    numbers
};

/// Smallest k with 2^k >= n (0 for 0 and 1).
pub fn log2_ceil(n: usize) -> u32 {
    if n <= 1 { 0 } else { usize::BITS - (n - 1).leading_zeros() }
}

/// The number of 2^order units.
#[inline(always)]
pub fn whole(order: u32) -> u32 {
    (2 * order).saturating_sub(1) + 2 * (order == LONGEST) as u32
}

/// The number of the longest run of so many units, from 32 on.
#[inline(always)]
pub fn at_front(units: u32) -> u32 {
    whole(LONGEST - 1) + units / 8 - 4
}

/// The number of the shortest run that has so many units, 1 to 64; for other numbers that of any run.
#[inline(always)]
pub fn number_of(units: usize) -> u32 {
    let last = units.wrapping_sub(1) & (NUMBERS.len() - 1);
    NUMBERS.get(last).map_or(0, |&number| number as u32)
}

/// Units of the run with a number.
#[inline(always)]
pub fn units_of(number: u32) -> usize {
    UNITS.get(number as usize).map_or(0, |&units| units as usize)
}
