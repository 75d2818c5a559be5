//! Tests of the Rust face from outside, as a host would use it: owners, lifetimes, layouts, closures, threads.
//! They know the public interface of the crate and nothing else. What must not compile is in the documentation.

use core::alloc::Layout;
use core::cell::{Cell, RefCell};
use core::mem::MaybeUninit;
use core::ops::ControlFlow;
use core::ptr::NonNull;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use vmma::host::{Allocation, ClientId, DumpFormat, Local, Misuse, Threads};
use vmma::{Client, Context, ContextOptions, Error, Flags, ffi};

fn bytes(size: usize) -> Layout {
    layout(size, 1)
}

fn layout(size: usize, align: usize) -> Layout {
    Layout::from_size_align(size, align).unwrap()
}

fn small() -> ContextOptions {
    ContextOptions::new().block_size(4096)
}

/// Fills memory with bytes that depend on `seed`.
fn fill(memory: NonNull<[u8]>, seed: usize) {
    for at in 0..memory.len() {
        // SAFETY: `memory` was just given to the test, which alone uses it.
        unsafe { memory.cast::<u8>().add(at).write((at ^ seed) as u8) };
    }
}

fn holds(memory: NonNull<[u8]>, length: usize, seed: usize) -> bool {
    // SAFETY: as in `fill`.
    (0..length).all(|at| unsafe { memory.cast::<u8>().add(at).read() } == (at ^ seed) as u8)
}

/// Does not compile if the type has the trait: then two impls fit.
macro_rules! assert_not {
    ($type:ty: $trait:path) => {
        const _: fn() = || {
            trait Ambiguous<A> {
                fn some() {}
            }
            impl<T: ?Sized> Ambiguous<()> for T {}
            impl<T: ?Sized + $trait> Ambiguous<u8> for T {}
            let _ = <$type as Ambiguous<_>>::some;
        };
    };
}

