//! One isolated heap.
//!
//! A `Client` is 512 bytes in a slot of its context. Its memory is blocks of the context; everything about that
//! memory stands in the context's tables, so an idle client costs its slot and nothing else, and to delete one is
//! to hand its blocks back.
//!
//! ```text
//!   request ─> cache ─> slab ─> buddy of a block ─> block of the context        up to a block
//!           └─────────────────> run of blocks                                   above
//! ```
//!
//! The unit word of the first unit of a run, or of every unit of a slab, says `life << 8 | code`; see `code`. The
//! live bit of a granule is set if and only if a live allocation begins there. These two answer every question
//! about an address, on the fast path as everywhere else.
//!
//! Invariants (check.rs has them all): each block of the client is in exactly one of its lists; a cell or run is
//! live, or in a cache, or in quarantine, or free in its slab or buddy, and never two of these.
//! With PACKED there are no slabs, no units and no runs, but pieces in flat blocks: packed.rs.
//! May know: context, memory, sizes, bitmap, buddy, flat, guard.

pub mod alloc;
pub mod cache;
pub mod capacity;
pub mod fast;
pub mod find;
pub mod free;
mod gate;
pub mod idle;
pub mod keep;
mod life;
pub mod limits;
pub mod open;
pub mod packed;
pub mod pages;
pub mod quarantine;
pub mod reach;
pub mod realloc;
pub mod run;
mod seal;
pub mod second;
pub mod short;
pub mod slab;

use crate::cell::Cell;
use crate::context::blocks::Claim;
use crate::context::{Context, MOST_CACHED_PACKED, MOST_CACHED_PLAIN};
use crate::memory::Uses;
use crate::records::Link;
use crate::status::Status;
use core::ffi::c_void;
use core::sync::atomic::{
    AtomicI16, AtomicPtr, AtomicU32, AtomicU64,
    Ordering::{Acquire, Relaxed},
};

/// The low byte of a unit word, where it is not a class: slab classes and (default mode) orders of runs behind them.
pub mod code {
    /// No word has it: what is found in a PACKED context.
    pub const PIECE: u32 = 0xe0;
    /// First unit of a run of blocks.
    pub const HEAD: u32 = 0xe1;
    /// A unit in the last block of a run of blocks.
    pub const TAIL: u32 = 0xe2;
    /// In no slab and no run. (So is a word that carries another life, or none.)
    pub const FREE: u32 = 0xf0;
}

/// Lists of blocks by the number of their largest free run; the last of these holds the empty blocks.
pub const RUN_LISTS: usize = 14;
/// Blocks without a free unit.
pub const FULL_LIST: usize = 14;
/// Heads of runs of blocks.
pub const HEAD_LIST: usize = 15;
pub const LISTS: usize = 16;

pub const PLAIN_TOPS: usize = NEAR_TOPS + 4;
pub const PACKED_TOPS: usize = size_of::<Tops>() / size_of::<u32>();
/// Classes whose caches have arrays: up to 8 KiB, as the fast path has them.
pub const NEAR_TOPS: usize = 12;

pub const NAME_SIZE: usize = 32;

const MAGIC: u32 = 0x5665_6c74;

pub type OutOfMemoryFn = unsafe extern "C" fn(
    client: *mut c_void,
    size: usize,
    reason: core::ffi::c_int,
    user: *mut c_void,
) -> core::ffi::c_int;

/// Behind the newest entry of each class's cache. Longer runs have no array: of each the one that waits, or NONE; MARK where there
/// is no cache. PACKED has numbers of entries in the same place.
#[repr(C)]
pub(crate) struct Tops {
    pub(crate) near: [AtomicPtr<Cell<u32>>; NEAR_TOPS],
    pub(crate) lone: [Cell<u32>; PLAIN_TOPS - NEAR_TOPS],
}

const _: () = assert!(PLAIN_TOPS >= MOST_CACHED_PLAIN && PACKED_TOPS >= MOST_CACHED_PACKED);

