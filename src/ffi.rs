//! The C interface: every `extern "C"` function and every type that C sees, and nothing else.
//!
//! Each function checks its handles, converts, calls one function of the layers below, and converts back. No logic.
//! cbindgen reads this one file and makes `include/libvmma.h`; the man pages are made from that header. So the comments
//! here are the public documentation: they are written for C programmers.

#![allow(non_camel_case_types)] // the names are those of the C interface
#![allow(clippy::missing_safety_doc)] // each comment is the whole contract, for C

use crate::check;
use crate::client::alloc::Request;
use crate::client::{Client, OutOfMemoryFn, fast, find};
use crate::context::Context;
use crate::context::report::{ErrorFn, Report};
use crate::inspect::{dump, stats, whole};
use crate::status::{self, Status};
use crate::{flags, layout, sys};
use core::ffi::{CStr, c_char, c_int, c_void};
use core::ptr;

// ---------------------------------------------------------------------------------------------------------- version

/// Changes when programs must be changed.
pub const VMMA_VERSION_MAJOR: c_int = 0;
/// Changes when something is added.
pub const VMMA_VERSION_MINOR: c_int = 5;
/// Changes when something is mended.
pub const VMMA_VERSION_PATCH: c_int = 0;
/// The version of this header as one number. vmma_get_version tells the library's.
pub const VMMA_VERSION: c_int = (VMMA_VERSION_MAJOR << 16) | (VMMA_VERSION_MINOR << 8) | VMMA_VERSION_PATCH;

// ------------------------------------------------------------------------------------------------------------ flags

/// Different clients of the context may be used from different threads at the same time.
pub const VMMA_FLAG_THREADS: u32 = 0x0001;
/// One client may be used by several threads at the same time. Brings VMMA_FLAG_THREADS with it.
pub const VMMA_FLAG_SHARED_CLIENTS: u32 = 0x0002;
/// All vmma_get_size bytes of a new allocation are zero. vmma_realloc zeroes from the old to the new
/// vmma_get_size.
pub const VMMA_FLAG_ZERO: u32 = 0x0004;
/// Memory is zeroed when it is freed, also what a shrink or a move leaves, and all of a client's memory when
/// it is deleted or reset. Nothing leaks to the next owner.
pub const VMMA_FLAG_WIPE: u32 = 0x0008;
/// A red zone of at least 8 bytes behind every allocation, from the requested size on. Up to its first 128
/// bytes are filled, and looked at by vmma_free, vmma_realloc and the check functions. An allocation takes
/// the place of one that is 8 bytes larger: one of 64 bytes that of 72, which is 128 without VMMA_FLAG_PACKED.
pub const VMMA_FLAG_GUARD: u32 = 0x0010;
/// Freed memory is filled with a pattern and kept out of use for a while, first in first out: at most half
/// of what the client holds, and at most two allocations per KiB of the block size (but 8 to 512 of them). A
/// write into it is found when it leaves, or by the check functions; the call that finds it tells the error
/// handler and keeps its own result. With VMMA_FLAG_WIPE it is zeroed when it leaves. There are no caches. (A
/// client that holds nothing but allocations of more than a block has no quarantine.)
pub const VMMA_FLAG_QUARANTINE: u32 = 0x0020;
/// Sizes are rounded up to the context's alignment and no further: least waste, but allocations are then only
/// aligned to that, and calls take longer.
pub const VMMA_FLAG_PACKED: u32 = 0x0040;
/// Freed memory is merged with its buddy at once: no caches, no kept blocks, a small bounded worst case for
/// every call. (A request above a block searches for a run: at most the number of blocks / 64 steps more. With
/// VMMA_FLAG_PACKED it looks at up to 4096 blocks too, and one that fails at all of them. A block that is taken
/// has its records cleared, and with VMMA_FLAG_PACKED the records of a few dozen blocks may be searched: both grow with
/// the block size.)
pub const VMMA_FLAG_NO_CACHE: u32 = 0x0080;
/// The pages of blocks that become free go back to the operating system, many at a time: an eighth of what is in use, a 64th
/// of what ever was and 256 KiB may wait, until vmma_trim_context. For private anonymous memory; nothing below a page
/// goes back.
pub const VMMA_FLAG_RELEASE: u32 = 0x0100;
/// Misuse prints one line to stderr and aborts, in place of returning a status.
pub const VMMA_FLAG_ABORT: u32 = 0x0200;

/// A set of VMMA_FLAG_ values. A flag that the library does not know, or was built without, is not an error:
/// it is left out, and vmma_get_accepted_flags tells.
pub type vmma_flags_t = u32;

// ---------------------------------------------------------------------------------------------------------- results

/// What functions that return int return. Failures are negative; a visitor's or writer's own non-zero result
/// is passed through, so let them use positive numbers.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum vmma_status {
    /// Done.
    VMMA_OK = 0,
    /// NULL or dead handle, or a bad parameter.
    VMMA_E_INVALID = -1,
    /// The context is exhausted.
    VMMA_E_NO_MEMORY = -2,
    /// The client's own limit is reached.
    VMMA_E_LIMIT = -3,
    /// The address is not in a block of this client.
    VMMA_E_NOT_OWNED = -4,
    /// Inside a live allocation of this client (or its red zone), or in one of its blocks but not at a multiple
    /// of the context's alignment.
    VMMA_E_NOT_START = -5,
    /// In a block of this client and aligned, but inside no live allocation: freed already.
    VMMA_E_DOUBLE_FREE = -6,
    /// The red zone behind an allocation was written.
    VMMA_E_OVERRUN = -7,
    /// Quarantined memory was written.
    VMMA_E_USE_AFTER_FREE = -8,
    /// The library's own records do not add up.
    VMMA_E_CORRUPT = -9,
    /// Called from inside a callback that forbids it.
    VMMA_E_BUSY = -10,
}

/// The formats of vmma_dump.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum vmma_dump_format {
    /// Tables for a person at a terminal.
    VMMA_DUMP_TEXT = 0,
    /// One JSON object.
    VMMA_DUMP_JSON = 1,
    /// A map of the heap: one well-formed SVG document.
    VMMA_DUMP_SVG = 2,
}

