//! Layouts in a grid of addresses and sizes: tables disjoint and inside; the required size exact.
//! May know: layout, context (the size of its header, what flags mean for it).

use super::Rng;
use crate::context::{HEADER_SIZE, extras};
use crate::flags;
use crate::layout::*;

const FLAGS: [u32; 4] = [0, flags::NO_CACHE, flags::GUARD | flags::PACKED, flags::QUARANTINE | flags::GUARD];

fn lay(memory: usize, size: usize, alignment: usize, block: usize, flags: u32) -> Result<Layout, Error> {
    Layout::new(memory, size, alignment, block, extras(flags), HEADER_SIZE)
}

/// Every table lies behind the one before, is large enough, and ends before block 0.
fn assert_sound(layout: &Layout, memory: usize, size: usize) {
    let (shape, tables, blocks) = (&layout.shape, &layout.tables, layout.blocks);
    assert_eq!(shape.unit_records_per_block(), if shape.packed { 0 } else { shape.units_per_block() });
    let parts = [
        (0, HEADER_SIZE),
        (tables.slots, FIRST_SLOTS * SLOT_SIZE),
        (tables.blocks, blocks * BLOCK_RECORD_SIZE),
        (tables.free, crate::bitmap::words_for(blocks) * 8),
        (tables.units, blocks * shape.unit_records_per_block() * 4),
        (tables.lives, blocks * shape.live_words_per_block() * 8 * if shape.waits { 2 } else { 1 }),
        (tables.uses, blocks * shape.uses_per_block() * USES_SIZE),
        (tables.slabs, blocks * shape.slab_records_per_block() * SLAB_RECORD_SIZE),
        (tables.nodes, blocks * shape.node_words_per_block() * 8),
        (tables.sums, blocks * shape.sum_words_per_block() * 8),
        (tables.longest, blocks * shape.longest_per_block() * 8),
        (tables.caches, (FIRST_CACHE + blocks * shape.cache_entries as usize) * 4),
        (tables.slack, if shape.slack { blocks * shape.block_size() / 16 } else { 0 }),
        (tables.end, 0),
    ];
    for pair in parts.windows(2) {
        assert!(pair[0].0 + pair[0].1 <= pair[1].0 && pair[1].0.is_multiple_of(TABLE_ALIGN), "{pair:?} overlap");
    }
    assert!(
        layout.origin >= memory && layout.origin < memory + TABLE_ALIGN && layout.origin.is_multiple_of(TABLE_ALIGN)
    );
    assert!(layout.base.is_multiple_of(shape.block_size()) && blocks > 0);
    assert!(layout.origin + tables.end <= layout.base, "tables reach into block 0");
    assert!(layout.base + blocks * shape.block_size() <= memory + size, "blocks reach out of the memory");
    assert!(shape.live_words_per_block() * 64 >= shape.block_size() >> shape.granule_shift, "a bit for each granule");
    assert_eq!(shape.units_per_block() << shape.unit_shift, shape.block_size());
}

#[test]
#[cfg_attr(miri, ignore)]
fn tables_are_disjoint_and_inside_at_every_address_and_size() {
    let mut rng = Rng::new(31);
    for flags in FLAGS {
        for alignment in [8, 16, 64, 4096] {
            for shift in [0, 10, 12, 13, 16, 20] {
                if shift > 0 && 1usize << shift < 16 * alignment {
                    continue;
                }
                let block = if shift == 0 { 0 } else { 1 << shift };
                for _ in 0..if cfg!(debug_assertions) { 60 } else { 2000 } {
                    let memory = 0x10_0000 + rng.below(1 << 21);
                    let size = rng.log(64 << 20);
                    match lay(memory, size, alignment, block, flags) {
                        Ok(layout) => assert_sound(&layout, memory, size),
                        Err(error) => assert_eq!(error, Error::TooSmall),
                    }
                }
            }
        }
    }
}

#[test]
fn the_entries_and_the_live_words_of_the_first_block_differ_in_the_low_bits_of_their_addresses() {
    for size in [2 << 20, (4 << 20) + 4096, 64 << 20, (512 << 20) - 64, 1 << 30] {
        let tables = lay(0, size, 16, 64 << 10, 0).expect("room").tables;
        assert_eq!((tables.caches + 64 - tables.lives) % 4096, 2048, "{size} bytes");
        // Nothing is spent on it where blocks are small, and where it means nothing.
        for (block, flags) in [(32 << 10, 0), (64 << 10, flags::NO_CACHE), (64 << 10, flags::PACKED)] {
            let layout = lay(0, size, 16, block, flags).expect("room");
            let (shape, tables) = (layout.shape, layout.tables);
            let before = tables.longest + layout.blocks * shape.longest_per_block() * 8;
            assert_eq!(
                tables.caches,
                before.next_multiple_of(64),
                "{size} bytes in blocks of {block}, flags {flags:#x}"
            );
        }
    }
}

