//! The records of the context itself: header, supply of blocks, slots.
//! May know: context, client (slots).

use crate::client::Client;
use crate::client::limits::all;
use crate::context::Context;
use crate::flags;
use crate::memory::{NONE, kind};
use core::sync::atomic::Ordering::{Acquire, Relaxed};

/// Are the few numbers in order that every other check relies on?
pub(super) fn map_is_sane(context: &Context) -> bool {
    // In this order: another thread that makes room for slots lowers the watermark and the top, then uses the slots.
    let slots = context.slots_used.load(Acquire) as usize;
    let top = context.top.load(Acquire);
    context.checksum_matches()
        && context.idle_fields_match()
        && context.watermark.load(Relaxed) <= top
        && top <= context.map.blocks
        && slots <= context.map.most_slots(top)
}

pub(super) fn records(context: &Context) -> bool {
    let _lock = context.lock();
    map_is_sane(context) && blocks(context) && slots(context) && lives(context)
}

/// Every block below the watermark is free and in the set, or a client's and not in the set; the sums are right.
fn blocks(context: &Context) -> bool {
    let map = &context.map;
    let watermark = context.watermark.load(Relaxed);
    let free = context.free_set();
    if !free.consistent() || free.next(watermark).is_some() {
        return false;
    }
    let (mut free_count, mut held_count) = (context.top.load(Relaxed) - watermark, 0);
    for block in 0..watermark {
        let record = map.record(block);
        let owner = record.owner.load(Relaxed);
        if (owner == 0) != free.get(block) {
            return false;
        }
        if owner == 0 {
            free_count += 1;
            continue;
        }
        held_count += 1;
        let slot = record.slot.load(Relaxed);
        let known = Client::in_slot(context, slot).is_some_and(|client| client.owner.get() == owner & !0xff);
        if !known || !(kind::BUDDY..=kind::BODY).contains(&(owner & 0xff)) {
            return false;
        }
    }
    // The sums that clients' calls keep: with other threads at work these move between two reads, so they are
    // compared under the lock that every change of theirs takes.
    free_count == context.free_blocks.load(Relaxed)
        && held_count == context.held_blocks.load(Relaxed)
        && context.peak_blocks.load(Relaxed) >= held_count
        && context.peak_blocks.load(Relaxed) <= map.blocks
        && free_count + held_count == context.top.load(Relaxed)
}

/// Every slot is a living client or in the list of free slots; guarantees add up.
fn slots(context: &Context) -> bool {
    let used = context.slots_used.load(Relaxed);
    // A shared client may be at work: what it holds and is promised then changes under its own lock, which is not to be
    // taken inside the context's. So nothing is summed up there.
    let shared = context.has(flags::SHARED_CLIENTS);
    let (mut clients, mut aside) = (0, 0usize);
    for client in all(context) {
        clients += 1;
        if !shared {
            let claim = client.claim(context);
            aside = aside.saturating_add(claim.guarantee.saturating_sub(claim.held));
        }
    }
    let mut free = 0;
    let mut slot = context.free_slot.get();
    while slot != NONE {
        if slot >= used || free > used || Client::in_slot(context, slot).is_some() {
            return false;
        }
        free += 1;
        slot = Client::next_free_slot(context, slot);
    }
    clients == context.client_count.load(Relaxed)
        && free as usize + clients == used as usize
        && (shared || aside == context.set_aside.load(Relaxed))
        && context.set_aside.load(Relaxed) <= context.free_blocks.load(Relaxed)
}

/// No life at or behind the next one is in use before the limit.
fn lives(context: &Context) -> bool {
    let (next, limit) = (context.next_life.get(), context.life_limit.get());
    if next > limit || limit > crate::context::slots::LIVES {
        return false;
    }
    all(context).all(|client| {
        let life = client.owner.get() >> 8;
        life != 0 && !(next..limit).contains(&life)
    })
}
