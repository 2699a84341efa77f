//! Signatures of images: bundles, envelopes, payloads, statements, keys.
#![no_main]
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| layerstone_attestation::fuzz::bundle(bytes));