// ------------------------------------------------------------------------------------------------------------ types

/// A context. Opaque; lives inside the memory block.
pub struct vmma_context {
    _opaque: [u8; 0],
}
/// The handle of a context. It need not equal the block's address.
pub type vmma_context_t = vmma_context;

/// A client. Opaque; lives inside the memory block.
pub struct vmma_client {
    _opaque: [u8; 0],
}
/// The handle of a client. It is dead once the client is deleted, and stays detectably dead until its slot
/// goes to a new client.
pub type vmma_client_t = vmma_client;

/// Figures of a client, or of a whole context, taken by a walk. Set struct_size before the call.
///
/// held_size is live_size + cached_size + free_size; with VMMA_FLAG_GUARD it is more by the red zones.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct vmma_stats {
    /// In: sizeof(vmma_stats_t). Fields wholly inside it are written, bytes beyond those that the library
    /// knows are zeroed, struct_size itself stays.
    pub struct_size: usize,
    /// Bytes held by the client, or by all clients.
    pub held_size: usize,
    /// Allocations.
    pub live_count: usize,
    /// Sum of their vmma_get_size.
    pub live_size: usize,
    /// Freed and kept for the next request of its size, or in quarantine.
    pub cached_size: usize,
    /// Held blocks with nothing live in them.
    pub cached_blocks: usize,
    /// Free inside held blocks; cached_size is not counted.
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
/// See struct vmma_stats.
pub type vmma_stats_t = vmma_stats;

/// What the error handler is told of a misuse. It lives until the handler returns.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct vmma_error {
    /// The size of this struct as the library knows it.
    pub struct_size: usize,
    /// A vmma_status.
    pub status: c_int,
    /// The client that was called; NULL if unknown.
    pub client: *mut vmma_client_t,
    /// The address as passed. For VMMA_E_OVERRUN and VMMA_E_USE_AFTER_FREE the first changed byte.
    pub address: *const c_void,
    /// The live allocation concerned, NULL if none.
    pub allocation: *mut c_void,
    /// Its size, 0 if none.
    pub size: usize,
}
/// See struct vmma_error.
pub type vmma_error_t = vmma_error;

/// Called before an allocation of `size` bytes fails; `reason` is VMMA_E_LIMIT or VMMA_E_NO_MEMORY. Returns
/// non-zero to try again, 0 to let it fail. See vmma_set_oom_handler.
pub type vmma_oom_fn =
    Option<unsafe extern "C" fn(client: *mut vmma_client_t, size: usize, reason: c_int, user: *mut c_void) -> c_int>;
/// Visits one live allocation; `size` is its vmma_get_size. Non-zero stops the walk and is returned by it.
pub type vmma_visit_allocation_fn = Option<
    unsafe extern "C" fn(client: *mut vmma_client_t, allocation: *mut c_void, size: usize, user: *mut c_void) -> c_int,
>;
/// Visits one client. Non-zero stops the walk and is returned by it.
pub type vmma_visit_client_fn = Option<unsafe extern "C" fn(client: *mut vmma_client_t, user: *mut c_void) -> c_int>;
/// Takes the next `length` bytes of a dump; `text` is not terminated. Non-zero stops and is returned.
pub type vmma_write_fn = Option<unsafe extern "C" fn(text: *const c_char, length: usize, user: *mut c_void) -> c_int>;
/// Told of each misuse in a context. See vmma_set_error_handler.
pub type vmma_error_fn =
    Option<unsafe extern "C" fn(context: *mut vmma_context_t, error: *const vmma_error_t, user: *mut c_void)>;

// ------------------------------------------------------------------------------------------------- handles and back

const OK: c_int = vmma_status::VMMA_OK as c_int;
const INVALID: c_int = vmma_status::VMMA_E_INVALID as c_int;
const BUSY: c_int = vmma_status::VMMA_E_BUSY as c_int;

/// The context behind a handle, if the handle is alive.
#[inline(never)]
fn ctx<'a>(context: *const vmma_context_t) -> Option<&'a Context> {
    // SAFETY: the caller of the public function gives NULL, or a handle whose memory is still there.
    unsafe { Context::from_handle(context.cast()) }
}

/// The client behind a handle, if the handle is alive.
#[inline(never)]
fn live<'a>(client: *const vmma_client_t) -> Option<&'a Client> {
    // SAFETY: the caller of the public function gives NULL, or a handle whose memory is still there.
    unsafe { Client::from_handle(client.cast()) }
}

fn handle_of(client: &Client) -> *mut vmma_client_t {
    ptr::from_ref(client).cast_mut().cast()
}

fn no_client() -> *mut c_void {
    sys::set_errno(sys::EINVAL);
    ptr::null_mut()
}

/// Does a caller's struct have at least its own size field?
fn has_size(stats: *const vmma_stats_t) -> bool {
    // SAFETY: the caller of the public function gives NULL, or a struct that begins with its size.
    !stats.is_null() && unsafe { (*stats).struct_size } >= size_of::<usize>()
}

/// Fills as much of a caller's struct as the caller knows, and zeroes what we do not know.
///
/// # Safety
/// `to` points to as many bytes as its struct_size says.
unsafe fn put_stats(to: *mut vmma_stats_t, from: &stats::Stats) {
    // SAFETY: the caller's promise.
    let size = unsafe { (*to).struct_size };
    let fields = [
        from.held_size,
        from.live_count,
        from.live_size,
        from.cached_size,
        from.cached_blocks,
        from.free_size,
        from.largest_free,
        from.overhead_size,
        from.failed_count,
        from.largest_failed,
    ];
    let words = to.cast::<usize>();
    let mut end = size_of::<usize>();
    for (at, value) in fields.iter().enumerate() {
        if end + size_of::<usize>() <= size {
            // SAFETY: the field lies wholly inside the caller's struct.
            unsafe { words.add(at + 1).write(*value) };
            end += size_of::<usize>();
        }
    }
    if end == size_of::<vmma_stats_t>() {
        // SAFETY: the rest of the caller's bytes.
        unsafe { to.cast::<u8>().add(end).write_bytes(0, size - end) };
    }
}

