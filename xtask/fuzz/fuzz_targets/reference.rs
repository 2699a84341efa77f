//! References: what is read and written again is the same.
#![no_main]
use libfuzzer_sys::fuzz_target;
fuzz_target!(|text: &str| {
    if let Ok(reference) = text.parse::<layerstone_oci::Reference>() {
        assert_eq!(reference.to_string().parse::<layerstone_oci::Reference>().unwrap().to_string(), reference.to_string());
    }
});
