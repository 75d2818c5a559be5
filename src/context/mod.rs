//! One memory block under management: its header, its blocks, its client slots, its lock, its callbacks.
//!
//! The header lies at the beginning of the block and is what `vmma_context_t` points to. It knows blocks, slots and
//! lives, but not what a client does with them: clients are a layer above.
//!
//! Invariants: what `Fixed` holds never changes after creation and is covered by a checksum. Counters and lists
//! change under the lock (taken with THREADS only); those that getters read are atomics.
//! May know: layout, memory, sizes, bitmap, sys.

pub mod blocks;
pub mod callbacks;
pub mod lock;
pub mod report;
pub mod slots;
mod spread;

use crate::cell::Cell;
use crate::flags;
use crate::layout::{Error, Extras, Layout, TABLE_ALIGN};
use crate::memory::Map;
use crate::mix::mix;
use crate::sizes::Sizes;
use crate::sys;
use core::ffi::c_void;
use core::sync::atomic::{AtomicPtr, AtomicU32, AtomicU64, AtomicUsize, Ordering::Relaxed};
use lock::{Guard, Lock};

/// A cache entry from this value on is a mark, not a granule: FULL above the last place, EMPTY below the first.
/// The low bits are the capacity of the cache. Granules from here on (32 GiB at 16 bytes) are never cached.
pub const MARK: u32 = 0x8000_0000;
pub const FULL_BIT: u32 = 0x4000_0000;

/// Most orders of runs that caches keep: up to 32 units.
pub const CACHED_ORDERS: u32 = 6;
/// PACKED: above 16 steps of the alignment there are too many sizes for each to come again.
pub const MOST_CACHED_PACKED: usize = 16;
/// Slabs, and runs of the lengths up to half a block.
pub const MOST_CACHED_PLAIN: usize = 16;

const MAGIC: u64 = 0x766d_6d61_2d30_2e35;

#[repr(C, align(64))]
pub struct Context {
    magic: AtomicU64,
    /// Over everything from `map` to `flags`.
    checksum: Cell<u64>,
    pub map: Map,
    pub sizes: Sizes,
    pub flags: u32,
    /// Most cached classes; 0 without caches.
    pub cached_classes: u32,
    /// No flag and no memory tool asks for more at alloc and free than to find a cell, and to zero it, and there are caches
    /// to find it in.
    pub simple: bool,
    /// The library mapped the memory itself.
    mapped: bool,
    lock: Lock,
    /// See blocks.rs for these.
    pub(crate) watermark: AtomicUsize,
    pub(crate) top: AtomicUsize,
    pub(crate) free_blocks: AtomicUsize,
    pub(crate) set_aside: AtomicUsize,
    pub(crate) held_blocks: AtomicUsize,
    pub(crate) peak_blocks: AtomicUsize,
    /// RELEASE: how many more blocks are free than at the last release, as far as they may have pages.
    unreleased: AtomicUsize,
    /// Counts whatever may let a failed allocation succeed.
    progress: AtomicUsize,
    /// See slots.rs for these.
    pub(crate) client_count: AtomicUsize,
    pub(crate) slots_used: AtomicU32,
    pub(crate) free_slot: Cell<u32>,
    pub(crate) next_life: Cell<u32>,
    pub(crate) life_limit: Cell<u32>,
    /// See callbacks.rs and report.rs for these.
    callbacks: AtomicPtr<callbacks::Node>,
    /// Its complement: the list is only followed by the validator's leave.
    callbacks_mirror: AtomicUsize,
    error_handler: Cell<Option<report::ErrorFn>>,
    error_user: Cell<*mut c_void>,
    /// Over the error handler and its user pointer.
    handler_checksum: Cell<u64>,
}

/// The sizes that `vmma_get_required_size` and creation have to agree on.
pub const HEADER_SIZE: usize = size_of::<Context>();

/// What of the flags decides about the layout.
pub fn extras(accepted: u32) -> Extras {
    Extras {
        caches: accepted & flags::NO_CACHE == 0,
        quarantine: accepted & flags::QUARANTINE != 0,
        slack: accepted & flags::GUARD != 0,
        packed: accepted & flags::PACKED != 0,
    }
}

