//! A lock that sleeps when it has to wait, in one word of the memory block.
//!
//! 0: free, 1: held, 2: held and somebody may be asleep (Drepper, "Futexes are tricky", the third mutex).
//! Where nothing is shared between threads it is not taken at all: `when` says so.
//! May know: sys.

use crate::sys;
use core::sync::atomic::{
    AtomicU32,
    Ordering::{Acquire, Relaxed, Release},
};

/// Looks at a held lock so many times before it sleeps: a critical section is shorter than a system call.
const SPINS: u32 = 100;

#[repr(C)]
pub struct Lock(AtomicU32);

/// Holds the lock until it is dropped.
pub struct Guard<'a>(Option<&'a Lock>);

impl Lock {
    pub const fn new() -> Lock {
        Lock(AtomicU32::new(0))
    }

    /// Takes the lock if `when`, else gives a guard that guards nothing.
    #[inline]
    pub fn when(&self, when: bool) -> Guard<'_> {
        if !when {
            return Guard(None);
        }
        self.take();
        Guard(Some(self))
    }

    /// Out of line: next to what the two atomic operations cost, a call is little, and locks are taken in many places.
    #[inline(never)]
    fn take(&self) {
        if self.0.compare_exchange(0, 1, Acquire, Relaxed).is_err() {
            self.contended();
        }
    }

    /// Is nobody in it? True for a lock that is never taken.
    pub fn is_free(&self) -> bool {
        self.0.load(Relaxed) == 0
    }

    #[cold]
    #[inline(never)]
    fn contended(&self) {
        for _ in 0..SPINS {
            if self.0.load(Relaxed) == 0 && self.0.compare_exchange(0, 1, Acquire, Relaxed).is_ok() {
                return;
            }
            core::hint::spin_loop();
        }
        while self.0.swap(2, Acquire) != 0 {
            sys::wait(&self.0, 2);
        }
    }
}

impl Drop for Guard<'_> {
    #[inline]
    fn drop(&mut self) {
        if let Guard(Some(lock)) = self
            && lock.0.swap(0, Release) == 2
        {
            sys::wake(&lock.0);
        }
    }
}
