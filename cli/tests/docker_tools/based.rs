//! Images on a base that was made here, or by docker: what they inherit, and in what order layers lie.

use super::examples::{Built, Examples};
use crate::client::GNU_GREETING;
use crate::debian::{SAVED_REFERENCE, saved};
use crate::support::archive::config;
use crate::support::docker::{Docker, Loaded, Turn, client};
use crate::support::lab::debian;
use crate::support::{Place, output, output_json};
use serde_json::{Value, json};
use std::fs;

#[track_caller]
fn load<'a>(turn: &'a Turn, image: &Built) -> Loaded<'a> {
    turn.load(&image.file, &image.reference)
}

/// An image of as many layers as its name says.
#[track_caller]
pub fn two_layered_image(examples: &Examples) -> Built {
    let contents = [examples.path("bash"), examples.path("hello")];
    let cmd = format!("{}/bin/hello", examples.path("hello"));
    let keys = json!({"contents": contents, "maxLayers": 2, "config": {"Cmd": [cmd]}});
    examples.layered("two-layered-image", keys)
}

#[track_caller]
fn layered_image(examples: &Examples) -> Built {
    let contents = ["hello", "bash", "coreutils"].map(|name| examples.path(name));
    let cmd = format!("{}/bin/hello", examples.path("hello"));
    let script = "echo \"(hello)\" > extraCommands";
    let keys = json!({"contents": contents, "extraCommands": script, "config": {"Cmd": [cmd]}});
    examples.layered("layered-image", keys)
}

/// What goes on top of [`layered_image`].
fn on_top(examples: &Examples) -> Value {
    let config = json!({
        "Env": [format!("PATH={}/bin/", examples.path("coreutils"))],
        "WorkingDir": "/example-output",
        "Cmd": [format!("{}/bin/bash", examples.path("bash")), "-c", "echo hello > foo; cat foo"],
    });
    let base = layered_image(examples).file;
    json!({"fromImage": base, "extraCommands": "mkdir ./example-output", "config": config})
}

/// An image that another tool has made; our name for it is lower-cased.
#[test]
fn on_top_of_a_pulled_image() {
    let (Some(docker), Some(examples), Some(debian)) = (Docker::find(), Examples::find(), debian()) else { return };
    let turn = docker.turn();
    let base = saved(&turn, &debian);
    let saved = output_json(client("image inspect").arg(SAVED_REFERENCE));
    let keys = json!({"contents": examples.path("hello"), "fromImage": base});
    let image = examples.single("onTopOfPulledImage", keys);
    assert_eq!(image.reference, "layerstone-test-ontopofpulledimage:latest");
    let loaded = load(&turn, &image);
    assert_eq!(loaded.run(&["hello"]), GNU_GREETING);
    assert_eq!(json!(loaded.layers()[..1]), saved[0]["RootFS"]["Layers"]);
}

/// Words that would break a script if they were put into another one (nixpkgs issue 34779).
#[test]
fn extra_commands() {
    let (Some(docker), Some(examples)) = (Docker::find(), Examples::find()) else { return };
    let script = "(echo hello) > extraCommands";
    let keys = json!({"contents": examples.path("coreutils"), "extraCommands": script});
    let image = examples.single("runAsRootExtraCommands", keys);
    let turn = docker.turn();
    assert_eq!(load(&turn, &image).run(&["cat", "extraCommands"]), "hello\n");
}

#[test]
fn layered() {
    let (Some(docker), Some(examples)) = (Docker::find(), Examples::find()) else { return };
    let image = layered_image(examples);
    let turn = docker.turn();
    let loaded = load(&turn, &image);
    assert_eq!(loaded.run(&[]), GNU_GREETING);
    assert_eq!(loaded.run(&["cat", "extraCommands"]), "(hello)\n");
}

#[test]
fn on_top_of_layered() {
    let (Some(docker), Some(examples)) = (Docker::find(), Examples::find()) else { return };
    let images = [
        examples.single("layered-on-top", on_top(examples)),
        examples.layered("layered-on-top-layered", on_top(examples)),
    ];
    let turn = docker.turn();
    for image in images {
        assert_eq!(load(&turn, &image).run(&[]), "hello\n", "{}", image.reference);
    }
}

#[test]
fn layers_are_shared() {
    let (Some(docker), Some(examples)) = (Docker::find(), Examples::find()) else { return };
    let cmd = format!("{}/bin/hello", examples.path("hello"));
    let another = examples.layered("another-layered-image", json!({"config": {"Cmd": [cmd]}}));
    let image = layered_image(examples);
    let turn = docker.turn();
    let (image, another) = (load(&turn, &image), load(&turn, &another));
    assert_eq!(another.run(&[]), GNU_GREETING);
    let layers = image.layers();
    assert!(another.layers().iter().any(|layer| layers.contains(layer)), "{layers:?}");
}

