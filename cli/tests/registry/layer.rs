//! Layer files that tell what their layers are when they are compressed, and images of them.

use super::{blob, manifest, place};
use crate::support::registry::root;
use crate::support::{Place, digest, output, require_tool, synth};
use serde_json::json;
use std::io::Read;
use std::process::Command;

/// A plan of the synthetic store, `x.layers.json`.
fn planned() -> Place {
    let place = place();
    place.ok(&format!("closure --graph {} -o x.closure.json", synth().graph.display()));
    place.ok("layers x.closure.json --max-layers 4 -o x.layers.json");
    place
}

#[test]
fn what_they_tell() {
    let place = planned();
    place.on_synth("layer x.layers.json --all -o plain");
    for (codec, level, flags, ending) in [
        ("gzip", 4, "gzip", "tar.gz"),
        ("gzip", 9, "gzip --level 9", "tar.gz"),
        ("zstd", 3, "zstd", "tar.zst"),
        ("zstd", 1, "zstd --level 1", "tar.zst"),
    ] {
        place.on_synth(&format!("layer x.layers.json --all -o packed --compression {flags} -j1"));
        place.on_synth(&format!("layer x.layers.json --all -o blobs --blobs --compression {flags} -j8"));
        for number in 0..3 {
            let (plain, packed) = (
                place.json(&format!("plain/00{number}.layer.json")),
                place.json(&format!("packed/00{number}.layer.json")),
            );
            assert_eq!((&plain["diffId"], &plain["size"]), (&packed["diffId"], &packed["size"]));
            assert_eq!(packed["compression"], json!({"codec": codec, "level": level}));
            let bytes = place.read(&format!("blobs/00{number}.{ending}"));
            let kind = format!("application/vnd.oci.image.layer.v1.tar+{codec}");
            let expected =
                json!({"mediaType": kind, "digest": format!("sha256:{}", digest(&bytes)), "size": bytes.len()});
            assert_eq!(packed["descriptor"], expected);
            let beside = place.json(&format!("blobs/00{number}.layer.json"));
            assert_eq!((&beside["descriptor"], &beside["blob"]), (&expected, &json!(format!("00{number}.{ending}"))));
            if codec == "gzip" {
                let mut tar = Vec::new();
                flate2::read::MultiGzDecoder::new(&bytes[..]).read_to_end(&mut tar).unwrap();
                assert_eq!(plain["diffId"], format!("sha256:{}", digest(&tar)));
            }
        }
    }
    // What was made with other flags does not stay.
    assert!(!place.join("blobs/000.tar.gz").exists());
}

/// From recipes and from blobs comes the same image, with the blobs that the layer files tell.
#[test]
fn images_of_them() {
    let place = planned();
    place.on_synth("root --spec image.json -o root.layer.json --blob root.tar");
    place.on_synth("layer x.layers.json --all -o packed --compression zstd --level 7");
    place.on_synth("layer x.layers.json --all -o blobs --blobs --compression zstd --level 7");
    place.on_synth("layer x.layers.json --all -o plain");
    let files = |folder: &str| (0..3).map(|it| format!("{folder}/00{it}.layer.json ")).collect::<String>();
    for folder in ["packed", "blobs", "plain"] {
        place.on_synth(&format!("image --spec image.json {} root.layer.json -o oci:oci-{folder}", files(folder)));
        place.on_synth(&format!("image --spec image.json {} root.layer.json -o {folder}.tar", files(folder)));
    }
    assert_eq!(place.read("packed.tar"), place.read("plain.tar"));
    assert_eq!(place.read("blobs.tar"), place.read("plain.tar"));
    let packed = manifest(&place, "oci-packed");
    for number in 0..3 {
        let told = place.json(&format!("packed/00{number}.layer.json"))["descriptor"]["digest"].clone();
        assert_eq!(packed["layers"][number]["digest"], told);
        blob(&place, "oci-packed", &told);
        assert_eq!(manifest(&place, "oci-blobs")["layers"][number]["digest"], told);
    }
    assert_eq!(manifest(&place, "oci-plain")["layers"][0]["mediaType"], "application/vnd.oci.image.layer.v1.tar+gzip");
    // A blob that others compressed is as good.
    if !require_tool("pigz") {
        return;
    }
    let mut layer = place.json("plain/000.layer.json");
    place.on_synth("layer x.layers.json --index 0 -o one.layer.json --blob one.tar");
    output(Command::new("pigz").arg("-n").arg(place.join("one.tar")));
    let bytes = place.read("one.tar.gz");
    layer.as_object_mut().unwrap().remove("recipe");
    layer["blob"] = "one.tar.gz".into();
    layer["descriptor"] = json!({"mediaType": "application/vnd.oci.image.layer.v1.tar+gzip",
        "digest": format!("sha256:{}", digest(&bytes)), "size": bytes.len()});
    place.write("theirs.layer.json", layer.to_string());
    let line = "plain/001.layer.json plain/002.layer.json root.layer.json";
    place.on_synth(&format!("image --spec image.json theirs.layer.json {line} -o theirs.tar"));
    assert_eq!(place.read("theirs.tar"), place.read("plain.tar"));
    place.on_synth(&format!("image --spec image.json theirs.layer.json {line} -o oci:theirs"));
    assert_eq!(manifest(&place, "theirs")["layers"][0]["digest"], layer["descriptor"]["digest"]);
}

