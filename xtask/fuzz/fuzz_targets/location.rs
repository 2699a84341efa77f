//! A file of images, and the name of one.
#![no_main]
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| layerstone_oci::fuzz::location(bytes));
