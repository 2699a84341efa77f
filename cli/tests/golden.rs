//! What nixpkgs makes of the synthetic store comes out of `stream`, `layer` and `layers`, to the byte.
//!
//! Parts are compared before wholes, so that a failure tells the first thing that differs.

use crate::support::archive::{self, Member, members};
use crate::support::{Place, digest, golden, golden_text, require_root, synth};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::fmt::Write as _;

/// `popularity` keeps nixpkgs' order.
#[test]
fn popularity_order() {
    let place = Place::new();
    let graph = synth().graph.display();
    place.ok(&format!("layers {graph} --strategy popularity --max-layers 100 -o x.layers.json"));
    let plan = place.json("x.layers.json");
    let single = |layer: &Value| match layer.as_array().unwrap().as_slice() {
        [path] => path.as_str().unwrap().to_owned(),
        paths => panic!("{paths:?}"),
    };
    let order: Vec<String> = plan["layers"].as_array().unwrap().iter().map(single).collect();
    assert_eq!(order.join("\n"), golden_text("popularity.txt").trim_end());
}

/// Up to N-1 paths stand alone, the rest share the last layer.
#[test]
fn layers_at_and_around_the_limit() {
    let popular: Vec<String> = golden_text("popularity.txt").lines().map(str::to_owned).collect();
    let place = Place::new();
    for limit in [1, 2, 5, popular.len() - 1, popular.len(), popular.len() + 1] {
        let graph = synth().graph.display();
        place.ok(&format!("layers {graph} --strategy popularity --max-layers {limit} -o x.layers.json"));
        let single = popular.len().min(limit) - 1;
        let mut expected: Vec<&[String]> = popular[..single].chunks(1).collect();
        expected.push(&popular[single..]);
        assert_eq!(place.json("x.layers.json")["layers"], json!(expected), "{limit}");
    }
}

/// The layers of nixpkgs' auto-layer.py, as sets.
#[test]
fn size() {
    let place = Place::new();
    for (limit, expected) in [5, 8].into_iter().zip(golden_text("auto-layer-sets.jsonl").lines()) {
        place.ok(&format!("layers --max-layers {limit} --strategy size {} -o x.layers.json", synth().graph.display()));
        let sorted = |layers: &Value| {
            let sets: BTreeSet<BTreeSet<String>> = serde_json::from_value(layers.clone()).unwrap();
            sets
        };
        let found = sorted(&place.json("x.layers.json")["layers"]);
        assert_eq!(found, sorted(&serde_json::from_str(expected).unwrap()), "{limit}");
    }
}

/// The layers of nixpkgs' flatten_references_graph, wherever the option stands on the line.
#[test]
fn pipelines() {
    let place = Place::new();
    let graph = synth().graph.display();
    let cases: Vec<Value> = serde_json::from_str(&golden_text("pipelines.json")).unwrap();
    for case in cases {
        place.write("p.json", case["pipeline"].to_string());
        let excluded = case["exclude_paths"].as_array().unwrap();
        let exclude: String = excluded.iter().map(|path| format!(" --exclude {}", path.as_str().unwrap())).collect();
        for line in [
            format!("layers --strategy pipeline p.json {graph}{exclude} -o x.layers.json"),
            format!("layers {graph}{exclude} -o x.layers.json --strategy pipeline p.json"),
        ] {
            place.ok(&line);
            assert_eq!(place.json("x.layers.json")["layers"], case["layers"], "{}", case["name"]);
        }
    }
}

/// Every entry of every layer of the image at 100 layers: its fields and its header blocks.
#[test]
fn every_entry() {
    let place = store_layers("100", "--blobs");
    let golden: Value = serde_json::from_str(&golden_text("tar-entries-100.json")).unwrap();
    let golden = golden.as_object().unwrap();
    for (index, expected) in golden.values().enumerate() {
        let found: Vec<Value> = members(&layer_tar(&place, index, golden.len())).iter().map(facts).collect();
        for (found, expected) in found.iter().zip(expected.as_array().unwrap()) {
            assert_eq!(found, expected, "layer {index}");
        }
        assert_eq!(found.len(), expected.as_array().unwrap().len(), "layer {index}");
    }
}

/// The tar of a layer; the last one is the customisation layer.
fn layer_tar(place: &Place, index: usize, count: usize) -> Vec<u8> {
    if index + 1 < count {
        return place.read(&format!("layers/{index:03}.tar"));
    }
    std::fs::read(synth().locate(&synth().customisation_layer).join("layer.tar")).unwrap()
}

/// A member as the golden file has it.
fn facts(member: &Member) -> Value {
    json!({
        "name": ascii(&member.name),
        "type": member.kind.to_string(),
        "mode": format!("0o{:o}", member.mode),
        "size": member.contents.len(),
        "link": ascii(&member.link),
        "header_blocks": member.header.len() / 512,
        "header_sha256": digest(&member.header),
    })
}

/// Python's `ascii()` of a file name.
fn ascii(name: &[u8]) -> String {
    let mut text = String::from("'");
    for chunk in name.utf8_chunks() {
        for c in chunk.valid().chars() {
            match c {
                '\n' => text.push_str("\\n"),
                '\\' => text.push_str("\\\\"),
                ' '..='~' => text.push(c),
                '\0'..='\u{ff}' => write!(text, "\\x{:02x}", u32::from(c)).unwrap(),
                '\u{100}'..='\u{ffff}' => write!(text, "\\u{:04x}", u32::from(c)).unwrap(),
                _ => write!(text, "\\U{:08x}", u32::from(c)).unwrap(),
            }
        }
        for byte in chunk.invalid() {
            write!(text, "\\udc{byte:02x}").unwrap();
        }
    }
    text + "'"
}

