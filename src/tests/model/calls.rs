//! The operations of the model test: each makes one call (or a few) and knows what the answer must be.
//! May know: the model, the C interface.

use super::expect::*;
use super::*;
use crate::client::Client;
use crate::memory::kind;
use crate::sizes::Place;
use core::sync::atomic::Ordering::Relaxed;
use std::io::Error;

fn errno() -> Option<i32> {
    Error::last_os_error().raw_os_error()
}

impl Model {
    pub(super) fn step(&mut self) {
        if self.rng.chance(200) {
            self.growing = !self.growing;
        }
        if self.clients.is_empty() {
            return self.create_client();
        }
        let client = self.rng.below(self.clients.len());
        let (alloc, free) = if self.growing { (36, 22) } else { (20, 36) };
        let mut roll = self.rng.below(100);
        let mut is = |weight: usize| {
            let hit = roll < weight;
            roll = roll.wrapping_sub(weight);
            hit
        };
        if is(alloc) {
            self.alloc(client);
        } else if is(free) {
            match self.random_start(client) {
                Some(start) => self.free_start(client, start),
                None => self.alloc(client),
            }
        } else if is(14) {
            self.realloc(client);
        } else if is(8) {
            self.wrong_free(client);
        } else if is(8) {
            self.ask_about_addresses(client);
        } else {
            self.rare(client);
        }
    }

    fn rare(&mut self, client: usize) {
        let what = self.rng.below(40);
        trace(|| format!("{}: client {client} rare {what}", self.operation));
        match what {
            0..8 => self.largest(client),
            8..12 => assert_eq!(c!(vmma_trim_client(self.clients[client].handle)), OK),
            12..14 => assert_eq!(c!(vmma_trim_context(self.context)), OK),
            14..16 => self.reset(client),
            16..18 => self.replace(client),
            18..22 => self.set_limit(client),
            22..26 => self.set_guarantee(client),
            26..30 => self.with_handler(client),
            30..34 => self.overrun(client),
            34..38 => self.write_after_free(client),
            _ => self.wrong_realloc(client),
        }
    }

    pub(super) fn random_size(&mut self) -> usize {
        let block = self.block_size();
        match self.rng.below(16) {
            0..9 => self.rng.log(block / 2),
            9 | 10 => (1usize << self.rng.below(block.ilog2() as usize + 2)) + self.rng.below(3) - 1,
            11 => self.rng.below(3 * block),
            12 => block * (1 + self.rng.below(3)) + self.rng.below(17) - 8,
            13 => self.rng.log(16 * block),
            14 if self.rng.chance(8) => usize::MAX - self.rng.log(usize::MAX >> 1),
            _ => self.rng.below(200),
        }
    }

    pub(super) fn random_start(&mut self, client: usize) -> Option<usize> {
        let starts = &self.clients[client].starts;
        (!starts.is_empty()).then(|| starts[self.rng.below(starts.len())])
    }

    // ---- allocation ----

    fn alloc(&mut self, client: usize) {
        let asked = self.random_size();
        let handle = self.clients[client].handle;
        match self.rng.below(10) {
            0 => {
                let count = 1 + self.rng.below(5);
                let pointer = c!(vmma_calloc(handle, count, asked / count));
                let size = asked / count * count;
                if !pointer.is_null() {
                    self.assert_zero(pointer.cast(), 0, size, "calloc");
                }
                self.allocated(client, pointer.cast(), size, 0);
            }
            1 => {
                let alignment = 1usize << self.rng.below(self.block_size().ilog2() as usize + 1);
                let pointer = c!(vmma_aligned_alloc(handle, alignment, asked));
                self.allocated(client, pointer.cast(), asked, alignment);
            }
            _ => {
                let pointer = c!(vmma_alloc(handle, asked));
                self.allocated(client, pointer.cast(), asked, 0);
            }
        }
    }

