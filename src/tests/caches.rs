//! What caches keep: how many entries, in what order, and that they give all of it up when somebody needs it.
//!
//! A cache is never needed for an answer to be right, so the model of whole contexts cannot see that it is there.
//! May know: everything.

use crate::client::{Client, NEAR_TOPS};
use crate::context::Context;
use crate::ffi::*;
use crate::layout::FIRST_CACHE;
use core::ffi::c_void;
use core::ptr::null_mut;
use core::sync::atomic::Ordering::Relaxed;

/// A context with one client.
pub(super) struct Scene {
    pub(super) context: *mut vmma_context_t,
    pub(super) client: *mut vmma_client_t,
}

impl Scene {
    pub(super) fn new(size: usize, block_size: usize, flags: u32) -> Option<Scene> {
        let context = c!(vmma_create_context(null_mut(), size, 16, block_size, flags));
        (!context.is_null()).then(|| Scene { context, client: c!(vmma_create_client(context)) })
    }

    /// Blocks that `with_ballast` fills: with so many, a PACKED client's pieces of 4 KiB and more are long ones.
    pub(super) const BALLAST: usize = 4;

    pub(super) fn with_ballast(self) -> Scene {
        let block = c!(vmma_get_block_size(self.context));
        (0..Scene::BALLAST).for_each(|_| assert!(!self.alloc(block).is_null()));
        self
    }

    pub(super) fn inside(&self) -> (&Context, &Client) {
        // SAFETY: both live as long as the scene.
        let both = unsafe { (Context::from_handle(self.context.cast()), Client::from_handle(self.client.cast())) };
        both.0.zip(both.1).expect("alive")
    }

    pub(super) fn alloc(&self, size: usize) -> *mut c_void {
        c!(vmma_alloc(self.client, size))
    }

    pub(super) fn free(&self, pointer: *mut c_void) {
        assert_eq!(c!(vmma_free(self.client, pointer)), 0);
    }

    /// The room that the cache of a class has, and how many entries are in it.
    pub(super) fn cache(&self, class: usize) -> (usize, usize) {
        let (context, client) = self.inside();
        let (first, count) = client.array(context, class);
        let waits = client.cached_count(context, class);
        assert_eq!(waits, if class < NEAR_TOPS || context.sizes.packed() { count } else { waits.min(1) });
        ((context.map.cache(first).get() & 0xffff) as usize, waits)
    }

    /// Bytes of a piece of a class: of a cell, or of a run of units.
    fn bytes(&self, class: usize) -> usize {
        let sizes = &self.inside().0.sizes;
        match class.checked_sub(sizes.count()) {
            None => sizes.class(class).cell as usize,
            Some(run) => sizes.units_of(run as u32) << 10,
        }
    }

    fn classes(&self) -> usize {
        self.inside().0.cached_classes as usize
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        assert!(std::thread::panicking() || c!(vmma_check_context(self.context)) == 0);
        c!(vmma_delete_context(self.context));
    }
}

/// 32 KiB, 62 entries, and two of whatever is larger.
fn most(bytes: usize) -> usize {
    ((32 << 10) / bytes).clamp(2, 62)
}

#[test]
#[cfg_attr(miri, ignore)]
fn a_cache_grows_by_doubling_up_to_its_bound_and_not_beyond() {
    for flags in [0, VMMA_FLAG_WIPE, VMMA_FLAG_SHARED_CLIENTS] {
        let scene = Scene::new(16 << 20, 64 << 10, flags).expect("memory");
        assert!(scene.classes() > 8);
        for class in 0..scene.classes().min(NEAR_TOPS) {
            let (bytes, mut rooms) = (scene.bytes(class), vec![0]);
            // The arrays lie with the client's blocks: it has some.
            let ballast: Vec<_> = (0..6).map(|_| scene.alloc(60 << 10)).collect();
            // It grows now and then, when its being full costs something.
            for round in 0.. {
                if scene.cache(class) == (most(bytes), most(bytes)) {
                    break;
                }
                assert!(round < 60, "a cache of pieces of {bytes} bytes stays at {rooms:?}, flags {flags:#x}");
                let mut pieces = Vec::new();
                while pieces.len() < if bytes < 2048 { 300 } else { 70 } {
                    pieces.push(scene.alloc(bytes));
                    let (room, _) = scene.cache(class);
                    if rooms.last() != Some(&room) {
                        rooms.push(room);
                    }
                }
                for (at, &piece) in pieces.iter().enumerate() {
                    scene.free(piece);
                    let (room, count) = scene.cache(class);
                    assert!(count <= room && room <= most(bytes), "{count} of {room} entries of {bytes} bytes");
                    let grown = rooms.last() != Some(&room);
                    assert!(room == 0 || at < 8 || grown || count > 0, "what is freed is kept");
                    if grown {
                        rooms.push(room);
                    }
                }
            }
            let expected: Vec<usize> = match most(bytes) {
                62 => vec![0, 6, 14, 30, 62],
                few if few <= 6 => vec![0, few],
                some => [0, 6, 14, 30].into_iter().filter(|&room| room < some).chain([some]).collect(),
            };
            assert_eq!(rooms, expected, "the rooms of a cache of pieces of {bytes} bytes, flags {flags:#x}");
            // It goes with everything else that is only kept.
            ballast.iter().for_each(|&piece| scene.free(piece));
            assert_eq!(c!(vmma_trim_client(scene.client)), 0);
            assert_eq!((scene.cache(class), c!(vmma_get_held_size(scene.client))), ((0, 0), 0));
        }
    }
}

