//! ninja and make run the stages: real ones, on rules that `layerstone ninja` and `layerstone make` write.

mod flags;
mod foreign;
mod kinds;
mod names;
mod progress;
mod replaced;

use crate::support::{Place, digest, require_tool};
use serde_json::{Value, json};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

/// What runs rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tool {
    Ninja,
    Make,
}

/// What a tool did.
#[derive(Debug)]
pub struct Done {
    /// The stages that it ran, in order; a layer as `layer`.
    pub stages: Vec<String>,
    /// All that it printed.
    pub text: String,
    /// Whether it succeeded.
    pub ok: bool,
}

impl Tool {
    /// Those that are here.
    pub fn all() -> Vec<Tool> {
        let tools = [(Tool::Ninja, "ninja"), (Tool::Make, "make")];
        tools.into_iter().filter(|(_, name)| require_tool(name)).map(|(tool, _)| tool).collect()
    }

    /// The command that writes rules for it.
    pub fn name(self) -> &'static str {
        if self == Tool::Ninja { "ninja" } else { "make" }
    }

    /// The file of rules that is written unless told otherwise.
    pub fn file(self) -> &'static str {
        if self == Tool::Ninja { "build.ninja" } else { "image.mk" }
    }

    /// The tool on a file of rules, in the environment of the binary; every stage that it runs is noted in `log`.
    pub fn command(self, place: &Place, file: &str) -> Command {
        let mut command = Command::new(self.name());
        command.args(["-f", file]).current_dir(place.path()).env_clear().env("TMPDIR", place.temporary());
        command.env("PATH", std::env::var_os("PATH").unwrap());
        command
    }

    /// Runs it.
    pub fn run(self, place: &Place, file: &str, more: &[&str]) -> Done {
        let log = place.join("log");
        fs::write(&log, "").unwrap();
        let output = self.command(place, file).args(more).output().unwrap();
        let stages = fs::read_to_string(&log).unwrap().lines().map(str::to_owned).collect();
        Done { stages, text: text(&output), ok: output.status.success() }
    }

    /// Runs it, and it must succeed; the stages that it ran.
    #[track_caller]
    pub fn ok(self, place: &Place, more: &[&str]) -> Vec<String> {
        let done = self.run(place, self.file(), more);
        assert!(done.ok, "{self:?}: {}", done.text);
        done.stages
    }
}

pub fn text(output: &Output) -> String {
    [&*output.stdout, &*output.stderr].iter().map(|bytes| String::from_utf8_lossy(bytes)).collect()
}

/// A place with a store of its own: `app` and `tool` use `lib`, all use `libc`; each has a layer. `layerstone` in it notes
/// each stage in `log`.
pub fn wired() -> Place {
    let place = Place::new();
    place.write("version", "1");
    store(&place, "1");
    let wrapper = format!("#!/bin/sh\necho \"$1\" >> log\nexec {} \"$@\"\n", env!("CARGO_BIN_EXE_layerstone"));
    let wrapper = place.write("layerstone", wrapper);
    fs::set_permissions(wrapper, fs::Permissions::from_mode(0o755)).unwrap();
    place
}

/// The store with the app in this version, and a spec of it.
fn store(place: &Place, version: &str) {
    let app = format!("app-{version}");
    let uses: [(&str, &[&str]); 4] =
        [("libc", &[]), ("lib", &["libc"]), ("tool", &["lib", "libc"]), (&app, &["lib", "tool"])];
    let graph: Vec<Value> = uses
        .iter()
        .map(|(name, references)| {
            place.write(&format!("root{}/bin/run", path(name)), format!("{name} {references:?}"));
            let references: Vec<String> = references.iter().map(|name| path(name)).collect();
            json!({"path": path(name), "narSize": 1000, "references": references})
        })
        .collect();
    place.write("graph.json", json!(graph).to_string());
    let spec = json!({"name": "x", "tag": "1", "contents": [path(&app)], "graph": "graph.json", "maxLayers": 9});
    place.write("image.json", spec.to_string());
}

/// The store path of a name.
pub fn path(name: &str) -> String {
    format!("/nix/store/{}-{name}", &digest(name.as_bytes()).trim_start_matches("sha256:")[..32].replace('e', "z"))
}

/// Writes the rules of a tool.
#[track_caller]
pub fn write(place: &Place, tool: Tool, more: &str) {
    place.ok(&format!("{} image.json --root root --image x.tar --program ./layerstone {more}", tool.name()));
}

