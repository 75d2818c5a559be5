//! The only place that turns numbers into pointers.
//!
//! A `Map` knows one context's memory: where its tables and its blocks lie. Everything above works with
//! numbers (block, unit, granule, offset from block 0) and asks here for the record or the byte behind one.
//!
//! Records are read and written through shared references to cells and atomics; there is no `&mut` into the
//! memory block anywhere. Atomics (all relaxed: plain moves on every processor that matters) are what foreign
//! threads may read at any time: block records, unit words, live words. Cells belong to the thread that is
//! inside a call on the client, or that holds the lock which guards them.
//!
//! Invariant: the tables were laid out by `layout`, for `blocks` blocks, in memory that lives as long as the map.
//! Numbers that come from a caller outside the library have been checked against the map before they get here;
//! debug builds check all of them again.
//! May know: layout, records, flat, tools. Reads client memory never, writes it only in the functions at the end.

mod seal;

use crate::cell::Cell;
use crate::flat::{Flat, Words};
use crate::layout::{FIRST_SLOTS, Layout, SLOT_SIZE, Shape};
pub use crate::records::{BlockRecord, NONE, SlabRecord, Uses, kind};
use crate::tools::Tools;
use core::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering::Relaxed};

/// One context's memory.
#[repr(C)]
pub struct Map {
    /// As given at creation.
    memory: *mut u8,
    size: usize,
    origin: *mut u8,
    base: *mut u8,
    pub blocks: usize,
    pub shape: Shape,
    records: *const BlockRecord,
    free: *const Cell<u64>,
    units: *const AtomicU32,
    lives: *const AtomicU64,
    uses: *const Uses,
    slabs: *const SlabRecord,
    nodes: *const Cell<u64>,
    sums: *const AtomicU64,
    longest: *const Cell<u64>,
    /// PACKED: how many of these a block has.
    flat_sums: usize,
    flat_longest: usize,
    caches: *const Cell<u32>,
    slack: *const AtomicU8,
    /// The memory tool that watches this context.
    pub tools: Tools,
}

impl Map {
    /// # Safety
    /// `memory` points to `size` bytes that are valid for reads and writes, and that nobody else uses, for as
    /// long as the map is in use; `layout` was made for them.
    pub unsafe fn new(memory: *mut u8, size: usize, layout: &Layout) -> Map {
        let origin = memory.wrapping_add(layout.origin - memory.addr());
        let tables = &layout.tables;
        Map {
            memory,
            size,
            origin,
            base: memory.wrapping_add(layout.base - memory.addr()),
            blocks: layout.blocks,
            shape: layout.shape,
            records: origin.wrapping_add(tables.blocks).cast(),
            free: origin.wrapping_add(tables.free).cast(),
            units: origin.wrapping_add(tables.units).cast(),
            lives: origin.wrapping_add(tables.lives).cast(),
            uses: origin.wrapping_add(tables.uses).cast(),
            slabs: origin.wrapping_add(tables.slabs).cast(),
            nodes: origin.wrapping_add(tables.nodes).cast(),
            sums: origin.wrapping_add(tables.sums).cast(),
            longest: origin.wrapping_add(tables.longest).cast(),
            flat_sums: layout.shape.sum_words_per_block(),
            flat_longest: layout.shape.longest_per_block(),
            caches: origin.wrapping_add(tables.caches).cast(),
            slack: origin.wrapping_add(tables.slack).cast(),
            tools: Tools::find(),
        }
    }

    pub fn memory(&self) -> *mut u8 {
        self.memory
    }

    pub fn size(&self) -> usize {
        self.size
    }

    #[inline(always)]
    pub fn base(&self) -> *mut u8 {
        self.base
    }

    pub fn unit_table(&self) -> *const AtomicU32 {
        self.units
    }

    pub fn live_table(&self) -> *const AtomicU64 {
        self.lives
    }

    pub fn uses_table(&self) -> *const Uses {
        self.uses
    }

