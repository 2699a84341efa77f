//! Indexes and manifests that leave out what others have, list each other, or list what is no image.

use super::{INDEX, flat, image, named, nested, registry};
use crate::support::pieces::{Entry, Files, blob, finish_oci, json_file, plain_docker, tar, write_folder};
use crate::support::{Place, archive, output_json, require_tool};
use serde_json::{Value, json};
use std::process::Command;

/// A layout whose index.json holds the platforms itself is copied whole, as the index that it would be.
#[test]
fn all_of_a_flat_layout() {
    let place = Place::new();
    write_folder(&place.join("top"), &nested(&["amd64", "[arm64]", "arm/v7"], 0));
    write_folder(&place.join("deep"), &nested(&["amd64", "arm64"], 1));
    write_folder(&place.join("flat"), &flat(&nested(&["amd64", "arm64"], 1)));
    let platforms = |layout: &str| -> Vec<String> {
        let digest = place.json(&format!("{layout}/index.json"))["manifests"][0]["digest"].as_str().unwrap().to_owned();
        let index = place.json(&format!("{layout}/blobs/{}", digest.replace(':', "/")));
        assert_eq!(index["mediaType"], INDEX);
        let manifests = index["manifests"].as_array().unwrap().iter();
        manifests
            .map(|it| {
                assert!(it.get("annotations").is_none(), "{it}");
                let variant = it["platform"]["variant"].as_str().unwrap_or_default();
                format!("{}{variant}", it["platform"]["architecture"].as_str().unwrap())
            })
            .collect()
    };
    place.ok("copy --all top oci:out --as x:1");
    assert_eq!(platforms("out"), ["amd64", "arm64", "armv7"]);
    place.ok("copy --all top oci-archive:out.tar");
    place.ok("copy --all oci-archive:out.tar oci:again");
    assert_eq!(
        place.json("again/index.json")["manifests"][0]["digest"],
        place.json("out/index.json")["manifests"][0]["digest"]
    );
    for (source, output) in [("deep", "a"), ("dir:flat", "b")] {
        place.ok(&format!("copy --all {source} oci:{output} --as x:1"));
        assert_eq!(platforms(output), ["amd64", "arm64"]);
    }
    if require_tool("skopeo") {
        let mut skopeo = Command::new("skopeo");
        skopeo.args(["--override-arch", "arm64", "inspect", "--config", "oci:out:1"]).current_dir(place.path());
        assert_eq!(output_json(&mut skopeo)["architecture"], "arm64");
    }
    // Two images of names of their own are no index.
    let mut index = place.json("top/index.json");
    index["manifests"][0]["annotations"]["org.opencontainers.image.ref.name"] = json!("other:1");
    place.write("top/index.json", index.to_string());
    let said = place.fail("copy --all top oci-archive:no.tar");
    assert!(said.contains("found 3 images, expected one"), "{said}");
}

/// A manifest may leave its layers out, or write null; what is no image says what it is, by the name that it was asked by.
#[test]
fn manifests_of_registries() {
    let blobs = |layers: Option<Value>, diff_ids: Value| {
        let mut files = Files::new();
        let config =
            json!({"architecture": "amd64", "os": "linux", "rootfs": {"type": "layers", "diff_ids": diff_ids}});
        let config = blob(&mut files, "application/vnd.oci.image.config.v1+json", config.to_string().as_bytes());
        let mut manifest = json!({"schemaVersion": 2, "config": config});
        if let Some(layers) = layers {
            manifest["layers"] = layers;
        }
        let media_type = "application/vnd.oci.image.manifest.v1+json";
        let manifest = blob(&mut files, media_type, manifest.to_string().as_bytes());
        finish_oci(&mut files, vec![named(manifest)]);
        files
    };
    let place = Place::new();
    for layers in [None, Some(json!(null)), Some(json!([]))] {
        let files = blobs(layers, json!([]));
        place.write("x.tar", tar(&files));
        let server = registry(&files);
        for source in ["x.tar".to_owned(), format!("registry:{}/m:1", server.host())] {
            place.ok(&format!("copy {source} out.tar --as x:1"));
            assert_eq!(archive::manifest(&place.read("out.tar"))["Layers"], json!([]), "{source}");
        }
    }
    let server = registry(&blobs(None, json!([format!("sha256:{}", "0".repeat(64))])));
    let said = place.fail(&format!("pull {}/m:1 -o no.tar --arch amd64 -q", server.host()));
    let said = said.replace(&server.host(), "HOST");
    assert!(said.starts_with("error: not an image: HOST/m:1@sha256:"), "{said}");
    assert!(said.ends_with(": found 0 layers, expected 1 as the config has diff IDs\n"), "{said}");
    assert!(!said.contains(place.temporary().to_str().unwrap()), "{said}");
    let mut files = Files::new();
    let config = blob(&mut files, "application/vnd.oci.empty.v1+json", b"{}");
    let manifest = json!({"schemaVersion": 2, "artifactType": "application/vnd.example.sbom", "config": config,
        "layers": [config]});
    let manifest = blob(&mut files, "application/vnd.oci.image.manifest.v1+json", manifest.to_string().as_bytes());
    finish_oci(&mut files, vec![named(manifest)]);
    let server = registry(&files);
    for flags in ["", "--arch arm64"] {
        let run = place.run(&format!("copy registry:{}/m:1 no.tar {flags}", server.host()));
        let said = run.stderr.replace(&server.host(), "HOST");
        assert_eq!(said, "error: not an image: HOST/m:1: found an artifact of type application/vnd.example.sbom\n");
        place.check_no_leftovers();
    }
}

/// Indexes that list nothing end; of those that list each other without end as many are read as may be.
#[test]
fn indexes_of_indexes() {
    let place = Place::new();
    let too_deep = "found 9 indexes within each other, expected at most 8 (limit index-depth)";
    for (depth, count, expected) in [(12, 1, too_deep), (5, 30, "found no image")] {
        let mut files = Files::new();
        let mut inner = blob(&mut files, INDEX, json!({"schemaVersion": 2, "manifests": []}).to_string().as_bytes());
        for _ in 0..depth {
            let index = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": vec![inner; count]}).to_string();
            inner = blob(&mut files, INDEX, index.as_bytes());
        }
        finish_oci(&mut files, vec![named(inner)]);
        write_folder(&place.join("layout"), &files);
        let server = registry(&files);
        let said = place.fail("copy layout out.tar --as x:1");
        assert!(said.contains(&format!("index.json: {expected}")), "{said}");
        let run = place.run(&format!("copy registry:{}/m:1 out.tar --as x:1", server.host()));
        assert!(run.code == Some(1) && run.stderr.contains(&format!(": {expected}")), "{}", run.stderr);
        assert!(server.seen().len() < 150, "{}", server.seen().len());
        std::fs::remove_dir_all(place.join("layout")).unwrap();
    }
}

/// The layers of a single image may be listed under no name at all.
#[test]
fn names_that_are_empty() {
    let place = Place::new();
    let mut files = plain_docker(&[image("amd64")]);
    for (_, entry) in files.iter_mut().filter(|(name, _)| name == "manifest.json") {
        let Entry::File(bytes) = entry else { panic!() };
        let mut manifest: Value = serde_json::from_slice(bytes).unwrap();
        manifest[0]["Layers"] = json!([""]);
        *entry = json_file(&manifest);
    }
    place.write("x.tar", tar(&files));
    assert_eq!(place.fail("inspect x.tar"), "error: not an image: x.tar: found no \"\"\n");
}
