//! The checksum of a map: where everything lies never changes, and nothing else would show that it was damaged.
//!
//! Invariant: every field of the map goes in.
//! May know: the map, mix.

use super::Map;
use crate::mix::mix;

impl Map {
    /// Over every field: none changes after creation.
    pub fn checksum(&self) -> u64 {
        let shape = &self.shape;
        let tables: [usize; 30] = [
            self.memory.addr(),
            self.size,
            self.origin.addr(),
            self.base.addr(),
            self.blocks,
            self.records.addr(),
            self.free.addr(),
            self.units.addr(),
            self.lives.addr(),
            self.uses.addr(),
            self.slabs.addr(),
            self.nodes.addr(),
            self.sums.addr(),
            self.longest.addr(),
            self.flat_sums,
            self.flat_longest,
            self.caches.addr(),
            self.slack.addr(),
            shape.alignment,
            shape.granules,
            shape.slab_units,
            shape.block_shift as usize,
            shape.unit_shift as usize,
            shape.granule_shift as usize,
            shape.cache_entries as usize,
            shape.node_words as usize,
            shape.packed as usize,
            shape.slack as usize,
            shape.waits as usize,
            shape.slab_order as usize,
        ];
        tables.iter().fold(self.tools.number() as u64, |hash, &value| mix(hash, value as u64))
    }
}
