//! libFuzzer's door to the target `hostile`; see ../src/lib.rs.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| vmma_ops::run("hostile", data));
