//! The owner of a client.
//!
//! Invariant: `handle` is a live client's until it is dropped; nothing but this deletes it while its context lives.
//! May know: everything below.

use super::error::{Error, outcome};
use super::identity::{ClientId, Name};
use super::look::{Allocation, Stats};
use super::{Local, Threading, Threads, no_unwinding};
use crate::check;
use crate::client;
use crate::ffi::vmma_client_t;
use crate::status::Status;
use core::cell::Cell;
use core::ffi::{c_int, c_void};
use core::fmt;
use core::marker::PhantomData;
use core::mem::ManuallyDrop;
use core::ops::ControlFlow;
use core::ptr::NonNull;

/// One isolated heap in a [`Context`](super::Context). Dropping it frees all that it allocated.
///
/// It goes unless a closure of the library's forbids that just then (one that visits this client, or its own
/// out-of-memory handler): then its memory is back when its context ends.
///
/// ```
/// let context = vmma::Context::map(1 << 20)?;
/// let client = context.client()?;
/// for _ in 0..100 {
///     client.alloc(core::alloc::Layout::new::<[u8; 256]>())?;
/// }
/// drop(client);
/// assert_eq!(context.stats().live_count, 0);
/// # Ok::<(), vmma::Error>(())
/// ```
// The marker makes 'c invariant: it is also how long the out-of-memory handler lives, so nothing may shorten it.
pub struct Client<'c, M: Threading = Local> {
    handle: NonNull<client::Client>,
    lives: PhantomData<(Cell<&'c ()>, M)>,
}

// SAFETY: its context was made with THREADS, so it is used by one thread at a time, whichever. It is not Sync, so to
// move it is to hand it over. An out-of-memory handler that moves with it is Sync.
unsafe impl Send for Client<'_, Threads> {}

impl<'c, M: Threading> Client<'c, M> {
    /// # Safety
    /// `handle` is a live client's that nobody else owns; its context lives for 'c.
    pub(super) unsafe fn own(handle: NonNull<client::Client>) -> Self {
        Client { handle, lives: PhantomData }
    }

