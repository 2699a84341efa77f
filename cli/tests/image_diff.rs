//! What `inspect --diff` says about two images, for people and as JSON.

use crate::support::{Place, golden, golden_text, synth};
use serde_json::{Value, json};

/// Writes what nixpkgs makes of the synthetic store at a limit as `N.tar`.
fn stream(place: &Place, limit: u32) {
    let conf = golden(&format!("conf-{limit}.json"));
    place.ok(&format!("stream {} --root {} -o {limit}.tar", conf.display(), synth().root.display()));
}

fn diff(place: &Place, line: &str) -> Value {
    serde_json::from_slice(&place.ok(&format!("inspect --json --diff {line}")).stdout).unwrap()
}

/// Images of one closure in more and fewer layers: the digests that the real tools gave say which layers are shared.
#[test]
fn golden_images() {
    let place = Place::new();
    stream(&place, 5);
    stream(&place, 100);
    let layers = |limit: u32| -> Vec<Value> {
        let layers: Value = serde_json::from_str(&golden_text(&format!("layers-{limit}.json"))).unwrap();
        layers.as_array().unwrap().clone()
    };
    let known: Vec<Value> = layers(5).iter().map(|layer| layer["diff_id"].clone()).collect();
    let expected: Vec<Value> = layers(100)
        .iter()
        .map(|layer| {
            let state = if known.contains(&layer["diff_id"]) { "there" } else { "sent" };
            json!({"diffId": layer["diff_id"], "size": layer["size"], "state": state})
        })
        .collect();
    let answer = diff(&place, "5.tar 100.tar");
    let mut found = answer["layers"].clone();
    for (layer, golden) in found.as_array_mut().unwrap().iter_mut().zip(layers(100)) {
        let mut paths: Vec<Value> = golden["paths"].as_array().unwrap().clone();
        // What stands for the customisation layer is no path.
        paths.retain(|path| path.as_str().unwrap().starts_with('/'));
        paths.sort_by_key(Value::to_string);
        assert_eq!(layer.as_object_mut().unwrap().remove("storePaths"), Some(json!(paths)));
    }
    assert_eq!(found, json!(expected));
    let sum = |state: &str| {
        let chosen = expected.iter().filter(|layer| layer["state"] == state);
        let sizes = chosen.clone().map(|layer| layer["size"].as_u64().unwrap());
        json!({"layers": chosen.count(), "size": sizes.sum::<u64>()})
    };
    assert_eq!([&answer["there"], &answer["sent"]], [&sum("there"), &sum("sent")]);
    assert!(answer["there"]["layers"].as_u64() > Some(1) && answer["sent"]["layers"].as_u64() > Some(1));
    assert_eq!(answer["storePaths"]["unchanged"], answer["storePaths"]["new"]);
    assert_eq!(answer["new"]["repoTags"], json!(["synth:golden"]));
    // Compressed or not, an image is the same.
    std::fs::write(place.join("100.tar.zst"), zstd::encode_all(&place.read("100.tar")[..], 1).unwrap()).unwrap();
    assert_eq!(diff(&place, "5.tar 100.tar.zst"), answer);
}

/// Store paths of names, below `root`, each with a file of so many bytes; references by name.
fn store(place: &Place, version: char, paths: &[(&str, usize, &[&str])]) {
    let path = |name: &str| path_of(version, name);
    let info = |&(name, size, references): &(&str, usize, &[&str])| {
        place.write(&format!("root{}/file", path(name)), "x".repeat(size));
        let references: Vec<String> = references.iter().map(|name| path(name)).collect();
        json!({"path": path(name), "narSize": size, "references": references})
    };
    let graph: Vec<Value> = paths.iter().map(info).collect();
    place.write(&format!("{version}.graph.json"), json!(graph).to_string());
    let app = path(paths[0].0);
    place.ok(&format!(
        "build --name web --tag {version} --contents {app} --root root --graph {version}.graph.json --max-layers 9 \
         --strategy popularity -o {version}.tar"
    ));
}

/// A path of an image's version; what is called `libc` is the same in all.
fn path_of(version: char, name: &str) -> String {
    let digit = if name == "libc" { 'z' } else { version };
    format!("/nix/store/{}-{name}", digit.to_string().repeat(32))
}

