//! The heap map: memory as one tape of cells, in address order, row after row.
//!
//! ```text
//!   title, figures, key
//!   records |////|                        the tables in front of block 0
//!         0 |▆▆▂|▄▄▄|[ run         ]      a column of the owner's colour in each cell: used at the bottom,
//!     1 MiB |   |   |▂▂▂|                 cached above it, free on top; gaps between blocks, frames round runs
//!   legend of clients
//! ```
//!
//! A cell is a power of two of bytes: a part of a block, a block, or many. Where it lies says sheet.rs, how it is painted strip.rs.
//! No style sheet, no script, nothing from outside: any viewer draws it, also inside another document.
//! May know: cells, pieces, sheet, strip, stats, context.

use super::cells::{RECORDS, cells, cells_in};
use super::pieces::{Detail, Piece, Pieces, State};
use super::sheet::{CELL, COLUMNS, LEFT, Map, WIDTH};
use super::strip::{Painter, Strip, colour};
use super::{Figures, Out, flag_names, percent};
use crate::client::Client;
use crate::client::limits::all;
use crate::context::Context;
use crate::text::Sink;

/// Clients in the legend.
const LEGEND: usize = 24;
const LEGEND_ROW: usize = 34;
/// A run as wide as this has its size written into it.
const LABEL: usize = 58;

pub fn write(context: &Context, out: &mut Out<'_>) {
    let map = Map::of(context);
    head(context, &map, out);
    labels(&map, out);
    tape(context, &map, out);
    edges(context, &map, out);
    frames(context, &map, out);
    legend(context, &map, out);
    out.put(b"</svg>\n");
}

// ---- around the map ----

fn head(context: &Context, map: &Map, out: &mut Out<'_>) {
    let figures = Figures::of(context);
    let clients = context.clients();
    let lines = clients.min(LEGEND).div_ceil(2);
    let height = map.bottom() + 40 + lines * LEGEND_ROW + if clients > LEGEND { 24 } else { 0 };
    out.say(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
         <svg xmlns=\"http://www.w3.org/2000/svg\" width=\"~\" height=\"~\" viewBox=\"0 0 ~ ~\" \
         font-family=\"Helvetica,Arial,sans-serif\" font-size=\"12\" fill=\"#333\">\n\
         <title>libvmma heap map</title>\n\
         <defs><pattern id=\"vmma-records\" width=\"6\" height=\"6\" patternUnits=\"userSpaceOnUse\">\
         <path fill=\"#d3d8dd\" d=\"M0 0h6v6h-6z\"/>\
         <path stroke=\"#868e96\" d=\"M-1 1l2-2M0 6l6-6M5 7l2-2\"/></pattern></defs>\n\
         <rect fill=\"#fff\" width=\"100%\" height=\"100%\"/>\n",
        &[WIDTH, height, WIDTH, height],
    );
    let bytes = |blocks: usize| blocks << context.map.shape.block_shift;
    out.say(
        "<text x=\"20\" y=\"32\" font-size=\"18\" font-weight=\"bold\">Heap map: @ in ~ blocks of @</text>\n",
        &[context.map.size(), figures.blocks, map.block],
    );
    out.say(
        "<text x=\"20\" y=\"54\" font-size=\"13\">held @ (~ %) \u{b7} peak @ \u{b7} free @ \u{b7} set aside @ \u{b7} \
         records @ \u{b7} clients: ~</text>\n",
        &[
            bytes(figures.held),
            percent(figures.held, figures.blocks),
            bytes(figures.peak),
            bytes(figures.free),
            bytes(figures.set_aside),
            figures.tables + bytes(figures.records),
            clients,
        ],
    );
    out.say(
        concat!(
            "<text x=\"20\" y=\"73\" fill=\"#666\">libvmma ",
            env!("CARGO_PKG_VERSION"),
            " \u{b7} alignment ~ \u{b7} one cell is @"
        ),
        &[context.map.shape.alignment, 1 << map.shift],
    );
    if context.flags != 0 {
        out.put(" \u{b7} ".as_bytes());
        flag_names(context.flags, out, ", ");
    }
    out.put(b"</text>\n");
    out.put(KEY);
}

