//! What the cache holds.
#![no_main]
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| layerstone_layer::fuzz::cache_records(bytes));
