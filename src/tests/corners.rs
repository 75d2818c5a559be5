//! Corners that random operations do not reach: lives that have run round, holes behind many others.
//! May know: everything.

use super::Rng;
use crate::client::Client;
use crate::client::alloc::Request;
use crate::context::Context;
use crate::context::slots::LIVES;
use crate::ffi::*;
use core::ffi::c_void;
use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};

const NOT_OWNED: i32 = vmma_status::VMMA_E_NOT_OWNED as i32;

fn context(size: usize, alignment: usize, block_size: usize, flags: u32) -> *mut vmma_context_t {
    let context = c!(vmma_create_context(core::ptr::null_mut(), size, alignment, block_size, flags));
    assert!(!context.is_null());
    context
}

fn inside<'a>(context: *mut vmma_context_t) -> &'a Context {
    // SAFETY: the caller's context is alive for the whole test.
    unsafe { Context::from_handle(context.cast()) }.expect("alive")
}

fn life(client: *mut vmma_client_t) -> u32 {
    // SAFETY: the client is alive.
    unsafe { Client::from_handle(client.cast()) }.expect("alive").owner.get() >> 8
}

#[test]
#[cfg_attr(miri, ignore)]
fn when_lives_run_round_old_records_do_not_speak_for_new_clients() {
    for flags in [0, VMMA_FLAG_PACKED, VMMA_FLAG_NO_CACHE, VMMA_FLAG_GUARD | VMMA_FLAG_QUARANTINE] {
        let context = context(1 << 20, 16, 16 << 10, flags);
        let mut rng = Rng::new(u64::from(flags) + 5);
        // Two clients that keep their first lives, and their memory, all the while.
        let old: Vec<_> = (0..2).map(|_| c!(vmma_create_client(context))).collect();
        let kept: Vec<_> = old
            .iter()
            .flat_map(|&client| (0..20).map(move |at| (client, c!(vmma_alloc(client, 10 << (at % 8))))))
            .collect();
        // Lives 3 to 40: their records stay behind in blocks that go back, some of them in the run of another.
        let mut stale: Vec<*mut c_void> = Vec::new();
        for _ in 0..38 {
            let client = c!(vmma_create_client(context));
            for _ in 0..30 {
                let pointer = c!(vmma_alloc(client, rng.log(9000)));
                assert!(!pointer.is_null());
                stale.push(pointer);
            }
            assert_eq!(c!(vmma_delete_client(client)), 0);
        }
        let run = c!(vmma_alloc(old[0], 200_000));
        assert!(!run.is_null());
        let inner = inside(context);
        assert!(inner.next_life.get() < 100);
        inner.next_life.set(LIVES - 5);
        let mut lives = HashSet::new();
        for round in 0..120 {
            let client = c!(vmma_create_client(context));
            let now = life(client);
            assert!((1..LIVES).contains(&now) && old.iter().all(|&other| life(other) != now), "life {now}");
            lives.insert(now);
            // Nothing is this client's: not what the client of the same life had before, and not what others have.
            for &pointer in stale.iter().chain(kept.iter().map(|(_, pointer)| pointer)) {
                assert_eq!(c!(vmma_test_address(client, pointer)), 0);
                assert_eq!(c!(vmma_get_size(client, pointer)), 0);
                assert_eq!(c!(vmma_free(client, pointer)), NOT_OWNED, "round {round}, life {now}");
            }
            assert_eq!(c!(vmma_check_context(context)), 0);
            // Once it has memory: live bits of old in its blocks are gone, and so are unit words.
            let mine: Vec<_> = (0..40).map(|_| c!(vmma_alloc(client, rng.log(3000)))).collect();
            for &pointer in &stale {
                let known = mine.contains(&pointer);
                assert!(known || c!(vmma_get_size(client, pointer)) == 0, "round {round}, life {now}");
                assert!(known || c!(vmma_free(client, pointer)) < 0);
            }
            assert_eq!(c!(vmma_check_context(context)), 0);
            stale.extend(mine.iter().take(5));
            if round % 3 == 0 {
                assert_eq!(c!(vmma_reset_client(client)), 0);
                lives.insert(life(client));
                assert_eq!(c!(vmma_free(client, mine[0])), NOT_OWNED);
            }
            assert_eq!(c!(vmma_delete_client(client)), 0);
        }
        assert!(lives.contains(&(LIVES - 1)) && lives.contains(&3), "the numbers have run round");
        for (client, pointer) in kept {
            assert_eq!(c!(vmma_free(client, pointer)), 0);
        }
        assert_eq!(c!(vmma_free(old[0], run)), 0);
        assert_eq!(c!(vmma_check_context(context)), 0);
        assert_eq!(c!(vmma_delete_context(context)), 0);
    }
}

