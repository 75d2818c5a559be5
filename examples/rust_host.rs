//! rust_host.rs - a host in Rust: three small virtual machines, each with its whole memory in a client of its own.
//!
//!     cargo run --example rust_host --features std
//!
//! Each machine is a list builder that knows three instructions. One is good, one leaks until its memory is gone, one
//! frees what it does not own. Then they end, and the context is as it was. Exits with 0 only if all of that is so.
//! It may know the public interface of the crate and nothing else.

use core::alloc::Layout;
use core::cell::Cell;
use core::ptr::NonNull;
use std::process::ExitCode;
use vmma::host::{DumpFormat, Misuse};
use vmma::{Client, Context, ContextOptions, Error, Flags};

/// What a program of the machine does.
#[derive(Clone, Copy)]
enum Op {
    /// Puts a node with this value in front of the list.
    Push(u64),
    /// Takes the first node off and adds its value to the sum.
    Pop,
    /// What a hostile program does: frees an address of its choice.
    Free(usize),
}

/// A node as it lies in the guest's memory.
struct Node {
    value: u64,
    next: Option<NonNull<Node>>,
}

/// A machine: all that its program makes lives in one client.
struct Machine<'a, 'c> {
    heap: &'a Client<'c>,
    list: Option<NonNull<Node>>,
    sum: u64,
}

impl<'a, 'c> Machine<'a, 'c> {
    fn new(heap: &'a Client<'c>) -> Self {
        Machine { heap, list: None, sum: 0 }
    }

    fn run(&mut self, program: impl IntoIterator<Item = Op>) -> Result<u64, Error> {
        for op in program {
            match op {
                Op::Push(value) => {
                    let node = self.heap.alloc(Layout::new::<Node>())?.cast::<Node>();
                    // SAFETY: new memory of that layout. The machine borrows the client, so it is neither reset nor
                    // dropped meanwhile.
                    unsafe { node.write(Node { value, next: self.list }) };
                    self.list = Some(node);
                }
                Op::Pop => {
                    let Some(node) = self.list else { continue };
                    // SAFETY: nodes in the list are live and only the list knows them; this one leaves it.
                    unsafe {
                        let Node { value, next } = node.read();
                        self.heap.free(node.cast())?;
                        self.sum += value;
                        self.list = next;
                    }
                }
                Op::Free(address) => {
                    let Some(at) = NonNull::new(core::ptr::without_provenance_mut(address)) else { continue };
                    if self.heap.size_of(at.as_ptr()).is_some() {
                        return Err(Error::Invalid); // a node of the list must not go
                    }
                    // SAFETY: no allocation of this client begins there: whatever else it is, it will be refused.
                    unsafe { self.heap.free(at) }?;
                }
            }
        }
        Ok(self.sum)
    }
}

fn run() -> Result<bool, Box<dyn std::error::Error>> {
    let tell = |misuse: &Misuse| println!("  (the library: {})", misuse.error);
    let loans = Cell::new(0);
    // Lends a program that is at its limit 64 KiB, once.
    let lend = |client: &Client<'_>, size: usize, reason: Error| {
        println!("  (\"{}\" asks for {size} bytes: {reason})", client.name());
        loans.replace(loans.get() + 1) == 0 && client.set_limit(client.limit() + (64 << 10)).is_ok()
    };

    let mut context: Context<'_> = ContextOptions::new().block_size(16 << 10).flags(Flags::WIPE).map(4 << 20)?;
    context.set_error_handler(&tell);
    let free = context.free_blocks();
    let (good, leaky, wild) = (context.client()?, context.client()?, context.client()?);
    for (client, name) in [(&good, "good"), (&leaky, "leaky"), (&wild, "wild")] {
        client.set_name(name)?;
        client.set_limit(128 << 10)?;
    }
    leaky.set_oom_handler(&lend)?;

    println!("good: adds up a list");
    let sum = Machine::new(&good).run((1..=100).map(Op::Push).chain((0..100).map(|_| Op::Pop)))?;
    println!("  the sum is {sum}, {} allocations are left", good.stats().live_count);

    println!("leaky: only pushes");
    let leaked = Machine::new(&leaky).run((0..).map(Op::Push));
    println!("  ended: {}; it holds {} KiB", leaked.unwrap_err(), leaky.held_size() >> 10);

    println!("wild: frees what is not its own");
    let target = good.alloc(Layout::new::<[u8; 1000]>())?;
    let refused = Machine::new(&wild).run([Op::Push(1), Op::Free(target.addr().get())]);
    println!(
        "  ended: {}; good's allocation is {}",
        refused.unwrap_err(),
        if good.owns(target.as_ptr()) { "there" } else { "gone" }
    );

    let mut text = String::new();
    context.dump(DumpFormat::Text, &mut text)?;
    println!("\n{}\n", text.trim_end());

    let right = sum == 5050
        && leaked == Err(Error::Limit)
        && leaky.held_size() == 192 << 10
        && loans.get() == 2
        && refused == Err(Error::NotOwned)
        && good.owns(target.as_ptr());
    context.check()?;
    drop((good, leaky, wild));
    println!("all ended: {} of {free} blocks are free again", context.free_blocks());
    Ok(right && context.free_blocks() == free)
}

fn main() -> ExitCode {
    match run() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => {
            eprintln!("rust_host: not what it should be");
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("rust_host: {error}");
            ExitCode::FAILURE
        }
    }
}
