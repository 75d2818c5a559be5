//! What the criterion benches share: one `Heap` per allocator, each reached through calls that are not inlined, and the
//! size mixes. libvmma is called as C programs call it, through its `extern "C"` functions.

use std::alloc::Layout;
use std::ffi::{c_int, c_void};
use std::ptr::{self, NonNull};
use std::sync::Mutex;

extern crate vmma; // brings the symbols below

/// libvmma's C interface, as far as the benches need it.
pub mod ffi {
    use super::*;
    unsafe extern "C" {
        pub fn vmma_create_context(memory: *mut c_void, size: usize, alignment: usize, block: usize, flags: u32) -> *mut c_void;
        pub fn vmma_create_client(context: *mut c_void) -> *mut c_void;
        pub fn vmma_delete_client(client: *mut c_void) -> c_int;
        pub fn vmma_alloc(client: *mut c_void, size: usize) -> *mut c_void;
        pub fn vmma_free(client: *mut c_void, p: *mut c_void) -> c_int;
        pub fn vmma_realloc(client: *mut c_void, p: *mut c_void, size: usize) -> *mut c_void;
        pub fn vmma_test_address(client: *const c_void, p: *const c_void) -> c_int;
        pub fn vmma_get_size(client: *const c_void, p: *const c_void) -> usize;
        pub fn vmma_find_client(context: *const c_void, p: *const c_void) -> *mut c_void;
        pub fn vmma_find_allocation(client: *const c_void, p: *const c_void, size: *mut usize) -> *mut c_void;
    }
}

/// An allocator's heap. `n`, `old`: the size last asked for, for those that want to be told.
pub trait Heap {
    const NAME: &'static str;
    /// Closing frees everything at once; otherwise what is live is freed block by block before.
    const DELETES: bool;
    fn open() -> Self;
    fn alloc(&mut self, n: usize) -> *mut u8;
    /// # Safety
    /// `p` is live in this heap and has `n` bytes.
    unsafe fn free(&mut self, p: *mut u8, n: usize);
    /// # Safety
    /// `p` is live in this heap and has `old` bytes.
    unsafe fn realloc(&mut self, p: *mut u8, old: usize, n: usize) -> *mut u8;
    fn close(self);
}

/// Mapped memory for heaps that live in a given block; kept mapped and used again.
const ARENA: usize = 128 << 20;
struct Arenas(Vec<*mut u8>);
// SAFETY: plain memory, owned by whoever took it out.
unsafe impl Send for Arenas {}
static ARENAS: Mutex<Arenas> = Mutex::new(Arenas(Vec::new()));

fn arena() -> *mut u8 {
    if let Some(p) = ARENAS.lock().unwrap().0.pop() {
        return p;
    }
    // SAFETY: a fresh private mapping.
    let p = unsafe {
        libc::mmap(ptr::null_mut(), ARENA, libc::PROT_READ | libc::PROT_WRITE,
                   libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE, -1, 0)
    };
    assert!(p != libc::MAP_FAILED, "no memory");
    p.cast()
}
fn give(p: *mut u8) {
    ARENAS.lock().unwrap().0.push(p);
}

fn context(flags: u32) -> *mut c_void {
    static ALL: Mutex<Vec<(u32, usize)>> = Mutex::new(Vec::new());
    let mut all = ALL.lock().unwrap();
    if let Some(c) = all.iter().find(|c| c.0 == flags) {
        return c.1 as *mut c_void;
    }
    // SAFETY: NULL memory: the library maps it.
    let c = unsafe { ffi::vmma_create_context(ptr::null_mut(), 1 << 30, 0, 0, flags) };
    assert!(!c.is_null(), "no context");
    all.push((flags, c as usize));
    c
}

