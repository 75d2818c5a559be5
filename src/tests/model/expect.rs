//! What the model knows must be so: contents, counts, edges, sums.
//! May know: the model, the C interface; of the inside, which blocks a client owns.

use super::*;
use crate::client::Client;
use crate::context::Context;
use std::ffi::CString;

/// Least bytes of a red zone.
pub(super) const RED: usize = 8;

/// What vmma_free must answer, and whose allocation it concerns.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Answer {
    Exactly(c_int, Option<usize>),
    /// In a red zone whose end the model does not know, or behind it.
    StartOrDouble,
}

pub(super) const OK: c_int = vmma_status::VMMA_OK as c_int;
pub(super) const INVALID: c_int = vmma_status::VMMA_E_INVALID as c_int;
pub(super) const NO_MEMORY: c_int = vmma_status::VMMA_E_NO_MEMORY as c_int;
pub(super) const LIMIT: c_int = vmma_status::VMMA_E_LIMIT as c_int;
pub(super) const NOT_OWNED: c_int = vmma_status::VMMA_E_NOT_OWNED as c_int;
pub(super) const NOT_START: c_int = vmma_status::VMMA_E_NOT_START as c_int;
pub(super) const DOUBLE_FREE: c_int = vmma_status::VMMA_E_DOUBLE_FREE as c_int;
pub(super) const OVERRUN: c_int = vmma_status::VMMA_E_OVERRUN as c_int;
pub(super) const USE_AFTER_FREE: c_int = vmma_status::VMMA_E_USE_AFTER_FREE as c_int;

fn pattern(stamp: u64, at: usize) -> u8 {
    ((stamp.wrapping_add(at as u64 >> 3).wrapping_mul(0x9e37_79b9_7f4a_7c15)) >> (8 * (at & 7))) as u8
}

impl Model {
    pub(super) fn inside(&self) -> &Context {
        // SAFETY: the model's context is alive until `finish`.
        unsafe { Context::from_handle(self.context.cast()) }.expect("the context is alive")
    }

    pub(super) fn block_size(&self) -> usize {
        c!(vmma_get_block_size(self.context))
    }

    pub(super) fn guard(&self) -> usize {
        if self.setting.has(VMMA_FLAG_GUARD) { RED } else { 0 }
    }

    // ---- bytes ----

    /// Writes the allocation's own pattern into `from..to`.
    pub(super) fn paint(&self, live: &Live, from: usize, to: usize) {
        for at in from..to {
            c!(live.pointer.add(at).write(pattern(live.stamp, at)));
        }
    }

    pub(super) fn assert_painted(&self, live: &Live, from: usize, to: usize) {
        for at in from..to {
            let byte = c!(live.pointer.add(at).read());
            assert_eq!(byte, pattern(live.stamp, at), "byte {at} of {} at {:p} changed", live.size, live.pointer);
        }
    }

    pub(super) fn assert_zero(&self, pointer: *mut u8, from: usize, to: usize, why: &str) {
        for at in from..to {
            assert_eq!(c!(pointer.add(at).read()), 0, "byte {at} before {to} at {pointer:p} is not zero: {why}");
        }
    }

    // ---- where blocks are (the one thing that is asked of the inside) ----

    pub(super) fn owns_block_of(&self, client: usize, address: usize) -> bool {
        let context = self.inside();
        let Some(offset) = context.map.offset_of(address) else { return false };
        let block = offset >> context.map.shape.block_shift;
        // SAFETY: the client is alive.
        let inner = unsafe { Client::from_handle(self.clients[client].handle.cast()) }.expect("alive");
        block < context.watermark() && inner.owns_block(context, block)
    }

    /// The live allocation that begins at or before an address.
    fn before(&self, address: usize) -> Option<(usize, Live)> {
        self.live.range(..=address).next_back().map(|(&start, &live)| (start, live))
    }

