//! What bills of materials are made of besides closures: databases of packages, meta files, advisories.
#![no_main]
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| layerstone_sbom::fuzz::bill_sources(bytes));