const _: () =
    assert!(size_of::<vmma_error>() == size_of::<Report>() && size_of::<vmma_stats>() == 11 * size_of::<usize>());

// ---------------------------------------------------------------------------------------------------------- version

/// Tells the version of the library that runs, in the form of VMMA_VERSION.
///
/// Cost: constant. Threads: any.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vmma_get_version() -> u32 {
    VMMA_VERSION as u32
}

/// Tells the version of the library that runs as text, such as "0.5.0".
///
/// Returns static text, never NULL.
///
/// Cost: constant. Threads: any.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vmma_get_version_string() -> *const c_char {
    c"0.5.0".as_ptr()
}

/// Says a status in words. Any number may be asked.
///
/// Returns static text, never NULL.
///
/// Cost: constant. Threads: any.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vmma_status_string(status: c_int) -> *const c_char {
    status::text(status).as_ptr().cast()
}

// --------------------------------------------------------------------------------------------------------- contexts

/// Puts a context over a block of memory. (0.4.0)
///
/// `memory` may have any address, alignment and content. The context uses it until vmma_delete_context; the
/// library touches nothing outside [memory, memory + size) and allocates nothing anywhere else. NULL makes
/// the library map `size` bytes itself, committed lazily and unmapped by vmma_delete_context. On systems that
/// give large pages to whoever asks, it asks for blocks of up to 256 KiB, but not in the first 2 MiB of a context
/// below 256 MiB, and never with VMMA_FLAG_RELEASE or VMMA_FLAG_NO_CACHE.
///
/// `size` in bytes: the library's records and at least one block must fit. See vmma_get_required_size. Of more than
/// 4 TiB only so much is used.
///
/// `alignment` of every allocation in bytes: a power of two from 8 to 4096, or 0 for 16.
///
/// `block_size` in bytes: a power of two from 1 KiB to 1 GiB and at least 16 x alignment. 0 takes the largest
/// power of two up to 64 KiB that leaves at least 16 free blocks, but no less than 1 KiB and 16 x alignment.
///
/// `flags`: any set of VMMA_FLAG_ values; unknown ones are left out. See vmma_get_accepted_flags.
///
/// Returns the context, or NULL with errno set.
///
/// Fails if and only if `alignment` or `block_size` is another value or memory + size wraps around (EINVAL),
/// or `size` is too small or cannot be mapped (ENOMEM).
///
/// Owner: given memory stays the caller's and must outlive the context. Cost: does not grow with the memory
/// given, except for the records that must be cleared. Threads: any.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vmma_create_context(
    memory: *mut c_void,
    size: usize,
    alignment: usize,
    block_size: usize,
    flags: vmma_flags_t,
) -> *mut vmma_context_t {
    // SAFETY: the caller gives the memory, or NULL.
    match unsafe { Context::create(memory.cast(), size, alignment, block_size, flags) } {
        Ok(context) => context.cast(),
        Err(error) => {
            sys::set_errno(if error == layout::Error::Invalid { sys::EINVAL } else { sys::ENOMEM });
            ptr::null_mut()
        }
    }
}

/// Deletes a context with all its clients and all that they allocated.
///
/// Mapped memory is unmapped. Given memory is the caller's alone again; handles into it are detected as dead
/// as long as it is untouched. Handles into mapped memory must not be used again.
///
/// Fails if and only if `context` is NULL or dead (VMMA_E_INVALID), or the call comes from inside a callback
/// of a walk, dump, error handler or out-of-memory handler of this context (VMMA_E_BUSY).
///
/// Cost: a look at each client slot; with VMMA_FLAG_WIPE the memory held. Threads: alone.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vmma_delete_context(context: *mut vmma_context_t) -> c_int {
    let Some(context) = ctx(context) else { return INVALID };
    if context.in_any_callback() {
        return BUSY;
    }
    // SAFETY: the caller promises that nobody uses it any more.
    unsafe { whole::delete(context) };
    OK
}

/// Tells how large a memory block must be for one client to hold `usable` bytes.
///
/// The parameters after `usable` are those of vmma_create_context. Any memory of at least the
/// result's size, at any address, makes a context whose free blocks hold `usable` bytes right after its creation;
/// of no smaller result would that be true. The records of the first four clients are included.
///
/// Returns bytes; 0 if it is impossible or a parameter is bad.
///
/// Cost: arithmetic only. Threads: any.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vmma_get_required_size(
    usable: usize,
    alignment: usize,
    block_size: usize,
    flags: vmma_flags_t,
) -> usize {
    whole::required_size(usable, alignment, block_size, flags).unwrap_or(0)
}

/// Tells which flags this build of the library knows. (0.4.0)
///
/// Cost: constant. Threads: any.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vmma_get_supported_flags() -> vmma_flags_t {
    flags::SUPPORTED
}

/// Tells which flags are in force in a context, implied ones included. (0.4.0)
///
/// Returns 0 if `context` is NULL or dead.
///
/// Cost: constant. Threads: any.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vmma_get_accepted_flags(context: *const vmma_context_t) -> vmma_flags_t {
    ctx(context).map_or(0, |context| context.flags)
}

/// Tells the size of the memory block in bytes, as given at creation. (0.4.0)
///
/// Returns 0 if `context` is NULL or dead.
///
/// Cost: constant. Threads: any.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vmma_get_total_size(context: *const vmma_context_t) -> usize {
    ctx(context).map_or(0, |context| context.map.size())
}

/// Tells the alignment in bytes that every allocation has at least.
///
/// Returns 0 if `context` is NULL or dead.
///
/// Cost: constant. Threads: any.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vmma_get_alignment(context: *const vmma_context_t) -> usize {
    ctx(context).map_or(0, |context| context.map.shape.alignment)
}

/// Tells the size of a block in bytes.
///
/// Returns 0 if `context` is NULL or dead.
///
/// Cost: constant. Threads: any.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vmma_get_block_size(context: *const vmma_context_t) -> usize {
    ctx(context).map_or(0, |context| context.map.shape.block_size())
}

