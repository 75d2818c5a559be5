//! The fast path: alloc and free through the cache of a class, in a few dozen instructions.
//!
//! Everything that is not the plain case is behind a bound that the plain case has to check anyway:
//!
//! - a dead client, one that is being walked, and every context with a flag that alloc or free must act on, have
//!   the bounds `fast_sizes` and `fast_granules` at 0;
//! - an empty cache has a mark where its newest entry would be, a full one where the next would go.
//!
//! Programs that only grow, or only shrink, find their caches empty, or full, all the time. So these two cases are short as
//! well: a cell of the open slab's word (open.rs), one less in the count of the cell's slab; and realloc moves from cell to
//! cell by the same means. Whatever touches a list is a call further away.
//!
//! `free` believes nothing: the address must be a multiple of 16 below the end of the client's highest block, its
//! unit must carry the client's life and a cached class, and its live bit must be set. That is exactly "the start
//! of a live allocation of this client": only such starts have both. An address that fails takes the long way,
//! which finds out what is wrong with it.
//!
//! Contexts of another shape, those with ZERO or WIPE and shared clients have the second path: second.rs.
//!
//! May know: the client, open, slab, short, and the long way (alloc, free, realloc).

use super::alloc::Request;
use super::open::OPEN_SLABS;
use super::{Client, NEAR_TOPS};
use crate::cell::Cell;
use crate::context::Context;
use crate::context::{CACHED_ORDERS, MARK};
use crate::memory::{NONE, Uses};
use crate::status::Status;
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Shape of the contexts that have this path: 16-byte granules, 1 KiB units, the smallest class 16 bytes.
const GRANULE_SHIFT: u32 = 4;
const UNIT_SHIFT: u32 = 10;
/// How far behind the first the count of a granule's slab lies: the slab's first granule shifted by so much.
const USES_SHIFT: u32 = UNIT_SHIFT - GRANULE_SHIFT + 1 - size_of::<Uses>().trailing_zeros();
/// Sizes up to this are in the table of classes.
pub(crate) const TABLE_BYTES: usize = 1 << UNIT_SHIFT;

/// No run that a cache keeps is longer.
const LARGEST: usize = 1 << (UNIT_SHIFT + CACHED_ORDERS - 1);
/// Classes below this have pieces of 2^class granules.
const POWERS: usize = OPEN_SLABS + 2;

/// The class of each size up to 1 KiB, by its last offset in steps of a granule: to count leading zeros takes some
/// processors as long as all of the rest.
static CLASS_OF: [u8; TABLE_BYTES >> GRANULE_SHIFT] = {
    let mut table = [0; TABLE_BYTES >> GRANULE_SHIFT];
    let mut at = 1;
    while at < table.len() {
        table[at] = class_of(at << GRANULE_SHIFT) as u8;
        at += 1;
    }
    table
};

/// The class of the size whose last offset that is: a piece of class c has 2^c granules.
#[inline(always)]
const fn class_of(last: usize) -> usize {
    (usize::BITS - (last >> GRANULE_SHIFT).leading_zeros()) as usize
}

/// The class of the run for a size above 1 KiB and below LARGEST, whose last offset that is.
#[inline(always)]
fn class_of_run(context: &Context, last: usize) -> usize {
    OPEN_SLABS + context.sizes.short_run_of((last >> UNIT_SHIFT) + 1) as usize
}

/// The lowest bit that is set in a word that is not 0. Where the code is compiled for size and for any x86-64, the compiler
/// takes an instruction that is slow on some processors. This one is the same to old ones and fast on all others.
#[inline(always)]
fn lowest(word: u64) -> usize {
    #[cfg(all(target_arch = "x86_64", not(miri)))]
    {
        let lowest: u64;
        // SAFETY: touches nothing but the two registers and the flags; word is not 0, so old processors, which take
        // it for `bsf`, find the same.
        unsafe {
            core::arch::asm!("tzcnt {}, {}", out(reg) lowest, in(reg) word, options(pure, nomem, nostack));
        }
        lowest as usize
    }
    #[cfg(not(all(target_arch = "x86_64", not(miri))))]
    {
        word.trailing_zeros() as usize
    }
}

/// The same number, of which the compiler knows nothing any more.
#[inline(always)]
fn opaque(number: usize) -> usize {
    #[cfg(all(target_arch = "x86_64", not(miri)))]
    {
        let mut same = number;
        // SAFETY: the template is a comment: nothing is executed, and the number stays in its register.
        unsafe {
            core::arch::asm!("/* {} */", inout(reg) same, options(pure, nomem, nostack, preserves_flags));
        }
        same
    }
    #[cfg(not(all(target_arch = "x86_64", not(miri))))]
    {
        number
    }
}

