//! What a host written in Rust sees: the same core as the C interface, with owners, lifetimes and closures.
//!
//! A [`Context`] owns one block of memory under management, a [`Client`] one isolated heap in it. Both end when they
//! are dropped. A client borrows its context, so it cannot outlive it; what it allocated goes with it.
//!
//! ```
//! use core::alloc::Layout;
//! use vmma::{Context, Error};
//!
//! let context = Context::map(1 << 20)?;
//! let guest = context.client()?;
//! guest.set_name("guest")?;
//! guest.set_limit(256 << 10)?;
//!
//! let memory = guest.alloc(Layout::from_size_align(100, 16).unwrap())?;
//! assert!(guest.owns(memory.as_ptr()));
//! assert_eq!(guest.alloc(Layout::new::<[u8; 1 << 19]>()), Err(Error::Limit));
//!
//! drop(guest); // whatever it leaked
//! assert_eq!(context.stats().held_size, 0);
//! # Ok::<(), Error>(())
//! ```
//!
//! # What is safe, and what is not
//!
//! The library never believes an address, so every question about one is safe, and wrong frees are refused. What it
//! cannot know is whether somebody still *uses* an allocation. So [`Client::free`] and [`Client::realloc`] are
//! `unsafe`, and all their callers promise is that nobody uses the allocation afterwards. [`Client::alloc`] gives a
//! raw pointer: to read and write behind it is the host's own `unsafe`. The memory is there until it is freed or moved,
//! or the client is reset or dropped. Both of these need the client unborrowed, so whatever keeps a `&Client` beside
//! the pointer (a box, a vector, an interpreter) is safe from them.
//!
//! # Threads
//!
//! How a context may be used from threads is in its type:
//!
//! - [`Local`] (what you get): one thread at a time has the context and all its clients. The context is [`Send`];
//!   its clients stay where it is.
//! - [`Threads`], from [`ContextOptions::threads`]: the context is also [`Sync`], and its clients are [`Send`]: each
//!   is used by one thread at a time, different ones at the same time. What looks at all clients at once (a dump,
//!   statistics, a trim) needs the other threads to rest: see [`Context::alone`] and [`Context::quiet`].
//!
//! A client is never [`Sync`]. To share one, put it into a mutex: `VMMA_FLAG_SHARED_CLIENTS` would do the same inside.
//!
//! # Panics
//!
//! Nothing here panics. Closures that the library calls must not: like any panic that reaches C, one that leaves such
//! a closure ends the process.
//!
//! May know: what ffi may know, and ffi's names for handles. Nothing below knows of it.

/// The examples of the page on embedding are run as those here are.
#[cfg(doctest)]
#[doc = include_str!("../../docs/embedding.md")]
mod embedding {}

mod alloc;
mod client;
mod context;
mod error;
mod identity;
mod look;
mod options;

pub use client::Client;
pub use context::Context;
pub use error::Error;
pub use identity::{ClientId, Name};
pub use look::{Allocation, DumpFormat, Misuse, Stats};
pub use options::ContextOptions;

use crate::flags;

bitflags::bitflags! {
    /// What a context does beyond the plain case. See [`ContextOptions::flags`].
    ///
    /// Each from `ZERO` on is a cargo feature of the crate. A flag that this build leaves out is not an error:
    /// [`Context::flags`] tells which ones are in force.
    ///
    /// ```
    /// use vmma::{ContextOptions, Flags};
    ///
    /// let context = ContextOptions::new().flags(Flags::ZERO | Flags::WIPE).map(1 << 20)?;
    /// assert_eq!(context.flags(), (Flags::ZERO | Flags::WIPE) & Flags::supported());
    /// # Ok::<(), vmma::Error>(())
    /// ```
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
    pub struct Flags: u32 {
        /// Different clients may be used from different threads at the same time. [`ContextOptions::threads`] sets it.
        const THREADS = flags::THREADS;
        /// A lock around each call on a client, for C code that shares one. Brings `THREADS` with it.
        const SHARED_CLIENTS = flags::SHARED_CLIENTS;
        /// All of a new allocation is zero.
        const ZERO = flags::ZERO;
        /// Memory is zeroed when it is freed. Nothing leaks to the next owner.
        const WIPE = flags::WIPE;
        /// A red zone behind every allocation, looked at when it is freed and by checks.
        const GUARD = flags::GUARD;
        /// Freed memory rests for a while. A write into it is found.
        const QUARANTINE = flags::QUARANTINE;
        /// Sizes between powers of two: less waste, only the context's alignment by itself.
        const PACKED = flags::PACKED;
        /// Freed memory is merged at once: a small bounded worst case for every call.
        const NO_CACHE = flags::NO_CACHE;
        /// The pages of blocks that become free go back to the operating system.
        const RELEASE = flags::RELEASE;
        /// Misuse prints one line to stderr and aborts, in place of an error.
        const ABORT = flags::ABORT;
    }
}

