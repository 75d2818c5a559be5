//! Questions: addresses, figures, walks, dumps, the largest allocation.
//! May know: shadow, host, text (dumps), the C functions.

use super::Model;
use super::host::*;
use super::shadow::{Ctx, stats_of};
use super::text;
use std::ffi::{c_char, c_int, c_void};
use std::ptr;
use vmma::ffi::*;

impl Model<'_> {
    /// Every question about addresses, asked about some that matter.
    pub fn ask_addresses(&mut self, ctx: &mut Ctx, who: usize) {
        let mut addresses =
            vec![self.bytes.u64() as usize, ctx.handle.addr(), ctx.clients[who].handle.addr(), 0, 1, usize::MAX];
        let asked = self.bytes.u16() as usize;
        for client in &ctx.clients {
            let skip = asked.checked_rem(client.live.len()).unwrap_or(0);
            for (&start, piece) in client.live.iter().skip(skip).take(4) {
                addresses.extend([start, start.wrapping_sub(1), start + 1, start + asked % piece.size]);
                addresses.extend([start + piece.size - 1, start + piece.size, start + piece.size + 8]);
            }
            addresses.extend(client.freed.iter().take(3).map(|freed| freed.0));
        }
        addresses.extend(ctx.ghosts.iter().rev().take(12));
        let client = ctx.clients[who].handle;
        for address in addresses {
            let held = ctx.clients[who].holder(address);
            let pointer = address as *const c_void;
            let mut size = 99;
            // SAFETY: live handles; addresses may be anything.
            unsafe {
                assert_eq!(vmma_test_address(client, pointer), held.is_some() as i32, "test {address:#x}");
                let starts = held.filter(|held| held.0 == address);
                assert_eq!(
                    vmma_get_size(client, pointer),
                    starts.map_or(0, |held| held.1.size),
                    "size at {address:#x}"
                );
                let found = vmma_find_allocation(client, pointer, &raw mut size);
                assert_eq!(found.addr(), held.map_or(0, |held| held.0), "find {address:#x}");
                assert_eq!(size, held.map_or(99, |held| held.1.size));
                assert_eq!(vmma_find_allocation(client, pointer, ptr::null_mut()), found);
                let owner = ctx.owner(address).map_or(ptr::null_mut(), |at| ctx.clients[at].handle);
                assert_eq!(vmma_find_client(ctx.handle, pointer), owner, "owner of {address:#x}");
            }
        }
        // SAFETY: a live handle.
        assert_eq!(unsafe { vmma_get_context(client) }, ctx.handle);
    }

    /// Does something without the client's out-of-memory handler.
    fn without_handler(&mut self, ctx: &mut Ctx, who: usize, work: impl FnOnce(&mut Self, &mut Ctx)) {
        let client = ctx.clients[who].handle;
        // SAFETY: live handles; the Oom lives as long as the client.
        unsafe {
            assert_eq!(vmma_set_oom_handler(client, None, ptr::null_mut()), OK);
            work(self, ctx);
            if ctx.clients[who].oom.mode.get() != u8::MAX {
                let user = ptr::from_ref(&*ctx.clients[who].oom).cast_mut().cast();
                assert_eq!(vmma_set_oom_handler(client, Some(on_oom), user), OK);
            }
        }
    }

    /// One byte more than vmma_get_max_alloc fails, and so much succeeds.
    pub fn ask_max_alloc(&mut self, ctx: &mut Ctx, who: usize) {
        if ctx.clients[who].scribbles.is_empty() {
            self.without_handler(ctx, who, |model, ctx| model.max_alloc(ctx, who));
        }
    }

    fn max_alloc(&mut self, ctx: &mut Ctx, who: usize) {
        let client = ctx.clients[who].handle;
        // SAFETY: a live handle.
        unsafe {
            let most = vmma_get_max_alloc(client);
            self.note(most);
            assert_eq!(vmma_get_max_alloc(client), most, "asking changed the answer");
            // A client above its limit does not get back what it gives up to serve a request.
            let above = ctx.clients[who].limit != 0
                && vmma_get_held_size(client) / ctx.block > ctx.blocks(ctx.clients[who].limit);
            if most > 0 {
                let pointer = vmma_alloc(client, most);
                assert!(!pointer.is_null(), "max_alloc {most} failed: {}", vmma_get_last_status(client));
                assert!(vmma_get_size(client, pointer) >= most);
                assert_eq!(vmma_free(client, pointer), OK);
            }
            let again = vmma_get_max_alloc(client);
            assert!(again == most || above, "max_alloc {most}, after alloc and free {again}");
            assert!(vmma_alloc(client, again + 1).is_null(), "max_alloc {again}, but one more succeeded");
            let last = vmma_get_last_status(client);
            assert!(last == NO_MEMORY || (last == LIMIT && ctx.clients[who].limit != 0));
            ctx.clients[who].fails(again + 1, last);
            let after = vmma_get_max_alloc(client);
            assert!(after == again || above, "max_alloc {again}, after a failure {after}");
        }
    }

    pub fn ask_figures(&mut self, ctx: &mut Ctx) {
        let mut sum = [0usize; 11];
        for client in &ctx.clients {
            let stats = stats_of(client.handle);
            let [_, held, count, live, cached, cached_blocks, free, largest, overhead, failed, largest_failed] = stats;
            assert_eq!(held, client.held());
            assert_eq!(count, client.live.len());
            assert_eq!(live, client.live.values().map(|piece| piece.size).sum::<usize>());
            assert_eq!((failed, largest_failed), (client.failed, client.largest_failed));
            assert!(live + cached + free <= held, "{live} live, {cached} cached, {free} free of {held}");
            assert!(cached_blocks * ctx.block <= held && largest <= held && overhead > 0);
            let used = client.live_blocks(ctx.block).len();
            assert!(used + cached_blocks <= held / ctx.block, "{used} used, {cached_blocks} cached of {held}");
            if ctx.has(VMMA_FLAG_NO_CACHE) && !ctx.has(VMMA_FLAG_QUARANTINE) {
                assert_eq!((cached, cached_blocks), (0, 0), "NO_CACHE keeps something");
            }
            for (at, value) in stats.iter().enumerate().skip(1) {
                sum[at] = if matches!(at, 7 | 10) { sum[at].max(*value) } else { sum[at] + value };
            }
            self.note(held);
        }
        let mut stats = [usize::MAX; 12];
        let known = self.bytes.below(13) * size_of::<usize>() + self.bytes.below(8);
        let known = known.clamp(size_of::<usize>(), 12 * size_of::<usize>());
        stats[0] = known;
        // SAFETY: a live handle, and as much room as the struct says.
        unsafe {
            assert_eq!(vmma_populate_context_stats(ctx.handle, stats.as_mut_ptr().cast()), OK);
            assert_eq!(vmma_populate_cached_blocks(ctx.handle), sum[5]);
        }
        assert_eq!(stats[0], known);
        for (at, value) in stats.iter().enumerate().skip(1) {
            let whole = (at + 1) * size_of::<usize>() <= known;
            match (whole, at) {
                // Bytes behind the last field that the library knows are zero, were they only some.
                (false, 11) => {}
                (false, _) => assert_eq!(*value, usize::MAX, "field {at} of a struct of {known} bytes"),
                (true, 8) => assert!(*value > 0),
                (true, 11) => assert_eq!(*value, 0),
                (true, _) => assert_eq!(*value, sum[at], "field {at}"),
            }
        }
        // SAFETY: a live handle.
        unsafe {
            assert_eq!(vmma_get_client_count(ctx.handle), ctx.clients.len());
            assert_eq!(vmma_get_total_blocks(ctx.handle), ctx.total);
            assert_eq!(vmma_get_total_size(ctx.handle), ctx.size);
            assert_eq!(vmma_get_accepted_flags(ctx.handle), ctx.flags);
        }
        for client in &ctx.clients {
            // SAFETY: live handles.
            unsafe {
                assert_eq!(vmma_get_limit(client.handle), client.limit);
                assert_eq!(vmma_get_guarantee(client.handle), client.guarantee);
                assert_eq!(vmma_get_user_data(client.handle).addr(), client.user_data);
                assert_eq!(std::ffi::CStr::from_ptr(vmma_get_name(client.handle)).to_bytes(), client.name);
            }
        }
    }

    /// vmma_get_good_size says what vmma_get_size will say.
    pub fn ask_good_size(&mut self, ctx: &mut Ctx, who: usize) {
        if ctx.clients[who].scribbles.is_empty() {
            self.without_handler(ctx, who, |model, ctx| model.good_size(ctx, who));
        }
    }

    fn good_size(&mut self, ctx: &mut Ctx, who: usize) {
        let size = self.bytes.size(ctx.block);
        let client = ctx.clients[who].handle;
        // SAFETY: a live handle.
        unsafe {
            let good = vmma_get_good_size(ctx.handle, size);
            assert!(good == 0 || good >= size.max(1));
            let pointer = vmma_alloc(client, size);
            if pointer.is_null() {
                ctx.clients[who].fails(size.max(1), vmma_get_last_status(client));
                return;
            }
            assert_eq!(vmma_get_size(client, pointer), good, "good size of {size}");
            assert_eq!(vmma_free(client, pointer), OK);
        }
    }

    pub fn walk(&mut self, ctx: &mut Ctx, who: usize) {
        let client = &ctx.clients[who];
        let stop = if self.bytes.flag() { self.bytes.u8() as usize } else { usize::MAX };
        let mut walk =
            Walk { client: client.handle, context: ctx.handle, found: Vec::new(), stop, provokes: self.bytes.flag() };
        // SAFETY: a live handle; the visitor's user data is the Walk.
        let result = unsafe { vmma_walk_allocations(client.handle, Some(visit), (&raw mut walk).cast()) };
        let live: Vec<(usize, usize)> = client.live.iter().map(|(&start, piece)| (start, piece.size)).collect();
        let stops = stop < live.len();
        assert_eq!(result, if stops { 7 } else { OK });
        assert_eq!(walk.found, live[..live.len().min(stop.saturating_add(1))], "the walk");
        let provoked = walk.provokes && !walk.found.is_empty();
        let mut clients = Clients { context: ctx.handle, found: Vec::new(), provokes: walk.provokes };
        // SAFETY: as above.
        assert_eq!(unsafe { vmma_walk_clients(ctx.handle, Some(visit_client), (&raw mut clients).cast()) }, OK);
        clients.found.sort_unstable();
        let mut expected: Vec<usize> = ctx.clients.iter().map(|client| client.handle.addr()).collect();
        expected.sort_unstable();
        assert_eq!(clients.found, expected);
        if provoked {
            ctx.clients[who].last = Some(BUSY);
        }
        if walk.provokes {
            ctx.clients.iter_mut().for_each(|client| client.last = Some(BUSY));
        }
    }

    pub fn dump(&mut self, ctx: &mut Ctx) {
        let format = self.bytes.below(3) as c_int;
        let stop = if self.bytes.below(4) == 0 { self.bytes.u16() as usize } else { usize::MAX };
        let client = if self.bytes.flag() { ctx.clients[0].handle } else { ptr::null_mut() };
        let mut dump = Dump { text: Vec::new(), stop, context: ctx.handle, client };
        // SAFETY: a live handle; the writer's user data is the Dump.
        let result = unsafe { vmma_dump(ctx.handle, format, Some(write), (&raw mut dump).cast()) };
        if !client.is_null() {
            ctx.clients[0].last = Some(BUSY);
        }
        if dump.text.len() > stop {
            assert_eq!(result, 9);
            return;
        }
        assert_eq!(result, OK);
        match format {
            1 => assert_eq!(text::json(&dump.text), Ok(()), "{}", String::from_utf8_lossy(&dump.text)),
            2 => assert_eq!(text::xml(&dump.text), Ok(()), "{}", String::from_utf8_lossy(&dump.text)),
            _ => assert!(!dump.text.is_empty() && std::str::from_utf8(&dump.text).is_ok()),
        }
    }
}

