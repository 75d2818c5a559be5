//! A block of a PACKED context: that its map is whole, and what lies across its ends.
//! May know: client, context, flat.

use super::Outstanding;
use super::block::{is_body, note};
use crate::client::find;
use crate::client::reach::FREE_MASK;
use crate::client::{Client, code};
use crate::context::Context;
use crate::flat::What;
use crate::memory::{NONE, kind};
use core::sync::atomic::Ordering::Relaxed;

/// A block with a map, and the blocks behind it that its last piece covers; how many they are in all.
pub(super) fn block(context: &Context, client: &Client, number: usize, outstanding: &mut Outstanding) -> Option<usize> {
    let flat = context.map.flat(number);
    let record = context.map.record(number);
    let alignment = context.map.shape.alignment >> context.map.shape.granule_shift;
    let (mut at, mut free, mut last) = (flat.next(0), 0, What::Nothing);
    // The front belongs to a piece of an earlier block, or something begins there.
    let run = record.run.load(Relaxed);
    if (run != NONE) != (at > 0) || (run != NONE && !covers(context, client, run as usize, number)) {
        return None;
    }
    let covered = at;
    if covered > 0 && flat.what(0) != What::Nothing {
        return None;
    }
    while at < flat.granules() {
        let (what, end) = (flat.what(at), flat.next(at + 1));
        if at & alignment.wrapping_sub(1) != 0 || (what == What::Hole && last == What::Hole) {
            return None;
        }
        match what {
            What::Hole => free += end - at,
            What::Dead => note(outstanding, class_of(context, client, number, at)?, 1),
            _ => {}
        }
        (at, last) = (end, what);
    }
    let state = record.state.load(Relaxed);
    let good = flat.consistent()
        && state & FREE_MASK == free as u32 & FREE_MASK
        && (state >> 24) as u8 == client.reach(context, number);
    let tail = record.tail.load(Relaxed) as usize;
    if !good || (tail > 0 && (covered == flat.granules() || last == What::Hole)) {
        return None;
    }
    let mut bodies = 0;
    for further in number + 1..(number + 1).checked_add(tail)? {
        if further >= context.watermark.load(Relaxed) {
            return None;
        }
        let record = context.map.record(further);
        let body = is_body(context, client, further, number);
        let shared = record.owner.load(Relaxed) == client.owner.get() | kind::BUDDY
            && record.run.load(Relaxed) as usize == number
            && record.slot.load(Relaxed) == client.slot();
        if !body && !shared {
            return None;
        }
        bodies += body as usize;
        // Only the last may have anything else in it.
        if !body && further < number + tail && context.map.flat(further).next(0) < flat.granules() {
            return None;
        }
    }
    Some(1 + bodies)
}

/// Does the last piece of block `home` go on in block `number`?
fn covers(context: &Context, client: &Client, home: usize, number: usize) -> bool {
    home < number
        && client.has_map(context, home)
        && home + context.map.record(home).tail.load(Relaxed) as usize >= number
}

/// By what code a piece that waits is counted.
pub(super) fn class_of(context: &Context, client: &Client, block: usize, at: usize) -> Option<u32> {
    let shape = &context.map.shape;
    let offset = (block << shape.block_shift) + (at << shape.granule_shift);
    let found = find::holder(context, client.owner.get(), offset)?;
    Some(waiting_code(context, found.usable))
}

/// The class of its cache, if a piece of so many bytes could be in one.
pub(super) fn waiting_code(context: &Context, bytes: usize) -> u32 {
    let class = context.sizes.packed_cache_class(bytes);
    if class < context.cached_classes as usize { class as u32 } else { code::PIECE }
}
