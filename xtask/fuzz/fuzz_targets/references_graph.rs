//! A references graph, in JSON or as registration text.
#![no_main]
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| layerstone_closure::fuzz::references_graph(bytes));
