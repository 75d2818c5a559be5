//! Where everything lies: (address, size, alignment, block size, flags) -> offsets of all tables.
//!
//! ```text
//!  memory                                                                                 memory + size
//!  | … | header | 4 slots | tables … | … | block 0 … block N-1 | … |
//!      ^ origin: 64-aligned               ^ base: multiple of block_size
//!
//!  tables, each 64-aligned: blocks | free | units | lives | uses | slabs | nodes | sums | longest | caches | slack
//! ```
//!
//! With QUARANTINE the bits of what waits there follow the live words.
//!
//! PACKED contexts have no records of units and slabs; sums and longest are theirs alone. N is the largest number of
//! blocks with which all of that fits. The blocks end at the last multiple of block_size in the memory, the tables
//! begin at its first multiple of 64.
//!
//! Invariants: tables do not overlap, each is large enough for N blocks, and none reaches into block 0.
//! May know: sizes, space, flat (how large their records are). Pure arithmetic over numbers; no pointers.

use crate::flat::{longest_words, sum_words};
use crate::sizes::{MIN_CELL, slab_order, unit_shift};
use crate::space::space_words;

/// All tables begin at multiples of this: a cache line.
pub const TABLE_ALIGN: usize = 64;
/// Client slots that every context has from the beginning, in front of its tables.
pub const FIRST_SLOTS: usize = 4;
pub const SLOT_SIZE: usize = 512;
pub const BLOCK_RECORD_SIZE: usize = 32;
pub const SLAB_RECORD_SIZE: usize = 8;
/// One for every two units: no slab is shorter. Most are longer and leave some unused, but so a granule finds its slab's by a
/// mask and a shift that are the same for all.
pub const USES_SIZE: usize = 4;
/// Block numbers are 32 bits; the highest values are kept for marks.
pub const MAX_BLOCKS: usize = (u32::MAX - 15) as usize;
/// So are the numbers of units.
pub const MAX_UNITS: usize = MAX_BLOCKS;
/// Cache entries come in pieces of this many.
pub const CACHE_PIECE: usize = 8;
/// The entries of the first block begin behind these: a whole cache line, so that no two blocks share one.
pub const FIRST_CACHE: usize = TABLE_ALIGN / 4;

/// Addresses that differ by a multiple of this are easily taken for one another: they agree in 12 bits.
const SAME_BITS: usize = 4096;
const MIN_BLOCK_SHIFT: u32 = 10;
const MAX_BLOCK_SHIFT: u32 = 30;
const DEFAULT_BLOCK_SHIFT: u32 = 16;
/// block_size 0 chooses blocks so small that at least so many are free.
const DEFAULT_FREE_BLOCKS: usize = 16;

/// The numbers that fix the size of every table of a context.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(C)]
pub struct Shape {
    pub alignment: usize,
    /// Granules of one block.
    pub granules: usize,
    /// Units of a slab; the same as a power is `slab_order`.
    pub slab_units: usize,
    pub block_shift: u32,
    pub unit_shift: u32,
    /// log2 of the granule: the distance of two live bits, 8 or 16 bytes.
    pub granule_shift: u32,
    /// Cache entries that lie with the records of one block.
    pub cache_entries: u32,
    /// Words in which the free units of one block are kept.
    pub node_words: u32,
    pub slab_order: u32,
    /// One byte for every 16 of memory: how much of an allocation is red zone.
    pub slack: bool,
    /// Blocks are flat: without units.
    pub packed: bool,
    /// One bit for every granule: does a piece that begins there wait in quarantine?
    pub waits: bool,
}

/// What of the flags decides about the shape.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Extras {
    pub caches: bool,
    pub quarantine: bool,
    pub slack: bool,
    pub packed: bool,
}

