//! Sixteen bytes at a time against one at a time, in registers and in words.
//! May know: sixteen.

use super::Rng;
use crate::cell::Cell;
use crate::sixteen::{STRIDE, greatest, marks, plain};

fn bits(bytes: &[u8], test: impl Fn(u8) -> bool) -> u64 {
    bytes.iter().enumerate().fold(0, |bits, (at, &byte)| bits | (test(byte) as u64) << at)
}

/// Sixteen bytes near each other and near the ends of their range, as two words.
fn some(rng: &mut Rng) -> [u64; 2] {
    let near = [0, 1, 0x7f, 0x80, 0xfe, 0xff][rng.below(6)];
    core::array::from_fn(|_| {
        u64::from_le_bytes(core::array::from_fn(|_| {
            if rng.below(3) == 0 { rng.below(256) as u8 } else { (near + rng.below(3)) as u8 }
        }))
    })
}

macro_rules! against_single_bytes {
    ($name:ident, $sixteen:ty) => {
        #[test]
        fn $name() {
            type Sixteen = $sixteen;
            let mut rng = Rng::new(16);
            for _ in 0..if cfg!(miri) { 100 } else { 20_000 } {
                let ([low, high], [other_low, other_high]) = (some(&mut rng), some(&mut rng));
                let bytes = [low.to_le_bytes(), high.to_le_bytes()].concat();
                let others = [other_low.to_le_bytes(), other_high.to_le_bytes()].concat();
                let sixteen = Sixteen::new(low, high);
                for want in [others[0], bytes[3], bytes[9], bytes[15].wrapping_add(1)] {
                    assert_eq!(sixteen.equal(want) as u64, bits(&bytes, |byte| byte == want), "{bytes:?} {want}");
                    for most in [want, others[1].max(want), bytes[7].max(want), 0xff] {
                        let expected = bits(&bytes, |byte| (want..=most).contains(&byte));
                        assert_eq!(sixteen.between(want, most) as u64, expected, "{bytes:?} {want} {most}");
                    }
                }
                assert_eq!(sixteen.greatest(), *bytes.iter().max().unwrap(), "{bytes:?}");
                let greater = sixteen.greater(Sixteen::new(other_low, other_high));
                for (at, pair) in bytes.iter().zip(&others).enumerate() {
                    let max = *pair.0.max(pair.1);
                    assert_eq!(greater.equal(max) >> at & 1, 1, "{bytes:?} {others:?}");
                }
            }
        }
    };
}

against_single_bytes!(sixteen_bytes_in_words_are_as_each_alone, plain::Sixteen);
#[cfg(target_feature = "sse2")]
against_single_bytes!(sixteen_bytes_in_a_register_are_as_each_alone, crate::sixteen::wide::Sixteen);

#[test]
fn marks_and_the_greatest_of_any_number_of_words() {
    let mut rng = Rng::new(17);
    for round in 0..if cfg!(miri) { 40 } else { 2_000 } {
        let words: Vec<Cell<u64>> =
            (0..round % 20).flat_map(|_| some(&mut rng)).map(Cell::new).take(round % 20).collect();
        let bytes: Vec<u8> = words.iter().flat_map(|word| word.get().to_le_bytes()).collect();
        assert_eq!(greatest(&words), bytes.iter().copied().max().unwrap_or(0));
        let want = 1 + rng.below(255) as u8;
        for (words, bytes) in words.chunks(STRIDE).zip(bytes.chunks(STRIDE * 8)) {
            let most = want.saturating_add(rng.below(255) as u8);
            let within = bits(bytes, |byte| (want..=most).contains(&byte));
            assert_eq!(marks(words, want, most), (within, bits(bytes, |byte| byte == want)), "{bytes:?} {want} {most}");
        }
    }
}
