//! A tar, by the rules of Python.
#![no_main]
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| layerstone_nixpkgs::fuzz::python_tar(bytes));
libfuzzer_sys::fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    layerstone_fuzz::mutate_tar(data, size, max_size, seed)
});
