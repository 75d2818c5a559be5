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
//! A cell is a power of two of bytes: a part of a block, a block, or many. A cell with several owners is cut into
//! a strip for each. Equal neighbours become one shape, so an empty terabyte is a few rectangles.
//! No style sheet, no script, nothing from outside: any viewer draws it, also inside another document.
//! May know: cells, pieces, stats, context.

use super::cells::{Cell, FREE, OTHERS, RECORDS, Share, cell_shift, cells, cells_in};
use super::pieces::{Detail, Piece, Pieces, State};
use super::{Figures, Out, flag_names, percent};
use crate::client::Client;
use crate::client::limits::all;
use crate::context::Context;
use crate::text::Sink;

const COLUMNS: usize = 64;
/// Most cells for blocks; the tables in front of them take a few more.
const MOST: usize = 32 * COLUMNS;
/// Pixels: of a cell, left of the map, between rows, and in all.
const CELL: usize = 14;
const LEFT: usize = 76;
const GAP: usize = 3;
const WIDTH: usize = LEFT + COLUMNS * CELL + 28;
/// Where the map begins.
const TOP: usize = 128;
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

/// Where things are drawn.
struct Map {
    /// log2 of a cell's bytes.
    shift: u32,
    block: usize,
    /// Rows of tables in front of block 0, and rows in all.
    first_row: usize,
    rows: usize,
    /// Pixels of a row.
    height: usize,
    tables: usize,
}

impl Map {
    fn of(context: &Context) -> Map {
        let shape = &context.map.shape;
        let total = context.map.blocks << shape.block_shift;
        let tables = context.map.record_bytes();
        let shift = cell_shift(total, shape.unit_shift, MOST);
        let rows = |bytes: usize| cells_in(bytes, shift).div_ceil(COLUMNS);
        let first_row = rows(tables);
        let all = first_row + rows(total);
        let height = if all <= 10 {
            32
        } else if all <= 20 {
            22
        } else {
            16
        };
        Map { shift, block: shape.block_size(), first_row, rows: all, height, tables }
    }

    /// How far an offset from block 0 is down the tape, in pixels.
    #[inline(never)]
    fn pixels(&self, offset: usize) -> usize {
        let rest = offset & ((1 << self.shift) - 1);
        (self.first_row * COLUMNS + (offset >> self.shift)) * CELL + ((rest * CELL) >> self.shift)
    }

    /// The place of a pixel of the tape.
    #[inline(never)]
    fn place(&self, pixels: usize) -> (usize, usize) {
        (LEFT + pixels % (COLUMNS * CELL), self.y(pixels / (COLUMNS * CELL)))
    }

    fn y(&self, row: usize) -> usize {
        TOP + row * (self.height + GAP)
    }

    fn bottom(&self) -> usize {
        self.y(self.rows)
    }
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

/// One owner's part of a row: pixels of the tape, and pixels of height.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Strip {
    from: usize,
    to: usize,
    owner: u32,
    used: usize,
    cached: usize,
}

struct Painter<'a, 'b> {
    out: &'a mut Out<'b>,
    map: &'a Map,
    /// Not drawn yet: it may become longer.
    strip: Option<Strip>,
}

impl Painter<'_, '_> {
    fn cell(&mut self, cell: &Cell<'_>) {
        let height = self.map.height;
        let all = CELL.min((cell.bytes * CELL) >> self.map.shift).max(1);
        let start = (self.map.first_row * COLUMNS + cell.number) * CELL;
        let mut from = start;
        let mut edges = Edges::new(cell, all);
        for share in cell.shares {
            let to = start + edges.next(share);
            let used = level(share.used, share.bytes, height);
            let cached = level(share.cached, share.bytes, height).min(height - used);
            self.add(Strip { from, to, owner: share.owner, used, cached });
            from = to;
        }
    }

    #[inline(never)]
    fn add(&mut self, strip: Strip) {
        let row = COLUMNS * CELL;
        match &mut self.strip {
            Some(open)
                if Strip { from: open.from, to: open.to, ..strip } == *open
                    && open.to == strip.from
                    && open.from / row == strip.from / row =>
            {
                open.to = strip.to;
            }
            _ => {
                self.flush();
                self.strip = Some(strip);
            }
        }
    }

    /// Draws `height` pixels of a strip from `down` on.
    #[inline(never)]
    fn shape(&mut self, strip: &Strip, look: &str, down: usize, height: usize) {
        let width = strip.to.saturating_sub(strip.from);
        if width == 0 || height == 0 {
            return;
        }
        let (x, y) = self.map.place(strip.from);
        self.out.say(look, &[colour(strip.owner)]);
        self.out.say(" d=\"M~ ~h~v~h-~z\"/>\n", &[x, y + down, width, height, width]);
    }

    #[inline(never)]
    fn flush(&mut self) {
        let Some(strip) = self.strip.take() else { return };
        let height = self.map.height;
        let plain = match strip.owner {
            FREE => "<path fill=\"#eef0f2\"",
            RECORDS => "<path fill=\"url(#vmma-records)\"",
            OTHERS => "<path fill=\"#555\"",
            _ => {
                let free = height - strip.used - strip.cached;
                self.shape(&strip, "<path fill=\"#$\" opacity=\".22\"", 0, free);
                self.shape(&strip, "<path fill=\"#$\" opacity=\".55\"", free, strip.cached);
                self.shape(&strip, "<path fill=\"#$\"", free + strip.cached, strip.used);
                return;
            }
        };
        self.shape(&strip, plain, 0, height);
    }
}

/// Where the strips of a cell end. A client that has anything in it gets two pixels, so that it is seen, if there is
/// room for that; the others are divided by bytes.
struct Edges {
    bytes: usize,
    least: usize,
    shared: usize,
    fixed: usize,
    done: usize,
}

