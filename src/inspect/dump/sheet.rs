//! The sheet of the heap map: where a byte of memory lies on it, in pixels.
//!
//! Memory is one tape of cells, cut into rows of 64; the tables in front of block 0 have rows of their own.
//! May know: cells, context.

use super::cells::{cell_shift, cells_in};
use crate::context::Context;

pub const COLUMNS: usize = 64;
/// Most cells for blocks; the tables in front of them take a few more.
const MOST: usize = 32 * COLUMNS;
/// Pixels: of a cell, left of the map, between rows, and in all.
pub const CELL: usize = 14;
pub const LEFT: usize = 76;
const GAP: usize = 3;
pub const WIDTH: usize = LEFT + COLUMNS * CELL + 28;
/// Where the map begins.
const TOP: usize = 128;

/// Where things are drawn.
pub struct Map {
    /// log2 of a cell's bytes.
    pub shift: u32,
    pub block: usize,
    /// Rows of tables in front of block 0, and rows in all.
    pub first_row: usize,
    pub rows: usize,
    /// Pixels of a row.
    pub height: usize,
    pub tables: usize,
}

impl Map {
    pub fn of(context: &Context) -> Map {
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
    pub fn pixels(&self, offset: usize) -> usize {
        let rest = offset & ((1 << self.shift) - 1);
        (self.first_row * COLUMNS + (offset >> self.shift)) * CELL + ((rest * CELL) >> self.shift)
    }

    /// The place of a pixel of the tape.
    #[inline(never)]
    pub fn place(&self, pixels: usize) -> (usize, usize) {
        (LEFT + pixels % (COLUMNS * CELL), self.y(pixels / (COLUMNS * CELL)))
    }

    pub fn y(&self, row: usize) -> usize {
        TOP + row * (self.height + GAP)
    }

    pub fn bottom(&self) -> usize {
        self.y(self.rows)
    }
}
