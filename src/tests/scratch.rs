use crate::ffi::*;
#[test]
fn scratch() {
    unsafe {
        let c = vmma_create_context(core::ptr::null_mut(), 10294, 64, 2048, 14);
        let k = vmma_create_client(c);
        for s in [284usize, 1024, 210] {
            eprintln!("{s} {:p}", vmma_alloc(k, s));
        }
        vmma_trim_client(k);
        for s in [2019usize, 3] {
            eprintln!("{s} {:p} {}", vmma_alloc(k, s), vmma_get_last_status(k));
        }
        eprintln!("free {} held {} max {}", vmma_get_free_blocks(c), vmma_get_held_size(k), vmma_get_max_alloc(k));
        let client = crate::client::Client::from_handle(k.cast()).unwrap();
        for l in &client.lists {
            eprint!("{:x} ", l.get());
        }
        eprintln!();
        for s in client.slabs.iter().take(4) {
            eprint!("{:x} ", s.get());
        }
        eprintln!();
        let x = client.context();
        for class in 0..4 {
            let i = x.sizes.class(class);
            eprintln!("class {} cell {} order {} cells {}", class, i.cell, i.slab_order, i.cells);
        }
        eprintln!("{:?} place {:?}", x.sizes.count(), x.sizes.place(3));
    }
}