    /// What must be true of an allocation that just succeeded, or failed.
    pub(super) fn allocated(&mut self, client: usize, pointer: *mut u8, asked: usize, alignment: usize) {
        trace(|| format!("{}: client {client} alloc {asked} aligned {alignment}: {pointer:p}", self.operation));
        if pointer.is_null() {
            return self.refused(client, asked, alignment);
        }
        let size = self.enter(client, pointer, asked.max(1));
        assert!(
            alignment == 0 || pointer.addr().is_multiple_of(alignment),
            "{pointer:p} is not aligned to {alignment}"
        );
        if self.setting.has(VMMA_FLAG_ZERO) {
            self.assert_zero(pointer, 0, size, "ZERO");
        } else if self.setting.has(VMMA_FLAG_WIPE) && self.setting.starts_zeroed() {
            self.assert_zero(pointer, 0, size, "WIPE");
        }
        let live = self.live[&pointer.addr()];
        self.paint(&live, 0, live.size);
    }

    /// A new entry of the map: contained, aligned, disjoint from all others.
    pub(super) fn enter(&mut self, client: usize, pointer: *mut u8, asked: usize) -> usize {
        let handle = self.clients[client].handle;
        let (start, block) = (pointer.addr(), self.block_size());
        let size = c!(vmma_get_size(handle, pointer.cast()));
        assert!(if self.guard() > 0 { size == asked } else { size >= asked }, "get_size {size} of {asked}");
        let natural = if asked > block {
            block
        } else if self.setting.has(VMMA_FLAG_PACKED) {
            1
        } else {
            asked.next_power_of_two()
        };
        let natural = natural.max(c!(vmma_get_alignment(self.context)));
        assert!(start.is_multiple_of(natural), "{pointer:p} of {asked} is not aligned to {natural}");
        let map = &self.inside().map;
        assert!(
            map.offset_of(start).is_some() && map.offset_of(start + size + self.guard() - 1).is_some(),
            "contained"
        );
        let memory = map.memory().addr();
        assert!(memory <= start && start + size <= memory + self.setting.size, "contained");
        if let Some((&other, before)) = self.live.range(..=start).next_back() {
            assert!(other + before.size + self.guard() <= start, "{other:#x}+{} overlaps {pointer:p}", before.size);
        }
        if let Some((&other, _)) = self.live.range(start..).next() {
            assert!(start + size + self.guard() <= other, "{pointer:p}+{size} overlaps {other:#x}");
        }
        let stamp = self.rng.next();
        self.live.insert(start, Live { pointer, client, asked, size, stamp });
        self.clients[client].starts.push(start);
        size
    }

    /// An allocation failed: was that right, and is the reason the right one?
    pub(super) fn refused(&mut self, client: usize, asked: usize, alignment: usize) {
        assert_eq!(errno(), Some(crate::sys::ENOMEM));
        let (block, guard) = (self.block_size(), self.guard());
        let owner = &mut self.clients[client];
        let asked = asked.max(1);
        owner.failed += 1;
        owner.largest_failed = owner.largest_failed.max(asked);
        let status = c!(vmma_get_last_status(owner.handle));
        assert!(status == LIMIT || status == NO_MEMORY, "status {status}");
        owner.last = status;
        let most = c!(vmma_get_max_alloc(owner.handle));
        let held = c!(vmma_get_held_size(owner.handle)) / block;
        let usable = self.initial_blocks - self.slot_blocks();
        if alignment <= c!(vmma_get_alignment(self.context)) && asked <= most {
            // A class without a free cell needs a whole new slab; cells of another class do not help it.
            self.assert_no_slab(client, asked + guard);
        }
        let owner = &self.clients[client];
        let bytes = asked.saturating_add(guard);
        let blocks = bytes.div_ceil(block);
        if blocks > usable {
            assert_eq!(status, NO_MEMORY, "what no context could serve is NO_MEMORY");
            assert_eq!(c!(vmma_get_good_size(self.context, asked)), 0);
            return;
        }
        assert!(c!(vmma_get_good_size(self.context, asked)) >= asked);
        let beyond_limit = owner.limit != 0 && held + blocks > owner.limit.div_ceil(block);
        assert_eq!(status == LIMIT, beyond_limit, "held {held} + {blocks}, limit {}", owner.limit);
        if bytes <= block && status == NO_MEMORY {
            assert!(held >= owner.guarantee.div_ceil(block), "the guarantee of {} was not kept", owner.guarantee);
        }
    }

