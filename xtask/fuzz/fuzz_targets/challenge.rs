//! `WWW-Authenticate` and `Retry-After`.
#![no_main]
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| layerstone_registry::fuzz::challenge(bytes));
