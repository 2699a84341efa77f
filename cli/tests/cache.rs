//! The cache of what was learned about layers: the same work is never done twice, and nothing in it is ever needed.

mod bad;
mod blobs;
mod crowd;
mod orders;
mod shared;

use crate::support::{Place, digest, synth};
use serde_json::{Value, json};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// A place with a store of its own of three paths, its graph with NAR hashes, a plan of a layer each, and a spec.
pub fn store() -> Place {
    let place = Place::new();
    for (name, contents) in [("libc", "libc"), ("lib", "library"), ("app", "application")] {
        place.write(&format!("root{}/bin/{name}", path(name)), contents);
    }
    let graph: Vec<Value> = [("libc", vec![]), ("lib", vec!["libc"]), ("app", vec!["lib", "libc"])]
        .into_iter()
        .map(|(name, references)| {
            // What a hash is of does not matter, only that it is another one for other contents.
            let hash = format!("sha256:{}", digest(name.as_bytes()).trim_start_matches("sha256:"));
            let references: Vec<String> = references.into_iter().map(path).collect();
            json!({"path": path(name), "narHash": hash, "narSize": 1000, "references": references})
        })
        .collect();
    place.write("graph.json", json!(graph).to_string());
    let bare: Vec<Value> = graph
        .iter()
        .map(|info| json!({"path": info["path"], "narSize": 1000, "references": info["references"]}))
        .collect();
    place.write("bare.json", json!(bare).to_string());
    place.write(
        "x.json",
        json!({"name": "x", "tag": "1", "contents": [path("app")], "graph": "graph.json"}).to_string(),
    );
    place.ok("closure --graph graph.json --root root -o x.closure.json");
    place.ok("layers x.closure.json --max-layers 3 -o x.layers.json");
    place
}

/// The store path of a name.
pub fn path(name: &str) -> String {
    format!("/nix/store/{}-{name}", &digest(name.as_bytes()).trim_start_matches("sha256:")[..32].replace('e', "z"))
}

/// Makes all layers with a cache.
const LAYERS: &str = "layer x.layers.json --root root --cache cache --all -o layers";

/// Every file of a cache but the one that marks it.
pub fn files(cache: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![cache.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
            let path = entry.path();
            match entry.file_type().unwrap().is_dir() {
                true => folders.push(path),
                false if entry.file_name() != "CACHEDIR.TAG" => found.push(path),
                false => {}
            }
        }
    }
    found.sort();
    found
}

/// What a command says that fails, whatever it leaves in the cache, or of blobs in a layout.
#[track_caller]
fn failed(place: &Place, line: &str) -> String {
    let run = place.run(line);
    assert_eq!(run.code, Some(1), "{line}: {}", run.stderr);
    run.stderr
}

/// What the files of a store path hold is read once: afterwards nobody notices that it was changed, unless asked to.
#[test]
fn nothing_is_read_twice() {
    let place = store();
    place.ok(LAYERS);
    let first = place.listing_of(&["layers"]);
    place.ok("layer x.layers.json --root root --no-cache --all -o fresh");
    assert_eq!(place.read("layers/001.layer.json"), place.read("fresh/001.layer.json"));
    let changed = place.write(&format!("root{}/bin/lib", path("lib")), "LIBRARY");
    place.ok(LAYERS);
    assert_eq!(place.listing_of(&["layers"]), first);
    let told = failed(&place, &format!("{LAYERS} --verify-cache"));
    let file = format!("{}/bin/lib", path("lib"));
    assert!(told.starts_with("error: not what is remembered: layer of "), "{told}");
    assert!(told.contains(&format!("\ndiffers: {file}: found other contents of the same size\n")), "{told}");
    // It is forgotten, so that the next run tells what is there now.
    place.ok(LAYERS);
    assert_ne!(place.listing_of(&["layers"]), first);
    fs::write(changed, "library").unwrap();
    place.ok("layer x.layers.json --root root --no-cache --all -o layers");
    assert_eq!(place.listing_of(&["layers"]), first);
}

/// A path that is not there is missed although its layer is known.
#[test]
fn that_paths_are_there_is_looked_at() {
    let place = store();
    place.ok(LAYERS);
    fs::remove_dir_all(place.join(format!("root{}", path("lib")))).unwrap();
    let told = place.fail(LAYERS);
    assert!(told.contains(&path("lib")) && told.contains("No such file"), "{told}");
}

/// Without NAR hashes in a store that one can write to, names are believed only on request.
#[test]
fn names_alone() {
    let place = store();
    place.ok("closure --graph bare.json --root root -o x.closure.json");
    place.ok("layers x.closure.json --max-layers 3 -o x.layers.json");
    place.ok(LAYERS);
    let before = place.listing_of(&["layers"]);
    assert!(files(&place.join("cache")).is_empty(), "nothing is known of them");
    place.ok(&format!("{LAYERS} --cache-trust-names"));
    place.write(&format!("root{}/bin/lib", path("lib")), "LIBRARY");
    place.ok(&format!("{LAYERS} --cache-trust-names"));
    assert_eq!(place.listing_of(&["layers"]), before);
    place.ok(LAYERS);
    assert_ne!(place.listing_of(&["layers"]), before);
}

