//! What the model believes: contexts, clients, live allocations; and what follows from that for any address.
//! May know: the C functions (types and getters), host.

use super::arena::{GARBAGE, Given};
use super::host::*;
use std::collections::{BTreeMap, BTreeSet};
use vmma::ffi::*;

/// One live allocation.
#[derive(Clone, Copy, Debug)]
pub struct Piece {
    /// What vmma_get_size says.
    pub size: usize,
    /// Its red zone ends here or before, counted from the start.
    pub upper: usize,
    pub seed: u8,
    /// Address of a byte of the red zone that we changed.
    pub overrun: Option<usize>,
}

pub struct Cli {
    pub handle: Client,
    pub live: BTreeMap<usize, Piece>,
    pub limit: usize,
    pub guarantee: usize,
    pub name: Vec<u8>,
    pub user_data: usize,
    pub failed: usize,
    pub largest_failed: usize,
    /// None: not known.
    pub last: Option<i32>,
    pub peak: usize,
    pub oom: Box<Oom>,
    /// Memory that was freed lately: start and size.
    pub freed: Vec<(usize, usize)>,
    /// Bytes in freed memory that we changed, in a context with QUARANTINE.
    pub scribbles: BTreeSet<usize>,
}

pub struct Ctx {
    pub handle: Context,
    pub given: Option<Given>,
    pub size: usize,
    pub alignment: usize,
    pub block: usize,
    pub flags: u32,
    pub total: usize,
    /// Blocks that hold client slots.
    pub records: usize,
    pub peak: usize,
    pub clients: Vec<Cli>,
    pub dead: Vec<Client>,
    /// What was live when its client was deleted or reset: addresses whose old records may still stand somewhere.
    pub ghosts: Vec<usize>,
    pub events: Box<Events>,
    pub listens: bool,
    /// Freed memory may hold anything: WIPE can't be judged.
    pub dirty: bool,
    /// In which place the memory lies, if given.
    pub place: usize,
}

/// Calls `visit` with offsets in an allocation: all of a small one, some of a large one.
pub fn spots(size: usize, mut visit: impl FnMut(usize)) {
    if size <= 1024 {
        (0..size).for_each(visit);
        return;
    }
    (0..256).for_each(&mut visit);
    // A run of many gigabytes shall not touch all its pages.
    (256..size - 256).step_by((size / 64).max(1021)).for_each(&mut visit);
    (size - 256..size).for_each(visit);
}

/// The byte of a pattern: never 0, never garbage, never what quarantine fills with.
pub fn pattern(seed: u8, offset: usize) -> u8 {
    let byte = (offset as u8).wrapping_mul(7).wrapping_add((offset >> 8) as u8).wrapping_add(seed);
    if matches!(byte, 0 | GARBAGE | 0xdb) { 0x3c } else { byte }
}

pub fn peek(address: usize) -> u8 {
    // SAFETY: only called for client memory of live contexts.
    unsafe { (address as *const u8).read_volatile() }
}

pub fn poke(address: usize, byte: u8) {
    // SAFETY: only called for client memory of live contexts.
    unsafe { (address as *mut u8).write_volatile(byte) }
}

impl Piece {
    pub fn fill(&self, start: usize) {
        spots(self.size, |offset| poke(start + offset, pattern(self.seed, offset)));
    }

    pub fn verify(&self, start: usize, upto: usize) {
        spots(self.size, |offset| {
            if offset < upto {
                let byte = peek(start + offset);
                assert_eq!(byte, pattern(self.seed, offset), "content changed at {start:#x} + {offset}");
            }
        });
    }
}

impl Cli {
    pub fn new(handle: Client) -> Cli {
        Cli {
            handle,
            live: BTreeMap::new(),
            limit: 0,
            guarantee: 0,
            name: Vec::new(),
            user_data: 0,
            failed: 0,
            largest_failed: 0,
            last: Some(OK),
            peak: 0,
            oom: Box::default(),
            freed: Vec::new(),
            scribbles: BTreeSet::new(),
        }
    }

    /// The live allocation that holds an address.
    pub fn holder(&self, address: usize) -> Option<(usize, Piece)> {
        let (&start, &piece) = self.live.range(..=address).next_back()?;
        (address - start < piece.size).then_some((start, piece))
    }

    /// Is an address in a live allocation, or may it be in the memory behind it that belongs to it?
    pub fn near_live(&self, address: usize) -> bool {
        self.live
            .range(..=address)
            .next_back()
            .is_some_and(|(&start, piece)| address - start < piece.upper.max(piece.size))
    }

    pub fn held(&self) -> usize {
        // SAFETY: a live handle.
        unsafe { vmma_get_held_size(self.handle) }
    }

    pub fn has_overrun(&self) -> bool {
        self.live.values().any(|piece| piece.overrun.is_some())
    }

    /// Blocks that live allocations lie in.
    pub fn live_blocks(&self, block: usize) -> BTreeSet<usize> {
        let mut blocks = BTreeSet::new();
        for (&start, piece) in &self.live {
            blocks.extend(start / block..=(start + piece.size - 1) / block);
        }
        blocks
    }

