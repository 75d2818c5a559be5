//! Allocation, the long way: every flag, every size, refills, the out-of-memory handler.
//!
//! A request is placed (sizes.rs), then served by the first of cache, slab, buddy, context that can. If none can, the
//! client gives up what it only keeps (quarantine, caches, empty blocks) and tries again; if that does not help, the
//! handler is asked. Only then does the allocation fail.
//! May know: context, slab, cache, pages, run, capacity, guard.

use super::Client;
use super::pages::EMPTY_LIST;
use crate::bitmap::count_ones;
use crate::cell::Cell;
use crate::context::Context;
use crate::context::callbacks::Kind;
use crate::flags;
use crate::guard;
use crate::memory::NONE;
use crate::sizes::Place;
use crate::status::Status;
use crate::sys;
use core::sync::atomic::Ordering::{Acquire, Relaxed};

/// What is asked for.
pub struct Request {
    /// Bytes, at least 1.
    pub size: usize,
    /// 0: that of alloc.
    pub alignment: usize,
    /// All of it must be zero.
    pub zero: bool,
    /// The answer's other half: which life of the client what was given belongs to.
    pub life: Cell<u32>,
}

impl Request {
    pub fn new(size: usize, alignment: usize, zero: bool) -> Request {
        Request { size: size.max(1), alignment, zero, life: Cell::new(0) }
    }
}

/// # Safety
/// As `Client::from_handle`.
#[inline(never)]
pub unsafe fn long_way(handle: *const Client, size: usize) -> *mut u8 {
    // SAFETY: as the caller promised.
    match unsafe { Client::from_handle(handle) } {
        Some(client) => {
            let context = client.context();
            if client.is_simple(context) && context.sizes.packed() {
                return client.packed_short_alloc(context, size);
            }
            client.second_way(context, size)
        }
        None => {
            sys::set_errno(sys::EINVAL);
            core::ptr::null_mut()
        }
    }
}

impl Client {
    #[inline(never)]
    fn second_way(&self, context: &Context, size: usize) -> *mut u8 {
        if self.is_simple(context)
            && let Some(offset) = self.second_alloc(context, size)
        {
            return context.map.address_of(offset);
        }
        self.allocate(&Request::new(size, 0, false))
    }

    /// Serves a request, or says why not: in errno and in the last status.
    #[inline(never)]
    pub fn allocate(&self, request: &Request) -> *mut u8 {
        let context = self.context();
        if context.busy(self.address()) {
            self.set_last_status(Status::Busy);
            sys::set_errno(sys::EBUSY);
            return core::ptr::null_mut();
        }
        match self.obtain(context, request) {
            Ok(offset) => context.map.address_of(offset),
            Err(status) => {
                self.failed(context, request.size, status);
                core::ptr::null_mut()
            }
        }
    }

    fn failed(&self, context: &Context, size: usize, status: Status) {
        let _lock = self.lock_shared(context);
        self.set_last_status(status);
        self.counted(|| {
            self.failed_count.set(self.failed_count.get().saturating_add(1));
            self.largest_failed.set(self.largest_failed.get().max(size));
        });
        sys::set_errno(sys::ENOMEM);
    }

