//! Limit, guarantee, handler, trimming: what the host sets and asks for.
//! May know: context, pages, alloc.

use super::{Client, OutOfMemoryFn};
use crate::context::Context;
use crate::context::callbacks::Kind;
use crate::status::Status;
use core::ffi::c_void;

impl Client {
    pub fn set_limit(&self, bytes: usize) -> Result<(), Status> {
        let context = self.context();
        let _lock = self.lock_shared(context);
        if bytes != 0 && bytes < self.guarantee.get() {
            return Err(Status::Invalid);
        }
        let old = self.limit.replace(bytes);
        if old != 0 && (bytes == 0 || bytes > old) {
            context.made_progress();
        }
        self.seal();
        Ok(())
    }

    pub fn set_guarantee(&self, bytes: usize) -> Result<(), Status> {
        let context = self.context();
        let _lock = self.lock_shared(context);
        if self.limit.get() != 0 && bytes > self.limit.get() {
            return Err(Status::Invalid);
        }
        let shift = context.map.shape.block_shift;
        let blocks = (bytes >> shift) + (bytes & ((1 << shift) - 1) != 0) as usize;
        context.set_aside(&self.claim(context), blocks)?;
        self.guarantee.set(bytes);
        self.seal();
        Ok(())
    }

    pub fn set_handler(&self, handler: Option<OutOfMemoryFn>, user: *mut c_void) {
        let _lock = self.lock_shared(self.context());
        self.handler.set(handler);
        self.handler_user.set(user);
        self.seal();
    }

    /// Gives back what is only kept.
    pub fn trim(&self) {
        let context = self.context();
        if self.reclaim(context) {
            context.made_progress();
        }
    }

    /// Runs a callback that may only ask about this client.
    pub(crate) fn closed<T>(&self, context: &Context, kind: Kind, call: impl FnOnce() -> T) -> T {
        self.close();
        let result = context.in_callback(kind, self.address(), call);
        self.open_if_unconcerned(context);
        result
    }

    pub(super) fn open_if_unconcerned(&self, context: &Context) {
        if !context.concerned(self.address()) {
            self.open(context);
        }
    }

    /// Runs the out-of-memory handler: what it frees has to be seen, so the fast paths are closed meanwhile; where
    /// other threads may be at work, only the client's own.
    pub(super) fn while_closed<T>(&self, context: &Context, kind: Kind, call: impl FnOnce() -> T) -> T {
        let alone = !context.has(crate::flags::THREADS);
        if alone {
            close_all(context);
        }
        let result = self.closed(context, kind, call);
        if alone {
            open_all(context);
        }
        result
    }
}

/// Runs a callback that may only ask about every client of the context.
#[inline(never)]
pub(crate) fn closed_all(context: &Context, call: &mut dyn FnMut()) {
    let alone = !context.has(crate::flags::SHARED_CLIENTS);
    if alone {
        close_all(context);
    }
    context.in_callback(Kind::Ask, 0, call);
    if alone {
        open_all(context);
    }
}

/// Does something to all of the context, with no client to be changed in the callbacks that it may lead to. These close the fast
/// paths themselves.
pub(crate) fn asking_all<T>(context: &Context, work: impl FnOnce() -> T) -> T {
    let result = context.in_callback(Kind::Ask, 0, work);
    if !context.has(crate::flags::SHARED_CLIENTS) {
        open_all(context);
    }
    result
}

#[inline(never)]
fn close_all(context: &Context) {
    // No others ever have a fast path that is open.
    if context.simple {
        all(context).for_each(Client::close);
    }
}

#[inline(never)]
fn open_all(context: &Context) {
    if context.simple {
        all(context).for_each(|client| client.open_if_unconcerned(context));
    }
}

/// Every client, in the order of their slots.
pub fn all(context: &Context) -> impl Iterator<Item = &Client> {
    let slots = 0..context.slots_used.load(core::sync::atomic::Ordering::Relaxed);
    slots.filter_map(|slot| {
        crate::steps::count();
        Client::in_slot(context, slot)
    })
}
