//! Layers that are made already, below all others: `layers` of an image.json and `--below`; the same in every image.

use crate::support::archive::{config, manifest, member, members};
use crate::support::{Place, synth};
use crate::wires::Tool;
use serde_json::{Value, json};

/// A place with two sets of layers: `base`, a layer of bash and what it needs, and `over`, made over it, of curl's.
fn place() -> Place {
    let place = Place::new();
    let (graph, bash, curl) = (synth().graph.display(), synth().path("bash-5.2"), synth().path("curl-8.0"));
    place.ok(&format!("closure {bash} --graph {graph} -o base.closure.json"));
    place.ok("layers base.closure.json --max-layers 1 -o base.layers.json");
    layers(&place, "base", "--created-by base --author somebody");
    place.ok(&format!("closure {curl} --graph {graph} -o over.closure.json"));
    place.ok("layers over.closure.json --below base --max-new-layers 1 -o over.layers.json");
    layers(&place, "over", "");
    place
}

/// Makes the layer files of a plan, in a directory of its name.
fn layers(place: &Place, name: &str, flags: &str) {
    place.ok(&format!("layer {name}.layers.json --all --root {} -o {name} {flags}", synth().root.display()));
}

/// Writes an image.json of that, and what all of these tests have.
fn spec(place: &Place, more: Value) {
    let mut spec = json!({"name": "app", "tag": "1", "graph": synth().graph, "maxLayers": 8});
    spec.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    place.write("app.json", spec.to_string());
}

/// The layers of the image that app.json says, and its history.
#[track_caller]
fn build(place: &Place, more: &str) -> (Vec<Value>, Value) {
    place.ok(&format!("build app.json --root {} -o app.tar {more}", synth().root.display()));
    let config = config(&place.read("app.tar"));
    (config["rootfs"]["diff_ids"].as_array().unwrap().clone(), config["history"].clone())
}

/// The store paths of a layer of app.tar.
fn paths_in(place: &Place, layer: usize) -> Vec<String> {
    let tar = place.read("app.tar");
    let name = manifest(&tar)["Layers"][layer].as_str().unwrap().to_owned();
    let names =
        members(&member(&tar, &name)).into_iter().map(|member| String::from_utf8_lossy(&member.name).into_owned());
    let paths = names.filter_map(|name| Some(name.strip_prefix("/nix/store/")?.trim_end_matches('/').to_owned()));
    paths.filter(|name| !name.is_empty() && !name.contains('/')).collect()
}

#[test]
fn the_same_layers_in_every_image() {
    let place = place();
    let made = ["base", "over"].map(|name| place.json(&format!("{name}/000.layer.json"))["diffId"].clone());
    for contents in ["bash-5.2", "curl-8.0", "root-env"] {
        spec(&place, json!({"contents": synth().path(contents), "layers": ["base", "over/000.layer.json"]}));
        let (diff_ids, history) = build(&place, "");
        assert_eq!(diff_ids[..2], made);
        assert_eq!((&history[0]["created_by"], &history[0]["author"]), (&json!("base"), &json!("somebody")));
        assert_eq!((&history[1]["created_by"], history[1].get("author")), (&json!("layerstone"), None));
        // Each path once, and all that the contents need.
        let mut paths: Vec<String> = (0..diff_ids.len()).flat_map(|layer| paths_in(&place, layer)).collect();
        let all = paths.len();
        paths.sort();
        paths.dedup();
        assert_eq!(paths.len(), all, "{contents}");
        assert!(paths.iter().any(|path| synth().path(contents).ends_with(path)), "{contents}: {paths:?}");
    }
    // What is below is in the image, whether anything needs it or not.
    spec(&place, json!({"layers": ["base", "over"]}));
    assert_eq!(build(&place, "").0[..2], made);
}

/// By stages, by ninja and by make.
#[test]
fn in_every_way() {
    let place = place();
    let root = synth().root.display();
    spec(&place, json!({"contents": synth().path("git-2.39"), "layers": ["base", "over"], "includeNixDB": true}));
    build(&place, "");
    let expected = place.read("app.tar");
    place.ok(&format!("root app.json --root {root} -o root.layer.json --blob root.tar"));
    place.ok(&format!("closure --spec app.json --root {root} --layer root.layer.json --sizes -o app.closure.json"));
    place.ok("layers app.closure.json --spec app.json -o app.layers.json");
    place.ok("layers app.closure.json --below base --below over --max-layers 6 -o by-flags.layers.json");
    assert!(place.read("by-flags.layers.json") == place.read("app.layers.json"));
    place.ok("layers --check app.layers.json app.closure.json --below base --below over --max-layers 6");
    layers(&place, "app", "");
    place.ok(&format!("nix-db app.closure.json --spec app.json --root {root} -o db.layer.json --blob db.tar"));
    place.ok(&format!(
        "image --spec app.json --root {root} base over app root.layer.json db.layer.json --strict -o staged.tar"
    ));
    assert!(place.read("staged.tar") == expected);
    for tool in Tool::all() {
        let name = tool.name();
        place.ok(&format!("{name} app.json --root {root} --image {name}.tar -o {}", tool.file()));
        tool.ok(&place, &[]);
        assert!(place.read(&format!("{name}.tar")) == expected, "{tool:?}");
    }
}

