//! The library's own records attacked: every bit of a small live context is turned, one at a time, and the validator
//! has to say so; and whatever it says, it comes back, without reading where it should not.
//! May know: everything.

use super::Rng;
use super::region::{Content, Region};
use crate::client::Client;
use crate::context::{Context, HEADER_SIZE, MARK};
use crate::ffi::*;
use crate::flat::Words;
use crate::layout::{BLOCK_RECORD_SIZE, FIRST_CACHE, SLAB_RECORD_SIZE, SLOT_SIZE, Shape, USES_SIZE};
use crate::memory::{Map, kind};
use crate::sizes::{Class, FIRST_CLASSES, Sizes};
use crate::tools::Tools;
use core::ffi::c_void;
use core::mem::offset_of;
use core::sync::atomic::Ordering::Relaxed;
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Bytes of records that belong together.
struct Part {
    table: &'static str,
    address: *mut u8,
    bytes: usize,
    /// Bits that mean something now; stale and unused ones have to be survived only.
    counts: bool,
}

struct Target {
    region: Region,
    context: *mut vmma_context_t,
    clients: Vec<*mut vmma_client_t>,
    live: Vec<(*mut c_void, usize)>,
}

/// A small context in which everything there can be is there.
fn target(flags: u32, block_size: usize, alignment: usize) -> Target {
    let mut rng = Rng::new(u64::from(flags) + 77);
    let size = c!(vmma_get_required_size(64 * block_size, alignment, block_size, flags));
    let region = Region::new(size, 4096, Content::Garbage, &mut rng);
    let context = c!(vmma_create_context(region.memory().cast(), size, alignment, block_size, flags));
    let clients: Vec<_> = (0..6).map(|_| c!(vmma_create_client(context))).collect();
    let mut live = Vec::new();
    for (number, &client) in clients.iter().enumerate() {
        c!(vmma_set_name(client, c"a client with a name".as_ptr()));
        for _ in 0..30 {
            live.push((client, c!(vmma_alloc(client, 1 + rng.log(block_size / 4)))));
        }
        if number < 3 {
            // Runs of blocks with a tail, without one, and a hole where one was.
            let hole = c!(vmma_alloc(client, block_size + 700));
            live.push((client, c!(vmma_alloc(client, 2 * block_size))));
            live.push((client, c!(vmma_alloc(client, 2 * block_size + 1500))));
            assert_eq!(c!(vmma_free(client, hole)), 0);
        }
    }
    for at in (0..live.len()).rev() {
        if rng.chance(3) {
            let (client, pointer) = live.swap_remove(at);
            c!(vmma_free(client, pointer));
        }
    }
    assert_eq!(c!(vmma_set_limit(clients[0], 30 * block_size)), 0);
    assert_eq!(c!(vmma_set_guarantee(clients[0], 12 * block_size)), 0);
    assert_eq!(c!(vmma_delete_client(clients[4])), 0);
    assert_eq!(c!(vmma_delete_client(clients[3])), 0);
    assert_eq!(c!(vmma_check_context(context)), 0);
    assert!(c!(vmma_get_free_blocks(context)) > 0);
    let sized = |(client, pointer): (*mut vmma_client_t, *mut c_void)| (pointer, c!(vmma_get_size(client, pointer)));
    let live = live.into_iter().map(sized).filter(|each| each.1 > 0).collect();
    Target { region, context, clients, live }
}

impl Target {
    fn inside(&self) -> &Context {
        // SAFETY: the context is alive.
        unsafe { Context::from_handle(self.context.cast()) }.expect("alive")
    }