impl Shape {
    fn with_shift(alignment: usize, block_shift: u32, extras: Extras) -> Shape {
        let kib = 1usize << (block_shift - 10);
        // Six entries a KiB of block: 0.6 %. Blocks below 4 KiB are too small to have caches of their own.
        // PACKED: one entry.
        let wanted = if extras.packed { kib } else { kib * 6 / 4 };
        let entries = if kib < 4 { 0 } else { wanted.next_multiple_of(CACHE_PIECE).min(32 * CACHE_PIECE) };
        let cache_entries = if extras.quarantine {
            (kib * 4).clamp(16, 1024)
        } else if extras.caches {
            entries
        } else {
            0
        };
        let unit_shift = unit_shift(block_shift, alignment);
        let granule_shift = if alignment < MIN_CELL { 3 } else { 4 };
        let live_words = 1 << (block_shift - granule_shift - 6);
        let slab_order = slab_order(block_shift - unit_shift);
        let unit_words = space_words(1 << (block_shift - unit_shift));
        Shape {
            alignment,
            granules: 1 << (block_shift - granule_shift),
            slab_units: 1 << slab_order,
            block_shift,
            unit_shift,
            granule_shift,
            cache_entries: cache_entries as u32,
            node_words: if extras.packed { live_words } else { unit_words as u32 },
            slab_order,
            slack: extras.slack,
            packed: extras.packed,
            waits: extras.quarantine && !extras.packed,
        }
    }

    pub fn block_size(&self) -> usize {
        1 << self.block_shift
    }

    /// log2 of the units of one block.
    pub fn order_max(&self) -> u32 {
        self.block_shift - self.unit_shift
    }

    pub fn units_per_block(&self) -> usize {
        1 << self.order_max()
    }

    pub fn live_words_per_block(&self) -> usize {
        self.granules / 64
    }

    /// Units with a word and a record: PACKED has none.
    pub fn unit_records_per_block(&self) -> usize {
        if self.packed { 0 } else { self.units_per_block() }
    }

    /// The first unit of the slab that a granule lies in.
    pub fn slab_of(&self, granule: usize) -> usize {
        granule >> (self.unit_shift - self.granule_shift) & !(self.slab_units - 1)
    }

    pub fn uses_per_block(&self) -> usize {
        self.unit_records_per_block() / 2
    }

    pub fn slab_records_per_block(&self) -> usize {
        self.unit_records_per_block() >> self.slab_order
    }

    /// With `waits` the words of these follow all live words, in the same table.
    pub fn live_table_per_block(&self) -> usize {
        self.live_words_per_block() << self.waits as u32
    }

    /// Words that say which units are free; PACKED: the words of edges.
    pub fn node_words_per_block(&self) -> usize {
        self.node_words as usize
    }

    pub fn sum_words_per_block(&self) -> usize {
        if self.packed { sum_words(self.live_words_per_block()) } else { 0 }
    }

    pub fn longest_per_block(&self) -> usize {
        if self.packed { longest_words(self.live_words_per_block()) } else { 0 }
    }

    pub fn granules_per_block(&self) -> usize {
        self.granules
    }
}

/// Offsets from the origin; the sizes follow from the shape.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Tables {
    pub slots: usize,
    pub blocks: usize,
    pub free: usize,
    pub units: usize,
    pub lives: usize,
    pub uses: usize,
    pub slabs: usize,
    pub nodes: usize,
    pub sums: usize,
    pub longest: usize,
    pub caches: usize,
    pub slack: usize,
    /// The first byte behind all tables.
    pub end: usize,
}

