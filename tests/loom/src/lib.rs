//! What the lock stands on here: loom's atomics, and a model of the system's wait and wake.
//!
//! loom runs a test in every order that the memory model allows, and fails it if two threads are in a cell at once, if
//! one sees less than the one before it wrote, or if all sleep. May know: lock.rs (see build.rs), loom.

#[cfg(test)]
mod tests;

/// In the place of `core`.
pub mod stand_in {
    pub mod sync {
        pub mod atomic {
            pub use loom::sync::atomic::{AtomicU32, Ordering};
        }
    }
    pub mod hint {
        /// Nothing. loom's own lets the others run first, and then nobody would ever have to sleep.
        pub fn spin_loop() {}
    }
}

/// In the place of the library's `sys`: a word to sleep on.
///
/// The kernel compares the word and lies down to sleep under a lock of its own, and wakes under the same one; so does
/// this. The order of memory that its lock brings comes on top of what the lock under test does, as in the kernel.
pub mod sys {
    use loom::sync::atomic::{AtomicU32, Ordering::Relaxed};
    use loom::sync::{Condvar, Mutex};

    loom::lazy_static! {
        static ref SLEEPERS: (Mutex<()>, Condvar) = (Mutex::new(()), Condvar::new());
    }

    #[cfg(test)]
    std::thread_local! {
        /// "May return early", and here always does. loom runs all threads of a model on one.
        pub static EARLY: std::cell::Cell<bool> = const { std::cell::Cell::new(false) };
    }

    fn early() -> bool {
        #[cfg(test)]
        return EARLY.with(|early| early.get());
        #[cfg(not(test))]
        false
    }

    pub fn wait(word: &AtomicU32, value: u32) {
        if early() {
            loom::thread::yield_now();
            return;
        }
        let (mutex, asleep) = &*SLEEPERS;
        let guard = mutex.lock().expect("no thread panics while it holds this");
        if word.load(Relaxed) == value {
            drop(asleep.wait(guard).expect("no thread panics while it holds this"));
        }
    }

    pub fn wake(_: &AtomicU32) {
        let (mutex, asleep) = &*SLEEPERS;
        let _guard = mutex.lock().expect("no thread panics while it holds this");
        asleep.notify_one();
    }
}
