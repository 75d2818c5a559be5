//! From an address to the allocation that holds it, from tables alone.
//!
//! ```text
//!   address -> block record -> BUDDY: unit word -> slab: first unit, cell, live bit
//!                                              -> tail of a run: its head
//!                                              -> else: heads of runs at ever higher orders
//!                           -> HEAD, BODY: the head
//!   PACKED  -> block record -> the block's map: the last thing that begins at or before it, or
//!                           -> the block in which the piece begins that covers the front
//! ```
//!
//! Every address may be asked about; nothing of what a client can write is read. All that is read are atomics, so
//! any thread may ask; about memory that its owner is just giving back the answer is a snapshot.
//! May know: context, memory, sizes.

use super::{Client, code};
use crate::context::Context;
use crate::flat::What;
use crate::guard;
use crate::memory::kind;
use core::sync::atomic::Ordering::{Acquire, Relaxed};

/// A piece of memory that is (or, if cached or quarantined, was) one allocation.
#[derive(Clone, Copy, Debug)]
pub struct Found {
    /// Offset from block 0.
    pub start: usize,
    /// Bytes of the cell or run.
    pub usable: usize,
    /// What its unit word says.
    pub code: u32,
    pub live: bool,
}

impl Found {
    /// The size that the program sees.
    pub fn size(&self, context: &Context) -> usize {
        if context.map.shape.slack {
            self.usable - guard::slack(&context.map, self.start, self.usable)
        } else {
            self.usable
        }
    }
}

/// Is `block` in the hands of `life`? Its record's owner word if so.
fn owned(context: &Context, block: usize, owner: u32) -> Option<u32> {
    if block >= context.watermark.load(Acquire) {
        return None;
    }
    let word = context.map.record(block).owner.load(Relaxed);
    (word & !0xff == owner && word & 0xff != kind::FREE).then_some(word & 0xff)
}

/// The piece of `owner`'s memory that holds the byte at `offset`.
pub fn holder(context: &Context, owner: u32, offset: usize) -> Option<Found> {
    let map = &context.map;
    let shape = &map.shape;
    let block = offset >> shape.block_shift;
    if shape.packed {
        return piece(context, owner, offset >> shape.granule_shift);
    }
    match owned(context, block, owner)? {
        kind::HEAD => run_of_blocks(context, owner, block),
        kind::BODY => run_of_blocks(context, owner, map.record(block).run.load(Relaxed) as usize),
        _ => {
            let unit = offset >> shape.unit_shift;
            let word = map.unit(unit).load(Relaxed);
            if word & !0xff == owner {
                let code = word & 0xff;
                if (code as usize) < context.sizes.count() {
                    return Some(cell(context, code, offset));
                }
                if code == code::TAIL {
                    return run_of_blocks(context, owner, map.record(block).run.load(Relaxed) as usize);
                }
            }
            run_of_units(context, owner, unit)
        }
    }
}

fn cell(context: &Context, code: u32, offset: usize) -> Found {
    // Cells are powers of two and lie at multiples of their size.
    let usable = context.sizes.class(code as usize).cell as usize;
    let start = offset & usable.wrapping_neg();
    Found { start, usable, code, live: context.map.is_live(start >> context.map.shape.granule_shift) }
}

fn run_of_units(context: &Context, owner: u32, unit: usize) -> Option<Found> {
    let map = &context.map;
    let shape = &map.shape;
    let slabs = context.sizes.count() as u32;
    for order in 0..=shape.order_max() {
        let head = unit & !((1 << order) - 1);
        let word = map.unit(head).load(Relaxed);
        if word & !0xff != owner {
            continue;
        }
        let code = word & 0xff;
        if code < slabs || code > slabs + context.sizes.last_run as u32 {
            continue;
        }
        let units = context.sizes.units_of(code - slabs);
        if unit - head < units {
            let start = head << shape.unit_shift;
            let live = map.is_live(start >> shape.granule_shift);
            return Some(Found { start, usable: units << shape.unit_shift, code, live });
        }
    }
    None
}