impl Tables {
    /// Where the tables for `blocks` blocks lie behind a header of `header` bytes. None: more than can be addressed.
    pub fn new(shape: &Shape, header: usize, blocks: usize) -> Option<Tables> {
        let mut tables = Tables { end: header.next_multiple_of(TABLE_ALIGN), ..Tables::default() };
        let slack = if shape.slack { shape.block_size() / MIN_CELL } else { 0 };
        // Where each begins, the bytes that each block has in it, and what it has besides.
        let order = [
            (&mut tables.slots, 0, FIRST_SLOTS * SLOT_SIZE),
            (&mut tables.blocks, BLOCK_RECORD_SIZE, 0),
            (&mut tables.free, 0, crate::bitmap::words_for(blocks) * 8),
            (&mut tables.units, shape.unit_records_per_block() * 4, 0),
            (&mut tables.lives, shape.live_table_per_block() * 8, 0),
            (&mut tables.uses, shape.uses_per_block() * USES_SIZE, 0),
            (&mut tables.slabs, shape.slab_records_per_block() * SLAB_RECORD_SIZE, 0),
            (&mut tables.nodes, shape.node_words_per_block() * 8, 0),
            (&mut tables.sums, shape.sum_words_per_block() * 8, 0),
            (&mut tables.longest, shape.longest_per_block() * 8, 0),
            // The first entries of the cache table are the empty cache that all clients without one share.
            (&mut tables.caches, shape.cache_entries as usize * 4, FIRST_CACHE * 4),
            (&mut tables.slack, slack, 0),
        ];
        // Where these two are in the order. Their distance matters where there are caches; smaller blocks, and so smaller
        // contexts, would pay for it.
        const LIVES: usize = 4;
        const CACHES: usize = 10;
        let keep_apart = shape.block_shift >= DEFAULT_BLOCK_SHIFT && shape.cache_entries > 0 && !shape.packed;
        let mut lives = 0;
        for (number, (start, per_block, more)) in order.into_iter().enumerate() {
            match number {
                LIVES => lives = tables.end,
                CACHES if keep_apart => tables.end = far_from(lives, tables.end)?,
                _ => {}
            }
            *start = tables.end;
            let size = blocks.checked_mul(per_block)?.checked_add(more)?;
            tables.end = size.checked_add(tables.end)?.checked_next_multiple_of(TABLE_ALIGN)?;
        }
        Some(tables)
    }
}

/// The next offset at which a table's low bits differ most from those of another's.
///
/// Processors take a store and a load for the same place, as long as they only know so many bits, and let the load wait: an
/// allocation reads a live word just after a free has stored an entry. For the first block, all that small clients have, this
/// keeps them apart.
fn far_from(other: usize, start: usize) -> Option<usize> {
    let wanted = other.wrapping_add(SAME_BITS / 2).wrapping_sub(FIRST_CACHE * 4);
    start.checked_add(wanted.wrapping_sub(start) & (SAME_BITS - 1))
}

/// A context laid out: all that creation has to know.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Layout {
    pub shape: Shape,
    pub tables: Tables,
    /// Address of the header.
    pub origin: usize,
    /// Address of block 0.
    pub base: usize,
    pub blocks: usize,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Error {
    /// A parameter that no memory would make right.
    Invalid,
    /// The memory does not hold the records and one block.
    TooSmall,
}

/// 0 means 16; else a power of two from 8 to 4096.
fn checked_alignment(alignment: usize) -> Result<usize, Error> {
    match alignment {
        0 => Ok(16),
        8..=4096 if alignment.is_power_of_two() => Ok(alignment),
        _ => Err(Error::Invalid),
    }
}

/// Smallest block for an alignment, as a power.
fn min_shift(alignment: usize) -> u32 {
    MIN_BLOCK_SHIFT.max(alignment.trailing_zeros() + 4)
}

/// The block size asked for, as a power; None for "choose".
fn checked_block(block_size: usize, alignment: usize) -> Result<Option<u32>, Error> {
    if block_size == 0 {
        return Ok(None);
    }
    let shift = block_size.trailing_zeros();
    if !block_size.is_power_of_two() || shift > MAX_BLOCK_SHIFT || shift < min_shift(alignment) {
        return Err(Error::Invalid);
    }
    Ok(Some(shift))
}

/// Bytes from the origin to the end of the blocks that a context of `blocks` blocks needs.
fn need(shape: &Shape, header: usize, blocks: usize) -> Option<usize> {
    let records = Tables::new(shape, header, blocks)?.end;
    blocks.checked_mul(shape.block_size())?.checked_add(records)
}

