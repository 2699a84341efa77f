//! Base images that are damaged, that lie, or that mean harm: a clear error, and no output changes.

mod damage;
mod docker;
mod limits;
mod members;
mod no_image;
mod oci;

use crate::support::Place;
use crate::support::pieces::{Entry, Files, Pieces, tar, tar_of};
use serde_json::json;

/// The commands that read the whole of a base, but for the base itself, which comes last.
const BUILDERS: [&str; 2] = ["build s.json -o x.tar --base", "image --spec s.json layer.json -o x.tar --base"];
/// Those that read of its layers the headers alone.
const READERS: [&str; 3] =
    ["layers closure.json --max-layers 9 -o x.tar --base", "inspect --diff good.tar", "build s.json --dry-run --base"];

/// A place with an output of old and all that the commands need.
fn place() -> Place {
    let place = Place::new();
    place.write("s.json", json!({"name": "x", "tag": "1", "includeStorePaths": false}).to_string());
    place.write("closure.json", "[]");
    place.write("good.tar", tar(&crate::support::pieces::plain_docker(&[image()])));
    place.ok("root --spec s.json --blob layer.tar -o layer.json");
    place.write("x.tar", "old");
    place
}

/// An image of two small layers.
fn image() -> Pieces {
    let text = |text: &str| Entry::File(text.into());
    let below = [("etc/", Entry::Folder), ("etc/passwd", text("root")), ("bin/sh", text("sh"))];
    let above = [("etc/.wh.passwd", text("")), ("nix/store/00000000000000000000000000000000-a", text("a"))];
    Pieces::new(&[layer(&below), layer(&above)])
}

fn layer(files: &[(&str, Entry)]) -> Vec<u8> {
    tar_of(files.iter().map(|(name, entry)| (name.as_bytes(), entry.clone())))
}

/// Every command says this of the base.
#[track_caller]
fn check_everywhere(place: &Place, base: &str, expected: &str) {
    for line in BUILDERS.iter().chain(&READERS) {
        assert_eq!(place.error_of(&format!("{line} {base}")), format!("error: {expected}\n"), "{line} {base}");
    }
}

/// Every command that reads all of it says this of a tar of these files.
#[track_caller]
fn check_tar(place: &Place, files: &Files, expected: &str) {
    place.write("base.tar", tar(files));
    for line in BUILDERS {
        assert_eq!(place.error_of(&format!("{line} base.tar")), format!("error: {expected}\n"), "{line}");
    }
}
