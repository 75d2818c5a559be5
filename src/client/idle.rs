//! Idle slabs: slabs with nothing in use, kept for their class.
//!
//! Programs fill and empty the same slabs again and again; to make one costs a walk through the block's buddy, to keep
//! it two links. So a slab that empties stays as it is, in a list of its class, and serves when no slab in use can. It is
//! given up when memory is short: before the client takes another block, before a request fails, and when nothing else
//! is left in its block, so that empty blocks still go back.
//!
//! Invariants: a slab is in the idle list of its class if and only if none of its cells is in use; its
//! units count as free in its block's state, though not in the buddy's bits. With NO_CACHE no slab is idle.
//! May know: context, memory, slab, pages.

use super::Client;
use crate::cell::Cell;
use crate::context::Context;
use core::sync::atomic::Ordering::Relaxed;

impl Client {
    /// The first idle slab of a class.
    #[inline]
    pub(crate) fn idle(&self, class: usize) -> Option<&Cell<u32>> {
        self.slabs.get(class + crate::sizes::FIRST_CLASSES)
    }

    /// The last cell of a slab came back. True if a block may be empty now.
    #[inline(never)]
    pub(super) fn slab_emptied(&self, context: &Context, class: usize, slab: usize) -> bool {
        self.unlink_slab(context, class, slab);
        let Some(head) = self.idle(class).filter(|_| context.keeps_slabs()) else {
            self.give_slab(context, slab);
            return true;
        };
        self.link_slab_at(context, head, slab);
        self.count_idle(context, slab, context.map.shape.slab_units as i32)
    }

    /// Takes an idle slab of a class, if there is one, out of its list.
    pub(super) fn wake_slab(&self, context: &Context, class: usize) -> Option<usize> {
        let slab = self.pop_slab(context, self.idle(class)?)?;
        let _ = self.count_idle(context, slab, -(context.map.shape.slab_units as i32));
        Some(slab)
    }

    /// Gives all idle slabs back. True if there were any.
    pub(super) fn give_idle_slabs(&self, context: &Context) -> bool {
        let mut any = false;
        for class in 0..context.sizes.count() {
            while let Some(slab) = self.wake_slab(context, class) {
                self.give_slab(context, slab);
                any = true;
            }
        }
        any
    }

    /// Gives the idle slabs of one block back to it, which makes it empty.
    #[cold]
    #[inline(never)]
    pub(super) fn sweep_block(&self, context: &Context, block: usize) {
        let first = context.map.first_unit(block);
        let end = first + context.map.shape.units_per_block();
        let mut unit = first;
        while unit < end {
            crate::steps::count();
            let word = context.map.unit(unit).load(Relaxed);
            let class = (word & 0xff) as usize;
            let Some(head) = self.idle(class).filter(|_| word & !0xff == self.owner.get()) else {
                unit += 1;
                continue;
            };
            self.unlink_slab_at(context, head, unit);
            self.unsign_slab(context, unit);
            unit += context.map.shape.slab_units;
        }
        self.clear_space(context, block);
    }
}