#[test]
#[cfg_attr(miri, ignore)]
fn a_life_that_ends_after_the_numbers_ran_round_leaves_nothing_to_its_successor() {
    for flags in [0, VMMA_FLAG_PACKED, VMMA_FLAG_NO_CACHE] {
        let context = context(1 << 20, 16, 4096, flags);
        let other = c!(vmma_create_client(context));
        let inner = inside(context);
        inner.next_life.set(8);
        let old = c!(vmma_create_client(context));
        let number = life(old);
        let stale: Vec<_> = (0..20).map(|_| c!(vmma_alloc(old, 64))).collect();
        inner.next_life.set(LIVES - 1);
        let client = c!(vmma_create_client(context));
        // The numbers run round and stop short of that of `old`, which ends now. Its block becomes part of a run.
        assert_eq!(c!(vmma_reset_client(client)), 0);
        assert!(life(client) < number, "round");
        assert_eq!(c!(vmma_delete_client(old)), 0);
        let run = c!(vmma_alloc(other, 3 * 4096));
        assert!(stale.iter().any(|&pointer| (run.addr()..run.addr() + 3 * 4096).contains(&pointer.addr())));
        let mut carried = HashSet::new();
        for _ in 0..8 {
            assert_eq!(c!(vmma_reset_client(client)), 0);
            assert!(!c!(vmma_alloc(client, 64)).is_null());
            carried.insert(life(client));
            for &pointer in &stale {
                assert_eq!(c!(vmma_test_address(client, pointer)), 0);
                if pointer != run {
                    assert_eq!(c!(vmma_free(client, pointer)), NOT_OWNED, "life {}", life(client));
                }
            }
        }
        assert!(carried.contains(&number), "the number has a successor");
        assert_eq!(c!(vmma_check_context(context)), 0);
        assert_eq!(c!(vmma_delete_context(context)), 0);
    }
}

#[test]
#[cfg_attr(miri, ignore)]
fn lives_in_use_are_passed_over_in_whole_windows() {
    let context = context(16 << 20, 16, 4 << 10, 0);
    let clients: Vec<_> = (0..20_000).map(|_| c!(vmma_create_client(context))).collect();
    assert!(clients.iter().all(|client| !client.is_null()));
    inside(context).next_life.set(LIVES - 2);
    let mut lives: HashSet<u32> = clients.iter().map(|&client| life(client)).collect();
    assert_eq!(lives.len(), clients.len());
    for _ in 0..50 {
        assert!(lives.insert(life(c!(vmma_create_client(context)))), "two clients with one life");
    }
    assert_eq!(c!(vmma_check_context(context)), 0);
    assert_eq!(c!(vmma_delete_context(context)), 0);
}

/// A hole that only one block has, behind many blocks of the same list whose holes are a little smaller.
#[test]
#[cfg_attr(miri, ignore)]
fn the_last_fitting_hole_is_found_however_many_blocks_come_first() {
    for (flags, block) in [
        (VMMA_FLAG_PACKED, 64usize << 10),
        (VMMA_FLAG_PACKED | VMMA_FLAG_NO_CACHE, 64 << 10),
        (0, 64 << 10),
        (0, 8 << 20),
    ] {
        let blocks = 70;
        let context = context(c!(vmma_get_required_size(blocks * block, 16, block, flags)), 16, block, flags);
        let client = c!(vmma_create_client(context));
        let piece = block / 8;
        let mut pieces = Vec::new();
        loop {
            let pointer = c!(vmma_alloc(client, piece));
            if pointer.is_null() {
                break;
            }
            pieces.push(pointer);
        }
        let whole = blocks.min(pieces.len() / 8);
        // In every block a hole; in one of them, that was freed first and so is last in its list, a larger one.
        let find = |block_number: usize, at: usize| {
            let base = inside(context).map.base();
            base.wrapping_add(block_number * block + at * piece).cast::<c_void>()
        };
        for at in 4..7 {
            assert_eq!(c!(vmma_free(client, find(0, at))), 0);
        }
        for number in 1..whole {
            for at in 4..6 {
                assert_eq!(c!(vmma_free(client, find(number, at))), 0);
            }
        }
        assert_eq!(c!(vmma_trim_client(client)), 0);
        let most = c!(vmma_get_max_alloc(client));
        let pointer = c!(vmma_alloc(client, most));
        assert!(!pointer.is_null(), "flags {flags:#x}, blocks of {block}: max_alloc says {most}, but that fails");
        assert_eq!(c!(vmma_check_context(context)), 0);
        assert_eq!(c!(vmma_delete_context(context)), 0);
    }
}

