//! The owner of a context.
//!
//! Invariant: `handle` is a live context's until it is dropped; nothing but this deletes it.
//! May know: everything below; client (to make one).

use super::client::Client;
use super::error::{Error, outcome};
use super::identity::ClientId;
use super::look::{DumpFormat, Misuse, Stats, dump};
use super::{ContextOptions, Flags, Local, Threading, Threads, no_unwinding};
use crate::check;
use crate::client::find;
use crate::context::{self, report::Report};
use crate::ffi::vmma_context_t;
use crate::inspect::{stats, whole};
use crate::status::Status;
use core::cell::Cell;
use core::ffi::c_void;
use core::fmt;
use core::marker::PhantomData;
use core::mem::MaybeUninit;
use core::ops::ControlFlow;
use core::ptr::NonNull;

/// One block of memory under management, dealt out to clients. Dropping it ends all of it.
///
/// `'m` is how long its memory, and what it was told to call, are there; `M` is how it may be used from threads:
/// [`Local`] or [`Threads`].
///
/// ```
/// let context = vmma::Context::map(1 << 20)?;
/// let (one, other) = (context.client()?, context.client()?);
/// assert_eq!(context.client_count(), 2);
/// # drop((one, other));
/// # Ok::<(), vmma::Error>(())
/// ```
///
/// It cannot go before its clients:
///
/// ```compile_fail,E0505
/// let context = vmma::Context::map(1 << 20).unwrap();
/// let client = context.client().unwrap();
/// drop(context);
/// client.held_size();
/// ```
// The marker makes 'm invariant: it is also how long the error handler lives, so nothing may shorten it.
#[repr(transparent)]
pub struct Context<'m, M: Threading = Local> {
    handle: NonNull<context::Context>,
    lives: PhantomData<(Cell<&'m mut [MaybeUninit<u8>]>, M)>,
}

// SAFETY: the owner has no clients while it moves, and the core keeps nothing of the thread that made it. An error
// handler that moves with it is Sync.
unsafe impl<M: Threading> Send for Context<'_, M> {}
// SAFETY: it was made with THREADS, and offers through a shared reference only what the core allows any thread at any
// time: making clients (under the context's lock) and reading atomics or what never changes.
unsafe impl Sync for Context<'_, Threads> {}

impl<'m> Context<'m> {
    /// A context in `size` bytes that the library maps for it, with the usual [`ContextOptions`].
    ///
    /// ```
    /// let context = vmma::Context::map(1 << 20)?;
    /// assert_eq!(context.total_size(), 1 << 20);
    /// # Ok::<(), vmma::Error>(())
    /// ```
    pub fn map(size: usize) -> Result<Context<'m>, Error> {
        ContextOptions::new().map(size)
    }

    /// A context over memory of the host's, with the usual [`ContextOptions`].
    ///
    /// ```
    /// let mut memory = Vec::with_capacity(1 << 20);
    /// let context = vmma::Context::over(memory.spare_capacity_mut())?;
    /// assert!(context.total_size() >= 1 << 20);
    /// # Ok::<(), vmma::Error>(())
    /// ```
    ///
    /// The memory is the context's as long as that lives:
    ///
    /// ```compile_fail,E0499
    /// let mut memory = [core::mem::MaybeUninit::uninit(); 1 << 16];
    /// let context = vmma::Context::over(&mut memory).unwrap();
    /// memory[0].write(1);
    /// drop(context);
    /// ```
    pub fn over(memory: &'m mut [MaybeUninit<u8>]) -> Result<Context<'m>, Error> {
        ContextOptions::new().over(memory)
    }
}

impl<'m, M: Threading> Context<'m, M> {
    pub(super) fn own(handle: *mut context::Context) -> Result<Self, Error> {
        Ok(Context { handle: NonNull::new(handle).ok_or(Error::NoMemory)?, lives: PhantomData })
    }

    fn core(&self) -> &context::Context {
        // SAFETY: the context is alive until `self` is dropped; it is made of cells and what never changes.
        unsafe { self.handle.as_ref() }
    }

