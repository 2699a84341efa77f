//! Images of every kind as rules: single, on a base, with Nix's database, with a root script; archives and layouts.

use super::{Tool, check, path, wired, write};
use crate::support::{Place, require_root, require_tool};
use serde_json::{Value, json};
use std::fs;

/// Changes the spec.
fn set(place: &Place, more: &Value) {
    let mut spec = place.json("image.json");
    let keys = spec.as_object_mut().unwrap();
    keys.extend(more.as_object().unwrap().clone());
    // Which a single image has not.
    keys.retain(|key, _| key != "maxLayers" || more["kind"] != "single");
    place.write("image.json", spec.to_string());
}

#[track_caller]
fn built(place: &Place, tool: Tool) -> Vec<String> {
    write(place, tool, "");
    let stages = tool.ok(place, &["-j", "2"]);
    check(place);
    assert!(tool.ok(place, &[]).is_empty(), "{tool:?}");
    stages
}

#[test]
fn a_single_image() {
    for tool in Tool::all() {
        let place = wired();
        set(&place, &json!({"kind": "single", "rootMode": "copy"}));
        assert_eq!(built(&place, tool), ["root", "closure", "layers", "layer", "image"]);
    }
}

#[test]
fn with_the_database_of_nix() {
    for tool in Tool::all() {
        for kind in ["layered", "single"] {
            let place = wired();
            set(&place, &json!({"kind": kind, "includeNixDB": true}));
            assert!(built(&place, tool).contains(&"nix-db".to_owned()), "{tool:?} {kind}");
        }
    }
}

#[test]
fn on_a_base() {
    for tool in Tool::all() {
        let place = wired();
        place.write("base.json", r#"{"name": "base", "tag": "1", "extraCommands": "echo base > base"}"#);
        place.ok("build base.json -o base.tar");
        set(&place, &json!({"fromImage": "base.tar"}));
        built(&place, tool);
        // Another base: what depends on it is made again, and no layer of the store.
        place.write("base.json", r#"{"name": "base", "tag": "1", "extraCommands": "echo other > base"}"#);
        place.ok("build base.json -o base.tar");
        let stages = tool.ok(&place, &[]);
        assert!(stages.contains(&"image".to_owned()) && !stages.contains(&"layer".to_owned()), "{tool:?}: {stages:?}");
        check(&place);
    }
}

#[test]
fn with_a_root_script() {
    if !require_root() || !require_tool("busybox") {
        return;
    }
    for tool in Tool::all() {
        // One each, as a machine that gives no sign of life is waited for.
        let kind = if tool == Tool::Ninja { "layered" } else { "single" };
        let place = wired();
        add_shell(&place);
        let script = "mkdir -p /etc; echo root > /etc/who";
        set(&place, &json!({"kind": kind, "contents": [path("sh"), path("app-1")], "runAsRoot": script}));
        let stages = built(&place, tool);
        assert!(stages.contains(&"overlay".to_owned()), "{tool:?} {kind}: {stages:?}");
    }
}

/// A store path with a shell.
pub fn add_shell(place: &Place) {
    let folder = place.join(format!("root{}/bin", path("sh")));
    fs::create_dir_all(&folder).unwrap();
    fs::copy("/usr/bin/busybox", folder.join("sh")).unwrap();
    std::os::unix::fs::symlink("sh", folder.join("mkdir")).unwrap();
    let mut graph = place.json("graph.json");
    graph.as_array_mut().unwrap().push(json!({"path": path("sh"), "narSize": 1000, "references": []}));
    place.write("graph.json", graph.to_string());
}

/// Nothing in the image, and nothing of the store in it.
#[test]
fn without_layers_of_the_store() {
    for tool in Tool::all() {
        let place = wired();
        set(&place, &json!({"includeStorePaths": false}));
        assert_eq!(built(&place, tool), ["root", "closure", "layers", tool.name(), "image"]);
    }
}

#[test]
fn layouts_and_what_is_no_file() {
    for tool in Tool::all() {
        let place = wired();
        for (output, file) in
            [("oci:x y", "x y/index.json"), ("oci-archive:z.tar", "z.tar"), ("x.tar.zst", "x.tar.zst")]
        {
            let mut command = place.command(&format!("{} image.json --root root --folder f --image", tool.name()));
            assert!(command.arg(output).output().unwrap().status.success());
            tool.ok(&place, &[]);
            assert!(place.join(file).is_file() && tool.ok(&place, &[]).is_empty(), "{tool:?} {output}");
            fs::remove_file(place.join(tool.file())).unwrap();
        }
        tool.run(&place, "no such file", &[]);
        // With a plan the image is known to be none.
        let told = place.fail(&format!("{} image.json --root root --folder f --image docker:", tool.name()));
        assert!(told.contains("docker:: expected FILE, oci:DIR or oci-archive:FILE"), "{told}");
    }
}
