//! A client's own numbers, and its lists of blocks and slabs.
//! May know: client, context.

use super::{Outstanding, block, caches, packed};
use crate::cell::Cell;
use crate::client::pages::state_of;
use crate::client::reach::list_of_state;
use crate::client::{Client, FULL_LIST, HEAD_LIST};
use crate::context::Context;
use crate::memory::{NONE, Uses, kind};
use crate::sizes::FIRST_CLASSES;
use core::sync::atomic::Ordering::Relaxed;

pub(super) fn scalars(context: &Context, client: &Client) -> bool {
    let shape = &context.map.shape;
    let block_granules = 1usize << (shape.block_shift - shape.granule_shift);
    let granules = client.granules.get();
    let (held, limit, guarantee) = (client.held.get(), client.limit.get(), client.guarantee.get());
    let fast = client.fast_sizes.get();
    held as usize <= context.map.blocks
        && client.peak.get() >= held
        && client.peak.get() as usize <= context.map.blocks
        && (limit == 0 || guarantee <= limit)
        && granules & (block_granules - 1) == 0
        && granules <= context.watermark.load(Relaxed).max(context.map.blocks) * block_granules
        && (-10..=0).contains(&client.last_status())
        && (fast == 0 || fast == crate::client::fast::TABLE_BYTES && Client::has_fast_path(context))
        && client.fast_granules.get() == if fast == 0 { 0 } else { granules.min(crate::context::MARK as usize) }
        && (context.has(crate::flags::SHARED_CLIENTS) || client.lock.is_free())
        && [0, client.expected_short(context)].contains(&client.short_owner.get())
        && (client.no_pieces_at.get() == NONE || client.no_pieces_at.get() <= client.peak.get())
        && (client.failed_count.get() > 0 || client.largest_failed.get() == 0)
}

/// Every list: its links, its blocks, and that together they are all the blocks that the client holds.
pub(super) fn blocks(context: &Context, client: &Client, outstanding: &mut Outstanding) -> bool {
    listed(context, client, outstanding).is_some()
}

fn listed(context: &Context, client: &Client, outstanding: &mut Outstanding) -> Option<()> {
    let mut listed = 0;
    for list in 0..Client::list_count(context) {
        let mut prev = NONE;
        let mut at = client.list(list)?.get();
        while at != NONE {
            let number = at as usize;
            if number >= context.watermark.load(Relaxed) || listed >= client.held.get() as usize {
                return None;
            }
            let record = context.map.record(number);
            let owner = record.owner.load(Relaxed);
            if owner & !0xff != client.owner.get()
                || record.slot.load(Relaxed) != client.slot()
                || record.prev.load(Relaxed) != prev
            {
                return None;
            }
            let count = match owner & 0xff {
                kind::BUDDY if context.sizes.packed() && list_of_state(record.state.load(Relaxed)) == list => {
                    packed::block(context, client, number, outstanding)
                }
                kind::HEAD if list == HEAD_LIST => block::run(context, client, number, outstanding),
                kind::BUDDY if list <= FULL_LIST && state_of(context, number).0 == list => {
                    block::buddy(context, client, number, outstanding).then_some(1)
                }
                _ => None,
            };
            let count = count.filter(|_| owner & 0xff != kind::BUDDY || caches::pieces(context, client, number))?;
            listed += count;
            prev = at;
            at = record.next.load(Relaxed);
        }
    }
    let owned = (0..context.watermark()).filter(|&block| client.owns_block(context, block)).count();
    (listed == client.held.get() as usize && owned == listed).then_some(())
}

/// Every list of slabs: its links, and that it has slabs of its class with free cells; if none of these is missing shows when
/// all are accounted for.
pub(super) fn slabs(context: &Context, client: &Client, outstanding: &mut Outstanding) -> bool {
    (0..FIRST_CLASSES).all(|class| {
        let head = |list: Option<&Cell<u32>>| list.map_or(NONE, Cell::get);
        slab_list(context, client, class, head(client.slabs.get(class)), false, outstanding)
            && slab_list(context, client, class, head(client.idle(class)), true, outstanding)
    })
}

/// One list of slabs, of those in use or of idle ones.
fn slab_list(
    context: &Context,
    client: &Client,
    class: usize,
    head: u32,
    idle: bool,
    outstanding: &mut Outstanding,
) -> bool {
    let (mut at, mut prev) = (head, NONE);
    while at != NONE {
        let unit = at as usize;
        if unit >= context.map.unit_count() || unit & (context.map.shape.slab_units - 1) != 0 {
            return false;
        }
        let home = context.map.block_of_unit(unit);
        let record = context.map.slab(unit);
        let uses = context.map.uses(unit).get();
        if home >= context.watermark.load(Relaxed)
            || !client.owns_block(context, home)
            || context.map.unit(unit).load(Relaxed) != client.owner.get() | class as u32
            || (uses & Uses::FULL != 0) != idle
            || (uses == Uses::IDLE) != idle
            || idle && !context.keeps_slabs()
            || record.prev.get() != prev
            || !caches::take(outstanding, block::ROOMY | class as u32)
        {
            return false;
        }
        prev = at;
        at = record.next.get();
    }
    true
}
