//! Strips: how the cells of the heap map are painted.
//!
//! A cell with several owners is cut into a strip for each; of a strip what is used is full, what is cached is paler, what
//! is free is faint. Equal neighbours become one shape, so an empty terabyte is a few rectangles.
//! May know: cells, sheet, the dump's writer.

use super::Out;
use super::cells::{Cell, FREE, OTHERS, RECORDS, Share};
use super::sheet::{CELL, COLUMNS, Map};

/// One owner's part of a row: pixels of the tape, and pixels of height.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Strip {
    pub from: usize,
    pub to: usize,
    pub owner: u32,
    pub used: usize,
    pub cached: usize,
}

pub struct Painter<'a, 'b> {
    pub out: &'a mut Out<'b>,
    pub map: &'a Map,
    /// Not drawn yet: it may become longer.
    pub strip: Option<Strip>,
}

impl Painter<'_, '_> {
    pub fn cell(&mut self, cell: &Cell<'_>) {
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
    pub fn add(&mut self, strip: Strip) {
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
    pub fn flush(&mut self) {
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

/// A client's colour: dark enough for white letters, and unlike its neighbours'.
#[inline(never)]
pub fn colour(slot: u32) -> usize {
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
