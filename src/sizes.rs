//! Size classes: from a requested size to a cell, a run of units, or a run of blocks.
//!
//! A request goes one of three ways, smallest first:
//!
//! ```text
//!   slab class c   cells of `cell(c)` bytes, cut out of a slab
//!   units          n units of one block, from the block's buddy allocator
//!   blocks         n whole blocks and some units of one more, from the context
//! ```
//!
//! The cells are the powers of two from max(16, alignment) to half a unit. A run of units is a power of two, or some eighths
//! of one (lengths.rs), and begins at a multiple of the power: so everything is naturally aligned. With PACKED there is one way
//! only: a piece of so many bytes, the request rounded up to the alignment.
//!
//! Invariants: cells ascend; each is a multiple of the alignment; all slabs of a context have the
//! same length, and at least four cells; `class_of(n)` is the first class whose cell holds n bytes.
//! May know: lengths. Plain arithmetic, no pointers.

use crate::lengths::{self, LONGEST, log2_ceil};

/// Lists of slabs that a client has room for: of each class those with free cells, and the idle ones. (PACKED has as many
/// lists of blocks more.)
pub const SLAB_LISTS: usize = 2 * FIRST_CLASSES;
/// Slab classes of default mode, at most: 16 to 512 bytes.
pub const FIRST_CLASSES: usize = 6;
/// No cell is smaller, whatever the alignment: it would cost more in records than it saves.
pub const MIN_CELL: usize = 16;

/// log2 of the units of a slab, whatever its class, in a block of 2^order_max units: eight units, a quarter of a smaller
/// block, but never less than two.
pub fn slab_order(order_max: u32) -> u32 {
    order_max.saturating_sub(2).clamp(1, 3)
}

/// What one slab class looks like.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct Class {
    /// Bytes per cell, a power of two.
    pub cell: u32,
    /// Most entries of a cache of this class.
    pub most_cached: u32,
    /// Cells of a slab.
    pub cells: u32,
}

impl Class {
    const NONE: Class = Class { cell: 0, most_cached: 0, cells: 0 };

    fn new(cell: usize, slab_bytes: usize) -> Class {
        let cells = slab_bytes >> cell.trailing_zeros();
        Class { cell: cell as u32, most_cached: most_cached(cell) as u32, cells: cells as u32 }
    }

    /// A bit for each cell of a part: the first 64 cells of a slab, the next 64, and so on; fewer if a slab has fewer.
    #[inline(always)]
    pub fn full(&self) -> u64 {
        !0 >> (64u32.saturating_sub(self.cells) & 63)
    }
}

/// No cache keeps more than so many bytes, but for two entries.
const MOST_CACHED_BYTES: usize = 32 << 10;
/// No cache has more entries: eight pieces of eight, less the two marks.
pub const MOST_CACHED: usize = 62;

/// Most entries of the cache for pieces of `bytes` bytes.
pub fn most_cached(bytes: usize) -> usize {
    MOST_CACHED_BYTES.checked_div(bytes).unwrap_or(0).clamp(2, MOST_CACHED)
}

/// Where a request is served from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Place {
    Slab(usize),
    /// So many units of one block, the run's number; they begin at a multiple of the power of two from that on.
    Units {
        units: usize,
        run: u32,
    },
    /// So many whole blocks, and so many units of the block behind them.
    Blocks {
        blocks: usize,
        units: usize,
    },
    /// PACKED: so many bytes, a multiple of the alignment, beginning at a multiple of `align`; above a block, and never
    /// less, of a block.
    Piece {
        bytes: usize,
        align: usize,
    },
}

/// The sizes of one context.
#[repr(C)]
pub struct Sizes {
    unit_shift: u32,
    block_shift: u32,
    alignment: usize,
    packed: bool,
    count: u8,
    /// The numbers of a run of a whole block, and of a slab's.
    pub last_run: u8,
    pub slab_run: u8,
    /// Do runs have all lengths of lengths.rs? Else they are powers of two.
    lengths: bool,
    classes: [Class; FIRST_CLASSES],
}

/// log2 of the unit of a context: 1 KiB, an eighth of a smaller block, never less than the alignment.
pub fn unit_shift(block_shift: u32, alignment: usize) -> u32 {
    (block_shift.saturating_sub(3)).clamp(8, 10).max(log2_ceil(alignment)).min(block_shift)
}

/// `n` rounded up to a multiple of a power of two.
pub fn round_up(n: usize, power: usize) -> usize {
    (n + power - 1) & !(power - 1)
}

impl Sizes {
    pub fn new(alignment: usize, block_shift: u32, packed: bool) -> Sizes {
        let unit_shift = unit_shift(block_shift, alignment);
        let mut sizes = Sizes {
            unit_shift,
            block_shift,
            alignment,
            packed,
            count: 0,
            last_run: 0,
            slab_run: 0,
            lengths: block_shift - unit_shift <= LONGEST,
            classes: [Class::NONE; FIRST_CLASSES],
        };
        let slab_order = slab_order(block_shift - unit_shift);
        let slab_bytes = 1 << (unit_shift + slab_order);
        sizes.last_run = sizes.run_of(1 << (block_shift - unit_shift)) as u8;
        sizes.slab_run = sizes.run_of(1 << slab_order) as u8;
        let mut cell = alignment.max(MIN_CELL);
        while cell < 1 << unit_shift && !packed {
            sizes.add(cell, slab_bytes);
            cell *= 2;
        }
        sizes
    }

