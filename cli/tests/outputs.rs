//! What `build` writes where: plain, compressed, on stdout; names, tags, and the dry run.

use crate::support::archive::{self, members};
use crate::support::{Place, digest, require_tool, synth};
use serde_json::{Value, json};
use std::io::Read;
use std::process::Command;

/// A place with an image.json of that much more than a name and contents, and the line that builds it.
fn build_line(more: Value) -> (Place, String) {
    let place = Place::new();
    let mut spec = json!({"name": "x", "tag": "y", "contents": [synth().path("root-env")]});
    spec.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    place.write("image.json", spec.to_string());
    (place, format!("build image.json --root {}", synth().root.display()))
}

/// The same archive in a file, compressed, on stdout.
#[test]
fn one_archive_in_every_form() {
    let (place, line) = build_line(json!({}));
    for name in ["x.tar", "x.tar.gz", "x.tar.zst"] {
        place.ok(&format!("{line} -o {name}"));
    }
    let tar = place.read("x.tar");
    assert!(place.ok(&format!("{line} -o -")).stdout == tar);
    assert!(zstd::decode_all(&*place.read("x.tar.zst")).unwrap() == tar);
    let mut plain = Vec::new();
    flate2::read::MultiGzDecoder::new(&*place.read("x.tar.gz")).read_to_end(&mut plain).unwrap();
    assert!(plain == tar);
}

/// gzip itself reads what we compress.
#[test]
fn gzip_reads_it() {
    let (place, line) = build_line(json!({}));
    place.ok(&format!("{line} -o x.tar.gz"));
    place.ok(&format!("{line} -o x.tar"));
    if !require_tool("gzip") {
        return;
    }
    let status = Command::new("gzip").arg("-t").arg(place.join("x.tar.gz")).status().unwrap();
    assert!(status.success());
    let plain = Command::new("gzip").arg("-dc").arg(place.join("x.tar.gz")).output().unwrap().stdout;
    assert_eq!(digest(&plain), digest(&place.read("x.tar")));
}

/// GNU tar reads it too: the members of an image, in order.
#[test]
fn tar_lists_it() {
    let (place, line) = build_line(json!({"maxLayers": 3}));
    place.ok(&format!("{line} -o x.tar"));
    if !require_tool("tar") {
        return;
    }
    let list = Command::new("tar").arg("-tf").arg(place.join("x.tar")).output().unwrap();
    assert!(list.status.success() && list.stderr.is_empty(), "{}", String::from_utf8_lossy(&list.stderr));
    let listed: Vec<&str> = std::str::from_utf8(&list.stdout).unwrap().lines().collect();
    let manifest = archive::manifest(&place.read("x.tar"));
    for name in manifest["Layers"].as_array().unwrap().iter().chain([&manifest["Config"], &json!("manifest.json")]) {
        assert!(listed.contains(&name.as_str().unwrap()), "{name} in {listed:?}");
    }
}

/// The name is lower-cased, and without a tag the first 32 hex digits of the image ID are one.
#[test]
fn name_and_tag() {
    for tag in [json!({"tag": null, "name": "Some/Image"}), json!({"tag": "V1", "name": "Some/Image"})] {
        let (place, line) = build_line(tag.clone());
        let told = place.ok(&format!("{line} -o x.tar")).text().to_owned();
        let tar = place.read("x.tar");
        let manifest = archive::manifest(&tar);
        let id = manifest["Config"].as_str().unwrap().strip_suffix(".json").unwrap();
        assert_eq!(digest(&archive::member(&tar, &format!("{id}.json"))), id);
        let reference = format!("some/image:{}", tag["tag"].as_str().unwrap_or(&id[..32]));
        assert_eq!(manifest["RepoTags"], json!([reference]));
        assert_eq!(told, format!("{reference} sha256:{id}\n"));
    }
}

/// Without a file, flags say all; the image is that of the image.json that says the same.
#[test]
fn flags_instead_of_a_file() {
    let (place, line) = build_line(json!({
        "config": {"Cmd": ["/bin/git", "--version"], "Env": ["A=1", "B=2"], "WorkingDir": "/tmp", "User": "1:2"},
        "maxLayers": 4,
    }));
    place.ok(&format!("{line} -o file.tar"));
    // As `nix-build` leaves it.
    std::os::unix::fs::symlink(synth().path("root-env"), place.join("result")).unwrap();
    place.ok(&format!(
        "build --name x --tag y --contents ./result --cmd /bin/git --cmd --version --env A=1 --env B=2 --working-dir \
         /tmp --user 1:2 --max-layers 4 --root {} -o flags.tar",
        synth().root.display()
    ));
    assert_eq!(members(&place.read("flags.tar")), members(&place.read("file.tar")));
}

/// A dry run tells the plan and its sizes, reads no content and writes nothing.
#[test]
fn dry_run() {
    let graph = synth().graph.to_str().unwrap();
    let (place, _) = build_line(json!({"graph": graph, "contents": [synth().path("curl-8.0")], "maxLayers": 4}));
    // A store of the same files, empty all of them but as large.
    let store = place.join("root");
    for name in ["curl-8.0", "ssl-3.0", "zlib-1.3", "libc-2.36"] {
        hollow(&synth().locate(synth().path(name)), &store.join(&synth().path(name)[1..]));
    }
    let before = place.listing();
    let run = place.ok("build image.json --root root --dry-run");
    assert_eq!(place.listing(), before);
    let lines: Vec<&str> = run.text().lines().collect();
    for (line, name) in lines[3..].iter().zip(["libc-2.36", "zlib-1.3", "ssl-3.0, curl-8.0"]) {
        assert!(line.ends_with(name), "{}", run.text());
    }
    let real = place.ok(&format!("build image.json --root {} --dry-run", synth().root.display()));
    assert_eq!(real.text(), run.text());
    assert!(!run.text().contains("database"));
    for (flags, told) in [
        ("", "and the customisation layer, and the layer of the Nix database on top, not made in a dry run"),
        ("--kind single", "and in front of them the root, and behind them the Nix database, not made in a dry run"),
    ] {
        place.write("x.json", json!({"name": "x", "graph": graph, "contents": [synth().path("curl-8.0")]}).to_string());
        let run = place.ok(&format!("build x.json --root root --dry-run --include-nix-db {flags}"));
        assert!(run.text().contains(told), "{}", run.text());
    }
}

/// Copies a tree without the contents of its files, but with their sizes.
fn hollow(from: &std::path::Path, to: &std::path::Path) {
    let metadata = from.symlink_metadata().unwrap();
    if metadata.is_dir() {
        std::fs::create_dir_all(to).unwrap();
        for entry in std::fs::read_dir(from).unwrap() {
            let name = entry.unwrap().file_name();
            hollow(&from.join(&name), &to.join(&name));
        }
    } else if metadata.is_symlink() {
        std::os::unix::fs::symlink(std::fs::read_link(from).unwrap(), to).unwrap();
    } else {
        std::fs::File::create(to).unwrap().set_len(metadata.len()).unwrap();
    }
}
