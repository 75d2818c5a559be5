//! The dump for a person at a terminal: the context, a table of clients, a map by characters.
//! May know: cells, pieces, stats, context.

use super::cells::{Cell, Cells, RECORDS, cell_size};
use super::pieces::{Detail, pieces};
use super::{Figures, Out, VERSION, flag_names, percent};
use crate::client::limits::for_all;
use crate::client::Client;
use crate::context::Context;
use crate::inspect::stats::Stats;
use crate::text::{Sink, hex};

/// Characters in a row of the map.
const COLUMNS: usize = 64;
/// Most characters in the map.
const MOST: usize = 16 * COLUMNS;
/// Clients with a letter of their own.
const LETTERS: usize = 26;
const NO_LETTER: u8 = b'*';

pub fn write(context: &Context, out: &mut Out<'_>) {
    context_lines(context, out);
    client_table(context, out);
    block_map(context, out);
}

fn context_lines(context: &Context, out: &mut Out<'_>) {
    let shape = &context.map.shape;
    let figures = Figures::of(context);
    out.put(b"libvmma ");
    out.put(VERSION.as_bytes());
    out.say(": context of @ at ", &[context.map.size()]);
    hex(out, context.map.memory().addr() as u64);
    out.say("\n\n  blocks     _______~ of @, alignment ~\n  flags      ", &[
        figures.blocks,
        shape.block_size(),
        shape.alignment,
    ]);
    if context.flags == 0 {
        out.put(b"none");
    }
    flag_names(context.flags, out, " ");
    let bytes = |blocks: usize| blocks << shape.block_shift;
    out.say(
        "\n  held       _______~ blocks _________@ ___~ %   peak ~ blocks, @\
         \n  free       _______~ blocks _________@ ___~ %\
         \n  set aside  _______~ blocks _________@ ___~ %\
         \n  records    _______~ blocks _________@         and @ in front of the blocks\n",
        &[
            figures.held,
            bytes(figures.held),
            percent(figures.held, figures.blocks),
            figures.peak,
            bytes(figures.peak),
            figures.free,
            bytes(figures.free),
            percent(figures.free, figures.blocks),
            figures.set_aside,
            bytes(figures.set_aside),
            percent(figures.set_aside, figures.blocks),
            figures.records,
            bytes(figures.records),
            figures.tables,
        ],
    );
}

fn client_table(context: &Context, out: &mut Out<'_>) {
    out.say("\n  clients    _______~\n", &[context.clients()]);
    if context.clients() == 0 {
        return;
    }
    out.put(b"\n     held  peak    live  bytes cached  free largest limit guarantee failed  name\n");
    let mut total = Stats::default();
    let mut peak = 0;
    let mut rank = 0;
    for_all(context, |client| {
        if out.stopped() {
            return;
        }
        let stats = client.stats();
        total.add(&stats);
        peak += client.peak_held_size();
        out.put(&[b' ', letter(rank)]);
        row(out, &stats, client.peak_held_size(), client.limit(), client.guarantee());
        out.name(client);
        out.put(b"\n");
        rank += 1;
    });
    if rank > 1 {
        out.put(b"  ");
        row(out, &total, peak, 0, 0);
        out.put(b"all\n");
    }
}

#[inline(never)]
fn row(out: &mut Out<'_>, stats: &Stats, peak: usize, limit: usize, guarantee: usize) {
    out.say(
        "______^_____^_______~______^______^_____^_______^_____!_________!______~  ",
        &[
            stats.held_size,
            peak,
            stats.live_count,
            stats.live_size,
            stats.cached_size,
            stats.free_size,
            stats.largest_free,
            limit,
            guarantee,
            stats.failed_count,
        ],
    );
}