    /// The handle for calls of the C interface. It stays owned here: do not delete it.
    ///
    /// ```
    /// let context = vmma::Context::map(1 << 20)?;
    /// // SAFETY: the context is alive.
    /// assert_eq!(unsafe { vmma::ffi::vmma_get_total_size(context.as_ptr()) }, 1 << 20);
    /// # Ok::<(), vmma::Error>(())
    /// ```
    pub fn as_ptr(&self) -> *mut vmma_context_t {
        self.handle.as_ptr().cast()
    }

    /// Makes a client: an empty heap. It holds no block until it allocates.
    ///
    /// ```
    /// let context = vmma::Context::map(1 << 20)?;
    /// assert_eq!(context.client()?.held_size(), 0);
    /// # Ok::<(), vmma::Error>(())
    /// ```
    pub fn client(&self) -> Result<Client<'_, M>, Error> {
        if self.core().busy_as_whole() {
            return Err(Error::Busy);
        }
        let client = crate::client::Client::create(self.core()).ok_or(Error::NoMemory)?;
        // SAFETY: new, so nobody else owns it; it borrows the context.
        Ok(unsafe { Client::own(NonNull::from(client)) })
    }

    /// Sets who is told of each misuse. It may ask, but not change the client concerned.
    ///
    /// ```
    /// use core::sync::atomic::{AtomicUsize, Ordering::Relaxed};
    ///
    /// let count = AtomicUsize::new(0);
    /// let tell = |misuse: &vmma::host::Misuse| {
    ///     eprintln!("{} at {:p}", misuse.error, misuse.address);
    ///     count.fetch_add(1, Relaxed);
    /// };
    /// let mut context = vmma::Context::map(1 << 20)?;
    /// context.set_error_handler(&tell);
    /// let client = context.client()?;
    /// let stray = core::ptr::NonNull::from(&count).cast();
    /// // SAFETY: what is no allocation of the client's is refused.
    /// assert!(unsafe { client.free(stray) }.is_err());
    /// assert_eq!(count.load(Relaxed), 1);
    /// # Ok::<(), vmma::Error>(())
    /// ```
    pub fn set_error_handler<F: Fn(&Misuse) + Sync>(&mut self, handler: &'m F) {
        self.core().set_error_handler(Some(tell::<F>), core::ptr::from_ref(handler).cast_mut().cast());
    }

    /// The flags in force, implied ones included.
    ///
    /// ```
    /// let context = vmma::ContextOptions::new().threads().map(1 << 20)?;
    /// assert_eq!(context.flags(), vmma::Flags::THREADS);
    /// # Ok::<(), vmma::Error>(())
    /// ```
    pub fn flags(&self) -> Flags {
        Flags::from_bits_retain(self.core().flags)
    }

    /// The size of the memory in bytes.
    ///
    /// ```
    /// assert_eq!(vmma::Context::map(1 << 20)?.total_size(), 1 << 20);
    /// # Ok::<(), vmma::Error>(())
    /// ```
    pub fn total_size(&self) -> usize {
        self.core().map.size()
    }

    /// What every allocation is a multiple of.
    ///
    /// ```
    /// assert_eq!(vmma::Context::map(1 << 20)?.alignment(), 16);
    /// # Ok::<(), vmma::Error>(())
    /// ```
    pub fn alignment(&self) -> usize {
        self.core().map.shape.alignment
    }

    /// The size of a block in bytes.
    ///
    /// ```
    /// assert!(vmma::Context::map(1 << 20)?.block_size() >= 1024);
    /// # Ok::<(), vmma::Error>(())
    /// ```
    pub fn block_size(&self) -> usize {
        self.core().map.shape.block_size()
    }

    /// All blocks: free, held, set aside, and those of the library's records.
    ///
    /// ```
    /// let context = vmma::Context::map(1 << 20)?;
    /// assert!(context.total_blocks() * context.block_size() <= context.total_size());
    /// # Ok::<(), vmma::Error>(())
    /// ```
    pub fn total_blocks(&self) -> usize {
        self.core().map.blocks
    }

    /// Blocks that any client may still take.
    ///
    /// ```
    /// let context = vmma::Context::map(1 << 20)?;
    /// let (before, client) = (context.free_blocks(), context.client()?);
    /// client.set_guarantee(context.block_size())?;
    /// assert_eq!(context.free_blocks(), before - 1);
    /// # Ok::<(), vmma::Error>(())
    /// ```
    pub fn free_blocks(&self) -> usize {
        self.core().free_for_all()
    }

    /// The most blocks that all clients together have ever held.
    ///
    /// ```
    /// assert_eq!(vmma::Context::map(1 << 20)?.peak_blocks(), 0);
    /// # Ok::<(), vmma::Error>(())
    /// ```
    pub fn peak_blocks(&self) -> usize {
        self.core().peak()
    }

    /// How many clients there are.
    ///
    /// ```
    /// let context = vmma::Context::map(1 << 20)?;
    /// let client = context.client()?;
    /// assert_eq!(context.client_count(), 1);
    /// drop(client);
    /// assert_eq!(context.client_count(), 0);
    /// # Ok::<(), vmma::Error>(())
    /// ```
    pub fn client_count(&self) -> usize {
        self.core().clients()
    }

    /// The real size that an allocation of `size` bytes would have; None if it can never succeed here.
    ///
    /// ```
    /// let context = vmma::Context::map(1 << 20)?;
    /// assert_eq!(context.good_size(100), Some(128));
    /// assert_eq!(context.good_size(1 << 20), None);
    /// # Ok::<(), vmma::Error>(())
    /// ```
    pub fn good_size(&self, size: usize) -> Option<usize> {
        Some(whole::good_size(self.core(), size)).filter(|&size| size != 0)
    }
}

