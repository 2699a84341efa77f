//! Names of images.
#![no_main]
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| layerstone_oci::fuzz::reference(bytes));
