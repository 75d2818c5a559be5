//! Operations that allocate, free and change sizes, and what each result must be.
//! May know: shadow, host, the C functions.

use super::arena::GARBAGE;
use super::host::*;
use super::shadow::{Ctx, Piece, peek, spots};
use super::{Model, log};
use std::ffi::c_void;
use std::ptr;
use vmma::ffi::*;

/// How memory is asked for.
#[derive(Clone, Copy, PartialEq, Debug)]
enum How {
    Alloc,
    Calloc(usize),
    Aligned(usize),
    Lua,
    Realloc(usize),
    LuaRealloc(usize),
}

impl Model<'_> {
    pub fn alloc(&mut self, ctx: &mut Ctx, who: usize) {
        let size = self.bytes.size(ctx.block);
        self.request(ctx, who, How::Alloc, size);
    }

    pub fn calloc(&mut self, ctx: &mut Ctx, who: usize) {
        let count = self.bytes.pick(&[1, 2, 3, 7, 16, 1000, 0, 1 << 33, usize::MAX]);
        let size = self.bytes.size(ctx.block);
        self.request(ctx, who, How::Calloc(count), size);
    }

    pub fn aligned(&mut self, ctx: &mut Ctx, who: usize) {
        let most = ctx.block.trailing_zeros() as usize + 1;
        let alignment = 1 << self.bytes.below(most);
        let size = self.bytes.size(ctx.block);
        self.request(ctx, who, How::Aligned(alignment), size);
    }

    pub fn realloc(&mut self, ctx: &mut Ctx, who: usize) {
        let how = self.any_live(ctx, who).map_or(How::Realloc(0), How::Realloc);
        let size = self.new_size(ctx, who, how);
        self.request(ctx, who, how, size);
    }

    pub fn lua(&mut self, ctx: &mut Ctx, who: usize) {
        let how = match self.bytes.below(3) {
            0 => How::Lua,
            _ => self.any_live(ctx, who).map_or(How::Lua, How::LuaRealloc),
        };
        let size = self.new_size(ctx, who, how).max(1);
        self.request(ctx, who, how, size);
    }

    /// A size near the old one, or any.
    fn new_size(&mut self, ctx: &Ctx, who: usize, how: How) -> usize {
        if let How::Realloc(start) | How::LuaRealloc(start) = how
            && let Some(piece) = ctx.clients[who].live.get(&start)
        {
            match self.bytes.below(6) {
                0 => return self.bytes.near(piece.size),
                1 => return piece.size * 2,
                2 => return piece.size / 2,
                3 => return piece.size + ctx.block / 4 * self.bytes.below(8),
                _ => {}
            }
        }
        self.bytes.size(ctx.block)
    }

    /// Several of one size: what fills and empties caches.
    pub fn burst(&mut self, ctx: &mut Ctx, who: usize) {
        let count = self.bytes.below(100) + 1;
        let size = self.bytes.size(ctx.block);
        for _ in 0..count {
            if self.request(ctx, who, How::Alloc, size).is_none() {
                break;
            }
        }
    }

    /// Until nothing is left for a size.
    pub fn exhaust(&mut self, ctx: &mut Ctx, who: usize) {
        let size = self.bytes.size(ctx.block).max(ctx.total * ctx.block / 256);
        for _ in 0..300 {
            if self.request(ctx, who, How::Alloc, size).is_none() {
                break;
            }
        }
    }

    /// Asks for memory; whatever comes back is judged. The start of the allocation.
    fn request(&mut self, ctx: &mut Ctx, who: usize, how: How, size: usize) -> Option<usize> {
        let old = match how {
            How::Realloc(start) | How::LuaRealloc(start) => {
                ctx.clients[who].live.get(&start).map(|&piece| (start, piece))
            }
            _ => None,
        };
        let (wanted, alignment) = match how {
            How::Calloc(count) => (size.saturating_mul(count), 1),
            How::Aligned(alignment) => (size, alignment),
            _ => (size, 1),
        };
        let wanted = wanted.max(1);
        // Zeroing and copying gigabytes would take the machine's memory, and finds nothing.
        let touches = !matches!(how, How::Alloc | How::Aligned(_) | How::Lua);
        if touches && ctx.size >> 31 > 0 && wanted.max(old.map_or(0, |(_, piece)| piece.size)) > 4 << 20 {
            return None;
        }
        let must = self.must_succeed(ctx, who, wanted) || old.is_some_and(|(_, piece)| wanted <= piece.size);
        let handler = self.prepare_oom(ctx, who, old.map(|(start, _)| start));
        if let Some((start, piece)) = old {
            piece.verify(start, piece.size);
        }
        set_errno(77);
        let client = ctx.clients[who].handle;
        let before = old.map_or(ptr::null_mut(), |(start, _)| start as *mut c_void);
        // SAFETY: a live handle, and a live allocation of it or NULL.
        let pointer = unsafe {
            match how {
                How::Alloc => vmma_alloc(client, size),
                How::Calloc(count) => vmma_calloc(client, count, size),
                How::Aligned(alignment) => vmma_aligned_alloc(client, alignment, size),
                How::Realloc(_) => vmma_realloc(client, before, size),
                How::Lua => vmma_lua_alloc(client.cast(), ptr::null_mut(), 4, size),
                How::LuaRealloc(_) => vmma_lua_alloc(client.cast(), before, 0, size),
            }
        };
        let errno = errno();
        log!("  {how:x?}({size}) = {:#x}", pointer.addr());
        let calls = ctx.clients[who].oom.calls.get();
        let whole = (ctx.total - ctx.records) * ctx.block;
        self.note_pointer(ctx, pointer.addr());
        if calls > 0 {
            assert!(handler, "a handler that was removed was called");
            assert!(wanted <= whole, "the handler was called for what can never be");
        }
        // What realloc tells of an overrun.
        let mut expected = Vec::new();
        if let Some((start, piece)) = old
            && let Some(address) = piece.overrun
        {
            ctx.clients[who].last = Some(OVERRUN);
            expected.push(Event {
                status: OVERRUN,
                client: client.addr(),
                address,
                allocation: start,
                size: piece.size,
            });
        }
        let had_log = self.apply_oom(ctx, who);
        if had_log && pointer.is_null() {
            ctx.clients[who].last = None;
        }
        if pointer.is_null() {
            assert!(!must, "{how:?} of {wanted} must succeed");
            assert_eq!(errno, libc::ENOMEM);
            // SAFETY: a live handle.
            let last = unsafe { vmma_get_last_status(client) };
            let limited = ctx.clients[who].limit != 0 || had_log;
            if calls == 0 || !ctx.clients[who].scribbles.is_empty() || had_log {
                assert!(last == NO_MEMORY || (last == LIMIT && limited), "last status {last}");
            }
            ctx.clients[who].fails(wanted, last);
            if wanted > whole {
                assert_eq!(last, NO_MEMORY, "the empty context could not serve {wanted}");
            }
            self.expect_events(ctx, who, &expected);
            ctx.clients[who].last = Some(last);
            return None;
        }
        if calls == 0 {
            assert_eq!(errno, 77, "errno changed by a success");
        }
        self.expect_events(ctx, who, &expected);
        if calls > 0 {
            ctx.clients[who].last = None;
        }
        let start = pointer.addr();
        if let Some((old_start, _)) = old {
            ctx.clients[who].live.remove(&old_start);
        }
        let size = self.judge_place(ctx, who, start, wanted, alignment);
        self.judge_content(ctx, start, size, how, wanted, old);
        let mut upper = ctx.upper(wanted, alignment).max(size);
        if let Some((_, piece)) = old {
            upper = upper.max(piece.upper);
        }
        let piece = Piece { size, upper, seed: self.next_seed(), overrun: None };
        piece.fill(start);
        ctx.clients[who].live.insert(start, piece);
        Some(start)
    }

    /// One block that may be taken is enough for anything up to a block.
    fn must_succeed(&self, ctx: &Ctx, who: usize, wanted: usize) -> bool {
        if wanted > ctx.block - ctx.red() {
            return false;
        }
        let client = &ctx.clients[who];
        let held = client.held() / ctx.block;
        // SAFETY: a live handle.
        let free = unsafe { vmma_get_free_blocks(ctx.handle) };
        let allowed = client.limit == 0 || held < ctx.blocks(client.limit);
        allowed && (free > 0 || held < ctx.blocks(client.guarantee))
    }

    /// Where the allocation lies, and how large it is: its vmma_get_size.
    fn judge_place(&mut self, ctx: &mut Ctx, who: usize, start: usize, wanted: usize, alignment: usize) -> usize {
        let client = ctx.clients[who].handle;
        // SAFETY: a live handle.
        let size = unsafe { vmma_get_size(client, start as *const c_void) };
        if ctx.red() > 0 {
            assert_eq!(size, wanted);
        } else {
            assert!(size >= wanted, "{size} < {wanted}");
        }
        let natural = if ctx.has(VMMA_FLAG_PACKED) { 1 } else { wanted.next_power_of_two().min(ctx.block) };
        let aligned = if wanted > ctx.block { ctx.block } else { natural }.max(alignment).max(ctx.alignment);
        assert!(start.is_multiple_of(aligned), "{start:#x} for {wanted} is not aligned to {aligned}");
        let end = start + size + ctx.red();
        match &ctx.given {
            Some(given) => assert!(start >= given.start() && end <= given.start() + ctx.size, "outside the memory"),
            None => assert!(start.abs_diff(ctx.handle.addr()) < ctx.size),
        }
        for other in &ctx.clients {
            if let Some((&at, piece)) = other.live.range(..end).next_back() {
                assert!(at + piece.size + ctx.red() <= start, "{start:#x} + {size} overlaps {at:#x} + {}", piece.size);
            }
        }
        let client = &mut ctx.clients[who];
        client.freed.retain(|&(at, size)| at + size <= start || end <= at);
        // What is behind the new allocation may be its red zone: what was written there is not ours any more.
        let upper = start + size.max(1);
        client.scribbles.retain(|&at| at < start || at >= upper);
        size
    }

    fn judge_content(
        &mut self,
        ctx: &Ctx,
        start: usize,
        size: usize,
        how: How,
        wanted: usize,
        old: Option<(usize, Piece)>,
    ) {
        let kept = old.map_or(0, |(_, piece)| piece.size);
        if let Some((old_start, piece)) = old {
            // The content has come along; `seed` and offsets are those of the old place.
            let moved = Piece { size: piece.size.min(size).min(wanted), ..piece };
            spots(piece.size, |offset| {
                if offset < moved.size {
                    let byte = peek(start + offset);
                    assert_eq!(byte, super::shadow::pattern(piece.seed, offset), "realloc lost offset {offset}");
                }
            });
            if ctx.has(VMMA_FLAG_WIPE) && !ctx.has(VMMA_FLAG_QUARANTINE) {
                let red = if ctx.red() > 0 { 160 } else { 0 };
                let from = if old_start == start { size + red } else { 0 };
                // A move may have put the new place over a part of the old one only if they are the same run.
                spots(piece.size, |offset| {
                    let inside = (start..start + size + red).contains(&(old_start + offset));
                    if offset >= from && !inside {
                        assert_eq!(peek(old_start + offset), 0, "realloc left content at offset {offset}");
                    }
                });
            }
        }
        if ctx.has(VMMA_FLAG_ZERO) && size > kept {
            spots(size, |offset| {
                if offset >= kept {
                    assert_eq!(peek(start + offset), 0, "not zero at {offset} of {size}, was {kept}");
                }
            });
        }
        if let How::Calloc(_) = how {
            spots(wanted, |offset| assert_eq!(peek(start + offset), 0, "calloc: not zero at {offset}"));
        }
        if ctx.has(VMMA_FLAG_WIPE) && !ctx.dirty && old.is_none() {
            spots(size, |offset| {
                let byte = peek(start + offset);
                assert!(byte == 0 || byte == GARBAGE, "somebody's content at {offset} of {size}: {byte:#x}");
            });
        }
    }

    // ---- the out-of-memory handler ----

    /// Lets the handler know what it may free. Is there one?
    fn prepare_oom(&mut self, ctx: &mut Ctx, who: usize, spare: Option<usize>) -> bool {
        ctx.events.list.borrow_mut().clear();
        let client = &ctx.clients[who];
        client.oom.calls.set(0);
        client.oom.log.borrow_mut().clear();
        if client.oom.mode.get() == u8::MAX {
            return false;
        }
        let mut victims = Vec::new();
        for other in ctx.clients.iter().rev() {
            for (&start, piece) in other.live.iter().take(3) {
                if Some(start) != spare && piece.overrun.is_none() && other.scribbles.is_empty() {
                    victims.push((other.handle, start as *mut c_void));
                }
            }
        }
        client.oom.victims.replace(victims);
        // One behind this client in the list, so that its own place there stays.
        let other = ctx.clients.iter().skip(who + 1).next_back();
        client.oom.other.set(other.map_or(ptr::null_mut(), |other| other.handle));
        true
    }

    /// The model does what the handler did. Did it do anything?
    fn apply_oom(&mut self, ctx: &mut Ctx, who: usize) -> bool {
        let handle = ctx.clients[who].handle;
        if ctx.clients[who].oom.mode.get() == 1 {
            assert!(ctx.clients[who].oom.calls.get() <= 1, "asked again though nothing had changed");
        }
        let steps = ctx.clients[who].oom.log.take();
        for step in &steps {
            let Some(me) = ctx.client(handle) else { unreachable!() };
            match *step {
                Step::Freed { client, pointer } => {
                    if let Some(at) = ctx.client(client) {
                        ctx.clients[at].live.remove(&pointer.addr());
                    }
                }
                Step::Allocated { pointer, size } => {
                    let start = pointer.addr();
                    // It may have been freed again meanwhile only by us, so it is live.
                    let piece = Piece { size, upper: ctx.upper(size, 1), seed: self.next_seed(), overrun: None };
                    // SAFETY: a live handle.
                    let real = unsafe { vmma_get_size(handle, pointer) };
                    let piece = Piece { size: real, upper: piece.upper.max(real), ..piece };
                    piece.fill(start);
                    ctx.clients[me].live.insert(start, piece);
                }
                Step::Failed { size } => ctx.clients[me].fails(size, NO_MEMORY),
                Step::Unlimited => ctx.clients[me].limit = 0,
                Step::Deleted { client } => {
                    if let Some(at) = ctx.client(client) {
                        ctx.clients.remove(at);
                        ctx.dead.push(client);
                    }
                }
                Step::Refused => {}
            }
        }
        !steps.is_empty()
    }
}
