//! A database of store paths.
#![no_main]
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| layerstone_closure::fuzz::database(bytes));
