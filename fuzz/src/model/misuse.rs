//! Wild writes, bad parameters, dead and NULL handles.
//! May know: shadow, host, the C functions.

use super::Model;
use super::host::*;
use super::shadow::{Ctx, peek, poke};
use std::ffi::c_void;
use std::ptr;
use vmma::ffi::*;

impl Model<'_> {
    /// Writes behind an allocation: found by the checks, then repaired, freed, or reallocated some day.
    pub fn overrun(&mut self, ctx: &mut Ctx, who: usize) {
        if ctx.red() == 0 {
            return;
        }
        let Some(start) = self.any_live(ctx, who) else { return };
        let (offset, change, what) = (self.bytes.below(8), self.bytes.u8() | 1, self.bytes.below(3));
        let Some(piece) = ctx.clients[who].live.get(&start).copied() else { return };
        let handle = ctx.clients[who].handle;
        let address = start + piece.size + offset;
        if piece.overrun.is_some() {
            return;
        }
        poke(address, peek(address) ^ change);
        let (other_overrun, scribbled) = (ctx.clients[who].has_overrun(), !ctx.clients[who].scribbles.is_empty());
        ctx.events.list.borrow_mut().clear();
        // SAFETY: a live handle.
        let status = unsafe { vmma_check_client(handle) };
        assert!(status == OVERRUN || (scribbled && status == USE_AFTER_FREE), "vmma_check_client: {status}");
        let events = ctx.events.list.take();
        if ctx.listens && !other_overrun && !scribbled {
            let event = Event { status: OVERRUN, client: handle.addr(), address, allocation: start, size: piece.size };
            assert_eq!(events, [event]);
        }
        ctx.clients[who].last = None;
        if what == 0 {
            poke(address, peek(address) ^ change);
            return;
        }
        if let Some(piece) = ctx.clients[who].live.get_mut(&start) {
            piece.overrun = Some(address);
        }
        if what == 1 {
            self.free(ctx, who, start);
        }
    }

    /// A client writes into memory that it has freed, in a block that is certainly still its own.
    pub fn scribble(&mut self, ctx: &mut Ctx, who: usize, harmless: bool) {
        let (pick, offset, byte) = (self.bytes.u8() as usize, self.bytes.u32() as usize, self.bytes.u8());
        let restores = self.bytes.flag();
        let quarantined = ctx.has(VMMA_FLAG_QUARANTINE);
        if (quarantined && (harmless || self.trace.is_some())) || (self.trace.is_some() && !self.scribbles) {
            return;
        }
        let client = &ctx.clients[who];
        let Some(&(start, size)) = client.freed.get(pick.checked_rem(client.freed.len()).unwrap_or(0)) else { return };
        let count = if quarantined { 1 } else { size.min(64) };
        for at in 0..count {
            let address = start + (offset.wrapping_add(at * 13)) % size;
            let ours = client.has_live_in(address / ctx.block, ctx.block);
            if !ours || ctx.clients.iter().any(|client| client.near_live(address)) {
                continue;
            }
            let old = peek(address);
            let new = byte.wrapping_add(at as u8);
            if old == new {
                continue;
            }
            poke(address, new);
            if !quarantined {
                ctx.dirty = true;
                continue;
            }
            // SAFETY: a live handle.
            let status = unsafe { vmma_check_client(ctx.clients[who].handle) };
            let may = [OK, USE_AFTER_FREE].contains(&status) || (status == OVERRUN && ctx.clients[who].has_overrun());
            assert!(may, "vmma_check_client: {status}");
            ctx.clients[who].last = None;
            if restores && ctx.clients[who].scribbles.is_empty() {
                poke(address, old);
            } else {
                ctx.dirty = true;
                ctx.clients[who].scribbles.insert(address);
            }
            return;
        }
    }

    /// Parameters that no call accepts, with a live handle: INVALID, and told.
    pub fn bad_parameters(&mut self, ctx: &mut Ctx, who: usize) {
        let (which, value) = (self.bytes.below(9), self.bytes.u32() as usize);
        let (client, context) = (ctx.clients[who].handle, ctx.handle);
        let before = ctx.figures();
        ctx.events.list.borrow_mut().clear();
        let mut whole = false;
        // SAFETY: live handles; each call has a bad parameter.
        unsafe {
            match which {
                0 => {
                    let alignment = [0, 3, ctx.block * 2, usize::MAX, ctx.block + 1, value | 5][value % 6];
                    set_errno(0);
                    assert!(vmma_aligned_alloc(client, alignment, value).is_null());
                    assert_eq!(errno(), libc::EINVAL);
                }
                1 => assert_eq!(vmma_walk_allocations(client, None, ptr::null_mut()), INVALID),
                2 => assert_eq!(vmma_populate_client_stats(client, ptr::null_mut()), INVALID),
                3 => {
                    let mut small = value % size_of::<usize>();
                    assert_eq!(vmma_populate_client_stats(client, (&raw mut small).cast()), INVALID);
                }
                4 => {
                    whole = true;
                    assert_eq!(vmma_dump(context, 3 + (value % 1000) as i32, Some(refuse), ptr::null_mut()), INVALID);
                }
                5 => {
                    whole = true;
                    assert_eq!(vmma_dump(context, 0, None, ptr::null_mut()), INVALID);
                }
                6 => {
                    whole = true;
                    assert_eq!(vmma_walk_clients(context, None, ptr::null_mut()), INVALID);
                }
                7 => {
                    whole = true;
                    assert_eq!(vmma_populate_context_stats(context, ptr::null_mut()), INVALID);
                }
                _ => {
                    whole = true;
                    assert_eq!(vmma_dump(context, -1 - (value % 1000) as i32, Some(refuse), ptr::null_mut()), INVALID);
                }
            }
        }
        if !whole {
            ctx.clients[who].last = Some(INVALID);
        }
        let concerned = if whole { 0 } else { client.addr() };
        let event = Event { status: INVALID, client: concerned, address: 0, allocation: 0, size: 0 };
        let last = ctx.clients[who].last;
        self.expect_events(ctx, who, &[event]);
        if whole {
            ctx.clients[who].last = last;
        }
        assert_eq!(ctx.figures(), before, "a refused call changed something");
    }

    /// Handles of deleted clients, and of deleted contexts in given memory.
    pub fn ask_dead(&mut self, ctx: &mut Ctx) {
        let at = self.bytes.below(ctx.dead.len());
        if let Some(&client) = ctx.dead.get(at) {
            dead_client(client);
        }
        for (place, gone) in self.gone.iter().enumerate() {
            // The memory is untouched only as long as nothing else was put there.
            let reused = self.contexts[place].as_ref().is_some_and(|other| other.given.is_some())
                || (ctx.given.is_some() && ctx.place == place);
            if let Some((context, clients)) = gone
                && !reused
            {
                dead_context(*context);
                clients.iter().for_each(|&client| dead_client(client));
            }
        }
    }

    pub fn ask_null(&mut self) {
        dead_client(ptr::null_mut());
        dead_context(ptr::null_mut());
    }
}