/// What two threads are inside of at a time may end in either order.
#[test]
#[cfg_attr(miri, ignore)]
fn a_callback_may_end_before_one_of_another_thread_that_began_later() {
    static CLIENTS: [AtomicUsize; 2] = [AtomicUsize::new(0), AtomicUsize::new(0)];
    static BEGAN: [AtomicBool; 2] = [AtomicBool::new(false), AtomicBool::new(false)];
    static FIRST_ENDED: AtomicBool = AtomicBool::new(false);
    fn wait_for(flag: &AtomicBool) {
        while !flag.load(SeqCst) {
            std::thread::yield_now();
        }
    }
    extern "C" fn told(_: *mut vmma_context_t, error: *const vmma_error_t, _: *mut c_void) {
        // SAFETY: it lives as long as the call.
        let client = unsafe { (*error).client };
        let who = CLIENTS.iter().position(|each| each.load(SeqCst) == client.addr()).expect("one of the two");
        BEGAN[who].store(true, SeqCst);
        wait_for(&BEGAN[1 - who]);
        if who == 1 {
            wait_for(&FIRST_ENDED);
        }
        // It is still inside, whoever has left meanwhile: it may ask, and not change.
        assert_eq!(c!(vmma_get_limit(client)), 0);
        assert!(c!(vmma_alloc(client, 10)).is_null());
    }
    let context = context(1 << 20, 16, 16 << 10, VMMA_FLAG_THREADS);
    assert_eq!(c!(vmma_set_error_handler(context, Some(told), core::ptr::null_mut())), 0);
    for client in &CLIENTS {
        client.store(c!(vmma_create_client(context)).expose_provenance(), SeqCst);
    }
    let misuse = |who: usize| {
        let client: *mut vmma_client_t = core::ptr::with_exposed_provenance_mut(CLIENTS[who].load(SeqCst));
        if who == 1 {
            wait_for(&BEGAN[0]);
        }
        assert_eq!(c!(vmma_free(client, core::ptr::without_provenance_mut(16))), NOT_OWNED);
        if who == 0 {
            FIRST_ENDED.store(true, SeqCst);
        }
        assert!(!c!(vmma_alloc(client, 1000)).is_null(), "outside again");
    };
    std::thread::scope(|scope| {
        scope.spawn(|| misuse(0));
        scope.spawn(|| misuse(1));
    });
    assert_eq!(c!(vmma_check_context(context)), 0);
    assert_eq!(c!(vmma_delete_context(context)), 0);
}

/// The most clients that there may be: the next one fails, and does not look for a number for ever.
#[test]
fn there_are_fewer_clients_than_numbers_for_them() {
    let context = context(1 << 20, 16, 16 << 10, 0);
    let used = &inside(context).slots_used;
    let before = used.swap(LIVES / 2, SeqCst);
    assert!(c!(vmma_create_client(context)).is_null());
    used.store(before, SeqCst);
    assert!(!c!(vmma_create_client(context)).is_null());
    assert_eq!(c!(vmma_delete_context(context)), 0);
}

/// Whoever is told of a fault by a check of all of the context may change no client meanwhile; afterwards the fast paths are open
/// again.
#[test]
fn a_check_that_finds_something_leaves_the_fast_paths_open() {
    let context = context(1 << 20, 16, 64 << 10, 0);
    let clients: Vec<_> = (0..3).map(|_| c!(vmma_create_client(context))).collect();
    for &client in &clients {
        assert!(!c!(vmma_alloc(client, 100)).is_null());
    }
    // SAFETY: the clients are alive.
    let bound = |each: *mut vmma_client_t| unsafe { Client::from_handle(each.cast()) }.expect("alive").fast_sizes.get();
    let open = || clients.iter().all(|&each| bound(each) != 0);
    assert!(open());
    let record = inside(context).map.record(0);
    let state = record.state.swap(0, SeqCst);
    assert_eq!(c!(vmma_check_context(context)), vmma_status::VMMA_E_CORRUPT as i32);
    record.state.store(state, SeqCst);
    assert!(open());
    assert_eq!(c!(vmma_check_context(context)), 0);
    assert_eq!(c!(vmma_delete_context(context)), 0);
}

/// Between realloc's allocation and its copy no lock is held: another thread of the client may free any address meanwhile.
#[test]
fn a_move_whose_new_place_has_gone_to_another_client_writes_nothing_there() {
    let context = context(256 << 10, 16, 4096, VMMA_FLAG_SHARED_CLIENTS | VMMA_FLAG_NO_CACHE);
    let (mover, other) = (c!(vmma_create_client(context)), c!(vmma_create_client(context)));
    // SAFETY: the client is alive.
    let client = unsafe { Client::from_handle(mover.cast()) }.expect("alive");
    let old = c!(vmma_alloc(mover, 2000));
    let request = Request::new(8192, 0, false);
    let new = client.allocate(&request);
    assert_eq!(c!(vmma_free(mover, new.cast())), 0);
    let taken = c!(vmma_alloc(other, 8192));
    assert_eq!(taken.addr(), new.addr(), "the other client has the place");
    c!(taken.cast::<u8>().write_bytes(0x56, 8192));
    let inner = inside(context);
    let moved =
        client.settle_move(inner, old.addr(), client.owner.get(), &request, Ok(new.addr() - inner.map.base().addr()));
    assert!(moved.is_null());
    // SAFETY: 8192 bytes of a live allocation.
    assert!(unsafe { core::slice::from_raw_parts(taken.cast::<u8>(), 8192) }.iter().all(|&byte| byte == 0x56));
    assert_eq!(c!(vmma_test_address(mover, old)), 1, "and the old one is as it was");
    assert_eq!(c!(vmma_check_context(context)), 0);
    assert_eq!(c!(vmma_delete_context(context)), 0);
}
