//! Free, the long way: every flag, full caches, runs; and what is wrong with an address that can't be freed.
//! May know: context, find, cache, pages, run, quarantine, limits, guard.

use super::find::{self, Found};
use super::limits::closed_all;
use super::quarantine::Written;
use super::{Client, code, visible};
use crate::context::Context;
use crate::context::callbacks::Kind;
use crate::context::report::Misuse;
use crate::flags;
use crate::guard;
use crate::status::Status;
use core::sync::atomic::Ordering::Relaxed;

/// Pieces that leave quarantine in one go before what was found is told.
const EVICTIONS: usize = 8;

/// What one call found out: told when no lock is held any more.
#[derive(Default)]
pub(super) struct Findings {
    written: [Written; EVICTIONS],
    count: usize,
}

impl Findings {
    fn add(&mut self, written: Written) {
        if written.is_some()
            && let Some(place) = self.written.get_mut(self.count)
        {
            *place = written;
            self.count += 1;
        }
    }
}

/// # Safety
/// As `Client::from_handle`; `pointer` may be anything.
#[inline(never)]
pub unsafe fn long_way(handle: *const Client, pointer: *mut u8) -> i32 {
    // SAFETY: as the caller promised.
    if let Some(client) = unsafe { Client::short(handle) } {
        return client.short_free(pointer.addr());
    }
    // SAFETY: as the caller promised.
    match unsafe { Client::from_handle(handle) } {
        Some(client) => {
            let context = client.context();
            if client.is_simple(context) && context.sizes.packed() {
                return client.packed_short_free(context, pointer.addr());
            }
            client.free_second_way(context, pointer.addr())
        }
        None => Status::Invalid.code(),
    }
}

impl Client {
    #[inline(never)]
    fn free_second_way(&self, context: &Context, address: usize) -> i32 {
        if self.is_simple(context) && self.second_free(context, address) {
            return 0;
        }
        self.free(address)
    }

    #[inline(never)]
    pub fn free(&self, address: usize) -> i32 {
        let context = self.context();
        if context.busy(self.address()) {
            self.set_last_status(Status::Busy);
            return Status::Busy.code();
        }
        if address == 0 {
            return 0;
        }
        let result = self.told_by_and_by(context, |findings| match self.startable(context, address) {
            Some(found) if self.make_way(context, &found, findings) => {
                Some(Ok((self.free_piece(context, &found), found)))
            }
            Some(_) => None,
            None => Some(Err(self.what_is_wrong(context, address))),
        });
        match result {
            Ok((None, _)) => 0,
            Ok((Some((changed, size)), found)) => {
                self.misuse(context, Status::Overrun, context.map.address_of(changed).addr(), Some((found, size)));
                Status::Overrun.code()
            }
            Err((status, holder)) => {
                self.misuse(context, status, address, holder);
                status.code()
            }
        }
    }

    /// Tells what is wrong with an address that realloc was given.
    #[cold]
    pub(super) fn wrong_address(&self, context: &Context, address: usize) {
        let (status, holder) = {
            let _lock = self.lock_shared(context);
            self.what_is_wrong(context, address)
        };
        self.misuse(context, status, address, holder);
    }

    /// The piece that begins at an address and is live.
    #[inline(never)]
    pub(super) fn startable(&self, context: &Context, address: usize) -> Option<Found> {
        let offset = context.map.offset_of(address)?;
        let shape = &context.map.shape;
        let granule = offset >> shape.granule_shift;
        if offset & ((1 << shape.granule_shift) - 1) != 0 || granule >= self.granules.get() {
            return None;
        }
        if context.sizes.packed() {
            return find::live_piece(context, self.owner.get(), granule);
        }
        // A live bit in a unit with our word is the start of a live cell or run of ours: nothing else to ask.
        let word = context.map.unit(offset >> shape.unit_shift).load(Relaxed);
        if word & !0xff == self.owner.get() && context.map.is_live(granule) {
            let code = word & 0xff;
            if (code as usize) < context.sizes.count() {
                let usable = context.sizes.class(code as usize).cell as usize;
                return Some(Found { start: offset, usable, code, live: true });
            }
            return find::holder(context, self.owner.get(), offset).filter(|found| found.start == offset && found.live);
        }
        None
    }

    /// Frees a live piece. Some: its red zone was written, at that byte; and its size.
    pub(super) fn free_piece(&self, context: &Context, found: &Found) -> Option<(usize, usize)> {
        let map = &context.map;
        let size = found.size(context);
        let overrun =
            if context.has(flags::GUARD) { guard::first_changed(map, found.start, found.usable) } else { None };
        map.set_live(found.start >> map.shape.granule_shift, false);
        map.tools.end(map.address_of(found.start), size);
        context.made_progress();
        if self.quarantine_put(context, found.start, found.usable) {
            self.settle(context);
            return overrun.map(|changed| (changed, size));
        }
        if context.has(flags::WIPE) {
            map.wipe(found.start, found.usable);
        }
        self.retire(context, found);
        self.settle(context);
        overrun.map(|changed| (changed, size))
    }

