//! What concerns a whole context and all its clients.
//! May know: client, context, stats, check.

use super::stats::{Stats, context_overhead};
use crate::client::Client;
use crate::client::limits::{all, asking_all, closed_all};
use crate::context::report::Misuse;
use crate::context::{Context, HEADER_SIZE, extras};
use crate::status::Status;
use crate::{flags, layout};

/// Ends a context and all its clients. A pointer: a reference would have to be good until this returns, and the memory is not.
///
/// # Safety
/// A live context that nobody uses any more.
pub unsafe fn delete(handle: *const Context) {
    // SAFETY: as the caller promised; the reference is not used any more when the memory goes.
    unsafe {
        let context = &*handle;
        for client in all(context) {
            if context.has(flags::WIPE) {
                client.delete();
            } else {
                client.kill();
            }
        }
        Context::destroy(handle);
    }
}

pub fn required_size(usable: usize, alignment: usize, block_size: usize, flags: u32) -> Option<usize> {
    let accepted = flags::accepted(flags);
    layout::required_size(usable, alignment, block_size, extras(accepted), HEADER_SIZE)
}

/// What get_size would say of an allocation of `size` bytes; 0 if it can never succeed.
pub fn good_size(context: &Context, size: usize) -> usize {
    let size = size.max(1);
    match Client::place(context, size, 0) {
        Some(_) if context.has(flags::GUARD) => size,
        Some(place) => context.sizes.usable(place),
        None => 0,
    }
}

/// Gives back what clients only keep.
pub fn trim(context: &Context) {
    asking_all(context, || all(context).for_each(Client::trim));
    context.release_now();
}

pub fn stats(context: &Context) -> Stats {
    let mut total = Stats::default();
    all(context).for_each(|client| total.add(&client.stats()));
    total.overhead_size = context_overhead(context);
    total
}

/// Calls `visit` for every client until it says something else than 0.
pub fn walk_clients(context: &Context, mut visit: impl FnMut(&Client) -> i32) -> i32 {
    let mut result = 0;
    closed_all(context, &mut || result = all(context).map(&mut visit).find(|&result| result != 0).unwrap_or(0));
    result
}

/// Tells of a bad parameter in a call on the context itself.
pub fn invalid(context: &Context) {
    let misuse =
        Misuse { status: Status::Invalid, client: core::ptr::null(), name: &[], address: 0, allocation: 0, size: 0 };
    closed_all(context, &mut || context.report(&misuse));
}