    /// Where all records lie.
    fn parts(&self) -> Vec<Part> {
        let context = self.inside();
        let map = &context.map;
        let mut parts = Vec::new();
        let mut add = |table, address: *const u8, bytes, counts| {
            parts.push(Part { table, address: address.cast_mut(), bytes, counts });
        };
        // Bytes between fields, that belong to none, are left out of the count.
        let header = self.context.cast::<u8>();
        let fixed = offset_of!(Context, cached_classes) + 4;
        let map_at = offset_of!(Context, map) + offset_of!(Map, shape);
        let mut gaps = Vec::new();
        let tools_at = offset_of!(Context, map) + offset_of!(Map, tools);
        gaps.push(tools_at + size_of::<Tools>()..offset_of!(Context, map) + size_of::<Map>());
        gaps.push(map_at + offset_of!(Shape, waits) + 1..map_at + size_of::<Shape>());
        let classes_at = core::ptr::from_ref(context.sizes.class(0)).addr() - self.context.addr();
        // In front of the classes: two shifts, the alignment, four bytes.
        gaps.push(offset_of!(Context, sizes) + 8 + size_of::<usize>() + 4..classes_at);
        let classes_end = classes_at + FIRST_CLASSES * size_of::<Class>();
        gaps.push(classes_end..offset_of!(Context, sizes) + size_of::<Sizes>());
        let in_gap = |at: usize| gaps.iter().any(|gap| gap.contains(&at));
        let mut from = 0;
        for at in 0..=fixed {
            if at == fixed || in_gap(at) != in_gap(from) {
                add(
                    if in_gap(from) { "header, gaps" } else { "header, fixed part" },
                    header.wrapping_add(from),
                    at - from,
                    !in_gap(from),
                );
                from = at;
            }
        }
        add("header, counters", header.wrapping_add(fixed), HEADER_SIZE - fixed, false);
        for slot in 0..context.slots_used.load(Relaxed) {
            let alive = Client::in_slot(context, slot).is_some();
            let table = if alive { "client slots" } else { "free slots" };
            let (start, gap) =
                (map.slot(slot as usize), offset_of!(Client, failed_count) + 4..offset_of!(Client, limit));
            add(table, start, gap.start, alive);
            add("client slots, gaps", start.wrapping_add(gap.start), gap.len(), false);
            let end = offset_of!(Client, checksum) + 4;
            add(table, start.wrapping_add(gap.end), end - gap.end, alive);
            add("behind a client", start.wrapping_add(end), SLOT_SIZE - end, false);
        }
        let free = map.free_words();
        add("free set", free.as_ptr().cast(), size_of_val(free), true);
        let watermark = context.watermark();
        for block in 0..map.blocks {
            let record = core::ptr::from_ref(map.record(block)).cast::<u8>();
            let what = map.record(block).owner.load(Relaxed) & 0xff;
            let used = block < watermark && what != kind::FREE;
            add(if used { "block records" } else { "records of free blocks" }, record, BLOCK_RECORD_SIZE, used);
            let dealt = used && what == kind::BUDDY;
            let units = map.shape.unit_records_per_block();
            let first = map.first_unit(block);
            if units > 0 {
                add(
                    if dealt { "unit words" } else { "unit words, unused" },
                    core::ptr::from_ref(map.unit(first)).cast(),
                    4 * units,
                    dealt,
                );
                add(
                    if dealt { "slab records" } else { "slab records, unused" },
                    core::ptr::from_ref(map.slab(first)).cast(),
                    SLAB_RECORD_SIZE * map.shape.slab_records_per_block(),
                    dealt,
                );
                let uses = core::ptr::from_ref(map.uses(first)).cast();
                add(if dealt { "uses" } else { "uses, unused" }, uses, USES_SIZE * units / 2, dealt);
            } else {
                let flat = map.flat(block);
                add(
                    if dealt { "sums" } else { "sums, unused" },
                    flat.0.sums().as_ptr().cast(),
                    size_of_val(flat.0.sums()),
                    dealt,
                );
                let longest = flat.0.eights();
                add(
                    if dealt { "longest" } else { "longest, unused" },
                    longest.as_ptr().cast(),
                    size_of_val(longest),
                    dealt,
                );
            }
            let words = map.shape.live_words_per_block();
            let live = core::ptr::from_ref(map.live_word((block * words) << 6)).cast();
            add(if dealt { "live words" } else { "live words, unused" }, live, 8 * words, dealt);
            if map.shape.waits {
                let waits = core::ptr::from_ref(map.wait_word((block * words) << 6)).cast();
                add(if dealt { "wait words" } else { "wait words, unused" }, waits, 8 * words, dealt);
            }
            let nodes = map.node_words(block);
            add(if dealt { "nodes" } else { "nodes, unused" }, nodes.as_ptr().cast(), size_of_val(nodes), dealt);
        }
        if map.shape.slack {
            for &(pointer, size) in &self.live {
                let offset = map.offset_of(pointer.addr()).expect("in a block");
                // One byte for cells of up to 256 bytes, eight for what is larger.
                let bytes = if (size + 8).next_power_of_two() <= 256 { 1 } else { size_of::<usize>() };
                for byte in 0..bytes {
                    add("red zone lengths", core::ptr::from_ref(map.slack_byte(offset + 16 * byte)).cast(), 1, true);
                }
            }
        }
        self.cache_parts(&mut parts);
        parts
    }