/// What looks at all clients, or changes them all. With [`Threads`]: through [`Context::alone`] or [`Context::quiet`].
impl Context<'_, Local> {
    /// The figures of all clients together, by a walk.
    ///
    /// ```
    /// let context = vmma::Context::map(1 << 20)?;
    /// let client = context.client()?;
    /// client.alloc(core::alloc::Layout::new::<u64>())?;
    /// assert_eq!(context.stats().live_count, 1);
    /// # Ok::<(), vmma::Error>(())
    /// ```
    pub fn stats(&self) -> Stats {
        whole::stats(self.core()).into()
    }

    /// Counts the blocks that clients keep although nothing in them is live. [`Context::trim`] gives them back.
    ///
    /// ```
    /// assert_eq!(vmma::Context::map(1 << 20)?.cached_blocks(), 0);
    /// # Ok::<(), vmma::Error>(())
    /// ```
    pub fn cached_blocks(&self) -> usize {
        stats::cached_blocks(self.core())
    }

    /// Gives back what clients only keep: empty blocks, caches, quarantine.
    ///
    /// ```
    /// let context = vmma::Context::map(1 << 20)?;
    /// let client = context.client()?;
    /// let memory = client.alloc(core::alloc::Layout::new::<u64>())?;
    /// // SAFETY: nobody uses it.
    /// unsafe { client.free(memory.cast())? };
    /// context.trim()?;
    /// assert_eq!(client.held_size(), 0);
    /// # Ok::<(), vmma::Error>(())
    /// ```
    pub fn trim(&self) -> Result<(), Error> {
        if self.core().asking() {
            return Err(Error::Busy);
        }
        whole::trim(self.core());
        Ok(())
    }

    /// Checks every record, all red zones and the quarantine.
    ///
    /// ```
    /// vmma::Context::map(1 << 20)?.check()?;
    /// # Ok::<(), vmma::Error>(())
    /// ```
    pub fn check(&self) -> Result<(), Error> {
        outcome(check::context_and_tell(self.core()).map_or(0, Status::code))
    }

    /// Visits every client, until `visit` breaks. It may ask, but not change any of them.
    ///
    /// ```
    /// use core::ops::ControlFlow;
    ///
    /// let context = vmma::Context::map(1 << 20)?;
    /// let guest = context.client()?;
    /// guest.set_name("guest")?;
    /// let found = context.walk_clients(|client| match &*client.name() {
    ///     "guest" => ControlFlow::Break(client.id()),
    ///     _ => ControlFlow::Continue(()),
    /// });
    /// assert_eq!(found, ControlFlow::Break(guest.id()));
    /// # Ok::<(), vmma::Error>(())
    /// ```
    pub fn walk_clients<B>(&self, mut visit: impl FnMut(&Client<'_>) -> ControlFlow<B>) -> ControlFlow<B> {
        let mut result = ControlFlow::Continue(());
        whole::walk_clients(self.core(), |client| {
            Client::with(NonNull::from(client), |client| result = no_unwinding(|| visit(client)));
            result.is_break() as i32
        });
        result
    }

    /// Whose live allocation holds an address. Any address may be asked.
    ///
    /// ```
    /// let context = vmma::Context::map(1 << 20)?;
    /// let client = context.client()?;
    /// let memory = client.alloc(core::alloc::Layout::new::<u64>())?;
    /// assert_eq!(context.find_client(memory.as_ptr()), Some(client.id()));
    /// assert_eq!(context.find_client(&raw const context), None);
    /// # Ok::<(), vmma::Error>(())
    /// ```
    pub fn find_client<T: ?Sized>(&self, address: *const T) -> Option<ClientId> {
        find::client_at(self.core(), address.addr()).map(ClientId::of)
    }

    /// Writes down the state of the context, for a person or a program.
    ///
    /// The writer may ask, but not change any client. Fails if it does.
    ///
    /// ```
    /// use vmma::host::DumpFormat;
    ///
    /// let context = vmma::Context::map(1 << 20)?;
    /// let mut text = String::new();
    /// context.dump(DumpFormat::Json, &mut text).unwrap();
    /// assert!(text.starts_with('{'));
    /// # Ok::<(), vmma::Error>(())
    /// ```
    pub fn dump(&self, format: DumpFormat, to: &mut impl fmt::Write) -> fmt::Result {
        dump(self.core(), format, to)
    }
}

