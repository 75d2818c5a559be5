//! Every invariant, written to be read; used by vmma_check_*, by all tests, by the fuzzers.
//!
//! Nothing here believes a record before it has looked at it: numbers are compared with the map before they are
//! used, and every loop has a bound that does not come from the records. So damaged records are reported, and
//! never make the check itself read elsewhere or go on for ever.
//!
//! A check reports the first thing that it finds. Records come first: red zones and quarantine are only looked at
//! through records that are in order.
//! May know: everything below ffi; changes nothing.

mod block;
mod caches;
mod context;
mod lists;
mod packed;

use crate::client::Client;
use crate::client::find::Found;
use crate::client::limits::{all, asking_all, closed_all};
use crate::context::Context;
use crate::context::report::Misuse;
use crate::flags;
use crate::guard;
use crate::status::Status;

/// How many pieces of each code a client's blocks have that are neither live nor free; slabs with free cells, by `ROOMY`; and
/// what waits in quarantine in blocks that are no runs, by `WAITS`.
pub(crate) type Outstanding = [u32; 256];

const WAITS: u32 = 0xff;

/// What is wrong, and where: an offset from block 0, and the allocation concerned.
#[derive(Clone, Copy, Debug)]
pub struct Fault {
    pub status: Status,
    pub offset: Option<usize>,
    pub about: Option<(Found, usize)>,
}

const CORRUPT: Fault = Fault { status: Status::Corrupt, offset: None, about: None };

/// The first fault of a client.
pub fn client(client: &Client) -> Option<Fault> {
    let context = client.context();
    if !records(context, client) {
        return Some(CORRUPT);
    }
    memory(context, client)
}

/// Is every record of a client in order?
fn records(context: &Context, client: &Client) -> bool {
    if !context::map_is_sane(context) || !client.checksum_matches() || !lists::scalars(context, client) {
        return false;
    }
    let mut outstanding: Outstanding = [0; 256];
    lists::blocks(context, client, &mut outstanding)
        && (context.sizes.packed() || lists::slabs(context, client, &mut outstanding))
        && caches::caches(context, client, &mut outstanding)
        && caches::quarantine(context, client, &mut outstanding)
        && outstanding.iter().all(|&count| count == 0)
}

/// Red zones and quarantined memory, as far as the context has them.
fn memory(context: &Context, client: &Client) -> Option<Fault> {
    if context.has(flags::GUARD) {
        for (found, size) in client.allocations(context, true) {
            let changed = guard::first_changed(&context.map, found.start, found.usable);
            if changed.is_some() {
                return Some(Fault { status: Status::Overrun, offset: changed, about: Some((found, size)) });
            }
        }
    }
    caches::written(context, client)
}

/// Checks a client and tells the host what was found.
pub fn client_and_tell(client_: &Client) -> Option<Status> {
    if !client_.locked_checksum_matches() {
        // Which context it belongs to is not certain any more: there is nobody to tell.
        client_.set_last_status(Status::Corrupt);
        return Some(Status::Corrupt);
    }
    let context = client_.context();
    if !context.callbacks_match() {
        return Some(Status::Corrupt);
    }
    let fault = {
        let _lock = client_.lock_shared(context);
        client(client_)
    }?;
    tell(context, client_, &fault);
    Some(fault.status)
}

/// Checks a context and tells the host what was found, and on which client.
pub fn context_and_tell(context_: &Context) -> Option<Status> {
    if !context_.callbacks_match() {
        // Telling looks at the list of callbacks.
        return Some(Status::Corrupt);
    }
    if !context::records(context_) {
        let misuse = Misuse {
            status: Status::Corrupt,
            client: core::ptr::null(),
            name: &[],
            address: 0,
            allocation: 0,
            size: 0,
        };
        // To close the clients' fast paths means to believe the number of slots.
        if context::map_is_sane(context_) {
            closed_all(context_, &mut || context_.report(&misuse));
        } else {
            context_.report(&misuse);
        }
        return Some(Status::Corrupt);
    }
    asking_all(context_, || {
        all(context_).find_map(|each| {
            if !each.locked_checksum_matches() {
                tell(context_, each, &CORRUPT);
                return Some(Status::Corrupt);
            }
            client_and_tell(each)
        })
    })
}

fn tell(context: &Context, client: &Client, fault: &Fault) {
    let address = fault.offset.map_or(0, |offset| context.map.address_of(offset).addr());
    client.misuse(context, fault.status, address, fault.about);
}