/// The stages of a full build.
pub fn all(tool: Tool) -> Vec<String> {
    let mut stages = vec!["root", "closure", "layers", tool.name()];
    stages.extend(["layer"; 4]);
    stages.push("image");
    stages.into_iter().map(str::to_owned).collect()
}

/// The image is what `build` makes.
#[track_caller]
pub fn check(place: &Place) {
    place.ok("build image.json --root root -o expected.tar");
    assert!(place.read("x.tar") == place.read("expected.tar"));
}

/// A full build, one that has nothing to do, one file after another gone, one store path changed.
#[test]
fn what_is_made_anew() {
    for tool in Tool::all() {
        let place = wired();
        write(&place, tool, "");
        assert_eq!(tool.ok(&place, &[]), all(tool), "{tool:?}");
        check(&place);
        assert!(tool.ok(&place, &[]).is_empty());

        // A spec that says nothing else: its stages run, and what they make stays.
        fs::write(place.join("image.json"), place.read("image.json")).unwrap();
        assert_eq!(tool.ok(&place, &[]), ["root", "closure", "layers", tool.name(), "image"], "{tool:?}");
        assert!(tool.ok(&place, &[]).is_empty());

        let layers = fs::read_dir(place.join("layerstone.build/layers")).unwrap().map(|entry| entry.unwrap().path());
        let one = layers.filter(|path| path.extension().is_some_and(|it| it == "json")).min().unwrap();
        fs::remove_file(&one).unwrap();
        assert_eq!(tool.ok(&place, &[]), ["layer", "image"], "{tool:?}");
        for (file, stage) in [("root.tar", "root"), ("root.layer.json", "root"), ("image.closure.json", "closure")] {
            fs::remove_file(place.join("layerstone.build").join(file)).unwrap();
            let stages = tool.ok(&place, &[]);
            assert_eq!(stages.first().map(String::as_str), Some(stage), "{tool:?} {file}");
            assert!(!stages.contains(&"layer".to_owned()), "{tool:?} {file}: {stages:?}");
            assert!(tool.ok(&place, &[]).is_empty(), "{tool:?} {file}");
        }
        fs::remove_file(place.join("layerstone.build/image.layers.json")).unwrap();
        let stages = tool.ok(&place, &[]);
        assert!(stages[0] == "layers" && !stages.contains(&"layer".to_owned()), "{tool:?}: {stages:?}");
        fs::remove_file(place.join("x.tar")).unwrap();
        assert_eq!(tool.ok(&place, &[]), ["image"]);

        // One path changes, and with it one layer.
        store(&place, "2");
        let stages = tool.ok(&place, &[]);
        assert_eq!(stages, ["root", "closure", "layers", tool.name(), "layer", "image"], "{tool:?}");
        check(&place);
        assert!(tool.ok(&place, &[]).is_empty());
        // Back again: its layer is still there.
        store(&place, "1");
        let stages = tool.ok(&place, &[]);
        assert_eq!(stages, ["root", "closure", "layers", tool.name(), "image"], "{tool:?}");
        check(&place);
    }
}

/// Many at once, and time and owner of another spec: other layers, of other names.
#[test]
fn in_parallel_and_otherwise_stamped() {
    for tool in Tool::all() {
        let place = wired();
        write(&place, tool, "");
        let mut stages = tool.ok(&place, &["-j", "4"]);
        let mut expected = all(tool);
        stages.sort();
        expected.sort();
        assert_eq!(stages, expected);
        check(&place);
        let mut spec = place.json("image.json");
        spec["mtime"] = json!("2001-02-03T04:05:06Z");
        spec["uname"] = json!("it's $HOME");
        place.write("image.json", spec.to_string());
        let stages = tool.ok(&place, &["-j", "4"]);
        assert_eq!(stages.iter().filter(|stage| *stage == "layer").count(), 4, "{tool:?}: {stages:?}");
        check(&place);
        assert!(tool.ok(&place, &[]).is_empty());
    }
}