/// Layers that are known are not read.
#[test]
fn known() {
    let place = planned();
    place.on_synth("layer x.layers.json --all -o layers --compression gzip");
    let before = place.listing_of(&["layers"]);
    // A store in which the paths are empty would give other layers.
    let store = place.join("store");
    for path in synth().paths() {
        std::fs::create_dir_all(store.join(&path[1..])).unwrap();
    }
    let elsewhere = format!("layer x.layers.json --all --compression gzip --root {}", store.display());
    place.ok(&format!("{elsewhere} -o layers --known layers"));
    assert_eq!(place.listing_of(&["layers"]), before);
    for flags in ["-o others", "-o others --known layers --mtime 2", "-o others --known layers --level 6"] {
        place.ok(&format!("{elsewhere} {flags}"));
        assert_ne!(
            place.json("others/000.layer.json")["diffId"],
            place.json("layers/000.layer.json")["diffId"],
            "{flags}"
        );
    }
}

#[test]
fn layer_files_that_contradict_themselves() {
    let place = planned();
    place.on_synth("layer x.layers.json --all -o layers --blobs --compression gzip");
    place.on_synth("layer x.layers.json --all -o recipes --compression gzip");
    let check = |file: &str, change: &dyn Fn(&mut serde_json::Value), expected: &str| {
        let mut layer = place.json(file);
        change(&mut layer);
        let name = file.replace("000", "bad");
        place.write(&name, layer.to_string());
        let error = place.fail(&format!("image --spec image.json {name} -o x.tar {}", root()));
        assert!(error.contains(expected), "{error}");
    };
    let other = format!("sha256:{}", digest(b"other"));
    check("layers/000.layer.json", &|it| it["descriptor"]["digest"] = json!(other), "wrong digest: ");
    check("layers/000.layer.json", &|it| it["diffId"] = json!(other), "wrong digest: ");
    check(
        "layers/000.layer.json",
        &|it| it["compression"]["level"] = json!(13),
        "compression.level: found 13, expected 1 to 12",
    );
    check("layers/000.layer.json", &|it| it["compression"]["codec"] = json!("zstd"), "descriptor.mediaType: found ");
    let drop_it = |it: &mut serde_json::Value| drop(it.as_object_mut().unwrap().remove("compression"));
    check("recipes/000.layer.json", &drop_it, "found a compressed layer, expected its blob or how it is compressed");
    check(
        "recipes/000.layer.json",
        &|it| it["descriptor"]["digest"] = it["diffId"].clone(),
        "found a compressed layer that has the digest of its tar",
    );
    let blob = place.read("layers/000.tar.gz");
    place.write("layers/000.tar.gz", &blob[..blob.len() - 20]);
    check("layers/000.layer.json", &|_| (), "");
    let run = place.run("layer x.layers.json --all -o y --level 3");
    assert_eq!(run.code, Some(2), "{}", run.stderr);
}
