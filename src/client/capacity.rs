//! The largest allocation that would succeed now.
//!
//! A failing request makes a client give up quarantine, caches and empty blocks before it fails. So the answer is what
//! there would be after that: only what is live counts as used. Nothing is given up for the question.
//! May know: the client, context, memory, find, pages, reach.

use super::{Client, find};
use crate::context::Context;
use crate::guard;
use crate::memory::{NONE, kind};
use crate::sizes::round_up;
use core::sync::atomic::Ordering::{Acquire, Relaxed};

impl Client {
    /// The n for which alloc(n) succeeds and alloc(n + 1) fails; 0 if nothing does.
    pub fn max_alloc(&self) -> usize {
        let context = self.context();
        let _lock = self.lock_shared(context);
        let usable = self.max_usable(context);
        if context.map.shape.slack { usable.saturating_sub(guard::RED_ZONE) } else { usable }
    }

    /// The same with the red zone, if there is one. A shared client's lock is held.
    pub(super) fn max_usable(&self, context: &Context) -> usize {
        let shape = &context.map.shape;
        let empty = |block: usize| self.is_block_empty(context, block);
        let watermark = context.watermark.load(Acquire);
        let own_empty = (0..watermark).filter(|&block| empty(block)).count();
        let mut claim = self.claim(context);
        claim.held -= own_empty;
        // What it could take from the context once its empty blocks are there.
        let allowed = context.allowance_after(&claim, own_empty);
        if context.sizes.packed() {
            return self.packed_max(context, allowed, &empty);
        }
        if allowed > 0 {
            let run = context.longest_run(allowed, empty);
            if run > 0 {
                return run << shape.block_shift;
            }
        }
        let mut best = 0;
        for block in (0..watermark).filter(|&block| self.owns_block(context, block)) {
            if context.map.record(block).owner.load(Relaxed) & 0xff == kind::BUDDY {
                best = best.max(self.best_in_block(context, block));
            }
        }
        best
    }

    /// Is this a block of the client in which nothing live lies?
    #[inline(never)]
    pub fn is_block_empty(&self, context: &Context, block: usize) -> bool {
        if !self.owns_block(context, block) {
            return false;
        }
        let record = context.map.record(block);
        let run = match record.owner.load(Relaxed) & 0xff {
            kind::HEAD => Some(block),
            kind::BODY => Some(record.run.load(Relaxed) as usize),
            _ if context.sizes.packed() || record.tail.load(Relaxed) > 0 => Some(record.run.load(Relaxed) as usize),
            _ => None,
        };
        let shift = context.map.shape.block_shift;
        // With PACKED the piece that covers the front may begin anywhere in its block; NONE covers nothing.
        let at = if context.sizes.packed() { block } else { run.unwrap_or(0) };
        if run.is_some_and(|head| head != NONE as usize)
            && find::holder(context, self.owner.get(), at << shift).is_some_and(|found| found.live)
        {
            return false;
        }
        // In a buddy block every live bit is a live allocation; what is in the words of a run's blocks is old.
        let shape = &context.map.shape;
        let words = shape.live_words_per_block();
        record.owner.load(Relaxed) & 0xff != kind::BUDDY
            || (block * words..(block + 1) * words).all(|word| context.map.live_bits(word << 6) == 0)
    }

    /// The largest run of units or cell that a block could serve if only what is live were in it.
    fn best_in_block(&self, context: &Context, block: usize) -> usize {
        let shape = &context.map.shape;
        let first = context.map.first_unit(block);
        let units = shape.units_per_block();
        let (mut best, mut best_cell, mut run_start, mut unit) = (0, 0, 0, 0);
        // Stretches of units without anything live; in each the largest run.
        while unit < units {
            let (live, length, cell) = self.piece_at(context, first + unit);
            best_cell = best_cell.max(cell);
            if live {
                best = best.max(self.stretch(context, run_start, unit));
                run_start = unit + length;
            }
            unit += length;
        }
        best.max(self.stretch(context, run_start, units)).max(best_cell)
    }

