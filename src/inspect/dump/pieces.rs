//! Memory in address order: what each stretch of it is, whose, and how much of it is live, cached and free.
//!
//! A buddy block comes as its slabs, its runs of units and its free units; a run of blocks comes as one piece (its
//! tail with the block that the tail lies in); free blocks and blocks of slots come as long as they are neighbours.
//! Tables alone are read. A shared client's lock is taken for one piece at a time and never while `visit` runs.
//! Whatever numbers another thread leaves in between, each piece is at least a unit and ends inside its block.
//! May know: client (find, pages), context, memory.

use crate::client::pages::state_of;
use crate::client::{Client, find};
use crate::context::Context;
use crate::guard;
use crate::memory::{NONE, kind};
use core::sync::atomic::Ordering::{Acquire, Relaxed};

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum State {
    Free,
    /// Blocks that hold client slots.
    Records,
    /// In a block whose units a buddy allocator deals out.
    Buddy,
    /// The whole blocks of one large allocation.
    Run,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Piece {
    pub state: State,
    /// The owner's; NONE where nobody is.
    pub slot: u32,
    /// Offset from block 0.
    pub start: usize,
    pub length: usize,
    /// As the program sees it: without red zones.
    pub live: usize,
    /// Freed, but kept: in a cache or in quarantine.
    pub cached: usize,
    /// Free in a held block.
    pub free: usize,
}

impl Piece {
    fn nobody(state: State, start: usize, length: usize) -> Piece {
        Piece { state, slot: NONE, start, length, live: 0, cached: 0, free: 0 }
    }
}

/// How closely to look at buddy blocks.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Detail {
    /// Each is one piece, its figures are 0.
    Blocks,
    Units,
}

/// Visits all pieces until `visit` says false.
pub fn pieces(context: &Context, detail: Detail, visit: &mut dyn FnMut(&Piece) -> bool) {
    let map = &context.map;
    let shift = map.shape.block_shift;
    let top = context.usable_blocks();
    let watermark = context.watermark.load(Acquire).min(top);
    let is_free = |block: usize| block < watermark && map.record(block).owner.load(Relaxed) & 0xff == kind::FREE;
    let mut block = 0;
    while block < watermark {
        let record = map.record(block);
        let owner = record.owner.load(Relaxed);
        let client = Client::in_slot(context, record.slot.load(Relaxed)).filter(|c| c.owner.get() == owner & !0xff);
        let mut count = 1;
        let more = match (owner & 0xff, client) {
            (kind::FREE, _) => {
                while is_free(block + count) {
                    count += 1;
                }
                visit(&Piece::nobody(State::Free, block << shift, count << shift))
            }
            (kind::BUDDY, Some(client)) if detail == Detail::Units => buddy_pieces(context, client, block, visit),
            (what, Some(client)) => {
                let state = if what == kind::BUDDY { State::Buddy } else { State::Run };
                let mut piece = Piece { slot: client.slot(), ..Piece::nobody(state, block << shift, 1 << shift) };
                if what == kind::HEAD {
                    count = (record.run.load(Relaxed) as usize).clamp(1, watermark - block);
                    piece.length = count << shift;
                    let _lock = client.lock_shared(context);
                    (piece.live, piece.cached) = run_share(context, client, block, 0, piece.length);
                }
                visit(&piece)
            }
            // Its owner is ending just now.
            _ => visit(&Piece::nobody(State::Free, block << shift, 1 << shift)),
        };
        if !more {
            return;
        }
        block += count;
    }
    let mut rest = |state, from: usize, to: usize| {
        from >= to || visit(&Piece::nobody(state, from << shift, (to - from) << shift))
    };
    let _ = rest(State::Free, watermark, top) && rest(State::Records, top, map.blocks);
}

/// Where the allocation at `offset` (live, or kept) begins, its bytes, and how many of them the program sees.
#[inline(never)]
fn held_at(context: &Context, client: &Client, offset: usize) -> (usize, usize, usize) {
    let found = find::holder(context, client.owner.get(), offset);
    found.map_or((NONE as usize, 0, 0), |found| (found.start, found.usable, if found.live { found.size(context) } else { 0 }))
}

/// How much of the bytes `from..to` of the run of blocks at `head` is live, and how much cached.
fn run_share(context: &Context, client: &Client, head: usize, from: usize, to: usize) -> (usize, usize) {
    let (_, _, live) = held_at(context, client, head << context.map.shape.block_shift);
    (live.min(to).saturating_sub(from), if live > 0 { 0 } else { to.saturating_sub(from) })
}

fn buddy_pieces(context: &Context, client: &Client, block: usize, visit: &mut dyn FnMut(&Piece) -> bool) -> bool {
    let map = &context.map;
    let shape = &map.shape;
    let units = shape.units_per_block();
    let first = map.first_unit(block);
    let mut at = 0;
    while at < units {
        let mut piece = Piece {
            slot: client.slot(),
            ..Piece::nobody(State::Buddy, (first + at) << shape.unit_shift, 1 << shape.unit_shift)
        };
        {
            let _lock = client.lock_shared(context);
            let record = map.record(block);
            let tail = record.tail.load(Relaxed) as usize;
            if at == 0 && tail > 0 {
                piece.length = tail << shape.unit_shift;
                let head = record.run.load(Relaxed) as usize;
                let whole = block.saturating_sub(head) << shape.block_shift;
                (piece.live, piece.cached) = run_share(context, client, head, whole, whole + piece.length);
            } else if at == 0 && state_of(context, block).1 >= units {
                piece.length = shape.block_size();
                piece.free = piece.length;
            } else {
                unit_piece(context, client, first + at, &mut piece);
            }
        }
        piece.length = piece.length.clamp(1 << shape.unit_shift, (units - at) << shape.unit_shift);
        at += piece.length >> shape.unit_shift;
        if !visit(&piece) {
            return false;
        }
    }
    true
}

/// The slab, run of units or free unit that begins at `unit`.
fn unit_piece(context: &Context, client: &Client, unit: usize, piece: &mut Piece) {
    let map = &context.map;
    let shape = &map.shape;
    let owner = client.owner.get();
    let word = map.unit(unit).load(Relaxed);
    let class = (word & 0xff) as usize;
    if word & !0xff == owner && class < context.sizes.count() {
        let info = context.sizes.class(class);
        let cell = info.cell as usize;
        piece.length = 1 << (shape.unit_shift + info.slab_order as u32);
        let end = (piece.start | (shape.block_size() - 1)) + 1;
        let mut kept = 0;
        for index in 0..info.cells as usize {
            let start = piece.start + index * cell;
            if start + cell > end {
                break;
            }
            if map.is_live(start >> shape.granule_shift) {
                let red_zone = if shape.slack { guard::slack(map, start, cell) } else { 0 };
                piece.live += cell.saturating_sub(red_zone);
            } else {
                kept += cell;
            }
        }
        piece.free = (map.slab(unit).free.load(Relaxed).count_ones() as usize * cell).min(kept);
        piece.cached = kept - piece.free;
        return;
    }
    let (start, usable, live) = held_at(context, client, piece.start);
    if word & !0xff != owner || start != piece.start {
        piece.free = piece.length;
        return;
    }
    piece.length = usable;
    piece.live = live;
    piece.cached = if live > 0 { 0 } else { usable };
}

