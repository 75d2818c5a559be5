//! Contexts and clients come and go; limits, guarantees, handlers, names.
//! May know: arena, shadow, host, the C functions.

use super::arena::{Given, PLACES, ROOM};
use super::host::*;
use super::shadow::{Cli, Ctx, peek, spots};
use super::{CLIENTS, Model, log};
use std::ffi::{CString, c_void};
use std::ptr;
use vmma::ffi::*;

/// Flags that lead through the most code together, so that random bits do not have to find them.
const USUAL: [u32; 12] = [
    0,
    0,
    VMMA_FLAG_PACKED,
    VMMA_FLAG_NO_CACHE,
    VMMA_FLAG_GUARD,
    VMMA_FLAG_QUARANTINE,
    VMMA_FLAG_SHARED_CLIENTS,
    VMMA_FLAG_ZERO | VMMA_FLAG_WIPE,
    VMMA_FLAG_GUARD | VMMA_FLAG_QUARANTINE | VMMA_FLAG_WIPE,
    VMMA_FLAG_PACKED | VMMA_FLAG_GUARD,
    VMMA_FLAG_PACKED | VMMA_FLAG_NO_CACHE,
    VMMA_FLAG_THREADS | VMMA_FLAG_RELEASE | VMMA_FLAG_WIPE,
];

/// Half as much again as 32 bits of 16-byte granules can number with a bit to spare.
const HUGE: usize = 40 << 30;

