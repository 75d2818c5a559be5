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
//! The cells are the powers of two from max(16, alignment) to half a unit, and a run of units is a power of two as well,
//! so everything is naturally aligned. With PACKED there is one way only: a piece of so many bytes, the request rounded
//! up to the alignment.
//!
//! Invariants: cells ascend; each is a multiple of the alignment; all slabs of a context have the
//! same length, and at least four cells; `class_of(n)` is the first class whose cell holds n bytes.
//! May know: nothing. Plain arithmetic, no pointers.

/// Lists of slabs that a client has room for: of each class those with free cells, and the idle ones. (PACKED has as many
/// lists of blocks more.)
pub const SLAB_LISTS: usize = 2 * FIRST_CLASSES;
/// Slab classes of default mode, at most: 16 to 512 bytes.
pub const FIRST_CLASSES: usize = 6;
/// Sizes up to this many bytes find their class by one table look-up.
const TABLE_BYTES: usize = 1024;
/// The table has one entry for every 8 bytes.
const TABLE_STEP: usize = 8;
const NO_CLASS: u8 = 0xff;
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
    /// 2^order units of one block; they begin at a multiple of that.
    Units {
        units: usize,
        order: u32,
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
    table: [u8; TABLE_BYTES / TABLE_STEP + 1],
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

/// Smallest k with 2^k >= n (0 for 0 and 1).
pub fn log2_ceil(n: usize) -> u32 {
    if n <= 1 { 0 } else { usize::BITS - (n - 1).leading_zeros() }
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
            table: [NO_CLASS; TABLE_BYTES / TABLE_STEP + 1],
            classes: [Class::NONE; FIRST_CLASSES],
        };
        let slab_bytes = 1 << (unit_shift + slab_order(block_shift - unit_shift));
        let mut cell = alignment.max(MIN_CELL);
        while cell < 1 << unit_shift && !packed {
            sizes.add(cell, slab_bytes);
            cell *= 2;
        }
        for step in 0..sizes.table.len() {
            let class = sizes.search(step * TABLE_STEP).map_or(NO_CLASS, |c| c as u8);
            if let Some(entry) = sizes.table.get_mut(step) {
                *entry = class;
            }
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
        hash = mix(hash, (self.count as u64) << 1 | self.packed as u64);
        for class in &self.classes {
            hash = mix(hash, (class.cell as u64) << 32 | class.most_cached as u64);
            hash = mix(hash, class.cells as u64);
        }
        for entries in self.table.chunks(8) {
            hash = mix(hash, entries.iter().fold(0, |word, &entry| word << 8 | entry as u64));
        }
        hash
    }

    fn search(&self, size: usize) -> Option<usize> {
        self.classes.iter().take(self.count()).position(|class| class.cell as usize >= size)
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
        if size <= TABLE_BYTES {
            let class = self.table.get(size.wrapping_add(TABLE_STEP - 1) / TABLE_STEP).copied().unwrap_or(NO_CLASS);
            return (class != NO_CLASS).then_some(class as usize);
        }
        self.search(size)
    }

    /// The class of a request that a cache may serve: slab classes, and behind them the orders of runs; with PACKED how
    /// many times the alignment it is, less one. A number that no cache has for every other size, 0 included.
    #[inline(always)]
    pub fn cache_class(&self, size: usize) -> usize {
        if self.packed {
            return size.wrapping_sub(1) >> self.alignment.trailing_zeros();
        }
        self.plain_cache_class(size)
    }

    /// The same without PACKED.
    #[inline(never)]
    fn plain_cache_class(&self, size: usize) -> usize {
        let last = size.wrapping_sub(1);
        if last < TABLE_BYTES {
            let class = self.table.get(last / TABLE_STEP + 1).copied().unwrap_or(NO_CLASS);
            if class != NO_CLASS {
                return class as usize;
            }
        }
        if size == 0 || size > 1 << self.block_shift {
            return usize::MAX;
        }
        self.count() + log2_ceil(size).saturating_sub(self.unit_shift) as usize
    }

    /// Where a request of `size` bytes (at least 1) goes. None: the rounded size is no number.
    #[inline]
    pub fn place(&self, size: usize) -> Option<Place> {
        if self.packed {
            return self.place_piece(size, self.alignment);
        }
        if let Some(class) = self.class_of(size) {
            return Some(Place::Slab(class));
        }
        let block = 1usize << self.block_shift;
        let unit = 1usize << self.unit_shift;
        if size <= block {
            let order = log2_ceil(size).max(self.unit_shift) - self.unit_shift;
            return Some(Place::Units { units: 1 << order, order });
        }
        let rounded = size.checked_next_multiple_of(unit)?;
        Some(Place::Blocks { blocks: rounded >> self.block_shift, units: (rounded & (block - 1)) >> self.unit_shift })
    }

    /// The same for a request that has to begin at a multiple of `alignment`, a power of two up to a block.
    pub fn place_aligned(&self, size: usize, alignment: usize) -> Option<Place> {
        if alignment <= self.alignment {
            return self.place(size);
        }
        if self.packed {
            return self.place_piece(size, alignment);
        }
        let block = 1usize << self.block_shift;
        let natural = size.max(alignment);
        if natural > block {
            return self.place(size);
        }
        // A cell whose size is a power of two lies at a multiple of it: slabs are aligned to their own size.
        let power = natural.next_power_of_two();
        if let Some(class) = self.class_of(power)
            && self.class(class).cell as usize == power
        {
            return Some(Place::Slab(class));
        }
        let order = log2_ceil(power).max(self.unit_shift) - self.unit_shift;
        Some(Place::Units { units: 1 << order, order })
    }

    fn place_piece(&self, size: usize, align: usize) -> Option<Place> {
        let (bytes, block) = (size.checked_next_multiple_of(self.alignment)?, 1usize << self.block_shift);
        Some(Place::Piece { bytes, align: if bytes > block { block } else { align } })
    }

    /// Bytes of what the cache of a class keeps.
    #[inline]
    pub fn cached_bytes(&self, class: usize) -> usize {
        if self.packed {
            (class + 1) * self.alignment
        } else if class < self.count() {
            self.class(class).cell as usize
        } else {
            1 << (self.unit_shift as usize + class - self.count())
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
