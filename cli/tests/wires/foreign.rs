//! The programs of examples/ in the place of stages: the images hold the same files.

use super::{Tool, text};
use crate::support::lab::Lab;
use crate::support::{Place, require_tool};
use serde_json::json;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

/// Builds an image of the lab with stages replaced, and compares its files with those of `build`.
#[track_caller]
fn check(name: &str, stages: &[(&str, &str)], tools: &[Tool]) {
    let Some(lab) = Lab::find("small") else { return };
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join("examples");
    for tool in tools {
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
        // Some programs run the binary for what is none of theirs.
        fs::create_dir(place.join("bin")).unwrap();
        symlink(env!("CARGO_BIN_EXE_layerstone"), place.join("bin/layerstone")).unwrap();
        let path = format!("{}:{}", place.join("bin").display(), std::env::var("PATH").unwrap());
        let done = tool.command(&place, tool.file()).args(["-j", "2"]).env("PATH", path).output().unwrap();
        assert!(done.status.success(), "{name}: {}", text(&done));
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
        check("layers", &[("layers", "python3 examples/layers.py")], &Tool::all());
    }
}

/// nix-store tells the closure.
#[test]
fn closure_by_nix_store() {
    if require_tool("nix-store") {
        check("closure", &[("closure", "sh examples/closure.sh")], &Tool::all());
    }
}

/// Contents that are links into the store, by an absolute path and by one from the spec's directory on, are told of too.
#[test]
fn closure_of_links() {
    let Some(lab) = Lab::find("small").filter(|_| require_tool("nix-store")) else { return };
    let place = Place::new();
    symlink(&lab.env, place.join("result")).unwrap();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join("examples/closure.sh");
    for link in ["result".to_owned(), place.join("result").display().to_string()] {
        place.write("image.json", json!({"name": "x", "contents": [link]}).to_string());
        let mut run = Command::new("sh");
        run.arg(&script).args(["--spec", "image.json", "-o", "x.closure"]);
        let run = run.current_dir(place.path()).output().unwrap();
        assert!(run.status.success(), "{link}: {}", text(&run));
        let told = String::from_utf8(place.read("x.closure")).unwrap();
        assert!(told.lines().any(|line| Path::new(line) == Path::new(&lab.env)), "{link}: {told}");
    }
}

/// GNU tar makes the layers.
#[test]
fn layer_by_tar() {
    if require_tool("tar") && require_tool("sha256sum") {
        check("layer", &[("layer", "sh examples/layer.sh")], &Tool::all());
    }
}

/// All programs in all mixtures with the stages themselves.
#[test]
fn all_mixtures() {
    if !["skopeo", "python3", "nix-store", "tar", "sha256sum"].into_iter().all(require_tool) {
        return;
    }
    let programs = [
        ("closure", "sh examples/closure.sh"),
        ("layers", "python3 examples/layers.py"),
        ("layer", "sh examples/layer.sh"),
        ("image", "python3 examples/image.py"),
    ];
    for mixture in 0..1 << programs.len() {
        let of_mixture = programs.iter().enumerate().filter(|(index, _)| mixture >> index & 1 == 1);
        let stages: Vec<(&str, &str)> = of_mixture.map(|(_, program)| *program).collect();
        check(&format!("{stages:?}"), &stages, &Tool::all()[..1]);
    }
}
