//! Slabs: the one that is being cut up waits with its client, outside of its own record.
//!
//! No answer depends on that, so the model of whole contexts cannot see it.
//! May know: everything.

use super::caches::Scene;
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