/// A libvmma client in a context with `FLAGS`.
pub struct Vmma<const FLAGS: u32>(pub *mut c_void);
impl<const FLAGS: u32> Vmma<FLAGS> {
    pub fn context() -> *mut c_void {
        context(FLAGS)
    }
}
impl<const FLAGS: u32> Heap for Vmma<FLAGS> {
    const NAME: &'static str = match FLAGS {
        0 => "libvmma",
        0x40 => "libvmma-packed",
        _ => "libvmma-flags",
    };
    const DELETES: bool = true;
    fn open() -> Self {
        // SAFETY: a live context.
        Vmma(unsafe { ffi::vmma_create_client(context(FLAGS)) })
    }
    fn alloc(&mut self, n: usize) -> *mut u8 {
        // SAFETY: a live client, as in the functions below.
        unsafe { ffi::vmma_alloc(self.0, n).cast() }
    }
    unsafe fn free(&mut self, p: *mut u8, _: usize) {
        // SAFETY: as above.
        unsafe { ffi::vmma_free(self.0, p.cast()) };
    }
    unsafe fn realloc(&mut self, p: *mut u8, _: usize, n: usize) -> *mut u8 {
        // SAFETY: as above.
        unsafe { ffi::vmma_realloc(self.0, p.cast(), n).cast() }
    }
    fn close(self) {
        // SAFETY: as above; the handle is not used again.
        unsafe { ffi::vmma_delete_client(self.0) };
    }
}

/// The C library's malloc.
pub struct Glibc;
impl Heap for Glibc {
    const NAME: &'static str = "glibc";
    const DELETES: bool = false;
    fn open() -> Self {
        Glibc
    }
    fn alloc(&mut self, n: usize) -> *mut u8 {
        // SAFETY: any size may be asked for.
        unsafe { libc::malloc(n).cast() }
    }
    unsafe fn free(&mut self, p: *mut u8, _: usize) {
        // SAFETY: the caller's promise.
        unsafe { libc::free(p.cast()) }
    }
    unsafe fn realloc(&mut self, p: *mut u8, _: usize, n: usize) -> *mut u8 {
        // SAFETY: the caller's promise.
        unsafe { libc::realloc(p.cast(), n).cast() }
    }
    fn close(self) {}
}

/// A mimalloc heap.
pub struct Mimalloc(*mut libmimalloc_sys::mi_heap_t);
impl Heap for Mimalloc {
    const NAME: &'static str = "mimalloc";
    const DELETES: bool = true;
    fn open() -> Self {
        // SAFETY: no preconditions.
        Mimalloc(unsafe { libmimalloc_sys::mi_heap_new() })
    }
    fn alloc(&mut self, n: usize) -> *mut u8 {
        // SAFETY: a live heap, as in the functions below.
        unsafe { libmimalloc_sys::mi_heap_malloc(self.0, n).cast() }
    }
    unsafe fn free(&mut self, p: *mut u8, _: usize) {
        // SAFETY: the caller's promise.
        unsafe { libmimalloc_sys::mi_free(p.cast()) }
    }
    unsafe fn realloc(&mut self, p: *mut u8, _: usize, n: usize) -> *mut u8 {
        // SAFETY: the caller's promise.
        unsafe { libmimalloc_sys::mi_heap_realloc(self.0, p.cast(), n).cast() }
    }
    fn close(self) {
        // SAFETY: the heap is not used again.
        unsafe { libmimalloc_sys::mi_heap_destroy(self.0) }
    }
}

fn layout(n: usize) -> Layout {
    Layout::from_size_align(n, 16).expect("a small size")
}

