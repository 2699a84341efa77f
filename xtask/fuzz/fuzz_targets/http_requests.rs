//! Requests of a connection to our server.
#![no_main]
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| layerstone_registry::fuzz::http_requests(bytes));