/// Tells how many blocks there are: free, held, set aside by guarantees, and those of the library's records.
///
/// Returns 0 if `context` is NULL or dead.
///
/// Cost: constant. Threads: any.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vmma_get_total_blocks(context: *const vmma_context_t) -> usize {
    ctx(context).map_or(0, |context| context.map.blocks)
}

/// Tells how many blocks any client may still take. Blocks set aside and not yet held are left out.
///
/// Returns 0 if `context` is NULL or dead.
///
/// Cost: constant. Threads: any.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vmma_get_free_blocks(context: *const vmma_context_t) -> usize {
    ctx(context).map_or(0, |context| context.free_for_all())
}

/// Tells the most blocks that all clients together have ever held.
///
/// Returns 0 if `context` is NULL or dead.
///
/// Cost: constant. Threads: any.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vmma_get_peak_blocks(context: *const vmma_context_t) -> usize {
    ctx(context).map_or(0, |context| context.peak())
}

/// Tells how many clients there are.
///
/// Returns 0 if `context` is NULL or dead.
///
/// Cost: constant. Threads: any.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vmma_get_client_count(context: *const vmma_context_t) -> usize {
    ctx(context).map_or(0, |context| context.clients())
}

/// Counts the blocks that clients keep although nothing in them is live. (0.4.0)
///
/// vmma_trim_context would give them back. With VMMA_FLAG_NO_CACHE there are none, unless
/// VMMA_FLAG_QUARANTINE keeps some.
///
/// Returns 0 if `context` is NULL or dead.
///
/// Cost: a walk over the blocks. Threads: quiet.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vmma_populate_cached_blocks(context: *mut vmma_context_t) -> usize {
    ctx(context).map_or(0, stats::cached_blocks)
}

/// Tells what vmma_get_size would say of a new allocation of `size` bytes.
///
/// Returns 0 if such an allocation can never succeed in this context, or `context` is NULL or dead.
///
/// Cost: constant. Threads: any.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vmma_get_good_size(context: *const vmma_context_t, size: usize) -> usize {
    ctx(context).map_or(0, |context| whole::good_size(context, size))
}

/// Gives every client's empty blocks, caches and quarantine back to the context.
///
/// Quarantined memory that was written is reported to the error handler; the result stays the same.
///
/// Fails if and only if `context` is NULL or dead (VMMA_E_INVALID), or the call comes from inside a callback
/// of a walk, dump or error handler (VMMA_E_BUSY).
///
/// Cost: vmma_trim_client for each client. Threads: quiet.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vmma_trim_context(context: *mut vmma_context_t) -> c_int {
    let Some(context) = ctx(context) else { return INVALID };
    if context.asking() {
        return BUSY;
    }
    whole::trim(context);
    OK
}

// ---------------------------------------------------------------------------------------------------------- clients

/// Creates a client: an empty heap of its own. (0.4.0)
///
/// It has no limit, guarantee, name, user data or handler, and holds no block until it allocates.
///
/// Returns the client, or NULL with errno set.
///
/// Fails if and only if `context` is NULL or dead (EINVAL), no slot is free and there is no room for more, or there are 2^23
/// (ENOMEM), or a callback of a call on the whole context is running (EBUSY).
///
/// Slots lie side by side, those behind the first four in blocks at the far end of the memory. The next such block has
/// to be free, whatever else is: a client that got it when all memory was in use holds up new slots for as long as it keeps it. A
/// host that will need many clients makes that many first and deletes them: their slots stay.
///
/// Owner: the slots stay the library's as long as the context lives; no client's memory ever lies there. Cost:
/// constant, now and then the making of more slots. Once there have been 2^24 clients and resets, one after every 16384 looks
/// at all clients and records for numbers that are free; one after 2^24 / N, if that is less, with N clients that
/// stay. Threads: any.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vmma_create_client(context: *mut vmma_context_t) -> *mut vmma_client_t {
    let Some(context) = ctx(context) else {
        sys::set_errno(sys::EINVAL);
        return ptr::null_mut();
    };
    if context.busy_as_whole() {
        sys::set_errno(sys::EBUSY);
        return ptr::null_mut();
    }
    match Client::create(context) {
        Some(client) => handle_of(client),
        None => {
            sys::set_errno(sys::ENOMEM);
            ptr::null_mut()
        }
    }
}

/// Deletes a client. All that it allocated is free again, whatever was leaked. (0.4.0)
///
/// The handle is dead from now on. Nothing is checked: red zones and quarantine are dropped unread.
///
/// Fails if and only if `client` is NULL or dead (VMMA_E_INVALID), or the call comes from inside its own
/// out-of-memory handler, or from a callback of a walk, dump or error handler that forbids it (VMMA_E_BUSY).
///
/// Cost: the blocks held, not the allocations; with VMMA_FLAG_WIPE or VMMA_FLAG_RELEASE the memory held.
/// Threads: client; no other thread may use it any more, whatever the flags, nor be in a call on the whole context.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vmma_delete_client(client: *mut vmma_client_t) -> c_int {
    let Some(client) = live(client) else { return INVALID };
    if !client.may_end() {
        return client.refuse_busy();
    }
    client.delete();
    OK
}

/// Frees all that a client allocated and keeps the client.
///
/// Limit, guarantee, name, user data and handler stay. Peaks, counts and the last status start again.
///
/// Fails as vmma_delete_client does.
///
/// Cost: as vmma_delete_client; and see vmma_create_client. Threads: client.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vmma_reset_client(client: *mut vmma_client_t) -> c_int {
    let Some(client) = live(client) else { return INVALID };
    if !client.may_end() {
        return client.refuse_busy();
    }
    client.reset();
    OK
}