#[test]
fn layouts_go_up_to_the_end_of_the_address_space_and_a_terabyte() {
    assert_eq!(lay(usize::MAX - 100, 101, 0, 0, 0), Err(Error::Invalid));
    assert!(lay(usize::MAX - 100_000, 100_000, 0, 1024, 0).is_ok_and(|layout| layout.blocks > 50));
    #[cfg(target_pointer_width = "64")]
    for size in [1usize << 40, 3 << 40, (1 << 44) + 12345] {
        let layout = lay(0x1234_5678, size, 0, 0, 0).expect("large");
        assert_sound(&layout, 0x1234_5678, size);
        // Unit numbers have 32 bits: above 4 TiB the rest lies idle.
        assert!(layout.blocks << layout.shape.block_shift > size.min(4 << 40) / 100 * 96);
        assert!(layout.blocks <= MAX_UNITS >> layout.shape.order_max());
    }
    for (alignment, block) in
        [(1, 0), (4, 0), (24, 0), (8192, 0), (16, 512), (16, 3000), (16, 1 << 31), (128, 1024), (4096, 32768)]
    {
        assert_eq!(lay(1 << 20, 1 << 20, alignment, block, 0), Err(Error::Invalid), "{alignment} {block}");
    }
}

/// Does `size` give `usable` bytes at each of these addresses?
fn enough_at(size: usize, usable: usize, alignment: usize, block: usize, flags: u32, addresses: &[usize]) -> bool {
    addresses.iter().all(|&memory| {
        lay(memory, size, alignment, block, flags)
            .is_ok_and(|layout| usable <= layout.blocks * layout.shape.block_size())
    })
}

#[test]
#[cfg_attr(miri, ignore)]
fn the_required_size_is_exact() {
    let mut rng = Rng::new(33);
    for flags in FLAGS {
        for alignment in [8, 16, 256] {
            for block in [0, 1 << 12, 1 << 14, 1 << 16, if alignment == 256 { 1 << 13 } else { 1 << 10 }] {
                for round in 0..if cfg!(debug_assertions) { 6 } else { 40 } {
                    let usable = match round {
                        0 => 1,
                        1 => 16 * block.max(1024),
                        2 => 16 * block.max(1024) + 1,
                        _ => rng.log(3 << 20),
                    };
                    exact(usable, alignment, block, flags, &mut rng);
                }
            }
        }
    }
}

/// The size works at every kind of address, so do larger ones, and one byte less fails somewhere.
fn exact(usable: usize, alignment: usize, block: usize, flags: u32, rng: &mut Rng) {
    let what = format!("{usable} bytes, alignment {alignment}, block {block}, flags {flags:#x}");
    let required = required_size(usable, alignment, block, extras(flags), HEADER_SIZE).expect("possible");
    // Addresses modulo the largest block; the worst is next to a multiple of the block or of a cache line.
    let period = if block == 0 { 1 << 16 } else { block };
    let mut offsets: Vec<usize> = (0..65).chain((0..66).map(|back| period - 1 - back)).collect();
    offsets.extend((0..period).step_by((period / 64).max(1)).flat_map(|at| [at, at + 1]));
    offsets.extend((0..40).map(|_| rng.below(period)));
    // The end of the memory near a multiple of a block matters as much.
    for size in [required, required - 1] {
        offsets.extend((0..20).map(|back| (8 * period - size % period + period - 10 + back) % period));
        for shift in 10..=16 {
            let smaller = 1usize << shift;
            offsets.extend((0..period / smaller.min(period)).step_by(5).flat_map(|at| {
                let near = (at * smaller).wrapping_sub(size) % period;
                [near, (near + period - 1) % period, (near + 1) % period]
            }));
        }
    }
    let addresses: Vec<usize> = offsets.iter().map(|offset| (1 << 30) + offset).collect();
    assert!(enough_at(required, usable, alignment, block, flags, &addresses), "{required} for {what}");
    for at in 0..200 {
        let more = if at < 20 { at } else { rng.below(2 * period) };
        let few: Vec<usize> = (0..12).map(|_| addresses[rng.below(addresses.len())]).collect();
        assert!(enough_at(required + more, usable, alignment, block, flags, &few), "{required}+{more} for {what}");
    }
    assert!(
        !enough_at(required - 1, usable, alignment, block, flags, &addresses),
        "{required} is not the least for {what}"
    );
}

#[test]
fn impossible_requirements_are_refused() {
    for (usable, alignment, block) in
        [(1, 5, 0), (1, 0, 1000), (usize::MAX, 0, 0), (usize::MAX - 99_999, 0, 1024), (1, 4096, 1024)]
    {
        assert_eq!(
            required_size(usable, alignment, block, extras(0), HEADER_SIZE),
            None,
            "{usable} {alignment} {block}"
        );
    }
}
