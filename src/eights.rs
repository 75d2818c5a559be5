//! Eight bytes in a word, looked at together.
//! May know: nothing. Plain arithmetic.

use core::cell::Cell;

const LOW: u64 = 0x0101_0101_0101_0101;
const HIGH: u64 = LOW << 7;

/// The high bits of the bytes that are `want`; of those behind the first, some that are not.
#[inline(always)]
pub fn equal(eight: u64, want: u8) -> u64 {
    let other = eight ^ (LOW * want as u64);
    other.wrapping_sub(LOW) & !other & HIGH
}

/// The high bits of the bytes that are at least `want`.
#[inline(always)]
pub fn at_least(eight: u64, want: u8) -> u64 {
    let want = LOW * want as u64;
    let low = (eight | HIGH) - (want & !HIGH);
    ((eight & !want) | (!(eight ^ want) & low)) & HIGH
}

/// The greatest of the bytes.
#[inline(never)]
pub fn greatest(words: &[Cell<u64>]) -> u8 {
    let mut most = 0u8;
    for word in words {
        let mut rest = word.get();
        while rest != 0 && most < u8::MAX {
            let more = at_least(rest, most + 1);
            if more == 0 {
                break;
            }
            let shift = more.trailing_zeros() & !7;
            most = (rest >> shift) as u8;
            rest = rest >> shift >> 8;
        }
    }
    most
}
