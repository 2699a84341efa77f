//! `inspect` tells what any file of the line is, for people and as JSON.

use crate::support::{Place, answer, golden, synth};
use serde_json::{Value, json};

/// A layout lists an image by its name and by its tag; people read the name.
#[test]
fn names_are_said_once() {
    let place = Place::new();
    place.ok("demo -o oci:demo");
    assert!(place.ok("inspect oci:demo").text().starts_with("layerstone-demo:latest  linux/"));
}

/// A place with a file of every kind.
fn place() -> Place {
    let place = Place::new();
    let root = format!("--root {}", synth().root.display());
    let spec = json!({
        "name": "x", "tag": "y", "contents": [synth().path("root-env")], "config": {"Cmd": ["/bin/git"]}, "maxLayers": 4,
        "graph": synth().graph,
    });
    place.write("image.json", spec.to_string());
    place.ok("closure --spec image.json -o x.closure.json");
    place.ok("layers x.closure.json --max-layers 3 -o x.layers.json");
    place.ok(&format!("layer x.layers.json {root} --index 1 --tarsum -o recipe.layer.json"));
    place.ok(&format!("layer x.layers.json {root} --index 1 --blob x.tar -o blob.layer.json"));
    for name in ["image.tar", "image.tar.gz", "image.tar.zst"] {
        place.ok(&format!("build image.json {root} -o {name}"));
    }
    place
}

/// The table names these things, and the JSON has this at the pointer.
#[track_caller]
fn check(place: &Place, file: &str, table: &[&str], pointer: &str, expected: &Value) {
    let run = place.ok(&format!("inspect {file}"));
    for part in table {
        assert!(run.text().contains(part), "no {part} in\n{}", run.text());
    }
    let run = place.ok(&format!("inspect --json {file}"));
    let found: Value = serde_json::from_slice(&run.stdout).unwrap();
    assert_eq!(found.pointer(pointer), Some(expected), "{file}: {found:#}");
}

#[test]
fn stage_files() {
    let place = place();
    let (libc, bash) = (synth().path("libc-2.36"), synth().path("bash-5.2"));
    let closure = place.json("x.closure.json");
    check(&place, "x.closure.json", &["  libc-2.36\n", "  bash-5.2\n", "NAR size"], "/graph", &closure["graph"]);
    check(&place, "x.closure.json --wide", &[libc, bash], "/graph", &closure["graph"]);
    check(&place, &synth().graph.display().to_string(), &["libc-2.36"], "/graph", &closure["graph"]);
    check(&place, &synth().registration.display().to_string(), &["libc-2.36"], "/graph", &closure["graph"]);
    check(&place, "x.layers.json", &["  libc-2.36, perl", "bash-5.2"], "/layers/0/0", &json!(libc));
    check(&place, "x.layers.json --wide", &[libc, bash], "/layers/0/0", &json!(libc));
    place.write("bare.json", place.json("x.layers.json")["layers"].to_string());
    check(&place, "bare.json", &["libc-2.36", "bash-5.2"], "/layers/0/0", &json!(libc));
    let layer = place.json("recipe.layer.json");
    let facts = [layer["diffId"].as_str().unwrap(), layer["tarsum"].as_str().unwrap(), bash];
    check(&place, "recipe.layer.json", &facts, "/diffId", &layer["diffId"]);
    check(&place, "blob.layer.json", &["x.tar", bash], "/blob", &json!("x.tar"));
    check(&place, "image.json", &["x", synth().path("root-env")], "/maxLayers", &json!(4));
}

/// Compressed or not, an image is the same.
#[test]
fn images() {
    let place = place();
    let told = place.ok("inspect image.tar").text().to_owned();
    let images = |name: &str| {
        let json: Value = serde_json::from_str(place.ok(&format!("inspect --json {name}")).text()).unwrap();
        json["images"].clone()
    };
    for name in ["image.tar.gz", "image.tar.zst"] {
        assert_eq!(place.ok(&format!("inspect {name}")).text(), told);
        assert_eq!(images(name), images("image.tar"));
    }
    for part in ["x:y  linux/", "\n  runs   /bin/git\n", " libc-2.36, perl-5.38\n", " customisation layer\n"] {
        assert!(told.contains(part), "no {part} in\n{told}");
    }
    let wide = place.ok("inspect --wide image.tar").text().to_owned();
    for part in [place.json("recipe.layer.json")["diffId"].as_str().unwrap(), "\"Cmd\": ["] {
        assert!(wide.contains(part), "no {part} in\n{wide}");
    }
    place.ok(&format!("stream {} --root {} -o stream.tar", golden("conf-5.json").display(), synth().root.display()));
    assert!(place.ok("inspect stream.tar").text().contains("synth:golden"));
}

