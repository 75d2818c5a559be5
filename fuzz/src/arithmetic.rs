//! The target `sizes`: size classes and layouts, each result against its definition.
//! May know: sizes, layout.

use crate::bytes::Bytes;
use crate::layout::{self, Error, Extras, Layout, Tables};
use crate::sizes::{FIRST_CLASSES, Place, Sizes, slab_order, unit_shift};

pub fn sizes(data: &[u8]) {
    let mut bytes = Bytes::new(data);
    while !bytes.is_empty() {
        match bytes.below(3) {
            0 => judge_layout(&mut bytes),
            1 => judge_required(&mut bytes),
            _ => judge_sizes(&mut bytes),
        }
    }
}

fn judge_sizes(bytes: &mut Bytes<'_>) {
    let alignment_shift = bytes.below(10) as u32 + 3;
    let alignment = 1usize << alignment_shift;
    let block_shift = (bytes.below(21) as u32 + 10).max(alignment_shift + 4);
    let packed = bytes.flag();
    let (block, unit_shift) = (1usize << block_shift, unit_shift(block_shift, alignment));
    let unit = 1usize << unit_shift;
    assert!(unit >= alignment && unit <= block);
    let sizes = Sizes::new(alignment, block_shift, packed);
    let slab = unit << slab_order(block_shift - unit_shift);
    assert!(slab <= block && slab >= 2 * unit && slab <= 8 * unit);
    // None where a unit is no larger than the alignment.
    assert!(sizes.count() <= FIRST_CLASSES && sizes.packed() == packed);
    let mut last = 0;
    for class in 0..sizes.count() {
        let info = sizes.class(class);
        let cell = info.cell as usize;
        assert!(cell > last && cell >= 16 && cell.is_multiple_of(alignment));
        assert!(!packed && cell.is_power_of_two());
        assert!(info.cells >= 4 && info.cells as usize * cell == slab);
        assert!([info.full().count_ones(), info.full().trailing_ones()] == [info.cells.min(64); 2]);
        assert!(info.most_cached >= 2 && info.most_cached <= 62);
        last = cell;
    }
    for _ in 0..8 {
        let size = bytes.size(block).max(1);
        let by_search = (0..sizes.count()).find(|&class| sizes.class(class).cell as usize >= size);
        assert_eq!(sizes.class_of(size), by_search, "class of {size}");
        let place = sizes.place_aligned(size, 1);
        judge_place(&sizes, place, size, unit, block);
        assert_eq!(sizes.place_aligned(size, 1 << bytes.below(alignment_shift as usize + 1)), place);
        if let (Some(place), Some(next)) = (place, size.checked_add(1).and_then(|size| sizes.place_aligned(size, 1))) {
            assert!(sizes.usable(place) <= sizes.usable(next), "a larger request gets less");
        }
        let units = size.div_ceil(unit);
        let numbers = 0..=sizes.last_run as u32;
        let run = numbers.clone().find(|&run| sizes.units_of(run) >= units);
        if let (Some(place), false, true) = (place, packed, size <= block) {
            let power = size.next_power_of_two().max(alignment).max(16);
            let run = run.map_or(0, |run| sizes.units_of(run)) * unit;
            assert_eq!(sizes.usable(place), if by_search.is_some() { power } else { run });
            assert!(power == sizes.usable(place) || power < 2 * sizes.usable(place));
        }
        if packed {
            let class = sizes.cache_class(size);
            assert_eq!(class, (size - 1) / alignment, "cache of {size}");
            assert!(place.is_none_or(|place| sizes.cached_bytes(class) == sizes.usable(place)));
        }
        let cached = match (by_search, size > block) {
            (Some(class), _) => class,
            (None, false) => sizes.count() + run.expect("a run of a block's length") as usize,
            (None, true) => usize::MAX,
        };
        if !packed {
            assert_eq!(sizes.cache_class(size), cached, "cache of {size}");
        }
        let aligned = 1usize << bytes.below(block_shift as usize + 1);
        let place = sizes.place_aligned(size, aligned);
        judge_place(&sizes, place, size, unit, block);
        match place {
            Some(Place::Slab(class)) => {
                let info = sizes.class(class);
                assert!((info.cell as usize).is_multiple_of(aligned.min(alignment.max(aligned))));
                assert!(slab.is_multiple_of(aligned));
            }
            Some(Place::Units { units, run }) => {
                assert!((unit * units.next_power_of_two()).is_multiple_of(aligned) || aligned <= alignment);
                assert!(!packed && numbers.contains(&run) && units == sizes.units_of(run));
            }
            Some(Place::Piece { bytes, align }) => {
                assert!(packed && align.is_multiple_of(aligned) && bytes.is_multiple_of(alignment));
            }
            Some(Place::Blocks { .. }) | None => {}
        }
    }
    assert!(sizes.cache_class(0) > usize::MAX >> 13);
}