/// A change of a store, and what is told of it.
type Change<'a> = (&'a dyn Fn(&Place), &'a str);

/// An image from layer files that the store has left behind: which file of which path differs, in size, mode, contents.
#[test]
fn an_image_tells_which_file_differs() {
    let file = format!("{}/bin/lib", path("lib"));
    let change_size = |place: &Place| drop(place.write(&format!("root{file}"), "longer than before ".repeat(99)));
    let change_mode = |place: &Place| {
        fs::set_permissions(place.join(format!("root{file}")), fs::Permissions::from_mode(0o755)).unwrap();
    };
    let change_contents = |place: &Place| drop(place.write(&format!("root{file}"), "LIBRARY"));
    let changes: [Change<'_>; 3] = [
        (&change_size, "found 1881 bytes, expected 7"),
        (&change_mode, "found mode 0755, expected 0644"),
        (&change_contents, "found other contents of the same size"),
    ];
    for (change, expected) in changes {
        let place = store();
        place.ok(LAYERS);
        change(&place);
        let layers = "layers/000.layer.json layers/001.layer.json layers/002.layer.json";
        for output in ["x.tar", "x.tar.gz", "oci:x"] {
            let told = failed(&place, &format!("image --spec x.json --root root --cache cache {layers} -o {output}"));
            assert!(told.contains(&format!("\ndiffers: {file}: {expected}\n")), "{output}: {told}");
        }
        let told = place.fail(&format!("image --spec x.json --root root --no-cache {layers} -o x.tar"));
        assert!(!told.contains("differs"), "{told}");
    }
}

/// A layer file that is wrong is made anew by the next run, also where nothing tells which file differs.
#[test]
fn what_was_wrong_is_forgotten() {
    for with_indexes in [true, false] {
        let place = store();
        place.ok(LAYERS);
        place.write(&format!("root{}/bin/lib", path("lib")), "LIBRARY");
        if !with_indexes {
            fs::remove_dir_all(place.join("cache/indexes")).unwrap();
        }
        let layers = "layers/000.layer.json layers/001.layer.json layers/002.layer.json";
        let image = format!("image --spec x.json --root root --cache cache {layers} -o x.tar");
        assert_eq!(failed(&place, &image).contains("differs: "), with_indexes);
        place.ok(LAYERS);
        place.ok(&image);
        // It would be copied from.
        fs::remove_file(place.join("x.tar")).unwrap();
        place.write(&format!("root{}/bin/app", path("app")), "APPLICATION");
        let build = "build x.json --root root --cache cache -o y.tar";
        failed(&place, build);
        place.ok(build);
        place.ok("build x.json --root root -o z.tar");
        assert!(place.read("y.tar") == place.read("z.tar"));
    }
}

/// Two stores of equal NAR hashes may have other modes: what is known of one is not said of the other.
#[test]
fn modes_that_no_nar_tells() {
    let place = store();
    place.ok(LAYERS);
    let copied = std::process::Command::new("cp").args(["-a", "root", "other"]).current_dir(place.path()).status();
    assert!(copied.unwrap().success());
    let file = place.join(format!("other{}/bin/lib", path("lib")));
    fs::set_permissions(file, fs::Permissions::from_mode(0o444)).unwrap();
    place.ok("layer x.layers.json --root other --cache cache --all -o cached");
    place.ok("layer x.layers.json --root other --all -o fresh");
    assert_eq!(place.read("cached/001.layer.json"), place.read("fresh/001.layer.json"));
    assert_ne!(
        place.listing_of(&["cached"]).values().collect::<Vec<_>>(),
        place.listing_of(&["layers"]).values().collect::<Vec<_>>()
    );
}

/// Images are the same with a cache that knows nothing, with one that knows all, and without one; to every kind of place.
#[test]
fn images_are_the_same() {
    let place = store();
    let store = "--root root";
    place.ok(&format!("build x.json {store} -o x.tar"));
    place.ok(&format!("build x.json {store} -o x.tar.gz"));
    place.ok(&format!("build x.json {store} -o oci:x"));
    for round in ["new", "known"] {
        let cached = format!("build x.json {store} --cache cache --cache-blobs");
        place.ok(&format!("{cached} -o y.tar"));
        place.ok(&format!("{cached} -o y.tar.gz"));
        place.ok(&format!("{cached} -o oci:y-{round}"));
        assert!(
            place.read("x.tar") == place.read("y.tar") && place.read("x.tar.gz") == place.read("y.tar.gz"),
            "{round}"
        );
        assert!(place.ok(&format!("{cached} -o -")).stdout == place.read("x.tar"), "{round}");
        for (name, bytes) in place.listing_of(&["x"]) {
            let other = place.join(format!("y-{round}")).join(name.strip_prefix(place.join("x")).unwrap_or(&name));
            if other.is_file() {
                assert!(digest(&fs::read(&other).unwrap()) == bytes, "{other:?}");
            }
        }
    }
    // Three layers of the store, and the root.
    assert_eq!(files(&place.join("cache/blobs")).len(), 4);
}