/// Gives a client's empty blocks, caches and quarantine back to the context. Live allocations stay.
///
/// Quarantined memory that was written is reported to the error handler; the result stays the same.
///
/// Fails if and only if `client` is NULL or dead (VMMA_E_INVALID), or a callback forbids it (VMMA_E_BUSY).
///
/// Cost: what is cached and in quarantine. Threads: client.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vmma_trim_client(client: *mut vmma_client_t) -> c_int {
    let Some(client) = live(client) else { return INVALID };
    if client.is_busy() {
        return client.refuse_busy();
    }
    client.trim();
    OK
}

// ------------------------------------------------------------------------------------------------------- allocation

/// Allocates at least `size` bytes. (0.4.0)
///
/// 0 means 1. The content is not set, unless VMMA_FLAG_ZERO. Without VMMA_FLAG_PACKED the address is
/// aligned to `size` rounded up to a power of two, at most the block size; with it, to the context's alignment.
/// Requests above a block get a run of blocks and are aligned to the block size.
///
/// Returns the allocation, or NULL with errno set; the exact reason is in vmma_get_last_status.
///
/// Fails if and only if `client` is NULL or dead (EINVAL), the limit or the context's memory does not allow it
/// even after the out-of-memory handler (ENOMEM), or a callback forbids it (EBUSY).
/// (Without VMMA_FLAG_PACKED a request below 1 KiB takes 8 KiB for cells of its size if none is free: vmma_set_limit.)
///
/// Owner: the client; until vmma_free, or until the client is reset or deleted. The library keeps no records
/// in or next to it. Cost: a few table reads and writes as a rule; above a block a search for a run, and a few for each of
/// its blocks.
/// Threads: client.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vmma_alloc(client: *mut vmma_client_t, size: usize) -> *mut c_void {
    // SAFETY: the caller gives a handle, dead or alive, or NULL.
    unsafe { fast::alloc(client.cast(), size) }.cast()
}

/// Allocates count x size bytes, all zero.
///
/// Returns and fails as vmma_alloc does; a product that overflows fails with ENOMEM.
///
/// Cost: vmma_alloc and the zeroing. Threads: client.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vmma_calloc(client: *mut vmma_client_t, count: usize, size: usize) -> *mut c_void {
    // A product that is no number is larger than any context.
    let size = count.saturating_mul(size).max(1);
    // SAFETY: the caller gives a handle, dead or alive, or NULL.
    if let Some(memory) = unsafe { fast::alloc_zeroed(client.cast(), size) } {
        return memory.cast();
    }
    let Some(client) = live(client) else { return no_client() };
    client.allocate(&Request::new(size, 0, true)).cast()
}

/// Changes the size of an allocation, in place where it can, else by moving the content.
///
/// `ptr` NULL is vmma_alloc. `size` 0 means 1. The result is aligned as vmma_alloc would align it, not as
/// vmma_aligned_alloc did. If the red zone was written (VMMA_FLAG_GUARD) that is reported, to the error
/// handler and as last status, and the call goes on.
///
/// Returns the allocation, perhaps at another address, or NULL with errno set; then `ptr` is as it was.
///
/// Fails if and only if vmma_alloc would, or `ptr` is not NULL and not the start of a live allocation of this
/// client (EINVAL; the last status says which misuse). So a shrink of a live allocation never fails.
///
/// Cost: constant in place; a move costs vmma_alloc, vmma_free and the copy. Threads: client.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vmma_realloc(client: *mut vmma_client_t, ptr: *mut c_void, size: usize) -> *mut c_void {
    // SAFETY: the caller gives a handle, dead or alive, or NULL; the pointer may be anything.
    unsafe { fast::realloc(client.cast(), ptr.cast(), size) }.cast()
}

/// Allocates at least `size` bytes at a multiple of `alignment`.
///
/// `alignment` in bytes: a power of two up to the block size. `size` may be any; 0 means 1.
///
/// Returns and fails as vmma_alloc does; another `alignment` fails with EINVAL.
///
/// Cost: as vmma_alloc. Threads: client.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vmma_aligned_alloc(client: *mut vmma_client_t, alignment: usize, size: usize) -> *mut c_void {
    let Some(client) = live(client) else { return no_client() };
    if client.is_busy() || (alignment.is_power_of_two() && alignment <= client.context().map.shape.block_size()) {
        return client.allocate(&Request::new(size, alignment, false)).cast();
    }
    client.invalid();
    sys::set_errno(sys::EINVAL);
    ptr::null_mut()
}

/// Frees an allocation of this client. (0.4.0)
///
/// `ptr` may be any address; it is looked up in tables, not dereferenced. NULL does nothing and is VMMA_OK.
/// errno is left alone.
///
/// Returns VMMA_OK; VMMA_E_OVERRUN if the allocation is freed and its red zone was found written; else a
/// failure, and nothing has changed.
///
/// Fails if and only if `client` is NULL or dead (VMMA_E_INVALID); a callback forbids it (VMMA_E_BUSY); `ptr`
/// lies inside a live allocation of this client or its red zone but not at its start, or in a block of this
/// client and is no multiple of the context's alignment (VMMA_E_NOT_START); lies in a block of this client, is
/// aligned and in no live allocation (VMMA_E_DOUBLE_FREE); or lies anywhere else (VMMA_E_NOT_OWNED).
///
/// Cost: a few table reads and writes as a rule. Threads: client.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vmma_free(client: *mut vmma_client_t, ptr: *mut c_void) -> c_int {
    // SAFETY: the caller gives a handle, dead or alive, or NULL; the pointer may be anything.
    unsafe { fast::free(client.cast(), ptr.cast()) }
}

/// Serves as a lua_Alloc: pass the client as its ud.
///
/// `nsize` 0 frees `ptr` and gives NULL; `ptr` NULL allocates; else the size is changed. `osize` is not used.
///
/// Returns the memory, or NULL when it fails. A shrink never fails, as Lua demands.
///
/// Cost: as vmma_alloc, vmma_realloc and vmma_free. Threads: client.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vmma_lua_alloc(
    client: *mut c_void,
    ptr: *mut c_void,
    osize: usize,
    nsize: usize,
) -> *mut c_void {
    let _ = osize;
    let client: *mut vmma_client_t = client.cast();
    if nsize == 0 {
        // SAFETY: as the caller promised.
        unsafe { vmma_free(client, ptr) };
        return ptr::null_mut();
    }
    // SAFETY: as the caller promised.
    unsafe { if ptr.is_null() { vmma_alloc(client, nsize) } else { vmma_realloc(client, ptr, nsize) } }
}