    pub fn has_live_in(&self, number: usize, block: usize) -> bool {
        let from = number * block;
        let to = from.saturating_add(block);
        self.live.range(..to).next_back().is_some_and(|(&start, piece)| start + piece.size > from)
    }

    /// Forget everything that lived.
    pub fn clear(&mut self) {
        self.live.clear();
        self.freed.clear();
        self.scribbles.clear();
    }

    pub fn fails(&mut self, size: usize, status: i32) {
        self.failed += 1;
        self.largest_failed = self.largest_failed.max(size);
        self.last = Some(status);
    }
}

/// What vmma_free may answer, and the live allocation concerned if that is certain.
pub struct Expected {
    pub statuses: Vec<i32>,
    pub about: Option<(usize, usize)>,
    /// `about` is exact.
    pub certain: bool,
}

impl Ctx {
    pub fn has(&self, flag: u32) -> bool {
        self.flags & flag != 0
    }

    pub fn red(&self) -> usize {
        if self.has(VMMA_FLAG_GUARD) { 8 } else { 0 }
    }

    pub fn blocks(&self, bytes: usize) -> usize {
        bytes.div_ceil(self.block)
    }

    pub fn client(&self, handle: Client) -> Option<usize> {
        self.clients.iter().position(|client| client.handle == handle)
    }

    /// Who holds an address in a live allocation.
    pub fn owner(&self, address: usize) -> Option<usize> {
        self.clients.iter().position(|client| client.holder(address).is_some())
    }

    /// An upper bound of what an allocation takes.
    pub fn upper(&self, size: usize, alignment: usize) -> usize {
        let Some(size) = size.checked_add(self.red()) else { return usize::MAX };
        if size <= self.block {
            size.max(alignment).max(self.alignment).max(16).next_power_of_two()
        } else {
            size.saturating_add(4095) & !4095
        }
    }

    /// What freeing an address must answer.
    pub fn predict(&self, who: usize, address: usize) -> Expected {
        let client = &self.clients[who];
        let exactly =
            |status: i32, about: Option<(usize, usize)>| Expected { statuses: vec![status], about, certain: true };
        if address == 0 {
            return exactly(OK, None);
        }
        if let Some((&start, piece)) = client.live.range(..=address).next_back() {
            let offset = address - start;
            let about = Some((start, piece.size));
            if offset == 0 {
                return exactly(if piece.overrun.is_some() { OVERRUN } else { OK }, about);
            }
            if offset < piece.size + self.red() {
                return exactly(NOT_START, about);
            }
            if offset < piece.upper && self.red() > 0 {
                // Perhaps red zone, perhaps free memory behind it, perhaps another block.
                return Expected { statuses: vec![NOT_START, DOUBLE_FREE, NOT_OWNED], about, certain: false };
            }
        }
        let number = address / self.block;
        let wrong = if address.is_multiple_of(self.alignment) { DOUBLE_FREE } else { NOT_START };
        if client.has_live_in(number, self.block) {
            return exactly(wrong, None);
        }
        let others =
            self.clients.iter().enumerate().any(|(at, other)| at != who && other.has_live_in(number, self.block));
        if others || client.live_blocks(self.block).len() == client.held() / self.block {
            return exactly(NOT_OWNED, None);
        }
        Expected { statuses: vec![wrong, NOT_OWNED], about: None, certain: true }
    }

    /// Remembers some of what a client leaves behind.
    pub fn haunt(&mut self, starts: impl Iterator<Item = usize>) {
        self.ghosts.extend(starts.take(16));
        let surplus = self.ghosts.len().saturating_sub(64);
        self.ghosts.drain(..surplus);
    }

    /// Every figure of every client, to see that nothing has changed.
    pub fn figures(&self) -> Vec<[usize; 11]> {
        let mut all = Vec::new();
        for client in &self.clients {
            all.push(stats_of(client.handle));
        }
        // SAFETY: a live handle.
        all.push([unsafe { vmma_get_free_blocks(self.handle) }; 11]);
        all
    }

    /// Free + held + set aside, and what is left: the blocks of client slots.
    pub fn count_records(&self) -> usize {
        let mut used = 0;
        for client in &self.clients {
            used += (client.held() / self.block).max(self.blocks(client.guarantee));
        }
        // SAFETY: a live handle.
        let free = unsafe { vmma_get_free_blocks(self.handle) };
        assert!(free + used <= self.total, "{free} free, {used} held or set aside, {} in all", self.total);
        self.total - free - used
    }
}

pub fn stats_of(client: Client) -> [usize; 11] {
    let mut stats = [usize::MAX; 11];
    stats[0] = size_of::<vmma_stats_t>();
    // SAFETY: a live handle, and room for the struct.
    assert_eq!(unsafe { vmma_populate_client_stats(client, stats.as_mut_ptr().cast()) }, OK);
    stats
}
