//! Dumps: the state of a context, written down piece by piece.
//!
//! Everything is written into a small buffer on the stack, which goes to the host's writer each time that it is full.
//! All three formats look at memory through `pieces`, in address order; the two maps sum pieces up in `cells`:
//!
//! ```text
//!   block records, unit words, live bits ─> pieces ─> JSON: neighbours that are alike
//!                                                 └─> cells of equal size, with the share of each owner ─> text, SVG
//! ```
//!
//! No lock is held while the host's writer runs. What a shared client does meanwhile may show halfway.
//! May know: client, context, stats, text.

mod cells;
mod json;
mod pieces;
mod sheet;
mod strip;
mod svg;
mod text;

use crate::client::limits::closed_all;
use crate::client::{Client, visible};
use crate::context::Context;
use crate::text::{Sink, character, is_odd, next_character, nibbles, say};
use core::sync::atomic::Ordering::Relaxed;

const BUFFER: usize = 512;

const TEXT: i32 = 0;
const JSON: i32 = 1;
const SVG: i32 = 2;

/// Writes a dump; `format` as in vmma_dump_format. 0, or the writer's other answer, which ends it.
pub fn dump(context: &Context, format: i32, write: &mut dyn FnMut(&[u8]) -> i32) -> i32 {
    let (mut out, mut result) = (Out::new(format, write), 0);
    closed_all(context, &mut || {
        match format {
            TEXT => text::write(context, &mut out),
            JSON => json::write(context, &mut out),
            _ => svg::write(context, &mut out),
        }
        result = out.finish();
    });
    result
}

/// The way to the host's writer.
pub struct Out<'a> {
    format: i32,
    write: &'a mut dyn FnMut(&[u8]) -> i32,
    buffer: [u8; BUFFER],
    used: usize,
    result: i32,
}

impl<'a> Out<'a> {
    fn new(format: i32, write: &'a mut dyn FnMut(&[u8]) -> i32) -> Out<'a> {
        Out { format, write, buffer: [0; BUFFER], used: 0, result: 0 }
    }

    /// Has the writer ended the dump? Then there is no use in looking further.
    fn stopped(&self) -> bool {
        self.result != 0
    }

    #[inline(never)]
    fn flush(&mut self) {
        if self.result == 0 && self.used > 0 {
            self.result = (self.write)(self.buffer.get(..self.used).unwrap_or(&[]));
        }
        self.used = 0;
    }

    fn finish(&mut self) -> i32 {
        self.flush();
        self.result
    }

    fn say(&mut self, template: &str, values: &[usize]) {
        say(self, template, values);
    }

    /// A client's name, escaped as the format needs it; if it has none, "client" and its slot.
    #[inline(never)]
    fn name(&mut self, client: &Client) {
        let name = client.name_bytes(client.context());
        let mut name = visible(&name);
        if name.is_empty() && self.format != JSON {
            self.say("client ~", &[client.slot() as usize]);
        }
        while let Some(character) = next_character(&mut name) {
            self.escape(character);
        }
    }

    /// One character of a name. JSON and XML must neither end at it nor forbid it.
    fn escape(&mut self, mut c: char) {
        let odd = is_odd(c);
        let special = odd || matches!(c, '"' | '\\' | '<' | '>' | '&' | '\'');
        if self.format == JSON && special {
            self.put(b"\\u");
            return nibbles(self, c as u64, 4);
        }
        if odd {
            c = if self.format == TEXT { '?' } else { char::REPLACEMENT_CHARACTER };
        } else if self.format == SVG && special {
            return self.say("&#~;", &[c as usize]);
        }
        character(self, c);
    }
}

impl Sink for Out<'_> {
    #[inline(never)]
    fn put(&mut self, text: &[u8]) {
        for &byte in text {
            if self.used >= BUFFER {
                self.flush();
            }
            if let Some(place) = self.buffer.get_mut(self.used) {
                *place = byte;
                self.used += 1;
            }
        }
    }
}