// -------------------------------------------------------------------------------------------------------- addresses

/// Tells whether an address lies inside a live allocation of this client. (0.4.0)
///
/// `address` may be any address, also inside an allocation; it is not dereferenced.
///
/// Returns 1 if it does, else 0; 0 also if `client` is NULL or dead.
///
/// Cost: a small fixed number of table reads. Threads: client.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vmma_test_address(client: *const vmma_client_t, address: *const c_void) -> c_int {
    live(client).is_some_and(|client| client.find_locked(address.addr(), false).is_some()) as c_int
}

/// Tells the real size of an allocation in bytes. (0.4.0)
///
/// All of [ptr, ptr + result) may be used. With VMMA_FLAG_GUARD it is exactly the size asked for, else at
/// least that. `ptr` may be any address.
///
/// Returns 0 if `ptr` is not the start of a live allocation of this client, or `client` is NULL or dead.
///
/// Cost: a small fixed number of table reads. Threads: client.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vmma_get_size(client: *const vmma_client_t, ptr: *const c_void) -> usize {
    live(client).map_or(0, |client| client.find_locked(ptr.addr(), true).map_or(0, |(_, size)| size))
}

/// Finds the live allocation of this client that holds an address.
///
/// `address` may be any address. `size` may be NULL; else the allocation's vmma_get_size is stored there.
///
/// Returns the start of the allocation; NULL if there is none, or `client` is NULL or dead. errno is left
/// alone.
///
/// Cost: a small fixed number of table reads. Threads: client.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vmma_find_allocation(
    client: *const vmma_client_t,
    address: *const c_void,
    size: *mut usize,
) -> *mut c_void {
    let Some(client) = live(client) else { return ptr::null_mut() };
    let Some((start, bytes)) = client.find_locked(address.addr(), false) else { return ptr::null_mut() };
    if !size.is_null() {
        // SAFETY: the caller gives a place for a size, or NULL.
        unsafe { *size = bytes };
    }
    start.cast()
}

/// Finds the client that owns the live allocation which holds an address.
///
/// `address` may be any address.
///
/// Returns the client; NULL if there is none, or `context` is NULL or dead. errno is left alone.
///
/// Cost: a small fixed number of table reads. Threads: any; of memory that another thread is just freeing or
/// resizing it is a snapshot.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vmma_find_client(
    context: *const vmma_context_t,
    address: *const c_void,
) -> *mut vmma_client_t {
    let Some(context) = ctx(context) else { return ptr::null_mut() };
    find::client_at(context, address.addr()).map_or(ptr::null_mut(), handle_of)
}

// ------------------------------------------------------------------------------------------- what a client remembers

/// Tells the context of a client.
///
/// Returns NULL if `client` is NULL or dead.
///
/// Cost: constant. Threads: client.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vmma_get_context(client: *const vmma_client_t) -> *mut vmma_context_t {
    live(client).map_or(ptr::null_mut(), |client| ptr::from_ref(client.context()).cast_mut().cast())
}

/// Names a client, for dumps and messages.
///
/// `name` is copied, and cut to 31 bytes where a UTF-8 character ends. NULL clears it.
///
/// Fails if and only if `client` is NULL or dead (VMMA_E_INVALID), or a callback forbids it (VMMA_E_BUSY).
///
/// Cost: constant. Threads: client.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vmma_set_name(client: *mut vmma_client_t, name: *const c_char) -> c_int {
    let Some(client) = live(client) else { return INVALID };
    if client.is_busy() {
        return client.refuse_busy();
    }
    // SAFETY: the caller gives a string, or NULL.
    client.set_name(if name.is_null() { &[] } else { unsafe { CStr::from_ptr(name) }.to_bytes() });
    OK
}

/// Tells a client's name.
///
/// Returns the name, "" if none was set; valid until vmma_set_name or vmma_delete_client. NULL if `client` is
/// NULL or dead.
///
/// Cost: constant. Threads: client.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vmma_get_name(client: *const vmma_client_t) -> *const c_char {
    live(client).map_or(ptr::null(), |client| client.name_pointer().cast())
}

/// Keeps a pointer of the caller's with a client. The library does not look at it.
///
/// Does nothing if `client` is NULL or dead, or a callback forbids it.
///
/// Cost: constant. Threads: client.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vmma_set_user_data(client: *mut vmma_client_t, data: *mut c_void) {
    if let Some(client) = live(client)
        && !client.is_busy()
    {
        client.set_user_data(data);
    }
}

/// Tells the pointer that vmma_set_user_data left.
///
/// Returns NULL if none was set, or `client` is NULL or dead.
///
/// Cost: constant. Threads: client.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vmma_get_user_data(client: *const vmma_client_t) -> *mut c_void {
    live(client).map_or(ptr::null_mut(), Client::user_data)
}

/// Tells the newest failure on a client, like errno: success does not clear it.
///
/// Returns VMMA_OK if nothing failed since creation or reset; VMMA_E_INVALID if `client` is NULL or dead.
///
/// Cost: constant. Threads: client.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vmma_get_last_status(client: *const vmma_client_t) -> c_int {
    live(client).map_or(INVALID, Client::last_status)
}

/// Tells how many bytes of the context a client holds: blocks held x block size.
///
/// Returns 0 if `client` is NULL or dead.
///
/// Cost: constant. Threads: client.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vmma_get_held_size(client: *const vmma_client_t) -> usize {
    live(client).map_or(0, |client| client.held_size())
}

/// Tells the most bytes that a client has held since its creation or reset.
///
/// Returns 0 if `client` is NULL or dead.
///
/// Cost: constant. Threads: client.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vmma_get_peak_held_size(client: *const vmma_client_t) -> usize {
    live(client).map_or(0, |client| client.peak_held_size())
}

// ------------------------------------------------------------------------------------------ limits and running out

