//! The rarer operations: what is the largest allocation, clients that come and go, limits, handlers, hardening.
//! May know: the model, the C interface.

use super::expect::*;
use super::*;

impl Model {
    /// n succeeds and n + 1 fails.
    pub(super) fn largest(&mut self, client: usize) {
        let handle = self.clients[client].handle;
        let most = c!(vmma_get_max_alloc(handle));
        trace(|| self.supply(client));
        if self.rng.chance(2) {
            let pointer = c!(vmma_alloc(handle, most + 1));
            assert!(pointer.is_null(), "max_alloc says {most}, but one more succeeds");
            self.refused(client, most + 1, 0);
            trace(|| self.supply(client));
            self.assert_still(client, most);
        }
        if self.rng.chance(2) {
            assert_eq!(c!(vmma_trim_client(handle)), OK);
            self.assert_still(client, most);
        }
        let most = c!(vmma_get_max_alloc(handle));
        if most > 0 {
            let pointer = c!(vmma_alloc(handle, most));
            assert!(!pointer.is_null(), "max_alloc says {most}, but that fails");
            self.allocated(client, pointer.cast(), most, 0);
            if self.rng.chance(2) {
                self.free_start(client, pointer.addr());
            }
        }
    }

    /// Giving up what is only kept changes nothing about the largest allocation.
    fn assert_still(&self, client: usize, most: usize) {
        let owner = &self.clients[client];
        let (now, held) = (c!(vmma_get_max_alloc(owner.handle)), c!(vmma_get_held_size(owner.handle)));
        // But above its limit a client does not get back the empty blocks that it gave up.
        let above = owner.limit != 0 && held / self.block_size() >= owner.limit.div_ceil(self.block_size());
        assert!(now == most || (above && now < most), "{now} after giving up, {most} before");
    }

    fn supply(&self, client: usize) -> String {
        let owner = &self.clients[client];
        let (block, held) = (self.block_size(), c!(vmma_get_held_size(owner.handle)));
        let (limit, guarantee) = (owner.limit.div_ceil(block), owner.guarantee.div_ceil(block));
        let free = c!(vmma_get_free_blocks(self.context));
        let most = c!(vmma_get_max_alloc(owner.handle));
        format!("held {} limit {limit} guarantee {guarantee} free for all {free} most {most}", held / block)
    }

    // ---- clients ----

    fn forget(&mut self, client: usize) {
        for start in std::mem::take(&mut self.clients[client].starts) {
            let live = self.live.remove(&start).expect("a live allocation");
            self.assert_painted(&live, 0, live.size);
        }
    }

    pub(super) fn reset(&mut self, client: usize) {
        trace(|| format!("{}: client {client} reset", self.operation));
        self.forget(client);
        let owner = &mut self.clients[client];
        assert_eq!(c!(vmma_reset_client(owner.handle)), OK);
        assert_eq!(c!(vmma_get_held_size(owner.handle)), 0);
        assert_eq!(c!(vmma_get_peak_held_size(owner.handle)), 0);
        (owner.failed, owner.largest_failed, owner.last, owner.peak) = (0, 0, OK, 0);
    }

    /// Deletes a client, or makes one more.
    pub(super) fn replace(&mut self, client: usize) {
        trace(|| format!("{}: client {client} replaced", self.operation));
        if self.clients.len() < 9 && self.rng.chance(2) {
            return self.create_client();
        }
        self.forget(client);
        let owner = self.clients.swap_remove(client);
        assert_eq!(c!(vmma_delete_client(owner.handle)), OK);
        assert_eq!(c!(vmma_get_last_status(owner.handle)), INVALID);
        assert!(c!(vmma_alloc(owner.handle, 1)).is_null());
        let moved = self.clients.len();
        for live in self.live.values_mut().filter(|live| live.client == moved) {
            live.client = client;
        }
        assert_eq!(c!(vmma_free(owner.handle, self.context.cast())), INVALID);
    }

    pub(super) fn set_limit(&mut self, client: usize) {
        let most = self.block_size() * 12;
        let bytes = if self.rng.chance(2) { 0 } else { self.rng.below(most) };
        let owner = &mut self.clients[client];
        let right = if bytes != 0 && bytes < owner.guarantee { INVALID } else { OK };
        trace(|| format!("{}: client {client} limit {bytes}: {right}", self.operation));
        assert_eq!(c!(vmma_set_limit(owner.handle, bytes)), right);
        if right == OK {
            owner.limit = bytes;
        } else {
            owner.last = right;
        }
    }

