//! Pairs by size, 64-deep LIFO, churn with both size mixes, realloc growth; every allocator through the same kind of call.

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use libvmma_criterion::{Heap, Rng, for_all};
use std::hint::black_box;
use std::time::Duration;

fn touch(p: *mut u8) {
    assert!(!p.is_null());
    // SAFETY: an allocation of at least one byte, just made.
    unsafe { p.write_volatile(1) };
}

fn pair<H: Heap>(c: &mut Criterion, n: usize) {
    let mut h = H::open();
    c.benchmark_group("pair").throughput(Throughput::Elements(1)).bench_function(BenchmarkId::new(H::NAME, n), |b| {
        b.iter(|| {
            let p = h.alloc(black_box(n));
            touch(p);
            // SAFETY: allocated above.
            unsafe { h.free(p, n) };
        })
    });
    h.close();
}

fn lifo<H: Heap>(c: &mut Criterion) {
    let mut h = H::open();
    c.benchmark_group("lifo-64").throughput(Throughput::Elements(64)).bench_function(H::NAME, |b| {
        b.iter(|| {
            let mut p = [std::ptr::null_mut(); 64];
            for x in &mut p {
                *x = h.alloc(64);
                touch(*x);
            }
            for x in p.iter().rev() {
                // SAFETY: allocated above.
                unsafe { h.free(*x, 64) };
            }
        })
    });
    h.close();
}

fn churn<H: Heap>(c: &mut Criterion, mix: &str, size: fn(&mut Rng) -> usize) {
    const LIVE: u32 = 10_000;
    let (mut h, mut r) = (H::open(), Rng(3));
    let steps: Vec<(u32, u32)> = (0..1 << 17).map(|_| (r.below(LIVE), size(&mut r) as u32)).collect();
    let mut live: Vec<(*mut u8, usize)> = steps[..LIVE as usize].iter().map(|s| (h.alloc(s.1 as usize), s.1 as usize)).collect();
    let mut at = 0;
    c.benchmark_group("churn").throughput(Throughput::Elements(2)).bench_function(BenchmarkId::new(H::NAME, mix), |b| {
        b.iter(|| {
            let (slot, n) = steps[at & (steps.len() - 1)];
            at += 1;
            let l = &mut live[slot as usize];
            // SAFETY: the slot's allocation is live and has at least 16 bytes; so has the new one.
            unsafe {
                black_box(l.0.cast::<u64>().read_volatile());
                h.free(l.0, l.1);
                *l = (h.alloc(n as usize), n as usize);
                l.0.cast::<u64>().write_volatile(1);
            }
        })
    });
    if !H::DELETES {
        for l in live {
            // SAFETY: live until here.
            unsafe { h.free(l.0, l.1) };
        }
    }
    h.close();
}

fn grow<H: Heap>(c: &mut Criterion) {
    let mut h = H::open();
    c.benchmark_group("realloc-grow").bench_function(H::NAME, |b| {
        b.iter(|| {
            let mut n = 16;
            let mut p = h.alloc(n);
            while n < 65536 {
                let m = n + n / 4 + 8;
                // SAFETY: `p` is live and has `n` bytes.
                p = unsafe { h.realloc(p, n, m) };
                touch(p);
                n = m;
            }
            // SAFETY: as above.
            unsafe { h.free(p, n) };
        })
    });
    h.close();
}

fn all(c: &mut Criterion) {
    for n in [16, 64, 256, 1024, 4096, 8192, 16384, 32768] {
        for_all!(pair, c, n);
    }
    for_all!(lifo, c);
    for_all!(churn, c, "log-uniform", Rng::log_size);
    for_all!(churn, c, "vm-mix", Rng::vm_size);
    for_all!(grow, c);
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(20).warm_up_time(Duration::from_millis(300)).measurement_time(Duration::from_millis(800));
    targets = all
}
criterion_main!(benches);
