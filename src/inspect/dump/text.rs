//! The dump for a person at a terminal: the context, a table of clients, a map by characters.
//! May know: cells, pieces, stats, context.

use super::cells::{Cell, FREE, OTHERS, RECORDS, cell_shift, cells};
use super::{Figures, Out, flag_names, percent};
use crate::client::limits::all;
use crate::context::Context;
use crate::inspect::stats::Stats;
use crate::text::Sink;

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
    out.say(
        concat!(
            "libvmma ",
            env!("CARGO_PKG_VERSION"),
            ": context of @ at `\n\n  blocks     _______~ of @, alignment ~\n  flags      "
        ),
        &[context.map.size(), context.map.memory().addr(), figures.blocks, shape.block_size(), shape.alignment],
    );
    if context.flags == 0 {
        out.put(b"none");
    }
    flag_names(context.flags, out, " ");
    out.put(b"\n");
    blocks_line(out, context, "held     ", figures.held);
    blocks_line(out, context, "peak     ", figures.peak);
    blocks_line(out, context, "free     ", figures.free);
    blocks_line(out, context, "set aside", figures.set_aside);
    blocks_line(out, context, "records  ", figures.records);
    out.say("  tables             and _________@ in front of the blocks\n", &[figures.tables]);
}

#[inline(never)]
fn blocks_line(out: &mut Out<'_>, context: &Context, what: &str, blocks: usize) {
    out.put(b"  ");
    out.put(what.as_bytes());
    let values = [blocks, blocks << context.map.shape.block_shift, percent(blocks, context.map.blocks)];
    out.say("  _______~ blocks _________@ ___~ %\n", &values);
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
    for client in all(context) {
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
    }
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
    let shift = cell_shift(total, shape.block_shift, MOST);
    out.say("\nmap: a character is @", &[1 << shift]);
    if shift > shape.block_shift {
        out.say(", ~ blocks", &[1 << (shift - shape.block_shift)]);
    }
    out.put(b"\n");
    let mut cells = cells(context, shift);
    while let Some(one) = cells.next_cell() {
        if one.number % COLUMNS == 0 {
            out.say("\n _________@  ", &[one.number << shift]);
        }
        out.put(&[mark(&one, |slot| letter(rank_of(context, slot)))]);
        if out.stopped() {
            break;
        }
    }
    out.put(
        b"\n\n  A to Z: the client that holds most of it; capital: at least half is in use, small: less\
          \n  * further clients    - held, nothing in use    . free    # records\n",
    );
}

/// The character for a cell.
fn mark(cell: &Cell<'_>, letter_of: impl Fn(u32) -> u8) -> u8 {
    let mut most = 0;
    let mut owner = FREE;
    for share in cell.shares {
        // Whoever is a client is named, however much else there is.
        let weight = if share.is_client() { share.bytes + 2 } else { (share.owner == RECORDS) as usize };
        if weight > most {
            most = weight;
            owner = share.owner;
        }
    }
    match owner {
        FREE | OTHERS => b'.',
        RECORDS => b'#',
        _ if cell.used == 0 => b'-',
        slot => {
            let capital = letter_of(slot);
            if cell.used >= cell.bytes / 2 { capital } else { capital.to_ascii_lowercase() }
        }
    }
}

fn letter(rank: usize) -> u8 {
    if rank < LETTERS { b'A' + rank as u8 } else { NO_LETTER }
}

/// How many clients come before the one in `slot`. Only the first few matter.
fn rank_of(context: &Context, slot: u32) -> usize {
    all(context).take(LETTERS).take_while(|client| client.slot() < slot).count()
}

#[cfg(test)]
mod tests {
    use super::super::cells::Share;
    use super::*;

    fn share(owner: u32, bytes: usize, used: usize) -> Share {
        Share { owner, bytes, used, cached: 0 }
    }

    fn mark(shares: &[Share]) -> char {
        let sum = |field: fn(&Share) -> usize| shares.iter().map(field).sum();
        let cell = Cell { number: 0, bytes: sum(|share| share.bytes), used: sum(|share| share.used), shares };
        super::mark(&cell, |slot| letter(slot as usize)) as char
    }

    #[test]
    fn a_character_names_the_largest_holder_and_how_much_is_in_use() {
        assert_eq!(mark(&[share(FREE, 100, 0)]), '.');
        assert_eq!(mark(&[share(FREE, 90, 0), share(RECORDS, 10, 0)]), '#');
        assert_eq!(mark(&[share(3, 100, 50)]), 'D');
        assert_eq!(mark(&[share(3, 100, 49)]), 'd');
        assert_eq!(mark(&[share(3, 100, 0)]), '-');
        assert_eq!(mark(&[share(FREE, 90, 0), share(1, 4, 4), share(2, 6, 1)]), 'c');
        assert_eq!(mark(&[share(1, 10, 10), share(OTHERS, 90, 90)]), 'B');
        assert_eq!(mark(&[share(RECORDS, 10, 0), share(30, 1, 1), share(FREE, 1000, 0)]), '*');
    }

    #[test]
    fn letters_end_at_z() {
        assert_eq!((letter(0), letter(25), letter(26), letter(1 << 20)), (b'A', b'Z', b'*', b'*'));
    }
}
