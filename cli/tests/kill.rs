//! Kill -9 at any moment: no output changes, and the next run removes what was left.

use crate::support::{Place, digest, synth};
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// How often each command is killed.
const KILLS: u32 = 20;
/// What says which files of a directory are ours: it is read too, so that it cannot be `old`.
const RECORD: &str = ".layerstone-outputs";

/// Kills a command after fractions of the time that it takes, spread evenly but in no order.
///
/// The outputs (all of this name or below it) are either of old or whole and new; and all that is left has one prefix.
#[track_caller]
fn check(line: &str, output: &str) {
    let place = Place::new();
    let spec = serde_json::json!({
        "name": "x", "contents": [synth().path("root-env")], "extraCommands": "mkdir a; echo hi > a/b",
    });
    place.write("s.json", spec.to_string());
    fs::create_dir(place.join("layer")).unwrap();
    place.ok(&format!("layers {} --max-layers 5 -o x.layers.json", synth().graph.display()));
    let line = format!("{line} --root {}", synth().root.display());
    let start = Instant::now();
    place.ok(&line);
    let takes = start.elapsed();
    let new = files(&place, output);
    for kill in 0..KILLS {
        for path in new.keys() {
            fs::write(path, "old").unwrap();
        }
        let inodes = files_and(&place, output, |path| path.metadata().unwrap().ino());
        let mut child = place.command(&line).spawn().unwrap();
        // 7 and KILLS have no common divisor: every fraction once.
        std::thread::sleep(takes * (kill * 7 % KILLS) / KILLS + Duration::from_millis(1));
        let _ = child.kill();
        child.wait().unwrap();
        let found = files(&place, output);
        for (path, inode) in &inodes {
            // Never written in place: whoever has the old one open keeps it.
            let is_old = path.metadata().unwrap().ino() == *inode;
            assert_eq!(found[path], if is_old { digest(b"old") } else { new[path].clone() }, "{line}: {path:?}");
        }
        check_leftovers(&place, &new);
    }
    // What the last one that was killed had started may live a moment longer, and with it its locks.
    assert_eq!(place.run(&line).code, Some(0));
    place.ok(&line);
    assert_eq!(files(&place, output), new);
}

/// What is neither an input nor an output has the prefix of temporary files.
#[track_caller]
fn check_leftovers(place: &Place, outputs: &BTreeMap<PathBuf, String>) {
    let work = place.listing().into_keys().filter(|path| path.is_file() && !outputs.contains_key(path));
    let temporary = fs::read_dir(place.temporary()).unwrap().map(|entry| entry.unwrap().path());
    for path in work.chain(temporary) {
        let name = path.file_name().unwrap().to_str().unwrap();
        let is_input = ["s.json", "x.layers.json", RECORD].contains(&name);
        assert!(is_input || name.starts_with(".layerstone-tmp-"), "left: {path:?}");
    }
}

/// Digests of the files of that name, or below it.
fn files(place: &Place, output: &str) -> BTreeMap<PathBuf, String> {
    files_and(place, output, |path| digest(&fs::read(path).unwrap()))
}

fn files_and<T>(place: &Place, output: &str, what: impl Fn(&PathBuf) -> T) -> BTreeMap<PathBuf, T> {
    let is_ours = |name: &str| name.starts_with(".layerstone-tmp-") || name == RECORD;
    let is_output = |path: &PathBuf| path.is_file() && !is_ours(path.file_name().unwrap().to_str().unwrap());
    let below = place.listing().into_keys().filter(|path| path.starts_with(place.join(output)) && is_output(path));
    below.map(|path| (path.clone(), what(&path))).collect()
}

#[test]
fn build() {
    check("build s.json -o x.tar", "x.tar");
}

#[test]
fn build_compressed() {
    check("build s.json -o x.tar.gz", "x.tar.gz");
    check("build s.json -o x.tar.zst", "x.tar.zst");
}

#[test]
fn layers_and_blobs() {
    check("layer x.layers.json --all --blobs -o layers", "layers");
}

#[test]
fn root() {
    check("root --spec s.json -o layer/root.layer.json --blob layer/root.tar", "layer");
}
