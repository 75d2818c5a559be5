//! One block of a client: its buddy, and that every unit of it is exactly one thing.
//! May know: client, context, buddy.

use super::{Outstanding, WAITS, caches};
use crate::bitmap::count_ones;
use crate::client::pages::{list_of, state_of};
use crate::client::{Client, code};
use crate::context::Context;
use crate::memory::{Map, NONE, Uses, kind};
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// By this code, and that of its class, a slab with free cells is counted: until it is found in a list.
pub(super) const ROOMY: u32 = 0x80;

/// A run of blocks from its head on; how many whole blocks it has.
pub(super) fn run(context: &Context, client: &Client, head: usize, outstanding: &mut Outstanding) -> Option<usize> {
    let map = &context.map;
    let record = map.record(head);
    let (blocks, tail) = (record.run.load(Relaxed) as usize, record.tail.load(Relaxed) as usize);
    let end = head.checked_add(blocks)?.checked_add((tail > 0) as usize)?;
    if blocks == 0 || end > context.watermark.load(Relaxed) || tail >= map.shape.units_per_block() {
        return None;
    }
    for body in head + 1..head + blocks {
        if !is_body(context, client, body, head) {
            return None;
        }
    }
    if tail > 0 {
        let record = map.record(head + blocks);
        let good = record.owner.load(Relaxed) == client.owner.get() | kind::BUDDY
            && record.run.load(Relaxed) == head as u32
            && record.tail.load(Relaxed) == tail as u32;
        if !good {
            return None;
        }
    }
    let granule = head << (map.shape.block_shift - map.shape.granule_shift);
    let good = map.unit(map.first_unit(head)).load(Relaxed) == client.owner.get() | code::HEAD
        && map.live_word(granule).load(Relaxed) <= 1
        && record.state.load(Relaxed) == 0
        && record.cache_pieces.load(Relaxed) == 0;
    note(outstanding, code::HEAD, !map.is_live(granule) as usize);
    good.then_some(blocks)
}

/// Does the record of a block say that the piece which begins in block `head` covers it, and nothing else?
#[inline(never)]
pub(super) fn is_body(context: &Context, client: &Client, block: usize, head: usize) -> bool {
    let record = context.map.record(block);
    record.owner.load(Relaxed) == client.owner.get() | kind::BODY
        && record.slot.load(Relaxed) == client.slot()
        && record.run.load(Relaxed) == head as u32
        && record.tail.load(Relaxed) == 0
        && record.next.load(Relaxed) == NONE
        && record.prev.load(Relaxed) == NONE
        && record.state.load(Relaxed) == 0
        && record.cache_pieces.load(Relaxed) == 0
}

pub(super) fn note(outstanding: &mut Outstanding, code: u32, waiting: usize) {
    if let Some(count) = outstanding.get_mut(code as usize & 0xff) {
        *count += waiting as u32;
    }
}

/// A buddy block.
pub(super) fn buddy(context: &Context, client: &Client, block: usize, outstanding: &mut Outstanding) -> bool {
    let map = &context.map;
    let record = map.record(block);
    let space = client.space(context, block);
    if !space.consistent() {
        return false;
    }
    let (list, units) = state_of(context, block);
    let idle = idle_units(context, client, block);
    if list != list_of(context, space.largest()) || units != space.free_units() + idle {
        return false;
    }
    if idle > 0 && units >= map.shape.units_per_block() {
        return false;
    }
    let tail = record.tail.load(Relaxed) as usize;
    let run = record.run.load(Relaxed);
    if (tail > 0) != (run != NONE) || tail > map.shape.units_per_block() {
        return false;
    }
    if tail > 0 && !is_tail_of(context, client, block, run as usize, tail) {
        return false;
    }
    if map.shape.waits {
        let units = map.shape.units_per_block();
        note(outstanding, WAITS, waiting_count(context, map.first_unit(block), units));
    }
    let first = map.first_unit(block);
    let mut unit = 0;
    while unit < map.shape.units_per_block() {
        let free = space.is_free(unit, unit + 1);
        let length = if unit < tail {
            is_tail_unit(context, client, first + unit, free).then_some(1)
        } else if free {
            is_silent(context, client, first + unit, 1).then_some(1)
        } else {
            piece(context, client, block, unit, outstanding)
        };
        let Some(length) = length else { return false };
        if length == 0 || (1..length).any(|at| space.is_free(unit + at, unit + at + 1)) {
            return false;
        }
        unit += length;
    }
    unit == map.shape.units_per_block()
}

fn is_tail_of(context: &Context, client: &Client, block: usize, head: usize, tail: usize) -> bool {
    if head >= block {
        return false;
    }
    let record = context.map.record(head);
    record.owner.load(Relaxed) == client.owner.get() | kind::HEAD
        && head + record.run.load(Relaxed) as usize == block
        && record.tail.load(Relaxed) as usize == tail
}

fn is_tail_unit(context: &Context, client: &Client, unit: usize, free: bool) -> bool {
    !free
        && context.map.unit(unit).load(Relaxed) == client.owner.get() | code::TAIL
        && is_blank(context, unit)
        && no_live_in(context, unit, 1)
}

/// Do the records of a slab that could begin at a unit say that there is none?
#[inline(never)]
fn is_blank(context: &Context, unit: usize) -> bool {
    let map = &context.map;
    let linked = unit & (map.shape.slab_units - 1) == 0 && is_linked(context, unit);
    !linked && (unit & 1 != 0 || map.uses(unit).get() == 0)
}

