//! One step of the checksums over records that never change.
//! May know: nothing.

/// Mixes a value into a checksum (the finalizer of splitmix64, so that every bit reaches every bit).
#[inline(never)]
pub fn mix(hash: u64, value: u64) -> u64 {
    let mut x = (hash ^ value).wrapping_add(0x9e37_79b9_7f4a_7c15);
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}
