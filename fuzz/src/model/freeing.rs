//! Frees, right and wrong: the exact status, what is told, what changes and what does not.
//! May know: shadow, host, the C functions.

use super::host::*;
use super::shadow::{Ctx, peek, spots};
use super::{Model, log};
use std::ffi::c_void;
use vmma::ffi::*;

impl Model<'_> {
    /// Frees any address and judges the answer.
    pub fn free(&mut self, ctx: &mut Ctx, who: usize, address: usize) {
        let expected = ctx.predict(who, address);
        let right = expected.statuses == [OK] || expected.statuses == [OVERRUN];
        let before = if right { Vec::new() } else { ctx.figures() };
        if right && let Some(piece) = ctx.clients[who].live.get(&address) {
            piece.verify(address, piece.size);
        }
        ctx.events.list.borrow_mut().clear();
        set_errno(78);
        let client = ctx.clients[who].handle;
        // SAFETY: a live handle; the address may be anything.
        let status = unsafe { vmma_free(client, address as *mut c_void) };
        log!("  free({address:#x}) = {status}");
        assert_eq!(errno(), 78, "errno changed by free");
        self.note(status as usize);
        assert!(expected.statuses.contains(&status), "free({address:#x}): {status}, not {:?}", expected.statuses);
        if status != OK {
            ctx.clients[who].last = Some(status);
            let mut about = if status == NOT_START || status == OVERRUN { expected.about } else { None };
            if !expected.certain {
                about = ctx
                    .events
                    .list
                    .borrow()
                    .first()
                    .and_then(|event| (event.allocation != 0).then_some((event.allocation, event.size)));
                assert!(about.is_none() || about == expected.about);
            }
            let changed = ctx.clients[who].live.get(&address).and_then(|piece| piece.overrun);
            let event = Event {
                status,
                client: client.addr(),
                address: changed.unwrap_or(address),
                allocation: about.map_or(0, |about| about.0),
                size: about.map_or(0, |about| about.1),
            };
            self.expect_events(ctx, who, &[event]);
        } else {
            self.expect_events(ctx, who, &[]);
        }
        if status != OK && status != OVERRUN {
            assert_eq!(ctx.figures(), before, "a refused free changed something");
            return;
        }
        let Some(piece) = ctx.clients[who].live.remove(&address) else { return };
        let quarantined = ctx.has(VMMA_FLAG_QUARANTINE);
        if ctx.has(VMMA_FLAG_WIPE) && !quarantined {
            spots(piece.size, |offset| {
                assert_eq!(peek(address + offset), 0, "not wiped at {offset} of {}", piece.size)
            });
        }
        let freed = &mut ctx.clients[who].freed;
        if freed.len() > 15 {
            freed.remove(0);
        }
        freed.push((address, piece.size));
    }

    pub fn free_any(&mut self, ctx: &mut Ctx, who: usize) {
        if let Some(start) = self.any_live(ctx, who) {
            self.free(ctx, who, start);
        } else {
            self.free(ctx, who, 0);
        }
    }

    /// A stretch of the client's allocations, upwards or downwards.
    pub fn free_many(&mut self, ctx: &mut Ctx, who: usize) {
        let (first, count, step) = (self.bytes.u8() as usize, self.bytes.u8() as usize, self.bytes.below(3) + 1);
        let mut starts: Vec<usize> = ctx.clients[who].live.keys().copied().collect();
        if self.bytes.flag() {
            starts.reverse();
        }
        let from = first % starts.len().max(1);
        for start in starts.into_iter().skip(from).step_by(step).take(count) {
            self.free(ctx, who, start);
        }
    }

    pub fn free_all(&mut self, ctx: &mut Ctx, who: usize) {
        let starts: Vec<usize> = ctx.clients[who].live.keys().copied().collect();
        for start in starts {
            self.free(ctx, who, start);
        }
    }

    /// Addresses of every kind that are nobody's.
    fn garbage(&mut self, ctx: &Ctx, who: usize) -> usize {
        let local = 0u64;
        let handle = ctx.handle.addr();
        match self.bytes.below(10) {
            0 => self.bytes.u64() as usize,
            1 => self.bytes.u8() as usize,
            2 => usize::MAX - self.bytes.u8() as usize,
            3 => (&raw const local).addr(),
            4 => handle,
            5 => ctx.clients[who].handle.addr(),
            6 => handle.wrapping_add(self.bytes.u32() as usize % ctx.size.max(1)),
            7 => handle.wrapping_add(ctx.size).wrapping_sub(self.bytes.u16() as usize),
            8 => handle.wrapping_sub(self.bytes.u16() as usize),
            _ => (handle.wrapping_add(self.bytes.u32() as usize % ctx.size.max(1))) & !(ctx.block - 1),
        }
    }

    pub fn free_garbage(&mut self, ctx: &mut Ctx, who: usize) {
        let address = self.garbage(ctx, who);
        self.free(ctx, who, address);
    }

    pub fn free_again(&mut self, ctx: &mut Ctx, who: usize) {
        let at = self.bytes.below(ctx.clients[who].freed.len());
        if let Some(&(start, _)) = ctx.clients[who].freed.get(at) {
            self.free(ctx, who, start);
        }
    }

    /// Inside an allocation, in front of it, behind it.
    pub fn free_near(&mut self, ctx: &mut Ctx, who: usize) {
        let Some(start) = self.any_live(ctx, who) else { return };
        let size = ctx.clients[who].live.get(&start).map_or(1, |piece| piece.size);
        let address = match self.bytes.below(6) {
            0 => start + 1 + self.bytes.u8() as usize,
            1 => start + self.bytes.u32() as usize % size,
            2 => start + size + self.bytes.u8() as usize,
            3 => start - self.bytes.u8() as usize,
            4 => start + ((self.bytes.u32() as usize % size) & !(ctx.alignment - 1)),
            _ => start + ctx.block,
        };
        self.free(ctx, who, address);
    }

    /// What another client or another context owns, or a client owned that is gone.
    pub fn free_others(&mut self, ctx: &mut Ctx, who: usize) {
        let mut addresses: Vec<usize> = Vec::new();
        for (at, other) in ctx.clients.iter().enumerate() {
            if at != who {
                addresses.extend(other.live.keys());
                addresses.extend(other.freed.iter().map(|freed| freed.0));
            }
        }
        let ghosts = self.bytes.flag();
        if ghosts && !ctx.ghosts.is_empty() {
            addresses.clear();
            addresses.extend(&ctx.ghosts);
        }
        for other in self.contexts.iter().flatten().filter(|_| !ghosts) {
            addresses.extend(other.clients.iter().flat_map(|client| client.live.keys()));
        }
        if !addresses.is_empty() {
            let address = addresses[self.bytes.below(addresses.len())];
            if !ctx.clients[who].live.contains_key(&address) || self.bytes.flag() {
                self.free(ctx, who, address);
            }
        }
    }

    /// Realloc of what is not the start of a live allocation.
    pub fn realloc_wrong(&mut self, ctx: &mut Ctx, who: usize) {
        let address = match (self.any_live(ctx, who), self.bytes.flag()) {
            (Some(start), true) => start + 1 + self.bytes.u8() as usize,
            _ => self.garbage(ctx, who),
        };
        let size = self.bytes.size(ctx.block);
        let expected = ctx.predict(who, address);
        if address == 0 || expected.statuses.iter().any(|&status| status == OK || status == OVERRUN) {
            return;
        }
        let before = ctx.figures();
        ctx.events.list.borrow_mut().clear();
        let client = ctx.clients[who].handle;
        // SAFETY: a live handle; the address may be anything.
        let result = unsafe { vmma_realloc(client, address as *mut c_void, size) };
        assert!(result.is_null());
        assert_eq!(errno(), libc::EINVAL);
        // SAFETY: a live handle.
        let status = unsafe { vmma_get_last_status(client) };
        assert!(expected.statuses.contains(&status), "realloc({address:#x}): {status}, not {:?}", expected.statuses);
        assert_eq!(ctx.figures(), before, "a refused realloc changed something");
        let events = ctx.events.list.take();
        if ctx.listens {
            assert_eq!(events.len(), 1);
            assert!(expected.statuses.contains(&events[0].status) && events[0].address == address);
        }
        ctx.clients[who].last = Some(status);
    }
}
