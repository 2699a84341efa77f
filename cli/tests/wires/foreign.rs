//! The programs of examples/ in the place of stages: the images hold the same files.

use super::{Tool, text};
use crate::support::lab::Lab;
use crate::support::{Place, require_tool};
use serde_json::json;
use std::path::Path;
use std::process::Command;

/// Builds an image of the lab with stages replaced, and compares its files with those of `build`.
#[track_caller]
fn check(name: &str, stages: &[(&str, &str)]) {
    let Some(lab) = Lab::find("small") else { return };
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join("examples");
    for tool in Tool::all() {
        let place = Place::new();
        let spec =
            json!({"name": "x", "tag": "1", "contents": [lab.env], "config": {"Cmd": ["/bin/hello"]}, "maxLayers": 9});
        place.write("image.json", spec.to_string());
        let mut command = place.command(&format!("{} image.json --image x.tar", tool.name()));
        for (stage, program) in stages {
            command.args(["--stage", &format!("{stage}={program}").replace("examples", examples.to_str().unwrap())]);
        }
        let output = command.output().unwrap();
        assert!(output.status.success(), "{}", text(&output));
        let done = tool.run(&place, tool.file(), &["-j", "2"]);
        assert!(done.ok, "{name}: {}", done.text);
        let done = tool.run(&place, tool.file(), &[]);
        assert!(done.ok && done.stages.is_empty() && !done.text.contains("hello"), "{name}: {}", done.text);
        place.ok("build image.json -o expected.tar");
        for image in ["x", "expected"] {
            let line = format!("{image}.tar");
            place.ok(&format!("overlay export {line} -o {image}.files"));
            let list = Command::new("tar")
                .args(["-tvf", &format!("{image}.files")])
                .current_dir(place.path())
                .output()
                .unwrap();
            place.write(&format!("{image}.list"), list.stdout);
        }
        assert!(
            place.read("x.files") == place.read("expected.files")
                || place.read("x.list") == place.read("expected.list"),
            "{name}"
        );
    }
}

/// Ten lines of Python decide on the layers.
#[test]
fn layers_by_python() {
    if require_tool("python3") {
        check("layers", &[("layers", "python3 examples/layers.py")]);
    }
}

/// nix-store tells the closure.
#[test]
fn closure_by_nix_store() {
    if require_tool("nix-store") {
        check("closure", &[("closure", "sh examples/closure.sh")]);
    }
}

/// GNU tar makes the layers.
#[test]
fn layer_by_tar() {
    if require_tool("tar") && require_tool("sha256sum") {
        check("layer", &[("layer", "sh examples/layer.sh")]);
    }
}

/// skopeo makes the image, of what the others made.
#[test]
fn image_by_skopeo() {
    if require_tool("skopeo") && require_tool("python3") {
        check("image", &[("layer", "sh examples/layer.sh"), ("image", "python3 examples/image.py")]);
    }
}

/// All of them.
#[test]
fn everything_by_others() {
    if ["skopeo", "python3", "nix-store", "tar"].into_iter().all(require_tool) {
        let stages = [
            ("closure", "sh examples/closure.sh"),
            ("layer", "sh examples/layer.sh"),
            ("image", "python3 examples/image.py"),
        ];
        check("all", &stages);
    }
}