    /// Is there really no cell for that many bytes, and no room for a slab of such cells?
    fn assert_no_slab(&self, client: usize, bytes: usize) {
        let context = self.inside();
        assert!(!context.sizes.packed(), "{bytes} failed, though more would succeed");
        let Some(Place::Slab(class)) = context.sizes.place_aligned(bytes, 1) else {
            panic!("{bytes} failed, though more would succeed");
        };
        // SAFETY: the client is alive.
        let inner = unsafe { Client::from_handle(self.clients[client].handle.cast()) }.expect("alive");
        assert_eq!(inner.slabs[class].get(), crate::memory::NONE, "there is a slab with a free cell");
        let (units, slab) = (context.map.shape.units_per_block(), context.map.shape.slab_units);
        for block in (0..context.watermark()).filter(|&block| inner.owns_block(context, block)) {
            let dealt = context.map.record(block).owner.load(Relaxed) & 0xff == kind::BUDDY;
            let room = |at: usize| inner.space(context, block).is_free(at, at + slab);
            assert!(!dealt || !(0..units).step_by(slab).any(room), "there is room for a slab");
        }
    }

    // ---- free ----

    pub(super) fn free_start(&mut self, client: usize, start: usize) {
        trace(|| format!("{}: client {client} free {start:#x}", self.operation));
        let live = self.leave(client, start);
        self.assert_painted(&live, 0, live.size);
        assert_eq!(c!(vmma_free(self.clients[client].handle, live.pointer.cast())), OK);
        self.after_free(client, start);
    }

    pub(super) fn leave(&mut self, client: usize, start: usize) -> Live {
        let live = self.live.remove(&start).expect("a live allocation");
        assert_eq!(live.client, client);
        let starts = &mut self.clients[client].starts;
        let at = starts.iter().position(|&each| each == start).expect("the client's own");
        starts.swap_remove(at);
        live
    }

    pub(super) fn after_free(&mut self, client: usize, start: usize) {
        let freed = &mut self.clients[client].freed;
        if freed.len() < 64 {
            freed.push(start);
        } else {
            freed[self.rng.below(64)] = start;
        }
    }

    /// Addresses of all kinds: most are not the start of anything.
    fn random_address(&mut self, client: usize) -> usize {
        let other = self.rng.below(self.clients.len());
        let map = &self.inside().map;
        let (memory, base, size) = (map.memory().addr(), map.base().addr(), map.size());
        let address = match self.rng.below(10) {
            0 | 1 => self.random_start(client).unwrap_or(0),
            2 | 3 => self.random_start(other).unwrap_or(base),
            4 | 5 => self.clients[client].freed.last().copied().unwrap_or(base),
            6 => {
                let freed = &self.clients[other].freed;
                if freed.is_empty() { memory } else { freed[self.rng.below(freed.len())] }
            }
            7 => memory + self.rng.below(size),
            8 => base + self.rng.below(memory + size - base) / 16 * 16,
            _ => self.rng.pick(&[
                memory,
                memory + size,
                base,
                usize::MAX,
                1,
                self.context.addr(),
                memory.wrapping_sub(1),
            ]),
        };
        match self.rng.below(4) {
            0 => address.wrapping_add(self.rng.below(40)),
            1 => address.wrapping_sub(self.rng.below(40)),
            2 => match self.holder(address) {
                Some((start, live)) => start + live.size - 1 + self.rng.below(2 + self.guard()),
                None => address,
            },
            _ => address,
        }
    }

    fn wrong_free(&mut self, client: usize) {
        let address = self.random_address(client);
        self.misuse(client, address, |handle, pointer| c!(vmma_free(handle, pointer)));
    }

    fn wrong_realloc(&mut self, client: usize) {
        let address = self.random_address(client);
        if address == 0 {
            return;
        }
        self.misuse(client, address, |handle, pointer| {
            let new = c!(vmma_realloc(handle, pointer, 40));
            assert!(new.is_null(), "realloc of a wrong address");
            assert_eq!(errno(), Some(crate::sys::EINVAL));
            c!(vmma_get_last_status(handle))
        });
    }

