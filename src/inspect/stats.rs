//! Figures by a walk: where a client's memory is.
//!
//! ```text
//!   held = live cells and runs (their red zones too) + cached + free + what slabs leave at their ends
//! ```
//! May know: client, context.

use crate::bitmap::count_ones;
use crate::client::pages::state_of;
use crate::client::{Client, find};
use crate::context::Context;
use crate::guard;
use crate::layout::SLOT_SIZE;
use crate::memory::kind;
use core::sync::atomic::Ordering::{Acquire, Relaxed};

#[derive(Clone, Copy, Default, Debug)]
pub struct Stats {
    pub held_size: usize,
    pub live_count: usize,
    pub live_size: usize,
    pub cached_size: usize,
    pub cached_blocks: usize,
    pub free_size: usize,
    pub largest_free: usize,
    pub overhead_size: usize,
    pub failed_count: usize,
    pub largest_failed: usize,
}

impl Stats {
    #[inline(never)]
    pub fn add(&mut self, other: &Stats) {
        self.held_size += other.held_size;
        self.live_count += other.live_count;
        self.live_size += other.live_size;
        self.cached_size += other.cached_size;
        self.cached_blocks += other.cached_blocks;
        self.free_size += other.free_size;
        self.largest_free = self.largest_free.max(other.largest_free);
        self.overhead_size += other.overhead_size;
        self.failed_count += other.failed_count;
        self.largest_failed = self.largest_failed.max(other.largest_failed);
    }
}

/// Bytes of records that belong to one block.
pub fn records_per_block(context: &Context) -> usize {
    let shape = &context.map.shape;
    crate::layout::BLOCK_RECORD_SIZE
        + shape.unit_records_per_block() * 4
        + shape.uses_per_block() * crate::layout::USES_SIZE
        + shape.slab_records_per_block() * crate::layout::SLAB_RECORD_SIZE
        + shape.live_table_per_block() * 8
        + shape.node_words_per_block() * 8
        + shape.sum_words_per_block() * 8
        + shape.longest_per_block() * 8
        + shape.cache_entries as usize * 4
        + if shape.slack { shape.block_size() / 16 } else { 0 }
}

/// Bytes of the library's own records in the whole context, slots included.
pub fn context_overhead(context: &Context) -> usize {
    let slot_blocks = context.map.blocks - context.usable_blocks();
    context.map.record_bytes() + (slot_blocks << context.map.shape.block_shift)
}

impl Client {
    pub fn stats(&self) -> Stats {
        let context = self.context();
        let shape = &context.map.shape;
        let _lock = self.lock_shared(context);
        let held_size = (self.held.get() as usize) << shape.block_shift;
        let mut stats = Stats {
            held_size,
            overhead_size: SLOT_SIZE + (held_size >> shape.block_shift) * records_per_block(context),
            ..Stats::default()
        };
        stats.failed_count = self.failed_count.get() as usize;
        stats.largest_failed = self.largest_failed.get();
        let mut largest = 0;
        stats.cached_size = self.cached_bytes(context, &mut largest);
        // By the lists: of many clients each would else look at every block of the context.
        self.each_block(context, &mut |block| {
            for (_, size) in self.allocations_in(context, block) {
                stats.live_count += 1;
                stats.live_size += size;
            }
            stats.cached_blocks += self.is_block_empty(context, block) as usize;
            if context.map.record(block).owner.load(Relaxed) & 0xff == kind::BUDDY {
                self.add_free(context, block, &mut stats.free_size, &mut largest);
            }
        });
        let red = if context.map.shape.slack { guard::RED_ZONE } else { 0 };
        stats.largest_free = largest.saturating_sub(red);
        stats
    }

    /// Bytes that were freed and wait in caches or in quarantine.
    fn cached_bytes(&self, context: &Context, largest: &mut usize) -> usize {
        let mut bytes = 0;
        for class in 0..context.cached_classes as usize {
            let waiting = self.cached_count(context, class) + count_ones(self.opened(class).1);
            let each = context.sizes.cached_bytes(class);
            bytes += waiting * each;
            // What lies in a cache can serve a request of its class too.
            if waiting > 0 {
                *largest = (*largest).max(each);
            }
        }
        for at in 0..self.quarantine.count() {
            let start = self.quarantined(context, at) << context.map.shape.granule_shift;
            bytes += find::holder(context, self.owner.get(), start).map_or(0, |found| found.usable);
        }
        bytes
    }

    /// Free memory in one buddy block: bytes, and the largest piece.
    fn add_free(&self, context: &Context, block: usize, bytes: &mut usize, largest: &mut usize) {
        let shape = &context.map.shape;
        if context.sizes.packed() {
            let flat = context.map.flat(block);
            flat.holes(&mut |_, length| *bytes += length << shape.granule_shift);
            return *largest = (*largest).max(self.largest_hole(context, block) << shape.granule_shift);
        }
        let (_, units) = state_of(context, block);
        *bytes += units << shape.unit_shift;
        let run = self.space(context, block).largest().map_or(0, |run| context.sizes.units_of(run));
        *largest = (*largest).max(run << shape.unit_shift);
        let first = context.map.first_unit(block);
        let mut unit = first;
        while unit < first + shape.units_per_block() {
            let word = context.map.unit(unit).load(Relaxed);
            let class = (word & 0xff) as usize;
            if word & !0xff != self.owner.get() || class >= context.sizes.count() {
                unit += 1;
                continue;
            }
            let info = context.sizes.class(class);
            let free = info.cells.saturating_sub(context.map.uses(unit).count()) as usize;
            // The units of a slab with nothing in use have been counted as such.
            if free < info.cells as usize || !context.keeps_slabs() {
                *bytes += free * info.cell as usize;
            }
            if free > 0 {
                *largest = (*largest).max(info.cell as usize);
            }
            unit += shape.slab_units;
        }
    }
}

/// Held blocks of all clients in which nothing is live.
pub fn cached_blocks(context: &Context) -> usize {
    let is_empty = |&block: &usize| {
        let slot = context.map.record(block).slot.load(Relaxed);
        Client::in_slot(context, slot).is_some_and(|client| {
            let _lock = client.lock_shared(context);
            client.is_block_empty(context, block)
        })
    };
    (0..context.watermark.load(Acquire)).filter(is_empty).count()
}