    /// Cache entries: the marks and what is between them and the top; the quarantine's entries.
    fn cache_parts(&self, parts: &mut Vec<Part>) {
        let context = self.inside();
        let entries = FIRST_CACHE + context.map.blocks * context.map.shape.cache_entries as usize;
        let mut used = vec![false; entries];
        used[..2].fill(true);
        for slot in 0..context.slots_used.load(Relaxed) {
            let Some(client) = Client::in_slot(context, slot) else { continue };
            for class in 0..context.cached_classes as usize {
                let (first, count) = client.array(context, class);
                let capacity = (context.map.cache(first).get() & 0x7fff) as usize;
                if capacity > 0 {
                    used[first..=first + count].fill(true);
                    used[first + capacity + 1] = true;
                    assert!(context.map.cache(first + capacity + 1).get() >= MARK);
                }
            }
            for at in 0..client.quarantine.count() {
                let home = context.map.first_cache(client.quarantine.home() as usize);
                let granule = client.quarantined(context, at) as u32;
                let place = (home..home + context.map.shape.cache_entries as usize).step_by(2);
                for entry in place.filter(|&entry| context.map.cache(entry).get() == granule) {
                    used[entry..entry + 2].fill(true);
                }
            }
        }
        for (entry, &used) in used.iter().enumerate() {
            let table = if used { "caches in use" } else { "caches, unused" };
            let address = core::ptr::from_ref(context.map.cache(entry)).cast::<u8>().cast_mut();
            parts.push(Part { table, address, bytes: 4, counts: used });
        }
    }
}

#[derive(Default)]
struct Share {
    bits: usize,
    found: usize,
    /// Offset in the part -> how many of its bits go unseen.
    missed: BTreeMap<usize, usize>,
    counts: bool,
}

/// Turns every bit (or every `stride`th) of every part; what the validator says of it.
fn attack(target: &Target, stride: impl Fn(&Part) -> usize) -> BTreeMap<&'static str, Share> {
    let mut shares: BTreeMap<&'static str, Share> = BTreeMap::new();
    let parts = target.parts();
    // The check notes what it found in headers and slots: put back as they were after every bit.
    let noted: Vec<&Part> =
        parts.iter().filter(|part| part.table.contains("header") || part.table == "client slots").collect();
    let before: Vec<Vec<u8>> = noted.iter().map(|part| read(part)).collect();
    let mut at = 0;
    for part in &parts {
        let share = shares.entry(part.table).or_default();
        share.counts |= part.counts;
        let stride = stride(part);
        while at < part.bytes * 8 {
            let (byte, bit) = (part.address.wrapping_add(at / 8), 1u8 << (at % 8));
            let old = c!(byte.read());
            c!(byte.write(old ^ bit));
            let result = catch_unwind(AssertUnwindSafe(|| c!(vmma_check_context(target.context))));
            let Ok(result) = result else { panic!("the validator panicked at bit {at} of {}", part.table) };
            if part.table.contains("client") {
                for &client in &target.clients {
                    c!(vmma_check_client(client));
                }
            }
            share.bits += 1;
            if result == 0 {
                *share.missed.entry(at / 8).or_default() += 1;
            } else {
                share.found += 1;
            }
            c!(byte.write(old));
            for (part, bytes) in noted.iter().zip(&before) {
                // SAFETY: as many bytes as were read from there.
                unsafe { core::ptr::copy_nonoverlapping(bytes.as_ptr(), part.address, bytes.len()) };
            }
            at += stride;
        }
        at -= part.bytes * 8;
        at %= stride.max(1);
    }
    assert_eq!(c!(vmma_check_context(target.context)), 0, "all is as it was");
    shares
}

