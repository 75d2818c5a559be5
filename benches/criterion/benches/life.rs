//! Teardown of a full heap, the life of a small client, many clients in random turn.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use libvmma_criterion::{Heap, Rng, for_all};
use std::time::{Duration, Instant};

fn teardown<H: Heap>(c: &mut Criterion) {
    const LIVE: usize = 100_000;
    c.benchmark_group("teardown-100000").bench_function(H::NAME, |b| {
        // Filling takes far longer than deleting, so only a few deletions of those asked for are made, and scaled up.
        b.iter_custom(|iters| {
            let (runs, mut spent) = (iters.min(100), Duration::ZERO);
            for _ in 0..runs {
                let mut h = H::open();
                let p: Vec<*mut u8> = (0..LIVE).map(|_| h.alloc(64)).collect();
                let t = Instant::now();
                if !H::DELETES {
                    for p in p {
                        // SAFETY: allocated above.
                        unsafe { h.free(p, 64) };
                    }
                }
                h.close();
                spent += t.elapsed();
            }
            spent.mul_f64(iters as f64 / runs as f64)
        })
    });
}

fn life<H: Heap>(c: &mut Criterion, allocs: usize) {
    c.benchmark_group(format!("life-{allocs}")).bench_function(H::NAME, |b| {
        b.iter(|| {
            let mut h = H::open();
            let mut p = [std::ptr::null_mut(); 10];
            for x in &mut p[..allocs] {
                *x = h.alloc(64);
                // SAFETY: just allocated.
                unsafe { x.write_volatile(1) };
            }
            if !H::DELETES {
                for x in &p[..allocs] {
                    // SAFETY: allocated above.
                    unsafe { h.free(*x, 64) };
                }
            }
            h.close();
        })
    });
}

fn many<H: Heap>(c: &mut Criterion) {
    const CLIENTS: u32 = 64;
    const LIVE: u32 = 156;
    let mut r = Rng(5);
    let steps: Vec<(u32, u32, u32)> = (0..1 << 17).map(|_| (r.below(CLIENTS), r.below(LIVE), r.log_size() as u32)).collect();
    let mut all: Vec<(H, Vec<(*mut u8, usize)>)> = (0..CLIENTS)
        .map(|_| {
            let mut h = H::open();
            let v = (0..LIVE).map(|_| r.log_size()).map(|n| (h.alloc(n), n)).collect();
            (h, v)
        })
        .collect();
    let mut at = 0;
    c.benchmark_group("clients-64").throughput(Throughput::Elements(2)).bench_function(H::NAME, |b| {
        b.iter(|| {
            let (client, slot, n) = steps[at & (steps.len() - 1)];
            at += 1;
            let (h, v) = &mut all[client as usize];
            let l = &mut v[slot as usize];
            // SAFETY: the slot's allocation is live; the new one has at least 16 bytes.
            unsafe {
                h.free(l.0, l.1);
                *l = (h.alloc(n as usize), n as usize);
                l.0.cast::<u64>().write_volatile(1);
            }
        })
    });
    for (mut h, v) in all {
        if !H::DELETES {
            for l in v {
                // SAFETY: live until here.
                unsafe { h.free(l.0, l.1) };
            }
        }
        h.close();
    }
}

fn all(c: &mut Criterion) {
    for_all!(teardown, c);
    for_all!(life, c, 0);
    for_all!(life, c, 10);
    for_all!(many, c);
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(20).warm_up_time(Duration::from_millis(300)).measurement_time(Duration::from_millis(800));
    targets = all
}
criterion_main!(benches);
