//! The dump for a program: one JSON object. Its names are stable; docs/dump.schema.json says what they mean.
//! May know: pieces, stats, context.

use super::pieces::{Detail, Piece, Pieces, State};
use super::{Figures, Out, flag_names};
use crate::client::Client;
use crate::client::limits::all;
use crate::context::Context;
use crate::inspect::stats::context_overhead;
use crate::memory::NONE;
use crate::text::Sink;

pub fn write(context: &Context, out: &mut Out<'_>) {
    out.put(concat!("{\"libvmma\": \"", env!("CARGO_PKG_VERSION"), "\",\n\"context\": {\"flags\": [").as_bytes());
    if context.flags != 0 {
        out.put(b"\"");
        flag_names(context.flags, out, "\", \"");
        out.put(b"\"");
    }
    let figures = Figures::of(context);
    out.say(
        "], \"total_size\": ~, \"alignment\": ~, \"block_size\": ~, \"total_blocks\": ~, \"free_blocks\": ~, \
         \"held_blocks\": ~, \"set_aside_blocks\": ~, \"record_blocks\": ~, \"peak_blocks\": ~, \"overhead_size\": ~, \
         \"client_count\": ~},\n\"clients\": [",
        &[
            context.map.size(),
            context.map.shape.alignment,
            context.map.shape.block_size(),
            figures.blocks,
            figures.free,
            figures.held,
            figures.set_aside,
            figures.records,
            figures.peak,
            context_overhead(context),
            context.clients(),
        ],
    );
    let mut between = "\n";
    for client in all(context) {
        if out.stopped() {
            return;
        }
        out.put(between.as_bytes());
        one_client(client, out);
        between = ",\n";
    }
    out.put(b"],\n\"blocks\": [");
    let mut entries = Entries { shift: context.map.shape.block_shift, open: None, between: "\n" };
    for piece in Pieces::of(context, Detail::Units) {
        entries.add(out, &piece);
        if out.stopped() {
            break;
        }
    }
    entries.close(out);
    out.put(b"]}\n");
}

fn one_client(client: &Client, out: &mut Out<'_>) {
    let stats = client.stats();
    out.say("{\"id\": ~, \"name\": \"", &[client.slot() as usize]);
    out.name(client);
    out.say(
        "\", \"limit\": ~, \"guarantee\": ~, \"peak_held_size\": ~, \"held_size\": ~, \"live_count\": ~, \
         \"live_size\": ~, \"cached_size\": ~, \"cached_blocks\": ~, \"free_size\": ~, \"largest_free\": ~, \
         \"overhead_size\": ~, \"failed_count\": ~, \"largest_failed\": ~}",
        &[
            client.limit(),
            client.guarantee(),
            client.peak_held_size(),
            stats.held_size,
            stats.live_count,
            stats.live_size,
            stats.cached_size,
            stats.cached_blocks,
            stats.free_size,
            stats.largest_free,
            stats.overhead_size,
            stats.failed_count,
            stats.largest_failed,
        ],
    );
}

/// Puts neighbours that are alike into one entry; a run of blocks is an entry of its own.
struct Entries {
    shift: u32,
    open: Option<Piece>,
    between: &'static str,
}

impl Entries {
    fn add(&mut self, out: &mut Out<'_>, piece: &Piece) {
        match &mut self.open {
            // While a shared client goes on a block may change between two pieces of it: it stays with what it began as.
            Some(open) if alike(open, piece) || piece.start & ((1 << self.shift) - 1) != 0 => {
                open.length += piece.length;
                open.live += piece.live;
                open.cached += piece.cached;
            }
            _ => {
                self.close(out);
                self.open = Some(*piece);
            }
        }
    }

    #[inline(never)]
    fn close(&mut self, out: &mut Out<'_>) {
        let Some(piece) = self.open.take() else { return };
        out.put(self.between.as_bytes());
        self.between = ",\n";
        out.say("{\"first\": ~, \"count\": ~, \"state\": \"", &[piece.start >> self.shift, piece.length >> self.shift]);
        out.put(match piece.state {
            State::Free => b"free\"",
            State::Records => b"records\"",
            State::Buddy => b"buddy\"",
            State::Run => b"run\"",
        });
        if piece.slot != NONE {
            out.say(
                ", \"client\": ~, \"live_size\": ~, \"cached_size\": ~",
                &[piece.slot as usize, piece.live, piece.cached],
            );
        }
        out.put(b"}");
    }
}

fn alike(a: &Piece, b: &Piece) -> bool {
    a.state == b.state && a.slot == b.slot && a.state != State::Run
}

#[cfg(test)]
mod tests {
    use super::super::JSON;
    use super::*;

    fn entries(pieces: &[Piece]) -> String {
        let mut text = Vec::new();
        let mut write = |part: &[u8]| {
            text.extend_from_slice(part);
            0
        };
        let mut out = Out::new(JSON, &mut write);
        let mut entries = Entries { shift: 10, open: None, between: "" };
        for piece in pieces {
            entries.add(&mut out, piece);
        }
        entries.close(&mut out);
        out.finish();
        String::from_utf8(text).unwrap()
    }

    fn piece(state: State, slot: u32, start: usize, length: usize, live: usize) -> Piece {
        Piece { state, slot, start, length, live, cached: 1, free: 0 }
    }

    #[test]
    fn neighbours_that_are_alike_are_one_entry_but_runs_are_not() {
        let text = entries(&[
            piece(State::Buddy, 2, 0, 512, 100),
            piece(State::Buddy, 2, 512, 512, 200),
            piece(State::Buddy, 2, 1024, 1024, 300),
            piece(State::Run, 2, 2048, 2048, 2000),
            piece(State::Run, 2, 4096, 1024, 1024),
            piece(State::Free, NONE, 5120, 1024, 0),
            piece(State::Free, NONE, 6144, 1024, 0),
            piece(State::Records, NONE, 7168, 1024, 0),
        ]);
        let expected = [
            r#"{"first": 0, "count": 2, "state": "buddy", "client": 2, "live_size": 600, "cached_size": 3}"#,
            r#"{"first": 2, "count": 2, "state": "run", "client": 2, "live_size": 2000, "cached_size": 1}"#,
            r#"{"first": 4, "count": 1, "state": "run", "client": 2, "live_size": 1024, "cached_size": 1}"#,
            r#"{"first": 5, "count": 2, "state": "free"}"#,
            r#"{"first": 7, "count": 1, "state": "records"}"#,
        ];
        assert_eq!(text, expected.join(",\n"));
    }

    #[test]
    fn a_block_that_changes_hands_while_it_is_looked_at_stays_one_entry() {
        let text = entries(&[
            piece(State::Buddy, 2, 0, 512, 100),
            piece(State::Free, NONE, 512, 512, 0),
            piece(State::Free, NONE, 1024, 1024, 0),
        ]);
        let expected = [
            r#"{"first": 0, "count": 1, "state": "buddy", "client": 2, "live_size": 100, "cached_size": 2}"#,
            r#"{"first": 1, "count": 1, "state": "free"}"#,
        ];
        assert_eq!(text, expected.join(",\n"));
    }
}
