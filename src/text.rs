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

/// `value` bytes in three digits or so, cut off: "12.5 MiB", or "12.5M" if `short`.
pub fn size(sink: &mut impl Sink, value: u64, short: bool) {
    let mut power = 0u32;
    while power < 6 && value >> (10 * power) >= 1024 {
        power += 1;
    }
    decimal(sink, value >> (10 * power));
    if power == 0 {
        sink.put(if short { b"" } else { b" bytes" });
        return;
    }
    let whole = value >> (10 * power);
    let hundredths = ((value >> (10 * (power - 1))) & 1023) * 100 / 1024;
    let (tenths, last) = (hundredths / 10, hundredths % 10);
    if whole < 10 && last != 0 {
        sink.put(&[b'.', b'0' + tenths as u8, b'0' + last as u8]);
    } else if whole < 100 && tenths != 0 {
        sink.put(&[b'.', b'0' + tenths as u8]);
    }
    let letter = b" KMGTPE".get(power as usize).copied().unwrap_or(b'?');
    if short {
        sink.put(&[letter]);
    } else {
        sink.put(&[b' ', letter, b'i', b'B']);
    }
}

/// `template` with the values put in, one after another: `~` becomes a number, `@` a size in bytes.
pub fn say(sink: &mut impl Sink, template: &str, values: &[usize]) {
    let mut values = values.iter();
    let bytes = template.as_bytes();
    let mut next = || values.next().copied().unwrap_or(0) as u64;
    for part in bytes.split_inclusive(|&byte| byte == b'~' || byte == b'@') {
        match part.split_last() {
            Some((b'~', before)) => {
                sink.put(before);
                decimal(sink, next());
            }
            Some((b'@', before)) => {
                sink.put(before);
                size(sink, next(), false);
            }
            _ => sink.put(part),
        }
    }
}

/// One character as UTF-8.
pub fn character(sink: &mut impl Sink, character: char) {
    let code = character as u32;
    let tail = |shift: u32| 0x80 | (code >> shift) as u8 & 0x3f;
    match code {
        0..=0x7f => sink.put(&[code as u8]),
        0x80..=0x7ff => sink.put(&[0xc0 | (code >> 6) as u8, tail(0)]),
        0x800..=0xffff => sink.put(&[0xe0 | (code >> 12) as u8, tail(6), tail(0)]),
        _ => sink.put(&[0xf0 | (code >> 18) as u8, tail(12), tail(6), tail(0)]),
    }
}

/// The characters of bytes that may be no UTF-8; U+FFFD stands for what is none.
pub fn characters(bytes: &[u8], mut visit: impl FnMut(char)) {
    for chunk in bytes.utf8_chunks() {
        chunk.valid().chars().for_each(&mut visit);
        if !chunk.invalid().is_empty() {
            visit(char::REPLACEMENT_CHARACTER);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sized(value: u64, short: bool) -> String {
        let mut line = Line::<64>::new();
        size(&mut line, value, short);
        String::from_utf8(line.text().to_vec()).unwrap()
    }

    #[test]
    fn sizes_have_three_digits_and_a_unit() {
        let long = [
            (0, "0 bytes"),
            (1023, "1023 bytes"),
            (1024, "1 KiB"),
            (1536, "1.5 KiB"),
            (1088, "1.06 KiB"),
            (10 * 1024 + 52, "10 KiB"),
            (12 * 1024 + 512, "12.5 KiB"),
            (123 * 1024 + 512, "123 KiB"),
            (1023 * 1024 + 1023, "1023 KiB"),
            (1 << 40, "1 TiB"),
            (u64::MAX, "15.9 EiB"),
        ];
        for (value, expected) in long {
            assert_eq!(sized(value, false), expected);
        }
        assert_eq!(sized(1023, true), "1023");
        assert_eq!(sized(3 << 29, true), "1.5G");
    }

    #[test]
    fn templates_take_their_values_in_order() {
        let mut line = Line::<64>::new();
        say(&mut line, "a ~ b@, ~ and ~% %.", &[7, 2048, 0]);
        assert_eq!(line.text(), b"a 7 b2 KiB, 0 and 0% %.");
    }

    #[test]
    fn characters_come_out_as_they_went_in_and_what_is_no_utf8_is_replaced() {
        let read = |bytes: &[u8]| {
            let mut line = Line::<256>::new();
            characters(bytes, |c| character(&mut line, c));
            String::from_utf8(line.text().to_vec()).unwrap()
        };
        for text in ["", "plain", "\u{7f}\u{80}\u{7ff}\u{800}\u{ffff}\u{10000}\u{10ffff}", "é€😀"] {
            assert_eq!(read(text.as_bytes()), text);
        }
        for bytes in [&b"a\xffb\xc3"[..], b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xc0\x80x", b"\xe2\x82"] {
            assert_eq!(read(bytes), String::from_utf8_lossy(bytes));
        }
    }
}