struct Walk {
    client: Client,
    context: Context,
    found: Vec<(usize, usize)>,
    stop: usize,
    provokes: bool,
}

unsafe extern "C" fn visit(client: Client, allocation: *mut c_void, size: usize, user: *mut c_void) -> c_int {
    // SAFETY: `user` is the Walk of the caller.
    let walk = unsafe { &mut *user.cast::<Walk>() };
    assert_eq!(client, walk.client);
    walk.found.push((allocation.addr(), size));
    // SAFETY: live handles; what may not be done must be refused.
    unsafe {
        assert_eq!(vmma_get_size(client, allocation), size);
        if walk.provokes {
            refuses_changes(client, allocation);
            assert_eq!(vmma_delete_context(walk.context), BUSY);
            assert_eq!(vmma_trim_context(walk.context), BUSY);
        }
    }
    if walk.found.len() > walk.stop { 7 } else { 0 }
}

struct Clients {
    context: Context,
    found: Vec<usize>,
    provokes: bool,
}

unsafe extern "C" fn visit_client(client: Client, user: *mut c_void) -> c_int {
    // SAFETY: `user` is the Clients of the caller.
    let clients = unsafe { &mut *user.cast::<Clients>() };
    clients.found.push(client.addr());
    if clients.provokes {
        // SAFETY: live handles; what may not be done must be refused.
        unsafe {
            refuses_changes(client, ptr::null_mut());
            set_errno(0);
            assert!(vmma_create_client(clients.context).is_null() && errno() == libc::EBUSY);
            assert_eq!(vmma_delete_context(clients.context), BUSY);
        }
    }
    0
}

struct Dump {
    text: Vec<u8>,
    stop: usize,
    context: Context,
    /// Whom the writer tries to change, if not NULL.
    client: Client,
}

unsafe extern "C" fn write(text: *const c_char, length: usize, user: *mut c_void) -> c_int {
    // SAFETY: `user` is the Dump of the caller; the library gives `length` bytes.
    let (dump, text) = unsafe { (&mut *user.cast::<Dump>(), std::slice::from_raw_parts(text.cast::<u8>(), length)) };
    if dump.text.is_empty() && !dump.client.is_null() {
        // SAFETY: live handles; what may not be done must be refused.
        unsafe {
            refuses_changes(dump.client, ptr::null_mut());
            assert_eq!(vmma_trim_context(dump.context), BUSY);
            assert_eq!(vmma_delete_context(dump.context), BUSY);
            assert!(vmma_create_client(dump.context).is_null() && errno() == libc::EBUSY);
        }
    }
    dump.text.extend_from_slice(text);
    if dump.text.len() > dump.stop { 9 } else { 0 }
}