/// A build that is interrupted goes on where it was; what was there is whole.
#[test]
fn interrupted_and_taken_up() {
    for tool in Tool::all() {
        let place = wired();
        write(&place, tool, "");
        fs::write(place.join("log"), "").unwrap();
        let mut child = tool.command(&place, tool.file()).spawn().unwrap();
        let begin = Instant::now();
        while !place.join("layerstone.build/image.closure.json").exists() {
            assert!(begin.elapsed() < Duration::from_secs(60), "{tool:?}");
            crate::support::process::pause();
        }
        rustix_kill(&child);
        child.wait().unwrap();
        let stages = tool.ok(&place, &[]);
        assert!(!stages.contains(&"root".to_owned()), "{tool:?}: {stages:?}");
        check(&place);
        assert!(tool.ok(&place, &[]).is_empty());
    }
}

/// SIGINT, as from a terminal.
fn rustix_kill(child: &std::process::Child) {
    let status = Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert!(status.success());
}

/// Contents named by a link, as nix-build makes one: where it leads is looked at each time, and nothing else is done.
#[test]
fn a_link_that_leads_elsewhere() {
    for tool in Tool::all() {
        let place = wired();
        store(&place, "2");
        let graph = place.json("graph.json");
        store(&place, "1");
        let mut both = place.json("graph.json");
        let new = graph.as_array().unwrap().last().unwrap().clone();
        both.as_array_mut().unwrap().push(new);
        place.write("graph.json", both.to_string());
        let mut spec = place.json("image.json");
        spec["contents"] = json!(["./result"]);
        place.write("image.json", spec.to_string());
        std::os::unix::fs::symlink(path("app-1"), place.join("result")).unwrap();
        write(&place, tool, "");
        assert_eq!(tool.ok(&place, &[]), all(tool), "{tool:?}");
        check(&place);
        assert!(tool.ok(&place, &[]).is_empty(), "{tool:?}");
        fs::remove_file(place.join("result")).unwrap();
        std::os::unix::fs::symlink(path("app-2"), place.join("result")).unwrap();
        let stages = tool.ok(&place, &[]);
        assert_eq!(stages.iter().filter(|stage| *stage == "layer").count(), 1, "{tool:?}: {stages:?}");
        check(&place);
        assert!(tool.ok(&place, &[]).is_empty(), "{tool:?}");
    }
}

/// What was read and is gone, a script and a store path, does not stop the rules once nothing names it.
#[test]
fn inputs_that_are_gone() {
    for tool in Tool::all() {
        let place = wired();
        place.write("first.sh", "echo 1 > file");
        place.write("second.sh", "echo 2 > file");
        let with = |script: &str| {
            let mut spec = place.json("image.json");
            spec["extraCommandsFile"] = json!(script);
            place.write("image.json", spec.to_string());
        };
        with("first.sh");
        write(&place, tool, "");
        tool.ok(&place, &[]);
        store(&place, "2");
        with("second.sh");
        fs::remove_file(place.join("first.sh")).unwrap();
        fs::remove_dir_all(place.join(format!("root{}", path("app-1")))).unwrap();
        write(&place, tool, "");
        tool.ok(&place, &[]);
        check(&place);
        assert!(tool.ok(&place, &[]).is_empty(), "{tool:?}");
    }
}

/// A plan of another version is made again.
#[test]
fn a_plan_of_another_version() {
    for tool in Tool::all() {
        let place = wired();
        write(&place, tool, "");
        tool.ok(&place, &[]);
        place.write(
            "layerstone.build/image.layers.json",
            r#"{"format": "layerstone/layers", "version": 0, "layers": []}"#,
        );
        let line = format!("{} image.json --root root --image x.tar --program ./layerstone", tool.name());
        let told = place.ok(&line).stderr;
        assert!(
            told.starts_with("warning: planning anew: wrong format: layerstone.build/image.layers.json: "),
            "{told}"
        );
        tool.ok(&place, &[]);
        check(&place);
        assert!(tool.ok(&place, &[]).is_empty(), "{tool:?}");
    }
}

/// A stage that fails ends the build with its message, and the next one begins with it.
#[test]
fn a_stage_that_fails() {
    for tool in Tool::all() {
        let place = wired();
        write(&place, tool, "");
        let tool_path = place.join(format!("root{}", path("tool")));
        fs::rename(&tool_path, place.join("away")).unwrap();
        let done = tool.run(&place, tool.file(), &[]);
        assert!(!done.ok && done.text.contains(&path("tool")), "{tool:?}: {}", done.text);
        assert!(!place.join("x.tar").exists());
        fs::rename(place.join("away"), &tool_path).unwrap();
        assert!(tool.run(&place, tool.file(), &[]).ok);
        check(&place);
    }
}
