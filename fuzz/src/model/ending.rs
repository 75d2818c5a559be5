//! The end of a context: whatever happened, when everything is freed one largest block of free memory is left.
//! May know: shadow, host, the C functions.

use super::Model;
use super::host::*;
use super::shadow::Ctx;
use std::ptr;
use vmma::ffi::*;

impl Model<'_> {
    pub fn end(&mut self, mut ctx: Ctx) {
        // What was overrun goes first: the rest must be freed without a word.
        for client in &mut ctx.clients {
            let ruined: Vec<usize> =
                client.live.iter().filter(|(_, piece)| piece.overrun.is_some()).map(|(&start, _)| start).collect();
            for start in ruined {
                client.live.remove(&start);
                // SAFETY: a live handle and a live allocation.
                assert_eq!(unsafe { vmma_free(client.handle, start as *mut std::ffi::c_void) }, OVERRUN);
            }
            client.last = None;
        }
        match ctx.clients.len() % 3 {
            0 => {
                for who in 0..ctx.clients.len() {
                    self.free_all(&mut ctx, who);
                }
                self.trim_context(&mut ctx);
                self.expect_whole(&mut ctx);
            }
            1 => {
                for who in 0..ctx.clients.len() {
                    self.free_all(&mut ctx, who);
                    self.trim_client(&mut ctx, who);
                }
                self.expect_whole(&mut ctx);
            }
            _ => {
                while !ctx.clients.is_empty() {
                    self.delete_client(&mut ctx, 0);
                }
                self.create_client(&mut ctx);
                self.expect_whole(&mut ctx);
            }
        }
        self.after(&mut ctx);
        self.delete_context(&mut ctx);
    }

    /// Nobody holds anything: all free blocks are neighbours, and one client can have them all at once.
    fn expect_whole(&mut self, ctx: &mut Ctx) {
        for who in 0..ctx.clients.len() {
            // SAFETY: a live handle.
            unsafe {
                assert_eq!(vmma_set_guarantee(ctx.clients[who].handle, 0), OK);
                assert_eq!(vmma_set_limit(ctx.clients[who].handle, 0), OK);
                assert_eq!(vmma_set_oom_handler(ctx.clients[who].handle, None, ptr::null_mut()), OK);
            }
            ctx.clients[who].guarantee = 0;
            ctx.clients[who].limit = 0;
            ctx.clients[who].oom.mode.set(u8::MAX);
        }
        let records = ctx.count_records();
        assert!(records >= ctx.records, "blocks of client slots have become free");
        // SAFETY: a live handle.
        let free = unsafe { vmma_get_free_blocks(ctx.handle) };
        assert_eq!(free, ctx.total - records, "blocks were lost");
        let Some(client) = ctx.clients.last() else { return };
        let client = client.handle;
        if free == 0 {
            return;
        }
        // SAFETY: a live handle.
        unsafe {
            let most = vmma_get_max_alloc(client);
            assert_eq!(most, free * ctx.block - ctx.red(), "free blocks are not neighbours");
            let all = vmma_alloc(client, most);
            assert!(!all.is_null());
            assert_eq!(vmma_get_free_blocks(ctx.handle), 0);
            assert_eq!(vmma_free(client, all), OK);
            assert_eq!(vmma_trim_client(client), OK);
            assert_eq!(vmma_get_free_blocks(ctx.handle), free);
        }
    }
}
