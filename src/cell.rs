//! A cell for records in memory that nobody has written yet.
//!
//! `core`'s Cell reads the old value when it is set, which for memory with no content yet is undefined, whatever becomes of
//! what was read. This one only writes. Otherwise it is the same: for one thread at a time, and no reference leads inside.
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
        // SAFETY: no reference leads inside, and no other thread is here: the type is not Sync.
        unsafe { *self.0.get() }
    }

    #[inline(always)]
    pub fn set(&self, value: T) {
        // SAFETY: as in `get`; nothing that is Copy has to be dropped.
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
