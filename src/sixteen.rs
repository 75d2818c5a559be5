//! Sixteen bytes, looked at together, and words of bytes tested so.
//!
//! May know: nothing. Plain arithmetic; where the processor has registers of that size, in those.

use crate::cell::Cell;

#[cfg(not(target_feature = "sse2"))]
pub use plain::Sixteen;
#[cfg(target_feature = "sse2")]
pub use wide::Sixteen;

/// In the registers that nearly every x86 has.
#[cfg(target_feature = "sse2")]
pub mod wide {
    #[cfg(target_arch = "x86")]
    use core::arch::x86 as arch;
    #[cfg(target_arch = "x86_64")]
    use core::arch::x86_64 as arch;

    use arch::{
        __m128i, _mm_cmpeq_epi8, _mm_cvtsi128_si32, _mm_max_epu8, _mm_min_epu8, _mm_movemask_epi8, _mm_set_epi64x,
        _mm_set1_epi8, _mm_srli_si128,
    };

    #[derive(Clone, Copy)]
    pub struct Sixteen(__m128i);

    impl Sixteen {
        #[inline(always)]
        pub fn new(low: u64, high: u64) -> Sixteen {
            // SAFETY: this is compiled only where the processor has SSE2; so all of these functions.
            Sixteen(unsafe { _mm_set_epi64x(high as i64, low as i64) })
        }

        /// The bytes that are `want`, a bit each.
        #[inline(always)]
        pub fn equal(self, want: u8) -> u32 {
            // SAFETY: as in `new`.
            unsafe { _mm_movemask_epi8(_mm_cmpeq_epi8(self.0, _mm_set1_epi8(want as i8))) as u32 }
        }

        /// The bytes that are from `least` to `most`, which is not less, a bit each.
        #[inline(always)]
        pub fn between(self, least: u8, most: u8) -> u32 {
            // SAFETY: as in `new`.
            unsafe {
                let greater = _mm_max_epu8(self.0, _mm_set1_epi8(least as i8));
                let within = _mm_min_epu8(greater, _mm_set1_epi8(most as i8));
                _mm_movemask_epi8(_mm_cmpeq_epi8(within, self.0)) as u32
            }
        }

        /// Of each two bytes the greater one.
        #[inline(always)]
        pub fn greater(self, other: Sixteen) -> Sixteen {
            // SAFETY: as in `new`.
            Sixteen(unsafe { _mm_max_epu8(self.0, other.0) })
        }

        /// The greatest byte.
        #[inline(always)]
        pub fn greatest(self) -> u8 {
            // SAFETY: as in `new`.
            unsafe {
                let eight = _mm_max_epu8(self.0, _mm_srli_si128::<8>(self.0));
                let four = _mm_max_epu8(eight, _mm_srli_si128::<4>(eight));
                let two = _mm_max_epu8(four, _mm_srli_si128::<2>(four));
                _mm_cvtsi128_si32(_mm_max_epu8(two, _mm_srli_si128::<1>(two))) as u8
            }
        }
    }
}

/// The same in two words. Where there is the other it is only tested beside it.
#[cfg(any(test, not(target_feature = "sse2")))]
pub mod plain {
    const LOW: u64 = 0x0101_0101_0101_0101;
    const HIGH: u64 = LOW << 7;

    #[derive(Clone, Copy)]
    pub struct Sixteen(u64, u64);

    impl Sixteen {
        #[inline(always)]
        pub fn new(low: u64, high: u64) -> Sixteen {
            Sixteen(low, high)
        }

        /// The bytes that are `want`, a bit each.
        #[inline(always)]
        pub fn equal(self, want: u8) -> u32 {
            // What is zero now stays so with its low bits; everything else has its high bit set by them or by itself.
            let other = |eight: u64| eight ^ (LOW * want as u64);
            let zero = |eight: u64| !(((eight & !HIGH) + !HIGH) | eight) & HIGH;
            gathered(zero(other(self.0)), zero(other(self.1)))
        }

        /// The bytes that are from `least` to `most`, which is not less, a bit each.
        #[inline(always)]
        pub fn between(self, least: u8, most: u8) -> u32 {
            let (least, most) = (LOW * least as u64, LOW * most as u64);
            let within = |eight: u64| at_least(eight, least) & at_least(most, eight);
            gathered(within(self.0), within(self.1))
        }

        /// Of each two bytes the greater one.
        #[inline(always)]
        pub fn greater(self, other: Sixteen) -> Sixteen {
            Sixteen(greater(self.0, other.0), greater(self.1, other.1))
        }

        /// The greatest byte.
        #[inline(always)]
        pub fn greatest(self) -> u8 {
            let eight = greater(self.0, self.1);
            let four = greater(eight, eight >> 32);
            let two = greater(four, four >> 16);
            greater(two, two >> 8) as u8
        }
    }

    /// The high bits of the bytes that are at least those of the other word.
    #[inline(always)]
    fn at_least(eight: u64, other: u64) -> u64 {
        let low = (eight | HIGH) - (other & !HIGH);
        ((eight & !other) | (!(eight ^ other) & low)) & HIGH
    }

    #[inline(always)]
    fn greater(eight: u64, other: u64) -> u64 {
        let ours = (at_least(eight, other) >> 7) * 0xff;
        eight & ours | other & !ours
    }

    /// The high bits of sixteen bytes side by side.
    #[inline(always)]
    fn gathered(low: u64, high: u64) -> u32 {
        let eight = |bits: u64| ((bits >> 7).wrapping_mul(0x0102_0408_1020_4080) >> 56) as u32;
        eight(low) | eight(high) << 8
    }
}

/// Words whose bytes have a bit each in one mask.
pub const STRIDE: usize = 8;

/// Of the bytes of up to STRIDE words those that are from `want`, which is not 0, to `most`, which is not less, and those
/// that are just `want`, a bit each.
#[inline(never)]
pub fn marks(words: &[Cell<u64>], want: u8, most: u8) -> (u64, u64) {
    // Words that are missing count as 0.
    let padded = [const { Cell::new(0) }; STRIDE];
    let all = <&[Cell<u64>; STRIDE]>::try_from(words).unwrap_or_else(|_| {
        for (to, from) in padded.iter().zip(words) {
            to.set(from.get());
        }
        &padded
    });
    let [a, b, c, d, e, f, g, h] = all;
    let (ab, cd) = (Sixteen::new(a.get(), b.get()), Sixteen::new(c.get(), d.get()));
    let (ef, gh) = (Sixteen::new(e.get(), f.get()), Sixteen::new(g.get(), h.get()));
    let gathered = |test: &dyn Fn(Sixteen) -> u32| {
        let bits = |bytes| test(bytes) as u64;
        bits(ab) | bits(cd) << 16 | bits(ef) << 32 | bits(gh) << 48
    };
    (gathered(&|bytes| bytes.between(want, most)), gathered(&|bytes| bytes.equal(want)))
}

/// The greatest of the bytes.
#[inline(never)]
pub fn greatest(words: &[Cell<u64>]) -> u8 {
    let (pairs, rest) = words.as_chunks();
    let last = rest.first().map_or(0, Cell::get);
    let greater = |most: Sixteen, [low, high]: &[Cell<u64>; 2]| most.greater(Sixteen::new(low.get(), high.get()));
    pairs.iter().fold(Sixteen::new(last, 0), greater).greatest()
}
