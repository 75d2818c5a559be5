//! Whole contexts through the C functions, against a model that knows what must be.
//!
//! ```text
//!   bytes ─> operation ─> the library      ─> compare: statuses, errno, last status, error events, addresses, sizes,
//!                     └─> shadow (a model)     contents, figures; vmma_check_context after each operation
//! ```
//!
//! At the end everything is freed in one of several ways, and one largest block of free memory must be left.
//! May know: the C functions.

mod allocation;
mod arena;
mod ending;
mod freeing;
mod host;
mod life;
mod misuse;
mod questions;
mod shadow;
mod text;

use crate::bytes::Bytes;
use host::*;
use shadow::{Cli, Ctx};
use vmma::ffi::*;

/// Operations of one input at most.
const MOST: usize = 400;
/// Clients of one context at most, so that most operations meet one that has something.
const CLIENTS: usize = 24;

/// Says what happens, for whoever looks into a finding: set VMMA_FUZZ_LOG.
macro_rules! log {
    ($($argument:tt)*) => {
        if super::is_logging() {
            eprintln!($($argument)*);
        }
    };
}
use log;

fn is_logging() -> bool {
    static LOGGING: std::sync::OnceLock<bool> = std::sync::OnceLock::new();
    *LOGGING.get_or_init(|| std::env::var_os("VMMA_FUZZ_LOG").is_some())
}

pub struct Model<'a> {
    bytes: Bytes<'a>,
    contexts: [Option<Ctx>; arena::PLACES],
    /// The last contexts in given memory that are gone, with their clients; their memory is untouched.
    gone: [Option<(Context, Vec<Client>)>; arena::PLACES],
    seed: u8,
    /// `hostile`: everything that the library answered.
    trace: Option<Vec<usize>>,
    scribbles: bool,
}

/// The target `context`.
pub fn context(data: &[u8]) {
    Model::new(data).run();
}

/// The target `hostile`.
pub fn hostile(data: &[u8]) {
    let traces = [false, true].map(|scribbles| {
        let mut model = Model::new(data);
        model.trace = Some(Vec::new());
        model.scribbles = scribbles;
        model.run()
    });
    let [quiet, loud] = traces;
    assert_eq!(quiet, loud, "what a client writes into freed memory changed an answer");
}

