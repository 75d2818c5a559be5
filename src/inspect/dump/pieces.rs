//! Memory in address order: what each stretch of it is, whose, and how much of it is live, cached and free.
//!
//! A buddy block comes as its slabs, its runs of units and its free units; a run of blocks comes as one piece (its
//! tail with the block that the tail lies in); free blocks come one by one, but for those that were never used.
//! Tables alone are read. A shared client's lock is taken for one piece at a time and never held between two.
//! Whatever numbers another thread leaves in between, each piece is at least a unit and ends inside its block.
//! May know: client (find, pages), context, memory.

use crate::client::{Client, find};
use crate::context::Context;
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

/// How closely to look at buddy blocks.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Detail {
    /// Each is one piece, its figures are 0.
    Blocks,
    Units,
}

/// All pieces of a context, one after another.
pub struct Pieces<'a> {
    context: &'a Context,
    detail: Detail,
    watermark: usize,
    top: usize,
    /// Where the next one begins.
    start: usize,
}

impl Pieces<'_> {
    pub fn of(context: &Context, detail: Detail) -> Pieces<'_> {
        let top = context.usable_blocks();
        Pieces { context, detail, watermark: context.watermark.load(Acquire).min(top), top, start: 0 }
    }
}

impl Iterator for Pieces<'_> {
    type Item = Piece;

    fn next(&mut self) -> Option<Piece> {
        let Pieces { context, detail, watermark, top, start } = *self;
        let map = &context.map;
        let shift = map.shape.block_shift;
        let total = map.blocks << shift;
        if start >= total {
            return None;
        }
        let block = start >> shift;
        // Where one piece has to end at the latest, and what it is if it is nobody's.
        let (mut end, mut state) = ((block + 1) << shift, State::Free);
        let mut owner = None;
        if block >= top {
            (end, state) = (total, State::Records);
        } else if block >= watermark {
            end = top << shift;
        } else {
            let record = map.record(block);
            let word = record.owner.load(Relaxed);
            owner = Client::in_slot(context, record.slot.load(Relaxed))
                .filter(|client| word & 0xff != kind::FREE && word & !0xff == client.owner.get());
        }
        let mut piece = Piece { state, slot: NONE, start, length: end - start, live: 0, cached: 0, free: 0 };
        if let Some(client) = owner {
            client_piece(context, client, detail, &mut piece);
            let most = if piece.state == State::Run { (watermark << shift) - start } else { end - start };
            let least = if map.shape.packed { map.shape.granule_shift } else { map.shape.unit_shift };
            piece.length = piece.length.min(most).max(1 << least);
        }
        self.start += piece.length;
        Some(piece)
    }
}

/// The piece of a client's memory that begins at `piece.start`, the beginning of a block or behind another piece.
fn client_piece(context: &Context, client: &Client, detail: Detail, piece: &mut Piece) {
    let map = &context.map;
    let shape = &map.shape;
    let block = piece.start >> shape.block_shift;
    let within = piece.start & (shape.block_size() - 1);
    let record = map.record(block);
    piece.slot = client.slot();
    piece.state = State::Buddy;
    let _lock = client.lock_shared(context);
    match record.owner.load(Relaxed) & 0xff {
        kind::BUDDY if detail == Detail::Blocks => {}
        kind::BUDDY if shape.packed => packed_piece(context, client, piece),
        kind::BODY if shape.packed => {
            piece.state = State::Run;
            packed_piece(context, client, piece);
        }
        kind::BUDDY => {
            let tail = record.tail.load(Relaxed) as usize;
            if within == 0 && tail > 0 {
                let head = record.run.load(Relaxed) as usize;
                piece.length = tail << shape.unit_shift;
                run_share(context, client, head, block.saturating_sub(head) << shape.block_shift, piece);
            } else {
                unit_piece(context, client, piece);
            }
        }
        what => {
            piece.state = State::Run;
            if what == kind::HEAD {
                piece.length = (record.run.load(Relaxed) as usize) << shape.block_shift;
                run_share(context, client, block, 0, piece);
            }
        }
    }
}

/// Where the allocation at `offset` (live, or kept) begins, its bytes, and how many of them the program sees.
#[inline(never)]
fn held_at(context: &Context, client: &Client, offset: usize) -> (usize, usize, usize) {
    let found = find::holder(context, client.owner.get(), offset);
    found.map_or((NONE as usize, 0, 0), |found| {
        (found.start, found.usable, if found.live { found.size(context) } else { 0 })
    })
}

/// How much of a piece that begins `from` bytes into the run of blocks at `head` is live, and how much cached.
fn run_share(context: &Context, client: &Client, head: usize, from: usize, piece: &mut Piece) {
    let (_, _, live) = held_at(context, client, head << context.map.shape.block_shift);
    piece.live = live.saturating_sub(from).min(piece.length);
    piece.cached = if live > 0 { 0 } else { piece.length };
}

/// PACKED: the piece or hole that begins at `piece.start`, or goes on there, as far as its block goes.
fn packed_piece(context: &Context, client: &Client, piece: &mut Piece) {
    let map = &context.map;
    let block = piece.start >> map.shape.block_shift;
    if piece.state == State::Buddy {
        let at = (piece.start & (map.shape.block_size() - 1)) >> map.shape.granule_shift;
        piece.length = (map.flat(block).next(at + 1) - at) << map.shape.granule_shift;
    }
    let (start, usable, live) = held_at(context, client, piece.start);
    if usable == 0 {
        piece.free = piece.length;
    } else if live > 0 {
        piece.live = live.saturating_sub(piece.start.saturating_sub(start)).min(piece.length);
    } else {
        piece.cached = piece.length;
    }
}

/// The slab, run of units or free unit that begins at `piece.start`.
fn unit_piece(context: &Context, client: &Client, piece: &mut Piece) {
    let map = &context.map;
    let shape = &map.shape;
    let unit = piece.start >> shape.unit_shift;
    let word = map.unit(unit).load(Relaxed);
    let class = (word & 0xff) as usize;
    piece.length = 1 << shape.unit_shift;
    let own = word & !0xff == client.owner.get();
    if own && class < context.sizes.count() {
        let info = context.sizes.class(class);
        // Another thread may have made a slab of it since the piece before.
        let slab = unit & !(shape.slab_units - 1);
        let cell = info.cell as usize;
        piece.length <<= shape.slab_order;
        let mut kept = 0;
        for index in 0..info.cells as usize {
            match held_at(context, client, piece.start + index * cell) {
                (_, _, 0) => kept += cell,
                (_, _, live) => piece.live += live,
            }
        }
        piece.free = (info.cells.saturating_sub(map.uses(slab).count()) as usize * cell).min(kept);
        piece.cached = kept - piece.free;
        return;
    }
    let (start, usable, live) = held_at(context, client, piece.start);
    if !own || start != piece.start {
        piece.free = piece.length;
        return;
    }
    piece.length = usable;
    piece.live = live;
    piece.cached = if live > 0 { 0 } else { usable };
}
