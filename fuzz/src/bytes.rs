//! Reads decisions from a fuzzer's bytes. When they run out, everything is 0. May know: nothing.

pub struct Bytes<'a> {
    data: &'a [u8],
}

impl<'a> Bytes<'a> {
    pub fn new(data: &'a [u8]) -> Bytes<'a> {
        Bytes { data }
    }

    pub fn is_empty(&self) -> bool {
        self.data.is_empty()
    }

    pub fn u8(&mut self) -> u8 {
        let Some((&first, rest)) = self.data.split_first() else { return 0 };
        self.data = rest;
        first
    }

    pub fn flag(&mut self) -> bool {
        self.u8() & 1 != 0
    }

    pub fn u16(&mut self) -> u16 {
        u16::from_le_bytes([self.u8(), self.u8()])
    }

    pub fn u32(&mut self) -> u32 {
        (self.u16() as u32) | (self.u16() as u32) << 16
    }

    pub fn u64(&mut self) -> u64 {
        (self.u32() as u64) | (self.u32() as u64) << 32
    }

    /// A number below `end`; 0 for 0.
    pub fn below(&mut self, end: usize) -> usize {
        match end {
            0 | 1 => 0,
            2..=256 => self.u8() as usize % end,
            257..=65536 => self.u16() as usize % end,
            _ => self.u32() as usize % end,
        }
    }

    pub fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())]
    }

    /// A number near one that matters.
    pub fn near(&mut self, number: usize) -> usize {
        number.wrapping_add_signed(self.u8() as i8 as isize)
    }

    /// A request: mostly small, sometimes round a power of two, round some blocks, or absurd.
    pub fn size(&mut self, block: usize) -> usize {
        let how = self.u8();
        let high = (how >> 4) as usize;
        match how & 15 {
            0..=5 => self.u8() as usize,
            6 | 7 => self.u16() as usize % 2048,
            8 => self.u16() as usize,
            9 | 10 => self.near(1 << (high + 3)),
            11 => self.near(block),
            12 => self.near(block.wrapping_mul(high)),
            13 => (self.u16() as usize * block) >> 12,
            14 => self.u32() as usize >> high,
            _ => match high {
                0 => usize::MAX - self.u8() as usize,
                1 => usize::MAX / 2 + self.u8() as usize,
                2 => usize::MAX - block - self.u8() as usize,
                3 => (1 << self.below(64)) - 1,
                _ => self.u8() as usize * 16,
            },
        }
    }
}
