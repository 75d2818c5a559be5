//! GUARD: red zones, and the table of their lengths.
//!
//! ```text
//!   | what was asked for | red zone …                 |
//!   ^ start              ^ start + size               ^ start + usable
//! ```
//!
//! The red zone begins at the very byte behind the requested size. Its length, the slack, stands out of band in a
//! table of one byte for every 16 bytes of memory: one byte for small cells, eight for larger ones. Of a long red
//! zone the first 128 bytes are filled and checked. The bytes differ from place to place, so that neither zeros nor
//! a copy of another red zone pass for it; and with the slack, so that a damaged slack does not pass either.
//! May know: memory.

use crate::memory::Map;
use core::sync::atomic::Ordering::Relaxed;

/// Shortest red zone.
pub const RED_ZONE: usize = 8;
/// So much of a longer one is filled.
const FILLED: usize = 128;
/// Cells up to this size have a slack of one byte.
const SMALL: usize = 256;

fn red_byte(map: &Map, offset: usize, slack: usize) -> u8 {
    let at = (map.base().addr() + offset) as u64 ^ (slack as u64).rotate_left(40);
    let mixed = (at ^ 0x5bd1_e995).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56;
    mixed as u8 | 0x81
}

/// How many bytes at the end of the piece at `start` are red zone.
pub fn slack(map: &Map, start: usize, usable: usize) -> usize {
    if usable <= SMALL {
        return (map.slack_byte(start).load(Relaxed) as usize).min(usable);
    }
    let mut slack = 0usize;
    for byte in 0..size_of::<usize>() {
        slack |= (map.slack_byte(start + byte * 16).load(Relaxed) as usize) << (8 * byte);
    }
    slack.min(usable)
}

/// Notes the requested size of the piece at `start` and fills its red zone.
pub fn draw(map: &Map, start: usize, usable: usize, size: usize) {
    let slack = usable - size;
    if usable <= SMALL {
        map.slack_byte(start).store(slack as u8, Relaxed);
    } else {
        for byte in 0..size_of::<usize>() {
            map.slack_byte(start + byte * 16).store((slack >> (8 * byte)) as u8, Relaxed);
        }
    }
    map.open(start + size, slack);
    for offset in start + size..start + size + slack.min(FILLED) {
        map.set_byte(offset, red_byte(map, offset, slack));
    }
    map.close(start + size, slack);
}

/// The first byte of the red zone that is not as it was drawn.
pub fn first_changed(map: &Map, start: usize, usable: usize) -> Option<usize> {
    let slack = slack(map, start, usable);
    let from = start + usable - slack;
    if slack < RED_ZONE {
        return Some(from); // no allocation has so little: the slack itself was written
    }
    let filled = slack.min(FILLED);
    map.open(from, filled);
    let changed = (from..from + filled).find(|&offset| map.byte(offset) != red_byte(map, offset, slack));
    map.close(from, filled);
    changed
}

/// The byte that quarantined memory is filled with.
pub const FREED: u8 = 0xdb;

/// The first byte of quarantined memory that is not as it was filled.
pub fn first_written(map: &Map, start: usize, usable: usize) -> Option<usize> {
    map.open(start, usable);
    let written = (start..start + usable).find(|&offset| map.byte(offset) != FREED);
    map.close(start, usable);
    written
}
