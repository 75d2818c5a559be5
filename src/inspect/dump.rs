//! Dumps.
use crate::context::Context;
pub fn dump(_context: &Context, _format: i32, _write: &mut dyn FnMut(&[u8]) -> i32) -> i32 { 0 }