#[test]
#[cfg_attr(miri, ignore)]
fn what_was_freed_last_is_served_first() {
    for flags in [0, VMMA_FLAG_WIPE, VMMA_FLAG_ZERO, VMMA_FLAG_SHARED_CLIENTS] {
        let scene = Scene::new(4 << 20, 64 << 10, flags).expect("memory");
        let _ballast: Vec<_> = (0..6).map(|_| scene.alloc(60 << 10)).collect();
        for size in [16, 64, 500, 1024, 2048] {
            let class = scene.inside().0.sizes.cache_class(size);
            // The cache is made when there is use for it.
            for round in 0..20 {
                let pieces: Vec<_> = (0..70).map(|_| scene.alloc(size)).collect();
                let two = [pieces[2], pieces[5]];
                assert!(round < 19 || scene.cache(class).0 > 1, "no cache for {size} bytes, flags {flags:#x}");
                if scene.cache(class).0 > 1 {
                    two.iter().for_each(|&piece| scene.free(piece));
                    assert_eq!([scene.alloc(size), scene.alloc(size)], [two[1], two[0]], "{size} bytes, {flags:#x}");
                }
                pieces.iter().for_each(|&piece| scene.free(piece));
            }
        }
    }
}

/// Bursts into a slab that is never full and never empty, whose cells come back before the next: all of a part, or most of it.
#[test]
#[cfg_attr(miri, ignore)]
fn what_comes_back_to_a_slab_that_is_neither_full_nor_empty_gets_a_cache() {
    for kept in [1, 64] {
        for burst in [40, 60, 64] {
            let scene = Scene::new(4 << 20, 64 << 10, 0).expect("memory");
            let class = scene.inside().0.sizes.cache_class(16);
            (0..kept).for_each(|_| assert!(!scene.alloc(16).is_null()));
            for _ in 0..12 {
                let cells: Vec<_> = (0..burst).map(|_| scene.alloc(16)).collect();
                cells.iter().for_each(|&cell| scene.free(cell));
            }
            assert!(scene.cache(class).0 >= 14, "{kept} stay, {burst} come and go: room for {}", scene.cache(class).0);
        }
    }
    // Who only takes needs none.
    let scene = Scene::new(4 << 20, 64 << 10, 0).expect("memory");
    (0..5000).for_each(|_| assert!(!scene.alloc(16).is_null()));
    assert_eq!(scene.cache(scene.inside().0.sizes.cache_class(16)).0, 0);
}

/// Above 8 KiB there is room for one run of each length, and none for runs of more than half a block.
#[test]
#[cfg_attr(miri, ignore)]
fn of_each_longer_run_one_waits_if_there_is_a_cache_for_it() {
    for flags in [0, VMMA_FLAG_WIPE, VMMA_FLAG_SHARED_CLIENTS] {
        for (block, sizes) in [(16usize, [12, 14, 16]), (64, [12, 24, 32]), (64, [40, 56, 64])] {
            let scene = Scene::new(4 << 20, block << 10, flags).expect("memory");
            for size in sizes {
                let runs = [0, 1, 2].map(|_| scene.alloc(size << 10));
                runs.iter().for_each(|&run| scene.free(run));
                let context = scene.inside().0;
                let class = context.sizes.cache_class(size << 10);
                let kept = class < context.cached_classes as usize;
                assert_eq!(kept, size <= block / 2, "{size} KiB in blocks of {block}");
                assert_eq!(scene.cache(class), (0, kept as usize), "{size} KiB in blocks of {block}, flags {flags:#x}");
                assert_eq!(c!(vmma_check_client(scene.client)), 0);
                let again = scene.alloc(size << 10);
                assert!(!kept || again == runs[0], "the one that waits serves first");
                assert_eq!(scene.cache(class).1, 0);
            }
        }
    }
}

