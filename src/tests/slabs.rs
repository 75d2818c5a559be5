//! Slabs: the one that is being cut up waits outside of its record; one that is idle goes when others want its units.
//!
//! No answer depends on either, so the model of whole contexts cannot see it.
//! May know: everything.

use super::caches::Scene;
use crate::ffi::*;
use crate::memory::NONE;
use std::sync::atomic::Ordering::Relaxed;

#[test]
#[cfg_attr(miri, ignore)]
fn the_cells_of_the_slab_that_is_cut_up_wait_outside_its_record() {
    let scene = Scene::new(4 << 20, 64 << 10, 0).expect("memory");
    let (context, client) = scene.inside();
    for class in 0..context.sizes.count() {
        let info = context.sizes.class(class);
        let first = scene.alloc(info.cell as usize);
        let (slab, waiting) = client.opened(context, class);
        assert_eq!(context.map.address_of(slab << context.map.shape.unit_shift), first.cast::<u8>(), "class {class}");
        // All of them but the lowest, which was served.
        assert_eq!((waiting, context.map.slab(slab).free.load(Relaxed)), (info.full & !1, 0), "class {class}");
        for number in 1..info.cells as usize {
            assert_eq!(scene.alloc(info.cell as usize), first.wrapping_byte_add(number * info.cell as usize));
        }
        assert_eq!(client.opened(context, class), (slab, 0), "class {class} has used it up");
    }
}

/// A slab with nothing in use is no reason to hold more memory.
#[test]
#[cfg_attr(miri, ignore)]
fn an_idle_slab_is_given_up_before_another_block_is_taken() {
    for cell in [16usize, 64, 512] {
        let scene = Scene::new(4 << 20, 64 << 10, 0).expect("memory");
        let _keeper = scene.alloc(1024);
        let cells: Vec<_> = (0..(56 << 10) / cell).map(|_| scene.alloc(cell)).collect();
        cells.iter().for_each(|&piece| scene.free(piece));
        let (context, client) = scene.inside();
        let class = context.sizes.class_of(cell).expect("a slab");
        let held = c!(vmma_get_held_size(scene.client));
        assert_ne!(client.idle[class].get(), NONE, "cells of {cell}: a slab is idle");
        assert_eq!(held, 64 << 10);
        assert!(client.space(context, 0).largest() < Some(4), "no room without the idle slabs");
        assert!(!scene.alloc(16 << 10).is_null());
        assert_eq!(c!(vmma_get_held_size(scene.client)), held, "cells of {cell}");
    }
}