/// The names of flags, in the order of their values, each with `before` in front of it but the first.
#[inline(never)]
fn flag_names(flags: u32, out: &mut Out<'_>, before: &str) {
    const NAMES: &str = "THREADS SHARED_CLIENTS ZERO WIPE GUARD QUARANTINE PACKED NO_CACHE RELEASE ABORT";
    let mut flag = crate::flags::THREADS;
    let mut some = false;
    for name in NAMES.as_bytes().split(|&byte| byte == b' ') {
        if flags & flag != 0 {
            out.put(if some { before.as_bytes() } else { b"" });
            out.put(name);
            some = true;
        }
        flag <<= 1;
    }
}

/// The figures of a context that every dump has.
struct Figures {
    blocks: usize,
    held: usize,
    peak: usize,
    /// Neither held nor set aside.
    free: usize,
    set_aside: usize,
    /// Blocks that hold client slots.
    records: usize,
    /// Bytes of the tables in front of block 0.
    tables: usize,
}

impl Figures {
    #[inline(never)]
    fn of(context: &Context) -> Figures {
        let blocks = context.map.blocks;
        let free = context.free_for_all();
        Figures {
            blocks,
            held: context.held_blocks.load(Relaxed),
            peak: context.peak(),
            free,
            set_aside: context.free_blocks.load(Relaxed).saturating_sub(free),
            records: blocks.saturating_sub(context.usable_blocks()),
            tables: context.map.record_bytes(),
        }
    }
}

