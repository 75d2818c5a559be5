//! Who is inside a callback, so that what it may not do is answered with BUSY.
//!
//! Each call into the host puts a node on its own stack into the context's list while it lasts. A node counts for
//! the thread that made it only: another thread's calls are never refused because of it. No lock is held while the
//! host's function runs, so callbacks nest as deep as they like.
//!
//! Invariants: a node is in the list exactly while its call lasts; nodes of one thread leave in the reverse order.
//! May know: lock, sys (who a thread is).

use super::Context;
use crate::cell::Cell;
use crate::sys;
use core::mem::MaybeUninit;
use core::sync::atomic::Ordering::{Acquire, Relaxed};

/// One bit each, so that several can be asked about together.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// May ask, but not change: walks, dumps, the error handler on the client concerned.
    Ask = 1,
    /// The error handler: as Ask, and no error is reported while it runs.
    Error = 2,
    /// The out-of-memory handler: may free, but not delete or reset its own client.
    OutOfMemory = 4,
}

/// Callbacks that may only ask.
const ASKING: u32 = Kind::Ask as u32 | Kind::Error as u32;
const ALL: u32 = ASKING | Kind::OutOfMemory as u32;
/// Stands for whatever client a callback is about. Nothing lies there.
const ANY: usize = usize::MAX;

pub struct Node {
    thread: usize,
    kind: Kind,
    /// Address of the client concerned; 0: all clients.
    client: usize,
    next: Cell<*mut Node>,
}

impl Context {
    /// Runs `call` as a callback about `client` (an address; 0 for all of the context).
    pub fn in_callback<T>(&self, kind: Kind, client: usize, call: impl FnOnce() -> T) -> T {
        let mut node = MaybeUninit::uninit();
        let this = node.as_mut_ptr();
        self.enter(this, kind, client);
        let result = call();
        self.leave(this);
        result
    }

    #[inline(never)]
    fn enter(&self, this: *mut Node, kind: Kind, client: usize) {
        let _lock = self.lock();
        let next = Cell::new(self.callbacks.load(Relaxed));
        // SAFETY: the node lives until the end of in_callback, which takes it out of the list again.
        unsafe { this.write(Node { thread: sys::thread_id(), kind, client, next }) };
        self.set_callbacks(this);
    }

    #[inline(never)]
    fn leave(&self, this: *mut Node) {
        let _lock = self.lock();
        let mut at = self.callbacks.load(Relaxed);
        if at == this {
            // SAFETY: our own node.
            self.set_callbacks(unsafe { (*this).next.get() });
            return;
        }
        // Another thread entered after us and is still inside.
        while !at.is_null() {
            // SAFETY: nodes in the list belong to calls that have not ended, and leave it under this lock.
            let node = unsafe { &*at };
            if node.next.get() == this {
                // SAFETY: our own node.
                node.next.set(unsafe { (*this).next.get() });
                break;
            }
            at = node.next.get();
        }
    }

    fn set_callbacks(&self, first: *mut Node) {
        self.callbacks.store(first, Relaxed);
        self.callbacks_mirror.store(!first.addr(), Relaxed);
    }

    /// Has nobody but us written the beginning of the list? The lock is held, or no other thread is in a call.
    pub fn callbacks_match(&self) -> bool {
        let _lock = self.lock();
        self.callbacks.load(Relaxed).addr() == !self.callbacks_mirror.load(Relaxed)
    }

    /// Is this thread inside a callback of one of these kinds that is about `client`, or about all of the context?
    #[inline]
    fn inside(&self, kinds: u32, client: usize) -> bool {
        !self.callbacks.load(Acquire).is_null() && self.inside_slow(kinds, client)
    }

    #[cold]
    fn inside_slow(&self, kinds: u32, client: usize) -> bool {
        let _lock = self.lock();
        let thread = sys::thread_id();
        let mut at = self.callbacks.load(Relaxed);
        while !at.is_null() {
            // SAFETY: as in `in_callback`: nodes leave the list under this lock before they end.
            let node = unsafe { &*at };
            let about = client == ANY || node.client == client || node.client == 0;
            if node.thread == thread && node.kind as u32 & kinds != 0 && about {
                return true;
            }
            at = node.next.get();
        }
        false
    }

    /// May this thread not change `client` now?
    #[inline(never)]
    pub fn busy(&self, client: usize) -> bool {
        self.inside(ASKING, client)
    }

    /// May this thread not create clients now? (A context-wide callback is running.)
    pub fn busy_as_whole(&self) -> bool {
        self.inside(ASKING, 0)
    }

    /// Is this thread inside any callback that may only ask?
    pub fn asking(&self) -> bool {
        self.inside(ASKING, ANY)
    }

    /// Is this thread inside any callback at all?
    pub fn in_any_callback(&self) -> bool {
        self.inside(ALL, ANY)
    }

    /// Is this thread inside the out-of-memory handler of `client`?
    #[inline]
    pub fn in_out_of_memory(&self, client: usize) -> bool {
        self.inside(Kind::OutOfMemory as u32, client)
    }

    /// Is a callback running for which the fast path of `client` has to stay closed?
    pub fn concerned(&self, client: usize) -> bool {
        let alone = !self.has(crate::flags::THREADS);
        self.inside(ALL, client) || (alone && self.inside(Kind::OutOfMemory as u32, ANY))
    }

    pub fn in_error_handler(&self) -> bool {
        self.inside(Kind::Error as u32, ANY)
    }
}
