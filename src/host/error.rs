//! Why a call failed.
//! May know: status.

use crate::layout;
use crate::status::{self, Status};
use core::ffi::c_int;
use core::fmt;

/// Why a call failed. The numbers are those of `enum vmma_status`.
///
/// ```
/// use vmma::{Context, Error};
///
/// assert_eq!(Context::map(100).unwrap_err(), Error::NoMemory);
/// assert_eq!(Error::DoubleFree as i32, vmma::ffi::vmma_status::VMMA_E_DOUBLE_FREE as i32);
/// println!("{}", Error::Limit);
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
#[repr(i32)]
pub enum Error {
    /// A bad parameter.
    Invalid = -1,
    /// The context is exhausted, or too small.
    NoMemory = -2,
    /// The client's own limit is reached.
    Limit = -3,
    /// The address is not in a block of this client.
    NotOwned = -4,
    /// Inside a live allocation of this client, or in a block of its and misaligned.
    NotStart = -5,
    /// In a block of this client, but inside no live allocation: freed already.
    DoubleFree = -6,
    /// The red zone behind an allocation was written.
    Overrun = -7,
    /// Quarantined memory was written.
    UseAfterFree = -8,
    /// The library's own records do not add up.
    Corrupt = -9,
    /// Called from inside a closure that may only ask.
    Busy = -10,
}

impl Error {
    /// What a status of the core says; None for success.
    pub(super) fn from_code(code: c_int) -> Option<Error> {
        Some(match code {
            0 => return None,
            -2 => Error::NoMemory,
            -3 => Error::Limit,
            -4 => Error::NotOwned,
            -5 => Error::NotStart,
            -6 => Error::DoubleFree,
            -7 => Error::Overrun,
            -8 => Error::UseAfterFree,
            -9 => Error::Corrupt,
            -10 => Error::Busy,
            _ => Error::Invalid,
        })
    }

    /// Does it say that the program did something wrong, and not that something ran out or came at a wrong time?
    ///
    /// ```
    /// assert!(vmma::Error::DoubleFree.is_misuse());
    /// assert!(!vmma::Error::Limit.is_misuse());
    /// ```
    pub fn is_misuse(self) -> bool {
        !matches!(self, Error::NoMemory | Error::Limit | Error::Busy)
    }
}

/// The core's answer as a result.
pub(super) fn outcome(code: c_int) -> Result<(), Error> {
    Error::from_code(code).map_or(Ok(()), Err)
}

impl From<Status> for Error {
    fn from(status: Status) -> Error {
        Error::from_code(status.code()).unwrap_or(Error::Invalid)
    }
}

impl From<layout::Error> for Error {
    fn from(error: layout::Error) -> Error {
        if error == layout::Error::Invalid { Error::Invalid } else { Error::NoMemory }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(str::from_utf8(status::words(*self as c_int)).unwrap_or_default())
    }
}

impl core::error::Error for Error {}
