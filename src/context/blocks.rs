//! The supply of blocks: who takes how many, and which.
//!
//! ```text
//!   block 0          watermark               top           N
//!   | used and free, in `free` if free | never used | slots |
//! ```
//!
//! Blocks below the watermark have been used; which of them are free is in the bit set `free`. From the watermark
//! to `top` no block was ever touched, nor its records: given memory is garbage, and this is how none of it is
//! believed. From `top` on blocks hold client slots, for ever. Clients take the lowest free block (with THREADS: spread.rs), so that
//! while nobody holds anything all free blocks are neighbours.
//!
//! Invariants: free blocks = bits in `free` + (top - watermark); `set_aside` = sum over clients of what their
//! guarantee promises beyond what they hold, and never more than the free blocks.
//! Cost: single blocks a few reads, with THREADS or PACKED for each of up to 64 stretches of free blocks; runs one step for every 64 blocks
//! below the watermark.
//! May know: bitmap, flags, memory, sys, lock, spread.

use super::Context;
use super::spread::STRETCHES;
use crate::bitmap::{BitSet, count_ones};
use crate::flags;
use crate::memory::{NONE, kind};
use crate::status::Status;
use crate::sys;
use core::sync::atomic::Ordering::Relaxed;

/// A context of so many large pages may have one at once.
const MANY_PAGES: usize = 128;
/// A search for the shortest stretch of free blocks reads so many of a long one, and nothing behind that.
const LONG: usize = 4096;
/// The next block, says the record of a free block whose pages have been given back.
const RELEASED: u32 = NONE - 1;
/// A large page is for so many blocks at least.
const MANY_BLOCKS: usize = 8;

/// What a client may take, and who it is: the part of its state that the supply has to know.
#[derive(Clone, Copy)]
pub struct Claim {
    /// life << 8
    pub owner: u32,
    pub slot: u32,
    /// Blocks that it holds.
    pub held: usize,
    /// Most blocks that it may hold.
    pub limit: usize,
    /// Blocks that are set aside for it, those held included.
    pub guarantee: usize,
}

impl Claim {
    fn unheld_guarantee(&self, held: usize) -> usize {
        self.guarantee.saturating_sub(held)
    }
}

