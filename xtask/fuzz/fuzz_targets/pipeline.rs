//! A pipeline, run on a closure.
#![no_main]
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| layerstone_layering::fuzz::pipeline(bytes));
