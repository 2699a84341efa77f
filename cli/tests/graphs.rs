//! References graphs in every form give one closure, and scanning the store gives it too.

use crate::support::{Place, synth};
use serde_json::{Value, json};

/// The synthetic store's graph as Nix writes it.
fn graph() -> Vec<Value> {
    let document: Value = serde_json::from_slice(&std::fs::read(&synth().graph).unwrap()).unwrap();
    document["graph"].as_array().unwrap().clone()
}

/// The closure file that `closure --graph` makes of this text.
#[track_caller]
fn closure_of(text: &str, roots: &str) -> String {
    let place = Place::new();
    place.write("graph", text);
    place.ok(&format!("closure --graph graph {roots} -o x.closure.json"));
    String::from_utf8(place.read("x.closure.json")).unwrap()
}

/// The array, `{"graph": …}`, `nix path-info --json` of older and newer Nix, and registration text.
#[test]
fn every_form() {
    let list = graph();
    let expected = closure_of(&json!({ "graph": list }).to_string(), "");
    let registration = std::fs::read_to_string(&synth().registration).unwrap();
    let path_info = |info: &Value| {
        json!({"path": info["path"], "narHash": info["narHash"], "narSize": info["narSize"],
               "references": info["references"], "valid": true, "registrationTime": 1, "signatures": ["k:x"]})
    };
    let old = Value::from(list.iter().map(path_info).collect::<Vec<_>>());
    let new: serde_json::Map<_, _> = list
        .iter()
        .map(|info| {
            let mut value = path_info(info);
            let path = value.as_object_mut().unwrap().remove("path").unwrap();
            (path.as_str().unwrap().to_owned(), value)
        })
        .collect();
    for text in
        [Value::from(list).to_string(), old.to_string(), Value::from(new).to_string(), registration, expected.clone()]
    {
        assert_eq!(closure_of(&text, ""), expected, "{}", &text[..200]);
    }
}

/// A graph of no paths, as Nix prints it for none, is an empty closure.
#[test]
fn no_paths() {
    let expected = closure_of("[]", "");
    for text in ["{}", r#"{"graph": []}"#, r#"{"info": {}, "storeDir": "/nix/store", "version": 2}"#] {
        assert_eq!(closure_of(text, ""), expected, "{text}");
    }
}

/// Without sizes and hashes a closure is one all the same: `path` and `references` are required.
#[test]
fn paths_and_references_suffice() {
    let bare: Vec<Value> =
        graph().iter().map(|info| json!({"path": info["path"], "references": info["references"]})).collect();
    let closure: Value = serde_json::from_str(&closure_of(&Value::from(bare.clone()).to_string(), "")).unwrap();
    assert_eq!(closure["graph"], json!(bare));
}

/// The closure of roots holds them and what they lead to.
#[test]
fn closure_of_roots() {
    let synth = synth();
    let closure: Value =
        serde_json::from_str(&closure_of(&Value::from(graph()).to_string(), synth.path("ssl-3.0"))).unwrap();
    let found: Vec<&str> =
        closure["graph"].as_array().unwrap().iter().map(|info| info["path"].as_str().unwrap()).collect();
    let mut expected = ["ssl-3.0", "zlib-1.3", "libc-2.36"].map(|name| synth.path(name));
    expected.sort();
    assert_eq!(found, expected);
}

/// What is found in the files is what Nix would register: references, NAR sizes, NAR hashes.
#[test]
fn scanned_closure() {
    let place = Place::new();
    let synth = synth();
    place.ok(&format!("closure --graph {} {} -o graph.closure.json", synth.graph.display(), synth.path("root-env")));
    let line = format!("closure --scan --root {} {}", synth.root.display(), synth.path("root-env"));
    place.ok(&format!("{line} --nar-hash -o scan.closure.json"));
    assert_eq!(place.json("scan.closure.json"), place.json("graph.closure.json"));
    assert_eq!(place.read("scan.closure.json"), place.read("graph.closure.json"));
    place.ok(&format!("{line} -o scan.closure.json"));
    let mut expected = place.json("graph.closure.json");
    for info in expected["graph"].as_array_mut().unwrap() {
        info.as_object_mut().unwrap().remove("narHash");
    }
    assert_eq!(place.json("scan.closure.json"), expected);
}

/// `--exclude` leaves a path out of all layers.
#[test]
fn exclude() {
    let place = Place::new();
    let (bash, libc) = (synth().path("bash-5.2"), synth().path("libc-2.36"));
    place.ok(&format!(
        "layers {} --max-layers 3 --exclude {bash} --exclude libc -o x.layers.json",
        synth().graph.display()
    ));
    let plan = place.json("x.layers.json");
    let paths: Vec<&str> = plan["layers"]
        .as_array()
        .unwrap()
        .iter()
        .flat_map(|layer| layer.as_array().unwrap())
        .map(|path| path.as_str().unwrap())
        .collect();
    assert_eq!(paths.len(), synth().paths().len() - 2);
    assert!(!paths.contains(&bash) && !paths.contains(&libc));
}