impl<'m> Context<'m, Threads> {
    /// The context without any clients, so without other threads: for what concerns all of it.
    ///
    /// ```
    /// let mut context = vmma::ContextOptions::new().threads().map(1 << 20)?;
    /// std::thread::scope(|scope| {
    ///     scope.spawn(|| context.client().map(drop));
    /// });
    /// context.alone().check()?;
    /// # Ok::<(), vmma::Error>(())
    /// ```
    pub fn alone(&mut self) -> &Context<'m> {
        // SAFETY: nobody else has a reference to the context or to one of its clients.
        unsafe { self.quiet() }
    }

    /// The context while its clients rest: for what concerns all of it.
    ///
    /// # Safety
    /// As long as the result, or anything made from it, is used, no other thread makes or drops a client of this
    /// context, and none is inside a call on one.
    ///
    /// ```
    /// let context = vmma::ContextOptions::new().threads().map(1 << 20)?;
    /// let client = context.client()?;
    /// client.alloc(core::alloc::Layout::new::<u64>())?;
    /// // SAFETY: there is only this thread.
    /// assert_eq!(unsafe { context.quiet() }.stats().live_count, 1);
    /// # Ok::<(), vmma::Error>(())
    /// ```
    pub unsafe fn quiet(&self) -> &Context<'m> {
        // SAFETY: the two types differ in a marker only. The one-thread type may do more; that no other thread is
        // there meanwhile is the caller's promise.
        unsafe { &*core::ptr::from_ref(self).cast() }
    }
}

impl<M: Threading> Drop for Context<'_, M> {
    fn drop(&mut self) {
        // Clients and everything that calls closures borrow the context: nobody is inside, nobody has a client. Those
        // that were forgotten go with it.
        // SAFETY: so nobody uses it.
        unsafe { whole::delete(self.handle.as_ptr()) };
    }
}

impl<M: Threading> fmt::Debug for Context<'_, M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Context")
            .field("total_size", &self.total_size())
            .field("block_size", &self.block_size())
            .field("flags", &self.flags())
            .field("client_count", &self.client_count())
            .field("free_blocks", &self.free_blocks())
            .finish_non_exhaustive()
    }
}

/// Tells a closure of a misuse.
///
/// # Safety
/// `report` lives until this returns, and `user` is a `&F` that is still alive.
unsafe extern "C" fn tell<F: Fn(&Misuse) + Sync>(_: *mut c_void, report: *const Report, user: *mut c_void) {
    // SAFETY: set together with `F` by `set_error_handler`, for 'm, which lasts as long as the context; the core's own
    // report.
    let (handler, report) = unsafe { (&*user.cast::<F>(), &*report) };
    handler(&Misuse::of(report));
}