#[repr(C, align(64))]
pub struct Client {
    // What the fast path reads, in one cache line. It is open while its bounds are not 0.
    /// Sizes up to this many bytes, and up to 1 KiB.
    pub(crate) fast_sizes: Cell<usize>,
    /// Granules below this.
    pub(crate) fast_granules: Cell<usize>,
    pub(crate) base: Cell<*mut u8>,
    pub(crate) units: Cell<*const AtomicU32>,
    pub(crate) lives: Cell<*const AtomicU64>,
    context: Cell<*const Context>,
    /// life << 8
    pub(crate) owner: Link,
    magic: AtomicU32,
    /// PACKED, while the shortest way (short.rs) is open: the owner word with the kind of its blocks. Else 0.
    pub(crate) short_owner: Cell<u32>,
    last_status: AtomicI16,
    /// Not 0 with SHARED_CLIENTS: for the check, which must lock the client before it can trust it to know its context.
    shared: Cell<u16>,
    pub(crate) tops: Tops,
    /// Past a full cache: the table of how many cells each slab has in use.
    pub(crate) uses: Cell<*const Uses>,
    /// Granules below the end of the highest block that this client ever had.
    pub(crate) granules: Cell<usize>,
    /// Which bits of a granule tell its slab.
    pub(crate) slab_mask: Cell<u32>,
    /// How many blocks were held when a cache last found no room to grow, or little memory was left.
    pub(crate) no_pieces_at: Cell<u32>,
    /// See open.rs: the cells of each open slab that wait, and the first granule of that part. Behind them one that is never open,
    /// for the largest size that the fast path takes for small; the place of its granule is that of `open_parity`.
    pub(crate) open_cells: [Cell<u64>; open::OPEN_SLABS + 1],
    pub(crate) open_first: [Cell<u32>; open::OPEN_SLABS + 1],
    /// For each slab class the first slab with free cells, and behind these for each the first idle one (idle.rs). PACKED:
    /// further lists of blocks (packed.rs).
    pub(crate) slabs: [Cell<u32>; crate::sizes::SLAB_LISTS],
    pub(crate) lists: [Cell<u32>; LISTS],
    slot: Cell<u32>,
    pub(crate) lock: crate::context::lock::Lock,
    /// Blocks that it holds. While the slot is free: the next free slot.
    pub(crate) held: Cell<u32>,
    pub(crate) peak: Cell<u32>,
    pub(crate) failed_count: Cell<u32>,
    pub(crate) limit: Cell<usize>,
    pub(crate) guarantee: Cell<usize>,
    pub(crate) largest_failed: Cell<usize>,
    pub(crate) handler: Cell<Option<OutOfMemoryFn>>,
    pub(crate) handler_user: Cell<*mut c_void>,
    user_data: Cell<*mut c_void>,
    /// See quarantine.rs.
    pub(crate) quarantine: quarantine::Ring,
    name: Cell<[u8; NAME_SIZE]>,
    /// Over what only setters change.
    pub(crate) checksum: Cell<u32>,
}

const _: () = assert!(size_of::<Client>() <= crate::layout::SLOT_SIZE);

impl Client {
    // ---- handles ----

    /// The client behind a handle, if the handle is alive.
    ///
    /// # Safety
    /// `handle` is NULL, or was a client's handle of a context whose memory is still there.
    #[inline]
    pub unsafe fn from_handle<'a>(handle: *const Client) -> Option<&'a Client> {
        if handle.is_null() || !handle.addr().is_multiple_of(align_of::<Client>()) {
            return None;
        }
        // SAFETY: a slot is never anything but a slot while the memory is there, and every field of it is a cell.
        let client = unsafe { &*handle };
        (client.magic.load(Acquire) == client.expected_magic()).then_some(client)
    }

    /// The PACKED client behind a handle, if its shortest way is open. It never is on a dead one.
    ///
    /// # Safety
    /// As `from_handle`.
    #[inline(always)]
    pub unsafe fn short<'a>(handle: *const Client) -> Option<&'a Client> {
        if handle.is_null() {
            return None;
        }
        // SAFETY: as in `from_handle`.
        let client = unsafe { &*handle };
        client.is_short().then_some(client)
    }

    #[inline]
    fn expected_magic(&self) -> u32 {
        MAGIC ^ self.address() as u32
    }

    pub fn address(&self) -> usize {
        core::ptr::from_ref(self).addr()
    }

    #[inline]
    pub fn context(&self) -> &Context {
        // SAFETY: the pointer was set when the slot became a client, and clients do not outlive their context.
        unsafe { &*self.context.get() }
    }

    /// The client in slot `slot` of `context`, if there is one.
    #[inline(never)]
    pub fn in_slot(context: &Context, slot: u32) -> Option<&Client> {
        if slot >= context.slots_used.load(Acquire) {
            return None;
        }
        let client = context.map.slot(slot as usize).cast::<Client>();
        // SAFETY: slots below `slots_used` have been initialised.
        unsafe { Client::from_handle(client) }
    }

    /// The free slot behind a free slot.
    pub(crate) fn next_free_slot(context: &Context, slot: u32) -> u32 {
        Client::slot_memory(context, slot).held.get()
    }

    fn slot_memory(context: &Context, slot: u32) -> &Client {
        // SAFETY: only called for slots below `slots_used`, which are valid (dead or alive) clients.
        unsafe { &*context.map.slot(slot as usize).cast::<Client>() }
    }

    /// Makes a dead client of a slot that nobody ever used.
    fn dead_in(context: &Context, slot: u32) -> &Client {
        let memory = context.map.slot(slot as usize).cast::<Client>();
        // SAFETY: the context has just given these 512 bytes, 64-aligned, to no other slot. Zero is a valid (dead) client.
        unsafe {
            memory.cast::<u8>().write_bytes(0, size_of::<Client>());
            &*memory
        }
    }

    // ---- what the context's supply of blocks has to know ----

