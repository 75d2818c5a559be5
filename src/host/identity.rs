//! Which client it was, and how it was called: what outlives the client itself.
//! May know: the core's client.

use crate::client::{self, NAME_SIZE, visible};
use core::ffi::c_void;
use core::fmt;
use core::ops::Deref;

/// Which client: to compare. It may come again once that client is dropped.
///
/// ```
/// let context = vmma::Context::map(1 << 20)?;
/// let client = context.client()?;
/// assert_eq!(client.id(), client.id());
/// # Ok::<(), vmma::Error>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct ClientId(usize);

impl ClientId {
    pub(super) fn of(client: &client::Client) -> ClientId {
        ClientId(client.address())
    }

    /// The same from a handle of the core's, which may be NULL.
    pub(super) fn at(handle: *mut c_void) -> Option<ClientId> {
        (!handle.is_null()).then(|| ClientId(handle.addr()))
    }
}

/// A client's name, as it was when it was asked for.
///
/// ```
/// let context = vmma::Context::map(1 << 20)?;
/// let client = context.client()?;
/// client.set_name("lua")?;
/// assert_eq!(client.name().to_string(), "lua");
/// # Ok::<(), vmma::Error>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Name(pub(super) [u8; NAME_SIZE]);

impl Deref for Name {
    type Target = str;

    /// What of it is UTF-8: all, unless C code gave the name.
    fn deref(&self) -> &str {
        visible(&self.0).utf8_chunks().next().map_or("", |chunk| chunk.valid())
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&**self, f)
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&**self, f)
    }
}
