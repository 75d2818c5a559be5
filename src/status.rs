//! What a call can answer: the names behind the numbers of vmma_status, and the flags.
//! May know: nothing.

/// Failures. The numbers are those of the C interface.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(i32)]
pub enum Status {
    Invalid = -1,
    NoMemory = -2,
    Limit = -3,
    NotOwned = -4,
    NotStart = -5,
    DoubleFree = -6,
    Overrun = -7,
    UseAfterFree = -8,
    Corrupt = -9,
    Busy = -10,
}

impl Status {
    pub fn code(self) -> i32 {
        self as i32
    }

    /// Does this status say that the program did something wrong (and not that something ran out)?
    pub fn is_misuse(self) -> bool {
        !matches!(self, Status::NoMemory | Status::Limit | Status::Busy)
    }
}

/// What a status means, in words.
pub fn text(status: i32) -> &'static core::ffi::CStr {
    match status {
        0 => c"success",
        -1 => c"invalid argument, or NULL or dead handle",
        -2 => c"out of memory: the context is exhausted",
        -3 => c"out of memory: the client's own limit",
        -4 => c"address not owned by this client",
        -5 => c"address not the start of an allocation",
        -6 => c"memory is not allocated: double free",
        -7 => c"red zone overwritten: an allocation was overrun",
        -8 => c"freed memory overwritten: use after free",
        -9 => c"records of the library are corrupt",
        -10 => c"not allowed inside this callback",
        _ => c"unknown status",
    }
}