/// An entry of a cache in a whole register. The compiler knows that granules have no sign and would load them with one,
/// to test it: an entry that was stored just before then takes some processors twice as long to arrive, and pieces that
/// come and go at once live by that.
#[inline(always)]
fn widened(entry: u32) -> usize {
    opaque(entry as usize)
}

/// VMMA_OK. A plain 0 the compiler would see through, and make one end of all that return it, to which the shortest of them
/// would have to jump.
#[inline(always)]
fn done() -> i32 {
    #[cfg(all(target_arch = "x86_64", not(miri)))]
    {
        let zero: i32;
        // SAFETY: touches nothing but the register and the flags.
        unsafe {
            core::arch::asm!("xor {0:e}, {0:e}", out(reg) zero, options(pure, nomem, nostack));
        }
        zero
    }
    #[cfg(not(all(target_arch = "x86_64", not(miri))))]
    {
        0
    }
}

/// # Safety
/// As `Client::from_handle`; `size` may be anything.
#[inline(always)]
pub unsafe fn alloc(handle: *const Client, size: usize) -> *mut u8 {
    if !handle.is_null() {
        // SAFETY: the caller promises a slot, dead or alive; a dead one has bounds of 0.
        let client = unsafe { &*handle };
        let last = size.wrapping_sub(1);
        if last < client.fast_sizes.get() {
            // SAFETY: the bound is that of the table or 0, and these classes have tops; granules in caches lie in blocks of this
            // client.
            unsafe {
                let class = *CLASS_OF.get_unchecked(last >> GRANULE_SHIFT) as usize;
                let (place, lives) = (client.tops.near.get_unchecked(class), client.lives.get());
                let granule = widened((*place.load(Relaxed).sub(1)).get());
                if (granule as u32) < MARK {
                    // As `pop`, which would cost those that find the cache empty a jump.
                    place.store(place.load(Relaxed).sub(1), Relaxed);
                    return client.begin_live(lives, granule);
                }
                return client.alloc_open(size, lives, class);
            }
        }
    }
    // SAFETY: as the caller promised.
    unsafe { alloc_large(handle, size) }
}

/// The same for sizes beyond the table, as far as caches go; for all that is asked of PACKED clients, whose bounds are 0.
///
/// # Safety
/// As `Client::from_handle`; `size` may be anything.
#[inline(never)]
unsafe fn alloc_large(handle: *const Client, size: usize) -> *mut u8 {
    if !handle.is_null() {
        // SAFETY: as in `alloc`.
        let client = unsafe { &*handle };
        let last = size.wrapping_sub(1);
        if last < LARGEST && client.fast_sizes.get() != 0 {
            let context = client.context();
            let class = class_of_run(context, last);
            if class < context.cached_classes as usize {
                let Some(granule) = client.pop_run(class) else { return client.alloc_far(size, class) };
                // SAFETY: granules in caches lie in blocks of this client.
                return unsafe { client.begin_live(client.lives.get(), granule) };
            }
        }
        if client.is_short() {
            // PACKED: all requests come here.
            return client.short_alloc(size);
        }
    }
    // SAFETY: as the caller promised.
    unsafe { super::alloc::long_way(handle, size) }
}

/// The same, and `size` bytes of it are zero. None: take the long way.
///
/// # Safety
/// As `Client::from_handle`; `size` may be anything.
#[inline(always)]
pub unsafe fn alloc_zeroed(handle: *const Client, size: usize) -> Option<*mut u8> {
    // SAFETY: as in `alloc`; a dead client has bounds of 0.
    if handle.is_null() || size.wrapping_sub(1) >= LARGEST || unsafe { (*handle).fast_sizes.get() } == 0 {
        return None;
    }
    // SAFETY: as the caller promised; what alloc gives has `size` bytes that nobody else uses.
    unsafe {
        let memory = alloc_call(handle, size);
        if !memory.is_null() {
            memory.write_bytes(0, size);
        }
        Some(memory)
    }
}

/// `alloc` as a call.
#[inline(never)]
unsafe fn alloc_call(handle: *const Client, size: usize) -> *mut u8 {
    // SAFETY: as the caller promised.
    unsafe { alloc(handle, size) }
}

impl Client {
    /// The owner's word, read so that the processor can take it as an operand.
    #[inline(always)]
    pub(super) fn own_word(&self) -> u32 {
        // SAFETY: only the client's own calls change it; those of a shared client, which other threads' calls may meet, hold its
        // lock here, as the second path does.
        unsafe { *self.owner.as_ptr() }
    }
}