    /// The live allocation that holds an address.
    pub(super) fn holder(&self, address: usize) -> Option<(usize, Live)> {
        self.before(address).filter(|(start, live)| address - start < live.size)
    }

    pub(super) fn expected_free(&self, client: usize, address: usize) -> Answer {
        if address == 0 {
            return Answer::Exactly(OK, None);
        }
        if !self.owns_block_of(client, address) {
            return Answer::Exactly(NOT_OWNED, None);
        }
        let misaligned = !address.is_multiple_of(c!(vmma_get_alignment(self.context)));
        if let Some((start, live)) = self.before(address).filter(|(_, live)| live.client == client) {
            if start == address {
                return Answer::Exactly(OK, Some(start));
            }
            if address - start < live.size + self.guard() {
                return Answer::Exactly(NOT_START, Some(start));
            }
            if self.guard() > 0 && !misaligned {
                return Answer::StartOrDouble;
            }
        }
        Answer::Exactly(if misaligned { NOT_START } else { DOUBLE_FREE }, None)
    }

    // ---- whole ----

    pub(super) fn check(&self) {
        assert_eq!(c!(vmma_check_context(self.context)), OK, "the validator");
        for (number, owner) in self.clients.iter().enumerate() {
            let last = c!(vmma_get_last_status(owner.handle));
            assert_eq!(last, owner.last, "last status of client {number}");
        }
        assert_eq!(c!(vmma_get_client_count(self.context)), self.clients.len());
    }

    /// Everything that has to agree between the model and the context.
    pub(super) fn compare_all(&mut self) {
        let block = self.block_size();
        let (mut held, mut aside, mut total) = (0, 0, empty_stats());
        for number in 0..self.clients.len() {
            let stats = self.compare_client(number);
            held += stats.held_size / block;
            aside += (self.clients[number].guarantee.div_ceil(block)).saturating_sub(stats.held_size / block);
            total.held_size += stats.held_size;
            total.live_count += stats.live_count;
            total.live_size += stats.live_size;
            total.cached_blocks += stats.cached_blocks;
            total.cached_size += stats.cached_size;
            total.free_size += stats.free_size;
            total.failed_count += stats.failed_count;
            total.largest_failed = total.largest_failed.max(stats.largest_failed);
        }
        let free = c!(vmma_get_free_blocks(self.context));
        let blocks = c!(vmma_get_total_blocks(self.context));
        assert_eq!(free + held + aside + self.slot_blocks(), blocks, "free + held + set aside + slots");
        assert!(c!(vmma_get_peak_blocks(self.context)) >= held);
        let mut stats = empty_stats();
        assert_eq!(c!(vmma_populate_context_stats(self.context, &raw mut stats)), OK);
        assert_eq!(
            (stats.held_size, stats.live_count, stats.live_size),
            (total.held_size, total.live_count, total.live_size)
        );
        assert_eq!((stats.cached_blocks, stats.cached_size), (total.cached_blocks, total.cached_size));
        assert_eq!((stats.failed_count, stats.largest_failed), (total.failed_count, total.largest_failed));
        assert_eq!(stats.free_size, total.free_size);
        assert_eq!(c!(vmma_populate_cached_blocks(self.context)), total.cached_blocks);
        if self.setting.has(VMMA_FLAG_NO_CACHE) && !self.setting.has(VMMA_FLAG_QUARANTINE) {
            assert_eq!(total.cached_blocks, 0, "NO_CACHE keeps no block");
            assert_eq!(total.cached_size, 0, "NO_CACHE keeps nothing");
        }
        for live in self.live.values() {
            self.assert_painted(live, 0, live.size);
        }
        assert!(self.region.as_ref().is_none_or(Region::margins_intact), "bytes outside of the memory were written");
    }

