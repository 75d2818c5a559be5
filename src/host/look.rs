//! What calls tell: allocations, figures, misuse, dumps.
//! May know: context, inspect.

use super::error::Error;
use super::identity::ClientId;
use super::no_unwinding;
use crate::context::{Context, report::Report};
use crate::inspect;
use core::fmt;
use core::ptr::NonNull;

/// One live allocation. See [`Client::walk`](super::Client::walk) and [`Client::find`](super::Client::find).
///
/// ```
/// let context = vmma::Context::map(1 << 20)?;
/// let client = context.client()?;
/// let memory = client.alloc(core::alloc::Layout::new::<u64>())?.cast();
/// assert_eq!(client.find(memory.as_ptr()), Some(vmma::host::Allocation { start: memory, size: 16 }));
/// # Ok::<(), vmma::Error>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Allocation {
    /// Where it begins.
    pub start: NonNull<u8>,
    /// All bytes that may be used, at least those that were asked for.
    pub size: usize,
}

impl Allocation {
    pub(super) fn new(start: *mut u8, size: usize) -> Option<Allocation> {
        NonNull::new(start).map(|start| Allocation { start, size })
    }
}

/// Figures of a client or a whole context. See [`Client::stats`](super::Client::stats).
///
/// ```
/// let context = vmma::Context::map(1 << 20)?;
/// let vmma::Stats { live_count, failed_count, .. } = context.stats();
/// assert_eq!((live_count, failed_count), (0, 0));
/// # Ok::<(), vmma::Error>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
#[non_exhaustive]
pub struct Stats {
    /// Bytes held, in whole blocks.
    pub held_size: usize,
    /// Allocations.
    pub live_count: usize,
    /// Their bytes.
    pub live_size: usize,
    /// Freed and kept for the next request of its size, or in quarantine.
    pub cached_size: usize,
    /// Held blocks with nothing live in them.
    pub cached_blocks: usize,
    /// Free inside held blocks; `cached_size` is not counted.
    pub free_size: usize,
    /// The largest allocation that the held blocks could serve.
    pub largest_free: usize,
    /// The library's own records for it.
    pub overhead_size: usize,
    /// Allocations that failed.
    pub failed_count: usize,
    /// The biggest request among those.
    pub largest_failed: usize,
}

impl From<inspect::stats::Stats> for Stats {
    fn from(stats: inspect::stats::Stats) -> Stats {
        Stats {
            held_size: stats.held_size,
            live_count: stats.live_count,
            live_size: stats.live_size,
            cached_size: stats.cached_size,
            cached_blocks: stats.cached_blocks,
            free_size: stats.free_size,
            largest_free: stats.largest_free,
            overhead_size: stats.overhead_size,
            failed_count: stats.failed_count,
            largest_failed: stats.largest_failed,
        }
    }
}

/// A misuse that was found. See [`Context::set_error_handler`](super::Context::set_error_handler).
///
/// ```
/// let quiet = |misuse: &vmma::host::Misuse| assert!(misuse.error.is_misuse());
/// let mut context = vmma::Context::map(1 << 20)?;
/// context.set_error_handler(&quiet);
/// # Ok::<(), vmma::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Misuse {
    /// What was wrong.
    pub error: Error,
    /// The client that was called, if it is known.
    pub client: Option<ClientId>,
    /// The address as given; for an overrun or a use after free the first changed byte.
    pub address: *const u8,
    /// The live allocation concerned, if there is one.
    pub allocation: Option<Allocation>,
}

impl Misuse {
    pub(super) fn of(report: &Report) -> Misuse {
        Misuse {
            error: Error::from_code(report.status).unwrap_or(Error::Invalid),
            client: ClientId::at(report.client),
            address: report.address.cast(),
            allocation: Allocation::new(report.allocation.cast(), report.size),
        }
    }
}

/// How [`Context::dump`](super::Context::dump) writes.
///
/// ```
/// let context = vmma::Context::map(1 << 20)?;
/// let mut map = String::new();
/// context.dump(vmma::host::DumpFormat::Svg, &mut map).unwrap();
/// assert!(map.contains("<svg"));
/// # Ok::<(), vmma::Error>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum DumpFormat {
    /// Tables for a person at a terminal.
    Text = 0,
    /// One JSON object.
    Json = 1,
    /// A map of the heap: one SVG document.
    Svg = 2,
}

/// Dumps a context.
pub(super) fn dump(context: &Context, format: DumpFormat, to: &mut impl fmt::Write) -> fmt::Result {
    let mut text = Text { to, held: [0; 4], count: 0 };
    let stopped = inspect::dump::dump(context, format as i32, &mut |piece: &[u8]| {
        no_unwinding(|| text.put(piece).is_err() as i32)
    });
    if stopped != 0 { Err(fmt::Error) } else { text.finish() }
}

/// Makes text of pieces of text, which may be cut in the middle of a character.
struct Text<'a, W> {
    to: &'a mut W,
    /// The beginning of a character.
    held: [u8; 4],
    count: usize,
}

impl<W: fmt::Write> Text<'_, W> {
    fn put(&mut self, mut piece: &[u8]) -> fmt::Result {
        while self.count > 0 {
            let Some((&byte, rest)) = piece.split_first() else { return Ok(()) };
            let Some(place) = self.held.get_mut(self.count) else { return self.finish() };
            *place = byte;
            self.count += 1;
            piece = rest;
            let held = self.held;
            let held = held.get(..self.count).unwrap_or_default();
            match core::str::from_utf8(held) {
                Ok(character) => {
                    self.count = 0;
                    self.to.write_str(character)?;
                }
                Err(error) if error.error_len().is_some() => {
                    self.count = 0;
                    self.whole(held)?;
                }
                Err(_) => {}
            }
        }
        let whole = match core::str::from_utf8(piece) {
            Err(error) if error.error_len().is_none() => error.valid_up_to(),
            _ => piece.len(),
        };
        let (whole, begun) = piece.split_at_checked(whole).unwrap_or((piece, &[]));
        self.whole(whole)?;
        for (place, &byte) in self.held.iter_mut().zip(begun) {
            *place = byte;
            self.count += 1;
        }
        Ok(())
    }

    /// Text that ends where a character does. What is no UTF-8 is replaced.
    fn whole(&mut self, text: &[u8]) -> fmt::Result {
        for chunk in text.utf8_chunks() {
            self.to.write_str(chunk.valid())?;
            if !chunk.invalid().is_empty() {
                self.to.write_char(char::REPLACEMENT_CHARACTER)?;
            }
        }
        Ok(())
    }

    /// A character that was begun and not ended is none.
    fn finish(&mut self) -> fmt::Result {
        if core::mem::take(&mut self.count) > 0 { self.to.write_char(char::REPLACEMENT_CHARACTER) } else { Ok(()) }
    }
}