/// Bounds what a client may hold.
///
/// `bytes` of context memory, in effect rounded up to whole blocks; 0 is no limit. A limit below present use
/// is allowed: what is held stays, further growth fails. Without VMMA_FLAG_PACKED a client needs 8 KiB (a quarter
/// of a block below 32 KiB) for its first allocation of each power of two below 1 KiB. Limit and guarantee are compared
/// in bytes, before anything else. A request above a block that fails while more than the limit is held may cost as much as
/// vmma_get_max_alloc.
///
/// Fails if and only if `client` is NULL or dead or the limit would be below the guarantee (VMMA_E_INVALID),
/// or a callback forbids it (VMMA_E_BUSY).
///
/// Cost: constant. Threads: client.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vmma_set_limit(client: *mut vmma_client_t, bytes: usize) -> c_int {
    let Some(client) = live(client) else { return INVALID };
    if client.is_busy() {
        return client.refuse_busy();
    }
    client.answer(client.set_limit(bytes))
}

/// Tells a client's limit in bytes as it was set; 0 is no limit.
///
/// Returns 0 if `client` is NULL or dead.
///
/// Cost: constant. Threads: client.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vmma_get_limit(client: *const vmma_client_t) -> usize {
    live(client).map_or(0, |client| client.limit())
}

/// Sets blocks aside that no other client can take.
///
/// `bytes` are rounded up to whole blocks; 0 gives them back. Blocks held count towards it. It holds for
/// requests up to a block; that the blocks are neighbours, as a run needs, is only certain while no client of the
/// context holds anything.
///
/// Fails if and only if `client` is NULL or dead or the guarantee would be above the limit (VMMA_E_INVALID),
/// the blocks are not there (VMMA_E_NO_MEMORY), or a callback forbids it (VMMA_E_BUSY). Then the old one stays.
///
/// Cost: constant. Threads: client.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vmma_set_guarantee(client: *mut vmma_client_t, bytes: usize) -> c_int {
    let Some(client) = live(client) else { return INVALID };
    if client.is_busy() {
        return client.refuse_busy();
    }
    client.answer(client.set_guarantee(bytes))
}

/// Tells a client's guarantee in bytes as it was set; 0 is none.
///
/// Returns 0 if `client` is NULL or dead.
///
/// Cost: constant. Threads: client.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vmma_get_guarantee(client: *const vmma_client_t) -> usize {
    live(client).map_or(0, |client| client.guarantee())
}

/// Tells the largest request that vmma_alloc would serve now, without the out-of-memory handler.
///
/// One byte more would fail. The client's own caches and quarantine count as free. It only asks: callbacks may
/// call it.
///
/// Returns bytes; 0 if nothing would be served, or `client` is NULL or dead.
///
/// Cost: a walk over the client's free memory, and a look at who owns each other block. Threads: client.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vmma_get_max_alloc(client: *mut vmma_client_t) -> usize {
    live(client).map_or(0, |client| client.max_alloc())
}

/// Sets the function that is called before an allocation of this client fails.
///
/// `handler` NULL removes it. `user` is passed on to it. It is called with the reason VMMA_E_LIMIT or
/// VMMA_E_NO_MEMORY; non-zero means try again, 0 means fail. It may free, collect garbage, trim, raise the
/// limit, and free or delete other clients under the thread rules. On its own client vmma_delete_client and
/// vmma_reset_client are VMMA_E_BUSY, and so is vmma_delete_context. An allocation made inside it does not call
/// it again. After a retry that fails it is called again exactly when something was freed, trimmed or raised
/// since its last call. It is not called for sizes that even the empty context could not serve: these are
/// VMMA_E_NO_MEMORY, whatever the limit. (With VMMA_FLAG_THREADS alone, what is freed of other clients counts if
/// less is live in the context afterwards.)
///
/// Fails if and only if `client` is NULL or dead (VMMA_E_INVALID), or a callback forbids it (VMMA_E_BUSY).
///
/// Cost: constant; around each call of the handler a look at every client slot, or with VMMA_FLAG_THREADS at
/// every block's live bits. Threads: client.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vmma_set_oom_handler(
    client: *mut vmma_client_t,
    handler: vmma_oom_fn,
    user: *mut c_void,
) -> c_int {
    let Some(client) = live(client) else { return INVALID };
    if client.is_busy() {
        return client.refuse_busy();
    }
    // SAFETY: the two function types differ in the type of an opaque pointer only.
    client.set_handler(unsafe { core::mem::transmute::<vmma_oom_fn, Option<OutOfMemoryFn>>(handler) }, user);
    OK
}

// --------------------------------------------------------------------------------------------------- looking inside

/// Takes the figures of a whole context.
///
/// Set stats->struct_size to sizeof(vmma_stats_t) first. Only what lies inside it is written.
///
/// Fails if and only if `context` is NULL or dead, `stats` is NULL, or struct_size is below sizeof(size_t)
/// (VMMA_E_INVALID).
///
/// Cost: a walk over all clients' blocks. Threads: quiet.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vmma_populate_context_stats(context: *mut vmma_context_t, stats: *mut vmma_stats_t) -> c_int {
    let Some(context) = ctx(context) else { return INVALID };
    if !has_size(stats) {
        whole::invalid(context);
        return INVALID;
    }
    // SAFETY: the caller gives as many bytes as the struct says.
    unsafe { put_stats(stats, &whole::stats(context)) };
    OK
}

/// Takes the figures of one client.
///
/// Set stats->struct_size to sizeof(vmma_stats_t) first. Only what lies inside it is written.
///
/// Fails if and only if `client` is NULL or dead, `stats` is NULL, or struct_size is below sizeof(size_t)
/// (VMMA_E_INVALID).
///
/// Cost: a walk over the client's blocks. Threads: client.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vmma_populate_client_stats(client: *mut vmma_client_t, stats: *mut vmma_stats_t) -> c_int {
    let Some(client) = live(client) else { return INVALID };
    if !has_size(stats) {
        client.invalid();
        return INVALID;
    }
    // SAFETY: the caller gives as many bytes as the struct says.
    unsafe { put_stats(stats, &client.stats()) };
    OK
}