    fn misuse(&mut self, client: usize, address: usize, call: impl FnOnce(*mut vmma_client_t, *mut c_void) -> c_int) {
        trace(|| format!("{}: client {client} misuse of {address:#x}", self.operation));
        let expected = self.expected_free(client, address);
        if matches!(expected, Answer::Exactly(OK, Some(_))) {
            return self.free_start(client, address);
        }
        let before = (self.told.count.get(), c!(vmma_get_free_blocks(self.context)));
        let status = call(self.clients[client].handle, self.context.cast::<c_void>().with_addr(address));
        if expected == Answer::Exactly(OK, None) {
            assert_eq!(status, OK);
            return;
        }
        match expected {
            Answer::Exactly(right, _) => assert_eq!(status, right, "address {address:#x}"),
            Answer::StartOrDouble => assert!(status == NOT_START || status == DOUBLE_FREE, "{status}"),
        }
        assert_eq!((self.told.count.get(), c!(vmma_get_free_blocks(self.context))), (before.0 + 1, before.1));
        self.clients[client].last = status;
        let told = self.told.last.get().expect("the error handler was told");
        assert_eq!((told.status, told.client, told.address.addr()), (status, self.clients[client].handle, address));
        if let Answer::Exactly(_, Some(about)) = expected {
            assert_eq!((told.allocation.addr(), told.size), (about, self.live[&about].size));
        } else if self.guard() == 0 || status == NOT_OWNED {
            assert_eq!((told.allocation.addr(), told.size), (0, 0));
        }
    }

    // ---- realloc ----

    fn realloc(&mut self, client: usize) {
        let Some(start) = self.random_start(client) else { return self.alloc(client) };
        let old = self.live[&start];
        let asked = match self.rng.below(6) {
            0 => old.size,
            1 => old.size / 2,
            2 => old.size + 1 + self.rng.below(64),
            3 => old.size * 2,
            _ => self.random_size(),
        };
        self.assert_painted(&old, 0, old.size);
        let handle = self.clients[client].handle;
        let new = c!(vmma_realloc(handle, old.pointer.cast(), asked)).cast::<u8>();
        trace(|| format!("{}: client {client} realloc {start:#x} to {asked}: {new:p}", self.operation));
        if new.is_null() {
            assert!(asked > old.size, "a shrink from {} to {asked} failed", old.size);
            self.refused(client, asked, 0);
            assert_eq!(c!(vmma_get_size(handle, old.pointer.cast())), old.size);
            return self.assert_painted(&old, 0, old.size);
        }
        self.leave(client, start);
        if new.addr() != start {
            self.after_free(client, start);
        }
        let size = self.enter(client, new, asked.max(1));
        let kept = old.size.min(asked.max(1)).min(size);
        self.assert_painted(&Live { pointer: new, ..old }, 0, kept);
        if self.setting.has(VMMA_FLAG_ZERO) && size > old.size {
            self.assert_zero(new, old.size, size, "ZERO in realloc");
        }
        let live = self.live[&new.addr()];
        self.paint(&live, 0, live.size);
    }

    // ---- questions ----

    fn ask_about_addresses(&mut self, client: usize) {
        for _ in 0..8 {
            let address = self.random_address(client);
            let pointer = self.context.cast::<c_void>().with_addr(address);
            let handle = self.clients[client].handle;
            let holder = self.holder(address);
            let mine = holder.filter(|(_, live)| live.client == client);
            assert_eq!(c!(vmma_test_address(handle, pointer)), mine.is_some() as c_int, "{address:#x}");
            let starts = mine.filter(|(start, _)| *start == address);
            assert_eq!(c!(vmma_get_size(handle, pointer)), starts.map_or(0, |(_, live)| live.size));
            let mut size = 1;
            let found = c!(vmma_find_allocation(handle, pointer, &raw mut size));
            assert_eq!(found.addr(), mine.map_or(0, |(start, _)| start));
            assert_eq!(size, mine.map_or(1, |(_, live)| live.size));
            let owner = c!(vmma_find_client(self.context, pointer));
            let expected = holder.map_or(core::ptr::null_mut(), |(_, live)| self.clients[live.client].handle);
            assert_eq!(owner, expected, "{address:#x}");
        }
    }
}
