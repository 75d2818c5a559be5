//! Open slabs: for each class the slab that is being cut up.
//!
//! A client that opens a slab takes the word of its free cells out of the slab's record at once. While the cache of the
//! class is empty, requests are served from that word: to allocate many cells in a row costs a few instructions each,
//! and no list is touched before the slab is used up. Cells that are freed meanwhile go to the cache or to the record,
//! as those of any other slab.
//!
//! ```text
//!   open word     0 0 0 1 1 1 1 1     cells that wait
//!   slab record   0 1 0 0 0 0 0 0     freed since; linked as soon as there is one
//! ```
//!
//! Default mode with caches only. Invariants: a waiting cell is not live and not in the slab's record; `open_parity`
//! is the sum of all `open_first` without carries, so that a damaged one shows even where no cell waits.
//! May know: context, memory, slab, pages.

use super::Client;
use crate::context::{Context, MARK};
use crate::status::Status;
use core::cell::Cell;
use core::sync::atomic::Ordering::Relaxed;

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
        let shape = &context.map.shape;
        let slab = self.take_slab(context, class)?;
        let granule = slab << (shape.unit_shift - shape.granule_shift);
        if granule >= MARK as usize {
            self.link_slab(context, class, slab);
            return Ok(false);
        }
        let record = context.map.slab(slab);
        cells.set(record.free.load(Relaxed) & context.sizes.class(class).full);
        record.free.store(0, Relaxed);
        self.open_parity().set(self.open_parity().get() ^ first.get() ^ granule as u32);
        first.set(granule as u32);
        Ok(true)
    }

    /// Gives the waiting cells of a class back to their slab. True if there were any.
    pub(super) fn close_slab(&self, context: &Context, class: usize) -> bool {
        let (slab, cells) = self.opened(context, class);
        if cells == 0 {
            return false;
        }
        if let Some(word) = self.open_cells.get(class) {
            word.set(0);
        }
        let _ = self.slab_put_cells(context, class, slab, cells);
        true
    }

    /// The open slab of a class and its waiting cells: none if the word is 0.
    pub(crate) fn opened(&self, context: &Context, class: usize) -> (usize, u64) {
        let shape = &context.map.shape;
        let first = self.open_first.get(class).map_or(0, |first| first.get() as usize);
        let cells = self.open_cells.get(class).map_or(0, |cells| cells.get());
        (first >> (shape.unit_shift - shape.granule_shift), cells)
    }
}