/// The most blocks that fit from `origin` to `end`.
fn most_blocks(shape: &Shape, header: usize, origin: usize, end: usize) -> usize {
    let last = end & !(shape.block_size() - 1);
    if last <= origin {
        return 0;
    }
    let room = last - origin;
    let (mut low, mut high) = (0, (room >> shape.block_shift).min(MAX_UNITS >> shape.order_max()));
    while low < high {
        let middle = low + (high - low).div_ceil(2);
        if need(shape, header, middle).is_some_and(|bytes| bytes <= room) {
            low = middle;
        } else {
            high = middle - 1;
        }
    }
    low
}

impl Layout {
    /// Lays a context out over `size` bytes at `memory`; `header` is the size of the header.
    pub fn new(
        memory: usize,
        size: usize,
        alignment: usize,
        block_size: usize,
        extras: Extras,
        header: usize,
    ) -> Result<Layout, Error> {
        let alignment = checked_alignment(alignment)?;
        let block = checked_block(block_size, alignment)?;
        let end = memory.checked_add(size).ok_or(Error::Invalid)?;
        let origin = memory.checked_next_multiple_of(TABLE_ALIGN).ok_or(Error::TooSmall)?;
        let least = min_shift(alignment);
        let mut shift = block.unwrap_or(DEFAULT_BLOCK_SHIFT.max(least));
        loop {
            let shape = Shape::with_shift(alignment, shift, extras);
            let blocks = most_blocks(&shape, header, origin, end);
            if block.is_none() && blocks < DEFAULT_FREE_BLOCKS && shift > least {
                shift -= 1;
                continue;
            }
            if blocks == 0 {
                return Err(Error::TooSmall);
            }
            let tables = Tables::new(&shape, header, blocks).ok_or(Error::TooSmall)?;
            let base = (end & !(shape.block_size() - 1)) - blocks * shape.block_size();
            return Ok(Layout { shape, tables, origin, base, blocks });
        }
    }
}

/// The smallest size from which on every size gives, at every address, room for `usable` bytes in free blocks.
///
/// With S bytes at the worst address the last multiple of the block size B lies B-1 bytes before the end, so a
/// context of n blocks is certain from S = need(n) + B - 1 on. Where the block size is chosen (0), more memory
/// can mean larger and therefore fewer bytes in blocks; the answer is then the last size that fails, plus one.
pub fn required_size(
    usable: usize,
    alignment: usize,
    block_size: usize,
    extras: Extras,
    header: usize,
) -> Option<usize> {
    let alignment = checked_alignment(alignment).ok()?;
    let block = checked_block(block_size, alignment).ok()?;
    let certain = |shift: u32, blocks: usize| -> Option<usize> {
        let shape = Shape::with_shift(alignment, shift, extras);
        need(&shape, header, blocks)?.checked_add(shape.block_size() - 1)
    };
    let order = |shift: u32| shift - unit_shift(shift, alignment);
    let blocks_for = |shift: u32| usable.div_ceil(1 << shift).max(1);
    if let Some(shift) = block {
        return (blocks_for(shift) <= MAX_UNITS >> order(shift)).then(|| certain(shift, blocks_for(shift)))?;
    }
    let least = min_shift(alignment);
    let most = DEFAULT_BLOCK_SHIFT.max(least);
    if blocks_for(most) > MAX_UNITS >> order(most) {
        return None;
    }
    let mut required = 0;
    // A size below which some address still makes the next larger blocks too few.
    let mut ceiling = usize::MAX;
    for shift in (least..=most).rev() {
        let blocks = blocks_for(shift);
        if shift == least || blocks > DEFAULT_FREE_BLOCKS {
            // Beyond `ceiling` this block size is never chosen, so it need not suffice there. A size that can't
            // be addressed is beyond every ceiling but the first.
            let enough = certain(shift, blocks).unwrap_or(usize::MAX).min(ceiling);
            required = required.max(enough);
        }
        ceiling = ceiling.min(certain(shift, DEFAULT_FREE_BLOCKS)?);
    }
    (required < usize::MAX).then_some(required)
}
