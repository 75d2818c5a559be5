//! Memory to give to contexts: three places between pages that nobody may touch, so that a read or write beyond the
//! memory given is a crash, or (where the memory does not reach a page's end) a changed canary.
//!
//! Everything lies at the same place modulo 1 MiB in every run, so that an input does the same each time.
//! May know: the operating system.

use std::ptr;

const STRIDE: usize = 4 << 20;
/// Bytes that one place has.
pub const ROOM: usize = 1 << 20;
pub const PLACES: usize = 3;
const CANARY: u8 = 0xc3;
const CANARIES: usize = 128;
/// What given memory is filled with. Patterns of allocations avoid it, as they avoid 0.
pub const GARBAGE: u8 = 0xa5;

/// One piece of memory given to a context.
#[derive(Clone, Copy)]
pub struct Given {
    place: usize,
    start: usize,
    size: usize,
}

fn base() -> usize {
    use std::cell::Cell;
    thread_local! { static BASE: Cell<usize> = const { Cell::new(0) }; }
    BASE.with(|base| {
        if base.get() == 0 {
            base.set(reserve());
        }
        base.get()
    })
}

fn reserve() -> usize {
    let size = (PLACES + 2) * STRIDE;
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
    // SAFETY: a fresh reservation, then access to parts of it.
    unsafe {
        let start = libc::mmap(ptr::null_mut(), size, libc::PROT_NONE, flags, -1, 0);
        assert!(start != libc::MAP_FAILED, "no address space for the arena");
        let base = start.addr().next_multiple_of(STRIDE);
        for place in 0..PLACES {
            let at = (base + place * STRIDE + ROOM) as *mut libc::c_void;
            assert_eq!(libc::mprotect(at, ROOM, libc::PROT_READ | libc::PROT_WRITE), 0);
        }
        base
    }
}

impl Given {
    /// `size` bytes in a place: at its beginning, at its end, or `offset` bytes behind the canaries. `stale`: with
    /// what the last context there left.
    pub fn new(place: usize, size: usize, how: u8, offset: usize, stale: bool) -> Given {
        let room = base() + place * STRIDE + ROOM;
        let size = size.min(ROOM);
        let start = match how % 4 {
            0 => room,
            1 => room + ROOM - size,
            _ => room + (CANARIES + offset).min(ROOM - size),
        };
        let given = Given { place, start, size };
        let (before, after) = given.canaries();
        // SAFETY: all of it lies in the place, which is ours.
        unsafe {
            ((start - before) as *mut u8).write_bytes(CANARY, before);
            ((start + size) as *mut u8).write_bytes(CANARY, after);
            if !stale {
                (start as *mut u8).write_bytes(GARBAGE, size);
            }
        }
        given
    }

    fn canaries(&self) -> (usize, usize) {
        let room = base() + self.place * STRIDE + ROOM;
        ((self.start - room).min(CANARIES), (room + ROOM - self.start - self.size).min(CANARIES))
    }

    pub fn start(&self) -> usize {
        self.start
    }

    pub fn check_canaries(&self) {
        let (before, after) = self.canaries();
        for at in (self.start - before..self.start).chain(self.start + self.size..self.start + self.size + after) {
            // SAFETY: inside the place.
            let byte = unsafe { *(at as *const u8) };
            assert_eq!(byte, CANARY, "the library wrote outside the memory given, at {at:#x} of {:#x}", self.start);
        }
    }
}