    pub fn cache_table(&self) -> *const Cell<u32> {
        self.caches
    }

    /// Bytes from the header's beginning to the end of all tables.
    pub fn record_bytes(&self) -> usize {
        let behind = if self.shape.slack { (self.blocks << self.shape.block_shift) / 16 } else { 0 };
        self.slack.addr() + behind - self.origin.addr()
    }

    // ---- numbers ----

    pub fn unit_count(&self) -> usize {
        self.blocks << self.shape.order_max()
    }

    #[inline(always)]
    pub fn first_unit(&self, block: usize) -> usize {
        block << self.shape.order_max()
    }

    #[inline(always)]
    pub fn block_of_unit(&self, unit: usize) -> usize {
        unit >> self.shape.order_max()
    }

    /// The offset from block 0 of an address inside the blocks.
    pub fn offset_of(&self, address: usize) -> Option<usize> {
        let offset = address.wrapping_sub(self.base.addr());
        (offset < self.blocks << self.shape.block_shift).then_some(offset)
    }

    #[inline(always)]
    pub fn address_of(&self, offset: usize) -> *mut u8 {
        self.base.wrapping_add(offset)
    }

    // ---- records ----

    #[inline(always)]
    pub fn record(&self, block: usize) -> &BlockRecord {
        debug_assert!(block < self.blocks);
        // SAFETY: the table has `blocks` records, all bytes are valid for atomics, and callers pass block numbers
        // that they took from checked addresses or from other records, which hold numbers of this context only.
        unsafe { &*self.records.add(block) }
    }

    #[inline(always)]
    pub fn unit(&self, unit: usize) -> &AtomicU32 {
        debug_assert!(unit < self.unit_count());
        // SAFETY: as in `record`; the table has one word for every unit.
        unsafe { &*self.units.add(unit) }
    }

    /// Of the slab that begins at a unit; of those in which none can begin, the even ones have an entry as well.
    #[inline(always)]
    pub fn uses(&self, unit: usize) -> &Uses {
        debug_assert!(unit < self.unit_count() && unit & 1 == 0);
        // SAFETY: as in `record`; the table has one entry for every two units.
        unsafe { &*self.uses.add(unit / 2) }
    }

    #[inline(always)]
    pub fn slab(&self, slab: usize) -> &SlabRecord {
        debug_assert!(slab < self.unit_count() && slab & ((1 << self.shape.slab_order) - 1) == 0);
        // SAFETY: as in `record`; the table has one entry for every slab that can be.
        unsafe { &*self.slabs.add(slab >> self.shape.slab_order) }
    }

    /// Has the processor fetch the counts of the slabs around one: programs that sweep go from slab to slab, up or down. Two
    /// cache lines to either side; no more than a hint, and not on every processor.
    #[inline(always)]
    pub fn fetch_around(&self, slab: usize) {
        #[cfg(all(target_arch = "x86_64", not(miri)))]
        for distance in [-128, -64, 64, 128] {
            let record = self.uses.wrapping_add(slab / 2).cast::<i8>().wrapping_byte_offset(distance);
            // SAFETY: nothing is read or written as far as the program can tell, and any address will do.
            unsafe { core::arch::x86_64::_mm_prefetch::<{ core::arch::x86_64::_MM_HINT_T0 }>(record) }
        }
        #[cfg(not(all(target_arch = "x86_64", not(miri))))]
        let _ = slab;
    }

    /// The word of live bits that holds the bit of `granule`.
    #[inline(always)]
    pub fn live_word(&self, granule: usize) -> &AtomicU64 {
        debug_assert!(granule >> 6 < self.blocks * self.shape.live_words_per_block());
        // SAFETY: as in `record`; the table has one bit for every granule.
        unsafe { &*self.lives.add(granule >> 6) }
    }

