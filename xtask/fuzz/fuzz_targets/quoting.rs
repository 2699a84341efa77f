//! Names and words in rules of ninja and make.
#![no_main]
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| layerstone_pipeline::fuzz::quoting(bytes));
