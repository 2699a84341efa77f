//! A tar for zstd:chunked, or the manifest of one.
#![no_main]
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| layerstone_layer::fuzz::chunked(bytes));