    /// Lends a client that somebody else owns.
    pub(super) fn with(handle: NonNull<client::Client>, call: impl FnOnce(&Client<'_, M>)) {
        call(&ManuallyDrop::new(Client { handle, lives: PhantomData }));
    }

    pub(super) fn core(&self) -> &client::Client {
        // SAFETY: the client is alive until `self` is dropped; it is made of cells.
        unsafe { self.handle.as_ref() }
    }

    /// The same for calls that change something: not inside a closure that may only ask.
    pub(super) fn changed(&self) -> Result<&client::Client, Error> {
        let client = self.core();
        if client.is_busy() {
            client.refuse_busy();
            return Err(Error::Busy);
        }
        Ok(client)
    }

    /// The handle for calls of the C interface, `vmma_lua_alloc` for one. It stays owned here: do not delete it.
    ///
    /// ```
    /// let context = vmma::Context::map(1 << 20)?;
    /// let client = context.client()?;
    /// // SAFETY: the client is alive.
    /// let memory = unsafe { vmma::ffi::vmma_alloc(client.as_ptr(), 100) };
    /// assert_eq!(client.size_of(memory), Some(128));
    /// # Ok::<(), vmma::Error>(())
    /// ```
    pub fn as_ptr(&self) -> *mut vmma_client_t {
        self.handle.as_ptr().cast()
    }

    /// Which client this is. No other one has the same while it lives.
    ///
    /// ```
    /// let context = vmma::Context::map(1 << 20)?;
    /// assert_ne!(context.client()?.id(), (context.client()?, context.client()?).1.id());
    /// # Ok::<(), vmma::Error>(())
    /// ```
    pub fn id(&self) -> ClientId {
        ClientId::of(self.core())
    }

    // ---- what it is told ----

    /// Names it, for dumps and messages. Cut to 31 bytes where a character ends.
    ///
    /// ```
    /// let context = vmma::Context::map(1 << 20)?;
    /// let client = context.client()?;
    /// client.set_name("an interpreter")?;
    /// assert_eq!(&*client.name(), "an interpreter");
    /// # Ok::<(), vmma::Error>(())
    /// ```
    pub fn set_name(&self, name: &str) -> Result<(), Error> {
        self.changed()?.set_name(name.as_bytes());
        Ok(())
    }

    /// Its name; empty if it has none.
    ///
    /// ```
    /// let context = vmma::Context::map(1 << 20)?;
    /// assert_eq!(&*context.client()?.name(), "");
    /// # Ok::<(), vmma::Error>(())
    /// ```
    pub fn name(&self) -> Name {
        Name(self.core().name_bytes(self.core().context()))
    }

    /// Bounds what it may hold, in bytes, rounded up to whole blocks; 0 is no limit. What it holds already stays.
    ///
    /// Fails if that is below the guarantee ([`Error::Invalid`]).
    ///
    /// ```
    /// let context = vmma::Context::map(1 << 20)?;
    /// let client = context.client()?;
    /// client.set_limit(64 << 10)?;
    /// let large = core::alloc::Layout::new::<[u8; 128 << 10]>();
    /// assert_eq!(client.alloc(large), Err(vmma::Error::Limit));
    /// # Ok::<(), vmma::Error>(())
    /// ```
    pub fn set_limit(&self, bytes: usize) -> Result<(), Error> {
        let client = self.changed()?;
        outcome(client.answer(client.set_limit(bytes)))
    }

    /// Its limit in bytes, as it was set; 0 is no limit.
    ///
    /// ```
    /// let context = vmma::Context::map(1 << 20)?;
    /// assert_eq!(context.client()?.limit(), 0);
    /// # Ok::<(), vmma::Error>(())
    /// ```
    pub fn limit(&self) -> usize {
        self.core().limit()
    }

    /// Sets blocks aside that no other client can take. What it holds counts towards them.
    ///
    /// Fails if that is above the limit ([`Error::Invalid`]) or the blocks are not there ([`Error::NoMemory`]).
    ///
    /// ```
    /// let context = vmma::Context::map(1 << 20)?;
    /// let client = context.client()?;
    /// client.set_guarantee(256 << 10)?;
    /// assert_eq!(client.set_guarantee(2 << 20), Err(vmma::Error::NoMemory));
    /// assert_eq!(client.guarantee(), 256 << 10);
    /// # Ok::<(), vmma::Error>(())
    /// ```
    pub fn set_guarantee(&self, bytes: usize) -> Result<(), Error> {
        let client = self.changed()?;
        outcome(client.answer(client.set_guarantee(bytes)))
    }

    /// Its guarantee in bytes, as it was set; 0 is none.
    ///
    /// ```
    /// let context = vmma::Context::map(1 << 20)?;
    /// assert_eq!(context.client()?.guarantee(), 0);
    /// # Ok::<(), vmma::Error>(())
    /// ```
    pub fn guarantee(&self) -> usize {
        self.core().guarantee()
    }

    /// Removes the out-of-memory handler.
    ///
    /// ```
    /// let context = vmma::Context::map(1 << 20)?;
    /// context.client()?.remove_oom_handler()?;
    /// # Ok::<(), vmma::Error>(())
    /// ```
    pub fn remove_oom_handler(&self) -> Result<(), Error> {
        self.changed()?.set_handler(None, core::ptr::null_mut());
        Ok(())
    }

    fn handle_with<F>(&self, handler: &'c F) -> Result<(), Error>
    where
        F: Fn(&Client<'_, M>, usize, Error) -> bool,
    {
        self.changed()?.set_handler(Some(ask::<F, M>), core::ptr::from_ref(handler).cast_mut().cast());
        Ok(())
    }

    // ---- what becomes of its memory ----

    /// Frees all that it allocated and keeps the rest: name, limit, guarantee, handler. Figures start again.
    ///
    /// It needs the client alone: whatever borrows it (and so may use its memory) has to go first.
    ///
    /// ```
    /// let context = vmma::Context::map(1 << 20)?;
    /// let mut client = context.client()?;
    /// let memory = client.alloc(core::alloc::Layout::new::<u64>())?;
    /// client.reset()?;
    /// assert!(!client.owns(memory.as_ptr()));
    /// # Ok::<(), vmma::Error>(())
    /// ```
    pub fn reset(&mut self) -> Result<(), Error> {
        let client = self.core();
        if !client.may_end() {
            client.refuse_busy();
            return Err(Error::Busy);
        }
        client.reset();
        Ok(())
    }

    /// Gives back what it only keeps: empty blocks, caches, quarantine. Allocations stay.
    ///
    /// ```
    /// let context = vmma::Context::map(1 << 20)?;
    /// context.client()?.trim()?;
    /// # Ok::<(), vmma::Error>(())
    /// ```
    pub fn trim(&self) -> Result<(), Error> {
        self.changed()?.trim();
        Ok(())
    }

    // ---- what it tells ----

    /// Does an address lie inside a live allocation of this client? Any address may be asked; none is read.
    ///
    /// ```
    /// let context = vmma::Context::map(1 << 20)?;
    /// let client = context.client()?;
    /// let memory = client.alloc(core::alloc::Layout::new::<u64>())?.cast::<u8>();
    /// assert!(client.owns(memory.as_ptr().wrapping_add(5)));
    /// assert!(!client.owns(&raw const client));
    /// # Ok::<(), vmma::Error>(())
    /// ```
    pub fn owns<T: ?Sized>(&self, address: *const T) -> bool {
        self.core().find(address.addr()).is_some()
    }

    /// The real size of the live allocation that begins at an address; None if none does. Any address may be asked.
    ///
    /// ```
    /// let context = vmma::Context::map(1 << 20)?;
    /// let client = context.client()?;
    /// let memory = client.alloc(core::alloc::Layout::new::<[u8; 100]>())?;
    /// assert_eq!(client.size_of(memory.as_ptr()), Some(128));
    /// # Ok::<(), vmma::Error>(())
    /// ```
    pub fn size_of<T: ?Sized>(&self, address: *const T) -> Option<usize> {
        self.core().find_start(address.addr()).map(|(_, size)| size)
    }

    /// The live allocation that holds an address. Any address may be asked.
    ///
    /// ```
    /// let context = vmma::Context::map(1 << 20)?;
    /// let client = context.client()?;
    /// let memory = client.alloc(core::alloc::Layout::new::<[u8; 100]>())?.cast::<u8>();
    /// let found = client.find(memory.as_ptr().wrapping_add(50)).unwrap();
    /// assert_eq!((found.start, found.size), (memory, 128));
    /// # Ok::<(), vmma::Error>(())
    /// ```
    pub fn find<T: ?Sized>(&self, address: *const T) -> Option<Allocation> {
        let client = self.core();
        let (found, size) = client.find(address.addr())?;
        Allocation::new(client.context().map.address_of(found.start), size)
    }

    /// The largest request that would succeed now; 0 if none would.
    ///
    /// ```
    /// let context = vmma::Context::map(1 << 20)?;
    /// let client = context.client()?;
    /// client.set_limit(128 << 10)?;
    /// assert_eq!(client.max_alloc(), 128 << 10);
    /// # Ok::<(), vmma::Error>(())
    /// ```
    pub fn max_alloc(&self) -> usize {
        self.core().max_alloc()
    }

    /// The newest failure, like errno: success does not clear it.
    ///
    /// ```
    /// let context = vmma::Context::map(1 << 20)?;
    /// let client = context.client()?;
    /// let _ = client.alloc(core::alloc::Layout::new::<[u8; 2 << 20]>());
    /// assert_eq!(client.last_error(), Some(vmma::Error::NoMemory));
    /// # Ok::<(), vmma::Error>(())
    /// ```
    pub fn last_error(&self) -> Option<Error> {
        Error::from_code(self.core().last_status())
    }

    /// How many bytes of the context it holds, in whole blocks.
    ///
    /// ```
    /// let context = vmma::Context::map(1 << 20)?;
    /// let client = context.client()?;
    /// client.alloc(core::alloc::Layout::new::<u64>())?;
    /// assert_eq!(client.held_size(), context.block_size());
    /// # Ok::<(), vmma::Error>(())
    /// ```
    pub fn held_size(&self) -> usize {
        self.core().held_size()
    }

    /// The most bytes that it has held since it was made or reset.
    ///
    /// ```
    /// let context = vmma::Context::map(1 << 20)?;
    /// assert_eq!(context.client()?.peak_held_size(), 0);
    /// # Ok::<(), vmma::Error>(())
    /// ```
    pub fn peak_held_size(&self) -> usize {
        self.core().peak_held_size()
    }

    /// Its figures, by a walk.
    ///
    /// ```
    /// let context = vmma::Context::map(1 << 20)?;
    /// let client = context.client()?;
    /// client.alloc(core::alloc::Layout::new::<[u8; 100]>())?;
    /// let stats = client.stats();
    /// assert_eq!((stats.live_count, stats.live_size), (1, 128));
    /// # Ok::<(), vmma::Error>(())
    /// ```
    pub fn stats(&self) -> Stats {
        self.core().stats().into()
    }

    /// Checks its records, red zones and quarantine.
    ///
    /// ```
    /// let context = vmma::Context::map(1 << 20)?;
    /// context.client()?.check()?;
    /// # Ok::<(), vmma::Error>(())
    /// ```
    pub fn check(&self) -> Result<(), Error> {
        outcome(check::client_and_tell(self.core()).map_or(0, Status::code))
    }

    /// Visits its live allocations in the order of their addresses, until `visit` breaks. It may ask, but not change
    /// this client.
    ///
    /// ```
    /// use core::ops::ControlFlow;
    ///
    /// let context = vmma::Context::map(1 << 20)?;
    /// let client = context.client()?;
    /// client.alloc(core::alloc::Layout::new::<[u8; 16]>())?;
    /// client.alloc(core::alloc::Layout::new::<[u8; 500]>())?;
    /// let large = client.walk(|allocation| match allocation.size {
    ///     0..100 => ControlFlow::Continue(()),
    ///     size => ControlFlow::Break(size),
    /// });
    /// assert_eq!(large, ControlFlow::Break(512));
    /// # Ok::<(), vmma::Error>(())
    /// ```
    pub fn walk<B>(&self, mut visit: impl FnMut(Allocation) -> ControlFlow<B>) -> ControlFlow<B> {
        let client = self.core();
        let context = client.context();
        let mut result = ControlFlow::Continue(());
        client.walk(context, |found, size| {
            if let Some(allocation) = Allocation::new(context.map.address_of(found.start), size) {
                result = no_unwinding(|| visit(allocation));
            }
            result.is_break() as i32
        });
        result
    }
}

impl<'c> Client<'c, Local> {
    /// Sets who is asked before an allocation fails: with the client, the size and the reason ([`Error::Limit`] or
    /// [`Error::NoMemory`]). True means: try again.
    ///
    /// It may free, collect garbage, trim, raise the limit, drop *other* clients. What it allocates from this client
    /// does not call it again. It has to be there as long as the client: make it before.
    ///
    /// ```
    /// use core::alloc::Layout;
    /// use vmma::{Client, Context, Error};
    ///
    /// let lend = |client: &Client<'_>, _size: usize, reason: Error| {
    ///     reason == Error::Limit && client.limit() < 256 << 10 && client.set_limit(256 << 10).is_ok()
    /// };
    /// let context = Context::map(1 << 20)?;
    /// let client = context.client()?;
    /// client.set_limit(64 << 10)?;
    /// client.set_oom_handler(&lend)?;
    /// assert!(client.alloc(Layout::new::<[u8; 128 << 10]>()).is_ok());
    /// assert_eq!(client.alloc(Layout::new::<[u8; 256 << 10]>()), Err(Error::Limit));
    /// # Ok::<(), Error>(())
    /// ```
    ///
    /// One that goes before the client is refused:
    ///
    /// ```compile_fail,E0597
    /// # use vmma::{Client, Context, Error};
    /// let context = Context::map(1 << 20).unwrap();
    /// let client = context.client().unwrap();
    /// {
    ///     let count = core::cell::Cell::new(0);
    ///     let handler = |_: &Client<'_>, _: usize, _: Error| count.replace(1) == 0;
    ///     client.set_oom_handler(&handler).unwrap();
    /// }
    /// client.held_size();
    /// ```
    pub fn set_oom_handler<F>(&self, handler: &'c F) -> Result<(), Error>
    where
        F: Fn(&Client<'_>, usize, Error) -> bool,
    {
        self.handle_with(handler)
    }
}

impl<'c> Client<'c, Threads> {
    /// The same for a client that may go to another thread, and the handler with it.
    ///
    /// ```
    /// use core::sync::atomic::{AtomicUsize, Ordering::Relaxed};
    /// use vmma::{Client, ContextOptions, Error, host::Threads};
    ///
    /// let calls = AtomicUsize::new(0);
    /// let count = |_: &Client<'_, Threads>, _: usize, _: Error| calls.fetch_add(1, Relaxed) == 0;
    /// let context = ContextOptions::new().threads().map(1 << 20)?;
    /// let client = context.client()?;
    /// client.set_limit(64 << 10)?;
    /// client.set_oom_handler(&count)?;
    /// assert!(client.alloc(core::alloc::Layout::new::<[u8; 128 << 10]>()).is_err());
    /// assert_eq!(calls.load(Relaxed), 1);
    /// # Ok::<(), Error>(())
    /// ```
    pub fn set_oom_handler<F>(&self, handler: &'c F) -> Result<(), Error>
    where
        F: Fn(&Client<'_, Threads>, usize, Error) -> bool + Sync,
    {
        self.handle_with(handler)
    }
}

/// Asks a closure whether to try again.
///
/// # Safety
/// `client` is alive, and `user` is a `&F` that is still alive.
unsafe extern "C" fn ask<F, M>(client: *mut c_void, size: usize, reason: c_int, user: *mut c_void) -> c_int
where
    M: Threading,
    F: Fn(&Client<'_, M>, usize, Error) -> bool,
{
    // SAFETY: set together with `F` by `handle_with`, for 'c, which lasts as long as anybody has the client.
    let handler = unsafe { &*user.cast::<F>() };
    let reason = Error::from_code(reason).unwrap_or(Error::NoMemory);
    let mut again = false;
    if let Some(client) = NonNull::new(client) {
        Client::with(client.cast(), |client| again = handler(client, size, reason));
    }
    again as c_int
}

impl<M: Threading> Drop for Client<'_, M> {
    fn drop(&mut self) {
        let client = self.core();
        if client.may_end() {
            client.delete();
        }
    }
}

impl<M: Threading> fmt::Debug for Client<'_, M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("name", &self.name())
            .field("held_size", &self.held_size())
            .field("limit", &self.limit())
            .field("guarantee", &self.guarantee())
            .finish_non_exhaustive()
    }
}
