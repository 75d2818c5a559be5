//! The second path: alloc, free and realloc through caches where the fast path (fast.rs) is never open.
//!
//! The same steps with numbers that are looked up: for contexts of another shape, those with ZERO or WIPE, and shared
//! clients, after the handle was checked and, if the client is shared, under its lock. Like the fast path it believes no
//! address: what is not the start of a live piece of a cached class takes the long way.
//!
//! May know: the client, context, cache.

use super::Client;
use crate::context::Context;
use crate::flags;
use core::sync::atomic::Ordering::Relaxed;

impl Client {
    /// May this call take the second path?
    #[inline(always)]
    pub(super) fn is_simple(&self, context: &Context) -> bool {
        context.simple && context.is_quiet()
    }

    /// A cell from the cache of a size's class; its offset.
    #[inline(always)]
    pub(super) fn second_alloc(&self, context: &Context, size: usize) -> Option<usize> {
        let _lock = self.lock_shared_here(context);
        let class = context.sizes.cache_class(size);
        if class >= context.cached_classes as usize {
            return None;
        }
        let granule = self.cache_pop(context, class)?;
        context.map.set_live(granule, true);
        let offset = granule << context.map.shape.granule_shift;
        if context.has(flags::ZERO) {
            context.map.fill(offset, context.sizes.cached_bytes(class), 0);
        }
        Some(offset)
    }

    /// What `startable` says of an address, if it is a piece of a cached class: its granule and class.
    #[inline(always)]
    fn cached_piece(&self, context: &Context, address: usize) -> Option<(usize, usize)> {
        let shape = &context.map.shape;
        let offset = address.wrapping_sub(context.map.base().addr());
        let granule = offset >> shape.granule_shift;
        if offset & ((1 << shape.granule_shift) - 1) != 0 || granule >= self.granules.get() {
            return None;
        }
        let class = (context.map.unit(offset >> shape.unit_shift).load(Relaxed) ^ self.own_word()) as usize;
        (class < context.cached_classes as usize && context.map.is_live(granule)).then_some((granule, class))
    }

    /// A free into the cache of a piece's class. False: take the long way.
    #[inline(always)]
    pub(super) fn second_free(&self, context: &Context, address: usize) -> bool {
        let _lock = self.lock_shared_here(context);
        let Some((granule, class)) = self.cached_piece(context, address) else { return false };
        if !self.cache_push(context, class, granule) {
            return false;
        }
        context.map.set_live(granule, false);
        if context.has(flags::WIPE) {
            context.map.wipe(granule << context.map.shape.granule_shift, context.sizes.cached_bytes(class));
        }
        true
    }

    /// Is this a piece of the class that `size` would go to?
    #[inline(always)]
    pub(super) fn second_realloc(&self, context: &Context, address: usize, size: usize) -> bool {
        let _lock = self.lock_shared_here(context);
        self.cached_piece(context, address).is_some_and(|(_, class)| class == context.sizes.cache_class(size))
    }
}