    fn compare_client(&mut self, number: usize) -> vmma_stats {
        let owner = &self.clients[number];
        let mut stats = empty_stats();
        assert_eq!(c!(vmma_populate_client_stats(owner.handle, &raw mut stats)), OK);
        let mut mine: Vec<(usize, usize)> = owner.starts.iter().map(|start| (*start, self.live[start].size)).collect();
        mine.sort_unstable();
        assert_eq!(stats.live_count, mine.len());
        assert_eq!(stats.live_size, mine.iter().map(|(_, size)| size).sum::<usize>());
        assert_eq!((stats.failed_count, stats.largest_failed), (owner.failed, owner.largest_failed));
        assert_eq!(stats.held_size, c!(vmma_get_held_size(owner.handle)));
        assert!(stats.held_size >= stats.live_size + stats.cached_size + stats.free_size, "{stats:?}");
        assert!(stats.cached_blocks * self.block_size() <= stats.held_size);
        assert!(stats.held_size == 0 || stats.overhead_size > 0);
        let peak = c!(vmma_get_peak_held_size(owner.handle));
        assert!(peak >= stats.held_size && peak >= owner.peak, "the peak never falls");
        let mut walked: Vec<(usize, usize)> = Vec::new();
        assert_eq!(c!(vmma_walk_allocations(owner.handle, Some(collect), (&raw mut walked).cast())), 0);
        assert_eq!(walked, mine, "the walk");
        assert_eq!(c!(vmma_get_limit(owner.handle)), owner.limit);
        assert_eq!(c!(vmma_get_guarantee(owner.handle)), owner.guarantee);
        assert_eq!(c!(vmma_get_context(owner.handle)), self.context);
        self.clients[number].peak = peak;
        stats
    }

    pub(super) fn slot_blocks(&self) -> usize {
        let per_block = self.block_size() / crate::layout::SLOT_SIZE;
        self.slots.saturating_sub(crate::layout::FIRST_SLOTS).div_ceil(per_block)
    }

    // ---- the beginning and the end ----

    pub(super) fn new(setting: Setting) -> Option<Model> {
        let mut rng = Rng::new(setting.seed);
        let region = (!setting.mapped).then(|| Region::new(setting.size, setting.odd, setting.content, &mut rng));
        let memory = region.as_ref().map_or(core::ptr::null_mut(), Region::memory);
        let context =
            c!(vmma_create_context(memory.cast(), setting.size, setting.alignment, setting.block_size, setting.flags));
        assert!(!context.is_null(), "a context of {} bytes", setting.size);
        let told = Rc::<Told>::default();
        let user = Rc::as_ptr(&told).cast_mut().cast::<c_void>();
        assert_eq!(c!(vmma_set_error_handler(context, Some(note_error), user)), OK);
        let mut model = Model {
            rng,
            region,
            context,
            clients: Vec::new(),
            live: BTreeMap::new(),
            told,
            slots: 0,
            initial_blocks: c!(vmma_get_free_blocks(context)),
            growing: true,
            operation: 0,
            setting,
        };
        assert_eq!(c!(vmma_get_total_size(context)), model.setting.size);
        assert!(model.initial_blocks > 0);
        for _ in 0..model.setting.clients {
            model.create_client();
        }
        Some(model)
    }

    /// Validating all of a large context after each operation would leave no time for the operations.
    pub(super) fn check_interval(&self) -> usize {
        let context = self.inside();
        let units = context.map.blocks << context.map.shape.order_max();
        1 + units / 256
    }

    pub(super) fn create_client(&mut self) {
        let handle = c!(vmma_create_client(self.context));
        if handle.is_null() {
            // Only for want of a block for slots.
            assert!(self.clients.len() == self.slots && self.slots >= crate::layout::FIRST_SLOTS);
            assert_eq!(std::io::Error::last_os_error().raw_os_error(), Some(crate::sys::ENOMEM));
            return;
        }
        assert!(self.clients.iter().all(|owner| owner.handle != handle));
        let name = CString::new(format!("client {}", self.clients.len())).expect("no zero byte");
        assert_eq!(c!(vmma_set_name(handle, name.as_ptr())), OK);
        self.clients.push(Owner {
            handle,
            starts: Vec::new(),
            freed: Vec::new(),
            limit: 0,
            guarantee: 0,
            failed: 0,
            largest_failed: 0,
            last: OK,
            peak: 0,
        });
        self.slots = self.slots.max(self.clients.len());
        assert_eq!(c!(vmma_get_max_alloc(handle)), self.max_alloc_checked(handle));
    }

