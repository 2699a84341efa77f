//! What the new image keeps of its base: config, history, layers; what it does not store again; how many layers it has.

use super::{curl, made_by_hand, make_base, write_tar};
use crate::support::archive::{config, manifest, member, members};
use crate::support::pieces::{Entry, Files, Packing, Pieces, gzip, oci, old_save, plain_docker, tar, tar_of};
use crate::support::{Place, digest, synth, without_summary};
use serde_json::{Value, json};

/// Builds an image.json of these keys, with `curl` in it, and returns the archive.
#[track_caller]
fn build(place: &Place, keys: &Value) -> Vec<u8> {
    let mut spec = json!({
        "name": "x", "tag": "1", "contents": synth().path("curl-8.0"), "graph": synth().graph, "fromImage": "base.tar",
    });
    spec.as_object_mut().unwrap().extend(keys.as_object().unwrap().clone());
    place.write("image.json", spec.to_string());
    place.ok(&format!("build image.json --root {} -o x.tar", synth().root.display()));
    place.read("x.tar")
}

/// Names of members of a layer that are in a store path of this name.
fn holds(layer: &[u8], name: &str) -> bool {
    let path = &synth().path(name).as_bytes()[1..];
    members(layer).iter().any(|member| member.name.strip_prefix(b"/").unwrap_or(&member.name).starts_with(path))
}

/// The members are found by the names that the manifest has, and hold what the config's diff IDs promise.
#[track_caller]
fn check_archive(tar: &[u8]) {
    let (names, config) = (manifest(tar)["Layers"].clone(), config(tar));
    let diff_ids = config["rootfs"]["diff_ids"].as_array().unwrap().clone();
    let told = config["history"].as_array().unwrap().iter().filter(|entry| entry["empty_layer"] != true);
    assert_eq!(told.count(), diff_ids.len());
    assert_eq!(names.as_array().unwrap().len(), diff_ids.len());
    for (name, diff_id) in names.as_array().unwrap().iter().zip(&diff_ids) {
        let layer = member(tar, name.as_str().unwrap());
        assert_eq!(json!(format!("sha256:{}", digest(&layer))), *diff_id);
        let hex = digest(&layer);
        assert!(name.as_str().unwrap().contains(&hex), "{name}");
    }
}

/// Each store path that the base holds stays there alone, and each layer is called by its diff ID.
#[test]
fn store_paths_of_the_base() {
    let place = Place::new();
    make_base(&place, "ssl-3.0", "base.tar");
    let base = Pieces::of(&place.read("base.tar"));
    for kind in ["layered", "single"] {
        let tar = build(&place, &json!({"kind": kind}));
        check_archive(&tar);
        let layers = Pieces::of(&tar).layers;
        assert_eq!(layers[..base.layers.len()], base.layers, "{kind}");
        for name in ["ssl-3.0", "libc-2.36", "curl-8.0"] {
            let holding: Vec<usize> = (0..layers.len()).filter(|&index| holds(&layers[index], name)).collect();
            assert_eq!(holding.len(), 1, "{kind}: {name} in {holding:?}");
            assert_eq!(holding[0] < base.layers.len(), name != "curl-8.0", "{kind}: {name}");
        }
    }
}

/// A store path of which the base hides a part is not held: it is stored again, whole.
#[test]
fn hidden_store_paths() {
    let place = Place::new();
    make_base(&place, "ssl-3.0", "whole.tar");
    let libc = &synth().path("libc-2.36")[1..];
    for whiteout in
        [format!("{libc}/.wh.lib"), format!("{libc}/.wh..wh..opq"), format!("nix/store/.wh.{}", &libc[10..])]
    {
        let mut image = Pieces::of(&place.read("whole.tar"));
        let entry = Entry::File(Vec::new());
        image.layers.push(tar_of([(whiteout.as_bytes(), entry)]));
        image.config["rootfs"]["diff_ids"] = json!(image.diff_ids());
        write_tar(&place, "base.tar", &plain_docker(&[image.clone()]));
        for kind in ["layered", "single"] {
            let layers = Pieces::of(&build(&place, &json!({"kind": kind}))).layers;
            let new = &layers[image.layers.len()..];
            assert!(new.iter().any(|layer| holds(layer, "libc-2.36")), "{kind}: {whiteout}");
            assert!(!new.iter().any(|layer| holds(layer, "ssl-3.0")), "{kind}: {whiteout}");
        }
    }
}

/// An image on an image on an image.
#[test]
fn three_deep() {
    let place = Place::new();
    make_base(&place, "libc-2.36", "base.tar");
    let mut below = Pieces::of(&place.read("base.tar"));
    for (kind, content) in [("single", "zlib-1.3"), ("layered", "ssl-3.0"), ("single", "curl-8.0")] {
        let tar = build(&place, &json!({"kind": kind, "contents": synth().path(content)}));
        check_archive(&tar);
        let image = Pieces::of(&tar);
        let new = image.layers.len() - below.layers.len();
        assert_eq!(new, if kind == "single" { 1 } else { 2 }, "{content}");
        assert_eq!(image.layers[..below.layers.len()], below.layers, "{content}");
        assert!(image.layers[below.layers.len()..].iter().any(|layer| holds(layer, content)));
        std::fs::copy(place.join("x.tar"), place.join("base.tar")).unwrap();
        below = image;
    }
}