impl Model<'_> {
    /// In the first free place; that of the context at work only looks free.
    pub fn create_context_somewhere(&mut self, ctx: &Ctx) {
        if let Some(place) = (0..PLACES).find(|&place| place != ctx.place && self.contexts[place].is_none()) {
            self.create_context(place);
        }
    }

    /// Makes a context of any parameters in a free place, or sees why not.
    pub fn create_context(&mut self, place: usize) {
        let bytes = &mut self.bytes;
        let (kind, how) = (bytes.u8(), bytes.u8());
        let mut flags = if how & 1 == 0 { USUAL[(how >> 1) as usize % USUAL.len()] } else { bytes.u16() as u32 };
        if kind & 0xf0 != 0xf0 {
            flags &= !VMMA_FLAG_ABORT;
        }
        if self.trace.is_some() {
            flags &= !VMMA_FLAG_QUARANTINE;
        }
        let mut alignment = bytes.pick(&[0, 16, 16, 8, 8, 32, 64, 128, 256, 512, 1024, 2048, 4096, 4, 24, 8192]);
        let mut block = bytes.pick(&[
            0,
            1 << 10,
            1 << 10,
            2048,
            4096,
            4096,
            1 << 13,
            1 << 14,
            1 << 15,
            1 << 16,
            1 << 17,
            512,
            3000,
            1 << 30,
        ]);
        let usable = bytes.u16() as usize * 8;
        // More than cell numbers of 32 bits can count, in flags that do not touch all of what is handed out.
        let huge = kind == 0x8c && self.trace.is_none();
        if huge {
            flags &= 0x3 | VMMA_FLAG_PACKED | VMMA_FLAG_NO_CACHE | VMMA_FLAG_RELEASE;
            (alignment, block) = (16, 1 << 20);
        }
        let valid = matches!(alignment, 0 | 8..=4096)
            && alignment != 24
            && (block == 0
                || (block >= 1024
                    && block != 3000
                    && block >= 16 * alignment.max(16)
                    && (alignment != 0 || block >= 256)));
        // SAFETY: arithmetic only.
        let required = unsafe { vmma_get_required_size(usable, alignment, block, flags) };
        assert_eq!(required != 0, valid, "required size for {usable}, {alignment}, {block}, {flags:#x}: {required}");
        let size = match kind & 3 {
            _ if huge => HUGE,
            0 | 1 => required + bytes.u8() as usize,
            2 => bytes.u16() as usize * 16,
            _ => required.saturating_sub(1 + bytes.u16() as usize),
        };
        let mapped = kind & 12 == 12;
        if !mapped && size > ROOM {
            return;
        }
        if size > 1 << 26 && !huge {
            return;
        }
        let offset = bytes.u16() as usize % 8192;
        if !mapped {
            self.gone[place] = None;
        }
        let given = (!mapped).then(|| Given::new(place, size, kind >> 4, offset, how & 0xc0 == 0xc0));
        let memory = given.map_or(0, |given| given.start()) as *mut c_void;
        set_errno(79);
        // SAFETY: memory of our own, or none.
        let handle = unsafe { vmma_create_context(memory, size, alignment, block, flags) };
        let saved = errno();
        log!("  create({memory:?}, {size}, {alignment}, {block}, {flags:#x}) = {handle:?}, place {place}");
        set_errno(saved);
        if handle.is_null() {
            assert_eq!(errno(), if valid { libc::ENOMEM } else { libc::EINVAL });
            assert!(!valid || size < required || huge, "{size} is enough: {required} are required");
            return;
        }
        assert!(valid && errno() == 79);
        let accepted = flags & 0x3ff | if flags & VMMA_FLAG_SHARED_CLIENTS != 0 { VMMA_FLAG_THREADS } else { 0 };
        // SAFETY: a live handle.
        unsafe {
            assert_eq!(vmma_get_accepted_flags(handle), accepted);
            assert_eq!(vmma_get_alignment(handle), if alignment == 0 { 16 } else { alignment });
            let (size_of_block, total) = (vmma_get_block_size(handle), vmma_get_total_blocks(handle));
            assert!(block == 0 || size_of_block == block);
            assert!(size_of_block.is_power_of_two() && total * size_of_block <= size);
            assert_eq!(vmma_get_free_blocks(handle), total);
            assert_eq!(vmma_get_client_count(handle), 0);
            assert!(
                size < required || total * size_of_block >= usable,
                "required {required} for {usable}, gave {total} blocks"
            );
            let events = Box::<Events>::default();
            let user = ptr::from_ref(&*events).cast_mut().cast();
            assert_eq!(vmma_set_error_handler(handle, Some(on_error), user), OK);
            self.contexts[place] = Some(Ctx {
                handle,
                given,
                size,
                alignment: vmma_get_alignment(handle),
                block: size_of_block,
                flags: accepted,
                total,
                records: 0,
                peak: 0,
                clients: Vec::new(),
                dead: Vec::new(),
                ghosts: Vec::new(),
                events,
                listens: true,
                dirty: how & 0xc0 == 0xc0,
                place,
            });
        }
        self.note(size);
    }

    pub fn delete_context(&mut self, ctx: &mut Ctx) {
        // SAFETY: a live handle.
        assert_eq!(unsafe { vmma_delete_context(ctx.handle) }, OK);
        if let Some(given) = &ctx.given {
            given.check_canaries();
            let clients: Vec<Client> =
                ctx.clients.iter().map(|client| client.handle).chain(ctx.dead.iter().copied()).collect();
            super::misuse::dead_context(ctx.handle);
            clients.iter().for_each(|&client| super::misuse::dead_client(client));
            if ctx.has(VMMA_FLAG_WIPE) {
                for client in &ctx.clients {
                    for (&start, piece) in &client.live {
                        spots(piece.size, |at| assert_eq!(peek(start + at), 0, "left by a deleted context"));
                    }
                }
            }
            self.gone[ctx.place] = Some((ctx.handle, clients));
        }
        ctx.handle = ptr::null_mut();
    }

    pub fn create_client(&mut self, ctx: &mut Ctx) {
        if ctx.clients.len() >= CLIENTS {
            return;
        }
        self.create_client_at(ctx);
    }

    fn create_client_at(&mut self, ctx: &mut Ctx) -> bool {
        // SAFETY: a live handle.
        let handle = unsafe {
            set_errno(80);
            vmma_create_client(ctx.handle)
        };
        self.note_pointer(ctx, handle.addr());
        if handle.is_null() {
            assert_eq!(errno(), libc::ENOMEM);
            // Free blocks do not help if none lies at the end of the memory, where slots are.
            assert!(ctx.dead.is_empty() && ctx.clients.len() >= 4, "a slot was free");
            return false;
        }
        assert_eq!(errno(), 80);
        ctx.dead.retain(|&dead| dead != handle);
        assert!(ctx.client(handle).is_none(), "a client's handle was given twice");
        // SAFETY: a live handle.
        unsafe {
            assert_eq!(vmma_get_last_status(handle), OK);
            assert_eq!(vmma_get_held_size(handle) + vmma_get_peak_held_size(handle), 0);
            assert_eq!(vmma_get_limit(handle) + vmma_get_guarantee(handle), 0);
            assert!(vmma_get_user_data(handle).is_null() && *vmma_get_name(handle) == 0);
        }
        let client = Cli::new(handle);
        client.oom.mode.set(u8::MAX);
        ctx.clients.push(client);
        true
    }

    pub fn many_clients(&mut self, ctx: &mut Ctx) {
        let wanted = self.bytes.below(CLIENTS) + 1;
        while ctx.clients.len() < wanted && self.create_client_at(ctx) {}
    }

    pub fn delete_client(&mut self, ctx: &mut Ctx, who: usize) {
        let client = ctx.clients.remove(who);
        ctx.events.list.borrow_mut().clear();
        let wiped = self.blocks_to_wipe(ctx, &client);
        // SAFETY: a live handle.
        assert_eq!(unsafe { vmma_delete_client(client.handle) }, OK);
        assert!(ctx.events.list.borrow().is_empty(), "delete checks nothing");
        super::misuse::dead_client(client.handle);
        ctx.dead.push(client.handle);
        ctx.haunt(client.live.keys().copied());
        Self::expect_wiped(&wiped);
    }

    pub fn reset_client(&mut self, ctx: &mut Ctx, who: usize) {
        ctx.events.list.borrow_mut().clear();
        let wiped = self.blocks_to_wipe(ctx, &ctx.clients[who]);
        let client = &mut ctx.clients[who];
        // SAFETY: a live handle.
        unsafe {
            assert_eq!(vmma_reset_client(client.handle), OK);
            assert_eq!(vmma_get_held_size(client.handle) + vmma_get_peak_held_size(client.handle), 0);
        }
        assert!(ctx.events.list.borrow().is_empty(), "reset checks nothing");
        let starts: Vec<usize> = client.live.keys().copied().collect();
        client.clear();
        client.peak = 0;
        client.failed = 0;
        client.largest_failed = 0;
        client.last = Some(OK);
        ctx.haunt(starts.into_iter());
        Self::expect_wiped(&wiped);
    }

    fn blocks_to_wipe(&self, ctx: &Ctx, client: &Cli) -> Vec<(usize, usize)> {
        if !ctx.has(VMMA_FLAG_WIPE) {
            return Vec::new();
        }
        client.live.iter().map(|(&start, piece)| (start, piece.size + ctx.red())).collect()
    }

    fn expect_wiped(pieces: &[(usize, usize)]) {
        for &(start, size) in pieces {
            spots(size, |at| assert_eq!(peek(start + at), 0, "left by a client"));
        }
    }

    pub fn trim_client(&mut self, ctx: &mut Ctx, who: usize) {
        ctx.events.list.borrow_mut().clear();
        // SAFETY: a live handle.
        assert_eq!(unsafe { vmma_trim_client(ctx.clients[who].handle) }, OK);
        self.expect_events(ctx, who, &[]);
        ctx.clients[who].scribbles.clear();
        Self::expect_trimmed(&ctx.clients[who]);
    }

    fn expect_trimmed(client: &Cli) {
        let stats = super::shadow::stats_of(client.handle);
        assert_eq!((stats[4], stats[5]), (0, 0), "cached after a trim");
        assert!(!client.live.is_empty() || stats[1] == 0, "an empty client holds {} after a trim", stats[1]);
    }

    pub fn trim_context(&mut self, ctx: &mut Ctx) {
        ctx.events.list.borrow_mut().clear();
        // SAFETY: a live handle.
        assert_eq!(unsafe { vmma_trim_context(ctx.handle) }, OK);
        let told = ctx.events.list.take();
        for client in &mut ctx.clients {
            for event in told.iter().filter(|event| event.client == client.handle.addr()) {
                assert!(event.status == USE_AFTER_FREE && client.scribbles.contains(&event.address), "{event:?}");
                client.last = None;
            }
            if !client.scribbles.is_empty() {
                client.last = None;
            }
            client.scribbles.clear();
            Self::expect_trimmed(client);
        }
        // SAFETY: a live handle.
        assert_eq!(unsafe { vmma_populate_cached_blocks(ctx.handle) }, 0);
    }

    pub fn set_limit(&mut self, ctx: &mut Ctx, who: usize, harmless: bool) {
        let bytes = self.bytes.size(ctx.block);
        let client = &mut ctx.clients[who];
        let bad = bytes != 0 && bytes < client.guarantee;
        if bad && harmless {
            return;
        }
        ctx.events.list.borrow_mut().clear();
        // SAFETY: a live handle.
        let status = unsafe { vmma_set_limit(client.handle, bytes) };
        assert_eq!(status, if bad { INVALID } else { OK });
        if !bad {
            client.limit = bytes;
        }
        self.expect_setter(ctx, who, bad);
    }

    pub fn set_guarantee(&mut self, ctx: &mut Ctx, who: usize, harmless: bool) {
        let bytes = self.bytes.size(ctx.block);
        // SAFETY: a live handle.
        let free = unsafe { vmma_get_free_blocks(ctx.handle) };
        let client = &ctx.clients[who];
        let bad = client.limit != 0 && bytes > client.limit;
        if bad && harmless {
            return;
        }
        // Free for it is what is free for all, what it holds and what is set aside for it already.
        let own = (client.held() / ctx.block).max(ctx.blocks(client.guarantee));
        let fits = ctx.blocks(bytes) <= free + own;
        ctx.events.list.borrow_mut().clear();
        // SAFETY: a live handle.
        let status = unsafe { vmma_set_guarantee(client.handle, bytes) };
        assert_eq!(
            status,
            if bad {
                INVALID
            } else if fits {
                OK
            } else {
                NO_MEMORY
            },
            "guarantee {bytes}"
        );
        if status == OK {
            ctx.clients[who].guarantee = bytes;
        } else if status == NO_MEMORY {
            ctx.clients[who].last = Some(NO_MEMORY);
        }
        self.expect_setter(ctx, who, bad);
    }

    fn expect_setter(&mut self, ctx: &mut Ctx, who: usize, bad: bool) {
        let mut expected = Vec::new();
        if bad {
            ctx.clients[who].last = Some(INVALID);
            let client = ctx.clients[who].handle.addr();
            expected.push(Event { status: INVALID, client, address: 0, allocation: 0, size: 0 });
        }
        self.expect_events(ctx, who, &expected);
    }

    pub fn set_oom(&mut self, ctx: &mut Ctx, who: usize) {
        let mode = self.bytes.below(MODES as usize + 1) as u8;
        let client = &ctx.clients[who];
        let user = ptr::from_ref(&*client.oom).cast_mut().cast();
        // SAFETY: a live handle; the Oom lives as long as the client.
        unsafe {
            let handler: vmma_oom_fn = if mode < MODES { Some(on_oom) } else { None };
            assert_eq!(vmma_set_oom_handler(client.handle, handler, user), OK);
        }
        client.oom.mode.set(if mode < MODES { mode } else { u8::MAX });
    }

    pub fn set_error(&mut self, ctx: &mut Ctx) {
        let what = self.bytes.u8();
        ctx.listens = what & 3 != 0;
        ctx.events.provokes.set(what & 4 != 0);
        let user = ptr::from_ref(&*ctx.events).cast_mut().cast();
        // SAFETY: a live handle; the Events live as long as the context.
        let status =
            unsafe { vmma_set_error_handler(ctx.handle, if ctx.listens { Some(on_error) } else { None }, user) };
        assert_eq!(status, OK);
    }

    pub fn set_texts(&mut self, ctx: &mut Ctx, who: usize) {
        let length = self.bytes.below(48);
        let name: Vec<u8> = (0..length).map(|_| self.bytes.u8()).take_while(|&byte| byte != 0).collect();
        let data = self.bytes.u16() as usize;
        let client = &mut ctx.clients[who];
        let Ok(text) = CString::new(name.clone()) else { return };
        // SAFETY: a live handle, a terminated name.
        unsafe {
            assert_eq!(vmma_set_name(client.handle, if length == 0 { ptr::null() } else { text.as_ptr() }), OK);
            vmma_set_user_data(client.handle, data as *mut c_void);
            let kept = std::ffi::CStr::from_ptr(vmma_get_name(client.handle)).to_bytes();
            match std::str::from_utf8(&name) {
                Ok(text) => {
                    let cut = (0..=text.len().min(31)).rev().find(|&at| text.is_char_boundary(at)).unwrap_or(0);
                    assert_eq!(kept, &name[..cut]);
                }
                Err(_) => assert!(name.starts_with(kept) && kept.len() + 3 >= name.len().min(31)),
            }
            client.name = kept.to_vec();
        }
        client.user_data = data;
    }
}
