//! The fast path: alloc and free through the cache of a class, in a few dozen instructions.
//!
//! Everything that is not the plain case is behind a bound that the plain case has to check anyway:
//!
//! - a dead client, one that is being walked, and every context with a flag that alloc or free must act on, have
//!   the bounds `fast_sizes` and `fast_granules` at 0;
//! - an empty cache has a mark where its newest entry would be, a full one where the next would go.
//!
//! `free` believes nothing: the address must be a multiple of 16 below the end of the client's highest block, its
//! unit must carry the client's life and a cached class, and its live bit must be set. That is exactly "the start
//! of a live allocation of this client": only such starts have both. An address that fails takes the long way,
//! which finds out what is wrong with it.
//!
//! Contexts of another shape, PACKED ones and shared clients have the second path: the same steps with numbers that
//! are looked up, after the handle was checked and, if the client is shared, under its lock.
//!
//! May know: the client, and the long way (alloc, free, realloc).

use super::Client;
use super::alloc::Request;
use crate::context::Context;
use crate::context::{FULL_BIT, MARK};
use core::cell::Cell;
use core::sync::atomic::Ordering::Relaxed;

/// Shape of the contexts that have this path: 16-byte granules, 1 KiB units, the smallest class 16 bytes.
const GRANULE_SHIFT: u32 = 4;
const UNIT_SHIFT: u32 = 10;
/// log2 of the last offset in a cell of class 0.
const FIRST_LOG: usize = 3;

/// # Safety
/// As `Client::from_handle`; `size` may be anything.
#[inline(always)]
pub unsafe fn alloc(handle: *const Client, size: usize) -> *mut u8 {
    if !handle.is_null() {
        // SAFETY: the caller promises a slot, dead or alive; a dead one has bounds of 0.
        let client = unsafe { &*handle };
        let last = size.wrapping_sub(1);
        if last < client.fast_sizes.get() {
            // log2 is 3 for the smallest class.
            let log = (last | 15).ilog2() as usize;
            // SAFETY: sizes below the bound belong to classes that have a top. Below a top there is always an
            // entry or a mark; granules in caches lie in blocks of this client, so their live words exist.
            unsafe {
                let place = &*client.tops.as_ptr().wrapping_sub(FIRST_LOG).wrapping_add(log);
                let granule = (*place.load(Relaxed).sub(1)).get();
                if granule < MARK {
                    // Loaded anew: the compiler makes one instruction of it.
                    place.store(place.load(Relaxed).sub(1), Relaxed);
                    let granule = granule as usize;
                    let word = &*client.lives.get().add(granule >> 6);
                    // A plain read: nobody else writes this word.
                    let live = word.as_ptr().read_volatile();
                    word.store(live | 1 << (granule & 63), Relaxed);
                    return client.base.get().add(granule << GRANULE_SHIFT);
                }
                return client.underflow(size, log - FIRST_LOG);
            }
        }
    }
    // SAFETY: as the caller promised.
    unsafe { super::alloc::long_way(handle, size) }
}

/// # Safety
/// As `Client::from_handle`; `pointer` may be anything.
#[inline(always)]
pub unsafe fn free(handle: *const Client, pointer: *mut u8) -> i32 {
    if !handle.is_null() {
        // SAFETY: the caller promises a slot, dead or alive; a dead one has bounds of 0.
        let client = unsafe { &*handle };
        // Rotated, so that a misaligned address becomes a huge number and one comparison serves for both.
        let granule = pointer.addr().wrapping_sub(client.base.get().addr()).rotate_right(GRANULE_SHIFT);
        if granule < client.fast_granules.get() {
            // SAFETY: granules below the bound lie in blocks of the context below its watermark; their words exist.
            let (unit, word) =
                unsafe { (&*client.units.get().add(granule >> 6), &*client.lives.get().add(granule >> 6)) };
            let class = unit.load(Relaxed) as usize ^ client.fast_owner.get();
            // With its bit turned a word gets smaller if and only if the bit was set.
            let live = word.load(Relaxed);
            let turned = live ^ 1 << (granule & 63);
            if class < super::PLAIN_TOPS && turned < live {
                // SAFETY: the class is one that has a top. At a top there is always a place or a mark.
                unsafe {
                    let place = client.tops.get_unchecked(class);
                    let top = place.load(Relaxed);
                    if (*top).get() < MARK {
                        word.store(turned, Relaxed);
                        (*top).set(granule as u32);
                        place.store(place.load(Relaxed).add(1), Relaxed);
                        return 0;
                    }
                    word.store(turned, Relaxed);
                    return client.overflow(pointer, class);
                }
            }
        }
    }
    // SAFETY: as the caller promised.
    unsafe { super::free::long_way(handle, pointer) }
}