/// What is nothing of the kind is told, not guessed.
#[test]
fn other_files() {
    let place = place();
    place.write("text", "hello");
    assert_eq!(place.error_of("inspect text"), "error: not an image: text: found no tar header\n");
    place.write("empty", "");
    assert!(place.error_of("inspect empty").starts_with("error: not an image: empty: "));
    let tar = place.read("image.tar");
    for end in [512, 700, 10_240, tar.len() / 2] {
        place.write("cut.tar", &tar[..end]);
        assert!(place.error_of("inspect cut.tar").starts_with("error: not an image: cut.tar: "), "{end}");
    }
    let compressed = place.read("image.tar.gz");
    place.write("cut.tar.gz", &compressed[..compressed.len() / 2]);
    assert!(place.error_of("inspect cut.tar.gz").starts_with("error: cannot unpack: cut.tar.gz: "));
}

/// Of several images, the one that is named, with the keys that it has among all.
#[test]
fn one_image_of_several() {
    let place = Place::new();
    for name in ["a", "b"] {
        place.ok(&format!("build --name {name} --tag 1 --cmd {name} --root {} -o {name}.tar", synth().root.display()));
    }
    place.ok("merge a.tar b.tar -o both.tar");
    assert!(place.ok("inspect both.tar#b:1").text().starts_with("b:1  linux/"));
    let one = answer(&place.ok("inspect --json both.tar#b").stdout, "inspect");
    let all: Value = serde_json::from_str(place.ok("inspect --json both.tar").text()).unwrap();
    assert_eq!(one, all["images"][1]);
    let error = "error: no such image: both.tar#c: found a:1, b:1\n";
    assert_eq!(place.error_of("inspect both.tar#c"), error);
}

/// Screens fit 80 columns where there is no terminal, and are coloured if they are asked to be.
#[test]
fn fits_and_colours() {
    let place = place();
    for line in ["inspect image.tar", "inspect x.layers.json", "inspect --tree image.tar"] {
        let run = place.ok(line);
        let longest = run.text().lines().map(|line| line.chars().count()).max();
        assert!(longest <= Some(80) && !run.text().contains('\x1b'), "{line}: {}", run.text());
    }
    let coloured = place.ok("inspect image.tar --color always").text().to_owned();
    assert!(coloured.contains("\x1b[1mx:y\x1b[0m  linux/"), "{coloured}");
    let mut command = place.command("inspect image.tar --color always");
    assert!(command.env("NO_COLOR", "1").output().unwrap().stdout == coloured.as_bytes());
}

/// Which layers another image has, of files and of layouts.
#[test]
fn against_an_old_image() {
    let place = place();
    let root = synth().root.display();
    place.ok(&format!("build image.json --root {root} --max-layers 3 -o old.tar"));
    place.ok("copy image.tar oci:layout");
    for image in ["image.tar", "oci:layout"] {
        let told = place.ok(&format!("inspect {image} --against old.tar")).text().to_owned();
        assert!(
            told.contains(" of it where x:y is\n") && told.contains(" there ") && told.contains(" sent "),
            "{told}"
        );
        let json: Value =
            serde_json::from_str(place.ok(&format!("inspect {image} --against old.tar --json")).text()).unwrap();
        let states: Vec<&str> = json["layers"]
            .as_array()
            .or(json["images"][0]["layers"].as_array())
            .unwrap()
            .iter()
            .map(|layer| layer["state"].as_str().unwrap())
            .collect();
        assert_eq!(told.matches(" there ").count(), states.iter().filter(|state| **state == "there").count());
        assert!(states.contains(&"sent") && states.contains(&"there"), "{states:?}");
    }
    assert!(place.ok("inspect image.tar --against image.tar").text().contains("0 B in 0 layers, 0.0 %"));
}

/// The files of an image as a container sees them, and its directories by size.
#[test]
fn files_and_directories() {
    let place = Place::new();
    place.write("tree/etc/passwd", "root");
    place.write("tree/etc/new\nline", "x");
    place.write("tree/data/large", vec![0; 9000]);
    place.ok("build --name x --copy tree/:/ -o x.tar --no-check");
    let told = place.ok("inspect x.tar --files").text().to_owned();
    assert!(told.contains("    0      4 B  -rw-r--r--  /etc/passwd\n"), "{told}");
    assert!(told.contains("/etc/new\\nline\n"), "{told}");
    let files = |line: &str| -> Vec<String> {
        let json: Value =
            serde_json::from_str(place.ok(&format!("inspect x.tar --json --files {line}")).text()).unwrap();
        assert_eq!((&json["format"], &json["version"]), (&json!("layerstone/files"), &json!(1)));
        json["files"].as_array().unwrap().iter().map(|file| file["path"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(files("passwd"), ["/etc/passwd"]);
    assert_eq!(files("/etc/*"), ["/etc/new\\nline", "/etc/passwd"]);
    assert_eq!(files("nothing"), [""; 0]);
    let tree = place.ok("inspect x.tar --tree").text().to_owned();
    let lines: Vec<&str> = tree.lines().map(|line| line.trim_end()).collect();
    assert!(
        lines[0].ends_with("  /") && lines[1].ends_with("    data/") && lines[2].ends_with("      large"),
        "{tree}"
    );
    let json: Value = serde_json::from_str(place.ok("inspect x.tar --tree --json").text()).unwrap();
    assert_eq!((&json["tree"]["size"], &json["tree"]["below"][0]["name"]), (&json!(9005), &json!("data/")));
}
