//! Orders of outputs and compressions: whatever was made first, nothing that was made before is read or compressed again.

use super::{path, store};
use crate::support::Place;
use crate::support::registry::Registry;

/// What may be made of a spec, as one line, and what of it is the same when it is made again; `NEW` is a new name where
/// compressed layers are kept, and the old one where they are not.
const FORMS: [(&str, &str, &str); 7] = [
    ("plain", "build x.json -o x.tar", ""),
    ("packed", "build x.json -o x.tar.gz", ""),
    ("oci", "build x.json -o oci:oci-NEW", "oci-NEW/index.json"),
    ("zstd", "build x.json --compression zstd -o oci:zstd-NEW", "zstd-NEW/index.json"),
    ("copy", "copy x.json oci:copy-NEW", "copy-NEW/index.json"),
    ("layers", "layer x.layers.json --all -o layers", "layers/001.layer.json"),
    ("blobs", "layer x.layers.json --compression gzip --all -o gzip", "gzip/001.layer.json"),
];

fn run(place: &Place, line: &str, name: &str, flags: &str) {
    place.ok(&format!("{} --root root --cache cache {flags}", line.replace("NEW", name)));
}

/// Makes forms in this order, and then all of them again, of a store in which a file has other contents: whoever reads it
/// finds the wrong diff ID.
fn check(order: &[usize], flags: &str) {
    let place = store();
    let names: Vec<&str> = order.iter().map(|&form| FORMS[form].0).collect();
    for &form in order {
        run(&place, FORMS[form].1, "a", flags);
    }
    place.write(&format!("root{}/bin/lib", path("lib")), "LIBRARY");
    let again = if flags.is_empty() { "a" } else { "b" };
    // An archive holds the files themselves.
    for &form in order.iter().filter(|&&form| !FORMS[form].2.is_empty()) {
        let (name, line, file) = FORMS[form];
        let before = place.read(&file.replace("NEW", "a"));
        run(&place, line, again, flags);
        assert_eq!(place.read(&file.replace("NEW", again)), before, "{name} after {names:?} {flags}");
    }
}

#[test]
fn pairs() {
    for first in 0..FORMS.len() {
        for second in (0..FORMS.len()).filter(|second| *second != first) {
            check(&[first, second], "");
        }
    }
}

#[test]
fn pairs_with_blobs() {
    for (first, second) in [(0, 2), (2, 0), (0, 3), (5, 2), (6, 2), (1, 4), (2, 3)] {
        // What the stage compresses without writing it is not kept.
        check(&[first, second], "--cache-blobs");
    }
}

#[test]
fn all_of_them() {
    check(&[0, 1, 5, 2, 6, 3, 4], "");
    check(&[5, 6, 0, 3, 4, 2, 1], "--cache-blobs");
}

/// A push after any of them, and then again: nothing is read for the second one.
#[test]
fn pushes() {
    let Some(registry) = Registry::start() else { return };
    for (first, _, _) in FORMS {
        let place = store();
        let (_, line, _) = FORMS.into_iter().find(|(name, _, _)| *name == first).unwrap();
        run(&place, line, "a", "");
        let push = format!("push x.json {}/{first}:1 --root root --cache cache", registry.host());
        let before = place.ok(&push).stdout;
        place.write(&format!("root{}/bin/lib", path("lib")), "LIBRARY");
        assert_eq!(place.ok(&push).stdout, before, "{first}");
    }
}

/// Layer files that are plain: what they are when they are compressed is known after the first image of them.
#[test]
fn images_of_layer_files() {
    let place = store();
    place.ok("layer x.layers.json --root root --cache cache --all -o layers");
    let image = |to: &str| format!("image --spec x.json --root root --cache cache layers -o {to}");
    place.ok(&image("x.tar"));
    place.ok(&image("oci:a"));
    let before = place.read("a/index.json");
    place.write(&format!("root{}/bin/lib", path("lib")), "LIBRARY");
    place.ok(&image("oci:a"));
    assert_eq!(place.read("a/index.json"), before);
}