/// What waits in a cache can't merge: where memory gets short, in the context or under the limit, nothing waits.
#[test]
#[cfg_attr(miri, ignore)]
fn where_less_is_left_than_a_client_holds_caches_are_emptied_and_do_not_grow() {
    let block = 64 << 10;
    for limit in [0, 8 * block] {
        let scene = Scene::new(4 << 20, block, 0).expect("memory");
        assert_eq!(c!(vmma_set_limit(scene.client, limit)), 0);
        let class = scene.inside().0.sizes.cache_class(64);
        let burst = || {
            let cells: Vec<_> = (0..600).map(|_| scene.alloc(64)).collect();
            cells.iter().for_each(|&cell| scene.free(cell));
        };
        let grows = || {
            (0..20).any(|_| {
                burst();
                scene.cache(class).0 > 0
            })
        };
        assert!(grows(), "there is room, limit {limit}");
        let waits = || (0..scene.classes()).map(|class| scene.cache(class).1).sum::<usize>();
        assert!(waits() > 0);
        let left = || {
            let (held, free) = (c!(vmma_get_held_size(scene.client)), c!(vmma_get_free_blocks(scene.context)) * block);
            if limit == 0 { (held, free) } else { (held, limit - held) }
        };
        let mut blocks = Vec::new();
        while {
            let (held, left) = left();
            left >= held
        } {
            blocks.push(scene.alloc(block));
        }
        let run = scene.alloc(3 << 10);
        assert!(!run.is_null());
        assert_eq!(waits(), 0, "emptied, limit {limit}");
        assert!(!grows(), "little is left, limit {limit}");
        blocks.iter().for_each(|&block| scene.free(block));
        assert!(grows(), "there is room again, limit {limit}");
    }
}

/// Two buddies in a cache are no run of twice the size: when that is asked for, they have to come out.
#[test]
#[cfg_attr(miri, ignore)]
fn what_is_only_cached_serves_other_sizes_when_nothing_else_can() {
    for block in [16usize << 10, 64 << 10] {
        let size = c!(vmma_get_required_size(3 * block, 16, block, 0));
        let scene = Scene::new(size, block, 0).expect("memory");
        let unit = 1usize << scene.inside().0.map.shape.unit_shift;
        let units: Vec<_> = (0..block / unit).map(|_| scene.alloc(unit)).collect();
        for at in [0, 1] {
            scene.free(units[at]);
        }
        let class = scene.inside().0.sizes.cache_class(unit);
        assert_eq!(scene.cache(class).1, 2, "both are in the cache");
        while !scene.alloc(block).is_null() {}
        let run = scene.alloc(2 * unit);
        assert_eq!(run, units[0], "blocks of {block}");
        assert_eq!(scene.cache(class).1, 0);
        assert!(scene.alloc(unit).is_null());
    }
}

/// A slab may stay its class's when nothing in it is in use, but not for longer than others can do without it.
#[test]
#[cfg_attr(miri, ignore)]
fn slabs_that_are_only_kept_serve_other_sizes_when_nothing_else_can() {
    for cell in [32, 64, 512] {
        let block = 64 << 10;
        let scene = Scene::new(c!(vmma_get_required_size(block, 16, block, 0)), block, 0).expect("memory");
        let unit = 1usize << scene.inside().0.map.shape.unit_shift;
        let total = scene.inside().0.map.blocks * block / unit;
        let first = scene.alloc(16);
        let cells: Vec<_> = (0..(24 << 10) / cell).map(|_| scene.alloc(cell)).collect();
        let fill = || std::iter::from_fn(|| Some(scene.alloc(unit)).filter(|unit| !unit.is_null())).count();
        let rest = fill();
        cells.iter().for_each(|&piece| scene.free(piece));
        let slab = scene.inside().0.map.shape.slab_units;
        assert_eq!(rest + fill(), total - slab, "units for others, once no cell of {cell} bytes is in use");
        assert_eq!(c!(vmma_test_address(scene.client, first)), 1);
    }
}