impl Context {
    /// Makes a context in `size` bytes at `memory`, or in memory of its own if that is NULL.
    ///
    /// # Safety
    /// `memory` is NULL or points to `size` bytes that are the context's alone until it is deleted.
    pub unsafe fn create(
        memory: *mut u8,
        size: usize,
        alignment: usize,
        block_size: usize,
        flags: u32,
    ) -> Result<*mut Context, Error> {
        let accepted = flags::accepted(flags);
        let plan = |at: usize| Layout::new(at, size, alignment, block_size, extras(accepted), HEADER_SIZE);
        let mapped = memory.is_null();
        if mapped {
            // Parameters are judged before the system is asked for memory: a page is a good enough address for that.
            match plan(1 << 16) {
                // A size that no address could have is too large, not wrong: the block would begin wherever it fits.
                Err(Error::Invalid) if (1usize << 16).checked_add(size).is_none() => return Err(Error::TooSmall),
                Err(Error::TooSmall) if size > 0 => {}
                Err(error) => return Err(error),
                Ok(_) => {}
            }
        }
        let memory = if mapped { sys::map(size) } else { memory };
        if memory.is_null() {
            return Err(Error::TooSmall);
        }
        let layout = match plan(memory.addr()) {
            Ok(layout) => layout,
            Err(error) => {
                if mapped {
                    // SAFETY: mapped above, and nobody has seen it.
                    unsafe { sys::unmap(memory, size) };
                }
                return Err(error);
            }
        };
        let header: *mut Context = memory.wrapping_add(layout.origin - memory.addr()).cast();
        // SAFETY: the layout put the header inside the memory, 64-aligned; the caller gives us that memory. Zeros are a
        // valid context, of which nobody else knows.
        unsafe {
            header.cast::<u8>().write_bytes(0, layout.tables.blocks);
            (*header).map = Map::new(memory, size, &layout);
            (*header).begin(accepted, mapped);
        }
        Ok(header)
    }

    /// Makes a context of zeros and a map: sets whatever else is not 0.
    fn begin(&mut self, accepted: u32, mapped: bool) {
        let shape = &self.map.shape;
        let packed = accepted & flags::PACKED != 0;
        self.sizes = Sizes::new(shape.alignment, shape.block_shift, packed);
        let classes = self.sizes.count();
        let caches = accepted & (flags::NO_CACHE | flags::QUARANTINE) == 0 && shape.cache_entries > 0;
        let cached = if !caches {
            0
        } else if packed {
            MOST_CACHED_PACKED
        } else {
            match shape.order_max().min(CACHED_ORDERS) {
                0 => classes,
                orders => (classes + 1 + self.sizes.run_of(1 << (orders - 1)) as usize).min(MOST_CACHED_PLAIN),
            }
        };
        self.cached_classes = cached as u32;
        self.simple = cached > 0
            && !self.map.tools.watch()
            && accepted & (flags::GUARD | flags::QUARANTINE) == 0
            && !(packed && accepted & (flags::ZERO | flags::WIPE) != 0);
        self.flags = accepted;
        self.mapped = mapped;
        self.lock = Lock::new();
        self.top = AtomicUsize::new(self.map.blocks);
        self.free_blocks = AtomicUsize::new(self.map.blocks);
        self.free_slot = Cell::new(crate::memory::NONE);
        self.next_life = Cell::new(1);
        self.life_limit = Cell::new(slots::LIVES);
        self.callbacks_mirror = AtomicUsize::new(!0);
        self.prepare();
    }

    /// The few tables that have to mean something from the beginning.
    fn prepare(&self) {
        for word in self.map.free_words() {
            if !self.mapped {
                word.set(0);
            }
        }
        self.map.cache(0).set(MARK);
        self.map.cache(1).set(MARK | FULL_BIT);
        self.map.close(0, self.map.closed_end(0, self.map.blocks));
        self.checksum.set(self.fixed_checksum());
        self.handler_checksum.set(self.error_handler_checksum());
        self.magic.store(self.expected_magic(), Relaxed);
    }