fn read(part: &Part) -> Vec<u8> {
    (0..part.bytes).map(|at| c!(part.address.add(at).read())).collect()
}

fn report(name: &str, shares: &BTreeMap<&'static str, Share>) {
    println!("{name}");
    for (table, share) in shares {
        let percent = 100.0 * share.found as f64 / share.bits.max(1) as f64;
        println!("  {table:24} {:7} bits  {percent:7.3} % detected", share.bits);
        if std::env::var_os("VMMA_TEST_TRACE").is_some() && share.counts | table.contains("counters") {
            println!("      missed by offset: {:?}", share.missed);
        }
    }
}

fn attack_and_judge(name: &str, flags: u32, block_size: usize, alignment: usize) {
    let target = target(flags, block_size, alignment);
    let rough = if cfg!(debug_assertions) { 23 } else { 1 };
    // All of the counters too: what the check says of them is in docs/security.md, though nothing is demanded.
    let fine = |part: &Part| part.counts || part.table.contains("counters");
    let shares = attack(&target, |part| if fine(part) { rough } else { 8 * rough + 1 });
    report(name, &shares);
    // Where pointers have 32 bits some words are not used, and gaps lie elsewhere: everything is survived, nothing judged.
    let judged = cfg!(target_pointer_width = "64");
    for (table, share) in shares.iter().filter(|(_, share)| judged && share.counts) {
        assert!(share.bits > 30 || rough > 1, "{table} has hardly any bits in this target");
        // A sample may miss a few more.
        let enough = if rough > 1 { share.bits * 97 / 100 } else { share.bits * 99 / 100 };
        assert!(share.found >= enough, "{table}: {} of {} bits", share.found, share.bits);
    }
    assert!(target.region.margins_intact(), "the validator wrote outside of the memory");
    for client in &target.clients {
        c!(vmma_delete_client(*client));
    }
    assert_eq!(c!(vmma_check_context(target.context)), 0);
    assert_eq!(c!(vmma_delete_context(target.context)), 0);
}

#[test]
#[cfg_attr(miri, ignore)]
fn a_flipped_bit_is_found_with_caches() {
    attack_and_judge("default", 0, 8 << 10, 16);
}

#[test]
#[cfg_attr(miri, ignore)]
fn a_flipped_bit_is_found_without_caches() {
    attack_and_judge("NO_CACHE", VMMA_FLAG_NO_CACHE, 8 << 10, 16);
}

#[test]
#[cfg_attr(miri, ignore)]
fn a_flipped_bit_is_found_in_packed_contexts() {
    attack_and_judge("PACKED", VMMA_FLAG_PACKED, 8 << 10, 8);
}

#[test]
#[cfg_attr(miri, ignore)]
fn a_flipped_bit_is_found_with_guards_and_quarantine() {
    attack_and_judge("GUARD | QUARANTINE", VMMA_FLAG_GUARD | VMMA_FLAG_QUARANTINE, 8 << 10, 16);
}

/// What never changes has a checksum, so that here nothing may be missed.
#[test]
#[cfg(target_pointer_width = "64")]
#[cfg_attr(miri, ignore)]
fn every_bit_of_what_never_changes_is_found() {
    for (flags, alignment) in [(0, 16), (VMMA_FLAG_PACKED, 8), (VMMA_FLAG_GUARD | VMMA_FLAG_NO_CACHE, 16)] {
        let target = target(flags, 8 << 10, alignment);
        let fixed = "header, fixed part";
        let shares = attack(&target, |part| if part.table == fixed { 1 } else { 8 * part.bytes });
        let share = &shares[fixed];
        assert!(share.bits > 2000, "{}", share.bits);
        assert_eq!(share.found, share.bits, "flags {flags:#x}, missed by offset: {:?}", share.missed);
        assert_eq!(c!(vmma_delete_context(target.context)), 0);
    }
}