    /// The words of live bits of so many granules, a multiple of 64.
    #[inline(always)]
    pub fn live_words(&self, granule: usize, count: usize) -> &[AtomicU64] {
        debug_assert!((granule + count) >> 6 <= self.blocks * self.shape.live_words_per_block());
        // SAFETY: as in `live_word`.
        unsafe { core::slice::from_raw_parts(self.lives.add(granule >> 6), count >> 6) }
    }

    /// QUARANTINE: the word of the bits of what waits there that holds the bit of `granule`.
    pub fn wait_word(&self, granule: usize) -> &AtomicU64 {
        debug_assert!(self.shape.waits && granule >> 6 < self.blocks * self.shape.live_words_per_block());
        // SAFETY: as in `live_word`; with QUARANTINE, and units, the table has as many words again.
        unsafe { &*self.lives.add(self.blocks * self.shape.live_words_per_block() + (granule >> 6)) }
    }

    /// PACKED: the word of edges that holds the bit of `granule`.
    #[inline(always)]
    pub fn edge_word(&self, granule: usize) -> &AtomicU64 {
        debug_assert!(self.shape.packed && granule >> 6 < self.blocks * self.shape.live_words_per_block());
        // SAFETY: as in `live_word`: PACKED contexts have as many words of nodes. Any bits are valid in both views.
        unsafe { &*self.nodes.cast::<AtomicU64>().add(granule >> 6) }
    }

    /// The live allocations that begin in the word of a granule. PACKED: what is live is also an edge.
    #[inline]
    pub fn live_bits(&self, granule: usize) -> u64 {
        let bits = self.live_word(granule).load(Relaxed);
        if self.shape.packed { bits & self.edge_word(granule).load(Relaxed) } else { bits }
    }

    #[inline(always)]
    pub fn is_live(&self, granule: usize) -> bool {
        self.live_bits(granule) >> (granule & 63) & 1 != 0
    }

    /// PACKED: what begins, and is not free, becomes live or dead by its edge.
    #[inline(always)]
    pub fn set_live(&self, granule: usize, live: bool) {
        if self.shape.packed { self.set_edge(granule, live) } else { turn_bit(self.live_word(granule), granule, live) }
    }

    /// The same with PACKED.
    #[inline(always)]
    pub fn set_edge(&self, granule: usize, live: bool) {
        turn_bit(self.edge_word(granule), granule, live);
    }

    /// QUARANTINE: does a piece wait there?
    pub fn is_waiting(&self, granule: usize) -> bool {
        self.wait_word(granule).load(Relaxed) >> (granule & 63) & 1 != 0
    }

    /// QUARANTINE: notes that a piece waits there, or no longer does.
    pub fn set_waiting(&self, granule: usize, waiting: bool) {
        if self.shape.waits {
            turn_bit(self.wait_word(granule), granule, waiting);
        }
    }

    /// PACKED: where nothing began something dead begins.
    #[inline(always)]
    pub fn begin_dead(&self, granule: usize) {
        let (word, old) = (self.live_word(granule), self.live_word(granule).load(Relaxed));
        word.store(old | 1 << (granule & 63), Relaxed);
        if old | self.edge_word(granule).load(Relaxed) == 0 {
            self.sum_up(granule);
        }
    }

    #[inline(never)]
    fn sum_up(&self, granule: usize) {
        let shift = self.shape.block_shift - self.shape.granule_shift;
        self.flat(granule >> shift).sum_up((granule & ((1 << shift) - 1)) / 64);
    }

    /// The context's free blocks, as words of a bit set.
    pub fn free_words(&self) -> &[Cell<u64>] {
        // SAFETY: the table was laid out with that many words; it is guarded by the context's lock.
        unsafe { core::slice::from_raw_parts(self.free, crate::bitmap::words_for(self.blocks)) }
    }

    /// The words of one block's buddy allocator.
    #[inline]
    pub fn node_words(&self, block: usize) -> &[Cell<u64>] {
        debug_assert!(block < self.blocks);
        let words = self.shape.node_words_per_block();
        // SAFETY: the table has that many words for each block; they belong to the block's owner.
        unsafe { core::slice::from_raw_parts(self.nodes.add(block * words), words) }
    }

