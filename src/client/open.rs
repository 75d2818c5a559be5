//! Open slabs: for each class the slab that is being cut up.
//!
//! A client that opens a slab takes the free cells of a part of it, at most 64, all at once. While the cache of the class is
//! empty, requests are served from that word: to allocate many cells in a row costs a few instructions each, and no list is
//! touched before the slab is used up. Cells that are freed meanwhile go to the cache or to the slab, as those of any other.
//!
//! ```text
//!   slab       | part          | part          | …     eight for the smallest cells, one for those of 128 bytes
//!   live        1 1 0 1 1 1 1 1 1 0 0 1 0 0 0 0
//!   open word                   0 0 0 0 0 1 1 0       cells of the second part that wait: they count as in use
//! ```
//!
//! Default mode with caches only. Invariants: a waiting cell is not live, and counted by its slab; `open_parity`
//! is the sum of all `open_first` without carries, so that a damaged one shows even where no cell waits.
//! May know: context, memory, slab, pages.

use super::Client;
use crate::bitmap::count_ones;
use crate::cell::Cell;
use crate::context::{Context, MARK};
use crate::memory::Uses;
use crate::status::Status;

/// One for each slab class.
pub const OPEN_SLABS: usize = crate::sizes::FIRST_CLASSES;

impl Client {
    pub(super) fn forget_open(&self) {
        for (cells, first) in self.open_cells.iter().zip(&self.open_first) {
            cells.set(0);
            first.set(0);
        }
    }

    /// All other `open_first`, each bit turned so often as it is set there. PACKED: which lists of blocks are not empty (reach.rs).
    #[inline(always)]
    pub(crate) fn open_parity(&self) -> &Cell<u32> {
        let [.., parity] = &self.open_first;
        parity
    }

    /// Takes a cell of the open slab of a class, or of another one that is opened for it; its granule.
    pub(super) fn open_take(&self, context: &Context, class: usize) -> Result<usize, Status> {
        let (Some(cells), Some(first)) = (self.open_cells.get(class), self.open_first.get(class)) else {
            return self.slab_take(context, class);
        };
        let shape = &context.map.shape;
        if cells.get() == 0 && !self.open_slab(context, class)? {
            return self.slab_take(context, class);
        }
        let index = cells.get().trailing_zeros() as usize;
        cells.set(cells.get() & cells.get().wrapping_sub(1));
        Ok(first.get() as usize + ((index * context.sizes.class(class).cell as usize) >> shape.granule_shift))
    }

    /// Opens a slab of a class whose waiting cells are used up. False: this one lies where caches do not reach.
    pub(super) fn open_slab(&self, context: &Context, class: usize) -> Result<bool, Status> {
        let (Some(cells), Some(first)) = (self.open_cells.get(class), self.open_first.get(class)) else {
            return Ok(false);
        };
        let (shape, info) = (&context.map.shape, context.sizes.class(class));
        let slab = self.front_slab(context, class)?;
        let first_granule = slab << (shape.unit_shift - shape.granule_shift);
        if first_granule >= MARK as usize {
            return Ok(false);
        }
        let whole = context.map.uses(slab).get() == Uses::IDLE;
        let (granule, free) = if whole { (first_granule, info.full()) } else { self.free_part(context, class, slab) };
        if free == 0 {
            return Err(Status::Corrupt);
        }
        self.use_cells(context, class, slab, count_ones(free));
        cells.set(free);
        // Some of these cells were in use before, as they are the rest of a part, or of one that was opened already: they have come
        // back past the cache.
        let again = granule <= first.get() as usize && shape.slab_of(first.get() as usize) == slab;
        let freed = !whole && (again || free != info.full());
        if freed && self.may_grow(context, class, context.map.cache(self.top(context, class) - 1).get()) {
            let _ = self.cache_make_room(context, class, granule);
        }
        self.open_parity().set(self.open_parity().get() ^ first.get() ^ granule as u32);
        first.set(granule as u32);
        Ok(true)
    }

    /// Gives the waiting cells of a class back to their slab. True if there were any.
    pub(super) fn close_slab(&self, context: &Context, class: usize) -> bool {
        let (granule, cells) = self.opened(class);
        if cells == 0 {
            return false;
        }
        if let Some(word) = self.open_cells.get(class) {
            word.set(0);
        }
        let _ = self.drop_cells(context, class, context.map.shape.slab_of(granule), count_ones(cells));
        true
    }

    /// The part of an open slab that is being cut up, by its first granule, and its waiting cells: none if the word is 0.
    pub(crate) fn opened(&self, class: usize) -> (usize, u64) {
        let first = self.open_first.get(class).map_or(0, |first| first.get() as usize);
        (first, self.open_cells.get(class).map_or(0, |cells| cells.get()))
    }
}
