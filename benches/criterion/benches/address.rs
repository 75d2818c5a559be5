//! Questions about addresses, which only libvmma answers: on 10 000 live allocations, in random order.

use criterion::{Criterion, criterion_group, criterion_main};
use libvmma_criterion::{Heap, Rng, Vmma, ffi};
use std::hint::black_box;
use std::time::Duration;

fn questions<const FLAGS: u32>(c: &mut Criterion) {
    let (mut h, mut r) = (Vmma::<FLAGS>::open(), Rng(9));
    let context = Vmma::<FLAGS>::context();
    let live: Vec<(*mut u8, usize)> = (0..10_000).map(|_| r.vm_size()).map(|n| (h.alloc(n), n)).collect();
    let order: Vec<usize> = (0..1 << 16).map(|_| r.below(10_000) as usize).collect();
    let client = h.0;
    let mut at = 0;
    let mut next = || {
        at += 1;
        let (p, n) = live[order[at & (order.len() - 1)]];
        (p, p.wrapping_add(n / 2))
    };
    let mut g = c.benchmark_group(format!("address/{}", Vmma::<FLAGS>::NAME));
    // SAFETY (all four): live handles; any address may be asked.
    g.bench_function("test-address", |b| b.iter(|| unsafe { assert!(ffi::vmma_test_address(client, next().1.cast()) == 1) }));
    g.bench_function("get-size", |b| b.iter(|| unsafe { assert!(ffi::vmma_get_size(client, next().0.cast()) != 0) }));
    g.bench_function("find-client", |b| b.iter(|| unsafe { assert!(ffi::vmma_find_client(context, next().1.cast()) == client) }));
    g.bench_function("find-allocation", |b| {
        b.iter(|| {
            let (p, inside) = next();
            let found = unsafe { ffi::vmma_find_allocation(client, inside.cast(), std::ptr::null_mut()) };
            assert!(black_box(found).cast() == p);
        })
    });
    g.finish();
    h.close();
}

fn all(c: &mut Criterion) {
    questions::<0>(c);
    questions::<0x40>(c);
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(20).warm_up_time(Duration::from_millis(300)).measurement_time(Duration::from_millis(800));
    targets = all
}
criterion_main!(benches);
