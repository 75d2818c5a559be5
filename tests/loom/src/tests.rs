//! The lock keeps threads apart, lets each see what the one before wrote, and forgets nobody who sleeps; and the model
//! would notice if it did not.

use crate::sys;
use loom::cell::UnsafeCell;
use loom::sync::Arc;
use loom::thread;

/// The lock, or a copy with a fault, and a counter under it.
macro_rules! copy {
    ($name:ident) => {
        #[allow(dead_code)] // not every copy is used in every way
        mod $name {
            #[allow(unused_imports)]
            mod lock {
                include!(concat!(env!("OUT_DIR"), "/", stringify!($name), ".rs"));
            }
            pub use lock::Lock;
        }
    };
}

/// `threads` threads add `times` times each; the sum must be right in every order.
macro_rules! add {
    ($copy:ident, $threads:expr, $times:expr, $preemptions:expr) => {{
        let mut model = loom::model::Builder::new();
        model.preemption_bound = $preemptions;
        model.check(|| {
            let shared = Arc::new(($copy::Lock::new(), UnsafeCell::new(0usize)));
            let add = |shared: &($copy::Lock, UnsafeCell<usize>)| {
                for _ in 0..$times {
                    let _guard = shared.0.when(true);
                    // SAFETY: the lock is held; that this is enough is what loom is to find out.
                    shared.1.with_mut(|sum| unsafe { *sum += 1 });
                }
            };
            let others: Vec<_> = (1..$threads)
                .map(|_| {
                    let shared = Arc::clone(&shared);
                    thread::spawn(move || add(&shared))
                })
                .collect();
            add(&shared);
            for other in others {
                other.join().expect("a thread of the model ends");
            }
            let _guard = shared.0.when(true);
            // SAFETY: as above.
            shared.1.with(|sum| assert_eq!(unsafe { *sum }, $threads * $times));
        });
    }};
}

copy!(lock);

#[test]
fn two_threads_are_kept_apart_and_nobody_sleeps_for_ever() {
    add!(lock, 2, 2, None);
}

#[test]
fn three_threads_are_kept_apart_and_nobody_sleeps_for_ever() {
    add!(lock, 3, 1, Some(3));
}

#[test]
fn a_wait_that_returns_early_does_no_harm() {
    sys::EARLY.with(|early| early.set(true));
    add!(lock, 2, 1, Some(3));
}

/// A client's lock and then the context's, as every call does that takes both.
#[test]
fn two_locks_in_one_order_do_not_block_each_other() {
    loom::model(|| {
        let shared = Arc::new((lock::Lock::new(), lock::Lock::new(), lock::Lock::new(), UnsafeCell::new(0usize)));
        let work = |shared: &(lock::Lock, lock::Lock, lock::Lock, UnsafeCell<usize>), client: usize| {
            let _client = if client == 0 { shared.0.when(true) } else { shared.1.when(true) };
            let _context = shared.2.when(true);
            // SAFETY: the context's lock is held.
            shared.3.with_mut(|blocks| unsafe { *blocks += 1 });
        };
        let other = {
            let shared = Arc::clone(&shared);
            thread::spawn(move || work(&shared, 1))
        };
        work(&shared, 0);
        other.join().expect("a thread of the model ends");
    });
}

#[test]
fn a_guard_of_nothing_takes_nothing() {
    loom::model(|| {
        let lock = lock::Lock::new();
        let _nothing = lock.when(false);
        let _something = lock.when(true); // would sleep for ever otherwise
        let _nothing_again = lock.when(false);
    });
}

/// A copy with a fault. Its model runs in a process of its own: a deadlock ends that, in the midst of guards.
macro_rules! faulty {
    ($name:ident) => {
        mod $name {
            use super::*;
            copy!($name);
            #[test]
            #[ignore = "run by every_fault_is_found, and has to fail"]
            fn model() {
                add!($name, 2, 2, None);
            }
        }
    };
}

faulty!(takes_without_acquire);
faulty!(wakes_without_acquire);
faulty!(gives_without_release);
faulty!(never_wakes);
faulty!(forgets_who_sleeps);
faulty!(takes_without_looking);

/// Faults, and how loom says it: else the model proves nothing.
#[test]
fn every_fault_is_found() {
    const RACE: &str = "Causality violation";
    const ASLEEP: &str = "deadlock";
    let faults = [
        ("takes_without_acquire", RACE),
        ("wakes_without_acquire", RACE),
        ("gives_without_release", RACE),
        ("never_wakes", ASLEEP),
        ("forgets_who_sleeps", ASLEEP),
        ("takes_without_looking", RACE),
    ];
    for (name, says) in faults {
        let this = std::env::current_exe().expect("the test knows itself");
        let run = std::process::Command::new(this)
            .args(["--ignored", "--nocapture", "--exact", &format!("tests::{name}::model")])
            .output()
            .expect("it can be run");
        let text = String::from_utf8_lossy(&run.stdout).into_owned() + &String::from_utf8_lossy(&run.stderr);
        assert!(text.contains("running 1 test"), "{name} is there:\n{text}");
        assert!(!run.status.success() && text.contains(says), "{name} has to be found, as a {says}:\n{text}");
    }
}