impl<'a> Model<'a> {
    fn new(data: &'a [u8]) -> Model<'a> {
        Model {
            bytes: Bytes::new(data),
            contexts: Default::default(),
            gone: Default::default(),
            seed: 1,
            trace: None,
            scribbles: false,
        }
    }

    fn run(mut self) -> Vec<usize> {
        self.create_context(0);
        let mut done = 0;
        while !self.bytes.is_empty() && done < MOST {
            done += 1;
            let (operation, whom) = (self.bytes.u8(), self.bytes.u8());
            let Some(at) = self.choose_context(whom & 3) else {
                self.create_context((whom & 3) as usize % arena::PLACES);
                continue;
            };
            // The context is taken out while it is worked on: two borrows would be in each other's way.
            let Some(mut ctx) = self.contexts[at].take() else { continue };
            let who = (whom >> 2) as usize % ctx.clients.len().max(1);
            if ctx.clients.is_empty() && !matches!(operation % 64, 40..=43) {
                self.create_client(&mut ctx);
            } else {
                self.operation(operation % 64, &mut ctx, who);
                // Checks of huge contexts take their time.
                done += ctx.size >> 31;
            }
            if ctx.handle.is_null() {
                continue;
            }
            self.after(&mut ctx);
            self.contexts[at] = Some(ctx);
        }
        for at in 0..self.contexts.len() {
            if let Some(ctx) = self.contexts[at].take() {
                self.end(ctx);
            }
        }
        self.trace.unwrap_or_default()
    }

    fn choose_context(&self, wish: u8) -> Option<usize> {
        let wish = wish as usize;
        if wish < self.contexts.len() && self.contexts[wish].is_some() {
            return Some(wish);
        }
        self.contexts.iter().position(Option::is_some)
    }

    fn operation(&mut self, operation: u8, ctx: &mut Ctx, who: usize) {
        if is_logging() {
            eprintln!("operation {operation}: context {}, client {who}", ctx.place);
        }
        if ctx.clients.is_empty() {
            return;
        }
        // Misuse would end the process.
        let harmless = ctx.has(VMMA_FLAG_ABORT);
        match operation {
            0..=7 => self.alloc(ctx, who),
            8..=14 => self.free_any(ctx, who),
            15 | 16 => self.calloc(ctx, who),
            17 | 18 => self.aligned(ctx, who),
            19..=22 => self.realloc(ctx, who),
            23 => self.lua(ctx, who),
            24 | 25 => self.burst(ctx, who),
            26 | 27 => self.free_many(ctx, who),
            28 => self.exhaust(ctx, who),
            29 => self.create_client(ctx),
            30 => self.delete_client(ctx, who),
            31 => self.reset_client(ctx, who),
            32 => self.trim_client(ctx, who),
            33 => self.trim_context(ctx),
            34 => self.set_limit(ctx, who, harmless),
            35 => self.set_guarantee(ctx, who, harmless),
            36 => self.set_oom(ctx, who),
            37 => self.set_error(ctx),
            38 => self.set_texts(ctx, who),
            39 => self.ask_addresses(ctx, who),
            40 => self.create_context_somewhere(ctx),
            41 => self.delete_context(ctx),
            42 => self.ask_dead(ctx),
            43 => self.ask_null(),
            44 => self.ask_max_alloc(ctx, who),
            45 => self.ask_figures(ctx),
            46 => self.ask_good_size(ctx, who),
            47 => self.walk(ctx, who),
            48 => self.dump(ctx),
            49 | 50 if !harmless => self.free_garbage(ctx, who),
            51 | 52 if !harmless => self.free_again(ctx, who),
            53 | 54 if !harmless => self.free_near(ctx, who),
            55 if !harmless => self.free_others(ctx, who),
            56 if !harmless => self.realloc_wrong(ctx, who),
            57 if !harmless => self.overrun(ctx, who),
            58 | 59 => self.scribble(ctx, who, harmless),
            60 if !harmless => self.bad_parameters(ctx, who),
            61 => self.many_clients(ctx),
            62 => self.free_all(ctx, who),
            _ => self.alloc(ctx, who),
        }
    }

    /// What holds after every operation.
    fn after(&mut self, ctx: &mut Ctx) {
        self.check(ctx);
        let records = ctx.count_records();
        assert!(records >= ctx.records, "blocks of client slots have become free");
        ctx.records = records;
        let held: usize = ctx.clients.iter().map(Cli::held).sum();
        // SAFETY: a live handle.
        let peak = unsafe { vmma_get_peak_blocks(ctx.handle) };
        assert!(peak >= held / ctx.block && peak >= ctx.peak && peak <= ctx.total);
        ctx.peak = peak;
        for client in &mut ctx.clients {
            // SAFETY: live handles.
            let (peak, last) = unsafe { (vmma_get_peak_held_size(client.handle), vmma_get_last_status(client.handle)) };
            assert!(peak >= client.held() && peak >= client.peak);
            client.peak = peak;
            if let Some(expected) = client.last {
                assert_eq!(last, expected, "last status");
            }
            client.last = Some(last);
        }
        if let Some(given) = &ctx.given {
            given.check_canaries();
        }
        self.note(records);
    }

    /// vmma_check_context says what it must.
    fn check(&mut self, ctx: &mut Ctx) {
        ctx.events.list.borrow_mut().clear();
        // SAFETY: a live handle.
        let status = unsafe { vmma_check_context(ctx.handle) };
        let overrun = ctx.clients.iter().any(Cli::has_overrun);
        let scribbled = ctx.clients.iter().any(|client| !client.scribbles.is_empty());
        let may = match status {
            OK => !overrun,
            OVERRUN => overrun,
            USE_AFTER_FREE => scribbled,
            _ => false,
        };
        assert!(may, "vmma_check_context: {status}; overrun {overrun}, scribbled {scribbled}");
        if status != OK {
            ctx.clients.iter_mut().for_each(|client| client.last = None);
            if ctx.listens {
                let events = ctx.events.list.borrow();
                assert_eq!(events.len(), 1, "one misuse found, {events:?}");
                assert_eq!(events[0].status, status);
            }
        }
    }

    /// Writes down an answer for `hostile`.
    fn note(&mut self, answer: usize) {
        if let Some(trace) = &mut self.trace {
            trace.push(answer);
        }
    }

    fn note_pointer(&mut self, ctx: &Ctx, pointer: usize) {
        self.note(if pointer == 0 { 0 } else { pointer.wrapping_sub(ctx.handle.addr()) });
    }

    fn next_seed(&mut self) -> u8 {
        self.seed = self.seed.wrapping_add(37);
        self.seed
    }

    /// A live allocation of a client: start.
    fn any_live(&mut self, ctx: &Ctx, who: usize) -> Option<usize> {
        let live = &ctx.clients[who].live;
        let at = self.bytes.below(live.len());
        live.keys().nth(at).copied()
    }

    /// Exactly these events were told, but for written memory that left quarantine; `who` is whose they are.
    fn expect_events(&mut self, ctx: &mut Ctx, who: usize, expected: &[Event]) {
        let mut events = ctx.events.list.take();
        let client = &mut ctx.clients[who];
        if !client.scribbles.is_empty() {
            client.last = None;
            events.retain(|event| {
                let late = event.status == USE_AFTER_FREE;
                if late {
                    assert_eq!(event.client, client.handle.addr());
                    assert!(client.scribbles.contains(&event.address), "nobody wrote to {:#x}", event.address);
                }
                !late
            });
        }
        if ctx.listens {
            assert_eq!(events, expected);
        } else {
            assert!(events.is_empty(), "told though nobody listens");
        }
        // What the handler was refused comes before what the call itself ends with; it counts where that is nobody's.
        if ctx.listens
            && ctx.events.provokes.get()
            && client.last.is_some()
            && let Some(event) = expected.last()
        {
            client.last = Some(if event.client == client.handle.addr() { event.status } else { BUSY });
        }
    }
}
