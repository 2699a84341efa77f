//! A plan file.
#![no_main]
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| layerstone_layering::fuzz::plan_file(bytes));