fn judge_place(sizes: &Sizes, place: Option<Place>, size: usize, unit: usize, block: usize) {
    let Some(place) = place else {
        assert!(size > usize::MAX - unit, "no place for {size}");
        return;
    };
    let usable = sizes.usable(place);
    assert!(usable >= size);
    match place {
        Place::Slab(class) => assert!(class < sizes.count()),
        Place::Units { units, .. } => assert!(units > 0 && units * unit <= block),
        Place::Blocks { blocks, units } => {
            assert!(size > block && blocks > 0 && units * unit < block && usable - size < unit);
        }
        Place::Piece { bytes, align } => {
            assert!(sizes.packed() && bytes == usable && bytes - size < unit && align.is_power_of_two());
            assert!(bytes <= block || align == block);
        }
    }
}

struct Asked {
    alignment: usize,
    block: usize,
    extras: Extras,
    header: usize,
    valid: bool,
}

fn asked(bytes: &mut Bytes<'_>) -> Asked {
    let wild = bytes.below(8) == 0;
    let (alignment, block) = if wild {
        (bytes.size(4096), bytes.size(1 << 20))
    } else {
        (bytes.pick(&[0, 8, 16, 32, 64, 512, 4096]), bytes.pick(&[0, 0, 1 << 10, 1 << 12, 1 << 16, 1 << 20, 1 << 30]))
    };
    let flags = bytes.u8();
    let extras =
        Extras { caches: flags & 1 != 0, quarantine: flags & 2 != 0, slack: flags & 4 != 0, packed: flags & 8 != 0 };
    let fine = alignment == 0 || (alignment.is_power_of_two() && (8..=4096).contains(&alignment));
    let least = if fine { 16 * if alignment == 0 { 16 } else { alignment } } else { 0 };
    let block_fine = block == 0 || (block.is_power_of_two() && (1 << 10..=1 << 30).contains(&block) && block >= least);
    Asked { alignment, block, extras, header: 64 + bytes.u16() as usize % 4096, valid: fine && block_fine }
}

fn judge_layout(bytes: &mut Bytes<'_>) {
    let asked = asked(bytes);
    let memory = bytes.u64() as usize >> bytes.below(64);
    let size = bytes.u64() as usize >> bytes.below(64);
    let Asked { alignment, block, extras, header, valid } = asked;
    let layout = match Layout::new(memory, size, alignment, block, extras, header) {
        Ok(layout) => layout,
        Err(error) => {
            let invalid = !valid || memory.checked_add(size).is_none();
            assert_eq!(error, if invalid { Error::Invalid } else { Error::TooSmall });
            return;
        }
    };
    assert!(valid);
    let (size_of_block, end) = (layout.shape.block_size(), memory + size);
    assert!(block == 0 || block == size_of_block);
    assert_eq!(layout.shape.alignment, if alignment == 0 { 16 } else { alignment });
    assert!(layout.origin >= memory && layout.origin - memory < 64 && layout.origin.is_multiple_of(64));
    assert!(layout.blocks > 0 && layout.base.is_multiple_of(size_of_block));
    let top = layout.base + layout.blocks * size_of_block;
    assert!(top <= end && end - top < size_of_block);
    judge_tables(&layout, header);
    // One block more would not fit, or could not be numbered.
    let more = Tables::new(&layout.shape, header, layout.blocks + 1);
    let units = (layout.blocks + 1).checked_mul(layout.shape.units_per_block());
    let fits = more.is_some_and(|more| {
        more.end <= top - layout.origin && top - layout.origin - more.end >= (layout.blocks + 1) * size_of_block
    });
    assert!(
        !fits || units.is_none_or(|units| units > layout::MAX_UNITS),
        "{} blocks, but one more fits",
        layout.blocks
    );
    if block == 0 && layout.blocks < 16 {
        assert_eq!(size_of_block, 1024.max(16 * layout.shape.alignment), "smaller blocks would have made 16");
    }
}