/// The same cell for another size of its class: nothing to do. None: take the long way.
///
/// # Safety
/// As `Client::from_handle`; `pointer` may be anything.
#[inline(always)]
pub unsafe fn realloc_in_cell(handle: *const Client, pointer: *mut u8, size: usize) -> bool {
    if handle.is_null() {
        return false;
    }
    // SAFETY: the caller promises a slot, dead or alive; a dead one has bounds of 0.
    let client = unsafe { &*handle };
    let granule = pointer.addr().wrapping_sub(client.base.get().addr()).rotate_right(GRANULE_SHIFT);
    let last = size.wrapping_sub(1);
    if granule >= client.fast_granules.get() || last >= client.fast_sizes.get() {
        return false;
    }
    // SAFETY: as in `free`.
    let (unit, word) = unsafe { (&*client.units.get().add(granule >> 6), &*client.lives.get().add(granule >> 6)) };
    let class = (last | 15).ilog2() - FIRST_LOG as u32;
    unit.load(Relaxed) == client.owner.get() | class && word.load(Relaxed) >> (granule & 63) & 1 != 0
}

impl Client {
    /// The fast path's request of a class whose cache is empty.
    #[inline(never)]
    fn underflow(&self, size: usize, class: usize) -> *mut u8 {
        let context = self.context();
        match self.fetch(context, class) {
            Ok(offset) => {
                context.map.set_live(offset >> GRANULE_SHIFT, true);
                context.map.address_of(offset)
            }
            // No memory without further effort.
            Err(_) => self.allocate(Request { size, alignment: 0, zero: false }),
        }
    }

    /// The fast path's free of a piece whose cache is full. It is no longer live.
    #[inline(never)]
    fn overflow(&self, pointer: *mut u8, class: usize) -> i32 {
        let context = self.context();
        let granule = (pointer.addr() - context.map.base().addr()) >> GRANULE_SHIFT;
        // SAFETY: the class had a top on the fast path; at a full cache's top there is the mark with its capacity.
        let capacity = unsafe { (*self.tops.get_unchecked(class).load(Relaxed)).get() } & (FULL_BIT - 1);
        let slab = class < context.sizes.count();
        if !slab || self.may_grow(context, class, capacity) {
            self.retire_cached(context, class, granule);
            self.settle(context);
        } else if self.slab_put_shaped(context, class, granule, GRANULE_SHIFT, UNIT_SHIFT) {
            self.settle(context);
        }
        0
    }

    /// May this call take the second path?
    #[inline(always)]
    pub(super) fn is_simple(&self, context: &Context) -> bool {
        context.simple && context.is_quiet()
    }

    /// A cell from the cache of a size's class; its offset.
    #[inline(always)]
    pub(super) fn second_alloc(&self, context: &Context, size: usize) -> Option<usize> {
        let class = context.sizes.cache_class(size);
        if class >= context.cached_classes as usize {
            return None;
        }
        let _lock = self.lock_shared(context);
        let granule = self.cache_pop(context, class)?;
        context.map.set_live(granule, true);
        Some(granule << context.map.shape.granule_shift)
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
        let class = (context.map.unit(offset >> shape.unit_shift).load(Relaxed) ^ self.owner.get()) as usize;
        (class < context.cached_classes as usize && context.map.is_live(granule)).then_some((granule, class))
    }

    /// A free into the cache of a piece's class. False: take the long way.
    #[inline(always)]
    pub(super) fn second_free(&self, context: &Context, address: usize) -> bool {
        let _lock = self.lock_shared(context);
        let Some((granule, class)) = self.cached_piece(context, address) else { return false };
        if !self.cache_push(context, class, granule) {
            return false;
        }
        context.map.set_live(granule, false);
        true
    }

    /// Is this a piece of the class that `size` would go to?
    #[inline(always)]
    pub(super) fn second_realloc(&self, context: &Context, address: usize, size: usize) -> bool {
        let _lock = self.lock_shared(context);
        self.cached_piece(context, address).is_some_and(|(_, class)| class == context.sizes.cache_class(size))
    }
}

const _: () = assert!(size_of::<Cell<u32>>() == 4);
