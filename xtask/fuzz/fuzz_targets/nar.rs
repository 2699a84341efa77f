//! A tree of files, and its NAR.
#![no_main]
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| layerstone_closure::fuzz::nar(bytes));
