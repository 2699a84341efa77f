//! Addresses, and where a `Location` leads.
#![no_main]
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| layerstone_registry::fuzz::url(bytes));
