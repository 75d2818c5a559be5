//! libFuzzer's door to the target `sizes`; see ../src/lib.rs.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| vmma_ops::run("sizes", data));
