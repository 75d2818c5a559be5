//! How a context is made.
//! May know: context (creation), inspect (sizes).

use super::context::Context;
use super::error::Error;
use super::{Flags, Local, Threading, Threads};
use crate::context;
use crate::inspect::whole;
use core::marker::PhantomData;
use core::mem::MaybeUninit;

/// The parameters of a context, to be changed one by one.
///
/// ```
/// use vmma::{ContextOptions, Flags};
///
/// let context = ContextOptions::new().alignment(32).block_size(16 << 10).flags(Flags::ZERO).map(1 << 20)?;
/// assert_eq!(context.alignment(), 32);
/// assert_eq!(context.block_size(), 16 << 10);
/// # Ok::<(), vmma::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
#[must_use]
pub struct ContextOptions<M: Threading = Local> {
    alignment: usize,
    block_size: usize,
    flags: Flags,
    threading: PhantomData<M>,
}

impl ContextOptions {
    /// The usual ones: alignment 16, a block size that suits the memory, no flags, one thread at a time.
    ///
    /// ```
    /// let context = vmma::ContextOptions::new().map(1 << 20)?;
    /// assert_eq!(context.alignment(), 16);
    /// # Ok::<(), vmma::Error>(())
    /// ```
    pub const fn new() -> ContextOptions {
        ContextOptions { alignment: 0, block_size: 0, flags: Flags::empty(), threading: PhantomData }
    }

    /// For clients on different threads: see [`Threads`].
    ///
    /// ```
    /// let context = vmma::ContextOptions::new().threads().map(1 << 20)?;
    /// let clients = [context.client()?, context.client()?];
    /// std::thread::scope(|scope| {
    ///     for client in clients {
    ///         scope.spawn(move || client.alloc(core::alloc::Layout::new::<u64>()).is_ok());
    ///     }
    /// });
    /// # Ok::<(), vmma::Error>(())
    /// ```
    pub const fn threads(self) -> ContextOptions<Threads> {
        ContextOptions {
            alignment: self.alignment,
            block_size: self.block_size,
            flags: self.flags.union(Flags::THREADS),
            threading: PhantomData,
        }
    }
}

impl Default for ContextOptions {
    fn default() -> ContextOptions {
        ContextOptions::new()
    }
}

impl<M: Threading> ContextOptions<M> {
    /// What every allocation is a multiple of: a power of two from 8 to 4096; 0 for 16.
    ///
    /// ```
    /// assert_eq!(vmma::ContextOptions::new().alignment(24).map(1 << 20).unwrap_err(), vmma::Error::Invalid);
    /// ```
    pub const fn alignment(mut self, bytes: usize) -> Self {
        self.alignment = bytes;
        self
    }

    /// The unit in which clients take memory: a power of two from 1 KiB (and 16 times the alignment) to 1 GiB; 0 for
    /// one that suits the memory.
    ///
    /// ```
    /// let context = vmma::ContextOptions::new().block_size(4096).map(1 << 20)?;
    /// assert_eq!(context.block_size(), 4096);
    /// # Ok::<(), vmma::Error>(())
    /// ```
    pub const fn block_size(mut self, bytes: usize) -> Self {
        self.block_size = bytes;
        self
    }

    /// These flags as well.
    ///
    /// ```
    /// let context = vmma::ContextOptions::new().flags(vmma::Flags::PACKED).map(1 << 20)?;
    /// assert_eq!(context.flags(), vmma::Flags::PACKED);
    /// # Ok::<(), vmma::Error>(())
    /// ```
    pub const fn flags(mut self, flags: Flags) -> Self {
        self.flags = self.flags.union(flags);
        self
    }

    /// How large the memory must be for one client to hold `usable` bytes; None if that is impossible.
    ///
    /// ```
    /// let options = vmma::ContextOptions::new().block_size(4096);
    /// let size = options.required_size(64 << 10).unwrap();
    /// assert!(options.map(size)?.free_blocks() >= 16);
    /// # Ok::<(), vmma::Error>(())
    /// ```
    pub fn required_size(&self, usable: usize) -> Option<usize> {
        whole::required_size(usable, self.alignment, self.block_size, self.flags.bits()).filter(|&size| size != 0)
    }

    /// A context in `size` bytes that the library maps for it, committed as they are used.
    ///
    /// ```
    /// let context = vmma::ContextOptions::new().map(64 << 20)?;
    /// assert_eq!(context.total_size(), 64 << 20);
    /// # Ok::<(), vmma::Error>(())
    /// ```
    pub fn map<'m>(&self, size: usize) -> Result<Context<'m, M>, Error> {
        // SAFETY: NULL makes the library map memory of its own.
        let made = unsafe {
            context::Context::create(core::ptr::null_mut(), size, self.alignment, self.block_size, self.flags.bits())
        };
        Context::own(made?)
    }

    /// A context over memory of the host's. The library uses nothing else.
    ///
    /// ```
    /// use core::mem::MaybeUninit;
    ///
    /// let mut memory = [MaybeUninit::uninit(); 64 << 10];
    /// let context = vmma::ContextOptions::new().block_size(1024).over(&mut memory)?;
    /// assert!(context.client()?.alloc(core::alloc::Layout::new::<[u64; 4]>()).is_ok());
    /// # Ok::<(), vmma::Error>(())
    /// ```
    pub fn over<'m>(&self, memory: &'m mut [MaybeUninit<u8>]) -> Result<Context<'m, M>, Error> {
        // SAFETY: the memory is borrowed for as long as the context can be used; nobody else touches it until then.
        let made = unsafe {
            context::Context::create(
                memory.as_mut_ptr().cast(),
                memory.len(),
                self.alignment,
                self.block_size,
                self.flags.bits(),
            )
        };
        Context::own(made?)
    }
}
