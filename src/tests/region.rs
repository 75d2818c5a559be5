//! Memory for a context: somebody else's block, at any address, with canaries around it.
//! May know: nothing.

use super::Rng;

/// Bytes on either side that the library may not touch.
const MARGIN: usize = if cfg!(miri) { 256 } else { 8192 };

/// What the memory holds before the context is made.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Content {
    Zero,
    Garbage,
}

pub(crate) struct Region {
    whole: *mut u8,
    total: usize,
    skip: usize,
    size: usize,
}

impl Region {
    /// `size` bytes at an address that is `odd` modulo the margin.
    pub(crate) fn new(size: usize, odd: usize, content: Content, rng: &mut Rng) -> Region {
        let total = size + 3 * MARGIN;
        let whole = Box::into_raw(vec![0u8; total].into_boxed_slice()).cast::<u8>();
        let skip = MARGIN + (odd.wrapping_sub(whole.addr())) % MARGIN;
        let region = Region { whole, total, skip, size };
        for at in 0..total {
            let inside = (skip..skip + size).contains(&at);
            let byte = if !inside {
                canary(at)
            } else if content == Content::Garbage {
                rng.next() as u8
            } else {
                0
            };
            // SAFETY: the bytes are our own.
            unsafe { whole.add(at).write(byte) };
        }
        region
    }

    pub(crate) fn memory(&self) -> *mut u8 {
        self.whole.wrapping_add(self.skip)
    }

    pub(crate) fn size(&self) -> usize {
        self.size
    }

    /// Are all bytes outside of the region as they were?
    pub(crate) fn margins_intact(&self) -> bool {
        (0..self.skip).chain(self.skip + self.size..self.total).all(|at| {
            // SAFETY: the bytes are our own.
            unsafe { self.whole.add(at).read() == canary(at) }
        })
    }
}

fn canary(at: usize) -> u8 {
    (at.wrapping_mul(167) >> 3) as u8 ^ 0x5a
}

impl Drop for Region {
    fn drop(&mut self) {
        // SAFETY: made by `new` from a box of that many bytes.
        drop(unsafe { Box::from_raw(core::ptr::slice_from_raw_parts_mut(self.whole, self.total)) });
    }
}
