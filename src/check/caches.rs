//! A client's caches and its quarantine: every entry is a piece that is neither live nor free, and none is missing.
//! May know: client, context, guard.

use super::{Fault, Outstanding, WAITS, packed};
use crate::cell::Cell;
use crate::client::cache::{block_of_entry, pieces_for};
use crate::client::find::{self, Found};
use crate::client::open::OPEN_SLABS;
use crate::client::{Client, NEAR_TOPS, PACKED_TOPS, PLAIN_TOPS};
use crate::context::{Context, FULL_BIT, MARK};
use crate::flags;
use crate::guard;
use crate::layout::CACHE_PIECE;
use crate::memory::{NONE, kind};
use crate::status::Status;
use core::ops::Range;
use core::sync::atomic::Ordering::Relaxed;

/// No array is longer.
const MOST_ENTRIES: usize = 256;

pub(super) fn caches(context: &Context, client: &Client, outstanding: &mut Outstanding) -> bool {
    if context.map.cache(0).get() != MARK || context.map.cache(1).get() != MARK | FULL_BIT {
        return false;
    }
    if context.has(flags::NO_CACHE) && context.cached_classes > 0 {
        return false;
    }
    let most = if context.sizes.packed() { PACKED_TOPS } else { PLAIN_TOPS };
    (0..context.cached_classes as usize).all(|class| cache(context, client, class, outstanding))
        && (context.sizes.packed() || (NEAR_TOPS..PLAIN_TOPS).all(|class| lone(context, client, class, outstanding)))
        && client.open_parity().get() == expected_parity(context, client)
        && (0..=OPEN_SLABS).all(|class| open(context, client, class, outstanding))
        && (context.cached_classes as usize..most)
            .all(|class| client.top_checked(context, class) == Some(Context::NULL_CACHE))
}

/// Over where the open slabs begin; PACKED: the lists of blocks that are not empty (reach.rs).
fn expected_parity(context: &Context, client: &Client) -> u32 {
    let filled = if context.sizes.packed() { client.expected_filled() } else { 0 };
    client.open_first.iter().take(OPEN_SLABS).fold(filled, |sum, first| sum ^ first.get())
}

/// One class: the marks, and each entry between them.
fn cache(context: &Context, client: &Client, class: usize, outstanding: &mut Outstanding) -> bool {
    let Some((first, count, capacity)) = array(context, client, class) else { return false };
    for entry in first + 1..first + 1 + count {
        let granule = context.map.cache(entry).get();
        let offset = (granule as usize) << context.map.shape.granule_shift;
        let Some(found) = waiting(context, client, offset) else { return false };
        // Short arrays: comparing each with each finds an entry that is in twice.
        let twice = (first + 1..entry).any(|other| context.map.cache(other).get() == granule);
        if code_of(context, &found) as usize != class || twice || !take(outstanding, class as u32) {
            return false;
        }
    }
    count <= capacity
}

/// The run of a class that waits without an array.
fn lone(context: &Context, client: &Client, class: usize, outstanding: &mut Outstanding) -> bool {
    let granule = client.lone(class).map_or(MARK, Cell::get);
    if granule == if class < context.cached_classes as usize { NONE } else { MARK } {
        return true;
    }
    let found = waiting(context, client, (granule as usize) << context.map.shape.granule_shift);
    granule < MARK
        && class < context.cached_classes as usize
        && found.is_some_and(|found| found.code as usize == class)
        && take(outstanding, class as u32)
}

/// The cells of a class's open slab that wait: none is live or in the cache.
fn open(context: &Context, client: &Client, class: usize, outstanding: &mut Outstanding) -> bool {
    let (first, mut cells) = client.opened(class);
    if cells == 0 {
        return true;
    }
    let (info, shape) = (context.sizes.class(class), &context.map.shape);
    if !context.keeps_slabs() || class >= context.sizes.count() || cells & !info.full() != 0 {
        return false;
    }
    while cells != 0 {
        let granule = first.wrapping_add((cells.trailing_zeros() * info.cell) as usize >> shape.granule_shift);
        cells &= cells - 1;
        let fits =
            waiting(context, client, granule << shape.granule_shift).is_some_and(|found| found.code as usize == class);
        if !fits || cached_in(context, client, class, &(granule..granule + 1)) > 0 || !take(outstanding, class as u32) {
            return false;
        }
    }
    true
}

/// Entries of a class's cache that lie in a range.
pub(super) fn cached_in(context: &Context, client: &Client, class: usize, granules: &Range<usize>) -> usize {
    let (first, count) = array(context, client, class).map_or((0, 0), |(first, count, _)| (first, count));
    (first + 1..first + 1 + count).filter(|&at| granules.contains(&(context.map.cache(at).get() as usize))).count()
}

