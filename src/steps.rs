//! Counts the steps of the loops whose length is promised, in test builds; otherwise nothing at all.
//! May know: nothing.

#[cfg(not(test))]
#[inline(always)]
pub fn count() {}

#[cfg(test)]
pub use counter::{count, take};

#[cfg(test)]
mod counter {
    use std::cell::Cell;
    std::thread_local! { static STEPS: Cell<usize> = const { Cell::new(0) }; }

    pub fn count() {
        STEPS.with(|steps| steps.set(steps.get() + 1));
    }

    /// The steps since the last call.
    pub fn take() -> usize {
        STEPS.with(|steps| steps.replace(0))
    }
}
