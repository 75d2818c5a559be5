//! Pieces summed up in cells of equal size: who has how much of each.
//!
//! A cell has room for a few owners; what further ones have in it counts as one owner, OTHERS.
//! Invariant: the shares of a cell are in the order in which their owners first come in it, and together they are
//! as many bytes as the cell has got so far.
//! May know: pieces.

use super::pieces::{Detail, Piece, Pieces, State};
use crate::context::Context;
use crate::memory::NONE;

/// Owners that are no client's slot.
pub const FREE: u32 = NONE;
pub const RECORDS: u32 = NONE - 1;
pub const OTHERS: u32 = NONE - 2;

/// Most shares of one cell.
pub const SHARES: usize = 9;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Share {
    /// A client's slot, or one of the above.
    pub owner: u32,
    pub bytes: usize,
    /// Neither cached nor free: live, and what goes with it.
    pub used: usize,
    pub cached: usize,
}

impl Share {
    const NONE: Share = Share { owner: 0, bytes: 0, used: 0, cached: 0 };

    pub fn is_client(&self) -> bool {
        self.owner < OTHERS
    }

    fn of(piece: &Piece) -> Share {
        let owner = match piece.state {
            State::Free => FREE,
            State::Records => RECORDS,
            State::Buddy | State::Run => piece.slot,
        };
        // Ends of slabs and red zones go with what is live, if anything is.
        let lost = piece.cached + piece.free;
        let used = if piece.live > 0 { piece.length.saturating_sub(lost) } else { 0 };
        Share { owner, bytes: piece.length, used, cached: piece.cached }
    }

    /// Takes the first `most` bytes away, or all if there are no more.
    fn split(&mut self, most: usize) -> Share {
        let bytes = self.bytes.min(most);
        let (used, cached) = (portion(self.used, bytes, self.bytes), portion(self.cached, bytes, self.bytes));
        self.bytes -= bytes;
        self.used -= used;
        self.cached -= cached;
        Share { owner: self.owner, bytes, used, cached }
    }
}

/// One cell of a map.
pub struct Cell<'a> {
    pub number: usize,
    pub bytes: usize,
    pub used: usize,
    pub shares: &'a [Share],
}

/// All cells of 2^`shift` bytes of a context.
pub fn cells(context: &Context, shift: u32) -> Cells<Pieces<'_>> {
    Cells::new(1 << shift, Pieces::of(context, Detail::Units))
}

/// Sums up pieces that come in address order from 0 on without gaps.
pub struct Cells<P> {
    pieces: P,
    size: usize,
    number: usize,
    /// What of the last piece is in no cell yet.
    rest: Share,
    shares: [Share; SHARES],
    count: usize,
}

impl<P: Iterator<Item = Piece>> Cells<P> {
    fn new(size: usize, pieces: P) -> Cells<P> {
        Cells { pieces, size: size.max(1), number: 0, rest: Share::NONE, shares: [Share::NONE; SHARES], count: 0 }
    }

    /// The next cell. The last may be smaller than the others.
    pub fn next_cell(&mut self) -> Option<Cell<'_>> {
        let (mut bytes, mut used) = (0, 0);
        self.count = 0;
        while bytes < self.size {
            if self.rest.bytes == 0 {
                let Some(piece) = self.pieces.next() else { break };
                self.rest = Share::of(&piece);
            }
            let part = self.rest.split(self.size - bytes);
            bytes += part.bytes;
            used += part.used;
            self.grow(&part);
        }
        if bytes == 0 {
            return None;
        }
        self.number += 1;
        let shares = self.shares.get(..self.count).unwrap_or(&[]);
        Some(Cell { number: self.number - 1, bytes, used, shares })
    }

    fn grow(&mut self, part: &Share) {
        let known = self.shares.iter().take(self.count).position(|share| share.owner == part.owner);
        let place = known.unwrap_or(self.count).min(SHARES - 1);
        if let Some(share) = self.shares.get_mut(place) {
            if place >= self.count {
                *share = *part;
                self.count = place + 1;
                return;
            }
            if share.owner != part.owner {
                share.owner = OTHERS;
            }
            share.bytes += part.bytes;
            share.used += part.used;
            share.cached += part.cached;
        }
    }
}

/// What of `of` falls into the first `to` of `length`.
#[inline(never)]
fn portion(of: usize, to: usize, length: usize) -> usize {
    if to >= length {
        return of;
    }
    // Above 4 GiB the low bits don't matter, and the product has to fit.
    let shift = (usize::BITS - length.leading_zeros()).saturating_sub(usize::BITS / 2);
    ((of >> shift) * (to >> shift)).checked_div(length >> shift).unwrap_or(0) << shift
}

