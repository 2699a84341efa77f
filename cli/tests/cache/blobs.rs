//! Compressed layers that are kept, by images and by the stage itself.

use super::{files, path, store};
use crate::support::Place;
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
    assert_eq!(files(&place.join("cache/blobs")).len(), 4, "made again, and kept");
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

/// Whatever was written first, what comes second has the bytes that it has without a cache, and compresses nothing that is
/// kept: the store is not even read.
#[test]
fn any_output_after_any_other() {
    const OUTPUTS: [&str; 5] = ["x.tar.gz", "x.tar.zst", "oci:x", "oci-archive:x.oci.tar", "oci:z --compression zstd"];
    let fresh = store();
    for output in OUTPUTS {
        fresh.ok(&format!("build x.json --root root --no-cache -o {output}"));
    }
    let listed = |place: &Place, output: &str| {
        let name = output.split(' ').next().unwrap().rsplit(':').next().unwrap();
        let listing = place.listing_of(&[name]).into_iter();
        listing.map(|(path, digest)| (path.strip_prefix(place.path()).unwrap().to_owned(), digest)).collect::<Vec<_>>()
    };
    let codec = |output: &str| output.contains("zst");
    for first in OUTPUTS {
        for second in OUTPUTS {
            let place = store();
            let build = |output: &str| format!("build x.json --root root --cache cache --cache-blobs -o {output}");
            place.ok(&build(first));
            let is_kept = codec(first) == codec(second);
            if is_kept {
                // As large and as old as before, but other bytes: whoever reads them finds another diff ID.
                for name in ["libc", "lib", "app"] {
                    let file = place.join(format!("root{}/bin/{name}", path(name)));
                    let time = file.metadata().unwrap().modified().unwrap();
                    let bytes = fs::read(&file).unwrap().to_ascii_uppercase();
                    fs::write(&file, bytes).unwrap();
                    fs::File::options().write(true).open(&file).unwrap().set_modified(time).unwrap();
                }
            }
            place.ok(&build(second));
            assert!(listed(&place, second) == listed(&fresh, second), "{first}, then {second}");
        }
    }
}
