//! Images for nix-snapshotter: mount points and annotations in the place of store paths. No containerd with that snapshotter is
//! here, so that a reader that does what it does stands in its place (pkg/nix/snapshotter.go of pdtpartners/nix-snapshotter).

use crate::support::archive::members;
use crate::support::registry::{root, spec};
use crate::support::{Place, synth};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;

/// The key that names a path that lists all.
pub const CLOSURE: &str = "containerd.io/snapshot/nix-closure";
/// What the keys begin with that name a path each.
const STORE_PATH: &str = "containerd.io/snapshot/nix-store-path.";

/// A layer of a layout: its annotations, and the type, mode and size of each member of its tar by its absolute name.
pub struct MountedLayer {
    pub annotations: BTreeMap<String, String>,
    pub members: BTreeMap<String, (char, u32, usize)>,
}

/// The layers of the only image of a layout.
#[track_caller]
pub fn layers(layout: &Path) -> Vec<MountedLayer> {
    let blob = |digest: &Value| {
        let hex = digest.as_str().unwrap().strip_prefix("sha256:").unwrap();
        std::fs::read(layout.join("blobs/sha256").join(hex)).unwrap()
    };
    let index: Value = serde_json::from_slice(&std::fs::read(layout.join("index.json")).unwrap()).unwrap();
    let manifest: Value = serde_json::from_slice(&blob(&index["manifests"][0]["digest"])).unwrap();
    let layer = |layer: &Value| {
        assert_eq!(layer["mediaType"], "application/vnd.oci.image.layer.v1.tar+gzip");
        let mut tar = Vec::new();
        flate2::read::MultiGzDecoder::new(&*blob(&layer["digest"])).read_to_end(&mut tar).unwrap();
        let name = |name: &[u8]| format!("/{}", String::from_utf8_lossy(name).trim_start_matches("./"));
        let all = members(&tar).into_iter().map(|it| (name(&it.name), (it.kind, it.mode, it.contents.len())));
        let annotations = serde_json::from_value(layer.get("annotations").cloned().unwrap_or(json!({}))).unwrap();
        MountedLayer { annotations, members: all.collect() }
    };
    manifest["layers"].as_array().unwrap().iter().map(layer).collect()
}

impl MountedLayer {
    /// The store paths that the older form names.
    fn named(&self) -> Vec<&str> {
        let is_marked = self.annotations.get("containerd.io/snapshot/nix-layer").is_some_and(|value| value == "true");
        let named = self.annotations.iter().filter(|(key, _)| is_marked && key.starts_with(STORE_PATH));
        named.map(|(_, path)| path.as_str()).collect()
    }

    /// Whether each of these paths can be mounted: a read-only bind mount needs something of its own kind to go over.
    #[track_caller]
    pub fn check_mount_points(&self, paths: &[&str], store: &Path) {
        for path in paths {
            let real = std::fs::metadata(store.join(path.trim_start_matches('/'))).unwrap();
            let expected = if real.is_dir() { ('5', 0o755, 0) } else { ('0', 0o555, 0) };
            assert_eq!(self.members.get(*path), Some(&expected), "{path}");
        }
        // The directories that lead there, and nothing of what is mounted.
        assert_eq!(self.members.len(), paths.len() + 2, "{:?}", self.members.keys());
    }
}

/// Stage by stage, with the program alone: each path is named.
#[test]
fn each_path_is_named() {
    let place = Place::new();
    spec(&place, json!({"extraCommands": "echo made > made"}));
    let synth = synth();
    let root = root();
    place.ok(&format!("root --spec image.json -o root.layer.json --blob root.tar {root}"));
    place.ok(&format!("closure --spec image.json --layer root.layer.json -o web.closure.json {root}"));
    place.ok("layers web.closure.json --max-layers 9 -o web.layers.json");
    place.ok(&format!(
        "layer web.layers.json --mounts -o mounts.layer.json --blob mounts.tar.gz --compression gzip {root}"
    ));
    place.ok(&format!("image --strict --spec image.json mounts.layer.json root.layer.json -o oci:lay {root}"));
    let [mounts, custom] = &layers(&place.join("lay"))[..] else { panic!("expected two layers") };
    let closure = place.json("web.closure.json");
    let mut paths: Vec<&str> =
        closure["graph"].as_array().unwrap().iter().map(|it| it["path"].as_str().unwrap()).collect();
    paths.sort();
    let mut named = mounts.named();
    named.sort();
    assert_eq!(named, paths);
    assert!(paths.len() > 1 && !mounts.annotations.contains_key("io.layerstone.store-paths"));
    mounts.check_mount_points(&paths, &synth.root);
    assert!(custom.named().is_empty() && custom.members.contains_key("/made"), "{:?}", custom.members.keys());
    // Once more, plain, and by one path that lists all.
    std::fs::create_dir(place.join("info")).unwrap();
    let info = place.join("info").display().to_string();
    let more = "-o plain.layer.json --blob plain.tar";
    place.ok(&format!("layer web.layers.json --mounts --nix-closure {info} {more} {root}"));
    let error = place.fail(&format!("layer web.layers.json --mounts --nix-closure info {more} {root}"));
    assert!(error.starts_with("error: no path of a store: info: expected an absolute one\nhint: "), "{error}");
    place.ok(&format!("image --spec image.json plain.layer.json root.layer.json -o oci-archive:plain.oci.tar {root}"));
    place.ok("copy oci-archive:plain.oci.tar oci:plain");
    let plain = &layers(&place.join("plain"))[0];
    assert_eq!(plain.annotations, BTreeMap::from([(CLOSURE.to_owned(), info)]));
    let listed: String = paths.iter().map(|path| format!("{path}\n")).collect();
    assert_eq!(String::from_utf8(place.read("info/store-paths")).unwrap(), listed);
    // Where there are no annotations, nothing would be mounted.
    let error = place.fail(&format!("image --spec image.json plain.layer.json root.layer.json -o web.tar {root}"));
    let expected =
        "error: cannot write: web.tar: found mount points of nix-snapshotter, expected an OCI image with them\nhint: ";
    assert!(error.starts_with(expected), "{error}");
    let usage = place.run("layer web.layers.json --nix-closure info -o x.layer.json");
    assert_eq!(usage.code, Some(2), "{}", usage.stderr);
}
