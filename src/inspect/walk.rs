//! Walks over allocations and clients.
//! May know: client (find), context.

use crate::client::Client;
use crate::client::find::{self, Found};
use crate::context::Context;
use crate::context::callbacks::Kind;
use crate::memory::kind;
use core::sync::atomic::Ordering::{Acquire, Relaxed};

impl Client {
    /// Calls `visit` for every live allocation, in the order of addresses, until it says something else than 0.
    pub fn walk(&self, context: &Context, mut visit: impl FnMut(&Found, usize) -> i32) -> i32 {
        self.closed(context, Kind::Ask, || {
            for block in 0..context.watermark.load(Acquire) {
                if !self.owns_block(context, block) {
                    continue;
                }
                let result = self.walk_block(context, block, false, &mut visit);
                if result != 0 {
                    return result;
                }
            }
            0
        })
    }

    pub(crate) fn owns_block(&self, context: &Context, block: usize) -> bool {
        let owner = context.map.record(block).owner.load(Relaxed);
        owner & !0xff == self.owner.get() && owner & 0xff != kind::FREE
    }

    /// The live allocations that begin in one block of this client. `locked`: the caller holds the client's lock.
    pub(crate) fn walk_block(
        &self,
        context: &Context,
        block: usize,
        locked: bool,
        visit: &mut impl FnMut(&Found, usize) -> i32,
    ) -> i32 {
        let shape = &context.map.shape;
        let first = block << (shape.block_shift - shape.granule_shift);
        // Of a run's blocks only the head has a live bit, the first; what else is in their words is old.
        let granules = match context.map.record(block).owner.load(Relaxed) & 0xff {
            kind::BUDDY => shape.block_size() >> shape.granule_shift,
            kind::HEAD => 1,
            _ => return 0,
        };
        let mut granule = first;
        while granule < first + granules {
            let word = context.map.live_bits(granule) >> (granule & 63);
            if word == 0 {
                granule = (granule | 63) + 1;
                continue;
            }
            granule += word.trailing_zeros() as usize;
            if granule >= first + granules {
                break;
            }
            let offset = granule << shape.granule_shift;
            let found = {
                let _lock = (!locked).then(|| self.lock_shared(context));
                find::holder(context, self.owner.get(), offset)
                    .filter(|found| found.start == offset && found.live)
                    .map(|found| (found, found.size(context)))
            };
            if let Some((found, size)) = found {
                let result = visit(&found, size);
                if result != 0 {
                    return result;
                }
            }
            granule += 1;
        }
        0
    }
}
