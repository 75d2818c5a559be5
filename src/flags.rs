//! The flags of a context, and which of them this build knows.
//! May know: nothing.

pub const THREADS: u32 = 0x0001;
pub const SHARED_CLIENTS: u32 = 0x0002;
pub const ZERO: u32 = 0x0004;
pub const WIPE: u32 = 0x0008;
pub const GUARD: u32 = 0x0010;
pub const QUARANTINE: u32 = 0x0020;
pub const PACKED: u32 = 0x0040;
pub const NO_CACHE: u32 = 0x0080;
pub const RELEASE: u32 = 0x0100;
pub const ABORT: u32 = 0x0200;

/// All flags that this build accepts.
pub const SUPPORTED: u32 = THREADS
    | SHARED_CLIENTS
    | if cfg!(feature = "zero") { ZERO } else { 0 }
    | if cfg!(feature = "wipe") { WIPE } else { 0 }
    | if cfg!(feature = "guard") { GUARD } else { 0 }
    | if cfg!(feature = "quarantine") { QUARANTINE } else { 0 }
    | if cfg!(feature = "packed") { PACKED } else { 0 }
    | if cfg!(feature = "no_cache") { NO_CACHE } else { 0 }
    | if cfg!(feature = "release") { RELEASE } else { 0 }
    | if cfg!(feature = "abort") { ABORT } else { 0 };

/// What a context makes of the flags that it was given: unknown ones dropped, implied ones added.
pub fn accepted(flags: u32) -> u32 {
    let known = flags & SUPPORTED;
    if known & SHARED_CLIENTS != 0 { known | THREADS } else { known }
}