/// An update: a library in a new version, its user, one path less, one more.
fn updated() -> Place {
    let place = Place::new();
    store(
        &place,
        '1',
        &[("app", 2000, &["ssl-3.0", "old"]), ("ssl-3.0", 700, &["libc"]), ("old", 10, &[]), ("libc", 9000, &[])],
    );
    store(
        &place,
        '2',
        &[("app", 2000, &["ssl-3.1", "zoo"]), ("ssl-3.1", 900, &["libc"]), ("zoo", 5, &[]), ("libc", 9000, &[])],
    );
    place
}

#[test]
fn an_update() {
    let place = updated();
    let told = place.ok("inspect --diff 1.tar 2.tar").text().to_owned();
    assert_eq!(place.ok("diff 1.tar 2.tar").text(), told);
    let (head, rest) = told.split_once("\n\n").unwrap();
    let head: Vec<&str> = head.lines().filter(|line| !line.contains("sha256:")).collect();
    let expected = [
        "  old    web:1  linux/amd64, 61.4 kB in 5 layers",
        "  new    web:2  linux/amd64, 61.4 kB in 5 layers",
        "  there  20.5 kB in 1 layer, 33.3 %",
        "  sent   41.0 kB in 4 layers, 66.7 %",
    ];
    assert_eq!(head, expected);
    assert_eq!(
        rest,
        "\
layer     size                                    holds
    0  20.5 kB   33.3 %  there  ████████████████  libc
    1  10.2 kB   16.7 %  sent   ████████          ssl-3.1
    2  10.2 kB   16.7 %  sent   ████████          zoo
    3  10.2 kB   16.7 %  sent   ████████          app
    4  10.2 kB   16.7 %  sent   ████████          customisation layer

change   name           old size  new size  difference
added    zoo                           5 B        +5 B
removed  old                10 B                 -10 B
changed  app             2.00 kB   2.00 kB         0 B
changed  ssl-3.0 → 3.1     700 B     900 B      +200 B

1 added, 1 removed, 2 changed, 1 unchanged
4 paths, 11.7 kB before; 4 paths, 11.9 kB now: +195 B
"
    );
}

#[test]
fn an_update_as_json() {
    let place = updated();
    let answer = diff(&place, "1.tar 2.tar");
    let item = |version, name, size: u64| json!({"path": path_of(version, name), "size": size});
    let expected = json!({
        "added": [item('2', "zoo", 5)],
        "removed": [item('1', "old", 10)],
        "changed": [
            {"old": item('1', "app", 2000), "new": item('2', "app", 2000)},
            {"old": item('1', "ssl-3.0", 700), "new": item('2', "ssl-3.1", 900)},
        ],
        "unchanged": {"paths": 1, "size": 9000},
        "old": {"paths": 4, "size": 11_710},
        "new": {"paths": 4, "size": 11_905},
    });
    assert_eq!(answer["storePaths"], expected);
    assert_eq!(answer["sent"], json!({"layers": 4, "size": 40_960}));
    let same = diff(&place, "2.tar 2.tar");
    assert_eq!(same["sent"], json!({"layers": 0, "size": 0}));
    assert_eq!(same["old"], same["new"]);
}

/// Another store directory holds nothing here.
#[test]
fn other_stores() {
    let place = updated();
    let answer = diff(&place, "1.tar 2.tar --store /gnu/store");
    assert_eq!(answer["storePaths"]["new"], json!({"paths": 0, "size": 0}));
    assert_eq!(answer["layers"][0]["storePaths"], json!([]));
    assert_eq!(answer["sent"], json!({"layers": 4, "size": 40_960}));
}

#[test]
fn what_cannot_be_compared() {
    let place = updated();
    place.write("text", "hello");
    for line in ["1.tar text", "text 2.tar"] {
        let told = place.error_of(&format!("inspect --diff {line}"));
        assert_eq!(told, "error: not an image: text: found no tar header\n");
    }
    let told = place.error_of("inspect --diff absent 2.tar");
    assert_eq!(told, "error: cannot read: absent: No such file or directory (os error 2)\n");
    let told = place.error_of("inspect --diff 1.tar 2.tar --store store");
    let expected = "not a store path: \"store\": expected an absolute store directory, such as /nix/store";
    assert_eq!(told, format!("error: {expected}\n"));
    for line in ["--diff 1.tar", "--diff 1.tar 2.tar 2.tar", "1.tar --store /x", ""] {
        assert_eq!(place.run(&format!("inspect {line}")).code, Some(2), "{line}");
    }
}