fn block_map(context: &Context, out: &mut Out<'_>) {
    let shape = &context.map.shape;
    let total = context.map.blocks << shape.block_shift;
    let cell = cell_size(total, shape.block_size(), MOST);
    out.say("\nmap: a character is @", &[cell]);
    if cell > shape.block_size() {
        out.say(", ~ blocks", &[cell >> shape.block_shift]);
    }
    out.put(b"\n");
    let mut visit = |one: &Cell<'_>| {
        if one.number.is_multiple_of(COLUMNS) {
            out.say("\n _________@  ", &[one.number * cell]);
        }
        out.put(&[mark(context, one)]);
        !out.stopped()
    };
    let mut cells = Cells::new(cell, &mut visit);
    pieces(context, Detail::Units, &mut |piece| cells.add(piece));
    cells.finish();
    out.put(
        b"\n\n  A..Z  the client that holds most of it: capital if at least half is in use, small if less; * further clients\
          \n  -     held, nothing in use      .  free      #  records\n",
    );
}

/// The character for a cell.
fn mark(context: &Context, cell: &Cell<'_>) -> u8 {
    match owner_of(cell) {
        Mark::Client(slot) => letter(rank_of(context, slot)),
        Mark::Small(slot) => letter(rank_of(context, slot)).to_ascii_lowercase(),
        Mark::Other(byte) => byte,
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Mark {
    /// At least half of it is in use.
    Client(u32),
    Small(u32),
    Other(u8),
}

fn owner_of(cell: &Cell<'_>) -> Mark {
    let mut most = 0;
    let mut mark = Mark::Other(b'.');
    for share in cell.shares {
        if share.is_client() && share.bytes > most {
            most = share.bytes;
            mark = if cell.used == 0 {
                Mark::Other(b'-')
            } else if cell.used >= cell.bytes / 2 {
                Mark::Client(share.owner)
            } else {
                Mark::Small(share.owner)
            };
        } else if share.owner == RECORDS && most == 0 {
            mark = Mark::Other(b'#');
        }
    }
    mark
}

fn letter(rank: usize) -> u8 {
    if rank < LETTERS { b'A' + rank as u8 } else { NO_LETTER }
}

/// How many clients come before the one in `slot`. Only the first few matter.
fn rank_of(context: &Context, slot: u32) -> usize {
    (0..slot).filter(|&before| Client::in_slot(context, before).is_some()).take(LETTERS).count()
}

#[cfg(test)]
mod tests {
    use super::super::cells::{FREE, OTHERS, Share};
    use super::*;

    fn share(owner: u32, bytes: usize, used: usize) -> Share {
        Share { owner, bytes, used, cached: 0 }
    }

    fn owner_of(shares: &[Share]) -> Mark {
        let sum = |field: fn(&Share) -> usize| shares.iter().map(field).sum();
        super::owner_of(&Cell { number: 0, bytes: sum(|share| share.bytes), used: sum(|share| share.used), shares })
    }

    #[test]
    fn a_character_names_the_largest_holder_and_how_much_is_in_use() {
        assert_eq!(owner_of(&[share(FREE, 100, 0)]), Mark::Other(b'.'));
        assert_eq!(owner_of(&[share(FREE, 90, 0), share(RECORDS, 10, 0)]), Mark::Other(b'#'));
        assert_eq!(owner_of(&[share(3, 100, 50)]), Mark::Client(3));
        assert_eq!(owner_of(&[share(3, 100, 49)]), Mark::Small(3));
        assert_eq!(owner_of(&[share(3, 100, 0)]), Mark::Other(b'-'));
        assert_eq!(owner_of(&[share(FREE, 90, 0), share(1, 4, 4), share(2, 6, 1)]), Mark::Small(2));
        assert_eq!(owner_of(&[share(1, 10, 10), share(OTHERS, 90, 90)]), Mark::Client(1));
    }

    #[test]
    fn letters_end_at_z() {
        assert_eq!((letter(0), letter(25), letter(26), letter(1 << 20)), (b'A', b'Z', b'*', b'*'));
    }
}