/// Three images, each on the last.
#[test]
fn order_of_layers() {
    let (Some(docker), Some(examples)) = (Docker::find(), Examples::find()) else { return };
    let script = |number: usize| {
        let write = |file: usize| format!("echo layer{number} > tmp/layer{file}\n");
        format!("mkdir -p tmp\n{}", (number..=3).map(write).collect::<String>())
    };
    let first = examples.single("layer1", json!({"extraCommands": script(1)}));
    let second = examples.single("layer2", json!({"fromImage": first.file, "extraCommands": script(2)}));
    let keys = json!({"fromImage": second.file, "extraCommands": script(3), "contents": examples.path("coreutils")});
    let image = examples.single("layersOrder", keys);
    let turn = docker.turn();
    let loaded = load(&turn, &image);
    for number in 1..=3 {
        assert_eq!(loaded.run(&["cat", &format!("/tmp/layer{number}")]), format!("layer{number}\n"));
    }
}

/// Each of three images appends to what a container of the one below sees.
#[test]
fn order_of_unpacking() {
    let (Some(docker), Some(examples)) = (Docker::find(), Examples::find()) else { return };
    let turn = docker.turn();
    let keys = json!({"contents": examples.path("coreutils"), "extraCommands": "printf a > layer-order"});
    let mut image = examples.single("layersUnpackOrder-a", keys);
    for letter in ["b", "c"] {
        let below = load(&turn, &image).run(&["cat", "/layer-order"]);
        let script = format!("printf {below}{letter} > layer-order");
        let keys = json!({"fromImage": image.file, "extraCommands": script});
        image = examples.single(&format!("layersUnpackOrder-{letter}"), keys);
    }
    assert_eq!(load(&turn, &image).run(&["cat", "/layer-order"]), "abc");
}

/// What docker saves when a layer comes twice, a link instead of the second one, as `repeated.tar` of a place; the layers
/// of that image.
#[track_caller]
pub fn save_repeated(turn: &Turn, place: &Place, reference: &str) -> Vec<String> {
    place.write("context/Dockerfile", "FROM scratch\nCOPY one /f\nCOPY two /f\nCOPY one /f\n");
    place.write("context/one", "one\n");
    place.write("context/two", "two\n");
    let base = turn.loaded(reference);
    let mut build = client("build --no-cache --network none --tag");
    output(build.arg(reference).arg(place.join("context")).env("DOCKER_BUILDKIT", "0"));
    let layers = base.layers();
    assert_eq!((layers.len(), &layers[0]), (3, &layers[2]));
    output(client("save --output").arg(place.join("repeated.tar")).arg(reference));
    layers
}

#[test]
fn repeated_layer() {
    let (Some(docker), Some(examples)) = (Docker::find(), Examples::find()) else { return };
    let place = Place::new();
    let turn = docker.turn();
    let layers = save_repeated(&turn, &place, "layerstone-test-repeated:1");
    let keys = json!({"fromImage": place.join("repeated.tar"), "contents": [examples.path("bash"), examples.path("coreutils")]});
    let image = examples.single("repeatedLayerTestImage", keys);
    let loaded = load(&turn, &image);
    loaded.run(&["/bin/bash", "-c", "exit 0"]);
    assert_eq!(loaded.run(&["cat", "/f"]), "one\n");
    assert_eq!(loaded.layers()[..3], layers);
}

/// What the base and the image on it say of the environment.
fn environments(examples: &Examples) -> [Built; 2] {
    let contents = examples.path("coreutils");
    let env = |name: &str| json!({"Env": [format!("FROM_{}=true", name.to_uppercase()), format!("LAST_LAYER={name}")]});
    let parent = examples.single("parent", json!({"contents": contents, "config": env("parent")}));
    let child = json!({"fromImage": parent.file, "contents": contents, "config": env("child")});
    [examples.single("child", child.clone()), examples.layered("childLayered", child)]
}

#[test]
fn environment_of_the_base() {
    let (Some(docker), Some(examples)) = (Docker::find(), Examples::find()) else { return };
    let turn = docker.turn();
    for image in environments(examples) {
        let env = load(&turn, &image).run(&["env"]);
        for expected in ["FROM_PARENT=true", "FROM_CHILD=true", "LAST_LAYER=child"] {
            assert!(env.lines().any(|line| line == expected), "{}: {env}", image.reference);
        }
    }
}

#[test]
fn no_variable_twice() {
    let Some(examples) = Examples::find() else { return };
    for image in environments(examples) {
        let config = config(&fs::read(&image.file).unwrap());
        let env: Vec<String> = serde_json::from_value(config["config"]["Env"].clone()).unwrap();
        let last = env.iter().filter(|variable| variable.starts_with("LAST_LAYER="));
        assert_eq!(last.collect::<Vec<_>>(), ["LAST_LAYER=child"], "{}", image.reference);
    }
}

/// The base's layers count.
#[test]
fn bulk_layer_on_a_base() {
    let (Some(docker), Some(examples)) = (Docker::find(), Examples::find()) else { return };
    let contents = [examples.path("coreutils"), examples.path("hello")];
    let base = two_layered_image(examples).file;
    let image =
        examples.layered("layered-bulk-layer", json!({"fromImage": base, "contents": contents, "maxLayers": 4}));
    let turn = docker.turn();
    let loaded = load(&turn, &image);
    assert_eq!(loaded.run(&["ls", "/bin/hello"]), "/bin/hello\n");
    assert_eq!(loaded.layers().len(), 4);
}
