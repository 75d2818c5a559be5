//! Misuse is told: to the host's error handler, and with ABORT to stderr, before the process ends.
//! May know: callbacks, text, sys.

use super::Context;
use super::callbacks::Kind;
use crate::flags;
use crate::mix::mix;
use crate::status::{Status, words};
use crate::sys;
use crate::text::{Line, Sink, character, is_odd, next_character, say};
use core::ffi::{c_int, c_void};

/// What the error handler is told. The same layout as vmma_error_t.
#[repr(C)]
pub struct Report {
    pub struct_size: usize,
    pub status: c_int,
    pub client: *mut c_void,
    pub address: *const c_void,
    pub allocation: *mut c_void,
    pub size: usize,
}

pub type ErrorFn = unsafe extern "C" fn(context: *mut c_void, report: *const Report, user: *mut c_void);

/// One misuse: on which client (0: unknown), with which address, about which allocation.
#[derive(Clone, Copy)]
pub struct Misuse<'a> {
    pub status: Status,
    pub client: *const u8,
    pub name: &'a [u8],
    pub address: usize,
    pub allocation: usize,
    pub size: usize,
}

impl Context {
    pub fn set_error_handler(&self, handler: Option<ErrorFn>, user: *mut c_void) {
        self.error_handler.set(handler);
        self.error_user.set(user);
        self.handler_checksum.set(self.error_handler_checksum());
    }

    /// Are the error handler and its user pointer those that were set?
    pub(super) fn handler_matches(&self) -> bool {
        self.handler_checksum.get() == self.error_handler_checksum()
    }

    pub(super) fn error_handler_checksum(&self) -> u64 {
        let handler = self.error_handler.get().map_or(0, |f| f as usize);
        mix(mix(1, handler as u64), self.error_user.get().addr() as u64)
    }

    /// Tells of a misuse: nobody, if it happened inside the error handler.
    #[cold]
    #[inline(never)]
    pub fn report(&self, misuse: &Misuse<'_>) {
        if self.in_error_handler() {
            return;
        }
        // A handler that a wild write has changed is not called.
        if let Some(handler) = self.error_handler.get()
            && self.handler_matches()
        {
            let report = Report {
                struct_size: size_of::<Report>(),
                status: misuse.status.code(),
                client: misuse.client.cast_mut().cast(),
                address: self.map.memory().with_addr(misuse.address).cast(),
                allocation: if misuse.allocation == 0 {
                    core::ptr::null_mut()
                } else {
                    self.map.memory().with_addr(misuse.allocation).cast()
                },
                size: misuse.size,
            };
            // A misuse of the context itself concerns all clients.
            self.in_callback(Kind::Error, misuse.client.addr(), || {
                // SAFETY: the host promised a function of this type; the report lives until it returns.
                unsafe {
                    handler(core::ptr::from_ref(self).cast_mut().cast(), &raw const report, self.error_user.get())
                }
            });
        }
        // Flags that a wild write has changed do not end the process.
        if self.has(flags::ABORT) && self.checksum_matches() {
            let mut line = Line::<256>::new();
            line.put(b"libvmma: ");
            line.put(words(misuse.status.code()));
            line.put(b": client \"");
            let mut name = misuse.name;
            while let Some(c) = next_character(&mut name) {
                character(&mut line, if is_odd(c) { '?' } else { c });
            }
            say(&mut line, "\", address `", &[misuse.address]);
            if misuse.allocation != 0 {
                say(&mut line, ", allocation ` of ~ bytes", &[misuse.allocation, misuse.size]);
            }
            line.put(b"\n");
            sys::write_stderr(line.text());
            sys::abort();
        }
    }
}
