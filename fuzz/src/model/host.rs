//! The host's callbacks: what they saw, and what they do inside the library.
//!
//! They only call the library and keep a log; the model catches up when the call has returned.
//! May know: the C functions.

use std::cell::{Cell, RefCell};
use std::ffi::{c_int, c_void};
use std::ptr;
use vmma::ffi::*;

pub const OK: i32 = 0;
pub const INVALID: i32 = -1;
pub const NO_MEMORY: i32 = -2;
pub const LIMIT: i32 = -3;
pub const NOT_OWNED: i32 = -4;
pub const NOT_START: i32 = -5;
pub const DOUBLE_FREE: i32 = -6;
pub const OVERRUN: i32 = -7;
pub const USE_AFTER_FREE: i32 = -8;
pub const BUSY: i32 = -10;

pub type Client = *mut vmma_client_t;
pub type Context = *mut vmma_context_t;

/// One call of the error handler.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Event {
    pub status: i32,
    pub client: usize,
    pub address: usize,
    pub allocation: usize,
    pub size: usize,
}

#[derive(Default)]
pub struct Events {
    pub list: RefCell<Vec<Event>>,
    /// Does the handler try what it may not?
    pub provokes: Cell<bool>,
}

pub unsafe extern "C" fn on_error(context: Context, error: *const vmma_error_t, user: *mut c_void) {
    // SAFETY: `user` is the Events of the context, which outlives it; the library gives a valid error.
    let (events, error) = unsafe { (&*user.cast::<Events>(), &*error) };
    assert_eq!(error.struct_size, size_of::<vmma_error_t>());
    events.list.borrow_mut().push(Event {
        status: error.status,
        client: error.client.addr(),
        address: error.address.addr(),
        allocation: error.allocation.addr(),
        size: error.size,
    });
    if !events.provokes.get() {
        return;
    }
    let before = errno();
    // SAFETY: live handles; the library must refuse the rest.
    unsafe {
        assert_eq!(vmma_delete_context(context), BUSY);
        assert_eq!(vmma_trim_context(context), BUSY);
        if !error.client.is_null() {
            // Asking is allowed.
            let _ = vmma_get_max_alloc(error.client);
            assert_eq!(vmma_test_address(error.client, ptr::null()), 0);
            refuses_changes(error.client, error.allocation);
        }
    }
    set_errno(before);
}

/// Everything that changes a client is BUSY.
///
/// # Safety
/// A live handle.
pub unsafe fn refuses_changes(client: Client, allocation: *mut c_void) {
    // SAFETY: the caller's promise; pointers may be anything.
    unsafe {
        assert_eq!(vmma_free(client, allocation), BUSY);
        assert_eq!(vmma_free(client, ptr::null_mut()), BUSY);
        assert!(vmma_alloc(client, 8).is_null());
        assert_eq!(errno(), libc::EBUSY);
        assert!(vmma_calloc(client, 1, 8).is_null());
        assert!(vmma_realloc(client, allocation, 8).is_null());
        assert!(vmma_aligned_alloc(client, 64, 8).is_null());
        assert_eq!(vmma_delete_client(client), BUSY);
        assert_eq!(vmma_reset_client(client), BUSY);
        assert_eq!(vmma_trim_client(client), BUSY);
        assert_eq!(vmma_set_limit(client, 1), BUSY);
        assert_eq!(vmma_set_guarantee(client, 1), BUSY);
    }
}

/// What the out-of-memory handler did.
#[derive(Clone, Copy, Debug)]
pub enum Step {
    Freed { client: Client, pointer: *mut c_void },
    Allocated { pointer: *mut c_void, size: usize },
    Failed { size: usize },
    Unlimited,
    Deleted { client: Client },
    Refused,
}

/// How many things an out-of-memory handler can do.
pub const MODES: u8 = 8;

pub struct Oom {
    pub mode: Cell<u8>,
    pub calls: Cell<u32>,
    /// Live allocations that it may free.
    pub victims: RefCell<Vec<(Client, *mut c_void)>>,
    /// Another client that it may delete.
    pub other: Cell<Client>,
    pub log: RefCell<Vec<Step>>,
}

impl Default for Oom {
    fn default() -> Oom {
        Oom {
            mode: Cell::new(0),
            calls: Cell::new(0),
            victims: RefCell::default(),
            other: Cell::new(ptr::null_mut()),
            log: RefCell::default(),
        }
    }
}

pub unsafe extern "C" fn on_oom(client: Client, size: usize, reason: c_int, user: *mut c_void) -> c_int {
    // SAFETY: `user` is the Oom of the client, which outlives it.
    let oom = unsafe { &*user.cast::<Oom>() };
    oom.calls.set(oom.calls.get() + 1);
    assert!(oom.calls.get() < 100, "the handler is called without end");
    assert!(reason == LIMIT || reason == NO_MEMORY, "reason {reason}");
    assert!(size > 0);
    let log = |step: Step| oom.log.borrow_mut().push(step);
    let free_one = || {
        let victim = oom.victims.borrow_mut().pop();
        let Some((owner, pointer)) = victim else { return 0 };
        // SAFETY: a live allocation of a live client.
        assert_eq!(unsafe { vmma_free(owner, pointer) }, OK);
        log(Step::Freed { client: owner, pointer });
        1
    };
    let allocate = |size: usize| {
        let calls = oom.calls.get();
        // SAFETY: a live handle.
        let pointer = unsafe { vmma_alloc(client, size) };
        assert_eq!(oom.calls.get(), calls, "the handler is called from inside itself");
        log(if pointer.is_null() { Step::Failed { size } } else { Step::Allocated { pointer, size } });
    };
    match oom.mode.get() {
        0 => 0,
        1 => 1,
        2 => free_one(),
        3 => {
            // SAFETY: a live handle.
            assert_eq!(unsafe { vmma_trim_client(client) }, OK);
            1
        }
        4 => {
            // SAFETY: a live handle.
            assert_eq!(unsafe { vmma_set_limit(client, 0) }, OK);
            log(Step::Unlimited);
            1
        }
        5 => {
            let other = oom.other.replace(ptr::null_mut());
            if other.is_null() {
                return 0;
            }
            // SAFETY: a live handle of another client.
            assert_eq!(unsafe { vmma_delete_client(other) }, OK);
            log(Step::Deleted { client: other });
            1
        }
        6 => {
            // SAFETY: a live handle; the library must refuse.
            unsafe {
                assert_eq!(vmma_delete_client(client), BUSY);
                assert_eq!(vmma_reset_client(client), BUSY);
                assert_eq!(vmma_delete_context(vmma_get_context(client)), BUSY);
            }
            log(Step::Refused);
            allocate(16);
            0
        }
        _ => {
            allocate(size.min(1 << 12));
            free_one()
        }
    }
}

pub fn errno() -> i32 {
    // SAFETY: the thread's own errno.
    unsafe { *libc::__errno_location() }
}

pub fn set_errno(value: i32) {
    // SAFETY: the thread's own errno.
    unsafe { *libc::__errno_location() = value }
}