/// The EMPTY mark of a class's array, its entries, its capacity; None if anything about it is wrong.
fn array(context: &Context, client: &Client, class: usize) -> Option<(usize, usize, usize)> {
    let top = client.top_checked(context, class)?;
    if top == Context::NULL_CACHE {
        return Some((0, 0, 0));
    }
    let block = block_of_entry(context, top - 1)?;
    if block >= context.watermark.load(Relaxed) || !client.owns_block(context, block) {
        return None;
    }
    let start = context.map.first_cache(block);
    let end = start + context.map.shape.cache_entries as usize;
    let mut first = top - 1;
    while context.map.cache(first).get() < MARK {
        if first == start || top - first > MOST_ENTRIES {
            return None;
        }
        first -= 1;
    }
    let mark = context.map.cache(first).get();
    let capacity = (mark & (FULL_BIT - 1)) as usize;
    let full = first + capacity + 1;
    let good = mark & FULL_BIT == 0
        && full < end
        && (first - start) & (CACHE_PIECE - 1) == 0
        && context.map.cache(full).get() == MARK | FULL_BIT | capacity as u32
        && (top..full).all(|entry| context.map.cache(entry).get() < MARK);
    good.then_some((first, top - 1 - first, capacity))
}

/// The pieces that are taken in a block are those of the arrays that lie there.
pub(super) fn pieces(context: &Context, client: &Client, block: usize) -> bool {
    let mut expected = 0u64;
    for class in 0..context.cached_classes as usize {
        let Some((first, _, capacity)) = array(context, client, class) else { return false };
        if capacity > 0 && block_of_entry(context, first) == Some(block) {
            let at = (first - context.map.first_cache(block)) / CACHE_PIECE;
            let mask = ((1u64 << pieces_for(capacity)) - 1) << at;
            if expected & mask != 0 {
                return false;
            }
            expected |= mask;
        }
    }
    expected == context.map.record(block).cache_pieces.load(Relaxed) as u64
}

/// The piece that begins at an offset, is this client's, and is neither live nor free.
fn waiting(context: &Context, client: &Client, offset: usize) -> Option<Found> {
    let shape = &context.map.shape;
    let block = offset >> shape.block_shift;
    if block >= context.watermark.load(Relaxed) || !client.owns_block(context, block) {
        return None;
    }
    let found = find::holder(context, client.owner.get(), offset)?;
    if found.start != offset || found.live {
        return None;
    }
    Some(found)
}

/// By what code a piece that waits is counted.
fn code_of(context: &Context, found: &Found) -> u32 {
    if context.sizes.packed() { packed::waiting_code(context, found.usable) } else { found.code }
}

pub(super) fn take(outstanding: &mut Outstanding, code: u32) -> bool {
    match outstanding.get_mut(code as usize & 0xff) {
        Some(count) if *count > 0 => {
            *count -= 1;
            true
        }
        _ => false,
    }
}

pub(super) fn quarantine(context: &Context, client: &Client, outstanding: &mut Outstanding) -> bool {
    let ring = &client.quarantine;
    if ring.count() == 0 {
        return ring.is_blank();
    }
    let home = ring.home() as usize;
    if !context.has(flags::QUARANTINE)
        || ring.count() > context.map.shape.cache_entries as usize / 2
        || ring.first() >= context.map.shape.cache_entries as usize / 2
        || home >= context.watermark.load(Relaxed)
        || context.map.record(home).owner.load(Relaxed) != client.owner.get() | kind::BUDDY
    {
        return false;
    }
    let mut weight = 0;
    for at in 0..ring.count() {
        let granule = client.quarantined(context, at);
        let limit = context.map.blocks << (context.map.shape.block_shift - context.map.shape.granule_shift);
        if granule >= limit {
            return false;
        }
        let Some(found) = waiting(context, client, granule << context.map.shape.granule_shift) else { return false };
        weight += found.usable.div_ceil(16) * 16;
        let twice = (0..at).any(|other| client.quarantined(context, other) == granule);
        if context.map.shape.waits {
            let block = granule >> (context.map.shape.block_shift - context.map.shape.granule_shift);
            let buddy = context.map.record(block).owner.load(Relaxed) & 0xff == kind::BUDDY;
            if !context.map.is_waiting(granule) || buddy && !take(outstanding, WAITS) {
                return false;
            }
        }
        if twice || !take(outstanding, code_of(context, &found)) {
            return false;
        }
    }
    weight == ring.weight()
}

/// Quarantined memory that was written.
pub(super) fn written(context: &Context, client: &Client) -> Option<Fault> {
    for at in 0..client.quarantine.count() {
        let start = client.quarantined(context, at) << context.map.shape.granule_shift;
        let found = find::holder(context, client.owner.get(), start)?;
        if let Some(offset) = guard::first_written(&context.map, start, found.usable) {
            return Some(Fault { status: Status::UseAfterFree, offset: Some(offset), about: None });
        }
    }
    None
}
