//! `layerstone schema`: schemas and parsers take the same files, and refuse the same.

mod validator;

use crate::cache::store;
use crate::support::{Place, Run};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use validator::faults;

/// The kinds of files, and how their names end.
const KINDS: [(&str, &str); 4] =
    [("image", "image.json"), ("closure", ".closure.json"), ("layers", ".layers.json"), ("layer", ".layer.json")];

fn schema(place: &Place, name: &str) -> Value {
    serde_json::from_slice(&place.ok(&format!("schema {name}")).stdout).unwrap()
}

/// All files below a directory of the repository, but for what is built.
fn files_below(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
        let (path, kind) = (entry.path(), entry.file_type().unwrap());
        if kind.is_dir() && entry.file_name() != "target" && entry.file_name() != ".git" {
            files_below(&path, found);
        } else if kind.is_file() {
            found.push(path);
        }
    }
}

/// Files of each kind: what the stages write here, what the repository holds, and the examples of the pages of formats.
fn examples(place: &Place) -> BTreeMap<&'static str, Vec<Value>> {
    fs::create_dir(place.join("init")).unwrap();
    place.ok("layer x.layers.json --root root --no-cache --all -o all");
    place
        .ok("layer x.layers.json --root root --no-cache --index 0 --compression zstd -o z.layer.json --blob z.tar.zst");
    place.ok("root --spec x.json --root root -o root.layer.json --blob root.tar");
    place.ok("layers --max-layers 2 -o bare.layers.json x.closure.json");
    place.ok("init x.closure.json -o init/image.json");
    fs::copy(place.join("x.json"), place.join("image.json")).unwrap();
    let mut files = Vec::new();
    files_below(place.path(), &mut files);
    let repository = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    files_below(repository, &mut files);
    let mut found: BTreeMap<&str, Vec<Value>> = BTreeMap::new();
    for file in files {
        let name = file.file_name().unwrap().to_string_lossy().into_owned();
        let ends = |(_, ending): &&(&str, &str)| name.ends_with(ending);
        if let Some((kind, _)) = KINDS.iter().find(ends) {
            let value: Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
            // Templates and lists of lists are other forms.
            if value.is_object() {
                found.entry(kind).or_default().push(value);
            }
        }
        if name == "FORMAT.md" {
            let page = fs::read_to_string(&file).unwrap();
            let blocks = page.split("```").skip(1).step_by(2).filter_map(|block| block.strip_prefix("json\n"));
            for value in blocks.filter_map(|block| serde_json::from_str::<Value>(block).ok()) {
                let format = value["format"].as_str().and_then(|it| it.strip_prefix("layerstone/")).unwrap_or_default();
                if let Some((kind, _)) = KINDS.iter().find(|(kind, _)| *kind == format) {
                    found.entry(kind).or_default().push(value);
                }
            }
        }
    }
    found
}

/// Runs the program on a file of its kind that may be wrong.
fn read(place: &Place, kind: &str, value: &Value) -> Run {
    place.write("one.json", value.to_string());
    place.run(match kind {
        "image" => "build one.json --root root --no-cache -o one.tar",
        "closure" => "layers one.json --strategy popularity --max-layers 9 -o one.layers.json",
        "layers" => "layers --check one.json x.closure.json",
        _ => "closure --layer one.json --graph graph.json --root root -o one.closure.json",
    })
}

/// Every key that a schema requires, as the names that lead to it; the first item stands for all of a list.
fn required(schema: &Value, at: &[String], found: &mut Vec<Vec<String>>) {
    for key in schema["required"].as_array().into_iter().flatten() {
        found.push([at, &[key.as_str().unwrap().to_owned()]].concat());
    }
    for (key, inner) in schema["properties"].as_object().into_iter().flatten() {
        required(inner, &[at, std::slice::from_ref(key)].concat(), found);
    }
    if schema["items"].is_object() {
        required(&schema["items"], &[at, &["0".to_owned()]].concat(), found);
    }
}

/// A value without what these names lead to; none if it is not there.
fn without(value: &Value, names: &[String]) -> Option<Value> {
    let (last, above) = names.split_last().unwrap();
    let mut value = value.clone();
    let pointer: String = above.iter().map(|name| format!("/{name}")).collect();
    value.pointer_mut(&pointer)?.as_object_mut()?.shift_remove(last)?;
    Some(value)
}

#[test]
fn names() {
    let place = Place::new();
    assert_eq!(place.ok("schema").text(), "image\nclosure\nlayers\nlayer\n");
    assert_eq!(place.run("schema nothing").code, Some(2));
    for (name, _) in KINDS {
        assert_eq!(schema(&place, name)["title"], format!("layerstone/{name}"));
    }
}

/// Every file that the program writes or the repository holds fits its schema.
#[test]
fn files_fit() {
    let place = store();
    for (kind, values) in examples(&place) {
        let schema = schema(&place, kind);
        assert!(values.len() > 1, "{kind}");
        for value in values {
            assert_eq!(faults(&schema, &value), Vec::<String>::new(), "{kind}: {value:#}");
        }
    }
}

/// What lacks a required key is refused by both.
#[test]
fn required_keys() {
    let place = store();
    let examples = examples(&place);
    for (kind, _) in KINDS {
        let schema = schema(&place, kind);
        let mut keys = Vec::new();
        required(&schema, &[], &mut keys);
        for key in keys {
            let Some(short) = examples[kind].iter().find_map(|value| without(value, &key)) else { continue };
            assert!(!faults(&schema, &short).is_empty(), "{kind} without {key:?}: {short:#}");
            let run = read(&place, kind, &short);
            assert_eq!(run.code, Some(1), "{kind} without {key:?}: {}", run.stderr);
        }
    }
}

/// Both refuse other formats and versions, wrong types and numbers out of bounds.
#[test]
fn wrong_values() {
    let place = store();
    let examples = examples(&place);
    let cases = [
        ("closure", "/version", json!(2)),
        ("closure", "/graph", json!({})),
        ("closure", "/graph/0/path", json!(7)),
        ("closure", "/graph/0/references/0", json!(false)),
        ("closure", "/graph/0/narSize", json!(-1)),
        ("layers", "/version", json!("1")),
        ("layers", "/layers/0", json!([])),
        ("layers", "/layers/0/0", json!("app")),
        ("layers", "/narHashes", json!([])),
        ("layer", "/format", json!("layerstone/other")),
        ("layer", "/diffId", json!("sha256:12")),
        ("layer", "/size", json!(-1)),
        ("layer", "/descriptor/mediaType", json!("")),
        ("layer", "/compression/level", json!(23)),
        ("layer", "/compression/codec", json!("xz")),
        ("layer", "/blob", json!("/etc/passwd")),
        ("layer", "/recipe/uid", json!("root")),
        ("layer", "/storePaths", json!("x")),
    ];
    for (kind, pointer, wrong) in cases {
        let found = examples[kind].iter().find(|value| value.pointer(pointer).is_some());
        let mut value = found.unwrap_or_else(|| panic!("{kind} {pointer}")).clone();
        *value.pointer_mut(pointer).unwrap() = wrong;
        assert!(!faults(&schema(&place, kind), &value).is_empty(), "{kind} {pointer}");
        assert_eq!(read(&place, kind, &value).code, Some(1), "{kind} {pointer}");
    }
}