/// PACKED: the piece that holds a granule.
fn piece(context: &Context, owner: u32, granule: usize) -> Option<Found> {
    let map = &context.map;
    let shift = map.shape.block_shift - map.shape.granule_shift;
    let (mut block, mut at) = (granule >> shift, granule & (map.shape.granules_per_block() - 1));
    let mut begins = None;
    if owned(context, block, owner)? == kind::BUDDY {
        begins = map.flat(block).prev(at);
    }
    if begins.is_none() {
        block = map.record(block).run.load(Relaxed) as usize;
        at = map.shape.granules_per_block() - 1;
    }
    (owned(context, block, owner)? == kind::BUDDY).then_some(())?;
    let at = begins.or_else(|| map.flat(block).prev(at))?;
    let what = map.flat(block).what(at);
    let found = piece_at(context, owner, block, at)?;
    (matches!(what, What::Live | What::Dead)
        && granule - (found.start >> map.shape.granule_shift) < found.usable >> map.shape.granule_shift)
        .then_some(Found { live: what == What::Live, ..found })
}

/// PACKED: the piece that begins at a granule, if it is live.
pub fn live_piece(context: &Context, owner: u32, granule: usize) -> Option<Found> {
    let map = &context.map;
    let block = granule >> (map.shape.block_shift - map.shape.granule_shift);
    if owned(context, block, owner)? != kind::BUDDY || !map.is_live(granule) {
        return None;
    }
    piece_at(context, owner, block, granule & (map.shape.granules_per_block() - 1))
}

/// PACKED: the piece that begins at granule `at` of a block, and goes on as far as the records say. It counts as live.
fn piece_at(context: &Context, owner: u32, block: usize, at: usize) -> Option<Found> {
    let map = &context.map;
    let all = map.shape.granules_per_block();
    let mut end = map.flat(block).next(at + 1);
    let tail = map.record(block).tail.load(Relaxed) as usize;
    if end == all && tail > 0 {
        let last = block.checked_add(tail)?;
        let part = if owned(context, last, owner)? == kind::BODY { all } else { map.flat(last).next(0) };
        end = tail * all + part;
    }
    let start = (block << map.shape.block_shift) + (at << map.shape.granule_shift);
    Some(Found { start, usable: (end - at) << map.shape.granule_shift, code: code::PIECE, live: true })
}

fn run_of_blocks(context: &Context, owner: u32, head: usize) -> Option<Found> {
    if owned(context, head, owner)? != kind::HEAD {
        return None;
    }
    let map = &context.map;
    let record = map.record(head);
    let start = head << map.shape.block_shift;
    let usable = ((record.run.load(Relaxed) as usize) << map.shape.block_shift)
        + ((record.tail.load(Relaxed) as usize) << map.shape.unit_shift);
    Some(Found { start, usable, code: code::HEAD, live: map.is_live(start >> map.shape.granule_shift) })
}

/// The live allocation of `owner` that holds `offset`, and its size as the program sees it.
pub fn live_at(context: &Context, owner: u32, offset: usize) -> Option<(Found, usize)> {
    let found = holder(context, owner, offset)?;
    if !found.live {
        return None;
    }
    let size = found.size(context);
    (offset - found.start < size).then_some((found, size))
}

/// The client whose live allocation holds an address.
pub fn client_at(context: &Context, address: usize) -> Option<&Client> {
    let offset = context.map.offset_of(address)?;
    let block = offset >> context.map.shape.block_shift;
    if block >= context.watermark.load(Acquire) {
        return None;
    }
    let record = context.map.record(block);
    let owner = record.owner.load(Relaxed) & !0xff;
    if owner == 0 {
        return None;
    }
    let slot = record.slot.load(Relaxed);
    live_at(context, owner, offset)?;
    Client::in_slot(context, slot)
}

impl Client {
    /// The live allocation of this client that holds an address.
    pub fn find(&self, address: usize) -> Option<(Found, usize)> {
        let context = self.context();
        live_at(context, self.owner.get(), context.map.offset_of(address)?)
    }

    /// The same for who holds no lock: where it begins, and its size. `start`: only if it begins at the address.
    #[inline(never)]
    pub fn find_locked(&self, address: usize, start: bool) -> Option<(*mut u8, usize)> {
        let context = self.context();
        let _lock = self.lock_shared(context);
        let (found, size) = self.find(address)?;
        let begins = context.map.address_of(found.start);
        (!start || begins.addr() == address).then_some((begins, size))
    }

    /// The live allocation of this client that begins at an address.
    pub fn find_start(&self, address: usize) -> Option<(Found, usize)> {
        let context = self.context();
        let offset = context.map.offset_of(address)?;
        let (found, size) = live_at(context, self.owner.get(), offset)?;
        (found.start == offset).then_some((found, size))
    }
}
