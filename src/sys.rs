//! The operating system: the only user of libc.
//!
//! errno, pages (map, unmap, give back), a word to sleep on, the end of the process. Nothing here knows what an
//! allocator is. May know: nothing.

use core::ffi::{c_int, c_void};
use core::sync::atomic::AtomicU32;

pub const EINVAL: c_int = libc::EINVAL;
pub const ENOMEM: c_int = libc::ENOMEM;
pub const EBUSY: c_int = libc::EBUSY;

#[cfg(any(target_os = "linux", target_os = "emscripten"))]
fn errno_location() -> *mut c_int {
    // SAFETY: takes nothing and always gives the calling thread's errno.
    unsafe { libc::__errno_location() }
}
#[cfg(any(target_os = "macos", target_os = "ios", target_os = "freebsd"))]
fn errno_location() -> *mut c_int {
    // SAFETY: takes nothing and always gives the calling thread's errno.
    unsafe { libc::__error() }
}
#[cfg(any(target_os = "android", target_os = "netbsd", target_os = "openbsd"))]
fn errno_location() -> *mut c_int {
    // SAFETY: takes nothing and always gives the calling thread's errno.
    unsafe { libc::__errno() }
}

pub fn set_errno(value: c_int) {
    // SAFETY: the location is the calling thread's own int.
    unsafe { *errno_location() = value }
}

/// A number that no other live thread has, without thread-local storage of our own: where its errno lies.
pub fn thread_id() -> usize {
    errno_location().addr()
}

/// `size` bytes of zeroed private memory that is committed when it is touched. NULL: the system refused.
pub fn map(size: usize) -> *mut u8 {
    // SAFETY: an anonymous mapping at an address of the system's choice concerns no existing memory.
    let memory = unsafe {
        libc::mmap(
            core::ptr::null_mut(),
            size,
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE,
            -1,
            0,
        )
    };
    if memory == libc::MAP_FAILED { core::ptr::null_mut() } else { memory.cast() }
}

/// # Safety
/// `memory` came from `map(size)` and nothing uses it any more.
pub unsafe fn unmap(memory: *mut u8, size: usize) {
    // SAFETY: the caller promises that the whole mapping is ours to end.
    unsafe { libc::munmap(memory.cast::<c_void>(), size) };
}

fn page_size() -> usize {
    // SAFETY: asks for a constant of the system.
    let size = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    if size > 0 { size as usize } else { 4096 }
}

/// Advises the system about the whole pages inside `[memory, memory + len)`. That it refuses is no failure of anybody's, so
/// errno is left alone.
///
/// # Safety
/// Nobody needs what the advice takes away from that memory.
#[cold]
#[inline(never)]
unsafe fn advise(memory: *mut u8, len: usize, advice: c_int) {
    let page = page_size();
    let start = (memory.addr() + page - 1) & !(page - 1);
    let end = (memory.addr() + len) & !(page - 1);
    if start < end {
        // SAFETY: only whole pages inside that memory; as the caller promised.
        unsafe {
            let errno = *errno_location();
            libc::madvise(memory.wrapping_add(start - memory.addr()).cast(), end - start, advice);
            *errno_location() = errno;
        }
    }
}

/// Gives the whole pages inside `[memory, memory + len)` back to the system; their content is lost.
///
/// # Safety
/// Nobody needs the content of that memory.
pub unsafe fn release(memory: *mut u8, len: usize) {
    // SAFETY: as the caller promised.
    unsafe { advise(memory, len, libc::MADV_DONTNEED) };
}

/// Bytes of a large page, as far as anybody but the system has to know.
pub const LARGE_PAGE: usize = 2 << 20;

/// Tells the system that large pages may serve for the memory in `[memory, memory + len)`, which was mapped by us: where it
/// has none, or nobody wants them, nothing changes.
#[cfg(any(target_os = "linux", target_os = "android"))]
pub fn allow_large_pages(memory: *mut u8, len: usize) {
    // SAFETY: an advice about our own mapping that changes no content.
    unsafe { advise(memory, len, libc::MADV_HUGEPAGE) };
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
pub fn allow_large_pages(_: *mut u8, _: usize) {}

/// Sleeps while `word` is `value`. May return early.
#[cfg(any(target_os = "linux", target_os = "android"))]
#[cold]
#[inline(never)]
pub fn wait(word: &AtomicU32, value: u32) {
    // SAFETY: the word outlives the call; the kernel only compares it. errno is put back by the caller's caller.
    unsafe {
        let errno = *errno_location();
        libc::syscall(
            libc::SYS_futex,
            word.as_ptr(),
            libc::FUTEX_WAIT | libc::FUTEX_PRIVATE_FLAG,
            value,
            core::ptr::null::<libc::timespec>(),
        );
        *errno_location() = errno;
    }
}

/// Wakes one thread that sleeps on `word`.
#[cfg(any(target_os = "linux", target_os = "android"))]
#[cold]
#[inline(never)]
pub fn wake(word: &AtomicU32) {
    // SAFETY: the kernel uses the address as a key only.
    unsafe {
        let errno = *errno_location();
        libc::syscall(libc::SYS_futex, word.as_ptr(), libc::FUTEX_WAKE | libc::FUTEX_PRIVATE_FLAG, 1);
        *errno_location() = errno;
    }
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
pub fn wait(_: &AtomicU32, _: u32) {
    // SAFETY: gives up the processor, nothing else.
    unsafe { libc::sched_yield() };
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
pub fn wake(_: &AtomicU32) {}

/// Writes to stderr, as far as that goes in one call.
pub fn write_stderr(text: &[u8]) {
    // SAFETY: the bytes are valid for reads. A failure can't be reported anywhere.
    unsafe { libc::write(2, text.as_ptr().cast(), text.len()) };
}

pub fn abort() -> ! {
    // SAFETY: ends the process.
    unsafe { libc::abort() }
}
