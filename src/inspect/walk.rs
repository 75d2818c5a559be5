//! Walks over allocations and clients.
//! May know: client (find), context.

use crate::client::Client;
use crate::client::find::{self, Found};
use crate::context::Context;
use crate::context::callbacks::Kind;
use crate::memory::kind;
use core::sync::atomic::Ordering::Relaxed;

/// The live allocations of a client, in the order of addresses.
pub(crate) struct Allocations<'a> {
    client: &'a Client,
    context: &'a Context,
    watermark: usize,
    /// The caller holds the client's lock.
    locked: bool,
    /// What lies before it has been looked at.
    granule: usize,
}

impl Iterator for Allocations<'_> {
    /// An allocation, and its size as the program sees it.
    type Item = (Found, usize);

    fn next(&mut self) -> Option<(Found, usize)> {
        let Allocations { client, context, .. } = *self;
        let shape = &context.map.shape;
        let shift = shape.block_shift - shape.granule_shift;
        loop {
            let block = self.granule >> shift;
            if block >= self.watermark {
                return None;
            }
            // Of a run's blocks only the head has a live bit, the first; what else is in their words is old.
            let owner = context.map.record(block).owner.load(Relaxed);
            let end = match owner & 0xff {
                _ if owner & !0xff != client.owner.get() => 0,
                kind::BUDDY => 1 << shift,
                kind::HEAD => 1,
                _ => 0,
            } + (block << shift);
            if self.granule >= end {
                self.granule = (block + 1) << shift;
                continue;
            }
            let word = context.map.live_bits(self.granule) >> (self.granule & 63);
            if word == 0 {
                self.granule = (self.granule | 63) + 1;
                continue;
            }
            let granule = self.granule + word.trailing_zeros() as usize;
            self.granule = granule + 1;
            if granule >= end {
                continue;
            }
            let start = granule << shape.granule_shift;
            let _lock = (!self.locked).then(|| client.lock_shared(context));
            let found = find::holder(context, client.owner.get(), start);
            if let Some(found) = found.filter(|found| found.start == start && found.live) {
                return Some((found, found.size(context)));
            }
        }
    }
}

impl Client {
    /// `locked`: the caller holds the client's lock all the while.
    pub(crate) fn allocations<'a>(&'a self, context: &'a Context, locked: bool) -> Allocations<'a> {
        Allocations { client: self, context, watermark: context.watermark(), locked, granule: 0 }
    }

    /// The same in one block. The caller holds the client's lock.
    pub(crate) fn allocations_in<'a>(&'a self, context: &'a Context, block: usize) -> Allocations<'a> {
        let granule = block << (context.map.shape.block_shift - context.map.shape.granule_shift);
        Allocations { client: self, context, watermark: block + 1, locked: true, granule }
    }

    /// Calls `visit` for every live allocation, in the order of addresses, until it says something else than 0.
    pub fn walk(&self, context: &Context, mut visit: impl FnMut(&Found, usize) -> i32) -> i32 {
        self.closed(context, Kind::Ask, || {
            let mut results = self.allocations(context, false).map(|(found, size)| visit(&found, size));
            results.find(|&result| result != 0).unwrap_or(0)
        })
    }

    pub(crate) fn owns_block(&self, context: &Context, block: usize) -> bool {
        let owner = context.map.record(block).owner.load(Relaxed);
        owner & !0xff == self.owner.get() && owner & 0xff != kind::FREE
    }
}