/// # Safety
/// As `Client::from_handle`; `pointer` may be anything.
#[inline(always)]
pub unsafe fn free(handle: *const Client, pointer: *mut u8) -> i32 {
    if !handle.is_null() {
        // SAFETY: the caller promises a slot, dead or alive; a dead one has bounds of 0.
        let client = unsafe { &*handle };
        // Rotated, so that a misaligned address becomes a huge number and one comparison serves for both.
        let granule = opaque(pointer.addr().wrapping_sub(client.base.get().addr()).rotate_right(GRANULE_SHIFT));
        if granule < client.fast_granules.get() {
            // SAFETY: granules below the bound lie in blocks of the context below its watermark; their words exist.
            let (word, unit) =
                unsafe { (&*client.lives.get().add(granule >> 6), &*client.units.get().add(granule >> 6)) };
            let class = (unit.load(Relaxed) ^ client.own_word()) as usize;
            let live = word.load(Relaxed);
            if class < NEAR_TOPS && live >> (granule & 63) & 1 != 0 {
                // SAFETY: the class is one that has a top, and a live piece of it begins there.
                return unsafe { client.end_live(granule, class, word, live) };
            }
            // SAFETY: as the caller promised.
            return unsafe { free_large(client, granule, class) };
        }
        // The granule has become a number of which the compiler knows nothing: the address is made of it once more, and the base
        // is read once more. To keep either would cost each free a register and a move.
        // SAFETY: as the caller promised.
        return unsafe { free_far(client, granule) };
    }
    // SAFETY: as the caller promised.
    unsafe { super::free::long_way(handle, pointer) }
}

/// The same for runs, as far as caches go. Nobody has asked yet whether a piece of that class is live.
///
/// # Safety
/// The client is one of `Client::from_handle`, and the granule below its bound.
#[inline(never)]
unsafe fn free_large(client: &Client, granule: usize, class: usize) -> i32 {
    if let Some(lone) = client.lone(class) {
        // SAFETY: as in `free`.
        let word = unsafe { &*client.lives.get().add(granule >> 6) };
        let live = word.load(Relaxed);
        if live >> (granule & 63) & 1 != 0 {
            word.store(live & (!1u64).rotate_left(granule as u32), Relaxed);
            if lone.get() == NONE {
                lone.set(granule as u32);
                return 0;
            }
            return client.retire_run(class, granule);
        }
    }
    // SAFETY: as the caller promised.
    unsafe { free_far(client, granule) }
}

/// The same for whatever else begins, or does not, at a granule, rotated as above; for all that PACKED clients free.
///
/// # Safety
/// The client is one of `Client::from_handle`, dead or alive; `granule` may be anything.
#[inline(never)]
unsafe fn free_far(client: &Client, granule: usize) -> i32 {
    // SAFETY: as the caller promised.
    unsafe { super::free::long_way(client, client.base.get().wrapping_add(granule.rotate_left(GRANULE_SHIFT))) }
}

/// The same cell for another size of its class, or a move from cell to cell.
///
/// # Safety
/// As `Client::from_handle`; `pointer` and `size` may be anything.
#[inline(always)]
pub unsafe fn realloc(handle: *const Client, pointer: *mut u8, size: usize) -> *mut u8 {
    if !handle.is_null() {
        // SAFETY: the caller promises a slot, dead or alive; a dead one has bounds of 0.
        let client = unsafe { &*handle };
        let granule = pointer.addr().wrapping_sub(client.base.get().addr()).rotate_right(GRANULE_SHIFT);
        let last = size.wrapping_sub(1);
        if granule < client.fast_granules.get() && last < LARGEST {
            // SAFETY: as in `free`.
            let (unit, word) =
                unsafe { (&*client.units.get().add(granule >> 6), &*client.lives.get().add(granule >> 6)) };
            let class = (unit.load(Relaxed) ^ client.own_word()) as usize;
            if class < POWERS && word.load(Relaxed) >> (granule & 63) & 1 != 0 {
                // The last offsets of class c are from 2^(c-1) granules to 2^c, those of class 0 are in the first.
                if ((last >> GRANULE_SHIFT) * 2 + 1) >> class == 1 {
                    return pointer;
                }
                // SAFETY: a live piece of that class begins there.
                return unsafe { client.move_cell(granule, size, class) };
            }
        }
    }
    // SAFETY: as the caller promised.
    unsafe { super::realloc::long_way(handle, pointer, size) }
}