fn judge_tables(layout: &Layout, header: usize) {
    let (shape, tables, blocks) = (&layout.shape, &layout.tables, layout.blocks);
    let needs = [
        (0, header),
        (tables.slots, layout::FIRST_SLOTS * layout::SLOT_SIZE),
        (tables.blocks, blocks * layout::BLOCK_RECORD_SIZE),
        (tables.free, blocks.div_ceil(64) * 8),
        (tables.units, blocks * shape.unit_records_per_block() * 4),
        (tables.lives, blocks * (shape.block_size() >> shape.granule_shift) / if shape.waits { 4 } else { 8 }),
        (tables.uses, blocks * shape.unit_records_per_block() / 2 * layout::USES_SIZE),
        (tables.slabs, (blocks * shape.unit_records_per_block() >> shape.slab_order) * layout::SLAB_RECORD_SIZE),
        (tables.nodes, blocks * shape.node_words_per_block() * 8),
        (tables.sums, blocks * shape.sum_words_per_block() * 8),
        (tables.longest, blocks * shape.longest_per_block() * 8),
        (tables.caches, blocks * shape.cache_entries as usize * 4),
        (tables.slack, if shape.slack { blocks * shape.block_size() / 16 } else { 0 }),
    ];
    for (at, &(start, size)) in needs.iter().enumerate() {
        let next = needs.get(at + 1).map_or(tables.end, |next| next.0);
        assert!(start.is_multiple_of(64) && start + size <= next, "table {at} reaches into the next");
    }
    assert!(layout.origin + tables.end <= layout.base, "the tables reach into block 0");
    assert!(shape.live_words_per_block() > 0);
}

fn judge_required(bytes: &mut Bytes<'_>) {
    let Asked { alignment, block, extras, header, valid } = asked(bytes);
    let usable = bytes.u64() as usize >> bytes.below(64);
    let Some(required) = layout::required_size(usable, alignment, block, extras, header) else {
        assert!(!valid || usable > 1 << 37, "{usable} with blocks of {block} is possible");
        return;
    };
    assert!(valid && required > usable);
    let gives = |memory: usize, size: usize| {
        Layout::new(memory, size, alignment, block, extras, header)
            .map_or(0, |layout| layout.blocks * layout.shape.block_size())
    };
    for _ in 0..4 {
        let memory = (bytes.u32() as usize) << 3 | bytes.u8() as usize;
        let more = if bytes.flag() { bytes.u8() as usize } else { bytes.u64() as usize >> (16 + bytes.below(48)) };
        let Some(size) = required.checked_add(more) else { continue };
        if memory.checked_add(size).is_some() {
            let given = gives(memory, size);
            assert!(given > 0 && given >= usable, "{size} of {required} at {memory:#x} gives {given} of {usable}");
        }
    }
    // One byte less fails somewhere: where the end is worst for one of the block sizes that may be chosen.
    let less = required - 1;
    let shifts = if block == 0 { 10..=16 } else { block.trailing_zeros()..=block.trailing_zeros() };
    let fails = shifts.clone().any(|shift| {
        let size_of_block = 1usize << shift;
        let memory = (1usize << 32) + (size_of_block - 1).wrapping_sub(less) % size_of_block;
        less.checked_add(memory).is_none_or(|end| {
            assert_eq!(end % size_of_block, size_of_block - 1);
            let given = gives(memory, less);
            given == 0 || given < usable
        })
    });
    assert!(fails || alignment > 1024, "{less} would do for {usable}, {required} are asked for");
}
