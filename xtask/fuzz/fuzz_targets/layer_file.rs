//! A layer file.
#![no_main]
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| layerstone_layer::fuzz::layer_file(bytes));
