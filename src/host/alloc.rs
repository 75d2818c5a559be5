//! What a client does with memory.
//! May know: client, and the fast path.

use super::Threading;
use super::client::Client;
use super::error::{Error, outcome};
use crate::client::alloc::Request;
use crate::client::fast;
use crate::flags;
use core::alloc::Layout;
use core::ptr::NonNull;

impl<M: Threading> Client<'_, M> {
    /// Allocates memory of a layout. Its content is not set, unless [`Flags::ZERO`](super::Flags::ZERO).
    ///
    /// It is there until it is freed or moved, or the client is reset or dropped. The slice is as long as was asked
    /// for; [`Client::size_of`] tells how much more may be used. Size 0 gives memory too. Fails with [`Error::Limit`]
    /// or [`Error::NoMemory`], or with [`Error::Invalid`] if the alignment is larger than a block.
    ///
    /// ```
    /// let context = vmma::Context::map(1 << 20)?;
    /// let client = context.client()?;
    /// let number = client.alloc(core::alloc::Layout::new::<u64>())?.cast::<u64>();
    /// // SAFETY: it is there, aligned, and nobody else's.
    /// unsafe {
    ///     number.write(42);
    ///     assert_eq!(number.read(), 42);
    /// }
    /// # Ok::<(), vmma::Error>(())
    /// ```
    #[inline]
    pub fn alloc(&self, layout: Layout) -> Result<NonNull<[u8]>, Error> {
        let client = self.core();
        if layout.align() > client.context().map.shape.alignment {
            return self.request(layout, false);
        }
        // SAFETY: the handle of a live client.
        let memory = unsafe { fast::alloc(client, layout.size()) };
        self.given(memory, layout.size())
    }

    /// Allocates memory of a layout, all zero.
    ///
    /// ```
    /// let context = vmma::Context::map(1 << 20)?;
    /// let client = context.client()?;
    /// let numbers = client.alloc_zeroed(core::alloc::Layout::new::<[u64; 4]>())?.cast::<[u64; 4]>();
    /// // SAFETY: it is there, aligned, set, and nobody else's.
    /// assert_eq!(unsafe { numbers.read() }, [0; 4]);
    /// # Ok::<(), vmma::Error>(())
    /// ```
    pub fn alloc_zeroed(&self, layout: Layout) -> Result<NonNull<[u8]>, Error> {
        self.request(layout, true)
    }

    /// Changes an allocation to another layout, in place where that can be done, else by moving the content. On failure
    /// it is as it was.
    ///
    /// What is not the start of a live allocation of this client is refused with the reason, as [`Client::free`] does.
    /// Going to less memory at the same alignment never fails.
    ///
    /// # Safety
    /// If `memory` is the start of a live allocation of this client and the call succeeds, nobody uses that
    /// allocation through an older pointer any more.
    ///
    /// ```
    /// use core::alloc::Layout;
    ///
    /// let context = vmma::Context::map(1 << 20)?;
    /// let client = context.client()?;
    /// let small = client.alloc_zeroed(Layout::new::<u64>())?;
    /// // SAFETY: `small` is not used any more; the result is there and holds what was there.
    /// unsafe {
    ///     let large = client.realloc(small.cast(), Layout::new::<[u64; 1000]>())?;
    ///     assert_eq!(large.cast::<u64>().read(), 0);
    /// }
    /// # Ok::<(), vmma::Error>(())
    /// ```
    pub unsafe fn realloc(&self, memory: NonNull<u8>, layout: Layout) -> Result<NonNull<[u8]>, Error> {
        let client = self.core();
        let context = client.context();
        let (size, alignment) = (layout.size().max(1), layout.align());
        // What alloc would promise of this size by itself.
        let natural = if context.has(flags::PACKED) {
            context.map.shape.alignment
        } else {
            size.checked_next_power_of_two()
                .unwrap_or(1)
                .clamp(context.map.shape.alignment, context.map.shape.block_size())
        };
        if alignment <= natural {
            // SAFETY: the handle of a live client; the address may be anything.
            return self.given(unsafe { fast::realloc(client, memory.as_ptr(), size) }, layout.size());
        }
        // The core's realloc knows no alignment. It is asked to judge an address that is wrong.
        let Some(old) = self.size_of(memory.as_ptr()) else {
            client.reallocate(memory.addr().get(), size);
            return Err(self.last_error().unwrap_or(Error::Invalid));
        };
        self.changed()?;
        // An alignment that is too large is refused also where the address has it by chance.
        let aligned = alignment <= context.map.shape.block_size() && memory.addr().get() & (alignment - 1) == 0;
        if aligned && size <= old {
            return Ok(NonNull::slice_from_raw_parts(memory, layout.size()));
        }
        let new = self.request(layout, false)?;
        // The out-of-memory handler may have freed it, or given it another size.
        let Some(now) = self.size_of(memory.as_ptr()).filter(|_| new.cast() != memory) else {
            // SAFETY: nobody has seen the new one.
            let _ = unsafe { self.free(new.cast()) };
            return Err(Error::DoubleFree);
        };
        // SAFETY: two live allocations of that many bytes at least; what frees the old one is the caller's promise. An
        // overrun that is found there has been told, and does not keep the call from going on.
        unsafe {
            memory.copy_to_nonoverlapping(new.cast(), now.min(size));
            let _ = self.free(memory);
        }
        Ok(new)
    }

    /// Frees an allocation.
    ///
    /// `memory` may be any address: all but the start of a live allocation of this client is refused, and changes
    /// nothing. [`Error::Overrun`] means that it is freed, and that its red zone was found written.
    ///
    /// # Safety
    /// If `memory` is the start of a live allocation of this client, nobody uses that allocation any more.
    ///
    /// ```
    /// let context = vmma::Context::map(1 << 20)?;
    /// let client = context.client()?;
    /// let memory = client.alloc(core::alloc::Layout::new::<u64>())?.cast::<u8>();
    /// // SAFETY: nobody uses it.
    /// unsafe {
    ///     assert_eq!(client.free(memory.add(1)), Err(vmma::Error::NotStart));
    ///     assert_eq!(client.free(memory), Ok(()));
    ///     assert_eq!(client.free(memory), Err(vmma::Error::DoubleFree));
    /// }
    /// # Ok::<(), vmma::Error>(())
    /// ```
    #[inline]
    pub unsafe fn free(&self, memory: NonNull<u8>) -> Result<(), Error> {
        // SAFETY: the handle of a live client; the address may be anything.
        outcome(unsafe { fast::free(self.core(), memory.as_ptr()) })
    }

    /// The long way: alignments beyond the context's, and zeroes.
    fn request(&self, layout: Layout, zero: bool) -> Result<NonNull<[u8]>, Error> {
        let client = self.core();
        let shape = &client.context().map.shape;
        if layout.align() > shape.block_size() && !client.is_busy() {
            client.invalid();
            return Err(Error::Invalid);
        }
        let alignment = if layout.align() > shape.alignment { layout.align() } else { 0 };
        self.given(client.allocate(&Request::new(layout.size(), alignment, zero)), layout.size())
    }

    /// What the core gave, or why it did not.
    #[inline]
    fn given(&self, memory: *mut u8, size: usize) -> Result<NonNull<[u8]>, Error> {
        match NonNull::new(memory) {
            Some(memory) => Ok(NonNull::slice_from_raw_parts(memory, size)),
            None => Err(self.last_error().unwrap_or(Error::NoMemory)),
        }
    }
}