impl Context {
    #[inline(never)]
    pub(crate) fn free_set(&self) -> BitSet<'_> {
        BitSet::new(self.map.free_words(), self.map.blocks)
    }

    /// How many blocks a client with this claim could take, if they were in the right places and `more` further ones
    /// were free. It no longer holds those.
    pub fn allowance_after(&self, claim: &Claim, more: usize) -> usize {
        let before = claim.unheld_guarantee(claim.held + more);
        let others = self.set_aside.load(Relaxed).saturating_sub(before);
        let free = self.free_blocks.load(Relaxed) + more;
        free.saturating_sub(others).min(claim.limit.saturating_sub(claim.held))
    }

    /// Takes one block and makes its records those of an empty buddy block. The context's lock is not held.
    pub fn take_block(&self, claim: &Claim) -> Result<usize, Status> {
        let _lock = self.lock();
        self.allows(1, claim)?;
        let watermark = self.watermark.load(Relaxed);
        let free = self.free_set();
        let own = self.own_side(claim.owner, claim.held);
        let any = || if self.map.shape.packed { self.best_stretch(1) } else { free.next(0) };
        let block = match own.or_else(any) {
            Some(block) if block < watermark => {
                free.clear(block);
                self.map.clear_block_words(block);
                block
            }
            place if watermark < self.top.load(Relaxed) => {
                let block = place.unwrap_or(watermark);
                for passed in watermark..block {
                    self.open_block(passed);
                    free.set(passed);
                }
                self.open_block(block);
                if self.map.shape.packed {
                    self.map.clear_block_words(block);
                }
                block
            }
            _ => return Err(Status::NoMemory),
        };
        // Where clients begin groups of their own only to one that goes on, or has had as much: most stay small.
        let goes_on = || {
            claim.held >= sys::LARGE_PAGE >> self.map.shape.block_shift
                || (block > 0 && self.owns(claim.owner, block - 1))
        };
        if own.map_or(block >= watermark, |_| goes_on()) {
            self.allow_large_page(block);
        }
        self.hand_out(block, 1, kind::BUDDY, claim);
        Ok(block)
    }

    /// The shortest stretch of free blocks that has `count`, of those below the watermark: long ones are kept for long
    /// runs. PACKED only; of a great many stretches it sees the lowest. The lock is held.
    #[inline(never)]
    fn best_stretch(&self, count: usize) -> Option<usize> {
        let free = self.free_set();
        let (mut best, mut least, mut from) = (None, usize::MAX, 0);
        for _ in 0..STRETCHES {
            crate::steps::count();
            let Some(first) = free.next(from) else { break };
            from = BitSet::new(self.map.free_words(), (first + LONG).min(self.map.blocks)).run_end(first);
            if from - first >= count && from - first < least {
                (best, least) = (Some(first), from - first);
            }
            if least == count || from - first == LONG {
                break;
            }
        }
        best
    }

    /// May `count` further blocks be taken, wherever they are?
    #[inline(never)]
    fn allows(&self, count: usize, claim: &Claim) -> Result<(), Status> {
        if claim.held.checked_add(count).is_none_or(|held| held > claim.limit) {
            return Err(Status::Limit);
        }
        if self.allowance_after(claim, 0) < count { Err(Status::NoMemory) } else { Ok(()) }
    }

    /// Takes `count` neighbouring blocks, the first place by address.
    pub fn take_run(&self, count: usize, claim: &Claim) -> Result<usize, Status> {
        let _lock = self.lock();
        self.allows(count, claim)?;
        let watermark = self.watermark.load(Relaxed);
        let beyond = self.top.load(Relaxed) - watermark;
        let best = if self.map.shape.packed && count <= STRETCHES { self.best_stretch(count) } else { None };
        let first = best.or_else(|| self.free_set().find_run(count, watermark, beyond, crate::steps::count));
        let first = first.ok_or(Status::NoMemory)?;
        self.take_range(first, count, claim);
        Ok(first)
    }

    /// Takes exactly the blocks `first..first + count`, to make the run before them longer.
    pub fn take_behind(&self, first: usize, count: usize, claim: &Claim) -> Result<(), Status> {
        let _lock = self.lock();
        self.allows(count, claim)?;
        if first.saturating_add(count) > self.top.load(Relaxed) {
            return Err(Status::NoMemory);
        }
        let watermark = self.watermark.load(Relaxed);
        let free = self.free_set();
        let is_held = |block| {
            crate::steps::count();
            !free.get(block)
        };
        if (first..(first + count).min(watermark)).any(is_held) {
            return Err(Status::NoMemory);
        }
        self.take_range(first, count, claim);
        Ok(())
    }

    #[inline(never)]
    fn take_range(&self, first: usize, count: usize, claim: &Claim) {
        let free = self.free_set();
        let watermark = self.watermark.load(Relaxed);
        for block in first..first + count {
            if block < watermark {
                free.clear(block);
            } else {
                self.open_block(block);
            }
        }
        self.hand_out(first, count, kind::BODY, claim);
    }

    /// Moves the watermark over a block that was never used: from here on its records are believed. Of memory that the
    /// library mapped itself they are zero already.
    #[inline(never)]
    fn open_block(&self, block: usize) {
        let top = self.top.load(Relaxed);
        let closed = self.map.closed_end(block, top);
        self.map.close(closed, self.map.closed_end(block + 1, top) - closed);
        if !self.mapped && !self.map.shape.packed {
            self.map.clear_block_words(block);
        }
        let record = self.map.record(block);
        record.owner.store(0, Relaxed);
        record.cache_pieces.store(0, Relaxed);
        record.state.store(0, Relaxed);
        // Release: whoever sees the new watermark sees records that mean something.
        self.watermark.store(block + 1, core::sync::atomic::Ordering::Release);
    }

    /// Allows a large page where a block that was never used begins one. Blocks of clients are filled from end to end, as a rule,
    /// and so are those behind; of runs, and of larger blocks, nobody knows how much will be touched. A small heap has none:
    /// a page could be much more than all that it uses.
    #[inline(never)]
    fn allow_large_page(&self, block: usize) {
        let shape = &self.map.shape;
        let (start, all) = (block << shape.block_shift, self.map.blocks << shape.block_shift);
        // At most 4096 pieces of a context, as the system counts those of a process: 65530 are all that it may have.
        let page = (all >> 12).next_power_of_two().max(sys::LARGE_PAGE);
        let begins = self.map.address_of(start).addr() & (page - 1) == 0;
        let many = shape.block_size() <= sys::LARGE_PAGE / MANY_BLOCKS;
        let large = start >= sys::LARGE_PAGE || all >= sys::LARGE_PAGE * MANY_PAGES;
        // To ask the system takes time that no number of steps bounds.
        if begins && many && large && self.mapped && self.flags & (flags::RELEASE | flags::NO_CACHE) == 0 {
            self.map.allow_large_pages(start, start + page);
        }
    }

    #[inline(never)]
    fn hand_out(&self, first: usize, count: usize, what: u32, claim: &Claim) {
        for block in first..first + count {
            let record = self.map.record(block);
            record.slot.store(claim.slot, Relaxed);
            record.next.store(NONE, Relaxed);
            record.prev.store(NONE, Relaxed);
            record.run.store(NONE, Relaxed);
            record.tail.store(0, Relaxed);
            record.state.store(0, Relaxed);
            record.cache_pieces.store(0, Relaxed);
            record.owner.store(claim.owner | what, Relaxed);
        }
        let promised = claim.unheld_guarantee(claim.held) - claim.unheld_guarantee(claim.held + count);
        self.set_aside.store(self.set_aside.load(Relaxed) - promised, Relaxed);
        self.free_blocks.store(self.free_blocks.load(Relaxed) - count, Relaxed);
        let held = self.held_blocks.load(Relaxed) + count;
        self.held_blocks.store(held, Relaxed);
        self.unreleased.store(self.unreleased.load(Relaxed).saturating_sub(count), Relaxed);
        if held > self.peak_blocks.load(Relaxed) {
            self.peak_blocks.store(held, Relaxed);
        }
    }

    /// Takes blocks back; `claim.held` still counts them.
    pub fn give_blocks(&self, first: usize, count: usize, claim: &Claim) {
        let _lock = self.lock();
        for block in first..first + count {
            self.free_one(block);
        }
        self.account_given(count, claim);
    }

    /// A listed block and those that go with it: the ones of its piece that are in no list.
    pub(crate) fn further(&self, block: usize) -> impl Iterator<Item = usize> {
        let mine = self.map.record(block).owner.load(Relaxed) & !0xff | kind::BODY;
        let body = move |further: usize| self.map.record(further).owner.load(Relaxed) == mine;
        (block..block + self.piece_blocks(block)).filter(move |&further| further == block || body(further))
    }

    /// Blocks in which the last piece of a listed block lies.
    #[inline(never)]
    fn piece_blocks(&self, block: usize) -> usize {
        let record = self.map.record(block);
        let head = record.owner.load(Relaxed) & 0xff == kind::HEAD;
        match self.map.shape.packed {
            true => record.tail.load(Relaxed) as usize + 1,
            false if head => record.run.load(Relaxed) as usize,
            false => 1,
        }
    }

    /// The same by a look at every block: for an owner that holds most of them. To follow links is slower then, since each
    /// has to wait for the one before.
    pub fn give_owned(&self, owner: u32) -> usize {
        let (watermark, free) = (self.watermark.load(Relaxed), self.free_set());
        let mut given = 0;
        for first in (0..watermark).step_by(64) {
            let mut mask = 0;
            for block in first..watermark.min(first + 64) {
                let word = &self.map.record(block).owner;
                if word.load(Relaxed) & !0xff == owner {
                    word.store(0, Relaxed);
                    mask |= 1u64 << (block - first);
                }
            }
            free.set_word(first / 64, mask);
            given += count_ones(mask);
        }
        given
    }

    /// A block of an owner is free again. The lock is held, over all blocks that go together and until they are counted: no other may
    /// have one of them before.
    #[inline]
    pub fn free_one(&self, block: usize) {
        self.map.record(block).owner.store(0, Relaxed);
        self.free_set().set(block);
    }

    /// The other half of giving: `count` blocks more are free. The lock is held.
    #[inline(never)]
    pub fn account_given(&self, count: usize, claim: &Claim) {
        let promised = claim.unheld_guarantee(claim.held - count) - claim.unheld_guarantee(claim.held);
        self.set_aside.store(self.set_aside.load(Relaxed) + promised, Relaxed);
        self.free_blocks.store(self.free_blocks.load(Relaxed) + count, Relaxed);
        self.held_blocks.store(self.held_blocks.load(Relaxed) - count, Relaxed);
        self.progress.fetch_add(1, Relaxed);
        if self.flags & crate::flags::RELEASE != 0 {
            self.unreleased.store(self.unreleased.load(Relaxed) + count, Relaxed);
            if self.unreleased.load(Relaxed) > self.release_threshold() {
                self.release_free();
            }
        }
    }

    /// Free blocks that keep their pages: an eighth of what is in use, and at least 256 KiB, so that a client
    /// that lives at a block's edge does not go to the system each time; and a 64th of what ever was in use, so that
    /// who frees a block pays for a look at 64.
    pub(super) fn release_threshold(&self) -> usize {
        let few = (256 << 10) >> self.map.shape.block_shift;
        (self.held_blocks.load(Relaxed) / 8).max(self.watermark.load(Relaxed) / 64).max(few)
    }

    /// RELEASE: gives the pages of all free blocks below the watermark back, of stretches in which a block has been used since the
    /// last time: so whoever frees pays for what was freed. The lock is held.
    fn release_free(&self) {
        let (free, shift) = (self.free_set(), self.map.shape.block_shift);
        let (mut count, mut used) = (0, false);
        for block in 0..=self.watermark.load(Relaxed) {
            if free.get(block) {
                count += 1;
                let mark = &self.map.record(block).next;
                if mark.load(Relaxed) != RELEASED {
                    mark.store(RELEASED, Relaxed);
                    used = true;
                }
                continue;
            }
            if used {
                crate::steps::count();
                self.map.release((block - count) << shift, count << shift);
            }
            (count, used) = (0, false);
        }
        self.unreleased.store(0, Relaxed);
    }

    /// Does at once what the threshold puts off.
    pub fn release_now(&self) {
        if self.flags & crate::flags::RELEASE != 0 {
            let _lock = self.lock();
            self.release_free();
        }
    }

    /// Sets a guarantee of `blocks` aside in place of the old one.
    pub fn set_aside(&self, claim: &Claim, blocks: usize) -> Result<(), Status> {
        let _lock = self.lock();
        let old = claim.unheld_guarantee(claim.held);
        let new = blocks.saturating_sub(claim.held);
        let others = self.set_aside.load(Relaxed) - old;
        if new > self.free_blocks.load(Relaxed).saturating_sub(others) {
            return Err(Status::NoMemory);
        }
        self.set_aside.store(others + new, Relaxed);
        self.progress.fetch_add((new < old) as usize, Relaxed);
        Ok(())
    }

    /// One block for client slots, below those that hold slots already. The lock is held.
    pub(super) fn take_slot_block(&self) -> bool {
        let top = self.top.load(Relaxed);
        if top == 0 || self.free_blocks.load(Relaxed) <= self.set_aside.load(Relaxed) {
            return false;
        }
        let block = top - 1;
        if block < self.watermark.load(Relaxed) {
            let free = self.free_set();
            if !free.get(block) {
                return false;
            }
            free.clear(block);
            self.watermark.store(block, Relaxed);
        }
        self.map.open(block << self.map.shape.block_shift, self.map.shape.block_size());
        // Release: who sees the new top sees the lower watermark.
        self.top.store(block, core::sync::atomic::Ordering::Release);
        self.free_blocks.store(self.free_blocks.load(Relaxed) - 1, Relaxed);
        true
    }

    /// Is a block below the watermark free? Without the lock a snapshot, so that nobody waits for those who look at all.
    pub fn is_block_free(&self, block: usize) -> bool {
        self.map.record(block).owner.load(Relaxed) == 0
    }

    /// The longest run of free blocks, those counted in for which `also` says yes, none above `most`.
    pub fn longest_run(&self, most: usize, also: impl Fn(usize) -> bool) -> usize {
        let watermark = self.watermark();
        let (mut best, mut run) = (0, 0);
        for block in 0..watermark {
            crate::steps::count();
            if self.is_block_free(block) || also(block) {
                run += 1;
                best = best.max(run);
            } else {
                run = 0;
            }
        }
        best.max(run + self.top.load(Relaxed).saturating_sub(watermark)).min(most)
    }
}
