//! `layerstone init`: what it writes is built as it is.

use crate::support::Place;
use crate::support::archive;
use serde_json::{Value, json};
use std::os::unix::fs::symlink;

const APP: &str = "nix/store/xr2yc61k4shzhlyhz13n4pgbqyy4wvxr-app-1.0";

/// A place with a program, a directory, the root of an image, a tar and a store path that a link leads to.
fn place() -> Place {
    let place = Place::new();
    place.write_mode("run.sh", "#!/bin/run\n", 0o755);
    place.write("notes.txt", "x");
    place.write("site/index.html", "x");
    place.write_mode("tool/tool", "\u{7f}not an ELF file", 0o755);
    place.write_mode("rootfs/bin/only", "x", 0o755);
    place.write("rootfs/etc/conf", "x");
    place.write_mode(&format!("root/{APP}/bin/app"), "x", 0o755);
    place.write_mode(&format!("root/{APP}/bin/other"), "x", 0o755);
    symlink(format!("/{APP}"), place.join("result")).unwrap();
    let tar = place.command("merge-trees rootfs -o rootfs.tar").output().unwrap();
    assert!(tar.status.success(), "{tar:?}");
    place
}

/// Writes an image.json, builds it and gives both, the config of the image for the second.
#[track_caller]
fn built(place: &Place, line: &str) -> (Value, Value) {
    let _ = std::fs::remove_file(place.join("image.json"));
    place.ok(&format!("init {line} --root root"));
    place.ok("build image.json --root root --no-cache --no-check --scan -o ../out.tar");
    let tar = std::fs::read(place.path().join("../out.tar")).unwrap();
    (place.json("image.json"), archive::config(&tar)["config"].clone())
}

#[test]
fn of_everything() {
    let place = place();
    let cases = [
        (
            "run.sh",
            json!({"name": "run.sh", "copy": [{"from": "run.sh", "to": "/bin/run.sh"}], "config": {"Cmd": ["/bin/run.sh"]}}),
        ),
        ("notes.txt", json!({"name": "notes.txt", "copy": [{"from": "notes.txt", "to": "/notes.txt"}], "config": {}})),
        ("./site", json!({"name": "site", "copy": [{"from": "./site", "to": "/site"}], "config": {}})),
        ("tool", json!({"name": "tool", "copy": [{"from": "tool", "to": "/tool"}], "config": {"Cmd": ["/tool/tool"]}})),
        (
            "rootfs",
            json!({"name": "rootfs", "copy": [{"from": "rootfs", "to": "/"}], "config": {"Cmd": ["/bin/only"]}}),
        ),
        ("rootfs.tar", json!({"name": "rootfs", "copy": [{"from": "rootfs.tar", "to": "/"}], "config": {}})),
        ("./result", json!({"name": "app", "contents": ["./result"], "config": {"Cmd": ["/bin/app"]}})),
        (
            "site --name Web/Site --cmd /bin/serve --cmd -v",
            json!({"name": "Web/Site", "copy": [{"from": "site", "to": "/site"}], "config": {"Cmd": ["/bin/serve", "-v"]}}),
        ),
    ];
    for (line, expected) in cases {
        let (mut found, config) = built(&place, line);
        assert_eq!(found.as_object_mut().unwrap().shift_remove("tag"), Some(json!("latest")), "{line}");
        assert_eq!(found, expected, "{line}");
        assert_eq!(config.get("Cmd"), expected["config"].get("Cmd"), "{line}");
    }
    let (empty, _) = built(&place, "");
    assert_eq!(empty.as_object().unwrap().keys().collect::<Vec<_>>(), ["name", "tag", "config"]);
}

/// A program of this machine brings its interpreter and libraries along.
#[test]
fn of_a_program_that_needs_libraries() {
    let place = Place::new();
    std::fs::copy("/bin/true", place.join("true")).unwrap();
    place.ok("init true");
    assert_eq!(place.json("image.json")["copy"][0]["libraries"], true);
    place.ok("build image.json --no-cache --strict -o ../x.tar");
}

/// The directory that it is written into may be the one that is copied.
#[test]
fn of_the_folder_itself() {
    let place = Place::new();
    place.write("app/index.html", "x");
    place.ok("init app -o app/image.json");
    let entry = place.json("app/image.json")["copy"][0].clone();
    assert_eq!(entry["to"], "/app");
    assert_eq!(entry["exclude"], json!(["image.json", "*.tar"]));
    assert!(entry["from"].as_str().unwrap().starts_with('/'));
    place.ok("build app/image.json --no-cache -o app/x.tar");
    place.ok("build app/image.json --no-cache -o app/x.tar");
    let tar = place.read("app/x.tar");
    let layer = archive::member(&tar, archive::manifest(&tar)["Layers"][0].as_str().unwrap());
    let names: Vec<String> =
        archive::members(&layer).into_iter().map(|it| String::from_utf8(it.name).unwrap()).collect();
    assert!(names.iter().any(|name| name.ends_with("app/index.html")), "{names:?}");
    assert!(!names.iter().any(|name| name.contains("image.json") || name.contains("x.tar")), "{names:?}");
}

#[test]
fn nothing_is_replaced() {
    let place = place();
    place.write("image.json", "mine");
    let error = place.fail("init site");
    assert!(
        error.contains("cannot write: image.json: it exists, expected another file, or --force with it"),
        "{error}"
    );
    place.fail("init image.json --force");
    place.fail("init absent -o new.json");
    place.fail("init site -o new.json --name UPPER:x:y");
    place.ok("init site --force");
    assert_eq!(place.json("image.json")["name"], "site");
    let printed = place.ok("init site -o -");
    assert_eq!(printed.stdout, place.read("image.json"));
    // Keys stand in an order for people.
    let text = printed.text();
    let at = |key: &str| text.find(&format!("\n  \"{key}\": ")).unwrap();
    assert!(at("name") < at("tag") && at("tag") < at("copy") && at("copy") < at("config"), "{text}");
}