    #[inline(never)]
    pub(crate) fn claim(&self, context: &Context) -> Claim {
        let shift = context.map.shape.block_shift;
        let blocks = |bytes: usize| (bytes >> shift) + (bytes & ((1 << shift) - 1) != 0) as usize;
        let limit = self.limit.get();
        Claim {
            owner: self.owner.get(),
            slot: self.slot.get(),
            held: self.held.get() as usize,
            limit: if limit == 0 { usize::MAX } else { blocks(limit) },
            guarantee: blocks(self.guarantee.get()),
        }
    }

    pub(crate) fn now_holds(&self, held: usize) {
        self.held.set(held as u32);
        if held as u32 > self.peak.get() {
            self.counted(|| self.peak.set(held as u32));
        }
    }

    /// Granules up to the end of `block` may be this client's from now on.
    pub(crate) fn reaches(&self, context: &Context, block: usize) {
        let shape = &context.map.shape;
        let granules = (block + 1) << (shape.block_shift - shape.granule_shift);
        if granules > self.granules.get() {
            self.granules.set(granules);
            if self.fast_sizes.get() != 0 {
                self.fast_granules.set(granules.min(crate::context::MARK as usize));
            }
        }
    }

    // ---- what a call may do, and what it answers ----

    /// May this thread not change the client now?
    pub fn is_busy(&self) -> bool {
        self.context().busy(self.address())
    }

    /// May the client be deleted or reset now?
    pub fn may_end(&self) -> bool {
        let context = self.context();
        !context.busy(self.address()) && !context.in_out_of_memory(self.address())
    }

    pub fn refuse_busy(&self) -> i32 {
        self.set_last_status(Status::Busy);
        Status::Busy.code()
    }

    /// Tells of a bad parameter.
    pub fn invalid(&self) {
        self.misuse(self.context(), Status::Invalid, 0, None);
    }

    /// A result as a status code; a failure is noted, and told if it is misuse.
    pub fn answer(&self, result: Result<(), Status>) -> i32 {
        match result {
            Ok(()) => 0,
            Err(status) => {
                if status.is_misuse() {
                    self.misuse(self.context(), status, 0, None);
                } else {
                    self.set_last_status(status);
                }
                status.code()
            }
        }
    }

    // ---- small things ----

    /// What a field holds while no other thread is in a call on the client.
    #[inline(never)]
    fn read<T: Copy>(&self, field: &Cell<T>) -> T {
        let _lock = self.lock_shared(self.context());
        field.get()
    }

    pub fn held_size(&self) -> usize {
        (self.read(&self.held) as usize) << self.context().map.shape.block_shift
    }

    pub fn peak_held_size(&self) -> usize {
        (self.read(&self.peak) as usize) << self.context().map.shape.block_shift
    }

    pub fn limit(&self) -> usize {
        self.read(&self.limit)
    }

    pub fn guarantee(&self) -> usize {
        self.read(&self.guarantee)
    }

    pub fn slot(&self) -> u32 {
        self.slot.get()
    }

    pub fn last_status(&self) -> i32 {
        self.last_status.load(Relaxed) as i32
    }

    pub fn set_last_status(&self, status: Status) {
        self.last_status.store(status.code() as i16, Relaxed);
    }

    pub fn user_data(&self) -> *mut c_void {
        self.read(&self.user_data)
    }

    pub fn set_user_data(&self, data: *mut c_void) {
        let _lock = self.lock_shared(self.context());
        self.user_data.set(data);
        self.seal();
    }

    /// Copies a name, cut to 31 bytes where a character of UTF-8 ends.
    pub fn set_name(&self, name: &[u8]) {
        let mut kept = [0u8; NAME_SIZE];
        let mut length = name.len().min(NAME_SIZE - 1);
        let continues = |at: usize| name.get(at).is_some_and(|byte| byte & 0xc0 == 0x80);
        if length < name.len() && continues(length) {
            // At most three bytes of a character can lie before the cut; anything else is no UTF-8 and is cut as it is.
            let mut back = length;
            while back > length.saturating_sub(3) && continues(back) {
                back -= 1;
            }
            if !continues(back) {
                length = back;
            }
        }
        for (to, from) in kept.iter_mut().zip(name.iter().take(length)) {
            *to = *from;
        }
        let _lock = self.lock_shared(self.context());
        self.name.set(kept);
        self.seal();
    }

    /// The name's first byte; a zero byte follows the last.
    pub fn name_pointer(&self) -> *const u8 {
        self.name.as_ptr().cast()
    }

    pub fn name_bytes(&self, context: &Context) -> [u8; NAME_SIZE] {
        // The context is the caller's: of a damaged client the own pointer to it is not to be trusted.
        let _lock = self.lock_shared(context);
        self.name.get()
    }
}

/// The visible part of a name.
pub fn visible(name: &[u8; NAME_SIZE]) -> &[u8] {
    let length = name.iter().position(|&byte| byte == 0).unwrap_or(NAME_SIZE);
    name.get(..length).unwrap_or(&[])
}