    fn expected_magic(&self) -> u64 {
        MAGIC ^ core::ptr::from_ref(self).addr() as u64
    }

    /// The context behind a handle, if the handle is alive.
    ///
    /// # Safety
    /// `handle` is NULL, or was the handle of a context whose memory is still there.
    #[inline]
    pub unsafe fn from_handle<'a>(handle: *const Context) -> Option<&'a Context> {
        if handle.is_null() || !handle.addr().is_multiple_of(align_of::<Context>()) {
            return None;
        }
        // SAFETY: the caller promises memory that holds, or held, a context.
        let context = unsafe { &*handle };
        context.is_alive().then_some(context)
    }

    fn is_alive(&self) -> bool {
        self.magic.load(Relaxed) == self.expected_magic()
    }

    /// Ends the context. Mapped memory is gone afterwards; in given memory, handles are dead.
    ///
    /// # Safety
    /// Nobody uses the context, its clients or their memory any more.
    pub unsafe fn destroy(handle: *const Context) {
        // SAFETY: as the caller promised; the reference is not used any more when the memory goes.
        unsafe {
            let context = &*handle;
            context.magic.store(0, Relaxed);
            context.map.open(0, context.map.closed_end(context.watermark(), context.usable_blocks()));
            if context.mapped {
                sys::unmap(context.map.memory(), context.map.size());
            }
        }
    }

    /// The checksum of what never changes.
    pub fn fixed_checksum(&self) -> u64 {
        let mut hash = mix(self.map.checksum(), self.flags as u64 | (self.cached_classes as u64) << 32);
        hash = mix(hash, (self.simple as u64) << 1 | self.mapped as u64);
        self.sizes.checksum(hash)
    }

    pub fn checksum_matches(&self) -> bool {
        self.checksum.get() == self.fixed_checksum() && self.handler_matches()
    }

    #[inline]
    pub fn has(&self, flag: u32) -> bool {
        self.flags & flag != 0
    }

    /// Do the numbers that nothing else depends on look like themselves?
    pub fn idle_fields_match(&self) -> bool {
        let most = if self.has(flags::RELEASE) { self.map.blocks.max(self.release_threshold()) } else { 0 };
        self.unreleased.load(Relaxed) <= most && (self.has(flags::THREADS) || self.lock.is_free())
    }

    /// Blocks that have ever been used.
    pub fn watermark(&self) -> usize {
        self.watermark.load(core::sync::atomic::Ordering::Acquire)
    }

    pub(crate) fn lock(&self) -> Guard<'_> {
        self.lock.when(self.has(flags::THREADS))
    }

    /// The entry of the cache table that means "no cache": EMPTY below it, FULL at it.
    pub const NULL_CACHE: usize = 1;

    // ---- at once ----

    pub fn progress(&self) -> usize {
        self.progress.load(Relaxed)
    }

    /// Notes that something was freed or raised. Only the out-of-memory handler's caller wants to know.
    #[inline]
    pub fn made_progress(&self) {
        if !self.callbacks.load(Relaxed).is_null() {
            self.progress.fetch_add(1, Relaxed);
        }
    }

    /// Do slabs with nothing in use stay with their class? (Default mode with caches.)
    #[inline]
    pub fn keeps_slabs(&self) -> bool {
        self.cached_classes > 0 && !self.sizes.packed()
    }

    /// Is no callback running?
    #[inline(always)]
    pub fn is_quiet(&self) -> bool {
        self.callbacks.load(Relaxed).is_null()
    }

    /// Free blocks that are nobody's guarantee.
    pub fn free_for_all(&self) -> usize {
        let _lock = self.lock();
        self.free_blocks.load(Relaxed).saturating_sub(self.set_aside.load(Relaxed))
    }

    pub fn peak(&self) -> usize {
        self.peak_blocks.load(Relaxed)
    }

    pub fn clients(&self) -> usize {
        self.client_count.load(Relaxed)
    }

    /// Blocks that can be a client's: all but those that slots fill.
    pub fn usable_blocks(&self) -> usize {
        self.top.load(Relaxed)
    }
}

const _: () = assert!(align_of::<Context>() == TABLE_ALIGN);
