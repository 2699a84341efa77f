//! image.json with stages that are made already: `rootLayer` and `plan`, in one go and by rules; bad ones.

use crate::support::{Place, synth};
use crate::wires::Tool;
use serde_json::{Value, json};

/// The image with a script that `build` makes in one go, its stages as files, and an image.json that names them.
fn place() -> Place {
    let place = Place::new();
    let common = json!({"name": "app", "tag": "1", "contents": [synth().path("curl-8.0")], "graph": synth().graph, "maxLayers": 4});
    let whole = merged(&common, json!({"extraCommands": "echo made >made", "strategy": "size"}));
    place.write("whole.json", whole.to_string());
    let root = synth().root.display();
    place.ok(&format!("build whole.json --root {root} -o whole.tar"));
    place.ok(&format!("root --spec whole.json --root {root} -o root.layer.json --blob root.tar"));
    place.ok(&format!("closure --spec whole.json --root {root} --layer root.layer.json --sizes -o app.closure.json"));
    place.ok("layers app.closure.json --spec whole.json -o app.layers.json");
    let made = merged(&common, json!({"rootLayer": "root.layer.json", "plan": "app.layers.json"}));
    place.write("made.json", made.to_string());
    place
}

fn merged(spec: &Value, more: Value) -> Value {
    let mut spec = spec.clone();
    spec.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    spec
}

#[test]
fn the_image_is_the_same() {
    let place = place();
    let root = synth().root.display();
    // Without them it would be another: no script runs, and the plan is no default.
    place.ok(&format!("build made.json --root {root} -o made.tar"));
    assert!(place.read("made.tar") == place.read("whole.tar"));
    for tool in Tool::all() {
        let file = tool.file();
        place.ok(&format!("{} made.json --root {root} --image {}.tar -o {file}", tool.name(), tool.name()));
        tool.ok(&place, &[]);
        assert!(place.read(&format!("{}.tar", tool.name())) == place.read("whole.tar"), "{tool:?}");
    }
}

#[test]
fn what_is_wrong() {
    let place = place();
    let made = place.json("made.json");
    let root = synth().root.display();
    let check = |more: Value, expected: &str| {
        place.write("bad.json", merged(&made, more).to_string());
        let told = place.error_of(&format!("build bad.json --root {root} -o bad.tar"));
        assert!(told.contains(expected), "{told}");
        assert!(!place.join("bad.tar").exists());
    };
    check(json!({"extraCommands": "true"}), "rootLayer: found extraCommands too, expected one of them");
    check(json!({"perms": []}), "rootLayer: found perms too, expected one of them");
    check(json!({"strategy": "size"}), "plan: found strategy too, expected one of them");
    check(json!({"rootLayer": "absent.json"}), "cannot read: absent.json");
    check(json!({"rootLayer": "app.layers.json"}), "expected layerstone/layer");
    check(json!({"plan": "root.layer.json"}), "expected layerstone/layers");
    place.write("other.layers.json", json!([[synth().path("curl-8.0")]]).to_string());
    check(json!({"plan": "other.layers.json"}), "not a plan of this image: other.layers.json: /nix/store/");
    place.ok(&format!("layer app.layers.json --index 0 --root {root} -o recipe.layer.json"));
    check(json!({"rootLayer": "recipe.layer.json"}), "no blob: recipe.layer.json");
    // The tar of a layer file is an input, as the file is.
    let tar = place.read("root.tar");
    for output in ["root.tar", "root.layer.json", "app.layers.json"] {
        let told = place.error_of(&format!("build made.json --root {root} -o {output}"));
        assert!(told.contains("it is the input"), "{told}");
    }
    assert!(place.read("root.tar") == tar);
    // Of a layer that is made there is no stage to run.
    let told = place.error_of(&format!("root --spec made.json --root {root} -o r.layer.json --blob r.tar"));
    assert!(told.contains("rootLayer: found root.layer.json, expected none: the layer is made already"), "{told}");
}