/// The layers that the golden image of that name has beside the customisation layer, made in `layers`.
fn store_layers(name: &str, flags: &str) -> Place {
    let place = Place::new();
    let conf: Value = serde_json::from_str(&golden_text(&format!("conf-{name}.json"))).unwrap();
    place.write("plan.json", conf["store_layers"].to_string());
    place.ok(&format!("layer plan.json --root {} --all {flags} -o layers", synth().root.display()));
    place
}

#[track_caller]
fn check_layers(name: &str, flags: &str) {
    let place = store_layers(name, flags);
    let golden: Value = serde_json::from_str(&golden_text(&format!("layers-{name}.json"))).unwrap();
    let golden = golden.as_array().unwrap();
    let (customisation, store) = golden.split_last().unwrap();
    for (index, expected) in store.iter().enumerate() {
        let layer = place.json(&format!("layers/{index:03}.layer.json"));
        let found = json!({
            "diff_id": layer["diffId"], "size": layer["size"], "tarsum": layer["tarsum"], "paths": layer["storePaths"],
        });
        assert_eq!(&found, expected, "layer {index}");
    }
    assert!(!place.join(format!("layers/{:03}.layer.json", store.len())).exists());
    let tar = synth().locate(&synth().customisation_layer).join("layer.tar");
    assert_eq!(place.ok(&format!("tarsum {}", tar.display())).text().trim_end(), customisation["tarsum"]);
}

/// Diff ID, size and tarsum of every layer.
#[test]
fn every_layer() {
    for flags in ["--tarsum", "--tarsum --blobs", "--tarsum -j 1"] {
        check_layers("100", flags);
        check_layers("5", flags);
    }
}

/// Streams a conf.json of this directory and compares what comes out with the golden image of that name.
#[track_caller]
fn check_image(place: &Place, conf: &str, name: &str) {
    let run = place.ok(&format!("stream {conf} --root {}", synth().root.display()));
    let manifest = archive::member(&run.stdout, "manifest.json");
    assert_eq!(String::from_utf8(manifest).unwrap(), golden_text(&format!("manifest-{name}.json")), "manifest");
    let config = golden_text(&format!("image-config-{name}.json"));
    let config_name = format!("{}.json", digest(config.as_bytes()));
    assert_eq!(String::from_utf8(archive::member(&run.stdout, &config_name)).unwrap(), config, "config");
    for layer in archive::manifest(&run.stdout)["Layers"].as_array().unwrap() {
        let layer = layer.as_str().unwrap();
        assert_eq!(format!("{}/layer.tar", digest(&archive::member(&run.stdout, layer))), layer);
    }
    // The archive names the owner of nixpkgs' layer.tar, which is whoever made the synthetic store.
    if require_root() {
        assert_eq!(digest(&run.stdout), golden_text(&format!("image-{name}.tar.sha256")).trim_end(), "whole");
    }
}

#[test]
fn image_at_100_layers() {
    check_image(&Place::new(), &golden("conf-100.json").display().to_string(), "100");
}

#[test]
fn image_at_5_layers() {
    check_image(&Place::new(), &golden("conf-5.json").display().to_string(), "5");
}

/// The base may be plain or compressed in any of the ways that nixpkgs' script takes.
#[test]
fn image_on_a_base() {
    let place = Place::new();
    let root = synth().root.display();
    place.ok(&format!("stream {} --root {root} -o base.tar", golden("conf-5.json").display()));
    place.ok(&format!("stream {} --root {root} -o base.tar.gz", golden("conf-5.json").display()));
    let base = place.read("base.tar");
    place.write("base.tar.xz", compressed(liblzma::write::XzEncoder::new(Vec::new(), 1), &base, |w| w.finish()));
    let best = bzip2::Compression::best();
    place.write("base.tar.bz2", compressed(bzip2::write::BzEncoder::new(Vec::new(), best), &base, |w| w.finish()));
    place.write("base.tar.zst", zstd::encode_all(&*base, 3).unwrap());
    for ending in ["", ".gz", ".xz", ".bz2", ".zst"] {
        let mut conf: Value = serde_json::from_str(&golden_text("conf-on-base.json")).unwrap();
        conf["from_image"] = place.join(format!("base.tar{ending}")).to_str().unwrap().into();
        place.write("conf.json", conf.to_string());
        check_image(&place, "conf.json", "on-base");
    }
}

fn compressed<W: std::io::Write>(
    mut writer: W,
    bytes: &[u8],
    finish: impl FnOnce(W) -> std::io::Result<Vec<u8>>,
) -> Vec<u8> {
    writer.write_all(bytes).unwrap();
    finish(writer).unwrap()
}

/// `-t` names the image and changes nothing else.
#[test]
fn repo_tag() {
    let place = Place::new();
    let line = format!("stream {} --root {}", golden("conf-5.json").display(), synth().root.display());
    let plain = place.ok(&line).stdout;
    for flag in ["-t", "--repo_tag", "--repo-tag"] {
        let tagged = place.ok(&format!("{line} {flag} other:7")).stdout;
        assert_eq!(archive::manifest(&tagged)["RepoTags"], json!(["other:7"]));
        let others =
            |tar| members(tar).into_iter().filter(|member| member.name != b"manifest.json").collect::<Vec<_>>();
        assert_eq!(others(&tagged), others(&plain));
    }
}