/// The base of this config, with a history of three layers and two empty ones.
fn base(place: &Place, parameters: Value) -> Value {
    let mut image = made_by_hand();
    image.config["config"] = parameters;
    image.config["author"] = json!("somebody");
    image.config["history"] = json!([
        {"created": "2020-01-01T00:00:00Z", "created_by": "ADD rootfs"},
        {"created_by": "ENV A=1", "empty_layer": true},
        {"created_by": "COPY libc"},
        {"created_by": "RUN rm", "comment": "buildkit"},
        {"created_by": "CMD sh", "empty_layer": true},
    ]);
    write_tar(place, "base.tar", &plain_docker(&[image.clone()]));
    image.config["history"].clone()
}

/// The base's entries are kept as they are, the empty ones too, and new layers have one each.
#[test]
fn history() {
    let place = Place::new();
    let below = base(&place, json!({}));
    for (kind, new) in [("layered", 4), ("single", 1)] {
        let tar = build(&place, &json!({"kind": kind}));
        check_archive(&tar);
        let config = config(&tar);
        let found = config["history"].as_array().unwrap();
        assert_eq!(found[..5], below.as_array().unwrap()[..], "{kind}");
        assert_eq!(config["rootfs"]["diff_ids"].as_array().unwrap().len(), 3 + new, "{kind}");
        assert_eq!(found.len(), 5 + new, "{kind}");
        let comments: Vec<&str> = found[5..].iter().map(|entry| entry["comment"].as_str().unwrap()).collect();
        assert!(comments.concat().contains(synth().path("curl-8.0")), "{kind}: {comments:?}");
    }
}

/// A base that says nothing of its layers, or less or more than there is.
#[test]
fn histories_that_do_not_fit() {
    let place = Place::new();
    let empty = json!({"created_by": "x", "empty_layer": true});
    let plain = json!({"created_by": "x"});
    for (history, expected) in [
        (Value::Null, "...++++"),
        (json!([]), "...++++"),
        (json!([plain]), "...++++"),
        (json!([empty, plain, empty]), "e.e..++++"),
        (json!([plain, plain, plain, plain, plain]), "...ee++++"),
    ] {
        let mut image = made_by_hand();
        image.config["history"] = history.clone();
        write_tar(&place, "base.tar", &plain_docker(&[image]));
        let tar = build(&place, &json!({}));
        check_archive(&tar);
        let entries = config(&tar)["history"].as_array().unwrap().clone();
        let letter = |entry: &Value| match (&entry["empty_layer"], &entry["created_by"]) {
            (Value::Bool(true), _) => 'e',
            (_, by) if by == "layerstone" => '+',
            _ => '.',
        };
        assert_eq!(entries.iter().map(letter).collect::<String>(), expected, "{history}");
    }
}

/// `Env` is joined by name; the rest is the base's only if it is asked for.
#[test]
fn parameters() {
    let place = Place::new();
    base(
        &place,
        json!({
            "Env": ["PATH=/bin", "A=1", "B=x=y"], "Cmd": ["sh"], "Entrypoint": ["/init"], "WorkingDir": "/srv",
            "Labels": {"a": "1", "b": "1"}, "Volumes": null, "ExposedPorts": {"80/tcp": {}}, "User": "www",
        }),
    );
    let parameters = |keys: Value| config(&build(&place, &keys))["config"].clone();
    let env = json!(["PATH=/bin", "A=2", "B=x=y", "C=3"]);
    let ours = json!({"Env": ["A=2", "C=3"], "Labels": {"b": "2"}, "WorkingDir": "data"});
    assert_eq!(parameters(json!({})), json!({"Env": ["PATH=/bin", "A=1", "B=x=y"]}));
    let found = parameters(json!({"config": ours}));
    assert_eq!(found, json!({"Env": env, "Labels": {"b": "2"}, "WorkingDir": "data"}));
    let found = parameters(json!({"config": ours, "inherit": true}));
    let expected = json!({
        "Env": env, "Cmd": ["sh"], "Entrypoint": ["/init"], "WorkingDir": "/srv/data",
        "Labels": {"a": "1", "b": "2"}, "ExposedPorts": {"80/tcp": {}}, "User": "www",
    });
    assert_eq!(found, expected);
    let found = parameters(json!({"config": {"Entrypoint": ["/other"]}, "inherit": true}));
    assert_eq!((&found["Entrypoint"], &found["Cmd"]), (&json!(["/other"]), &Value::Null));
    assert_eq!(config(&place.read("x.tar"))["author"], "somebody");
}

