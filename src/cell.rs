//! A cell for records in memory that nobody has written yet.
//!
//! `core`'s Cell reads the old value when it is set, which for memory with no content yet is undefined, whatever becomes of
//! what was read. This one only writes. Otherwise it is the same.
//!
//! Invariants: no reference leads inside, and one thread at a time is at a cell. The type is not Sync; what holds records and goes
//! to several threads (memory.rs, the context, the client) says which lock, or which rule of the interface, sees to that.
//!
//! May know: nothing.

use core::cell::UnsafeCell;

#[repr(transparent)]
pub struct Cell<T>(UnsafeCell<T>);

impl<T: Copy> Cell<T> {
    #[inline(always)]
    pub const fn new(value: T) -> Cell<T> {
        Cell(UnsafeCell::new(value))
    }

    #[inline(always)]
    pub fn get(&self) -> T {
        // SAFETY: the pointer is the cell's own. Nobody writes meanwhile: set is no longer than its write, and another thread has
        // no way to a cell but through a type that promises that it does not come at the same time.
        unsafe { *self.0.get() }
    }

    #[inline(always)]
    pub fn set(&self, value: T) {
        // SAFETY: as in `get`, and nobody reads meanwhile. What was there needs no drop: it is Copy.
        unsafe { self.0.get().write(value) }
    }

    /// Where the value lies.
    #[inline(always)]
    pub fn as_ptr(&self) -> *mut T {
        self.0.get()
    }

    #[inline(always)]
    pub fn replace(&self, value: T) -> T {
        let old = self.get();
        self.set(value);
        old
    }
}
