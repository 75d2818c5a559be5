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

/// The texts for 0, -1, -2 … In one piece: a table of pointers to them would take more memory than the texts.
const TEXTS: &[u8] = b"success\0\
    invalid argument, or NULL or dead handle\0\
    out of memory: the context is exhausted\0\
    out of memory: the client's own limit\0\
    address not owned by this client\0\
    address not the start of an allocation\0\
    memory is not allocated: double free\0\
    red zone overwritten: an allocation was overrun\0\
    freed memory overwritten: use after free\0\
    records of the library are corrupt\0\
    not allowed inside this callback\0";

/// What a status means, in words, up to the first zero byte.
pub fn text(status: i32) -> &'static [u8] {
    let mut rest = TEXTS;
    let mut before = status.unsigned_abs();
    while before > 0
        && let Some((&byte, behind)) = rest.split_first()
    {
        before -= (byte == 0) as u32;
        rest = behind;
    }
    if status > 0 || rest.is_empty() { b"unknown status\0" } else { rest }
}

/// The words alone.
pub fn words(status: i32) -> &'static [u8] {
    text(status).split(|&byte| byte == 0).next().unwrap_or(&[])
}