    fn add(&mut self, cell: usize, slab_bytes: usize) {
        if let Some(class) = self.classes.get_mut(self.count as usize) {
            *class = Class::new(cell, slab_bytes);
            self.count += 1;
        }
    }

    /// Over every field, for the context's checksum.
    pub fn checksum(&self, mut hash: u64) -> u64 {
        use crate::mix::mix;
        hash = mix(hash, (self.unit_shift as u64) << 32 | self.block_shift as u64);
        hash = mix(hash, self.alignment as u64);
        let runs = (self.lengths as u64) << 16 | (self.last_run as u64) << 8 | self.slab_run as u64;
        hash = mix(hash, runs << 32 | (self.count as u64) << 1 | self.packed as u64);
        for class in &self.classes {
            hash = mix(hash, (class.cell as u64) << 32 | class.most_cached as u64);
            hash = mix(hash, class.cells as u64);
        }
        hash
    }

    pub fn count(&self) -> usize {
        self.count as usize
    }

    pub fn packed(&self) -> bool {
        self.packed
    }

    #[inline(always)]
    pub fn class(&self, class: usize) -> &Class {
        self.classes.get(class).unwrap_or(&Class::NONE)
    }

    /// The class whose cells serve `size` bytes (at least 1), if a slab does.
    #[inline]
    pub fn class_of(&self, size: usize) -> Option<usize> {
        let class = log2_ceil(size).saturating_sub(self.alignment.max(MIN_CELL).trailing_zeros());
        (class < self.count as u32).then_some(class as usize)
    }

    /// The class of a request that a cache may serve: slab classes, and behind them the orders of runs; with PACKED how
    /// many times the alignment it is, less one. A number that no cache has for every other size, 0 included.
    #[inline(always)]
    pub fn cache_class(&self, size: usize) -> usize {
        if self.packed { self.packed_cache_class(size) } else { self.plain_cache_class(size) }
    }

    /// The same with PACKED.
    #[inline(always)]
    pub fn packed_cache_class(&self, size: usize) -> usize {
        size.wrapping_sub(1) >> self.alignment.trailing_zeros()
    }

    /// The same without PACKED.
    #[inline(never)]
    fn plain_cache_class(&self, size: usize) -> usize {
        if size == 0 || size > 1 << self.block_shift {
            return usize::MAX;
        }
        match self.class_of(size) {
            Some(class) => class,
            None => self.count() + self.run_of(self.units_for(size)) as usize,
        }
    }

    // ---- runs of units ----

    /// Units that hold `size` bytes, at least 1.
    fn units_for(&self, size: usize) -> usize {
        ((size - 1) >> self.unit_shift) + 1
    }

    /// The number of the shortest run that has so many units, at least 1 and at most a block.
    #[inline(never)]
    pub fn run_of(&self, units: usize) -> u32 {
        if self.lengths { lengths::number_of(units) } else { log2_ceil(units) }
    }

    /// The same without a call; of more units any number.
    #[inline(always)]
    pub fn short_run_of(&self, units: usize) -> u32 {
        if self.lengths { lengths::number_of(units) } else { log2_ceil(units) }
    }

    /// Units of the run with a number.
    pub fn units_of(&self, run: u32) -> usize {
        if self.lengths { lengths::units_of(run) } else { 1 << run }
    }

    /// Where a request of `size` bytes (at least 1) goes that has to begin at a multiple of `alignment`, a power of two up to a block, or
    /// 0. None: the rounded size is no number.
    pub fn place_aligned(&self, size: usize, alignment: usize) -> Option<Place> {
        let alignment = alignment.max(self.alignment);
        if self.packed {
            return self.place_piece(size, alignment);
        }
        let block = 1usize << self.block_shift;
        if size > block {
            let rounded = size.checked_next_multiple_of(1usize << self.unit_shift)?;
            let units = (rounded & (block - 1)) >> self.unit_shift;
            return Some(Place::Blocks { blocks: rounded >> self.block_shift, units });
        }
        // Every cell and run begins at a multiple of the power of two from its size on: less than half of `alignment` would not.
        let size = if size > alignment / 2 { size } else { alignment };
        if let Some(class) = self.class_of(size) {
            return Some(Place::Slab(class));
        }
        let run = self.run_of(self.units_for(size));
        Some(Place::Units { units: self.units_of(run), run })
    }

    fn place_piece(&self, size: usize, align: usize) -> Option<Place> {
        let (bytes, block) = (size.checked_next_multiple_of(self.alignment)?, 1usize << self.block_shift);
        Some(Place::Piece { bytes, align: if bytes > block { block } else { align } })
    }

    /// Bytes of what the cache of a class keeps.
    #[inline(never)]
    pub fn cached_bytes(&self, class: usize) -> usize {
        if self.packed {
            (class + 1) * self.alignment
        } else if class < self.count() {
            self.class(class).cell as usize
        } else {
            self.units_of((class - self.count()) as u32) << self.unit_shift
        }
    }

    /// Bytes that an allocation at `place` may use.
    #[inline(never)]
    pub fn usable(&self, place: Place) -> usize {
        match place {
            Place::Slab(class) => self.class(class).cell as usize,
            Place::Units { units, .. } => units << self.unit_shift,
            Place::Blocks { blocks, units } => (blocks << self.block_shift) + (units << self.unit_shift),
            Place::Piece { bytes, .. } => bytes,
        }
    }
}