/// `part` of `whole` in a hundred.
fn percent(part: usize, whole: usize) -> usize {
    part.saturating_mul(100).checked_div(whole).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flags;

    /// What a writer that answers `answers` (0 beyond them) is given.
    fn written(answers: &[i32], fill: impl FnOnce(&mut Out<'_>)) -> (i32, Vec<Vec<u8>>) {
        let mut pieces = Vec::new();
        let mut write = |text: &[u8]| {
            pieces.push(text.to_vec());
            answers.get(pieces.len() - 1).copied().unwrap_or(0)
        };
        let mut out = Out::new(TEXT, &mut write);
        fill(&mut out);
        let result = out.finish();
        (result, pieces)
    }

    #[test]
    fn all_bytes_arrive_in_order_and_no_piece_is_empty() {
        for length in [0, 1, BUFFER - 1, BUFFER, BUFFER + 1, 5 * BUFFER, 5 * BUFFER + 7] {
            let text: Vec<u8> = (0..length).map(|i| (i % 251) as u8).collect();
            for step in [1, 3, 100, BUFFER, 2 * BUFFER] {
                let (result, pieces) = written(&[], |out| text.chunks(step).for_each(|part| out.put(part)));
                assert_eq!(result, 0);
                assert_eq!(pieces.concat(), text);
                assert!(pieces.iter().all(|piece| !piece.is_empty() && piece.len() <= BUFFER));
            }
        }
    }

    #[test]
    fn a_writer_that_answers_something_else_than_0_is_not_called_again() {
        let text = vec![b'x'; 10 * BUFFER];
        for stop in 1..=10 {
            let mut answers = vec![0; stop];
            answers[stop - 1] = 77;
            let (result, pieces) = written(&answers, |out| {
                for part in text.chunks(7) {
                    out.put(part);
                }
            });
            assert_eq!((result, pieces.len()), (77, stop));
        }
        let (result, pieces) = written(&[-1], |out| out.put(b"short"));
        assert_eq!((result, pieces.len()), (-1, 1), "also in the last piece, and with any number");
    }

    fn escaped(format: i32, mut name: &[u8]) -> String {
        let mut text = Vec::new();
        let mut write = |part: &[u8]| {
            text.extend_from_slice(part);
            0
        };
        let mut out = Out::new(format, &mut write);
        while let Some(c) = next_character(&mut name) {
            out.escape(c);
        }
        out.finish();
        String::from_utf8(text).unwrap()
    }

    #[test]
    fn a_name_cannot_command_the_terminal() {
        assert_eq!(escaped(TEXT, b"a\x1b[31m\n\r\t\x07\x7f"), "a?[31m?????");
        assert_eq!(escaped(TEXT, "x\u{9b}y\u{202e}z\u{2066}\u{61c}".as_bytes()), "x?y?z??");
        assert_eq!(escaped(TEXT, b"\xff\x80"), "??");
        assert_eq!(escaped(TEXT, "é€😀 <&>\"\\".as_bytes()), "é€😀 <&>\"\\");
    }

    #[test]
    fn names_are_escaped_for_json() {
        assert_eq!(escaped(JSON, b"plain %s ${x}"), "plain %s ${x}");
        assert_eq!(escaped(JSON, b"\"\\</"), r"\u0022\u005c\u003c/");
        assert_eq!(escaped(JSON, b"\n\x01\x1f\x7f"), r"\u000a\u0001\u001f\u007f");
        assert_eq!(escaped(JSON, "é€😀".as_bytes()), "é€😀");
        assert_eq!(escaped(JSON, b"a\xff\xc3("), r"a\ufffd\ufffd(");
        assert_eq!(escaped(JSON, "\u{2028}\u{85}\u{ffff}".as_bytes()), r"\u2028\u0085\uffff");
    }

    #[test]
    fn names_are_escaped_for_xml() {
        assert_eq!(escaped(SVG, b"</svg>&amp;\"']]>"), "&#60;/svg&#62;&#38;amp;&#34;&#39;]]&#62;");
        assert_eq!(escaped(SVG, b"\n\x01\x1b\x7f\xff"), "\u{fffd}\u{fffd}\u{fffd}\u{fffd}\u{fffd}");
        assert_eq!(escaped(SVG, "\u{fffe}\u{ffff}\u{202e}é€😀".as_bytes()), "\u{fffd}\u{fffd}\u{fffd}é€😀");
    }

    #[test]
    fn no_byte_becomes_syntax_or_a_character_that_is_forbidden() {
        for first in 0..=255u8 {
            for second in [0u8, b'"', b'\\', b'<', b'&', 0x80, 0xbf, 0xff] {
                let name = [first, second];
                assert!(escaped(TEXT, &name).chars().all(|c| !c.is_control()));
                let json = escaped(JSON, &name);
                assert!(json.chars().all(|c| !c.is_control() && c != '"'), "{json:?}");
                assert!(json.split('\\').skip(1).all(|part| part.starts_with('u')), "{json:?}");
                let xml = escaped(SVG, &name);
                assert!(xml.chars().all(|c| !c.is_control() && !"<>\"'".contains(c)), "{xml:?}");
                assert!(xml.split('&').skip(1).all(|part| part.starts_with('#') && part.contains(';')), "{xml:?}");
            }
        }
    }

    #[test]
    fn every_flag_has_its_name() {
        let named = [
            (flags::THREADS, "THREADS"),
            (flags::SHARED_CLIENTS, "SHARED_CLIENTS"),
            (flags::ZERO, "ZERO"),
            (flags::WIPE, "WIPE"),
            (flags::GUARD, "GUARD"),
            (flags::QUARANTINE, "QUARANTINE"),
            (flags::PACKED, "PACKED"),
            (flags::NO_CACHE, "NO_CACHE"),
            (flags::RELEASE, "RELEASE"),
            (flags::ABORT, "ABORT"),
        ];
        for (flag, name) in named {
            let (_, pieces) = written(&[], |out| flag_names(flag, out, ", "));
            assert_eq!(pieces.concat(), name.as_bytes());
        }
        let (_, pieces) = written(&[], |out| flag_names(flags::ZERO | flags::ABORT | flags::WIPE, out, ", "));
        assert_eq!(pieces.concat(), b"ZERO, WIPE, ABORT");
        assert_eq!(named.iter().fold(0, |all, (flag, _)| all | flag), 0x3ff);
    }

    #[test]
    fn percentages_of_nothing_and_of_everything() {
        assert_eq!((percent(0, 0), percent(5, 0), percent(1, 3), percent(7, 7)), (0, 0, 33, 100));
    }
}