    /// With SHARED_CLIENTS each call on a client holds the client's lock.
    #[inline(never)]
    pub(crate) fn lock_shared(&self, context: &Context) -> crate::context::lock::Guard<'_> {
        self.lock_shared_here(context)
    }

    /// The same without a call, where it counts.
    #[inline(always)]
    pub(super) fn lock_shared_here(&self, context: &Context) -> crate::context::lock::Guard<'_> {
        self.lock.when(context.has(flags::SHARED_CLIENTS))
    }

    /// Where a request goes, red zone included. None: no context could ever serve it.
    pub(crate) fn place(context: &Context, size: usize, alignment: usize) -> Option<Place> {
        let size = if context.has(flags::GUARD) { size.checked_add(guard::RED_ZONE)? } else { size };
        let place = context.sizes.place_aligned(size, alignment)?;
        let blocks = match place {
            Place::Blocks { blocks, units } => blocks + (units > 0) as usize,
            Place::Piece { bytes, .. } => {
                (bytes >> context.map.shape.block_shift) + (bytes & (context.map.shape.block_size() - 1) != 0) as usize
            }
            _ => 1,
        };
        (blocks <= context.usable_blocks()).then_some(place)
    }

    fn obtain(&self, context: &Context, request: &Request) -> Result<usize, Status> {
        let place = Self::place(context, request.size, request.alignment).ok_or(Status::NoMemory)?;
        loop {
            let status = match self.attempt_with_reclaim(context, place, request) {
                Ok(offset) => return Ok(offset),
                Err(status) => status,
            };
            let (handler, user) = {
                let _lock = self.lock_shared(context);
                (self.handler.get(), self.handler_user.get())
            };
            let Some(handler) = handler else { return Err(status) };
            if status == Status::Corrupt || context.in_out_of_memory(self.address()) {
                return Err(status);
            }
            let before = (context.progress(), live_count(context));
            let handle = core::ptr::from_ref(self).cast_mut().cast();
            let again = self.while_closed(context, Kind::OutOfMemory, || {
                // SAFETY: the host promised a function of this type.
                unsafe { handler(handle, request.size, status.code(), user) }
            });
            if again == 0 {
                return Err(status);
            }
            if context.progress() == before.0 && live_count(context) >= before.1 {
                // Nothing has changed that we could see: one more try, and no further question.
                return self.attempt_with_reclaim(context, place, request);
            }
        }
    }

    /// Tries; gives up what is only kept; tries again.
    pub(super) fn attempt_with_reclaim(
        &self,
        context: &Context,
        place: Place,
        request: &Request,
    ) -> Result<usize, Status> {
        let first = {
            let _lock = self.lock_shared(context);
            self.attempt(context, place, request)
        };
        match first {
            Ok(offset) => Ok(offset),
            Err(status) => {
                // Another thread may have drained what was in the way, and may fill it again: one lock for the rest.
                let mut drained = context.has(flags::SHARED_CLIENTS) && context.has(flags::QUARANTINE);
                let _lock = loop {
                    drained |= self.drain_quarantine(context);
                    let lock = self.lock_shared(context);
                    if self.quarantine.count() == 0 {
                        break lock;
                    }
                };
                if !self.reclaim_for(context, place) && !drained {
                    return Err(status);
                }
                let second = self.attempt(context, place, request);
                if second.is_ok() || !self.is_above_limit(context) {
                    self.settle(context);
                }
                second
            }
        }
    }

    /// Gives up caches for a request. True if there was anything to give up. A shared client's lock is held.
    fn reclaim_for(&self, context: &Context, place: Place) -> bool {
        let flushed = self.flush_caches(context) | self.give_idle_slabs(context);
        // An empty block serves whatever fits into a block. A run may need its place; above the limit, only if that helps.
        let usable = context.sizes.usable(place);
        let given = usable > context.map.shape.block_size()
            && (!self.is_above_limit(context) || self.would_help(context) && self.max_usable(context) >= usable)
            && self.give_empty_blocks(context, 0) > 0;
        flushed || given
    }

    /// Would it be below its limit without its empty blocks? To look at all that it holds takes long.
    fn would_help(&self, context: &Context) -> bool {
        let claim = self.claim(context);
        let (mut held, mut block) = (claim.held, self.lists.get(EMPTY_LIST).map_or(NONE, |head| head.get()));
        while block != NONE {
            held -= 1;
            block = context.map.record(block as usize).next.load(Relaxed);
        }
        held < claim.limit
    }

    /// Does the client hold more than it may take? Then it would not get blocks again that it gives back.
    fn is_above_limit(&self, context: &Context) -> bool {
        let claim = self.claim(context);
        claim.held > claim.limit
    }

    /// One attempt. A shared client's lock is held.
    pub(super) fn attempt(&self, context: &Context, place: Place, request: &Request) -> Result<usize, Status> {
        request.life.set(self.owner.get());
        let start = self.take(context, place)?;
        let map = &context.map;
        let usable = context.sizes.usable(place);
        let guarded = context.has(flags::GUARD);
        map.tools.begin(map.address_of(start), if guarded { request.size } else { usable });
        if context.has(flags::ZERO) {
            map.fill(start, if guarded { request.size } else { usable }, 0);
        } else if request.zero {
            map.fill(start, request.size, 0);
        }
        if guarded {
            guard::draw(map, start, usable, request.size);
        }
        map.set_live(start >> map.shape.granule_shift, true);
        Ok(start)
    }

    /// A cell or run for a place, not live yet.
    fn take(&self, context: &Context, place: Place) -> Result<usize, Status> {
        let shape = &context.map.shape;
        match place {
            Place::Slab(class) => {
                if class < context.cached_classes as usize {
                    if let Some(granule) = self.cache_pop(context, class) {
                        return Ok(granule << shape.granule_shift);
                    }
                    return self.fetch(context, class);
                }
                Ok(self.slab_take(context, class)? << shape.granule_shift)
            }
            Place::Units { run, .. } => {
                let class = context.sizes.count() + run as usize;
                if class < context.cached_classes as usize
                    && let Some(granule) = self.cache_pop(context, class)
                {
                    return Ok(granule << shape.granule_shift);
                }
                self.fetch(context, class)
            }
            Place::Piece { bytes, align } => {
                let class = context.sizes.packed_cache_class(bytes);
                if class < context.cached_classes as usize
                    && align == shape.alignment
                    && let Some(granule) = self.cache_pop(context, class)
                {
                    return Ok(granule << shape.granule_shift);
                }
                self.packed_take(context, bytes, align)
            }
            Place::Blocks { blocks, units } => self.take_run(context, blocks, units),
        }
    }

    /// A cell of a class whose cache is empty, or a run; the offset.
    pub(super) fn fetch(&self, context: &Context, class: usize) -> Result<usize, Status> {
        let shape = &context.map.shape;
        let slabs = context.sizes.count();
        if class < slabs {
            if context.keeps_slabs() {
                return Ok(self.open_take(context, class)? << shape.granule_shift);
            }
            return Ok(self.slab_take(context, class)? << shape.granule_shift);
        }
        let first = self.alloc_units(context, (class - slabs) as u32)?;
        context.map.unit(first).store(self.owner.get() | class as u32, Relaxed);
        Ok(first << shape.unit_shift)
    }

    /// Gives up quarantine, caches and empty blocks. True if there was anything to give up.
    pub(crate) fn reclaim(&self, context: &Context) -> bool {
        let drained = self.drain_quarantine(context);
        let _lock = self.lock_shared(context);
        let flushed = self.flush_caches(context) | self.give_idle_slabs(context);
        self.give_empty_blocks(context, 0) > 0 || flushed || drained
    }
}

/// How many allocations are live, where frees on other clients' fast paths leave no other trace: with THREADS these are not
/// closed while the handler runs. (What the handler allocates and frees again leaves none at all, and helps nobody.)
#[cold]
fn live_count(context: &Context) -> usize {
    if !context.has(flags::THREADS) || context.has(flags::SHARED_CLIENTS) {
        return 0;
    }
    let shift = context.map.shape.live_words_per_block().trailing_zeros();
    let mut count = 0;
    for word in 0..context.watermark.load(Acquire) << shift {
        if context.map.record(word >> shift).owner.load(Relaxed) != 0 {
            count += count_ones(context.map.live_bits(word << 6));
        }
    }
    count
}