unsafe extern "C" fn refuse(_: *const std::ffi::c_char, _: usize, _: *mut c_void) -> i32 {
    panic!("a writer was called for a call that is refused");
}

unsafe extern "C" fn never(_: Client, _: *mut c_void) -> i32 {
    panic!("a visitor was called for a dead handle");
}

unsafe extern "C" fn never_visit(_: Client, _: *mut c_void, _: usize, _: *mut c_void) -> i32 {
    panic!("a visitor was called for a dead handle");
}

pub fn dead_client(client: Client) {
    let local = 0u64;
    let somewhere = (&raw const local).cast_mut().cast::<c_void>();
    let mut stats = [0usize; 11];
    stats[0] = size_of::<vmma_stats_t>();
    // SAFETY: a handle that is dead or NULL: what this test is about.
    unsafe {
        for pointer in [ptr::null_mut(), somewhere] {
            assert_eq!(vmma_free(client, pointer), INVALID);
            assert_eq!(vmma_test_address(client, pointer), 0);
            assert_eq!(vmma_get_size(client, pointer), 0);
            assert!(vmma_find_allocation(client, pointer, &raw mut stats[1]).is_null());
            set_errno(0);
            assert!(vmma_realloc(client, pointer, 8).is_null() && errno() == libc::EINVAL);
            assert!(vmma_lua_alloc(client.cast(), pointer, 0, 8).is_null());
            assert!(vmma_lua_alloc(client.cast(), pointer, 0, 0).is_null());
        }
        set_errno(0);
        assert!(vmma_alloc(client, 8).is_null() && errno() == libc::EINVAL);
        set_errno(0);
        assert!(vmma_calloc(client, 1, 8).is_null() && errno() == libc::EINVAL);
        set_errno(0);
        assert!(vmma_aligned_alloc(client, 8, 8).is_null() && errno() == libc::EINVAL);
        assert_eq!(vmma_delete_client(client), INVALID);
        assert_eq!(vmma_reset_client(client), INVALID);
        assert_eq!(vmma_trim_client(client), INVALID);
        assert_eq!(vmma_set_limit(client, 1), INVALID);
        assert_eq!(vmma_get_limit(client), 0);
        assert_eq!(vmma_set_guarantee(client, 1), INVALID);
        assert_eq!(vmma_get_guarantee(client), 0);
        assert_eq!(vmma_get_max_alloc(client), 0);
        assert_eq!(vmma_get_last_status(client), INVALID);
        assert_eq!(vmma_set_oom_handler(client, None, ptr::null_mut()), INVALID);
        assert!(vmma_get_context(client).is_null());
        assert_eq!(vmma_set_name(client, c"x".as_ptr()), INVALID);
        assert!(vmma_get_name(client).is_null());
        vmma_set_user_data(client, somewhere);
        assert!(vmma_get_user_data(client).is_null());
        assert_eq!(vmma_get_held_size(client), 0);
        assert_eq!(vmma_get_peak_held_size(client), 0);
        assert_eq!(vmma_populate_client_stats(client, stats.as_mut_ptr().cast()), INVALID);
        assert_eq!(vmma_walk_allocations(client, Some(never_visit), ptr::null_mut()), INVALID);
        assert_eq!(vmma_walk_allocations(client, None, ptr::null_mut()), INVALID);
        assert_eq!(vmma_check_client(client), INVALID);
    }
}

