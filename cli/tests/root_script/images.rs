//! runAsRoot in image.json: single and layered images, in one go and stage by stage; what is refused.

use super::{archive, backends, busybox};
use crate::support::archive::{config, members};
use crate::support::lab::Lab;
use crate::support::{Place, digest};
use serde_json::{Value, json};

/// A place with a base of busybox, and the lab's small closure.
fn ready() -> Option<(Place, Lab)> {
    let place = Place::new();
    place.write("base.tar", archive(&[busybox()?]));
    Some((place, Lab::find("small")?))
}

fn names(tar: &[u8]) -> Vec<String> {
    members(tar).into_iter().map(|member| String::from_utf8_lossy(&member.name).into_owned()).collect()
}

/// The layers of an image, the bottom one first.
fn layers(image: &[u8]) -> Vec<Vec<u8>> {
    let manifest = crate::support::archive::manifest(image);
    let names: Vec<String> = serde_json::from_value(manifest["Layers"].clone()).unwrap();
    names.iter().map(|name| crate::support::archive::member(image, name)).collect()
}

fn comments(image: &[u8]) -> Vec<Value> {
    config(image)["history"].as_array().unwrap().iter().map(|entry| entry["comment"].clone()).collect()
}

/// Contents, the root script and extraCommands end in one layer, in this order, and behind them what they refer to.
#[test]
fn single() {
    let Some((place, lab)) = ready() else { return };
    let (hello, bash) = (lab.path("hello"), lab.path("bash"));
    let spec = json!({
        "name": "x", "tag": "1", "kind": "single", "fromImage": "base.tar", "contents": hello, "rootMode": "copy",
        "graph": lab.graph(),
        "runAsRoot": format!("test -x /bin/hello; test -x {bash}/bin/bash; mkdir /data; chown 5:6 /data; rm /bin/wc"),
        "extraCommands": "test -d data; test -e bin/hello; echo extra > extra",
        "diskSize": 64, "buildVMMemorySize": 256,
    });
    place.write("x.json", spec.to_string());
    let mut images = Vec::new();
    for backend in backends() {
        let run = place.ok(&format!("build x.json -o x.tar --backend {backend}"));
        assert!(run.stderr.starts_with("root script in "), "{}", run.stderr);
        images.push(digest(&place.read("x.tar")));
    }
    assert!(images.iter().all(|image| *image == images[0]), "{images:?}");
    let layers = layers(&place.read("x.tar"));
    let found = names(layers.last().unwrap());
    assert_eq!(layers.len(), 2);
    let at = |name: &str| found.iter().position(|found| found == name).unwrap_or_else(|| panic!("{name} in {found:?}"));
    assert!(at("./bin/.wh.wc") < at("./data") && at("./data") < at("./extra"));
    assert!(at("./bin/hello") < at("./nix/store"));
    // What the script was shown alone is not in the image.
    let has = |path: &str| found.iter().any(|name| name.starts_with(&format!("{}/", &path[1..])));
    assert!(has(&lab.path("glibc")) && !has(&bash), "{found:?}");
    // The same, stage by stage.
    place.ok(&format!(
        "overlay run --spec x.json --store-closure {} --backend userns -o run.layer.json --blob run.tar",
        lab.graph().display()
    ));
    place.ok("closure --spec x.json --layer run.layer.json -o x.closure.json");
    place.ok("layers x.closure.json --max-layers 99 --base base.tar -o x.layers.json");
    place.ok("layer x.layers.json --behind run.layer.json --spec x.json -o all.layer.json --blob all.tar");
    place.ok("image --spec x.json all.layer.json -o y.tar");
    assert_eq!(digest(&place.read("y.tar")), images[0]);
    let refused = place.run("root --spec x.json -o root.layer.json --blob root.tar");
    let expected =
        "error: runAsRoot makes the root of a single image: expected `overlay run --spec` in place of `root`\n";
    assert_eq!((refused.code, &*refused.stderr), (Some(1), expected));
}

