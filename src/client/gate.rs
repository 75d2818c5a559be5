//! The gate of the fast paths: whether a call may go without asking anything else.
//!
//! Two kinds of contexts have such a path. In the plain ones it is open while the bounds `fast_sizes` and
//! `fast_granules` are not 0 (fast.rs); in PACKED ones while `short_owner` is not (short.rs). Both are closed on a dead client,
//! and while a callback runs that may not change the client; contexts with flags that alloc or free must act on never open
//! theirs.
//!
//! Invariant: on a shared client all three are 0 from the beginning and never written: other threads read them.
//! May know: the client, context.

use super::Client;
use super::fast::TABLE_BYTES;
use crate::context::{Context, MARK};
use crate::flags;
use crate::memory::kind;

impl Client {
    /// Opens the fast path, if this kind of context has one.
    pub(crate) fn open(&self, context: &Context) {
        if context.sizes.packed() {
            // A shared client's is always 0, and read by other threads: it is not even written.
            let owner = self.expected_short(context);
            if self.short_owner.get() != owner {
                self.short_owner.set(owner);
            }
            return;
        }
        if !Self::has_fast_path(context) {
            self.close();
            return;
        }
        self.fast_sizes.set(TABLE_BYTES);
        self.fast_granules.set(self.granules.get().min(MARK as usize));
    }

    /// Is this a plain context, of the shape that the fast path is for?
    pub(crate) fn has_fast_path(context: &Context) -> bool {
        const SLOW: u32 =
            flags::SHARED_CLIENTS | flags::ZERO | flags::WIPE | flags::GUARD | flags::QUARANTINE | flags::PACKED;
        let shape = &context.map.shape;
        let plain = shape.granule_shift == 4 && shape.unit_shift == 10 && shape.alignment == 16;
        plain && context.flags & SLOW == 0 && context.cached_classes > 0 && !context.map.tools.watch()
    }

    /// What `short_owner` is while the shortest way is open; 0 in contexts that have none.
    pub(crate) fn expected_short(&self, context: &Context) -> u32 {
        if context.sizes.packed() && context.simple && !context.has(flags::SHARED_CLIENTS) {
            self.owner.get() | kind::BUDDY
        } else {
            0
        }
    }

    /// Is the shortest way open?
    #[inline(always)]
    pub(crate) fn is_short(&self) -> bool {
        self.short_owner.get() != 0
    }

    /// Closes the fast path: every call takes the long way, which asks whether it may.
    pub(crate) fn close(&self) {
        if self.is_short() {
            self.short_owner.set(0);
        }
        // Written only where it is open: a shared client's bounds are read by other threads, and are always 0.
        if self.fast_sizes.get() != 0 || self.fast_granules.get() != 0 {
            self.fast_sizes.set(0);
            self.fast_granules.set(0);
        }
    }
}