assert_not!(Context<'static, Local>: Sync);
assert_not!(Client<'static, Local>: Send);
assert_not!(Client<'static, Local>: Sync);
assert_not!(Client<'static, Threads>: Sync);

#[test]
fn what_may_move_between_threads_does() {
    fn send<T: Send>() {}
    fn sync<T: Sync>() {}
    send::<Context<'static, Local>>();
    send::<Context<'static, Threads>>();
    sync::<Context<'static, Threads>>();
    send::<Client<'static, Threads>>();
}

#[test]
fn a_context_stays_inside_the_memory_that_it_was_given_and_gives_it_back() {
    let mut memory = vec![MaybeUninit::new(0x5au8); 96 << 10];
    for round in 0..2 {
        let (before, rest) = memory.split_at_mut(16 << 10);
        let (inside, after) = rest.split_at_mut(64 << 10);
        let range = inside.as_ptr_range();
        {
            let context = ContextOptions::new().block_size(1024).over(inside).unwrap();
            assert_eq!(context.total_size(), 64 << 10);
            let client = context.client().unwrap();
            let mut count = 0;
            while let Ok(piece) = client.alloc(bytes(100)) {
                fill(piece, 0);
                assert!(range.contains(&piece.as_ptr().cast_const().cast()));
                count += 1;
            }
            assert!(count > 300, "{count} in round {round}");
            core::mem::forget(client); // it goes with the context
        }
        for edge in [before, after] {
            // SAFETY: set above.
            assert!(edge.iter().all(|byte| unsafe { byte.assume_init() } == 0x5a));
        }
    }
}

#[test]
fn bad_parameters_and_too_little_memory_are_told_apart() {
    for alignment in [1, 4, 24, 8192] {
        assert_eq!(ContextOptions::new().alignment(alignment).map(1 << 20).unwrap_err(), Error::Invalid);
    }
    for block_size in [512, 3000, 2 << 30] {
        assert_eq!(ContextOptions::new().block_size(block_size).map(1 << 20).unwrap_err(), Error::Invalid);
    }
    assert_eq!(Context::map(0).unwrap_err(), Error::NoMemory);
    assert_eq!(Context::map(usize::MAX / 16 * 15).unwrap_err(), Error::NoMemory);
    assert_eq!(Context::over(&mut [MaybeUninit::uninit(); 1500]).unwrap_err(), Error::NoMemory);
    assert_eq!(Context::over(&mut []).unwrap_err(), Error::NoMemory);

    let options = small().flags(Flags::GUARD);
    assert_eq!(options.required_size(usize::MAX), None);
    assert_eq!(ContextOptions::new().alignment(3).required_size(1), None);
    let size = options.required_size(100 << 10).unwrap();
    assert!(options.map(size).unwrap().free_blocks() * 4096 >= 100 << 10);
}

#[test]
fn every_layout_is_kept_by_alloc_zeroed_and_realloc_and_so_is_the_content() {
    for flags in
        [Flags::empty(), Flags::PACKED, Flags::GUARD, Flags::ZERO, Flags::QUARANTINE | Flags::PACKED, Flags::NO_CACHE]
    {
        for alignment in [8, 16, 64] {
            let context = small().alignment(alignment).flags(flags).map(4 << 20).unwrap();
            let client = context.client().unwrap();
            let mut seed = 0;
            for align in (0..=12).map(|log| 1 << log) {
                for size in [0, 1, 15, 16, 17, 100, 1000, 4096, 5000, 20000] {
                    seed += 1;
                    let first = layout(size, align);
                    let memory = client.alloc_zeroed(first).unwrap();
                    assert_eq!((memory.len(), memory.addr().get() % align), (size, 0));
                    // SAFETY: zeroed memory of that size, which is ours.
                    assert!((0..size).all(|at| unsafe { memory.cast::<u8>().add(at).read() } == 0));
                    fill(memory, seed);
                    let mut now = (memory, size);
                    for (next_size, next_align) in [(size * 3 + 1, align), (size / 2, align), (size + 50, 4096), (7, 1)]
                    {
                        // SAFETY: the older pointer is not used any more.
                        let next = unsafe { client.realloc(now.0.cast(), layout(next_size, next_align)) }.unwrap();
                        assert_eq!((next.len(), next.addr().get() % next_align), (next_size, 0), "{flags:?} {first:?}");
                        assert!(client.size_of(next.as_ptr()).is_some_and(|size| size >= next_size));
                        assert!(holds(next, now.1.min(next_size), seed), "{flags:?} {first:?} {next_size}");
                        fill(next, seed);
                        now = (next, next_size);
                    }
                    // SAFETY: nobody uses it any more.
                    unsafe { client.free(now.0.cast()) }.unwrap();
                    let plain = client.alloc(first).unwrap();
                    assert_eq!((plain.len(), plain.addr().get() % align), (size, 0));
                    // SAFETY: as above.
                    unsafe { client.free(plain.cast()) }.unwrap();
                }
            }
            assert_eq!(client.stats().live_count, 0);
            assert_eq!(context.check(), Ok(()));
        }
    }
}

#[test]
fn an_alignment_above_a_block_is_invalid_and_a_size_above_the_context_no_memory() {
    let context = small().map(1 << 20).unwrap();
    let client = context.client().unwrap();
    let memory = client.alloc(bytes(10)).unwrap().cast();
    assert_eq!(client.alloc(layout(1, 8192)), Err(Error::Invalid));
    assert_eq!(client.alloc_zeroed(layout(1, 8192)), Err(Error::Invalid));
    // SAFETY: both calls fail, so the memory stays.
    unsafe {
        assert_eq!(client.realloc(memory, layout(1, 8192)), Err(Error::Invalid));
        assert_eq!(client.realloc(memory, bytes(isize::MAX as usize)), Err(Error::NoMemory));
    }
    assert_eq!(client.alloc(bytes(isize::MAX as usize)), Err(Error::NoMemory));
    assert_eq!(client.last_error(), Some(Error::NoMemory));
    assert!(client.owns(memory.as_ptr()));
}

#[test]
fn wrong_addresses_are_refused_with_the_reason_and_change_nothing() {
    let context = small().map(1 << 20).unwrap();
    let (client, other) = (context.client().unwrap(), context.client().unwrap());
    let mine = client.alloc(bytes(100)).unwrap().cast::<u8>();
    let foreign = other.alloc(bytes(100)).unwrap().cast::<u8>();
    let stack = NonNull::from(&mine).cast::<u8>();
    let interior = mine.map_addr(|at| at.checked_add(16).unwrap());
    let high = NonNull::new(core::ptr::without_provenance_mut(usize::MAX)).unwrap();
    let before = context.stats();
    for align in [1, 4096] {
        for (address, error) in
            [(foreign, Error::NotOwned), (stack, Error::NotOwned), (high, Error::NotOwned), (interior, Error::NotStart)]
        {
            // SAFETY: none of them is the start of an allocation of this client.
            unsafe {
                assert_eq!(client.free(address), Err(error));
                assert_eq!(client.realloc(address, layout(50, align)), Err(error));
            }
            assert_eq!(client.last_error(), Some(error));
        }
    }
    assert_eq!(context.stats(), before);
    // SAFETY: nobody uses it any more; afterwards it is no allocation.
    unsafe {
        assert_eq!(client.free(mine), Ok(()));
        assert_eq!(client.free(mine), Err(Error::DoubleFree));
        assert_eq!(client.realloc(mine, bytes(1)), Err(Error::DoubleFree));
        assert_eq!(client.realloc(mine, layout(1, 4096)), Err(Error::DoubleFree));
    }
    assert!(!client.owns(mine.as_ptr()) && other.owns(foreign.as_ptr()));
    assert_eq!(context.find_client(foreign.as_ptr().wrapping_add(99)), Some(other.id()));
    assert_eq!(context.find_client(mine.as_ptr()), None);
    assert_eq!(other.find(foreign.as_ptr().wrapping_add(9)), Some(Allocation { start: foreign, size: 128 }));
    assert_eq!(other.size_of(foreign.as_ptr().wrapping_add(9)), None);
}

#[test]
fn red_zones_and_quarantine_tell_through_results_and_the_error_handler() {
    type Told = (Error, Option<ClientId>, usize, Option<usize>);
    let seen: Mutex<Vec<Told>> = Mutex::default();
    let tell = |misuse: &Misuse| {
        let allocation = misuse.allocation.map(|allocation| allocation.size);
        seen.lock().unwrap().push((misuse.error, misuse.client, misuse.address.addr(), allocation));
    };
    let mut context = small().flags(Flags::GUARD | Flags::QUARANTINE).map(1 << 20).unwrap();
    context.set_error_handler(&tell);
    let client = context.client().unwrap();
    let id = Some(client.id());
    let memory = client.alloc(bytes(100)).unwrap().cast::<u8>();
    let behind = memory.addr().get() + 100;
    // SAFETY: the byte behind is the library's red zone, in the same memory: what a faulty guest would write.
    unsafe {
        memory.as_ptr().add(100).write_volatile(1);
        assert_eq!(client.check(), Err(Error::Overrun));
        assert_eq!(client.free(memory), Err(Error::Overrun));
    }
    let freed = client.alloc(bytes(50)).unwrap().cast::<u8>();
    // SAFETY: nobody uses it but the faulty guest that this test plays.
    unsafe {
        client.free(freed).unwrap();
        freed.as_ptr().add(3).write_volatile(1);
    }
    assert_eq!(context.check(), Err(Error::UseAfterFree));
    let at = freed.addr().get() + 3;
    assert_eq!(
        *seen.lock().unwrap(),
        [
            (Error::Overrun, id, behind, Some(100)),
            (Error::Overrun, id, behind, Some(100)),
            (Error::UseAfterFree, id, at, None),
        ]
    );
}

#[test]
fn dropping_or_resetting_a_client_gives_all_of_it_back() {
    let context = small().map(1 << 20).unwrap();
    let free = context.free_blocks();
    for _ in 0..10 {
        let mut client = context.client().unwrap();
        client.set_name("kept").unwrap();
        client.set_limit(512 << 10).unwrap();
        for _ in 0..2 {
            while client.alloc(bytes(300)).is_ok() {}
            assert_eq!(client.held_size(), 512 << 10);
            assert_eq!(client.last_error(), Some(Error::Limit));
            client.reset().unwrap();
            assert_eq!((client.held_size(), client.peak_held_size(), client.last_error()), (0, 0, None));
            assert_eq!((&*client.name(), client.limit()), ("kept", 512 << 10));
        }
        client.alloc(bytes(300)).unwrap();
        drop(client);
        assert_eq!((context.free_blocks(), context.client_count()), (free, 0));
    }
}

#[test]
fn limits_and_guarantees_are_kept_and_told() {
    let context = small().map(1 << 20).unwrap();
    let (client, other) = (context.client().unwrap(), context.client().unwrap());
    client.set_guarantee(100 << 10).unwrap();
    assert_eq!(client.set_limit(50 << 10), Err(Error::Invalid));
    client.set_limit(100 << 10).unwrap();
    assert_eq!(client.set_guarantee(200 << 10), Err(Error::Invalid));
    assert_eq!(other.set_guarantee(1 << 20), Err(Error::NoMemory));
    while other.alloc(bytes(4096)).is_ok() {}
    assert_eq!((other.last_error(), other.max_alloc()), (Some(Error::NoMemory), 0));
    for _ in 0..25 {
        assert!(client.max_alloc() >= 4096);
        client.alloc(bytes(4096)).unwrap();
    }
    assert_eq!(client.alloc(bytes(4096)), Err(Error::Limit));
    assert_eq!((client.guarantee(), client.limit(), client.max_alloc()), (100 << 10, 100 << 10, 0));
}

#[test]
fn the_out_of_memory_handler_is_asked_with_reason_and_size_and_may_help() {
    let asked = RefCell::new(Vec::new());
    let context = small().map(256 << 10).unwrap();
    let spare: RefCell<Option<Client<'_>>> = RefCell::default();
    let handler = |client: &Client<'_>, size: usize, reason: Error| {
        asked.borrow_mut().push((client.id(), size, reason));
        // An allocation in here fails without a further question.
        assert!(client.alloc(bytes(200 << 10)).is_err());
        if reason == Error::Limit { client.set_limit(0).is_ok() } else { spare.take().is_some() }
    };
    let client = context.client().unwrap();
    client.set_limit(8 << 10).unwrap();
    client.set_oom_handler(&handler).unwrap();
    *spare.borrow_mut() = Some(context.client().unwrap());
    let id = client.id();

    spare.borrow().as_ref().unwrap().alloc(bytes(128 << 10)).unwrap();
    assert!(client.alloc(bytes(100 << 10)).is_ok());
    assert_eq!(*asked.borrow(), [(id, 100 << 10, Error::Limit)]);
    asked.borrow_mut().clear();

    assert!(client.alloc(bytes(90 << 10)).is_ok(), "the other client's memory serves");
    assert_eq!(*asked.borrow(), [(id, 90 << 10, Error::NoMemory)]);
    assert_eq!(context.client_count(), 1);
    asked.borrow_mut().clear();

    assert_eq!(client.alloc(bytes(90 << 10)), Err(Error::NoMemory));
    assert_eq!(asked.borrow().len(), 1);
    client.remove_oom_handler().unwrap();
    assert_eq!(client.alloc(bytes(90 << 10)), Err(Error::NoMemory));
    assert_eq!(asked.borrow().len(), 1);
}

#[test]
fn closures_of_a_walk_may_ask_but_not_change() {
    let context = small().map(1 << 20).unwrap();
    let (client, other) = (context.client().unwrap(), context.client().unwrap());
    let mut made: Vec<NonNull<u8>> = (1..50).map(|n| client.alloc(bytes(n * 20)).unwrap().cast()).collect();
    made.sort();
    let mut seen = Vec::new();
    let all = client.walk(|allocation| {
        assert_eq!(client.alloc(bytes(1)), Err(Error::Busy));
        assert_eq!(client.alloc(layout(1, 8192)), Err(Error::Busy));
        assert_eq!(client.alloc_zeroed(bytes(1)), Err(Error::Busy));
        // SAFETY: refused, so the allocation stays.
        unsafe {
            assert_eq!(client.free(allocation.start), Err(Error::Busy));
            assert_eq!(client.realloc(allocation.start, bytes(1)), Err(Error::Busy));
            assert_eq!(client.realloc(allocation.start, layout(1, 4096)), Err(Error::Busy));
        }
        assert_eq!(client.set_limit(1), Err(Error::Busy));
        assert_eq!(client.set_guarantee(1), Err(Error::Busy));
        assert_eq!(client.set_name("x"), Err(Error::Busy));
        assert_eq!(client.remove_oom_handler(), Err(Error::Busy));
        assert_eq!(client.trim(), Err(Error::Busy));
        assert_eq!(context.trim(), Err(Error::Busy));
        assert!(other.alloc(bytes(1)).is_ok() && context.client().is_ok());
        assert_eq!(client.size_of(allocation.start.as_ptr()), Some(allocation.size));
        assert!(client.stats().live_count == made.len() && client.check().is_ok());
        seen.push(allocation.start);
        ControlFlow::<()>::Continue(())
    });
    assert_eq!((all, seen), (ControlFlow::Continue(()), made));

    let spare = Cell::new(Some(context.client().unwrap()));
    let mut ids = Vec::new();
    let stopped = context.walk_clients(|each| {
        assert_eq!(each.alloc(bytes(1)), Err(Error::Busy));
        assert_eq!(context.client().map(drop), Err(Error::Busy));
        drop(spare.take()); // not now: it goes with the context
        ids.push(each.id());
        if ids.len() == 2 { ControlFlow::Break("two") } else { ControlFlow::Continue(()) }
    });
    assert_eq!((stopped, ids), (ControlFlow::Break("two"), vec![client.id(), other.id()]));
    assert_eq!(context.client_count(), 3);
    assert_eq!(context.check(), Ok(()));
}

#[test]
fn dumps_are_text_whatever_the_names_and_end_when_the_writer_fails() {
    struct Full(usize);
    impl core::fmt::Write for Full {
        fn write_str(&mut self, text: &str) -> core::fmt::Result {
            self.0 = self.0.checked_sub(text.len()).ok_or(core::fmt::Error)?;
            Ok(())
        }
    }
    let context = small().map(1 << 20).unwrap();
    // Names of characters of all lengths, so that pieces of a dump end everywhere inside of one.
    let names: Vec<String> = (0..60).map(|n| format!("{}{}", "é€😀".repeat(3), "a".repeat(n % 5))).collect();
    let clients: Vec<_> = names.iter().map(|_| context.client().unwrap()).collect();
    for (client, name) in clients.iter().zip(&names) {
        client.set_name(name).unwrap();
        client.alloc(bytes(10)).unwrap();
        assert_eq!(&*client.name(), name);
    }
    for format in [DumpFormat::Text, DumpFormat::Json, DumpFormat::Svg] {
        let mut text = String::new();
        context.dump(format, &mut text).unwrap();
        assert!(!text.contains('\u{fffd}'), "{format:?}");
        assert!(text.matches("é€😀").count() >= 3 * 20, "{format:?}: {text}");
        assert!(context.dump(format, &mut Full(text.len())).is_ok());
        assert!(context.dump(format, &mut Full(text.len() - 1)).is_err());
        assert!(context.dump(format, &mut Full(0)).is_err());
    }
}

#[test]
fn names_are_cut_between_characters_and_what_c_code_sets_cannot_break_them() {
    let context = small().map(1 << 20).unwrap();
    let client = context.client().unwrap();
    client.set_name("0123456789012345678901234567€😀").unwrap();
    assert_eq!(client.name().to_string(), "0123456789012345678901234567€");
    client.set_name("a\0b").unwrap();
    assert_eq!(&*client.name(), "a");
    // SAFETY: a live handle and a string.
    assert_eq!(unsafe { ffi::vmma_set_name(client.as_ptr(), c"ok\xff\xfe".as_ptr()) }, 0);
    assert_eq!(&*client.name(), "ok");
    assert_eq!(format!("{client:?}"), "Client { name: \"ok\", held_size: 0, limit: 0, guarantee: 0, .. }");
}

#[test]
fn errors_have_the_numbers_and_the_words_of_the_c_interface() {
    let all = [
        (Error::Invalid, ffi::vmma_status::VMMA_E_INVALID),
        (Error::NoMemory, ffi::vmma_status::VMMA_E_NO_MEMORY),
        (Error::Limit, ffi::vmma_status::VMMA_E_LIMIT),
        (Error::NotOwned, ffi::vmma_status::VMMA_E_NOT_OWNED),
        (Error::NotStart, ffi::vmma_status::VMMA_E_NOT_START),
        (Error::DoubleFree, ffi::vmma_status::VMMA_E_DOUBLE_FREE),
        (Error::Overrun, ffi::vmma_status::VMMA_E_OVERRUN),
        (Error::UseAfterFree, ffi::vmma_status::VMMA_E_USE_AFTER_FREE),
        (Error::Corrupt, ffi::vmma_status::VMMA_E_CORRUPT),
        (Error::Busy, ffi::vmma_status::VMMA_E_BUSY),
    ];
    for (error, status) in all {
        assert_eq!(error as i32, status as i32);
        // SAFETY: any number may be asked; the text is static.
        let text = unsafe { core::ffi::CStr::from_ptr(ffi::vmma_status_string(status as i32)) };
        assert_eq!(error.to_string(), text.to_str().unwrap());
    }
    assert_eq!(Flags::all().bits(), 0x3ff);
}

#[test]
fn clients_of_a_threaded_context_work_at_the_same_time_on_threads_of_their_own() {
    let asked = AtomicUsize::new(0);
    let handler = |client: &Client<'_, Threads>, _: usize, _: Error| {
        asked.fetch_add(1, Relaxed);
        client.set_limit(0).is_ok()
    };
    let mut context = small().threads().map(32 << 20).unwrap();
    let free = context.free_blocks();
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let client = context.client().unwrap();
            let (context, handler) = (&context, &handler);
            scope.spawn(move || {
                // A client that comes from another thread, and clients that this thread makes and drops.
                client.set_limit(64 << 10).unwrap();
                client.set_oom_handler(handler).unwrap();
                let mut live: Vec<NonNull<[u8]>> = Vec::new();
                for step in 0..3000usize {
                    let other = (step % 64 == 0).then(|| context.client().unwrap());
                    let memory = client.alloc(layout(1 + step * 7 % 900, 1 << (step % 8))).unwrap();
                    fill(memory, thread + step);
                    live.push(memory);
                    if let Some(other) = other {
                        other.alloc(bytes(5000)).unwrap();
                        // SAFETY: not an allocation of that client: refused.
                        assert_eq!(unsafe { other.free(memory.cast()) }, Err(Error::NotOwned));
                    }
                    if step >= 1000 {
                        let memory = live[step - 1000];
                        assert!(holds(memory, memory.len(), thread + step - 1000));
                        // SAFETY: nobody uses it any more.
                        unsafe { client.free(memory.cast()) }.unwrap();
                    }
                }
                assert_eq!((client.stats().live_count, client.check()), (1000, Ok(())));
            });
        }
    });
    assert_eq!(asked.load(Relaxed), 4);
    assert_eq!((context.alone().check(), context.client_count()), (Ok(()), 0));
    // Blocks that were filled with client slots stay what they are.
    assert!(free - context.free_blocks() <= 1);
}

#[test]
fn a_panic_in_a_closure_of_a_walk_ends_the_process() {
    use std::os::unix::process::ExitStatusExt;
    const CHILD: &str = "VMMA_TEST_PANIC_IN_WALK";
    if std::env::var_os(CHILD).is_some() {
        let context = small().map(1 << 20).unwrap();
        let client = context.client().unwrap();
        client.alloc(bytes(1)).unwrap();
        let _ = client.walk(|_| -> ControlFlow<()> { panic!("from the closure") });
        return; // the parent sees that we got here
    }
    let child = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "a_panic_in_a_closure_of_a_walk_ends_the_process", "--nocapture"])
        .env(CHILD, "1")
        .output()
        .unwrap();
    assert_eq!(child.status.signal(), Some(6), "{child:?}");
    assert!(String::from_utf8_lossy(&child.stderr).contains("from the closure"));
}
