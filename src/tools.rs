//! Memory tools: AddressSanitizer and valgrind's memcheck are told what of the blocks may be touched.
//!
//! Which of them watches is found out once, when a context is made. Where none does, all of this is one comparison
//! on the long way; where one does, the fast paths of the context are closed, so every call comes by.
//!
//! - AddressSanitizer: its two functions are referred to weakly. They are there if the program has its runtime, and
//!   nothing has to be linked for it. They only say what may be touched; the reports come from the program's own code.
//! - memcheck: client requests, a sequence of instructions that do nothing outside valgrind. Each allocation is a
//!   block to it, with the stack that made and the one that freed it; what is not freed at the end is a leak.
//!   Other valgrind tools (callgrind, massif) change nothing, so that they measure what is there without them.
//!
//! Invariants, while a tool watches: in blocks that were ever used, and `AHEAD` bytes further, just the live
//! allocations are open, as far as the program may use them (`vmma_get_size`). The library opens what else it
//! has to touch (red zones, patterns, wiping) for that moment. Records are always open.
//! May know: nothing. The only user of the tools' interfaces.

/// Which tool watches a context. Not an enum: it stands in the header, where any value must be harmless.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(transparent)]
pub struct Tools(u32);

/// So many bytes behind the blocks that were ever used are closed too, for an overflow of the last one.
pub const AHEAD: usize = 16 << 20;

impl Tools {
    const NONE: Tools = Tools(0);
    const SANITIZER: Tools = Tools(1);
    const MEMCHECK: Tools = Tools(2);

    /// The tool that watches this process.
    pub fn find() -> Tools {
        if sanitizer::close().is_some() && sanitizer::open().is_some() {
            Tools::SANITIZER
        } else if memcheck::watches() {
            Tools::MEMCHECK
        } else {
            Tools::NONE
        }
    }

    #[inline(always)]
    pub fn watch(self) -> bool {
        self != Tools::NONE
    }

    pub fn number(self) -> u32 {
        self.0
    }

    /// Does the tool want to hear of the end of every single allocation, also when all end together?
    pub fn counts_allocations(self) -> bool {
        self == Tools::MEMCHECK
    }

    /// From now on nobody may touch this memory.
    #[inline]
    pub fn close(self, start: *const u8, len: usize) {
        if self.watch() && len > 0 {
            self.close_watched(start, len);
        }
    }

    #[cold]
    fn close_watched(self, start: *const u8, len: usize) {
        if self == Tools::SANITIZER {
            sanitizer::call(sanitizer::close(), start, len);
        } else if self == Tools::MEMCHECK {
            memcheck::request(memcheck::MAKE_MEM_NOACCESS, start.addr(), len, 0);
        }
    }

    /// From now on this memory may be touched, and its content means something.
    #[inline]
    pub fn open(self, start: *const u8, len: usize) {
        if self.watch() && len > 0 {
            self.open_watched(start, len);
        }
    }

    #[cold]
    fn open_watched(self, start: *const u8, len: usize) {
        if self == Tools::SANITIZER {
            sanitizer::call(sanitizer::open(), start, len);
        } else if self == Tools::MEMCHECK {
            memcheck::request(memcheck::MAKE_MEM_DEFINED, start.addr(), len, 0);
        }
    }

    /// An allocation of `size` bytes begins. It is open; what is in it means nothing yet.
    #[inline]
    pub fn begin(self, start: *const u8, size: usize) {
        if self == Tools::MEMCHECK {
            memcheck::request(memcheck::MALLOCLIKE_BLOCK, start.addr(), size, 0);
        } else {
            self.open(start, size);
        }
    }

    /// An allocation of `size` bytes ends, and is closed.
    #[inline]
    pub fn end(self, start: *const u8, size: usize) {
        if self == Tools::MEMCHECK {
            memcheck::request(memcheck::FREELIKE_BLOCK, start.addr(), 0, 0);
        } else {
            self.close(start, size);
        }
    }

    /// An allocation changes its size and stays where it is.
    #[inline]
    pub fn resize(self, start: *const u8, old: usize, new: usize) {
        if !self.watch() || old == new {
            return;
        }
        if self == Tools::MEMCHECK {
            memcheck::request(memcheck::RESIZEINPLACE_BLOCK, start.addr(), old, new);
        } else if new > old {
            self.open(start, new);
        } else {
            self.close(start.wrapping_add(new), old - new);
        }
    }
}

/// Weak symbols are a thing of ELF.
#[cfg(all(
    any(target_os = "linux", target_os = "android", target_os = "freebsd", target_os = "netbsd"),
    any(
        target_arch = "x86_64",
        target_arch = "x86",
        target_arch = "aarch64",
        target_arch = "arm",
        target_arch = "riscv64"
    ),
    not(miri)
))]
mod sanitizer {
    use core::ffi::c_void;

    type Mark = unsafe extern "C" fn(*const c_void, usize);

    unsafe extern "C" {
        fn __asan_poison_memory_region(start: *const c_void, len: usize);
        fn __asan_unpoison_memory_region(start: *const c_void, len: usize);
    }