/// An entry has 31 bits: pieces above 32 GiB are not cached, and served all the same.
#[test]
#[cfg(target_pointer_width = "64")]
#[cfg_attr(miri, ignore)]
fn pieces_that_no_entry_can_name_are_served_without_a_cache() {
    // Of memory that the library maps itself only what is written is taken. A system that counts it all may refuse.
    let Some(scene) = Scene::new(40 << 30, 1 << 20, 0) else { return println!("skipped: no 40 GiB of addresses") };
    let low = scene.alloc(100);
    let wall = scene.alloc(33 << 30);
    assert!(!wall.is_null());
    // The low block runs full; then comes memory above.
    let mut high = Vec::new();
    while high.len() < 300 {
        let pointer = scene.alloc(3000);
        assert!(!pointer.is_null());
        if pointer.addr() > wall.addr() + (33 << 30) {
            high.push(pointer);
        }
    }
    for _ in 0..3 {
        let more: Vec<_> = (0..200).map(|_| scene.alloc(100)).collect();
        more.iter().chain(&high).for_each(|&pointer| scene.free(pointer));
        assert_eq!(c!(vmma_check_context(scene.context)), 0);
        assert_eq!(c!(vmma_free(scene.client, high[7])), vmma_status::VMMA_E_DOUBLE_FREE as i32);
        high.iter_mut().for_each(|pointer| *pointer = scene.alloc(3000));
        assert!(high.iter().all(|pointer| !pointer.is_null()));
        assert_eq!(c!(vmma_check_context(scene.context)), 0);
    }
    let (context, client) = scene.inside();
    for class in 0..scene.classes() {
        let (first, count) = client.array(context, class);
        for entry in first + 1..first + 1 + count {
            assert!(u64::from(context.map.cache(entry).get()) < 1 << 31);
        }
    }
    scene.free(low);
    assert_eq!(c!(vmma_reset_client(scene.client)), 0);
}

/// The same with PACKED, where a cache is filled from a hole as well.
#[test]
#[cfg(target_pointer_width = "64")]
#[cfg_attr(miri, ignore)]
fn no_cache_is_filled_from_a_hole_that_no_entry_can_name() {
    let block = 1 << 20;
    let Some(scene) = Scene::new(40 << 30, block, VMMA_FLAG_PACKED) else { return println!("skipped: no 40 GiB") };
    // One block, and then memory above all that entries can say.
    let low = scene.alloc(block);
    let wall = scene.alloc(33 << 30);
    assert_eq!(wall, low.wrapping_byte_add(block));
    let mut last = scene.alloc(64);
    assert_eq!(last, wall.wrapping_byte_add(33 << 30));
    for _ in 0..100 {
        let next = scene.alloc(64);
        assert_eq!(next, last.wrapping_byte_add(64));
        last = next;
    }
    assert!((0..scene.classes()).all(|class| scene.cache(class).1 == 0));
    assert_eq!(c!(vmma_check_context(scene.context)), 0);
}

/// Behind the mark of the first array, in front of the end of the last, or in the empty one that all clients share.
#[test]
#[cfg_attr(miri, ignore)]
fn a_top_is_believed_only_where_there_are_entries() {
    let scene = Scene::new(4 << 20, 64 << 10, 0).expect("memory");
    let (context, client) = scene.inside();
    let end = FIRST_CACHE + context.map.blocks * context.map.shape.cache_entries as usize;
    let old = client.tops.near[0].load(Relaxed);
    for (entry, good) in [(0, false), (1, true), (2, false), (FIRST_CACHE, false), (FIRST_CACHE + 1, true)]
        .into_iter()
        .chain([(end - 1, true), (end, false), (end + 1, false)])
    {
        let place = context.map.cache_pointer(entry).cast_mut();
        client.tops.near[0].store(place, Relaxed);
        assert_eq!(client.top_checked(context, 0), good.then_some(entry), "of {end} entries");
        client.tops.near[0].store(place.wrapping_byte_add(2), Relaxed);
        assert_eq!(client.top_checked(context, 0), None, "between two entries");
    }
    client.tops.near[0].store(old, Relaxed);
}