/// The smallest shift, and at least `least`, of which `total` has no more than `most`.
pub fn cell_shift(total: usize, least: u32, most: usize) -> u32 {
    let mut shift = least;
    while cells_in(total, shift) > most {
        shift += 1;
    }
    shift
}

/// Cells of 2^`shift` bytes for `total` bytes.
pub fn cells_in(total: usize, shift: u32) -> usize {
    (total >> shift) + (total & ((1 << shift) - 1) != 0) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(size: usize, pieces: &[Piece]) -> Vec<(usize, Vec<Share>)> {
        let mut found = Vec::new();
        let mut cells = Cells::new(size, pieces.iter().copied());
        while let Some(cell) = cells.next_cell() {
            assert_eq!(cell.bytes, cell.shares.iter().map(|share| share.bytes).sum::<usize>());
            assert_eq!(cell.used, cell.shares.iter().map(|share| share.used).sum::<usize>());
            found.push((cell.number, cell.shares.to_vec()));
        }
        found
    }

    fn held(slot: u32, start: usize, length: usize, live: usize, cached: usize) -> Piece {
        Piece { state: State::Buddy, slot, start, length, live, cached, free: length - live - cached }
    }

    fn nobody(state: State, start: usize, length: usize) -> Piece {
        Piece { state, slot: NONE, start, length, live: 0, cached: 0, free: 0 }
    }

    #[test]
    fn a_cell_has_the_share_of_each_owner() {
        let cells = run(
            100,
            &[
                held(3, 0, 50, 20, 10),
                nobody(State::Free, 50, 20),
                held(3, 70, 30, 30, 0),
                nobody(State::Records, 100, 40),
            ],
        );
        assert_eq!(cells.len(), 2);
        let expected =
            [Share { owner: 3, bytes: 80, used: 50, cached: 10 }, Share { owner: FREE, bytes: 20, used: 0, cached: 0 }];
        assert_eq!(cells[0], (0, expected.to_vec()));
        assert_eq!(cells[1], (1, vec![Share { owner: RECORDS, bytes: 40, used: 0, cached: 0 }]));
    }

    #[test]
    fn a_piece_over_many_cells_is_divided_among_them_and_nothing_is_lost() {
        for length in [64, 1000, 12345, 1 << 20] {
            let cells = run(64, &[held(0, 0, length, length / 3, length / 5)]);
            assert_eq!(cells.len(), length.div_ceil(64));
            let sum = |field: fn(&Share) -> usize| cells.iter().flat_map(|cell| &cell.1).map(field).sum::<usize>();
            assert_eq!(sum(|share| share.bytes), length);
            assert_eq!(sum(|share| share.used), length / 3);
            assert_eq!(sum(|share| share.cached), length / 5);
            assert!(cells.iter().flat_map(|cell| &cell.1).all(|share| share.used + share.cached <= share.bytes + 2));
        }
    }

    #[test]
    fn what_is_beyond_the_room_of_a_cell_counts_as_others() {
        let pieces: Vec<Piece> = (0..12).map(|i| held(i, i as usize * 10, 10, 10, 0)).collect();
        let cells = run(120, &pieces);
        let owners: Vec<u32> = cells[0].1.iter().map(|share| share.owner).collect();
        assert_eq!(owners, [0, 1, 2, 3, 4, 5, 6, 7, OTHERS]);
        assert_eq!(cells[0].1.iter().map(|share| share.bytes).sum::<usize>(), 120);
    }

    #[test]
    fn terabytes_are_divided_without_overflow() {
        let huge = 1usize << (usize::BITS - 2).min(47);
        assert_eq!(portion(huge, huge / 2, huge), huge / 2);
        assert_eq!(portion(huge - 1, huge, huge) >> 20, (huge - 1) >> 20);
        assert_eq!((portion(7, 3, 0), portion(7, 0, 3), portion(7, 2, 3)), (7, 0, 4));
        assert_eq!(run(huge / 16, &[held(1, 0, huge, huge, 0)]).len(), 16);
    }

    #[test]
    fn cells_are_powers_of_two_and_not_too_many() {
        assert_eq!(cell_shift(0, 10, 100), 10);
        assert_eq!(cell_shift(100 * 1024, 10, 100), 10);
        assert_eq!(cell_shift(101 * 1024, 10, 100), 11);
        for total in [1, 65536, 1 << 30, (usize::MAX >> 2) - 12345, usize::MAX >> 17] {
            let shift = cell_shift(total, 8, 2048);
            assert!(cells_in(total, shift) <= 2048 && cells_in(total, shift) == total.div_ceil(1 << shift));
            assert!(shift == 8 || cells_in(total, shift - 1) > 2048);
        }
        assert_eq!(cells_in(usize::MAX, 12), 1 << (usize::BITS - 12));
    }
}
