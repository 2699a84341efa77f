//! An image.json.
#![no_main]
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| layerstone_spec::fuzz::image_spec(bytes));
