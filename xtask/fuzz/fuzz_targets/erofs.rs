//! A tree of files, written as EROFS and read back.
#![no_main]
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| layerstone_erofs::fuzz::erofs(bytes));
