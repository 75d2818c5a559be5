//! The worst call, in steps: with NO_CACHE no call does more than a stated number of them, whatever came before.
//!
//! A step is one turn of a loop: a list looked at, a level of a buddy's tree, a word of records cleared, a word of the
//! set of free blocks read. Everything else in a call is straight-line code.
//! May know: the C interface, steps.

use super::{Rng, operations};
use crate::ffi::*;
use crate::steps;
use core::ffi::c_void;

/// Requests up to a block, default parameters: 64 KiB blocks of 64 units. Most of an allocation's worst case are the 128
/// words of a block's records that are cleared when it is taken.
const MOST_ALLOC: usize = 200;
const MOST_FREE: usize = 20;

struct Bench {
    context: *mut vmma_context_t,
    client: *mut vmma_client_t,
    live: Vec<*mut c_void>,
    worst_alloc: usize,
    worst_free: usize,
}

impl Bench {
    fn new(size: usize, flags: u32) -> Bench {
        let context = c!(vmma_create_context(core::ptr::null_mut(), size, 0, 0, flags));
        let client = c!(vmma_create_client(context));
        assert!(!client.is_null());
        Bench { context, client, live: Vec::new(), worst_alloc: 0, worst_free: 0 }
    }

    fn alloc(&mut self, size: usize) -> bool {
        steps::take();
        let pointer = c!(vmma_alloc(self.client, size));
        self.worst_alloc = self.worst_alloc.max(steps::take());
        if !pointer.is_null() {
            self.live.push(pointer);
        }
        !pointer.is_null()
    }

    fn free(&mut self, at: usize) {
        let pointer = self.live.swap_remove(at);
        steps::take();
        assert_eq!(c!(vmma_free(self.client, pointer)), 0);
        self.worst_free = self.worst_free.max(steps::take());
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        c!(vmma_delete_context(self.context));
    }
}

/// Fills a context, makes holes of the worst kinds, lives at the edges of blocks.
fn torment(bench: &mut Bench, rng: &mut Rng, rounds: usize) {
    let block = c!(vmma_get_block_size(bench.context));
    for round in 0..rounds {
        let most = [16, 64, 1000, 1025, 5000, block / 2, block, 200][round % 8];
        // Full, by pieces of one kind or of many; the last ones fail.
        let mut room = 20_000;
        while room > 0 && bench.alloc(if round % 3 == 0 { most } else { rng.log(most) }) {
            room -= 1;
        }
        bench.alloc(block);
        bench.alloc(1);
        // Every second one, then the rest in random order, so that everything merges at the very end; some stay.
        let mut at = 0;
        while at < bench.live.len() {
            bench.free(at);
            at += 1 + round % 2;
        }
        while bench.live.len() > rng.below(40) {
            bench.free(rng.below(bench.live.len()));
        }
        // Back and forth over the edge of a block.
        for _ in 0..50 {
            bench.alloc(rng.log(block));
            if !bench.live.is_empty() {
                bench.free(bench.live.len() - 1);
            }
        }
    }
}

#[test]
#[cfg_attr(miri, ignore)]
fn without_caches_every_call_up_to_a_block_stays_within_its_steps() {
    let mut rng = Rng::new(61);
    for size in [2 << 20, 64 << 20] {
        let mut bench = Bench::new(size, VMMA_FLAG_NO_CACHE);
        assert_eq!(c!(vmma_get_block_size(bench.context)), 64 << 10);
        torment(&mut bench, &mut rng, if size > 4 << 20 { 8 } else { operations(16, 64) });
        println!("{} MiB: worst alloc {} steps, worst free {}", size >> 20, bench.worst_alloc, bench.worst_free);
        assert!(bench.worst_alloc <= MOST_ALLOC, "{} steps in an alloc", bench.worst_alloc);
        assert!(bench.worst_free <= MOST_FREE, "{} steps in a free", bench.worst_free);
        assert!(bench.worst_alloc > 64 && bench.worst_free > 4, "steps are counted");
    }
}

