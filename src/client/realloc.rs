//! Reallocation: in place whenever the neighbourhood allows, else to a new place.
//!
//! In this order: the same cell or run; a run that is cut, or that grows into free units or blocks behind it; a move.
//! A shrink never fails: where a smaller place can't be had, the allocation stays where it is.
//! May know: context, find, pages, run, alloc, free, guard.

use super::alloc::Request;
use super::find::Found;
use super::free::Findings;
use super::{Client, code};
use crate::context::Context;
use crate::flags;
use crate::guard;
use crate::sizes::Place;
use crate::status::Status;
use crate::sys;
use core::sync::atomic::Ordering::Relaxed;

/// # Safety
/// As `Client::from_handle`; `pointer` may be anything.
#[inline(never)]
pub unsafe fn long_way(handle: *const Client, pointer: *mut u8, size: usize) -> *mut u8 {
    // SAFETY: as the caller promised.
    match unsafe { Client::from_handle(handle) } {
        Some(client) => client.reallocate(pointer.addr(), size),
        None => {
            sys::set_errno(sys::EINVAL);
            core::ptr::null_mut()
        }
    }
}

impl Client {
    #[inline(never)]
    pub fn reallocate(&self, address: usize, size: usize) -> *mut u8 {
        let context = self.context();
        if self.is_simple(context) {
            if context.sizes.packed() {
                if let Some((found, owner, fits)) = self.packed_short_resize(context, address, size) {
                    return self.packed_short_move(context, &found, owner, fits, size);
                }
            } else if self.second_realloc(context, address, size) {
                return context.map.address_of(address.wrapping_sub(context.map.base().addr()));
            }
        }
        let request = Request { size: size.max(1), alignment: 0, zero: false };
        if address == 0 || context.busy(self.address()) {
            return self.allocate(request);
        }
        let Some((found, owner, old_size, changed)) = self.start_locked(context, address) else {
            return self.refuse_address(context, address);
        };
        if let Some(changed) = changed {
            self.misuse(context, Status::Overrun, context.map.address_of(changed).addr(), Some((found, old_size)));
        }
        let place = Self::place(context, request.size, 0);
        if let Some(place) = place {
            let done = {
                let _lock = self.lock_shared(context);
                // The lock was not held since it was found.
                self.is_still(context, &found, owner)
                    .then(|| self.in_place(context, &found, old_size, place, request.size))
            };
            match done {
                Some(true) => return context.map.address_of(found.start),
                Some(false) => {}
                None => return self.refuse_address(context, address),
            }
        }
        self.move_to(context, &found, owner, old_size, place, &request)
    }

    /// PACKED: moves a piece that does not fit where it is.
    fn packed_short_move(&self, context: &Context, found: &Found, owner: u32, fits: bool, size: usize) -> *mut u8 {
        let from = context.map.address_of(found.start);
        if fits {
            return from;
        }
        let moved = self.packed_short_alloc(context, size);
        match context.map.offset_of(moved.addr()) {
            None => moved,
            // Nobody else could have freed it, but the handler, and nobody watches.
            Some(to) if self.is_short() && self.is_still(context, found, owner) => {
                context.map.copy(found.start, to, found.usable.min(size));
                self.short_free(from.addr());
                moved
            }
            Some(to) => self.settle_move(context, found, owner, found.usable, size, Ok(to)),
        }
    }

    /// The live piece that begins at an address, whose it is, its size, and the first changed byte of its red zone.
    fn start_locked(&self, context: &Context, address: usize) -> Option<(Found, u32, usize, Option<usize>)> {
        let _lock = self.lock_shared(context);
        let (found, size) = self.find_start(address)?;
        let guarded = context.has(flags::GUARD);
        let changed = if guarded { guard::first_changed(&context.map, found.start, found.usable) } else { None };
        Some((found, self.owner.get(), size, changed))
    }

    /// Changes the size without moving, if that can be done; ZERO, GUARD and WIPE are seen to.
    fn in_place(&self, context: &Context, found: &Found, old_size: usize, place: Place, size: usize) -> bool {
        let map = &context.map;
        let usable = context.sizes.usable(place);
        let shift = map.shape.unit_shift;
        let first = found.start >> shift;
        if usable < found.usable && context.has(flags::WIPE) {
            let cut = match place {
                Place::Slab(_) => false,
                Place::Units { .. } => found.code < code::HEAD && found.code as usize >= context.sizes.count(),
                Place::Blocks { .. } => found.code == code::HEAD,
                Place::Piece { .. } => true,
            };
            if cut {
                map.wipe(found.start + usable, found.usable - usable);
            }
        }
        let fits = match place {
            Place::Slab(class) => found.code as usize == class,
            Place::Piece { bytes, .. } => self.packed_resize(context, found.start, found.usable, bytes),
            Place::Units { units, run } if found.code < code::HEAD && found.code as usize >= context.sizes.count() => {
                let old = found.usable >> shift;
                let done = if units <= old {
                    if units < old {
                        self.return_units(context, first + units, first + old);
                    }
                    true
                } else {
                    first & (units.next_power_of_two() - 1) == 0 && self.take_units(context, first + old, first + units)
                };
                if done {
                    let class = context.sizes.count() as u32 + run;
                    map.unit(first).store(self.owner.get() | class, Relaxed);
                }
                done
            }
            Place::Blocks { blocks, units } if found.code == code::HEAD => {
                self.resize_run(context, found.start >> map.shape.block_shift, blocks, units)
            }
            _ => false,
        };
        if fits {
            if usable < found.usable {
                context.made_progress();
                self.settle(context);
            }
            self.dress(context, found.start, usable, old_size, size);
        }
        fits
    }