/// A layer of files among them: its directories are followed, and it lies below layers of store paths that it does not refer to.
#[test]
fn files_among_them() {
    let place = place();
    let root = synth().root.display();
    let script = format!("mkdir -p usr/lib; ln -s usr/lib lib; ln -s {}/bin/bash bash", synth().path("bash-5.2"));
    place.write("files.json", json!({"name": "x", "extraCommands": script}).to_string());
    place.ok(&format!("root files.json --root {root} -o files.layer.json --blob files.tar --comment files"));
    place.write("b", "b\n");
    let layers = json!(["base", "files.layer.json", "over"]);
    spec(&place, json!({"layers": layers, "copy": [{"from": "b", "to": "/lib/b"}]}));
    let (_, history) = build(&place, "");
    assert_eq!(history[1]["comment"], "files");
    let tar = place.read("app.tar");
    let top = manifest(&tar)["Layers"][3].as_str().unwrap().to_owned();
    let names: Vec<Vec<u8>> = members(&member(&tar, &top)).into_iter().map(|member| member.name).collect();
    assert!(names.contains(&b"./usr/lib/b".to_vec()), "{names:?}");
    place.ok(&format!("root app.json --root {root} -o root.layer.json --blob root.tar"));
    let line = |layers: &str| format!("image --spec app.json --root {root} {layers} -o staged.tar --strict");
    place.ok(&line("base files.layer.json over root.layer.json"));
    assert!(place.read("staged.tar") == tar);
    let told = place.fail(&line("files.layer.json base over root.layer.json"));
    let expected = "base/000.layer.json: found it over files.layer.json, expected store layers below";
    assert!(told.contains(expected), "{told}");
}

/// Layers that were made apart may hold a path twice.
#[test]
fn twins() {
    let place = place();
    place.ok("layers over.closure.json --max-layers 1 -o apart.layers.json");
    layers(&place, "apart", "");
    spec(&place, json!({"layers": ["base", "apart"]}));
    let root = synth().root.display();
    let told = place.ok(&format!("build app.json --root {root} -o app.tar")).stderr;
    assert!(told.contains("warning: stored twice: /nix/store/"), "{told}");
    assert!(told.contains("found it in base/000.layer.json and in apart/000.layer.json"), "{told}");
    let line = format!("image --spec app.json --root {root} base apart -o app.tar");
    assert!(place.ok(&line).stderr.contains("warning: stored twice: /nix/store/"));
    assert!(place.fail(&format!("{line} --strict")).contains("no image: /nix/store/"));
}

#[test]
fn what_is_wrong() {
    let place = place();
    let root = synth().root.display();
    let check = |more: Value, expected: &str| {
        spec(&place, more);
        let told = place.error_of(&format!("build app.json --root {root} -o bad.tar"));
        assert!(told.contains(expected), "{told}");
    };
    check(json!({"layers": ["absent"]}), "cannot read: absent");
    check(json!({"layers": ["base.layers.json"]}), "expected layerstone/layer");
    check(json!({"layers": 1}), "layers: found the number 1, expected a path or a list of paths");
    check(json!({"layers": ["base"], "kind": "single", "maxLayers": null}), "expected in a layered one");
    check(
        json!({"layers": ["base"], "includeStorePaths": false}),
        "layers: found includeStorePaths false too, expected one of them",
    );
    check(
        json!({"layers": ["base", "over"], "maxLayers": 3}),
        "found maxLayers 3, expected 4 or more: 0 of the base image, 2 of layers, 1 for the customisation layer",
    );
    let told = place.error_of("layers over.closure.json --below base --max-layers 1 -o x.layers.json");
    assert!(told.contains("found a limit of 1, expected 2 or more: 1 lie below, 0 are asked for by pattern"), "{told}");
    // They are inputs.
    spec(&place, json!({"layers": ["base"]}));
    let told = place.error_of(&format!("build app.json --root {root} -o base/000.layer.json"));
    assert!(told.contains("it is in the input base"), "{told}");
}