/// The search for a run reads one word for every 64 blocks; what else it does is per block of the run itself.
#[test]
#[cfg_attr(miri, ignore)]
fn a_run_adds_at_most_a_step_for_every_64_blocks() {
    for size in [64 << 20, 1 << 30] {
        let mut bench = Bench::new(size, VMMA_FLAG_NO_CACHE);
        let (block, total) = (64 << 10, c!(vmma_get_total_blocks(bench.context)));
        // All blocks once in use, then every second one free: no run of two fits, and the search sees all words.
        while bench.alloc(block) {}
        let mut order: Vec<usize> = (0..bench.live.len()).collect();
        order.sort_unstable_by_key(|&at| bench.live[at].addr());
        let all = std::mem::take(&mut bench.live);
        let mut kept = Vec::new();
        for (rank, at) in order.into_iter().enumerate() {
            if rank % 2 == 0 {
                assert_eq!(c!(vmma_free(bench.client, all[at])), 0);
            } else {
                kept.push(all[at]);
            }
        }
        bench.worst_alloc = 0;
        assert!(!bench.alloc(2 * block), "no two free blocks are neighbours");
        assert!(bench.worst_alloc <= MOST_ALLOC + total.div_ceil(64), "{} of {total} blocks", bench.worst_alloc);
        assert!(bench.worst_alloc >= total / 64, "the search was counted");
        // One hole at the far end: found, and taken.
        assert_eq!(c!(vmma_free(bench.client, kept[kept.len() - 2])), 0);
        bench.worst_alloc = 0;
        assert!(bench.alloc(2 * block), "three neighbours are free");
        assert!(bench.worst_alloc <= MOST_ALLOC + total.div_ceil(64), "{} of {total} blocks", bench.worst_alloc);
        println!("{total} blocks: {} steps for a run", bench.worst_alloc);
    }
}

/// A run that may end in the front of a block that the client has: of such blocks each is looked at, and what lies before it is counted,
/// not read again for each.
#[test]
#[cfg_attr(miri, ignore)]
fn a_run_that_may_end_in_an_own_block_takes_a_few_steps_a_block() {
    let block = 1 << 10;
    let context = c!(vmma_create_context(core::ptr::null_mut(), 8 << 20, 16, block, VMMA_FLAG_PACKED));
    let client = c!(vmma_create_client(context));
    let free = |pointer| assert_eq!(c!(vmma_free(client, pointer)), 0);
    let take = || Some(c!(vmma_alloc(client, block))).filter(|pointer| !pointer.is_null());
    let mut all: Vec<*mut c_void> = std::iter::from_fn(take).collect();
    let blocks = all.len();
    all.sort_unstable_by_key(|pointer| pointer.addr());
    // The first half free, one block full, then a quarter whose fronts are free.
    let (half, fronts) = (blocks / 2, blocks / 4);
    let mut in_front = Vec::new();
    for &whole in &all[half + 1..half + 1 + fronts] {
        free(whole);
        let halves = [c!(vmma_alloc(client, block / 2)), c!(vmma_alloc(client, block / 2))];
        in_front.extend(halves.iter().copied().find(|half| half.addr() == whole.addr()));
    }
    assert_eq!(in_front.len(), fronts);
    in_front.into_iter().for_each(free);
    all[..half].iter().for_each(|&pointer| free(pointer));
    assert_eq!(c!(vmma_trim_client(client)), 0);
    steps::take();
    assert!(!c!(vmma_alloc(client, (half - 4) * block + block / 4)).is_null());
    let steps = steps::take();
    assert!(steps > half / 64 && steps < 3 * blocks, "{steps} steps, {blocks} blocks");
    c!(vmma_delete_context(context));
}

