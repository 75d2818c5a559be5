//! libFuzzer's door to the target `buddy`; see ../src/lib.rs.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| vmma_ops::run("buddy", data));
