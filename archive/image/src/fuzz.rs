//! What a fuzzer drives of this crate, and what must hold whatever it finds: an archive of images is an error, or each of its
//! images can be looked into.

use crate::{ArchiveSummary, Compression, ImageFile, StoredImage, store_paths_of};
use layerstone_layer::Progress;
use layerstone_oci::{Location, Wanted};
use layerstone_store::{Digest, Limit, Limits};
use layerstone_tar::write_flat;
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};

/// Bytes that an archive may unpack to.
const UNPACKED: u64 = 1 << 22;

/// A docker archive, or a tar of an OCI layout, compressed or not.
pub fn image_archive(bytes: &[u8]) {
    let (_file, path) = open(bytes);
    let limits = Limits::default().with(Limit::Unpacked, UNPACKED);
    let Ok(file) = ImageFile::open(&path, limits) else { return };
    let _ = file.image(&Location::of(&path), &Wanted::new(None, None, None));
    let _ = file.listed(&Location::of(&path));
    assert_ne!(file.readers_agree(), Some(false), "two readers of one index");
    let Ok(images) = file.images() else { return };
    let summary = ArchiveSummary::of(&file).expect("its images can be opened");
    assert_eq!(summary.images.len(), images.len());
    let whole: Vec<Digest> = images.iter().map(|image| image.image_id).collect();
    for end in [bytes.len() / 3, bytes.len() / 2, bytes.len().saturating_sub(512), bytes.len().saturating_sub(1)] {
        check_prefix(&bytes[..end], &whole, limits);
    }
    for image in images {
        check_image(image, limits);
    }
}

/// A part of an archive is an error, in the end where its layers are read, or has the same images.
fn check_prefix(bytes: &[u8], whole: &[Digest], limits: Limits) {
    let (_file, path) = open(bytes);
    let images = ImageFile::open(&path, limits).and_then(|file| file.images());
    let Ok(mut images) = images else { return };
    let unpack = |image: &mut StoredImage| image.unpack(limits, &Progress::default()).is_ok();
    if images.iter_mut().all(unpack) && images.iter().all(|image| image.check(&Progress::default()).is_ok()) {
        let found: Vec<Digest> = images.iter().map(|image| image.image_id).collect();
        assert_eq!(found, whole, "the images of a part");
    }
}

fn check_image(mut image: StoredImage, limits: Limits) {
    assert_eq!(image.image_id, Digest::of(&image.config_bytes));
    if let Some(stored) = image.as_stored(None) {
        assert_eq!(stored.layers.len(), image.layers.len());
    }
    if image.unpack(limits, &Progress::default()).is_err() {
        return;
    }
    assert!(image.layers.iter().all(|layer| layer.compression == Compression::None));
    let is_checked = image.check(&Progress::default()).is_ok();
    let paths = store_paths_of(&image, "/nix/store");
    let Ok(tree) = image.tree() else { return };
    let paths = paths.expect("its layers are tars");
    for path in paths.paths.keys() {
        assert!(paths.layers.iter().any(|layer| layer.contains_key(path)), "{path} is of a layer");
    }
    if image.check_holes(&tree).is_ok() && tree.holes() == 0 && is_checked {
        write_flat(&tree, &image.parts(), &mut io::sink(), Path::new("flat")).expect("its layers are tars");
    }
}

/// A file that has a name as long as it is open.
fn open(bytes: &[u8]) -> (File, PathBuf) {
    let mut file = tempfile::tempfile().expect("a file");
    file.write_all(bytes).expect("a file");
    let path = format!("/proc/self/fd/{}", file.as_raw_fd()).into();
    (file, path)
}

#[cfg(test)]
mod tests {
    #[test]
    fn what_fuzzing_found_before() {
        xtask::replay("image_archive", super::image_archive);
    }
}
