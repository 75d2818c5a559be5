//! Client slots and lives.
//!
//! A slot is 512 bytes that hold a client, one after another, and nothing else for as long as the context lives.
//! The first four follow the header; further ones fill whole blocks at the far end of the memory, each next to
//! the one before, so that the free blocks stay neighbours.
//!
//! A life is the number by which a client owns memory: it stands in block records and unit words. Each client gets
//! a new one, and another one at each reset, so that records which the old life left behind do not speak for the
//! new one. There are 2^24 - 1; when they have run round, numbers that something still carries are passed over.
//!
//! Invariants: a life is carried by at most one client; free slots are linked by their first word behind the magic.
//! May know: blocks, memory.

use super::Context;
use crate::layout::FIRST_SLOTS;
use core::sync::atomic::Ordering::Relaxed;

/// One more than the highest life.
pub const LIVES: u32 = 1 << 24;
/// There are no more clients, so that there is always a life for one that is reset.
const MOST_SLOTS: u32 = LIVES / 2;
/// How many lives are looked at together when numbers have run round.
const WINDOW: usize = 16384;
/// From a window to the next one that is looked at: an odd number of windows.
const STRIDE: u32 = 619 * WINDOW as u32;

/// The life of the client in a slot; None if there is no client.
type LifeOf = fn(&Context, u32) -> Option<u32>;

impl Context {
    /// A slot that no client has had; it counts as used once whoever asked has made it a dead one. The lock is held.
    pub fn new_slot(&self) -> Option<u32> {
        let slot = self.slots_used.load(Relaxed);
        if slot >= MOST_SLOTS {
            return None;
        }
        let beyond = (slot as usize).checked_sub(FIRST_SLOTS);
        if let Some(further) = beyond
            && further & (self.map.slots_per_block() - 1) == 0
            && !self.take_slot_block()
        {
            return None;
        }
        Some(slot)
    }

    /// A life that nobody has. `life_of` says which ones the clients have. The lock is held.
    pub fn new_life(&self, life_of: LifeOf) -> u32 {
        if self.next_life.get() >= self.life_limit.get() {
            self.find_lives(life_of);
        }
        let life = self.next_life.get();
        self.next_life.set(life + 1);
        life
    }

    /// Finds the next lives that are free: from `next_life` up to `life_limit`.
    #[cold]
    fn find_lives(&self, life_of: LifeOf) {
        if self.next_life.get() >= LIVES {
            self.next_life.set(1);
        }
        // Each time, not only when the numbers run round: a client that was passed over then may have ended since,
        // and left records of a number that nobody carries any more.
        self.forget_old_lives();
        loop {
            let from = self.next_life.get();
            let mut used = [0u64; WINDOW / 64];
            for life in (0..self.slots_used.load(Relaxed)).filter_map(|slot| life_of(self, slot)) {
                let at = life.wrapping_sub(from) as usize;
                if let Some(word) = used.get_mut(at / 64) {
                    *word |= 1 << (at % 64);
                }
            }
            let is_used = |at: usize| used.get(at / 64).is_none_or(|word| word >> (at % 64) & 1 != 0);
            if let Some(first) = (0..WINDOW).find(|&at| !is_used(at) && from as usize + at < LIVES as usize) {
                let last = (first..WINDOW).find(|&at| is_used(at)).unwrap_or(WINDOW);
                self.next_life.set(from + first as u32);
                self.life_limit.set((from + last as u32).min(LIVES));
                return;
            }
            // All windows have their turn, and those that follow each other are not all full: clients that stay often do.
            self.next_life.set(((from + STRIDE) % LIVES) | 1);
        }
    }

    /// Clears the words of units that say another life than their block's record: only these can carry lives that have ended. (An
    /// owner may be writing words of its own just now.)
    fn forget_old_lives(&self) {
        if self.map.shape.packed {
            return;
        }
        let units = self.map.shape.units_per_block().trailing_zeros();
        for unit in 0..self.watermark.load(Relaxed) << units {
            let word = self.map.unit(unit);
            let old = word.load(Relaxed);
            if (old ^ self.map.record(unit >> units).owner.load(Relaxed)) & !0xff != 0 {
                let _ = word.compare_exchange(old, 0, Relaxed, Relaxed);
            }
        }
    }
}