impl Client {
    /// The newest entry of a cache.
    ///
    /// # Safety
    /// The class has a top.
    #[inline(always)]
    unsafe fn pop(&self, class: usize) -> Option<usize> {
        // SAFETY: as the caller promised. Below a top there is always an entry or a mark.
        let (place, granule) = unsafe {
            let place = self.tops.near.get_unchecked(class);
            (place, widened((*place.load(Relaxed).sub(1)).get()))
        };
        if (granule as u32) < MARK {
            // Loaded anew: the compiler makes one instruction of it.
            place.store(place.load(Relaxed).wrapping_sub(1), Relaxed);
            return Some(granule);
        }
        None
    }

    /// The same of any class that has a cache.
    #[inline(always)]
    fn pop_run(&self, class: usize) -> Option<usize> {
        if class < NEAR_TOPS {
            // SAFETY: such a class has a top.
            return unsafe { self.pop(class) };
        }
        let granule = widened(self.lone(class)?.replace(NONE));
        ((granule as u32) < MARK).then_some(granule)
    }

    /// Notes that a piece is live; its address.
    ///
    /// # Safety
    /// The piece begins at that granule, in a block of this client.
    #[inline(always)]
    unsafe fn begin_live(&self, lives: *const AtomicU64, granule: usize) -> *mut u8 {
        // SAFETY: the block is one of the context's, so its live words and its bytes exist.
        unsafe {
            let word = &*lives.add(granule >> 6);
            // A plain read: nobody else writes this word.
            let live = word.as_ptr().read_volatile();
            word.store(live | 1 << (granule & 63), Relaxed);
            self.base.get().add(granule << GRANULE_SHIFT)
        }
    }

    /// Takes a live piece back: into the cache of its class, or past it.
    ///
    /// # Safety
    /// A live piece of a class with a top begins at that granule, below MARK, in a block of this client, and `live` is what its live
    /// word has.
    #[inline(always)]
    unsafe fn end_live(&self, granule: usize, class: usize, word: &AtomicU64, live: u64) -> i32 {
        let turned = live & (!1u64).rotate_left(granule as u32);
        // SAFETY: as the caller promised. At a top there is always a place or a mark.
        unsafe {
            let place = self.tops.near.get_unchecked(class);
            let top = place.load(Relaxed);
            if (*top).get() < MARK {
                word.store(turned, Relaxed);
                (*top).set(granule as u32);
                place.store(top.add(1), Relaxed);
                return 0;
            }
            word.store(turned, Relaxed);
            self.free_to_slab(granule, class)
        }
    }

    /// The fast path's request of a class whose cache is empty: from the open slab.
    ///
    /// # Safety
    /// The class is that of a size in the table.
    #[inline(never)]
    unsafe fn alloc_open(&self, size: usize, lives: *const AtomicU64, class: usize) -> *mut u8 {
        // SAFETY: the table's classes are those of slabs and one more, of which no cell ever waits; what waits in an open slab
        // lies in a block of ours.
        unsafe {
            if let Some(granule) = self.pop_open(class) {
                return self.begin_live(lives, granule);
            }
        }
        self.underflow(size, class)
    }

    /// The lowest cell that waits in the open slab of a class.
    ///
    /// # Safety
    /// The class is at most OPEN_SLABS.
    #[inline(always)]
    unsafe fn pop_open(&self, class: usize) -> Option<usize> {
        // SAFETY: as the caller promised.
        let (waiting, first) = unsafe { (self.open_cells.get_unchecked(class), self.open_first.get_unchecked(class)) };
        let cells = waiting.get();
        if cells == 0 {
            return None;
        }
        let index = lowest(cells) as u32;
        waiting.set(cells & (!1u64).rotate_left(index));
        // A cell of class c is 2^c granules; granules that wait fit 32 bits (open.rs).
        Some(first.get().wrapping_add(index << (class & 31)) as usize)
    }

    /// The fast path's free of a piece whose cache is full: back to its slab, as `drop_cells` does it. What is no slab's finds a
    /// count of 0.
    ///
    /// # Safety
    /// The granule lies in a block of this client, and fits 32 bits.
    #[inline(always)]
    unsafe fn free_to_slab(&self, granule: usize, class: usize) -> i32 {
        let place = (granule as u32 & self.slab_mask.get()) >> USES_SHIFT;
        // SAFETY: the table has an entry for every two units of the block, and what the mask leaves is a multiple of the length of
        // slabs, which is at least two units: so many entries behind the first, and no part of one.
        let uses = unsafe { &*self.uses.get().byte_add(place as usize) };
        let count = uses.get().wrapping_sub(1);
        uses.set(count);
        if (count as i32) < 0 {
            return self.slab_turns(granule, class);
        }
        done()
    }