    /// After a change of size: what is new is zero (ZERO), what is no longer used is too (WIPE), the red zone is drawn.
    fn dress(&self, context: &Context, start: usize, usable: usize, old_size: usize, size: usize) {
        let map = &context.map;
        let new_size = if context.has(flags::GUARD) { size } else { usable };
        map.tools.resize(map.address_of(start), old_size, new_size);
        if context.has(flags::ZERO) && new_size > old_size {
            map.fill(start + old_size, new_size - old_size, 0);
        }
        if context.has(flags::WIPE) && context.has(flags::GUARD) && new_size < old_size {
            map.wipe(start + new_size, usable.min(old_size) - new_size);
        }
        if context.has(flags::GUARD) {
            guard::draw(map, start, usable, size);
        }
    }

    /// Moves, if it has to and can; stays, if it need not move.
    fn move_to(
        &self,
        context: &Context,
        found: &Found,
        owner: u32,
        old_size: usize,
        place: Option<Place>,
        request: &Request,
    ) -> *mut u8 {
        let room = if context.has(flags::GUARD) { found.usable - guard::RED_ZONE } else { found.usable };
        let stays = request.size <= room;
        let usable = place.map_or(usize::MAX, |place| context.sizes.usable(place));
        let new = if stays {
            // Moving pays where it gives a quarter of the memory back.
            let worth = usable <= found.usable / 4 * 3;
            match place {
                Some(place) if worth => self.attempt_quietly(context, place, request),
                _ => None,
            }
        } else {
            let address = self.allocate(*request);
            if address.is_null() {
                return address;
            }
            context.map.offset_of(address.addr())
        };
        self.settle_move(context, found, owner, old_size, request.size, new.ok_or(place))
    }

    /// The end of a move to an offset, or of staying. Meanwhile the host's handler may have run, or, if the client is shared,
    /// another thread: nobody who frees twice what is moved here is to be believed, and a reset has ended all that was ours.
    #[inline(never)]
    fn settle_move(
        &self,
        context: &Context,
        found: &Found,
        owner: u32,
        old_size: usize,
        size: usize,
        new: Result<usize, Option<Place>>,
    ) -> *mut u8 {
        let address = context.map.address_of(found.start);
        let mut findings = Findings::default();
        let (still, ours) = {
            let _lock = self.lock_shared(context);
            let still = self.is_still(context, found, owner);
            match new {
                _ if !still => {}
                Err(place) => return self.stay(context, found, old_size, place, size),
                Ok(new) => {
                    context.map.copy(found.start, new, old_size.min(size));
                    // Its red zone was looked at before.
                    let _ = self.free_piece(context, found, &mut findings);
                }
            }
            (still, self.owner.get() == owner)
        };
        self.tell(context, &findings);
        let new = new.map_or(core::ptr::null_mut(), |new| context.map.address_of(new));
        if still {
            return new;
        }
        if ours && !new.is_null() {
            let _ = self.free(new.addr());
        }
        self.refuse_address(context, address.addr())
    }

    /// Is what was found while the client had this life still there, and live?
    #[inline(never)]
    fn is_still(&self, context: &Context, found: &Found, owner: u32) -> bool {
        let now = self.startable(context, context.map.address_of(found.start).addr());
        self.owner.get() == owner && now.is_some_and(|now| (now.usable, now.code) == (found.usable, found.code))
    }

    /// Says what is wrong with an address.
    #[inline(never)]
    fn refuse_address(&self, context: &Context, address: usize) -> *mut u8 {
        self.wrong_address(context, address);
        sys::set_errno(sys::EINVAL);
        core::ptr::null_mut()
    }

    /// A shrink tries for a smaller place, but asks nobody and gives nothing up for it.
    fn attempt_quietly(&self, context: &Context, place: Place, request: &Request) -> Option<usize> {
        let _lock = self.lock_shared(context);
        self.attempt(context, place, request).ok()
    }

    /// Stays in a place that is larger than need be, cut as far as it can be.
    fn stay(&self, context: &Context, found: &Found, old_size: usize, place: Option<Place>, size: usize) -> *mut u8 {
        let mut usable = found.usable;
        let map = &context.map;
        if found.code == code::HEAD && !matches!(place, Some(Place::Blocks { .. })) && usable > map.shape.block_size() {
            if context.has(flags::WIPE) {
                map.wipe(found.start + map.shape.block_size(), usable - map.shape.block_size());
            }
            self.resize_run(context, found.start >> map.shape.block_shift, 1, 0);
            usable = map.shape.block_size();
            context.made_progress();
            self.settle(context);
        }
        self.dress(context, found.start, usable, old_size, size);
        map.address_of(found.start)
    }
}
