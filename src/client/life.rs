//! A client's life: how it begins, starts again and ends.
//!
//! ```text
//!   free slot ─ create ─> alive ─ delete ─> free slot
//!                        ^     |
//!                        +reset+            kill: with the whole context
//! ```
//!
//! Each life has a number of its own, which every record of its memory carries: to end it is to hand its blocks back, and
//! what the records say of it is believed no more.
//!
//! Invariant: a slot is dead (magic 0, bounds 0) or alive; a dead one of a context that goes on holds nothing.
//! Cost: that of the blocks, whatever is live in them; with WIPE, or under a memory tool, that of their bytes.
//! May know: the client, context, memory.

use super::{Client, NAME_SIZE};
use crate::context::Context;
use crate::flags;
use crate::memory::{NONE, kind};
use core::sync::atomic::Ordering::{Relaxed, Release};

impl Client {
    /// Makes a new client.
    pub fn create(context: &Context) -> Option<&Client> {
        let lock = context.lock();
        let free = context.free_slot.get();
        let (client, slot) = if free != NONE {
            let client = Client::slot_memory(context, free);
            context.free_slot.set(client.held.get());
            (client, free)
        } else {
            let slot = context.new_slot()?;
            let client = Client::dead_in(context, slot);
            // Release: who sees that there is the slot sees that it is dead.
            context.slots_used.store(slot + 1, Release);
            (client, slot)
        };
        client.revive(context, slot, fresh_life(context) << 8);
        context.client_count.store(context.client_count.load(Relaxed) + 1, Relaxed);
        drop(lock);
        client.open_if_unconcerned(context);
        Some(client)
    }

    fn revive(&self, context: &Context, slot: u32, owner: u32) {
        self.context.set(context);
        self.base.set(context.map.base());
        self.units.set(context.map.unit_table());
        self.lives.set(context.map.live_table());
        self.uses.set(context.map.uses_table());
        self.slab_mask
            .set(!0 << (context.map.shape.slab_order + context.map.shape.unit_shift - context.map.shape.granule_shift));
        self.slot.set(slot);
        self.shared.set((context.flags & flags::SHARED_CLIENTS != 0) as u16);
        self.limit.set(0);
        self.guarantee.set(0);
        self.handler.set(None);
        self.handler_user.set(core::ptr::null_mut());
        self.user_data.set(core::ptr::null_mut());
        self.name.set([0; NAME_SIZE]);
        self.owner.set(owner);
        self.begin(context);
        self.seal();
        self.magic.store(self.expected_magic(), Release);
    }

    /// The state of a client that holds nothing and remembers nothing.
    fn begin(&self, context: &Context) {
        self.granules.set(0);
        self.held.set(0);
        self.peak.set(0);
        self.no_pieces_at.set(NONE);
        self.last_status.store(0, Relaxed);
        self.failed_count.set(0);
        self.largest_failed.set(0);
        for list in &self.lists {
            list.set(NONE);
        }
        for slab in &self.slabs {
            slab.set(NONE);
        }
        self.quarantine.reset();
        self.forget_open();
        self.forget_caches(context);
        self.close();
    }

    /// Hands everything back to the context and ends the client.
    pub fn delete(&self) {
        let context = self.context();
        self.leave_held(context);
        self.hand_back(context);
        if self.guarantee.get() != 0 {
            let _ = context.set_aside(&self.claim(context), 0);
        }
        let _lock = context.lock();
        self.close();
        self.magic.store(0, Relaxed);
        self.owner.set(0);
        self.held.set(context.free_slot.get());
        context.free_slot.set(self.slot.get());
        context.client_count.store(context.client_count.load(Relaxed) - 1, Relaxed);
    }

    /// Kills the handle without handing anything back: the whole context ends.
    pub fn kill(&self) {
        self.close();
        self.leave_held(self.context());
        self.magic.store(0, Relaxed);
    }

    /// Frees everything and starts again.
    pub fn reset(&self) {
        let context = self.context();
        let _client = self.lock_shared(context);
        self.leave_held(context);
        self.hand_back(context);
        {
            // Another thread that looks for a life reads ours under the same lock.
            let _lock = context.lock();
            self.owner.set(fresh_life(context) << 8);
        }
        self.begin(context);
        self.seal();
        self.open_if_unconcerned(context);
    }

    /// Gives all blocks back; the cost is that of the blocks.
    fn hand_back(&self, context: &Context) {
        if self.held.get() == 0 {
            return;
        }
        let claim = self.claim(context);
        let _lock = context.lock();
        let mut given = 0;
        if 2 * claim.held > context.watermark.load(Relaxed) {
            given = context.give_owned(claim.owner);
        } else {
            self.each_block(context, &mut |block| {
                context.free_one(block);
                given += 1;
            });
        }
        context.account_given(given, &claim);
        self.held.set(0);
    }

    /// All allocations end: wipes them if the context does that, and tells a memory tool.
    #[inline]
    fn leave_held(&self, context: &Context) {
        if context.has(flags::WIPE) || context.map.tools.watch() {
            self.leave_blocks(context);
        }
    }

    #[cold]
    fn leave_blocks(&self, context: &Context) {
        let map = &context.map;
        let shape = &map.shape;
        self.each_block(context, &mut |block| {
            let start = block << shape.block_shift;
            let first = start >> shape.granule_shift;
            // A run of blocks has the live bit of its head and no other.
            let granules = match map.record(block).owner.load(Relaxed) & 0xff {
                kind::HEAD => 1,
                kind::BUDDY => 1 << (shape.block_shift - shape.granule_shift),
                _ => 0,
            };
            if map.tools.counts_allocations() {
                for granule in (first..first + granules).filter(|&granule| map.is_live(granule)) {
                    map.tools.end(map.address_of(granule << shape.granule_shift), 0);
                }
            }
            if context.has(flags::WIPE) {
                map.wipe(start, shape.block_size());
            }
            map.close(start, shape.block_size());
        });
    }
}

/// A life that no client of the context has. Its lock is held.
fn fresh_life(context: &Context) -> u32 {
    context.new_life(|context, slot| Client::in_slot(context, slot).map(|client| client.owner.get() >> 8))
}
