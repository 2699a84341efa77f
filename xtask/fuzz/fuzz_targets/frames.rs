//! Frames of a guest.
#![no_main]
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| layerstone_guest::fuzz::frames(bytes));
