//! Runs of blocks: one allocation of more than a block.
//!
//! ```text
//!   | HEAD | BODY | BODY | tail …. free units |        3 whole blocks and a tail
//!                        ^ a BUDDY block of the same client; the run has the units in front
//! ```
//!
//! What the last block has left serves other requests of the client. The head is in the list of heads; its unit word
//! says HEAD and its live bit is the only one of the run.
//!
//! Invariants: BODY blocks name their head; the tail block names it too, and its first units say TAIL.
//! May know: context (blocks), memory, pages.

use super::{Client, HEAD_LIST, code};
use crate::context::Context;
use crate::memory::{NONE, kind};
use crate::status::Status;
use core::sync::atomic::Ordering::Relaxed;

impl Client {
    /// Takes a run; the offset where it begins. It is not live yet.
    pub(super) fn take_run(&self, context: &Context, blocks: usize, units: usize) -> Result<usize, Status> {
        let all = blocks + (units > 0) as usize;
        let head = context.take_run(all, &self.claim(context))?;
        self.now_holds(self.held.get() as usize + all);
        self.reaches(context, head + all - 1);
        let map = &context.map;
        for body in head + 1..head + blocks {
            map.record(body).run.store(head as u32, Relaxed);
        }
        let record = map.record(head);
        record.run.store(blocks as u32, Relaxed);
        record.owner.store(self.owner.get() | kind::HEAD, Relaxed);
        map.unit(map.first_unit(head)).store(self.owner.get() | code::HEAD, Relaxed);
        map.live_word(head << (map.shape.block_shift - map.shape.granule_shift)).store(0, Relaxed);
        self.link_block(context, head, HEAD_LIST);
        if units > 0 {
            self.make_tail(context, head, head + blocks, units);
        }
        Ok(head << map.shape.block_shift)
    }

    /// Makes `block`, which was just taken or cut off, the tail of the run at `head`.
    fn make_tail(&self, context: &Context, head: usize, block: usize, units: usize) {
        let map = &context.map;
        let record = map.record(block);
        map.clear_block_words(block);
        self.begin_block(context, block);
        record.run.store(head as u32, Relaxed);
        record.owner.store(self.owner.get() | kind::BUDDY, Relaxed);
        self.set_tail(context, head, block, 0, units);
    }

    /// Lengthens the tail in `block` from `old` to `new` units. False: they are in use.
    fn set_tail(&self, context: &Context, head: usize, block: usize, old: usize, new: usize) -> bool {
        let map = &context.map;
        let first = map.first_unit(block);
        if !self.take_units(context, first + old, first + new) {
            return false;
        }
        for unit in first + old..first + new {
            map.unit(unit).store(self.owner.get() | code::TAIL, Relaxed);
        }
        map.record(block).tail.store(new as u32, Relaxed);
        map.record(head).tail.store(new as u32, Relaxed);
        true
    }

    /// Shortens the tail in `block` from `old` to `new` units.
    fn cut_tail(&self, context: &Context, head: usize, block: usize, old: usize, new: usize) {
        let map = &context.map;
        let first = map.first_unit(block);
        for unit in first + new..first + old {
            map.unit(unit).store(self.owner.get() | code::FREE, Relaxed);
        }
        map.record(block).tail.store(new as u32, Relaxed);
        if new == 0 {
            map.record(block).run.store(NONE, Relaxed);
        }
        map.record(head).tail.store(new as u32, Relaxed);
        self.return_units(context, first + new, first + old);
    }

    /// Gives a run back.
    pub(super) fn give_run(&self, context: &Context, head: usize) {
        let record = context.map.record(head);
        let (blocks, tail) = (record.run.load(Relaxed) as usize, record.tail.load(Relaxed) as usize);
        if tail > 0 {
            self.cut_tail(context, head, head + blocks, tail, 0);
        }
        let map = &context.map;
        map.unit(map.first_unit(head)).store(self.owner.get() | code::FREE, Relaxed);
        self.unlink_block(context, head, HEAD_LIST);
        context.give_blocks(head, blocks, &self.claim(context));
        self.held.set(self.held.get() - blocks as u32);
    }

    /// Makes a run `blocks` whole blocks and `units` units long without moving it; at least one whole block. False:
    /// the neighbourhood does not allow it, and nothing has changed.
    pub(super) fn resize_run(&self, context: &Context, head: usize, blocks: usize, units: usize) -> bool {
        let record = context.map.record(head);
        let (old, tail) = (record.run.load(Relaxed) as usize, record.tail.load(Relaxed) as usize);
        if blocks < old {
            self.shorten_run(context, head, old, tail, blocks, units);
            return true;
        }
        if blocks == old && tail > 0 {
            if units <= tail {
                self.cut_tail(context, head, head + old, tail, units);
                return true;
            }
            return self.set_tail(context, head, head + old, tail, units);
        }
        if blocks == old && units == 0 {
            return true;
        }
        self.lengthen_run(context, head, old, tail, blocks, units)
    }

    fn shorten_run(&self, context: &Context, head: usize, old: usize, tail: usize, blocks: usize, units: usize) {
        if tail > 0 {
            self.cut_tail(context, head, head + old, tail, 0);
        }
        context.map.record(head).run.store(blocks as u32, Relaxed);
        let kept = blocks + (units > 0) as usize;
        if units > 0 {
            self.make_tail(context, head, head + blocks, units);
        }
        if kept < old {
            context.give_blocks(head + kept, old - kept, &self.claim(context));
            self.held.set(self.held.get() - (old - kept) as u32);
        }
    }

    fn lengthen_run(
        &self,
        context: &Context,
        head: usize,
        old: usize,
        tail: usize,
        blocks: usize,
        units: usize,
    ) -> bool {
        let map = &context.map;
        let all = map.shape.units_per_block();
        let end = head + old + (tail > 0) as usize;
        let more = (blocks + (units > 0) as usize).saturating_sub(old + (tail > 0) as usize);
        // A tail that has to become a whole block must have its block for itself.
        if tail > 0
            && blocks > old
            && (!self.space(context, head + old).is_free(tail, all) || self.quarantine.needs((head + old) as u32))
        {
            return false;
        }
        if more > 0 {
            if context.take_behind(end, more, &self.claim(context)).is_err() {
                return false;
            }
            self.now_holds(self.held.get() as usize + more);
            self.reaches(context, end + more - 1);
        }
        if tail > 0 {
            let block = head + old;
            self.leave_block(context, block);
            let (list, _) = super::pages::state_of(context, block);
            self.unlink_block(context, block, list);
            map.record(head).tail.store(0, Relaxed);
        }
        for body in head + old..head + blocks {
            let record = map.record(body);
            record.run.store(head as u32, Relaxed);
            record.tail.store(0, Relaxed);
            record.state.store(0, Relaxed);
            record.next.store(NONE, Relaxed);
            record.prev.store(NONE, Relaxed);
            record.owner.store(self.owner.get() | kind::BODY, Relaxed);
        }
        map.record(head).run.store(blocks as u32, Relaxed);
        if units > 0 {
            self.make_tail(context, head, head + blocks, units);
        }
        true
    }
}
