//! Compressed layers that are kept, by images and by the stage itself.

use super::{files, path, store};
use std::fs;

/// A compressed layer that was kept is not made again, and one that is damaged is.
#[test]
fn blobs_are_kept() {
    let place = store();
    let line = "build x.json --root root --cache cache --cache-blobs -o";
    place.ok(&format!("{line} oci:a"));
    place.write(&format!("root{}/bin/lib", path("lib")), "LIBRARY");
    place.ok(&format!("{line} oci:b"));
    let index = |name: &str| place.read(&format!("{name}/index.json"));
    assert_eq!(index("a"), index("b"), "nothing was read");
    place.write(&format!("root{}/bin/lib", path("lib")), "library");
    for blob in files(&place.join("cache/blobs")) {
        let mut bytes = fs::read(&blob).unwrap();
        bytes[20] ^= 1;
        fs::write(&blob, bytes).unwrap();
    }
    place.ok(&format!("{line} oci:c"));
    assert_eq!(index("a"), index("c"));
    assert!(place.ok("cache verify --cache cache").text().starts_with("read "));
    assert_eq!(files(&place.join("cache/blobs")).len(), 3, "made again, and kept");
}

/// The stage by itself keeps and takes blobs as well; one that is damaged is made again.
#[test]
fn blobs_of_the_stage() {
    let place = store();
    let line = |flags: &str, to: &str| {
        format!("layer x.layers.json --root root --compression gzip --blobs --all {flags} -o {to}")
    };
    place.ok(&line("", "fresh"));
    for round in 0..3 {
        place.ok(&line("--cache cache --cache-blobs", "cached"));
        for name in ["000.layer.json", "001.layer.json", "002.tar.gz"] {
            assert_eq!(place.read(&format!("fresh/{name}")), place.read(&format!("cached/{name}")), "{round} {name}");
        }
        let kept = files(&place.join("cache/blobs"));
        assert_eq!(kept.len(), 3);
        if round == 0 {
            fs::write(&kept[1], "damaged").unwrap();
        }
    }
    // Nothing is read for them: what is there now has no say.
    place.write(&format!("root{}/bin/lib", path("lib")), "LIBRARY");
    place.ok(&line("--cache cache --cache-blobs", "cached"));
    assert_eq!(place.read("fresh/001.tar.gz"), place.read("cached/001.tar.gz"));
    let one = "layer x.layers.json --root root --compression gzip --index 1 --cache cache --cache-blobs";
    place.ok(&format!("{one} -o one.layer.json --blob one.tar.gz"));
    assert_eq!(place.read("fresh/001.tar.gz"), place.read("one.tar.gz"));
}