/// What the colours mean.
const KEY: &[u8] = b"<g fill=\"#3b6fb6\">\
<path d=\"M76 94h12v12h-12z\"/><path opacity=\".55\" d=\"M162 94h12v12h-12z\"/><path opacity=\".22\" d=\"M256 94h12v12h-12z\"/>\
<path fill=\"#eef0f2\" d=\"M392 94h12v12h-12z\"/><path fill=\"url(#vmma-records)\" d=\"M508 94h12v12h-12z\"/>\
<path stroke=\"#222\" d=\"M608.5 94.5h11v11h-11z\"/><path fill=\"#555\" d=\"M776 94h12v12h-12z\"/></g>\n\
<text y=\"104\"><tspan x=\"94\">in use</tspan><tspan x=\"180\">cached</tspan><tspan x=\"274\">free, but held</tspan>\
<tspan x=\"410\">free block</tspan><tspan x=\"526\">records</tspan><tspan x=\"626\">one large allocation</tspan>\
<tspan x=\"794\">further clients in a cell</tspan></text>\n";

/// What lies at the beginning of each row, in the largest unit of which a row is a whole number.
fn labels(map: &Map, out: &mut Out<'_>) {
    let row_shift = map.shift + COLUMNS.trailing_zeros();
    let unit = row_shift / 10;
    let name = b" bytes KiB   MiB   GiB   TiB".chunks(6).nth(unit as usize).unwrap_or(b" PiB");
    out.put(b"<g font-size=\"10\" text-anchor=\"end\" fill=\"#666\">\n");
    for row in 0..map.rows {
        out.say("<text x=\"~\" y=\"~\">", &[LEFT - 8, map.y(row) + map.height / 2 + 4]);
        if let Some(further) = row.checked_sub(map.first_row) {
            out.say("~", &[further << (row_shift - unit * 10)]);
            out.put(name);
        } else if row == 0 {
            out.put(b"records");
        }
        out.put(b"</text>\n");
    }
    out.put(b"</g>\n");
}

/// The clients that hold most, with their colours.
fn legend(context: &Context, map: &Map, out: &mut Out<'_>) {
    let mut last = (usize::MAX, 0);
    let (mut shown, mut held) = (0, 0);
    let mut y = map.bottom() + 30;
    while shown < LEGEND && !out.stopped() {
        last = next_largest(context, last);
        let Some(client) = Client::in_slot(context, !last.1) else { break };
        one_client(client, LEFT + (shown % 2) * (COLUMNS * CELL / 2), y, out);
        held += last.0;
        shown += 1;
        y += (shown + 1) % 2 * LEGEND_ROW;
    }
    let further = context.clients().saturating_sub(shown);
    if further > 0 {
        let rest = (Figures::of(context).held * map.block).saturating_sub(held);
        out.say("<text x=\"~\" y=\"~\">and ~ more, which hold @</text>\n", &[LEFT, y, further, rest]);
    }
}

fn one_client(client: &Client, x: usize, y: usize, out: &mut Out<'_>) {
    let stats = client.stats();
    out.say(
        "<path fill=\"#$\" d=\"M~ ~h20v20h-20z\"/><text x=\"~\" y=\"~\" font-weight=\"bold\">",
        &[colour(client.slot()), x, y - 10, x + 28, y],
    );
    out.name(client);
    out.say(
        "</text><text x=\"~\" y=\"~\" font-size=\"11\" fill=\"#666\">@ held \u{b7} ~ live, @ \u{b7} @ cached",
        &[x + 28, y + 13, stats.held_size, stats.live_count, stats.live_size, stats.cached_size],
    );
    if client.limit() > 0 {
        out.say(" \u{b7} limit @", &[client.limit()]);
    }
    out.put(b"</text>\n");
}