/// The script's layer lies below the customisation layer, which goes through its links.
#[test]
fn layered() {
    let Some((place, lab)) = ready() else { return };
    let spec = json!({
        "name": "x", "tag": "1", "fromImage": "base.tar", "contents": lab.path("hello"), "maxLayers": 10, "graph": lab.graph(),
        "runAsRoot": "mkdir -p /usr/share; ln -s usr/share /share; mkdir /data; chown 5 /data; rm /bin/wc",
        "extraCommands": "test ! -e data; echo extra > extra",
    });
    place.write("x.json", spec.to_string());
    place.ok("build x.json -o x.tar --backend userns");
    let image = place.read("x.tar");
    let layers = layers(&image);
    let [.., run, custom] = &layers[..] else { panic!() };
    let expected = ["./bin", "./bin/.wh.wc", "./data", "./share", "./usr", "./usr/share"];
    assert_eq!(names(run), expected);
    let names_of_custom = names(custom);
    let has = |name: &str| names_of_custom.iter().any(|found| found == name);
    assert!(has("./extra") && !has("./share") && has("./usr/share"), "{names_of_custom:?}");
    assert_eq!(comments(&image)[layers.len() - 2], "runAsRoot");
    let dry = place.ok("build x.json --dry-run");
    let expected = "and the layer of the root script, the customisation layer, not made in a dry run: contents merged, two scripts \
                    run; what else they refer to would join the paths\n";
    assert!(dry.text().ends_with(expected), "{}", dry.text());
    // The same, stage by stage.
    place.ok("overlay run --spec x.json --backend userns -o run.layer.json --blob run.tar");
    place.ok("root --spec x.json --below run.layer.json -o root.layer.json --blob root.tar");
    assert_eq!(digest(&place.read("root.tar")), digest(custom));
    assert_eq!(digest(&place.read("run.tar")), digest(run));
}

/// What a root script refers to is in the image: without contents, from a file, by a flag.
#[test]
fn store_paths_that_it_refers_to() {
    let Some((place, lab)) = ready() else { return };
    let hello = lab.path("hello");
    place.write("script.sh", format!("{hello}/bin/hello > /greeting; ln -s {hello} /hello"));
    place.write(
        "x.json",
        json!({"name": "x", "fromImage": "base.tar", "graph": lab.graph(), "runAsRootFile": "script.sh"}).to_string(),
    );
    place.write("y.json", json!({"name": "x", "fromImage": "base.tar", "graph": lab.graph()}).to_string());
    place.ok("build x.json -o x.tar --backend userns");
    place.ok("build y.json -o y.tar --backend userns --run-as-root script.sh");
    assert_eq!(digest(&place.read("x.tar")), digest(&place.read("y.tar")));
    let all: Vec<String> = layers(&place.read("x.tar")).iter().flat_map(|layer| names(layer)).collect();
    assert!(all.contains(&format!("{hello}/bin/hello")), "{all:?}");
}

#[test]
fn what_is_refused() {
    let Some((place, _)) = ready() else { return };
    for (keys, expected) in [
        (json!({"runAsRoot": "x", "runAsRootFile": "y"}), "runAsRoot: found runAsRootFile too, expected one of them"),
        (json!({"runAsRoot": 1}), "runAsRoot: found the number 1, expected a string"),
        (json!({"diskSize": 0}), "diskSize: found the number 0, expected a number of MiB, 1 to 16777216"),
        (
            json!({"buildVMMemorySize": 255}),
            "buildVMMemorySize: found the number 255, expected a number of MiB, 256 to 16777216",
        ),
        (
            json!({"kind": "single", "runAsRoot": "x", "fakeRootCommands": "y"}),
            "fakeRootCommands: found runAsRoot too, expected one of them in an image of kind \"single\"",
        ),
        (json!({"runAsroot": "x"}), "unknown key, the nearest known one is \"runAsRoot\""),
    ] {
        let mut spec = json!({"name": "x"});
        spec.as_object_mut().unwrap().extend(keys.as_object().unwrap().clone());
        place.write("x.json", spec.to_string());
        let run = place.run("build x.json -o x.tar");
        assert!(run.code == Some(1) && run.stderr.contains(expected), "{}", run.stderr);
    }
}