    /// PACKED: the map of one block.
    #[inline(never)]
    pub fn flat(&self, block: usize) -> Flat<Part<'_>> {
        self.flat_here(block)
    }

    /// The same inlined, for the ways that are taken most.
    #[inline(always)]
    pub fn flat_here(&self, block: usize) -> Flat<Part<'_>> {
        debug_assert!(self.shape.packed && block < self.blocks);
        let words = block << (self.shape.block_shift - self.shape.granule_shift - 6);
        // SAFETY: the tables have so many entries for each block.
        let (edges, lives, eights) = unsafe {
            (
                self.nodes.cast::<AtomicU64>().add(words),
                self.lives.add(words),
                self.longest.add(block * self.flat_longest),
            )
        };
        Flat(Part { map: self, block, edges, lives, eights })
    }

    /// One cache entry.
    #[inline(always)]
    pub fn cache(&self, entry: usize) -> &Cell<u32> {
        debug_assert!(entry < self.blocks * self.shape.cache_entries as usize + crate::layout::FIRST_CACHE);
        // SAFETY: as in `record`; entries belong to the owner of the block that they lie with. The first few,
        // which all clients share, are never written after creation.
        unsafe { &*self.caches.add(entry) }
    }

    /// Sets `count` cache entries to 0, which is no mark.
    pub fn clear_cache(&self, first: usize, count: usize) {
        debug_assert!(first + count <= self.blocks * self.shape.cache_entries as usize + crate::layout::FIRST_CACHE);
        // SAFETY: as in `cache`.
        unsafe { self.caches.add(first).cast_mut().write_bytes(0, count) }
    }

    /// Copies `count` cache entries to where others are.
    pub fn copy_cache(&self, from: usize, to: usize, count: usize) {
        debug_assert!(from + count <= to || to + count <= from);
        // SAFETY: as in `cache`: both places belong to the client that is inside this call, and nobody else reads its entries;
        // an array and its successor do not overlap.
        unsafe { core::ptr::copy_nonoverlapping(self.caches.add(from), self.caches.add(to).cast_mut(), count) }
    }

    /// The first cache entry that lies with `block`.
    pub fn first_cache(&self, block: usize) -> usize {
        crate::layout::FIRST_CACHE + block * self.shape.cache_entries as usize
    }

    /// Which cache entry a pointer into the cache table is.
    pub fn cache_number(&self, entry: *const Cell<u32>) -> usize {
        (entry.addr() - self.caches.addr()) / size_of::<u32>()
    }

    pub fn cache_pointer(&self, entry: usize) -> *const Cell<u32> {
        self.caches.wrapping_add(entry)
    }

    /// The byte of red-zone length for the 16 bytes at `offset` (GUARD only).
    pub fn slack_byte(&self, offset: usize) -> &AtomicU8 {
        debug_assert!(self.shape.slack && offset >> self.shape.block_shift < self.blocks);
        // SAFETY: as in `record`; with GUARD the table has one byte for every 16 bytes of all blocks.
        unsafe { &*self.slack.add(offset / 16) }
    }

    /// Makes all records of what lies in a block, in which nothing lies, say so; PACKED: one hole.
    pub fn clear_block_words(&self, block: usize) {
        if self.shape.packed {
            return self.flat(block).init();
        }
        debug_assert!(block < self.blocks);
        let shape = &self.shape;
        let (first, units, words) = (self.first_unit(block), shape.units_per_block(), shape.live_words_per_block());
        let (uses, slabs) = (shape.uses_per_block(), shape.slab_records_per_block());
        // SAFETY: as in `record`; each table has so many entries for every block. Other threads may ask for unit and
        // live words at any time, but nothing leads to the other records of a block without slabs.
        let (of_units, lives) = unsafe {
            self.uses.add(block * uses).cast_mut().write_bytes(0, uses);
            self.slabs.add(block * slabs).cast_mut().write_bytes(0, slabs);
            if shape.waits {
                self.lives.add((self.blocks + block) * words).cast_mut().write_bytes(0, words);
            }
            (
                core::slice::from_raw_parts(self.units.add(first), units),
                core::slice::from_raw_parts(self.lives.add(block * words), words),
            )
        };
        (0..units + words).for_each(|_| crate::steps::count());
        by_fours(of_units, |word| word.store(0, Relaxed));
        by_fours(lives, |word| word.store(0, Relaxed));
    }

    /// Where slot number `slot` lies. The first few follow the header; the others fill whole blocks, from the
    /// last one downwards.
    pub fn slot(&self, slot: usize) -> *mut u8 {
        if slot < FIRST_SLOTS {
            return self.origin.wrapping_add(self.slots_offset() + slot * SLOT_SIZE);
        }
        let further = slot - FIRST_SLOTS;
        let shift = self.shape.block_shift - SLOT_SIZE.trailing_zeros();
        let block = self.blocks - 1 - (further >> shift);
        self.address_of((block << self.shape.block_shift) + (further & ((1 << shift) - 1)) * SLOT_SIZE)
    }

    /// The most slots there can be while blocks from `top` on are filled with slots.
    pub fn most_slots(&self, top: usize) -> usize {
        FIRST_SLOTS + (self.blocks - top) * self.slots_per_block()
    }

    pub fn slots_per_block(&self) -> usize {
        self.shape.block_size() / SLOT_SIZE
    }

    fn slots_offset(&self) -> usize {
        // The block records follow the first slots.
        self.records.addr() - self.origin.addr() - FIRST_SLOTS * SLOT_SIZE
    }

    /// RELEASE: gives the pages of free blocks back to the system.
    pub fn release(&self, offset: usize, len: usize) {
        debug_assert!(offset + len <= self.blocks << self.shape.block_shift);
        // SAFETY: the range is made of free blocks, whose content nobody needs.
        unsafe { crate::sys::release(self.address_of(offset), len) }
    }

    /// Lets the system serve the blocks between two offsets, as far as there are any, with large pages.
    pub fn allow_large_pages(&self, from: usize, to: usize) {
        let to = to.min(self.blocks << self.shape.block_shift);
        crate::sys::allow_large_pages(self.address_of(from), to.saturating_sub(from));
    }

    // ---- what memory tools are told ----

    /// Memory that nobody may touch from now on.
    #[inline]
    pub fn close(&self, offset: usize, len: usize) {
        self.tools.close(self.address_of(offset), len);
    }

    /// Memory that the library, or the host, may touch from now on.
    #[inline]
    pub fn open(&self, offset: usize, len: usize) {
        self.tools.open(self.address_of(offset), len);
    }

    /// How far memory is closed when the blocks below `watermark` have been used and those from `top` on hold slots.
    pub fn closed_end(&self, watermark: usize, top: usize) -> usize {
        (watermark << self.shape.block_shift).saturating_add(crate::tools::AHEAD).min(top << self.shape.block_shift)
    }

    // ---- bytes of clients: the only functions that touch them ----

    /// Sets `len` bytes at `offset` from block 0, of a live allocation.
    pub fn fill(&self, offset: usize, len: usize, value: u8) {
        debug_assert!(offset + len <= self.blocks << self.shape.block_shift);
        // SAFETY: the range lies in the blocks; it is free, or was just or is about to be, so nobody else has a claim on it.
        unsafe { self.base.add(offset).write_bytes(value, len) }
    }

    /// The same with memory that nobody may touch, before as after.
    pub fn fill_closed(&self, offset: usize, len: usize, value: u8) {
        self.open(offset, len);
        self.fill(offset, len, value);
        self.close(offset, len);
    }

    /// Zeroes what is no longer in use, so that the compiler may not leave it out.
    #[inline(never)]
    pub fn wipe(&self, offset: usize, len: usize) {
        self.fill_closed(offset, len, 0);
        core::sync::atomic::compiler_fence(core::sync::atomic::Ordering::SeqCst);
    }

    /// Copies between two allocations of one client.
    pub fn copy(&self, from: usize, to: usize, len: usize) {
        debug_assert!(from + len <= to || to + len <= from);
        // SAFETY: both ranges lie in the blocks and belong to different allocations, so they do not overlap.
        unsafe { core::ptr::copy_nonoverlapping(self.base.add(from), self.base.add(to), len) }
    }

    /// One byte of client memory: to compare a red zone or a pattern, never to decide anything else.
    #[inline]
    pub fn byte(&self, offset: usize) -> u8 {
        debug_assert!(offset < self.blocks << self.shape.block_shift);
        // SAFETY: the byte lies in the blocks. Volatile: a client may write there at any time.
        unsafe { self.base.add(offset).read_volatile() }
    }

    #[inline]
    pub fn set_byte(&self, offset: usize, value: u8) {
        debug_assert!(offset < self.blocks << self.shape.block_shift);
        // SAFETY: the byte lies in the blocks, in a red zone or in quarantined memory.
        unsafe { self.base.add(offset).write_volatile(value) }
    }
}