fn is_linked(context: &Context, slab: usize) -> bool {
    let record = context.map.slab(slab);
    record.next.get() != 0 || record.prev.get() != 0
}

/// Do these units say that nothing begins in them? The record of a unit of free memory is blank, too.
fn is_silent(context: &Context, client: &Client, first: usize, count: usize) -> bool {
    (first..first + count).all(|unit| {
        let word = context.map.unit(unit).load(Relaxed);
        (word == 0 || word == client.owner.get() | code::FREE) && is_blank(context, unit)
    }) && no_live_in(context, first, count)
}

/// Bits that are set among those of some units.
#[inline(never)]
fn count_bits(context: &Context, first: usize, count: usize, word_of: fn(&Map, usize) -> &AtomicU64) -> usize {
    let shape = &context.map.shape;
    let per_unit = shape.unit_shift - shape.granule_shift;
    let mut bits = 0;
    let mut granule = first << per_unit;
    let end = (first + count) << per_unit;
    while granule < end {
        let next = ((granule | 63) + 1).min(end);
        let word = word_of(&context.map, granule).load(Relaxed) >> (granule & 63);
        let length = next - granule;
        bits += count_ones(if length < 64 { word & ((1 << length) - 1) } else { word });
        granule = next;
    }
    bits
}

fn live_count(context: &Context, first: usize, count: usize) -> usize {
    count_bits(context, first, count, Map::live_word)
}

/// What waits in quarantine in some units.
fn waiting_count(context: &Context, first: usize, count: usize) -> usize {
    count_bits(context, first, count, Map::wait_word)
}

fn no_live_in(context: &Context, first: usize, count: usize) -> bool {
    live_count(context, first, count) == 0
}

/// A slab or run that begins at a unit of a block; how many units it has.
fn piece(
    context: &Context,
    client: &Client,
    block: usize,
    unit: usize,
    outstanding: &mut Outstanding,
) -> Option<usize> {
    let map = &context.map;
    let at = map.first_unit(block) + unit;
    let word = map.unit(at).load(Relaxed);
    if word & !0xff != client.owner.get() {
        return None;
    }
    let code = word & 0xff;
    let slabs = context.sizes.count() as u32;
    let room = map.shape.units_per_block() - unit;
    if code < slabs {
        return slab(context, client, code, unit, at, outstanding);
    }
    if code > slabs + context.sizes.last_run as u32 {
        return None;
    }
    let units = context.sizes.units_of(code - slabs);
    let aligned = units <= room && unit & (units.next_power_of_two() - 1) == 0;
    if !aligned || !is_blank(context, at) || !is_silent(context, client, at + 1, units - 1) {
        return None;
    }
    let live = map.is_live(at << (map.shape.unit_shift - map.shape.granule_shift));
    if live_count(context, at, units) != live as usize {
        return None;
    }
    note(outstanding, code, !live as usize);
    Some(units)
}

fn slab(
    context: &Context,
    client: &Client,
    code: u32,
    unit: usize,
    at: usize,
    outstanding: &mut Outstanding,
) -> Option<usize> {
    let map = &context.map;
    let (info, shape) = (context.sizes.class(code as usize), &map.shape);
    let units = shape.slab_units;
    if unit & (units - 1) != 0 {
        return None;
    }
    let (uses, count) = (map.uses(at).get(), map.uses(at).count());
    let full = uses & Uses::FULL != 0 && uses != Uses::IDLE;
    if count > info.cells || full != (count == info.cells) {
        return None;
    }
    note(outstanding, ROOMY | code, !full as usize);
    if full && is_linked(context, at) {
        return None;
    }
    for further in at + 1..at + units {
        if map.unit(further).load(Relaxed) != client.owner.get() | code || !is_blank(context, further) {
            return None;
        }
    }
    let first = at << (shape.unit_shift - shape.granule_shift);
    let stride = info.cell as usize >> shape.granule_shift;
    let live = (0..info.cells as usize).filter(|index| map.is_live(first + index * stride)).count();
    let held = held_in(context, client, code as usize, at);
    note(outstanding, code, held);
    (live + held == count as usize && live_count(context, at, units) == live).then_some(units)
}

/// Cells of a slab that are in use, but not live: in a cache, in quarantine, or in the open word.
fn held_in(context: &Context, client: &Client, class: usize, slab: usize) -> usize {
    let shape = &context.map.shape;
    if shape.waits {
        return waiting_count(context, slab, shape.slab_units);
    }
    let shift = shape.unit_shift - shape.granule_shift;
    let granules = slab << shift..(slab + shape.slab_units) << shift;
    let (first, open) = client.opened(class);
    caches::cached_in(context, client, class, &granules) + if granules.contains(&first) { count_ones(open) } else { 0 }
}

/// Units of slabs with nothing in use.
fn idle_units(context: &Context, client: &Client, block: usize) -> usize {
    let map = &context.map;
    let first = map.first_unit(block);
    let mut units = 0;
    for slab in 0..map.shape.slab_records_per_block() {
        let unit = first + (slab << map.shape.slab_order);
        let word = map.unit(unit).load(Relaxed);
        let idle = context.keeps_slabs()
            && word & !0xff == client.owner.get()
            && (word as usize & 0xff) < context.sizes.count()
            && map.uses(unit).get() == Uses::IDLE;
        units += if idle { map.shape.slab_units } else { 0 };
    }
    units
}
