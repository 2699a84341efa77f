//! An archive of images.
#![no_main]
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| layerstone_image::fuzz::image_archive(bytes));
libfuzzer_sys::fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    layerstone_fuzz::mutate_tar(data, size, max_size, seed)
});
