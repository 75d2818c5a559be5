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
    #[inline(never)]
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
#[inline(never)]
pub fn decimal(sink: &mut dyn Sink, value: u64) {
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
fn hex(sink: &mut dyn Sink, value: u64) {
    sink.put(b"0x");
    nibbles(sink, value, (64 - value.leading_zeros()).div_ceil(4).max(1));
}

/// The last `digits` hexadecimal digits of `value`.
pub fn nibbles(sink: &mut dyn Sink, value: u64, digits: u32) {
    for digit in (0..digits).rev() {
        let nibble = (value >> (digit * 4)) as u8 & 15;
        sink.put(&[if nibble < 10 { b'0' + nibble } else { b'a' + nibble - 10 }]);
    }
}

/// `value` bytes in at most four digits, cut off: "12.5M", or "12.5 MiB" if `long`.
fn size(sink: &mut dyn Sink, mut value: u64, long: bool) {
    let mut letters = b" KMGTPE".iter();
    let mut letter = letters.next();
    let mut rest = 0;
    while value >= 1024 {
        rest = value & 1023;
        value >>= 10;
        letter = letters.next();
    }
    decimal(sink, value);
    let tenth = rest * 10 / 1024;
    if value < 100 && tenth > 0 {
        sink.put(&[b'.', b'0' + tenth as u8]);
    }
    let letter = *letter.unwrap_or(&b' ');
    match (long, letter) {
        (true, b' ') => sink.put(b" bytes"),
        (true, _) => sink.put(&[b' ', letter, b'i', b'B']),
        (false, b' ') => {}
        (false, _) => sink.put(&[letter]),
    }
}

/// `template` with values put in, one after another:
///
/// ```text
///   ~ a number    @ a size: 12.5 MiB    ^ a short size: 12.5M    ! the same, - for 0
///   ` 0x and hexadecimal digits         $ six hexadecimal digits
///   ____~ the same at the right of a field, here of 5 columns
/// ```
#[inline(never)]
pub fn say(sink: &mut dyn Sink, template: &str, values: &[usize]) {
    let mut values = values.iter();
    let mut width = 0;
    for byte in template.bytes() {
        if byte == b'_' {
            width += 1;
            continue;
        }
        let mut field = Line::<24>::new();
        if matches!(byte, b'~' | b'@' | b'^' | b'!' | b'`' | b'$') {
            let value = values.next().copied().unwrap_or(0) as u64;
            match byte {
                b'~' => decimal(&mut field, value),
                b'`' => hex(&mut field, value),
                b'$' => nibbles(&mut field, value, 6),
                b'!' if value == 0 => field.put(b"-"),
                _ => size(&mut field, value, byte == b'@'),
            }
            fill(sink, b" ", (width + 1usize).saturating_sub(field.used));
        } else {
            // Not a field: these were characters.
            fill(sink, b"_", width);
            field.put(&[byte]);
        }
        sink.put(field.text());
        width = 0;
    }
    fill(sink, b"_", width);
}

fn fill(sink: &mut dyn Sink, with: &[u8], count: usize) {
    for _ in 0..count {
        sink.put(with);
    }
}

/// One character as UTF-8.
#[inline(never)]
pub fn character(sink: &mut dyn Sink, character: char) {
    let code = character as u32;
    let (lead, tails) = match code {
        0..=0x7f => (0, 0),
        0x80..=0x7ff => (0xc0, 1),
        0x800..=0xffff => (0xe0, 2),
        _ => (0xf0, 3),
    };
    sink.put(&[lead | (code >> (6 * tails)) as u8]);
    for tail in (0..tails).rev() {
        sink.put(&[0x80 | (code >> (6 * tail)) as u8 & 0x3f]);
    }
}

/// Could a terminal take it for a command or for a change of direction, or XML for none that it allows?
pub fn is_odd(c: char) -> bool {
    matches!(c as u32, 0..=0x1f | 0x7f..=0x9f | 0x61c | 0x200e..=0x200f | 0x2028..=0x202e | 0x2066..=0x2069 | 0xfffd..=0xffff)
}

/// Takes the first character off bytes that may be no UTF-8; U+FFFD stands for what is none.
#[inline(never)]
pub fn next_character(bytes: &mut &[u8]) -> Option<char> {
    let (&first, mut rest) = bytes.split_first()?;
    let ones = first.leading_ones();
    let length = match ones {
        0 => 1,
        2..=4 => ones as usize,
        _ => 0, // no character begins so
    };
    let (mut code, mut read) = (first as u32 & (0x7f >> ones), 1);
    while read < length
        && let Some((&byte, behind)) = rest.split_first()
        && byte & 0xc0 == 0x80
    {
        code = code << 6 | byte as u32 & 0x3f;
        read += 1;
        rest = behind;
    }
    *bytes = rest;
    // Surrogates and what is too high are no characters; what could be shorter is not UTF-8.
    let found = char::from_u32(code).filter(|character| read == length && character.len_utf8() == length);
    Some(found.unwrap_or(char::REPLACEMENT_CHARACTER))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sized(value: u64, short: bool) -> String {
        let mut line = Line::<64>::new();
        size(&mut line, value, !short);
        String::from_utf8(line.text().to_vec()).unwrap()
    }

    #[test]
    fn sizes_have_few_digits_and_a_unit() {
        let long = [
            (0, "0 bytes"),
            (1023, "1023 bytes"),
            (1024, "1 KiB"),
            (1536, "1.5 KiB"),
            (1088, "1 KiB"),
            (1024 + 103, "1.1 KiB"),
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
        say(&mut line, "a ~ b@, ~ and ~% %, ` `.", &[7, 2048, 0, 9, 0, 0x1a0]);
        assert_eq!(line.text(), b"a 7 b2 KiB, 0 and 9% %, 0x0 0x1a0.");
    }

    #[test]
    fn fields_are_right_aligned_and_other_underlines_are_characters() {
        let mut line = Line::<64>::new();
        say(&mut line, "a_b __~|____^_^__!#$_", &[7, 1536, 12345, 0, 0xab]);
        assert_eq!(line.text(), b"a_b   7| 1.5K12K  -#0000ab_");
        let mut line = Line::<64>::new();
        say(&mut line, "__~.~", &[123456, usize::MAX]);
        assert_eq!(line.text(), format!("123456.{}", usize::MAX).as_bytes());
    }

    #[test]
    fn characters_come_out_as_they_went_in_and_what_is_no_utf8_is_replaced() {
        let read = |mut bytes: &[u8]| {
            let mut line = Line::<256>::new();
            while let Some(c) = next_character(&mut bytes) {
                character(&mut line, c);
            }
            String::from_utf8(line.text().to_vec()).unwrap()
        };
        for text in ["", "plain", "\u{7f}\u{80}\u{7ff}\u{800}\u{ffff}\u{10000}\u{10ffff}", "é€😀"] {
            assert_eq!(read(text.as_bytes()), text);
        }
        for (bytes, expected) in [
            (&b"a\xffb\xc3"[..], "a\u{fffd}b\u{fffd}"),
            (b"\xed\xa0\x80", "\u{fffd}"),
            (b"\xf4\x90\x80\x80", "\u{fffd}"),
            (b"\xc0\x80x", "\u{fffd}x"),
            (b"\xf8\x88\x80", "\u{fffd}\u{fffd}\u{fffd}"),
        ] {
            assert_eq!(read(bytes), expected, "{bytes:?}");
        }
        assert_eq!(read(b"\xe2\x82\xc3\xa9"), "\u{fffd}é", "what is behind a broken character is read");
    }

    #[test]
    fn exactly_what_is_utf8_is_read_as_such() {
        let mut broken = 0;
        for code in 0..1u32 << 24 {
            // Every lead and second byte, and third and fourth bytes at the edges.
            let bytes = [(code >> 16) as u8, (code >> 8) as u8, [0x7f, 0x80, 0xbf, 0xc0][code as usize & 3], 0x80];
            if code & 0xfc != 0 {
                continue;
            }
            let mut rest = &bytes[..];
            let found: Vec<char> = std::iter::from_fn(|| next_character(&mut rest)).collect();
            let text: String = found.iter().collect();
            match std::str::from_utf8(&bytes) {
                Ok(expected) => assert_eq!(text, expected),
                Err(error) => {
                    broken += 1;
                    assert!(text.starts_with(std::str::from_utf8(&bytes[..error.valid_up_to()]).unwrap()));
                    assert_eq!(
                        found[bytes[..error.valid_up_to()].iter().filter(|b| **b & 0xc0 != 0x80).count()],
                        '\u{fffd}'
                    );
                }
            }
        }
        assert!(broken > 0);
    }
}
