//! libvmma: isolated heaps for virtual machines, inside one block of memory.
//!
//! A host makes a *context* of one memory block and a *client* for each program that it does not trust to be correct.
//! That program's memory comes from its client alone, and goes back at once when the client is deleted.
//!
//! ```text
//!   ffi        what C sees                          host      the same for Rust
//!   check, inspect   the validator; walks, figures, dumps
//!   client     one isolated heap: caches, slabs, buddy blocks, runs, limits
//!   context    one memory block: supply of blocks, slots, lock, callbacks
//!   guard      red zones, patterns
//!   memory     numbers to pointers                  layout    where tables lie
//!   records    those of blocks and slabs            cell      what they are written with
//!   space      the free units of a block: word, or buddy: split and merge      flat, spot  pieces of a PACKED block, and the search
//!   sizes, lengths  size classes and lengths of runs      bitmap  bit sets      sixteen  bytes looked at together
//!   sys        the operating system                 status, flags, text, steps, mix
//!   tools      AddressSanitizer, memcheck
//! ```
//!
//! An arrow between these only points down. All records lie out of band, in tables at one end of the memory: nothing
//! that a client can write is ever read to decide anything.
//!
//! # From Rust
//!
//! [`host`] is the library for hosts written in Rust: [`Context`], [`Client`] and what belongs to them.
//!
//! ```
//! let context = vmma::Context::map(1 << 20)?;
//! let guest = context.client()?;
//! let memory = guest.alloc(core::alloc::Layout::new::<[u8; 100]>())?;
//! assert!(guest.owns(memory.as_ptr()));
//! drop(guest); // whatever it allocated
//! # Ok::<(), vmma::Error>(())
//! ```
//!
//! A program with `panic = "abort"` in its profile needs the feature `std`. The crate takes that profile for a
//! freestanding build: it is `no_std` then and brings a panic handler, and std's would clash with it ("duplicate lang
//! item `panic_impl`"). With unwinding it uses std by itself. For a `no_std` program the crate's handler is the one.

// no_std whenever panics abort; cargo builds tests and benches with unwinding, so those get std by themselves.
#![cfg_attr(all(panic = "abort", not(any(test, feature = "std"))), no_std)]

mod bitmap;
mod buddy;
mod cell;
mod check;
mod client;
mod context;
pub mod ffi;
mod flags;
mod flat;
mod guard;
pub mod host;
mod inspect;
mod layout;
mod lengths;
mod memory;
mod mix;
mod records;
mod sixteen;
mod sizes;
mod space;
mod spot;
mod status;
mod steps;
mod sys;
mod text;
mod tools;
mod word;

pub use host::{Client, Context, ContextOptions, Error, Flags, Stats};

/// What a freestanding library must bring itself: the end of a panic, and a name that unoptimised builds ask for.
#[cfg(all(panic = "abort", not(any(test, feature = "std"))))]
mod rt {
    /// No public function can panic: `make check` looks for this function and its text in the release object. A debug
    /// build may, and stops here. Not inlined and with a text of its own, so that the search cannot miss it.
    #[panic_handler]
    #[inline(never)]
    #[cold]
    fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
        const TEXT: &[u8] = b"libvmma: internal panic\n";
        // SAFETY: TEXT is TEXT.len() readable bytes; abort takes no argument, needs no state and does not return.
        unsafe {
            libc::write(2, TEXT.as_ptr().cast(), TEXT.len());
            libc::abort()
        }
    }

    // The prebuilt `core` names rust_eh_personality in its unwind tables until LTO drops them. Nothing calls it. Weak, so
    // that std's own wins in a Rust program; hidden, so that the shared library does not export it.
    #[cfg(not(target_vendor = "apple"))]
    core::arch::global_asm!(
        ".pushsection .text.rust_eh_personality, \"ax\", %progbits",
        ".weak rust_eh_personality",
        ".hidden rust_eh_personality",
        ".type rust_eh_personality, %function",
        "rust_eh_personality:",
        ".long 0",
        ".size rust_eh_personality, . - rust_eh_personality",
        ".popsection",
    );
}

#[cfg(test)]
mod tests;