/// RELEASE: who frees pays for what was freed, not for what others freed before.
#[test]
#[cfg_attr(miri, ignore)]
fn what_has_been_released_is_not_released_again() {
    let block = 16 << 10;
    let mut bench = Bench::new(64 << 20, VMMA_FLAG_RELEASE);
    while bench.alloc(4 * block) {}
    // Holes everywhere: every second one goes.
    let all = std::mem::take(&mut bench.live);
    let holes = all.len() / 2;
    all.iter().step_by(2).for_each(|&pointer| assert_eq!(c!(vmma_free(bench.client, pointer)), 0));
    assert_eq!(c!(vmma_trim_context(bench.context)), 0);
    let other = c!(vmma_create_client(bench.context));
    for _ in 0..20 {
        assert!(!c!(vmma_alloc(other, 4 * block)).is_null());
        steps::take();
        assert_eq!(c!(vmma_reset_client(other)), 0);
        assert_eq!(c!(vmma_trim_context(bench.context)), 0);
        let steps = steps::take();
        assert!(steps < holes / 4, "{steps} steps, {holes} holes");
    }
    // When all was in use once and little is now: for each look at all blocks a 64th of them has been freed.
    assert_eq!(c!(vmma_reset_client(bench.client)), 0);
    assert_eq!(c!(vmma_trim_context(bench.context)), 0);
    let (pairs, blocks) = (64, 5);
    let size = blocks * c!(vmma_get_block_size(bench.context));
    let (mut steps, total) = (0, c!(vmma_get_total_blocks(bench.context)));
    for _ in 0..pairs {
        let pointer = c!(vmma_alloc(other, size));
        steps::take();
        assert_eq!(c!(vmma_free(other, pointer)), 0);
        steps += steps::take();
    }
    assert!(steps <= pairs * blocks / (total / 64) + 1, "{steps} steps, {total} blocks");
}

/// A limit below what is held: whoever can't get below it by giving empty blocks back is refused without a look at all blocks.
#[test]
#[cfg_attr(miri, ignore)]
fn above_its_limit_a_client_is_refused_a_run_at_once() {
    for flags in [0, VMMA_FLAG_PACKED, VMMA_FLAG_NO_CACHE] {
        let mut bench = Bench::new(64 << 20, flags);
        let (block, total) = (64 << 10, c!(vmma_get_total_blocks(bench.context)));
        while bench.alloc(block) {}
        assert_eq!(c!(vmma_set_limit(bench.client, total / 2 * block)), 0);
        bench.free(total / 3);
        bench.worst_alloc = 0;
        assert!(!bench.alloc(block + 1));
        // With PACKED a run that fails has looked twice for a block of the client's that it could end in.
        let looks = if flags == VMMA_FLAG_PACKED { 2 * total } else { 0 };
        assert!(bench.worst_alloc < looks + total / 4, "{} steps, {total} blocks, flags {flags:#x}", bench.worst_alloc);
    }
}

/// Each finding is told for itself, but does not cost a look at all clients: none of them has a fast path to be closed.
#[test]
#[cfg_attr(miri, ignore)]
fn a_trim_that_finds_written_quarantines_costs_a_few_steps_a_finding() {
    let (clients, pieces) = (100, 16);
    let context = c!(vmma_create_context(core::ptr::null_mut(), 16 << 20, 0, 16 << 10, VMMA_FLAG_QUARANTINE));
    for _ in 0..clients {
        let client = c!(vmma_create_client(context));
        let all: Vec<*mut c_void> = (0..pieces).map(|_| c!(vmma_alloc(client, 64))).collect();
        for pointer in all {
            assert_eq!(c!(vmma_free(client, pointer)), 0);
            c!(pointer.cast::<u8>().write(1));
        }
    }
    steps::take();
    assert_eq!(c!(vmma_trim_context(context)), 0);
    let steps = steps::take();
    assert!(steps < clients * pieces * 16, "{steps} steps, {clients} clients with {pieces} findings each");
    c!(vmma_delete_context(context));
}