impl Flags {
    /// The flags that this build knows.
    ///
    /// ```
    /// assert!(vmma::Flags::supported().contains(vmma::Flags::THREADS));
    /// ```
    pub const fn supported() -> Flags {
        Flags::from_bits_truncate(flags::SUPPORTED)
    }
}

/// A context for one thread at a time.
///
/// ```
/// let context: vmma::Context<'_, vmma::host::Local> = vmma::Context::map(1 << 20)?;
/// let other_thread = std::thread::spawn(move || context.client().is_ok());
/// assert!(other_thread.join().unwrap());
/// # Ok::<(), vmma::Error>(())
/// ```
///
/// Its clients do not leave its thread:
///
/// ```compile_fail,E0277
/// let context = vmma::Context::map(1 << 20).unwrap();
/// let client = context.client().unwrap();
/// std::thread::scope(|scope| scope.spawn(move || client.held_size()).join().unwrap());
/// ```
#[derive(Clone, Copy, Debug)]
pub enum Local {}

/// A context whose clients may be on different threads.
///
/// ```
/// let context: vmma::Context<'_, vmma::host::Threads> = vmma::ContextOptions::new().threads().map(1 << 20)?;
/// let client = context.client()?;
/// std::thread::scope(|scope| {
///     scope.spawn(move || client.set_limit(1 << 16));
///     scope.spawn(|| context.client().is_ok());
/// });
/// # Ok::<(), vmma::Error>(())
/// ```
///
/// What looks at all clients at once has to wait for [`Context::alone`] or [`Context::quiet`]:
///
/// ```compile_fail,E0599
/// vmma::ContextOptions::new().threads().map(1 << 20).unwrap().stats();
/// ```
///
/// The first of these wants all clients gone:
///
/// ```compile_fail,E0502
/// let mut context = vmma::ContextOptions::new().threads().map(1 << 20).unwrap();
/// let client = context.client().unwrap();
/// context.alone().stats();
/// drop(client);
/// ```
#[derive(Clone, Copy, Debug)]
pub enum Threads {}

/// How a context may be used from threads: [`Local`] or [`Threads`].
///
/// ```
/// fn blocks<M: vmma::host::Threading>(context: &vmma::Context<'_, M>) -> usize {
///     context.total_blocks()
/// }
/// # assert!(blocks(&vmma::Context::map(1 << 20).unwrap()) > 0);
/// ```
pub trait Threading: sealed::Sealed {}
impl Threading for Local {}
impl Threading for Threads {}

mod sealed {
    /// Nobody else makes a way to use threads.
    pub trait Sealed {}
    impl Sealed for super::Local {}
    impl Sealed for super::Threads {}
}

/// Runs a closure of the host's that the core calls. The core does not expect to be left by a panic: its frames hold
/// what other calls look at. So a panic ends here, and with it the process, as it does at a function of C's.
fn no_unwinding<T>(call: impl FnOnce() -> T) -> T {
    struct Bomb;
    impl Drop for Bomb {
        fn drop(&mut self) {
            crate::sys::abort();
        }
    }
    let bomb = Bomb;
    let result = call();
    core::mem::forget(bomb);
    result
}