pub fn dead_context(context: Context) {
    let mut stats = [0usize; 11];
    stats[0] = size_of::<vmma_stats_t>();
    // SAFETY: a handle that is dead or NULL: what this test is about.
    unsafe {
        assert_eq!(vmma_delete_context(context), INVALID);
        assert_eq!(vmma_get_accepted_flags(context), 0);
        assert_eq!(vmma_get_total_size(context), 0);
        assert_eq!(vmma_get_alignment(context), 0);
        assert_eq!(vmma_get_block_size(context), 0);
        assert_eq!(vmma_get_total_blocks(context), 0);
        assert_eq!(vmma_get_free_blocks(context), 0);
        assert_eq!(vmma_get_peak_blocks(context), 0);
        assert_eq!(vmma_get_client_count(context), 0);
        assert_eq!(vmma_populate_cached_blocks(context), 0);
        assert_eq!(vmma_get_good_size(context, 8), 0);
        assert_eq!(vmma_trim_context(context), INVALID);
        set_errno(0);
        assert!(vmma_create_client(context).is_null() && errno() == libc::EINVAL);
        assert!(vmma_find_client(context, (&raw const stats).cast()).is_null());
        assert_eq!(vmma_populate_context_stats(context, stats.as_mut_ptr().cast()), INVALID);
        assert_eq!(vmma_walk_clients(context, Some(never), ptr::null_mut()), INVALID);
        assert_eq!(vmma_check_context(context), INVALID);
        assert_eq!(vmma_dump(context, 0, Some(refuse), ptr::null_mut()), INVALID);
        assert_eq!(vmma_set_error_handler(context, None, ptr::null_mut()), INVALID);
    }
}