/// Visits the live allocations of a client in the order of their addresses.
///
/// `visit` may ask, but not change this client; `user` is passed on to it. Walks may nest.
///
/// Returns VMMA_OK after the last one, or the visitor's non-zero result, which stops the walk.
///
/// Fails if and only if `client` is NULL or dead or `visit` is NULL (VMMA_E_INVALID).
///
/// Cost: a walk over the client's blocks, and a look at who owns each other block. Threads: client.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vmma_walk_allocations(
    client: *mut vmma_client_t,
    visit: vmma_visit_allocation_fn,
    user: *mut c_void,
) -> c_int {
    let Some(client) = live(client) else { return INVALID };
    let Some(visit) = visit else { return client.answer(Err(Status::Invalid)) };
    let context = client.context();
    client.walk(context, |found, size| {
        // SAFETY: the caller promises a function of this type.
        unsafe { visit(handle_of(client), context.map.address_of(found.start).cast(), size, user) }
    })
}

/// Visits the clients of a context.
///
/// `visit` may ask, but change no client and create none; `user` is passed on to it. Walks may nest.
///
/// Returns VMMA_OK after the last one, or the visitor's non-zero result, which stops the walk.
///
/// Fails if and only if `context` is NULL or dead or `visit` is NULL (VMMA_E_INVALID).
///
/// Cost: a walk over the client slots. Threads: quiet.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vmma_walk_clients(
    context: *mut vmma_context_t,
    visit: vmma_visit_client_fn,
    user: *mut c_void,
) -> c_int {
    let Some(context) = ctx(context) else { return INVALID };
    let Some(visit) = visit else {
        whole::invalid(context);
        return INVALID;
    };
    // SAFETY: the caller promises a function of this type.
    whole::walk_clients(context, |client| unsafe { visit(handle_of(client), user) })
}

/// Checks a client: its red zones, its quarantine and every record of its.
///
/// Returns VMMA_OK, or the first thing found: VMMA_E_CORRUPT, VMMA_E_OVERRUN or VMMA_E_USE_AFTER_FREE, which
/// the error handler is told too. VMMA_E_INVALID if `client` is NULL or dead.
///
/// Cost: a walk over the client's blocks, and a look at who owns each other block. Threads: client.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vmma_check_client(client: *mut vmma_client_t) -> c_int {
    live(client).map_or(INVALID, |client| check::client_and_tell(client).map_or(OK, Status::code))
}

/// Checks a context: all its clients, and the blocks between them.
///
/// Returns VMMA_OK, or the first thing found, as vmma_check_client does. VMMA_E_INVALID if `context` is NULL
/// or dead.
///
/// Cost: vmma_check_client for each client. Threads: quiet.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vmma_check_context(context: *mut vmma_context_t) -> c_int {
    ctx(context).map_or(INVALID, |context| check::context_and_tell(context).map_or(OK, Status::code))
}

/// Writes down the state of a context, for a person or a program.
///
/// `format` is VMMA_DUMP_TEXT, VMMA_DUMP_JSON or VMMA_DUMP_SVG. `write` is called with one piece after another
/// and may ask, but change no client; `user` is passed on to it. Names are escaped as the format needs it.
///
/// Returns VMMA_OK after the last piece, or the writer's non-zero result, which stops the dump.
///
/// Fails if and only if `context` is NULL or dead, `format` is unknown or `write` is NULL (VMMA_E_INVALID).
///
/// Cost: a walk over all blocks. Threads: quiet.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vmma_dump(
    context: *mut vmma_context_t,
    format: c_int,
    write: vmma_write_fn,
    user: *mut c_void,
) -> c_int {
    let Some(context) = ctx(context) else { return INVALID };
    let (Some(write), 0..=2) = (write, format) else {
        whole::invalid(context);
        return INVALID;
    };
    // SAFETY: the caller promises a function of this type; the text lives until it returns.
    dump::dump(context, format, &mut |text: &[u8]| unsafe { write(text.as_ptr().cast(), text.len(), user) })
}

/// Sets the function that is told of each misuse in a context.
///
/// Misuse is VMMA_E_NOT_OWNED, VMMA_E_NOT_START, VMMA_E_DOUBLE_FREE, VMMA_E_OVERRUN, VMMA_E_USE_AFTER_FREE,
/// VMMA_E_CORRUPT, and VMMA_E_INVALID with a live handle; never VMMA_E_LIMIT, VMMA_E_NO_MEMORY or VMMA_E_BUSY.
///
/// `handler` NULL removes it. `user` is passed on to it. It is called before VMMA_FLAG_ABORT acts and never
/// from inside itself. It may ask, but not change the client whose misuse is reported.
///
/// Fails if and only if `context` is NULL or dead (VMMA_E_INVALID), or a callback forbids it (VMMA_E_BUSY).
///
/// Cost: constant. Threads: alone.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vmma_set_error_handler(
    context: *mut vmma_context_t,
    handler: vmma_error_fn,
    user: *mut c_void,
) -> c_int {
    let Some(context) = ctx(context) else { return INVALID };
    if context.asking() {
        return BUSY;
    }
    // SAFETY: the two function types differ in the type of opaque pointers, and in the name of one struct, only.
    context.set_error_handler(unsafe { core::mem::transmute::<vmma_error_fn, Option<ErrorFn>>(handler) }, user);
    OK
}

// The three that programs call all the time begin cache lines of code. Compiled for size, functions begin anywhere: where one of
// these began at the end of a line, programs that grow and sweep took up to 12 % longer. Nothing is put into the sections here; they
// are only told where they may begin.
#[cfg(all(target_os = "linux", target_arch = "x86_64", not(miri)))]
core::arch::global_asm!(
    ".section .text.vmma_alloc,\"ax\",@progbits",
    ".p2align 6",
    ".section .text.vmma_free,\"ax\",@progbits",
    ".p2align 6",
    ".section .text.vmma_realloc,\"ax\",@progbits",
    ".p2align 6",
    ".text",
);
