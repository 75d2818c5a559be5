//! The records of blocks and slabs, as they lie in the context's memory.
//!
//! Their fields are atomics, read and written relaxed, because other threads may ask about any address at any time.
//! May know: layout (how large they are).

use core::ops::Deref;
use core::sync::atomic::{AtomicU32, Ordering::Relaxed};

/// "No block", "no unit", "no slot" in 32-bit links.
pub const NONE: u32 = u32::MAX;

/// What a block is.
pub mod kind {
    pub const FREE: u32 = 0;
    /// In a client's hands, its units dealt out by a buddy allocator. PACKED: a block with a map of its own.
    pub const BUDDY: u32 = 1;
    /// First block of a run: one allocation of several blocks.
    pub const HEAD: u32 = 2;
    /// A further whole block of a run. PACKED: a block that is all covered by a piece of an earlier one.
    pub const BODY: u32 = 3;
}

/// One block's record, 32 bytes.
#[repr(C)]
pub struct BlockRecord {
    /// Life of the owner << 8 | kind. 0: free.
    pub owner: AtomicU32,
    /// The owner's slot.
    pub slot: AtomicU32,
    /// Neighbours in the owner's list of such blocks.
    pub next: AtomicU32,
    pub prev: AtomicU32,
    /// HEAD: whole blocks in the run. BODY, or BUDDY with a tail in it: the head. Else NONE. PACKED: the block in which
    /// the piece begins that covers this block's first granule; NONE if something begins there.
    pub run: AtomicU32,
    /// HEAD: units of the block behind the whole ones that belong to the run. BUDDY: units at its front that do. PACKED:
    /// how many further blocks the last piece of this block goes on in.
    pub tail: AtomicU32,
    /// List << 24 | free units, or (PACKED) granules, as far as they fit.
    pub state: AtomicU32,
    /// Which pieces of the block's cache entries are in use.
    pub cache_pieces: AtomicU32,
}

/// How many cells of a slab are in use (live, in a cache, in quarantine, or waiting in the open word), less one; where no
/// slab begins 0.
///
/// Less one, so that a free that more has to be done for ends below zero: the last cell in use, the first one of a slab that
/// was full (`FULL` is its highest bit), and what is no slab's. To all others it is a subtraction and nothing else.
#[repr(transparent)]
pub struct Uses(Link);

impl Uses {
    /// In a slab that has no free cell, and so is in no list.
    pub const FULL: u32 = 1 << 31;
    /// Nothing is in use.
    pub const IDLE: u32 = u32::MAX;

    /// Of a slab: how many cells are in use.
    #[inline]
    pub fn count(&self) -> u32 {
        self.get().wrapping_add(1) & !Uses::FULL
    }
}

impl Deref for Uses {
    type Target = Link;

    #[inline(always)]
    fn deref(&self) -> &Link {
        &self.0
    }
}

/// A slab's neighbours in its list, 8 bytes.
#[repr(C)]
pub struct SlabRecord {
    pub next: Link,
    pub prev: Link,
}

/// A number that other threads may read while its owner changes it.
#[repr(transparent)]
pub struct Link(AtomicU32);

impl Link {
    #[inline(always)]
    pub fn get(&self) -> u32 {
        self.0.load(Relaxed)
    }

    #[inline(always)]
    pub fn set(&self, value: u32) {
        self.0.store(value, Relaxed);
    }

    /// Where the value lies.
    #[inline(always)]
    pub fn as_ptr(&self) -> *mut u32 {
        self.0.as_ptr()
    }
}

impl SlabRecord {
    /// What the links say of a slab that is in no list.
    #[inline]
    pub fn unlink(&self) {
        self.next.set(0);
        self.prev.set(0);
    }
}

const _: () = assert!(size_of::<BlockRecord>() == crate::layout::BLOCK_RECORD_SIZE);
const _: () = assert!(size_of::<Uses>() == crate::layout::USES_SIZE);
const _: () = assert!(size_of::<SlabRecord>() == crate::layout::SLAB_RECORD_SIZE);
