//! A look inside: walks, figures, dumps. Nothing here changes a heap.
//!
//! A walk goes over blocks by number and over the live words of each, so it finds allocations in the order of their
//! addresses and needs no memory. It holds no lock while it calls the host: after each call it looks at the tables
//! anew.
//! May know: client, context, memory.

pub mod dump;
pub mod stats;
pub mod walk;
pub mod whole;