    /// The fast path's realloc of a live piece to another class, where at least one of the two is a slab's: a run may
    /// change in place, so that is for the long way; as is every shortage.
    ///
    /// # Safety
    /// A live piece of class `old` begins at that granule, in a block of this client; the size is one that has a class.
    #[inline(never)]
    unsafe fn move_cell(&self, from: usize, size: usize, old: usize) -> *mut u8 {
        let context = self.context();
        let last = size.wrapping_sub(1);
        let new = if last < TABLE_BYTES { class_of(last) } else { class_of_run(context, last) };
        let both_runs = old >= OPEN_SLABS && new >= OPEN_SLABS || new >= context.cached_classes as usize;
        let taken = if both_runs { Err(Status::NoMemory) } else { self.quick_take(context, new) };
        let Ok(to) = taken else {
            return self.reallocate(context.map.address_of(from << GRANULE_SHIFT).addr(), size);
        };
        // A piece of class c is 2^c granules, runs as well as cells.
        let len = size.min(1 << (GRANULE_SHIFT as usize + old));
        context.map.copy(from << GRANULE_SHIFT, to << GRANULE_SHIFT, len);
        // SAFETY: what was taken lies in a block of ours; what is given up is what the caller promised.
        unsafe {
            let moved = self.begin_live(self.lives.get(), to);
            let word = context.map.live_word(from);
            self.end_live(from, old, word, word.load(Relaxed));
            moved
        }
    }

    /// A piece of a class: from its cache, from its open slab, or from where `fetch` takes it; its granule.
    #[inline(always)]
    fn quick_take(&self, context: &Context, class: usize) -> Result<usize, Status> {
        if let Some(granule) = self.pop_run(class) {
            return Ok(granule);
        }
        // SAFETY: asked of the classes of slabs only.
        let waiting = if class < OPEN_SLABS { unsafe { self.pop_open(class) } } else { None };
        if let Some(granule) = waiting {
            return Ok(granule);
        }
        self.fetch(context, class).map(|offset| offset >> GRANULE_SHIFT)
    }

    /// The fast path's request of a class whose cache is empty, and no slab is open.
    #[inline(never)]
    fn underflow(&self, size: usize, class: usize) -> *mut u8 {
        if class < OPEN_SLABS && self.open_slab(self.context(), class) == Ok(true) {
            // SAFETY: the class is that of a slab. Some of its cells wait now.
            return unsafe { self.alloc_open(size, self.lives.get(), class) };
        }
        self.alloc_far(size, class)
    }

    /// The same where no slab can be opened: a run, a slab where caches do not reach, or no memory without further effort.
    #[inline(never)]
    fn alloc_far(&self, size: usize, class: usize) -> *mut u8 {
        let context = self.context();
        if class >= OPEN_SLABS
            && let Ok(offset) = self.fetch(context, class)
        {
            // SAFETY: what was taken lies in a block of ours.
            return unsafe { self.begin_live(self.lives.get(), offset >> GRANULE_SHIFT) };
        }
        self.allocate(&Request::new(size, 0, false))
    }

    /// The cache of a run's class is full.
    #[inline(never)]
    fn retire_run(&self, class: usize, granule: usize) -> i32 {
        let context = self.context();
        self.retire_cached(context, class, granule);
        self.settle(context);
        done()
    }

    /// The count of a slab, or what is none, has gone below zero.
    #[inline(never)]
    fn slab_turns(&self, granule: usize, class: usize) -> i32 {
        let context = self.context();
        let slab = context.map.shape.slab_of(granule);
        let uses = context.map.uses(slab);
        let count = uses.get();
        if class >= OPEN_SLABS {
            uses.set(0);
            return self.retire_run(class, granule);
        }
        // Now and then, a longer cache may serve better.
        // SAFETY: the class is that of a slab. At a top there is always a place or, as here, a mark.
        let mark = unsafe { (*self.tops.near.get_unchecked(class).load(Relaxed)).get() };
        if self.may_grow(context, class, mark) {
            let _ = self.cache_make_room(context, class, granule);
        }
        if count == Uses::IDLE {
            return self.slab_ends(slab, class);
        }
        // The first cell of a full slab.
        context.map.fetch_around(slab);
        uses.set(count & !Uses::FULL);
        self.link_slab(context, class, slab);
        done()
    }

    /// The last cell of a slab came back.
    #[cold]
    #[inline(never)]
    fn slab_ends(&self, slab: usize, class: usize) -> i32 {
        let context = self.context();
        if self.slab_emptied(context, class, slab) {
            self.settle(context);
        }
        done()
    }
}

const _: () = assert!(size_of::<Cell<u32>>() == 4);