    /// Lets pieces out of quarantine for one that is to go in, as many as one go can tell of. False: there have to be more.
    pub(super) fn make_way(&self, context: &Context, found: &Found, findings: &mut Findings) -> bool {
        for _ in 0..EVICTIONS {
            if !self.quarantine_full(context, found.usable) {
                break;
            }
            findings.add(self.quarantine_evict(context));
        }
        !self.quarantine_full(context, found.usable)
    }

    /// Does something under a shared client's lock, and tells what was found when the lock is free again; until it is done.
    pub(super) fn told_by_and_by<T>(&self, context: &Context, work: impl Fn(&mut Findings) -> Option<T>) -> T {
        loop {
            let mut findings = Findings::default();
            let done = {
                let _lock = self.lock_shared(context);
                work(&mut findings)
            };
            self.tell(context, &findings);
            if let Some(done) = done {
                return done;
            }
        }
    }

    /// Puts a piece that is neither live nor in quarantine any more where it serves again.
    pub(super) fn retire(&self, context: &Context, found: &Found) {
        let shape = &context.map.shape;
        let granule = found.start >> shape.granule_shift;
        let class = found.code as usize;
        match found.code {
            code::PIECE => self.packed_retire(context, found.start, found.usable),
            code::HEAD => self.give_run(context, found.start >> shape.block_shift),
            _ => self.retire_cached(context, class, granule),
        }
    }

    /// The same for a piece whose class has a full cache, or none.
    pub(super) fn retire_cached(&self, context: &Context, class: usize, granule: usize) {
        let push = || self.cache_push(context, class, granule);
        let cached = class < context.cached_classes as usize
            && (push() || self.cache_make_room(context, class, granule) && push());
        if !cached {
            self.put_back(context, class, granule);
        }
    }

    /// Why an address can't be freed, and the live piece that it lies in.
    fn what_is_wrong(&self, context: &Context, address: usize) -> (Status, Option<(Found, usize)>) {
        let Some(offset) = context.map.offset_of(address) else { return (Status::NotOwned, None) };
        let block = offset >> context.map.shape.block_shift;
        if block >= context.watermark.load(core::sync::atomic::Ordering::Acquire)
            || context.map.record(block).owner.load(Relaxed) & !0xff != self.owner.get()
        {
            return (Status::NotOwned, None);
        }
        match find::holder(context, self.owner.get(), offset).filter(|found| found.live) {
            // In it, or in its red zone.
            Some(found) => (Status::NotStart, Some((found, found.size(context)))),
            None if address & (context.map.shape.alignment - 1) != 0 => (Status::NotStart, None),
            None => (Status::DoubleFree, None),
        }
    }

    // ---- telling ----

    /// Notes a misuse of this client and tells the host. No lock is held.
    #[cold]
    pub(crate) fn misuse(&self, context: &Context, status: Status, address: usize, about: Option<(Found, usize)>) {
        self.set_last_status(status);
        let name = self.name_bytes(context);
        let (allocation, size) = match about {
            Some((found, size)) => (context.map.address_of(found.start).addr(), size),
            None => (0, 0),
        };
        let misuse = Misuse {
            status,
            client: core::ptr::from_ref(self).cast(),
            name: visible(&name),
            address,
            allocation,
            size,
        };
        let mut report = || context.report(&misuse);
        // In a call on all of the context the handler may change no client.
        if context.busy_as_whole() {
            closed_all(context, &mut report)
        } else {
            self.closed(context, Kind::Ask, report)
        }
        // Once more: what the handler was refused came later, but was not what this call failed for.
        self.set_last_status(status);
    }

    pub(super) fn tell(&self, context: &Context, findings: &Findings) {
        for written in findings.written.iter().take(findings.count).flatten() {
            self.misuse(context, Status::UseAfterFree, context.map.address_of(*written).addr(), None);
        }
    }

    /// Lets everything out of quarantine. True if there was anything.
    pub(crate) fn drain_quarantine(&self, context: &Context) -> bool {
        if !context.has(flags::QUARANTINE) {
            return false;
        }
        let mut any = false;
        loop {
            let mut findings = Findings::default();
            let empty = {
                let _lock = self.lock_shared(context);
                for _ in 0..EVICTIONS {
                    if self.quarantine.count() > 0 {
                        any = true;
                        findings.add(self.quarantine_evict(context));
                    }
                }
                self.quarantine.count() == 0
            };
            self.tell(context, &findings);
            if empty {
                return any;
            }
        }
    }
}
