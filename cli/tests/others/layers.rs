//! What is said of layers that others made: annotations and media types.

use super::image;
use crate::support::Place;
use crate::support::pieces::{Files, Packing, blob, finish_oci, gzip, oci, write_folder, zstd};
use serde_json::json;

/// What annotations say of a blob's bytes goes where the bytes go, and not with others.
#[test]
fn annotations_of_layers_compressed_anew() {
    let place = Place::new();
    let gone = json!({
        "io.github.containers.zstd-chunked.manifest-checksum": "sha256:x",
        "io.github.containers.zstd-chunked.manifest-position": "1:2:3:1",
        "io.github.containers.zstd-chunked.tarsplit-position": "1:2:3",
        "containerd.io/snapshot/stargz/toc.digest": "sha256:y",
        "io.containers.estargz.uncompressed-size": "3",
        "containerd.io/snapshot/nydus-blob": "true",
        "containerd.io/snapshot/overlaybd/blob-digest": "sha256:z",
    });
    let kept = json!({"io.layerstone.store-paths": "/nix/store/x", "org.example.note": "n", "containerd.io/uncompressed": "u"});
    let mut all = gone.as_object().unwrap().clone();
    all.extend(kept.as_object().unwrap().clone());
    let mut files = Files::new();
    let mut layer = blob(&mut files, "application/vnd.oci.image.layer.v1.tar+gzip", &gzip(&image().layers[0]));
    layer["annotations"] = json!(all);
    let config = blob(&mut files, "application/vnd.oci.image.config.v1+json", &image().config_bytes());
    let text = json!({"schemaVersion": 2, "config": config, "layers": [layer], "annotations": {"a": "b"}}).to_string();
    let descriptor = blob(&mut files, "application/vnd.oci.image.manifest.v1+json", text.as_bytes());
    finish_oci(&mut files, vec![descriptor]);
    write_folder(&place.join("layout"), &files);
    let manifest = |layout: &str| {
        let digest = place.json(&format!("{layout}/index.json"))["manifests"][0]["digest"].as_str().unwrap().to_owned();
        place.json(&format!("{layout}/blobs/{}", digest.replace(':', "/")))
    };
    for (layout, flags, expected) in [
        ("same", "", &json!(all)),
        ("gzip", "--compression gzip", &kept),
        ("zstd", "--compression zstd", &kept),
        ("none", "--compression none", &kept),
    ] {
        place.ok(&format!("copy layout oci:{layout} --as x:1 {flags}"));
        assert_eq!(manifest(layout)["layers"][0]["annotations"], *expected, "{layout}");
        assert_eq!(manifest(layout)["annotations"], json!({"a": "b"}), "{layout}");
    }
    // The blobs of a base are its own.
    place.ok("build --name above --base layout -o oci:above");
    assert_eq!(manifest("above")["layers"][0]["annotations"], json!(all));
}

/// The layers of a base that docker described are described by OCI in an OCI manifest.
#[test]
fn layers_of_docker() {
    let place = Place::new();
    let docker = "application/vnd.docker.image.rootfs.diff.tar";
    for (theirs, compress, ours) in [
        (docker.to_owned(), <[u8]>::to_vec as fn(&[u8]) -> Vec<u8>, ""),
        (format!("{docker}.gzip"), gzip, "+gzip"),
        (format!("{docker}.zstd"), zstd, "+zstd"),
    ] {
        let packing = Packing { layer_type: Box::leak(theirs.clone().into_boxed_str()), ..Packing::docker(compress) };
        write_folder(&place.join("base"), &oci(&[image()], &packing));
        place.ok("build --name above --tag 1 --base base -o oci:above");
        let digest = place.json("above/index.json")["manifests"][0]["digest"].as_str().unwrap().to_owned();
        let manifest = place.json(&format!("above/blobs/{}", digest.replace(':', "/")));
        let expected = format!("application/vnd.oci.image.layer.v1.tar{ours}");
        assert_eq!(manifest["layers"][0]["mediaType"], expected, "{theirs}");
        for folder in ["base", "above"] {
            std::fs::remove_dir_all(place.join(folder)).unwrap();
        }
    }
}