/// TLSF, of the rlsf crate, in a block of its own.
pub struct Tlsf(Box<rlsf::Tlsf<'static, u32, u32, 28, 32>>, *mut u8);
impl Heap for Tlsf {
    const NAME: &'static str = "tlsf";
    const DELETES: bool = true;
    fn open() -> Self {
        let (p, mut t) = (arena(), Box::new(rlsf::Tlsf::new()));
        // SAFETY: the arena is this heap's alone until close.
        unsafe { t.insert_free_block_ptr(NonNull::slice_from_raw_parts(NonNull::new_unchecked(p), ARENA)) };
        Tlsf(t, p)
    }
    #[inline(never)]
    fn alloc(&mut self, n: usize) -> *mut u8 {
        self.0.allocate(layout(n)).map_or(ptr::null_mut(), NonNull::as_ptr)
    }
    #[inline(never)]
    unsafe fn free(&mut self, p: *mut u8, _: usize) {
        // SAFETY: the caller's promise.
        unsafe { self.0.deallocate(NonNull::new_unchecked(p), 16) }
    }
    #[inline(never)]
    unsafe fn realloc(&mut self, p: *mut u8, _: usize, n: usize) -> *mut u8 {
        // SAFETY: the caller's promise.
        unsafe { self.0.reallocate(NonNull::new_unchecked(p), layout(n)).map_or(ptr::null_mut(), NonNull::as_ptr) }
    }
    fn close(self) {
        give(self.1);
    }
}

/// The talc crate, in a block of its own.
pub struct Talc(Box<talc::TalcCell<talc::source::Manual>>, *mut u8);
impl Heap for Talc {
    const NAME: &'static str = "talc";
    const DELETES: bool = true;
    fn open() -> Self {
        let (p, t) = (arena(), Box::new(talc::TalcCell::new(talc::source::Manual)));
        // SAFETY: the arena is this heap's alone until close.
        unsafe { t.claim(p, ARENA) }.expect("an arena that is large enough");
        Talc(t, p)
    }
    #[inline(never)]
    fn alloc(&mut self, n: usize) -> *mut u8 {
        // SAFETY: the size is not zero.
        unsafe { self.0.get_mut().allocate(layout(n)).map_or(ptr::null_mut(), NonNull::as_ptr) }
    }
    #[inline(never)]
    unsafe fn free(&mut self, p: *mut u8, n: usize) {
        // SAFETY: the caller's promise.
        unsafe { self.0.get_mut().deallocate(p, layout(n)) }
    }
    #[inline(never)]
    unsafe fn realloc(&mut self, p: *mut u8, old: usize, n: usize) -> *mut u8 {
        // SAFETY: the caller's promise; a move copies what both have.
        unsafe {
            if self.0.get_mut().try_realloc_in_place(p, layout(old), n) {
                return p;
            }
            let q = self.alloc(n);
            ptr::copy_nonoverlapping(p, q, old.min(n));
            self.free(p, old);
            q
        }
    }
    fn close(self) {
        give(self.1);
    }
}

/// The buddy_system_allocator crate, in a block of its own.
pub struct Buddy(Box<buddy_system_allocator::Heap<32>>, *mut u8);
impl Heap for Buddy {
    const NAME: &'static str = "buddy";
    const DELETES: bool = true;
    fn open() -> Self {
        let (p, mut h) = (arena(), Box::new(buddy_system_allocator::Heap::new()));
        // SAFETY: the arena is this heap's alone until close.
        unsafe { h.init(p as usize, ARENA) };
        Buddy(h, p)
    }
    #[inline(never)]
    fn alloc(&mut self, n: usize) -> *mut u8 {
        self.0.alloc(layout(n)).map_or(ptr::null_mut(), NonNull::as_ptr)
    }
    #[inline(never)]
    unsafe fn free(&mut self, p: *mut u8, n: usize) {
        // SAFETY: the caller's promise.
        unsafe { self.0.dealloc(NonNull::new_unchecked(p), layout(n)) }
    }
    unsafe fn realloc(&mut self, p: *mut u8, old: usize, n: usize) -> *mut u8 {
        let q = self.alloc(n);
        // SAFETY: the caller's promise; it has no realloc of its own.
        unsafe {
            ptr::copy_nonoverlapping(p, q, old.min(n));
            self.free(p, old);
        }
        q
    }
    fn close(self) {
        give(self.1);
    }
}

/// Runs `$f::<Heap>(args)` for every allocator.
#[macro_export]
macro_rules! for_all {
    ($f:ident, $($arg:expr),*) => {
        $f::<$crate::Vmma<0>>($($arg),*);
        $f::<$crate::Vmma<0x40>>($($arg),*);
        $f::<$crate::Glibc>($($arg),*);
        $f::<$crate::Mimalloc>($($arg),*);
        $f::<$crate::Tlsf>($($arg),*);
        $f::<$crate::Talc>($($arg),*);
        $f::<$crate::Buddy>($($arg),*);
    };
}

/// A xorshift generator: the same sequence in every run.
pub struct Rng(pub u64);
impl Rng {
    pub fn below(&mut self, n: u32) -> u32 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (((self.0 >> 32) * u64::from(n)) >> 32) as u32
    }
    fn between(&mut self, lo: f64, hi: f64) -> usize {
        (lo * (hi / lo).powf(f64::from(self.below(1 << 30)) / f64::from(1 << 30))) as usize
    }
    /// 16..1024, log-uniform
    pub fn log_size(&mut self) -> usize {
        self.between(16.0, 1024.0)
    }
    /// 60 % in 16..64, 30 % in 64..256, 9 % in 256..4096, 1 % in 4 KiB..64 KiB
    pub fn vm_size(&mut self) -> usize {
        match self.below(100) {
            0..60 => self.between(16.0, 64.0),
            60..90 => self.between(64.0, 256.0),
            90..99 => self.between(256.0, 4096.0),
            _ => self.between(4096.0, 65536.0),
        }
    }
}