/// Not a read-modify-write: a word belongs to one block, and that to one client.
#[inline(always)]
fn turn_bit(word: &AtomicU64, granule: usize, on: bool) {
    let (old, bit) = (word.load(Relaxed), 1 << (granule & 63));
    word.store(if on { old | bit } else { old & !bit }, Relaxed);
}

/// PACKED: where the words of one block are. Atomics any thread may read; the others belong to the block's owner.
#[derive(Clone, Copy)]
pub struct Part<'a> {
    map: &'a Map,
    block: usize,
    edges: *const AtomicU64,
    lives: *const AtomicU64,
    eights: *const Cell<u64>,
}

impl<'a> Words<'a> for Part<'a> {
    #[inline(always)]
    fn granules(self) -> usize {
        self.map.shape.granules_per_block()
    }

    #[inline(always)]
    fn count(self) -> usize {
        self.map.shape.live_words_per_block()
    }

    #[inline(always)]
    fn edge(self, word: usize) -> &'a AtomicU64 {
        debug_assert!(word < self.count());
        // SAFETY: `flat` made the pointer for so many words; who asks has made sure of the number.
        unsafe { &*self.edges.add(word) }
    }

    #[inline(always)]
    fn live(self, word: usize) -> &'a AtomicU64 {
        debug_assert!(word < self.count());
        // SAFETY: as in `edge`.
        unsafe { &*self.lives.add(word) }
    }

    #[inline(always)]
    fn eight(self, number: usize) -> &'a Cell<u64> {
        debug_assert!(number < self.map.flat_longest);
        // SAFETY: as in `edge`.
        unsafe { &*self.eights.add(number) }
    }

    #[inline(always)]
    fn eights(self) -> &'a [Cell<u64>] {
        // SAFETY: as in `edge`.
        unsafe { core::slice::from_raw_parts(self.eights, self.map.flat_longest) }
    }

    #[inline(always)]
    fn sums(self) -> &'a [AtomicU64] {
        let count = self.map.flat_sums;
        // SAFETY: the table has so many entries for each block.
        unsafe { core::slice::from_raw_parts(self.map.sums.add(self.block * count), count) }
    }
}

/// Does the same to each item. A client that only comes and goes spends a quarter of its life here, so it goes in strides.
#[inline(always)]
fn by_fours<T>(items: &[T], visit: impl Fn(&T)) {
    let (strides, rest) = items.as_chunks();
    for [a, b, c, d] in strides {
        visit(a);
        visit(b);
        visit(c);
        visit(d);
    }
    rest.iter().for_each(visit);
}
