//! docs/stages.md: every command that it names takes the least file of each kind.

use crate::support::Place;

/// Commands that read each file, as the page names them.
const READERS: [(&str, &[&str]); 5] = [
    (
        "image.json",
        &[
            "build image.json -o x.tar",
            "copy image.json oci:copied",
            "index image.json -o oci:index",
            "check image.json",
            "root --spec image.json -o root.layer.json --blob root.tar",
            "closure --spec image.json --layer empty.layer.json --graph empty.closure.json -o c.json",
            "layers empty.closure.json --spec image.json -o p.json",
            "layer empty.layers.json --spec image.json --all -o of-spec",
            "nix-db empty.closure.json --spec image.json -o db.layer.json --blob db.tar",
            "image --spec image.json empty.layer.json -o image.tar",
            "ninja image.json --image ninja.tar",
            "make image.json --image make.tar",
            "inspect image.json",
        ],
    ),
    (
        "empty.closure.json",
        &[
            "layers empty.closure.json --max-layers 3 -o p.json",
            "nix-db empty.closure.json -o db.layer.json --blob db.tar",
            "closure --verify empty.closure.json",
            "closure --diff empty.closure.json empty.closure.json",
            "explain empty.closure.json --max-layers 3",
            "diff empty.closure.json empty.closure.json",
            "inspect empty.closure.json",
        ],
    ),
    (
        "empty.layers.json",
        &[
            "layer empty.layers.json --all -o all",
            "layers empty.closure.json --max-layers 3 --previous empty.layers.json -o p.json",
            "layers --check empty.layers.json empty.closure.json",
            "diff empty.layers.json empty.layers.json",
            "inspect empty.layers.json",
        ],
    ),
    (
        "empty.layer.json",
        &[
            "image --spec image.json empty.layer.json -o image.tar",
            "closure --graph empty.closure.json --layer empty.layer.json -o c.json",
            "layer empty.layers.json --all --known . -o known",
            "inspect empty.layer.json",
        ],
    ),
    ("rates.json", &["layers empty.closure.json --max-layers 3 --strategy least-churn --rates rates.json -o p.json"]),
];

/// The files of the page, which are in blocks with their names.
fn files(page: &str) -> Vec<(&str, &str)> {
    let blocks = page.split("```json ").skip(1);
    blocks.map(|block| block.split("```").next().unwrap().split_once('\n').unwrap()).collect()
}

#[test]
fn least_files() {
    let page = include_str!("../../../docs/stages.md");
    let place = Place::new();
    place.write("empty.tar", [0; 1024]);
    for (name, text) in files(page) {
        place.write(name, text);
    }
    let named: Vec<&str> = files(page).iter().map(|(name, _)| *name).collect();
    assert_eq!(named, READERS.map(|(name, _)| name));
    for (name, lines) in READERS {
        for line in lines {
            assert!(line.contains(name) || line.contains("--known ."), "{line}");
            place.ok(line);
        }
    }
    // And nothing less is.
    for (name, line) in [
        ("image.json", "build image.json -o x.tar"),
        ("empty.closure.json", "layers empty.closure.json --max-layers 3 -o p.json"),
        ("empty.layers.json", "layer empty.layers.json --all -o all"),
        ("empty.layer.json", "closure --graph empty.closure.json --layer empty.layer.json -o c.json"),
    ] {
        place.write(name, "{}");
        // An object without keys is a closure of nothing, as Nix writes one.
        assert_eq!(place.run(line).code, Some(i32::from(name != "empty.closure.json")), "{line}");
    }
}