    /// The largest request that the free units `from..to` of a block can serve.
    #[inline(never)]
    fn stretch(&self, context: &Context, from: usize, to: usize) -> usize {
        let sizes = &context.sizes;
        let mut lengths = (0..=sizes.last_run as u32).rev().map(|run| sizes.units_of(run));
        let longest = lengths.find(|&units| round_up(from, units.next_power_of_two()) + units <= to);
        longest.unwrap_or(0) << context.map.shape.unit_shift
    }

    /// PACKED: the longest piece, if all that is not live were free and the client could take `allowed` blocks more.
    fn packed_max(&self, context: &Context, allowed: usize, empty: &dyn Fn(usize) -> bool) -> usize {
        let shape = &context.map.shape;
        let all = shape.granules_per_block();
        let watermark = context.watermark.load(Acquire);
        // Neighbouring blocks that are, or would be, the context's; and what is free before a place in the client's own.
        let (mut best, mut blocks, mut hole) = (0, 0, 0);
        for block in 0..context.usable_blocks() {
            crate::steps::count();
            let owned = block < watermark && self.owns_block(context, block);
            if block >= watermark || context.is_block_free(block) || empty(block) {
                blocks += 1;
                // An empty block serves whatever fits into it, even above the limit.
                hole = if owned { hole + all } else { 0 };
                best = best.max(blocks.min(allowed) * all).max(hole.min(all));
                continue;
            }
            let (before, taken) = (hole, blocks.min(allowed));
            (hole, blocks) = (0, 0);
            if owned {
                self.stretches(context, block, &mut |at, length| {
                    let joined = if at == 0 { before } else { 0 } + length;
                    best = best.max(joined.min(all));
                    if at == 0 && taken > 0 {
                        best = best.max(taken * all + length);
                    }
                    hole = if at + length == all { joined } else { 0 };
                });
            }
        }
        best << shape.granule_shift
    }

    /// Calls `visit` with each stretch of a block in which nothing is live, and its length.
    fn stretches(&self, context: &Context, block: usize, visit: &mut dyn FnMut(usize, usize)) {
        let map = &context.map;
        let all = map.shape.granules_per_block();
        if map.record(block).owner.load(Relaxed) & 0xff != kind::BUDDY {
            return;
        }
        let flat = map.flat(block);
        let (mut at, mut from) = (0, None);
        while at < all {
            let offset = (block << map.shape.block_shift) + (at << map.shape.granule_shift);
            let live = find::holder(context, self.owner.get(), offset).is_some_and(|found| found.live);
            if live {
                if let Some(from) = from.take() {
                    visit(from, at - from);
                }
            } else {
                from = from.or(Some(at));
            }
            at = flat.next(at + 1);
        }
        if let Some(from) = from {
            visit(from, all - from);
        }
    }

    /// The piece that begins at a unit: is anything in it live, how many units it has, and the largest cell in it
    /// that is not live.
    fn piece_at(&self, context: &Context, unit: usize) -> (bool, usize, usize) {
        let map = &context.map;
        let shape = &map.shape;
        let word = map.unit(unit).load(Relaxed);
        if word & !0xff != self.owner.get() {
            return (false, 1, 0);
        }
        let class = (word & 0xff) as usize;
        if class < context.sizes.count() {
            let info = context.sizes.class(class);
            let length = shape.slab_units;
            let live = (0..info.cells as usize)
                .filter(|&index| {
                    let start = (unit << shape.unit_shift) + index * info.cell as usize;
                    map.is_live(start >> shape.granule_shift)
                })
                .count();
            let cell = if live > 0 && live < info.cells as usize { info.cell as usize } else { 0 };
            return (live > 0, length, cell);
        }
        let offset = unit << shape.unit_shift;
        match find::holder(context, self.owner.get(), offset) {
            Some(found) if found.start == offset => (found.live, found.usable >> shape.unit_shift, 0),
            Some(found) => (found.live, 1, 0),
            None => (false, 1, 0),
        }
    }
}