    fn max_alloc_checked(&self, handle: *mut vmma_client_t) -> usize {
        c!(vmma_get_max_alloc(handle))
    }

    /// All freed: one largest block again.
    pub(super) fn finish(mut self) {
        self.compare_all();
        let block = self.block_size();
        while let Some((&start, live)) = self.live.iter().next() {
            let client = live.client;
            self.free_start(client, start);
        }
        self.check();
        if self.setting.has(VMMA_FLAG_NO_CACHE) && !self.setting.has(VMMA_FLAG_QUARANTINE) {
            assert!(
                self.clients.iter().all(|owner| c!(vmma_get_held_size(owner.handle)) == 0),
                "held, though all is free"
            );
        }
        assert_eq!(c!(vmma_trim_context(self.context)), OK);
        self.check();
        for owner in &mut self.clients {
            assert_eq!(c!(vmma_get_held_size(owner.handle)), 0, "all freed and trimmed, and still held");
            assert_eq!(c!(vmma_set_guarantee(owner.handle, 0)), OK);
            assert_eq!(c!(vmma_set_limit(owner.handle, 0)), OK);
            (owner.limit, owner.guarantee) = (0, 0);
        }
        self.compare_all();
        let free = self.initial_blocks - self.slot_blocks();
        assert_eq!(c!(vmma_get_free_blocks(self.context)), free, "free blocks as at the beginning");
        assert_eq!(c!(vmma_populate_cached_blocks(self.context)), 0);
        let all = (free * block).saturating_sub(self.guard());
        for owner in &self.clients {
            assert_eq!(c!(vmma_get_max_alloc(owner.handle)), all, "one largest block again");
        }
        if let Some(owner) = self.clients.first() {
            let whole = c!(vmma_alloc(owner.handle, all));
            assert_eq!(whole.is_null(), all == 0);
            assert_eq!(c!(vmma_free(owner.handle, whole)), OK);
        }
        for owner in self.clients.drain(..) {
            assert_eq!(c!(vmma_delete_client(owner.handle)), OK);
            assert_eq!(c!(vmma_delete_client(owner.handle)), INVALID, "dead");
        }
        assert_eq!(c!(vmma_check_context(self.context)), OK);
        if self.setting.has(VMMA_FLAG_WIPE) && self.setting.starts_zeroed() {
            let context = self.inside();
            let base = context.map.base();
            self.assert_zero(base, 0, free * block, "all is deleted and wiped");
        }
        assert_eq!(c!(vmma_delete_context(self.context)), OK);
        assert!(self.region.as_ref().is_none_or(Region::margins_intact), "bytes outside of the memory were written");
        if let Some(region) = &self.region {
            assert_eq!(region.size(), self.setting.size);
            assert_eq!(c!(vmma_check_context(self.context)), INVALID, "a dead context");
        }
    }
}

extern "C" fn collect(_: *mut vmma_client_t, allocation: *mut c_void, size: usize, user: *mut c_void) -> c_int {
    // SAFETY: the user pointer is the vector of the caller above.
    unsafe { &mut *user.cast::<Vec<(usize, usize)>>() }.push((allocation.addr(), size));
    0
}

pub(super) fn empty_stats() -> vmma_stats {
    vmma_stats {
        struct_size: size_of::<vmma_stats>(),
        held_size: 0,
        live_count: 0,
        live_size: 0,
        cached_size: 0,
        cached_blocks: 0,
        free_size: 0,
        largest_free: 0,
        overhead_size: 0,
        failed_count: 0,
        largest_failed: 0,
    }
}