/// docker's tarsum is remembered where it was asked for, and asked for anew where it was not.
#[test]
fn outputs_do_not_depend_on_what_is_known() {
    let place = store();
    let lines = ["", "--tarsum", "--compression gzip", "--compression zstd --level 9"];
    let line = |more: &str, rest: &str| format!("layer x.layers.json --root root {more} {rest} --all -o layers");
    let fresh = lines.map(|more| {
        place.ok(&line(more, "--no-cache"));
        place.listing_of(&["layers"])
    });
    for _ in 0..2 {
        for (more, expected) in lines.iter().zip(&fresh) {
            place.ok(&line(more, "--cache cache"));
            assert_eq!(place.listing_of(&["layers"]), *expected, "{more}");
        }
    }
}

/// The flag, the variable, the user's own directory; and nowhere for a user without a home.
#[test]
fn where_it_is() {
    let place = store();
    let line = "layer x.layers.json --root root --all -o layers";
    let folder = |variables: &[(&str, &str)], flags: &str| -> Vec<String> {
        let mut command = place.command(&format!("{line} {flags}"));
        for (name, value) in variables {
            command.env(name, place.join(value));
        }
        assert!(command.output().unwrap().status.success());
        let mut found = Vec::new();
        for name in ["flag", "variable", "xdg/layerstone", "home/.cache/layerstone"] {
            if place.join(name).exists() {
                fs::remove_dir_all(place.join(name)).unwrap();
                found.push(name.to_owned());
            }
        }
        found
    };
    fs::create_dir(place.join("home")).unwrap();
    let all = [("LAYERSTONE_CACHE", "variable"), ("XDG_CACHE_HOME", "xdg"), ("HOME", "home")];
    assert_eq!(folder(&all, "--cache flag"), ["flag"]);
    assert_eq!(folder(&all, ""), ["variable"]);
    assert_eq!(folder(&all[1..], ""), ["xdg/layerstone"]);
    assert_eq!(folder(&all[2..], ""), ["home/.cache/layerstone"]);
    assert!(folder(&all, "--no-cache").is_empty() && folder(&[], "").is_empty());
    assert!(folder(&[("HOME", "nowhere")], "").is_empty() && !place.join("nowhere").exists());
    let mut command = place.command(line);
    command.env("LAYERSTONE_CACHE", "").env("HOME", place.join("home"));
    assert!(command.output().unwrap().status.success() && !place.join("home/.cache/layerstone").exists());
}

/// What `cache` says and does.
#[test]
fn the_command() {
    let place = store();
    assert_eq!(place.error_of("cache stats --cache cache"), "error: no cache: cache: it does not exist\n");
    place.ok(LAYERS);
    let stats: Value = serde_json::from_str(place.ok("cache stats --json --cache cache").text()).unwrap();
    assert_eq!((&stats["kinds"]["layers"]["files"], &stats["kinds"]["indexes"]["files"]), (&json!(3), &json!(3)));
    let text = place.ok("cache stats --cache cache");
    assert!(text.text().starts_with("cache\n  layers   3 files of "), "{}", text.text());
    fs::write(&files(&place.join("cache"))[0], "damaged").unwrap();
    let told = place.run("cache verify --cache cache");
    assert_eq!(told.code, Some(1));
    assert!(
        told.stderr.starts_with("error: damaged: cache: removed 1 file of 7 B, kept 5 files of "),
        "{}",
        told.stderr
    );
    assert!(place.ok("cache verify --cache cache").text().ends_with(", all good\n"));
    let told = place.ok("cache prune --cache-size 0 --cache cache");
    assert!(told.text().ends_with("kept 0 files of 0 B\n"), "{}", told.text());
    assert!(files(&place.join("cache")).is_empty());
    place.ok(LAYERS);
    assert_eq!(files(&place.join("cache")).len(), 6);
}

/// It keeps itself under the size that it may have, and goes on being right.
#[test]
fn it_keeps_under_its_size() {
    let place = store();
    place.ok(LAYERS);
    let expected = place.listing_of(&["layers"]);
    let size = |files: &[PathBuf]| files.iter().map(|file| file.metadata().unwrap().len()).sum::<u64>();
    for limit in [0, 100, 500, 1000] {
        place.ok("cache prune --cache-size 0 --cache cache");
        place.ok(&format!("{LAYERS} --cache-size {limit}"));
        assert!(size(&files(&place.join("cache"))) <= limit, "{limit}");
        assert_eq!(place.listing_of(&["layers"]), expected);
    }
    assert_eq!(synth().paths().len(), 13, "the other store is left alone");
}
