//! Reallocation: in place whenever the neighbourhood allows, else to a new place.
//!
//! In this order: the same cell or run; a run that is cut, or that grows into free units or blocks behind it; a move.
//! A shrink never fails: where a smaller place can't be had, the allocation stays where it is.
//! May know: context, find, pages, run, alloc, free, guard.

use super::alloc::Request;
use super::find::Found;
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
                match self.packed_short_resize(context, address, size) {
                    Some(Ok(start)) => return context.map.address_of(start),
                    Some(Err(owner)) => return self.packed_short_move(context, address, owner, size),
                    None => {}
                }
            } else if self.second_realloc(context, address, size) {
                return context.map.address_of(address.wrapping_sub(context.map.base().addr()));
            }
        }
        let request = Request::new(size, 0, false);
        if address == 0 || context.busy(self.address()) {
            return self.allocate(&request);
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
                self.still(context, address, owner)
                    .map(|(found, old_size)| self.in_place(context, &found, old_size, place, request.size))
            };
            match done {
                Some(true) => return context.map.address_of(found.start),
                Some(false) => {}
                None => return self.refuse_address(context, address),
            }
        }
        self.move_to(context, &found, owner, place, &request)
    }

    /// PACKED: moves a piece that does not fit where it is.
    fn packed_short_move(&self, context: &Context, address: usize, owner: u32, size: usize) -> *mut u8 {
        let request = Request::new(size, 0, false);
        let moved = match self.packed_short_place(context, &request) {
            Some(offset) => context.map.address_of(offset),
            None => self.allocate(&request),
        };
        let Some(to) = context.map.offset_of(moved.addr()) else { return moved };
        // Nobody else could have freed it, but the handler, and nobody watches.
        if self.is_short()
            && let Some((now, old_size)) = self.still(context, address, owner)
            && now.start != to
        {
            context.map.copy(now.start, to, old_size.min(size));
            self.short_free(address);
            return moved;
        }
        self.settle_move(context, address, owner, &request, Ok(to))
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
        place: Option<Place>,
        request: &Request,
    ) -> *mut u8 {
        let stays = request.size <= Self::room(context, found);
        let usable = place.map_or(usize::MAX, |place| context.sizes.usable(place));
        let new = if stays {
            // Moving pays where it gives a quarter of the memory back.
            let worth = usable <= found.usable / 4 * 3;
            match place {
                Some(place) if worth => self.attempt_quietly(context, place, request),
                _ => None,
            }
        } else {
            let address = self.allocate(request);
            if address.is_null() {
                return address;
            }
            context.map.offset_of(address.addr())
        };
        let address = context.map.address_of(found.start).addr();
        self.settle_move(context, address, owner, request, new.ok_or(place))
    }

    /// The longest request that a piece could serve where it is.
    fn room(context: &Context, found: &Found) -> usize {
        if context.has(flags::GUARD) { found.usable - guard::RED_ZONE } else { found.usable }
    }

    /// The end of a move to an offset, or of staying. Meanwhile the host's handler may have run, or, if the client is shared,
    /// another thread: whoever freed what is moved here is told so, what has another size now is moved as it is, and a reset
    /// has ended all that was ours until then.
    #[inline(never)]
    pub(crate) fn settle_move(
        &self,
        context: &Context,
        address: usize,
        owner: u32,
        request: &Request,
        new: Result<usize, Option<Place>>,
    ) -> *mut u8 {
        // Where it is now; nowhere if it has gone.
        let end = self.told_by_and_by(context, |findings| match (self.still(context, address, owner), new) {
            (Some((now, old_size)), Ok(new)) if now.start != new => {
                // Nobody has been told of the new place, but who frees any address may have hit it.
                match self.still(context, context.map.address_of(new).addr(), request.life.get()) {
                    Some((_, room)) => self.make_way(context, &now, findings).then(|| {
                        context.map.copy(now.start, new, old_size.min(request.size).min(room));
                        // Its red zone was looked at before.
                        let _ = self.free_piece(context, &now);
                        Some(new)
                    }),
                    None => Some(None),
                }
            }
            (Some((now, old_size)), Err(place)) if request.size <= Self::room(context, &now) => {
                self.stay(context, &now, old_size, place, request.size);
                Some(Some(now.start))
            }
            // The new place, of which its own may be a part now, goes back, unless a reset has taken it.
            (_, Ok(new)) => match self.still(context, context.map.address_of(new).addr(), request.life.get()) {
                Some((new, _)) => self.make_way(context, &new, findings).then(|| {
                    let _ = self.free_piece(context, &new);
                    None
                }),
                None => Some(None),
            },
            _ => Some(None),
        });
        match end {
            Some(start) => context.map.address_of(start),
            None => self.refuse_address(context, address),
        }
    }

    /// The live piece that begins at an address, and its size, if the client has this life still. A shared client's lock is held.
    #[inline(never)]
    fn still(&self, context: &Context, address: usize, owner: u32) -> Option<(Found, usize)> {
        let now = self.startable(context, address).filter(|_| self.owner.get() == owner)?;
        Some((now, now.size(context)))
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
    fn stay(&self, context: &Context, found: &Found, old_size: usize, place: Option<Place>, size: usize) {
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
    }
}