/// A base whose config has no more than it must, or null wherever it may.
#[test]
fn configs_that_say_little() {
    let place = Place::new();
    let mut image = made_by_hand();
    let diff_ids = image.diff_ids();
    let nulls = json!({
        "Env": null, "Cmd": null, "Labels": null, "Volumes": null, "Entrypoint": null, "OnBuild": null, "User": null,
        "ExposedPorts": null, "WorkingDir": null,
    });
    for known in [
        json!({"rootfs": {"diff_ids": diff_ids}}),
        json!({
            "rootfs": {"diff_ids": diff_ids, "type": null}, "config": null, "history": null, "architecture": null,
            "os": null, "variant": null, "created": null, "author": null,
        }),
        json!({"rootfs": {"diff_ids": diff_ids}, "config": nulls, "history": []}),
        json!({"rootfs": {"diff_ids": diff_ids}, "config": nulls, "container_config": nulls, "architecture": "", "os": ""}),
    ] {
        image.config = known.clone();
        write_tar(&place, "base.tar", &plain_docker(&[image.clone()]));
        for inherit in [false, true] {
            let tar = build(&place, &json!({"inherit": inherit}));
            check_archive(&tar);
            let config = config(&tar);
            assert!(!config.to_string().contains("null"), "{known}: {config}");
            assert_eq!((&config["os"], &config["config"]), (&json!("linux"), &json!({})), "{known}");
        }
    }
    image = Pieces::new(&[]);
    image.config["rootfs"]["diff_ids"] = Value::Null;
    write_tar(&place, "base.tar", &plain_docker(&[image]));
    check_archive(&build(&place, &json!({})));
}

/// The base's layers count: one less than is needed is an error, and what is left is used.
#[test]
fn layer_limits() {
    let place = Place::new();
    write_tar(&place, "base.tar", &plain_docker(&[made_by_hand()]));
    // Three of the base, the customisation layer, and those of store paths: curl, ssl and zlib, since libc is there.
    for (limit, expected) in [(5, 5), (6, 6), (7, 7), (8, 7)] {
        let tar = build(&place, &json!({"maxLayers": limit}));
        check_archive(&tar);
        assert_eq!(Pieces::of(&tar).layers.len(), expected, "{limit}");
    }
    for limit in [1, 3, 4] {
        let told = place.fail(&format!("build {} --base base.tar --max-layers {limit} -o x.tar", curl()));
        let expected = format!(
            "error: too few layers: found maxLayers {limit}, expected 5 or more: 3 of the base image, 1 for the \
             customisation layer, 1 for store paths\nhint: --max-layers 5 or more\n",
        );
        assert_eq!(told, expected);
    }
}

/// As many layers as docker takes, and one more, which is a warning.
#[test]
fn as_many_layers_as_docker_takes() {
    let place = Place::new();
    for (count, expected) in
        [(124, ""), (125, "warning: the image has 126 layers, docker loads images of at most 125\n")]
    {
        let layers: Vec<Vec<u8>> = (0..count).map(|index| vec![0; 1024 + index * 512]).collect();
        write_tar(&place, "base.tar", &plain_docker(&[Pieces::new(&layers)]));
        let spec = json!({"name": "x", "kind": "single", "fromImage": "base.tar"});
        place.write("image.json", spec.to_string());
        assert_eq!(without_summary(&place.ok("build image.json -o x.tar").stderr), expected);
        assert_eq!(Pieces::of(&place.read("x.tar")).layers.len(), count + 1);
    }
}

/// Threads change nothing, nor does the form of the output.
#[test]
fn determinism() {
    let place = Place::new();
    make_base(&place, "ssl-3.0", "made.tar");
    let images = [Pieces::of(&place.read("made.tar"))];
    let forms: [(&str, Files); 3] = [
        ("docker.tar", plain_docker(&images)),
        ("old.tar", old_save(&images)),
        ("oci.tar", oci(&images, &Packing::docker(gzip))),
    ];
    let mut expected = None;
    for (name, files) in forms {
        place.write(name, tar(&files));
        for jobs in [1, 2, 8] {
            let line = format!("build {} --base {name} -j {jobs}", curl());
            place.ok(&format!("{line} -o x.tar"));
            let found = place.read("x.tar");
            assert!(place.ok(&format!("{line} -o -")).stdout == found, "{name}: -j {jobs}: stdout");
            let digest = digest(&found);
            assert_eq!(*expected.get_or_insert(digest.clone()), digest, "{name}: -j {jobs}");
            place.ok(&format!("{line} -o x.tar.gz"));
            let mut plain = Vec::new();
            let compressed = place.read("x.tar.gz");
            std::io::Read::read_to_end(&mut flate2::read::MultiGzDecoder::new(&compressed[..]), &mut plain).unwrap();
            assert!(plain == found, "{name}: -j {jobs}: gzip");
        }
    }
}