impl Edges {
    fn new(cell: &Cell<'_>, all: usize) -> Edges {
        let clients = cell.shares.iter().filter(|share| share.is_client()).count();
        let least = if clients * 2 <= all { 2 } else { 0 };
        Edges { bytes: cell.bytes, least, shared: all - clients * least, fixed: 0, done: 0 }
    }

    /// Pixels from the beginning of the cell to the end of the next share.
    fn next(&mut self, share: &Share) -> usize {
        self.fixed += if share.is_client() { self.least } else { 0 };
        self.done += share.bytes;
        self.fixed + level(self.done, self.bytes, self.shared)
    }
}

/// `part` of `bytes` as pixels of `height`: at least one if it is not 0.
#[inline(never)]
fn level(part: usize, bytes: usize, height: usize) -> usize {
    let pixels = (part * height + bytes / 2).checked_div(bytes).unwrap_or(0);
    pixels.max((part > 0) as usize).min(height)
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

/// A client's colour: dark enough for white letters, and unlike its neighbours'.
#[inline(never)]
fn colour(slot: u32) -> usize {
    const PALETTE: [u32; 12] = [
        0x3b6fb6, 0xd9772b, 0x3f9b4b, 0xc23b42, 0x8661b5, 0x2a9fae, 0xd163a6, 0x8a5a44, 0x9a9426, 0x1f3f77, 0xe0a526,
        0x7a1f4b,
    ];
    let colour = PALETTE.get(slot as usize % PALETTE.len()).map_or(0, |&colour| colour as usize);
    // All again darker, then all again paler.
    let half = colour >> 1 & 0x7f7f7f;
    match slot as usize / PALETTE.len() % 3 {
        0 => colour,
        1 => half,
        _ => half + 0x5a5a5a,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn share(owner: u32, bytes: usize) -> Share {
        Share { owner, bytes, used: bytes, cached: 0 }
    }

    fn widths(shares: &[Share], all: usize) -> Vec<usize> {
        let cell = Cell { number: 0, bytes: shares.iter().map(|share| share.bytes).sum(), used: 0, shares };
        let mut edges = Edges::new(&cell, all);
        let mut from = 0;
        let width = |share| {
            let to = edges.next(share);
            to - std::mem::replace(&mut from, to)
        };
        shares.iter().map(width).collect()
    }

    #[test]
    fn strips_fill_a_cell_and_the_smallest_client_is_seen() {
        let cases: [&[Share]; 6] = [
            &[share(0, 100)],
            &[share(0, 1), share(FREE, usize::MAX >> 8)],
            &[share(0, 1), share(1, 1), share(2, 1), share(3, 1), share(4, usize::MAX >> 8)],
            &[share(0, 1), share(FREE, usize::MAX >> 8), share(1, 1)],
            &[share(RECORDS, 1), share(FREE, 1)],
            &[share(0, 33), share(1, 33), share(2, 33)],
        ];
        for shares in cases {
            let widths = widths(shares, CELL);
            assert_eq!(widths.iter().sum::<usize>(), CELL, "{shares:?}");
            for (width, share) in widths.iter().zip(shares) {
                assert!(*width >= 2 || !share.is_client(), "{shares:?} {widths:?}");
            }
        }
        assert_eq!(widths(&[share(0, 1), share(1, 1)], 1).iter().sum::<usize>(), 1, "a short last cell");
        let crowd: Vec<Share> = (0..super::super::cells::SHARES as u32).map(|owner| share(owner, 1)).collect();
        let crowded = widths(&crowd, CELL);
        assert_eq!(crowded.iter().sum::<usize>(), CELL);
        assert!(crowded.iter().all(|&width| width > 0), "{crowded:?}");
    }

    #[test]
    fn levels_show_something_for_something() {
        assert_eq!((level(0, 100, 16), level(1, 1 << 30, 16), level(50, 100, 16), level(100, 100, 16)), (0, 1, 8, 16));
        assert_eq!((level(0, 0, 16), level(5, 0, 16)), (0, 1));
    }

    fn painted(strips: &[Strip]) -> usize {
        let mut text = Vec::new();
        let mut write = |part: &[u8]| {
            text.extend_from_slice(part);
            0
        };
        let mut out = Out::new(super::super::SVG, &mut write);
        let map = Map { shift: 10, block: 1024, first_row: 0, rows: 4, height: 16, tables: 0 };
        let mut painter = Painter { out: &mut out, map: &map, strip: None };
        strips.iter().for_each(|strip| painter.add(*strip));
        painter.flush();
        out.finish();
        String::from_utf8(text).unwrap().matches("<path").count()
    }

    #[test]
    fn equal_neighbours_become_one_shape_within_a_row() {
        let strip = |from: usize, to: usize, owner: u32, used: usize| Strip { from, to, owner, used, cached: 0 };
        let row = COLUMNS * CELL;
        assert_eq!(painted(&[strip(0, 14, 1, 16), strip(14, 28, 1, 16), strip(28, 30, 1, 16)]), 1);
        assert_eq!(painted(&[strip(0, 14, 1, 16), strip(14, 28, 2, 16)]), 2, "another owner");
        assert_eq!(painted(&[strip(0, 14, 1, 16), strip(14, 28, 1, 8)]), 3, "another level: used and free");
        assert_eq!(painted(&[strip(0, row, FREE, 0), strip(row, row + 14, FREE, 0)]), 2, "another row");
        assert_eq!(painted(&[]), 0);
    }

    #[test]
    fn the_first_colours_are_all_different() {
        for slot in 0..36 {
            assert!(colour(slot) < 1 << 24);
            for other in 0..slot {
                assert_ne!(colour(slot), colour(other), "{slot} {other}");
            }
        }
    }
}
