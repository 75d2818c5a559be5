//! Tests of the Rust face of a context from outside: what it tells about itself, what its dumps show.
//! They know the public interface of the crate and nothing else.

use core::alloc::Layout;
use vmma::host::{DumpFormat, Misuse};
use vmma::{ContextOptions, Error, Flags, ffi};

fn bytes(size: usize) -> Layout {
    Layout::from_size_align(size, 1).unwrap()
}

#[test]
fn a_context_tells_what_its_c_functions_tell() {
    let context = ContextOptions::default().alignment(32).block_size(8192).flags(Flags::WIPE).map(1 << 20).unwrap();
    let mut client = context.client().unwrap();
    let memory = client.alloc(bytes(20_000)).unwrap();
    let handle = context.as_ptr();
    // SAFETY: the context is alive.
    unsafe {
        assert_eq!(context.flags().bits(), ffi::vmma_get_accepted_flags(handle));
        assert_eq!(context.alignment(), ffi::vmma_get_alignment(handle));
        assert_eq!(context.block_size(), ffi::vmma_get_block_size(handle));
        assert_eq!(context.total_blocks(), ffi::vmma_get_total_blocks(handle));
        assert_eq!(context.free_blocks(), ffi::vmma_get_free_blocks(handle));
        assert_eq!(context.peak_blocks(), ffi::vmma_get_peak_blocks(handle));
        assert_eq!(context.total_size(), ffi::vmma_get_total_size(handle));
        assert_eq!(context.good_size(100), Some(ffi::vmma_get_good_size(handle, 100)));
    }
    assert_eq!((context.alignment(), context.block_size(), context.flags()), (32, 8192, Flags::WIPE));
    assert_eq!(context.good_size(2 << 20), None);
    assert!(Flags::supported().contains(context.flags()));
    let text = format!("{context:?}");
    assert!(text.starts_with("Context { total_size: 1048576, block_size: 8192, ") && text.contains("client_count: 1"));
    // What is only kept is counted, and goes by a trim of the client or of all.
    // SAFETY: nobody uses it any more.
    unsafe { client.free(memory.cast()).unwrap() };
    client.trim().unwrap();
    assert_eq!((context.cached_blocks(), client.held_size()), (0, 0));
    let memory = client.alloc(bytes(100)).unwrap();
    // SAFETY: as before.
    unsafe { client.free(memory.cast()).unwrap() };
    assert_eq!(context.cached_blocks() * 8192, client.held_size());
    context.trim().unwrap();
    assert_eq!((context.cached_blocks(), client.held_size()), (0, 0));
    client.reset().unwrap();
    assert!(Error::Overrun.is_misuse() && !Error::NoMemory.is_misuse());
}

#[test]
fn a_dump_without_clients_says_so_and_a_crowded_cell_is_drawn() {
    let mut context = ContextOptions::new().block_size(1024).map(256 << 20).unwrap();
    let mut text = String::new();
    context.dump(DumpFormat::Text, &mut text).unwrap();
    assert!(text.contains("clients") && !text.contains("slot"), "{text}");
    // Many small blocks share a cell of the map, and here many clients do.
    let clients: Vec<_> = (0..20).map(|_| context.client().unwrap()).collect();
    for _ in 0..200 {
        clients.iter().for_each(|client| assert!(client.alloc(bytes(1000)).is_ok()));
    }
    let mut map = String::new();
    context.dump(DumpFormat::Svg, &mut map).unwrap();
    assert!(map.contains("fill=\"#555\""), "the colour of all who do not fit into a cell");
    drop(clients);
    context.set_error_handler(&|_: &Misuse| ());
    assert_eq!(context.check(), Ok(()));
}