/// Of the clients that come behind `last` if ordered by what they hold, the first: what it holds, and its slot's
/// complement. (0, 0) if there is none.
fn next_largest(context: &Context, last: (usize, u32)) -> (usize, u32) {
    let mut best = (0, 0);
    for client in all(context) {
        // Of those that hold the same the lowest slot comes first.
        let key = (client.held_size(), !client.slot());
        if key < last && key > best {
            best = key;
        }
    }
    best
}

// ---- the map ----

fn tape(context: &Context, map: &Map, out: &mut Out<'_>) {
    let mut painter = Painter { out, map, strip: None };
    // The tables have rows of their own, so that block 0 begins a row.
    let tables = cells_in(map.tables * CELL, map.shift);
    let mut x = 0;
    while x < tables {
        let end = (x + COLUMNS * CELL).min(tables);
        painter.add(Strip { from: x, to: end, owner: RECORDS, used: 0, cached: 0 });
        x = end;
    }
    let mut cells = cells(context, map.shift);
    while let Some(cell) = cells.next_cell() {
        painter.cell(&cell);
        if painter.out.stopped() {
            break;
        }
    }
    painter.flush();
}

/// White lines where blocks begin; none inside a run of blocks, and none if a cell is more than a block.
fn edges(context: &Context, map: &Map, out: &mut Out<'_>) {
    if 1 << map.shift > map.block {
        return;
    }
    out.put(b"<path stroke=\"#fff\" d=\"");
    for piece in Pieces::of(context, Detail::Blocks) {
        let end = piece.start + if piece.state == State::Run { 1 } else { piece.length };
        let mut at = piece.start;
        while at < end {
            let (x, y) = map.place(map.pixels(at));
            if x > LEFT {
                out.say("M~ ~v~", &[x, y, map.height]);
            }
            at += map.block;
        }
        if out.stopped() {
            break;
        }
    }
    out.put(b"M0 0\"/>\n");
}

/// Frames round runs of blocks, where they are wide enough to be seen.
fn frames(context: &Context, map: &Map, out: &mut Out<'_>) {
    out.put(b"<g font-size=\"10\" fill=\"none\" stroke=\"#222\">\n");
    for piece in Pieces::of(context, Detail::Blocks) {
        if piece.state == State::Run && piece.length >> map.shift > 0 {
            frame(map, &piece, out);
        }
        if out.stopped() {
            break;
        }
    }
    out.put(b"</g>\n");
}

/// One frame: open where the run goes on in another row.
fn frame(map: &Map, piece: &Piece, out: &mut Out<'_>) {
    let (start, end) = (map.pixels(piece.start), map.pixels(piece.start + piece.length));
    let row = COLUMNS * CELL;
    let down = map.height - 1;
    let (mut label_x, mut label_y) = (0, 0);
    out.put(b"<path d=\"");
    let mut at = start;
    while at < end {
        let to = (at - at.checked_rem(row).unwrap_or(0) + row).min(end);
        let (x, y) = map.place(at);
        let width = to - at;
        if label_x == 0 && width >= LABEL {
            (label_x, label_y) = (x + 5, y + map.height / 2 + 4);
        }
        let right = if to == end { "M~.5 ~.5h~v~h-~" } else { "M~.5 ~.5h~m0 ~h-~" };
        out.say(right, &[x, y, width - 1, down, width - 1]);
        if at == start {
            out.say("v-~", &[down]);
        }
        at = to;
    }
    out.put(b"\"/>\n");
    if label_x > 0 {
        let colour = if piece.live > 0 { 0xff_ffff } else { 0x22_2222 };
        out.say(
            "<text stroke=\"none\" fill=\"#$\" x=\"~\" y=\"~\">@</text>\n",
            &[colour, label_x, label_y, piece.length],
        );
    }
}
