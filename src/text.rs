//! Text without an allocator and without anything that can panic: bytes go to a sink as they come.
//! May know: nothing.

/// Takes text piece by piece.
pub trait Sink {
    fn put(&mut self, text: &[u8]);
}

/// A sink that keeps as much as fits.
pub struct Line<const N: usize> {
    bytes: [u8; N],
    used: usize,
}

impl<const N: usize> Line<N> {
    pub const fn new() -> Line<N> {
        Line { bytes: [0; N], used: 0 }
    }

    pub fn text(&self) -> &[u8] {
        self.bytes.get(..self.used).unwrap_or(&[])
    }
}

impl<const N: usize> Sink for Line<N> {
    fn put(&mut self, text: &[u8]) {
        for &byte in text {
            if let Some(place) = self.bytes.get_mut(self.used) {
                *place = byte;
                self.used += 1;
            }
        }
    }
}

/// `value` in decimal.
pub fn decimal(sink: &mut impl Sink, value: u64) {
    let mut digits = [0u8; 20];
    let mut at = digits.len();
    let mut rest = value;
    loop {
        at -= 1;
        if let Some(digit) = digits.get_mut(at) {
            *digit = b'0' + (rest % 10) as u8;
        }
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    sink.put(digits.get(at..).unwrap_or(&[]));
}

/// `value` as 0x…
pub fn hex(sink: &mut impl Sink, value: u64) {
    sink.put(b"0x");
    let digits = (64 - value.leading_zeros()).div_ceil(4).max(1);
    for digit in (0..digits).rev() {
        let nibble = (value >> (digit * 4)) as u8 & 15;
        sink.put(&[if nibble < 10 { b'0' + nibble } else { b'a' + nibble - 10 }]);
    }
}