    pub(super) fn set_guarantee(&mut self, client: usize) {
        let block = self.block_size();
        let bytes = if self.rng.chance(2) { 0 } else { self.rng.below(6 * block) };
        let free = c!(vmma_get_free_blocks(self.context));
        let owner = &mut self.clients[client];
        let held = c!(vmma_get_held_size(owner.handle)) / block;
        let set_aside = owner.guarantee.div_ceil(block).saturating_sub(held);
        let right = if owner.limit != 0 && bytes > owner.limit {
            INVALID
        } else if bytes.div_ceil(block).saturating_sub(held) > free + set_aside {
            NO_MEMORY
        } else {
            OK
        };
        trace(|| format!("{}: client {client} guarantee {bytes}: {right}", self.operation));
        assert_eq!(c!(vmma_set_guarantee(owner.handle, bytes)), right);
        if right == OK {
            owner.guarantee = bytes;
        } else {
            owner.last = right;
        }
    }

    // ---- handlers and hardening ----

    /// An out-of-memory handler that frees one allocation, and then gives up.
    pub(super) fn with_handler(&mut self, client: usize) {
        let Some(start) = self.random_start(client) else { return };
        let handle = self.clients[client].handle;
        let victim = Cell::new(self.live[&start].pointer.cast::<c_void>());
        let user = (&raw const victim).cast_mut().cast();
        assert_eq!(c!(vmma_set_oom_handler(handle, Some(free_victim), user)), OK);
        let asked = self.random_size();
        let pointer = c!(vmma_alloc(handle, asked));
        if victim.get().is_null() {
            self.leave(client, start);
            self.after_free(client, start);
            self.clients[client].last = vmma_status::VMMA_E_BUSY as c_int;
        }
        assert_eq!(c!(vmma_set_oom_handler(handle, None, core::ptr::null_mut())), OK);
        self.allocated(client, pointer.cast(), asked, 0);
    }

    pub(super) fn overrun(&mut self, client: usize) {
        if self.guard() == 0 {
            return;
        }
        let Some(start) = self.random_start(client) else { return };
        let live = self.live[&start];
        let behind = live.size + self.rng.below(RED);
        let byte = c!(live.pointer.add(behind).read());
        c!(live.pointer.add(behind).write(!byte));
        let owner = &mut self.clients[client];
        assert_eq!(c!(vmma_check_client(owner.handle)), OVERRUN);
        assert_eq!(self.told.last.get().map(|told| told.address.addr()), Some(start + behind));
        owner.last = OVERRUN;
        match self.rng.below(3) {
            0 => c!(live.pointer.add(behind).write(byte)),
            1 => {
                self.leave(client, start);
                assert_eq!(c!(vmma_free(self.clients[client].handle, live.pointer.cast())), OVERRUN);
                self.after_free(client, start);
            }
            _ => self.realloc_this(client, start, live),
        }
    }

    /// A realloc that meets an overrun tells, and does its work.
    fn realloc_this(&mut self, client: usize, start: usize, live: Live) {
        let before = self.told.count.get();
        let new = c!(vmma_realloc(self.clients[client].handle, live.pointer.cast(), live.asked));
        assert!(!new.is_null());
        assert_eq!(self.told.count.get(), before + 1);
        self.leave(client, start);
        self.enter(client, new.cast(), live.asked);
        let now = self.live[&new.addr()];
        self.paint(&now, 0, now.size);
    }

    pub(super) fn write_after_free(&mut self, client: usize) {
        if !self.setting.has(VMMA_FLAG_QUARANTINE) {
            return;
        }
        let Some(start) = self.random_start(client) else { return };
        let live = self.live[&start];
        self.free_start(client, start);
        let at = self.rng.below(live.size);
        let handle = self.clients[client].handle;
        let byte = c!(live.pointer.add(at).read());
        c!(live.pointer.add(at).write(!byte));
        let status = c!(vmma_check_client(handle));
        if status == OK {
            // It did not fit into the quarantine: nobody looks, and nobody may be harmed.
            return c!(live.pointer.add(at).write(byte));
        }
        assert_eq!(status, USE_AFTER_FREE);
        assert_eq!(self.told.last.get().map(|told| told.address.addr()), Some(start + at));
        let before = self.told.count.get();
        assert_eq!(c!(vmma_trim_client(handle)), OK);
        assert_eq!(self.told.count.get(), before + 1, "told again when it leaves");
        let told = self.told.last.get().expect("told");
        assert_eq!((told.status, told.client, told.address.addr()), (USE_AFTER_FREE, handle, start + at));
        assert_eq!(c!(vmma_check_client(handle)), OK, "it has left the quarantine");
        self.clients[client].last = USE_AFTER_FREE;
    }
}

extern "C" fn free_victim(client: *mut vmma_client_t, size: usize, reason: c_int, user: *mut c_void) -> c_int {
    assert!(size > 0 && (reason == LIMIT || reason == NO_MEMORY));
    // SAFETY: the user pointer is the cell of the caller above.
    let victim = unsafe { &*user.cast::<Cell<*mut c_void>>() };
    let pointer = victim.replace(core::ptr::null_mut());
    if pointer.is_null() {
        return 0;
    }
    assert_eq!(c!(vmma_free(client, pointer)), OK);
    assert_eq!(c!(vmma_delete_client(client)), vmma_status::VMMA_E_BUSY as c_int);
    1
}