    // For the object in which this module ends up. Wherever else the compiler may carry the references, the same
    // directive goes along, below.
    core::arch::global_asm!(".weak __asan_poison_memory_region", ".weak __asan_unpoison_memory_region");

    /// A weak symbol's address is 0 where nobody defines it. The compiler takes for granted that no function lies at
    /// 0, so the address goes through an instruction (none) that it does not see through.
    macro_rules! weak {
        ($name:ident) => {{
            let mut address = $name as *const () as usize;
            // SAFETY: no instruction, and a directive that says again what the module's own says.
            unsafe {
                core::arch::asm!(
                    concat!(".weak ", stringify!($name), " /* {0} */"),
                    inout(reg) address,
                    options(nomem, nostack, preserves_flags)
                );
            }
            // SAFETY: not 0, so it is the address of that function, which has this type.
            (address != 0).then(|| unsafe { core::mem::transmute::<usize, Mark>(address) })
        }};
    }

    #[inline(never)]
    pub fn close() -> Option<Mark> {
        weak!(__asan_poison_memory_region)
    }

    #[inline(never)]
    pub fn open() -> Option<Mark> {
        weak!(__asan_unpoison_memory_region)
    }

    pub fn call(mark: Option<Mark>, start: *const u8, len: usize) {
        if let Some(mark) = mark {
            // SAFETY: marks memory of the context, which nobody else may mark meanwhile, in the tool's own records.
            unsafe { mark(start.cast(), len) };
        }
    }
}

#[cfg(not(all(
    any(target_os = "linux", target_os = "android", target_os = "freebsd", target_os = "netbsd"),
    any(
        target_arch = "x86_64",
        target_arch = "x86",
        target_arch = "aarch64",
        target_arch = "arm",
        target_arch = "riscv64"
    ),
    not(miri)
)))]
mod sanitizer {
    pub fn close() -> Option<()> {
        None
    }

    pub fn open() -> Option<()> {
        None
    }

    pub fn call(_: Option<()>, _: *const u8, _: usize) {}
}

/// The part of memcheck's client requests that we use; the numbers are its fixed interface.
mod memcheck {
    pub const MALLOCLIKE_BLOCK: usize = 0x1301;
    pub const FREELIKE_BLOCK: usize = 0x1302;
    pub const RESIZEINPLACE_BLOCK: usize = 0x130b;
    const TOOL: usize = (b'M' as usize) << 24 | (b'C' as usize) << 16;
    pub const MAKE_MEM_NOACCESS: usize = TOOL;
    pub const MAKE_MEM_DEFINED: usize = TOOL + 2;
    const GET_VBITS: usize = TOOL + 8;

    /// Asks something that only memcheck answers, of one byte of our own stack. (To ask whether a closed byte is
    /// addressable would do as well, but it counts as an error of the program.)
    pub fn watches() -> bool {
        let byte = 0u8;
        let mut bits = 0u8;
        request(GET_VBITS, (&raw const byte).addr(), (&raw mut bits).expose_provenance(), 1) == 1
    }

    /// A client request; 0 where no valgrind is, or its tool does not know the request.
    #[cfg(all(target_arch = "x86_64", not(miri), not(windows)))]
    #[inline(never)]
    pub fn request(number: usize, a: usize, b: usize, c: usize) -> usize {
        let arguments = [number, a, b, c, 0, 0];
        let mut answer = 0usize;
        // SAFETY: four rotations by 128 bits in all and an exchange of a register with itself: nothing changes but
        // the flags. valgrind knows the sequence, reads the arguments and marks memory in its own records.
        unsafe {
            core::arch::asm!(
                "rol rdi, 3",
                "rol rdi, 13",
                "rol rdi, 61",
                "rol rdi, 51",
                "xchg rbx, rbx",
                in("rax") arguments.as_ptr(),
                inout("rdx") answer,
                options(nostack)
            );
        }
        answer
    }

    #[cfg(all(target_arch = "aarch64", not(miri), not(windows)))]
    #[inline(never)]
    pub fn request(number: usize, a: usize, b: usize, c: usize) -> usize {
        let arguments = [number, a, b, c, 0, 0];
        let mut answer = 0usize;
        // SAFETY: four rotations by 128 bits in all and an or of a register with itself: nothing changes. valgrind
        // knows the sequence, reads the arguments and marks memory in its own records.
        unsafe {
            core::arch::asm!(
                "ror x12, x12, #3",
                "ror x12, x12, #13",
                "ror x12, x12, #51",
                "ror x12, x12, #61",
                "orr x10, x10, x10",
                in("x4") arguments.as_ptr(),
                inout("x3") answer,
                options(nostack)
            );
        }
        answer
    }

    #[cfg(not(all(any(target_arch = "x86_64", target_arch = "aarch64"), not(miri), not(windows))))]
    pub fn request(_: usize, _: usize, _: usize, _: usize) -> usize {
        0
    }
}
