//! Rates of change, for a closure.
#![no_main]
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| layerstone_layering::fuzz::rates(bytes));
