//! The checksum over what only setters, and the counts of a client, change.
//!
//! Nothing else would show that such a number was damaged: any value of a limit, a handler or a name is possible.
//! Invariant: it is right whenever no call on the client is on its way.
//! May know: the client.

use super::Client;

impl Client {
    /// Renews the checksum after a setter.
    pub(crate) fn seal(&self) {
        self.checksum.set(self.expected_checksum());
    }

    pub fn checksum_matches(&self) -> bool {
        self.checksum.get() == self.expected_checksum()
    }

    /// The same while no other thread may be about to change both.
    pub fn locked_checksum_matches(&self) -> bool {
        let _lock = self.lock.when(self.shared.get() != 0);
        self.checksum_matches()
    }

    /// Changes the peak or a count of failures, and the checksum with it, at the cost of a few multiplications.
    pub(crate) fn counted(&self, change: impl FnOnce()) {
        let before = self.counts_hash();
        change();
        self.checksum.set(self.checksum.get() ^ before ^ self.counts_hash());
    }

    fn counts_hash(&self) -> u32 {
        let hash = (self.peak.get() as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15)
            ^ (self.failed_count.get() as u64).wrapping_mul(0xbf58_476d_1ce4_e5b9)
            ^ (self.largest_failed.get() as u64).wrapping_mul(0x94d0_49bb_1331_11eb);
        (hash >> 32) as u32
    }

    fn expected_checksum(&self) -> u32 {
        // Every step is a bijection of what came before and of what comes in, so no flipped bit is lost; and a client is
        // made and sealed in less time than the context's stronger mixing would take.
        let mix = |hash: u64, value: u64| (hash ^ value).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let mut hash = mix(self.limit.get() as u64, self.guarantee.get() as u64);
        hash = mix(hash, self.handler.get().map_or(0, |f| f as usize) as u64);
        hash = mix(hash, self.handler_user.get().addr() as u64);
        hash = mix(hash, self.user_data.get().addr() as u64);
        hash = mix(hash, self.context.get().addr() as u64);
        hash = mix(hash, self.base.get().addr() as u64);
        hash = mix(hash, self.units.get().addr() as u64);
        hash = mix(hash, self.lives.get().addr() as u64);
        hash = mix(hash, self.uses.get().addr() as u64);
        hash = mix(hash, (self.owner.get() as u64) << 32 | self.slot.get() as u64);
        hash = mix(hash, (self.slab_mask.get() as u64) << 32 | self.shared.get() as u64);
        for chunk in self.name.get().as_chunks::<8>().0 {
            hash = mix(hash, u64::from_le_bytes(*chunk));
        }
        (hash >> 32) as u32 ^ self.counts_hash()
    }
}
