//! nix/examples.nix: every example builds, loads into docker and runs.

use super::machine::Machine;
use crate::support::archive::{manifest, members};
use crate::support::docker::{Docker, Loaded, Turn, client};
use crate::support::{output, require_tool};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

/// The examples, built once for all tests, and docker.
pub struct Examples {
    pub machine: Machine,
    /// Of each: its store path, and what it says of its name and tag.
    facts: Value,
}

impl Examples {
    /// The examples, or the running test is skipped.
    #[track_caller]
    pub fn find() -> Option<&'static Examples> {
        static EXAMPLES: OnceLock<Option<Examples>> = OnceLock::new();
        if !require_tool("zstd") {
            return None;
        }
        EXAMPLES.get_or_init(Examples::new).as_ref()
    }

    #[track_caller]
    fn new() -> Option<Examples> {
        let api = Path::new(env!("CARGO_MANIFEST_DIR")).with_file_name("nix");
        let mut sources: Vec<PathBuf> = api.read_dir().unwrap().map(|entry| entry.unwrap().path()).collect();
        sources.sort();
        let sources: Vec<&Path> = sources.iter().map(|path| &**path).collect();
        let facts = r#"builtins.mapAttrs (_: it: {
            path = it.outPath;
            reference = if it ? imageName then "${it.imageName}:${it.imageTag}" else null;
            isExe = it.isExe or false;
        }) layerstone.examples"#;
        let machine = Machine::shared("nix-examples", &sources, |machine| {
            machine.build("layerstone.examples");
            machine.place.write("facts.json", machine.value(facts).to_string());
        })?;
        Some(Examples { facts: machine.place.json("facts.json"), machine })
    }

    /// Where an example is, on the test's machine.
    pub fn file(&self, name: &str) -> PathBuf {
        self.machine.locate(self.facts[name]["path"].as_str().unwrap_or_else(|| panic!("no example {name}")))
    }

    /// The same as an archive that every docker takes: zstd is not known to all of them.
    fn unpacked(&self, name: &str) -> PathBuf {
        let file = self.file(name);
        if file.extension().is_none_or(|ending| ending != "zst") {
            return file;
        }
        let plain = self.machine.place.join(format!("{name}.tar"));
        output(Command::new("zstd").args(["--decompress", "--quiet", "--force", "-o"]).arg(&plain).arg(file));
        plain
    }

    /// Loads an example into docker, as what it says it is.
    #[track_caller]
    pub fn load<'a>(&self, name: &str, turn: &'a Turn) -> Loaded<'a> {
        let reference = self.facts[name]["reference"].as_str().unwrap();
        if self.facts[name]["isExe"] != true {
            return turn.load(&self.unpacked(name), reference);
        }
        let loaded = turn.loaded(reference);
        let mut stream = self.machine.command(self.facts[name]["path"].as_str().unwrap());
        let mut stream = stream.stdout(Stdio::piped()).spawn().unwrap();
        let mut load = Command::new("docker");
        let told = load.arg("load").stdin(stream.stdout.take().unwrap()).output().unwrap();
        assert!(stream.wait().unwrap().success());
        let docker_said = String::from_utf8_lossy(&told.stdout);
        assert_eq!(docker_said, format!("Loaded image: {reference}\n"), "{}", String::from_utf8_lossy(&told.stderr));
        loaded
    }
}

/// What the images print when they are run: of some their own command, of others these words.
#[test]
fn they_load_and_run() {
    let (Some(docker), Some(examples)) = (Docker::find(), Examples::find()) else { return };
    let turn = docker.turn();
    let hello = "Hello, world!\n";
    let cases: &[(&str, &[&str], &str)] = &[
        ("bash", &["bash", "-c", "echo $((6 * 7))"], "42\n"),
        ("bashNoTag", &["/bin/bash", "-c", "echo tagged"], "tagged\n"),
        ("bashNoTagLayered", &["/bin/bash", "-c", "echo tagged"], "tagged\n"),
        ("bashNoTagStreamLayered", &["/bin/bash", "-c", "echo tagged"], "tagged\n"),
        ("bashZstdCompressed", &["/bin/bash", "-c", "echo zstd"], "zstd\n"),
        ("bashUncompressed", &["/bin/bash", "-c", "echo none"], "none\n"),
        ("bashLayeredZstdCompressed", &["/bin/bash", "-c", "echo zstd"], "zstd\n"),
        ("bashLayeredUncompressed", &["/bin/bash", "-c", "echo none"], "none\n"),
        ("bashLayeredWithUser", &["/bin/stat", "-c", "%a", "/nix/store"], "755\n"),
        ("layeredImageWithFakeRootCommands", &["/bin/stat", "-c", "%u", "/home/alice"], "1000\n"),
        ("imageViaFakeChroot", &[], hello),
        ("chownTestImage", &[], "12345:12345\n"),
        ("nonRootTestImage", &[], "1000:1000\n"),
        ("runAsRootExtraCommands", &["/bin/cat", "extraCommands", "runAsRoot"], "extraCommands\nrunAsRoot\n"),
        ("layered-image", &[], hello),
        ("layered-image", &["/bin/cat", "/extraCommands"], "extraCommands\n"),
        ("another-layered-image", &[], hello),
        ("layered-on-top", &[], "hello\n"),
        ("layered-on-top-layered", &[], "hello\n"),
        ("layersOrder", &["/bin/cat", "/tmp/layer1", "/tmp/layer2", "/tmp/layer3"], "layer1\nlayer2\nlayer3\n"),
        ("layersUnpackOrder", &["/bin/cat", "/layer-order"], "abc"),
        ("two-layered-image", &[], hello),
        ("bulk-layer", &["/bin/hello"], hello),
        ("layered-bulk-layer", &["/bin/hello"], hello),
        ("helloOnRoot", &[], hello),
        ("prefixedImage", &[], hello),
        ("prefixedLayeredImage", &[], hello),
        ("build-image-with-path", &["/bin/ls", "/examples.nix"], "/examples.nix\n"),
        ("layered-image-with-path", &["/bin/ls", "/examples.nix"], "/examples.nix\n"),
        ("image-with-helpers", &[], "ready\n"),
        ("imageWithNixDb", &["/bin/bash", "-c", "cd /nix/var/nix/db && echo *"], "big-lock db.sqlite schema\n"),
        ("layeredImageWithNixDb", &["/bin/bash", "-c", "cd /nix/var/nix/db && echo *"], "big-lock db.sqlite schema\n"),
    ];
    for (name, words, expected) in cases {
        assert_eq!(examples.load(name, &turn).run(words), *expected, "{name}");
    }
}

/// What docker shows of images, and what it refuses to run.
#[test]
fn what_docker_shows_of_them() {
    let (Some(docker), Some(examples)) = (Docker::find(), Examples::find()) else { return };
    let turn = docker.turn();
    let shown = |name: &str| examples.load(name, &turn).shown();
    assert_eq!(shown("bash")["Created"], "1970-01-01T00:00:01Z");
    for name in ["unstableDate", "unstableDateLayered"] {
        assert!(!shown(name)["Created"].as_str().unwrap().starts_with("1970"), "{name}");
    }
    for name in ["build-image-with-architecture", "layered-image-with-architecture"] {
        assert_eq!(shown(name)["Architecture"], "arm64", "{name}");
    }
    for name in ["environmentVariables", "environmentVariablesLayered"] {
        assert_eq!(
            shown(name)["Config"]["Env"],
            json!(["FROM_PARENT=true", "LAST_LAYER=child", "FROM_CHILD=true"]),
            "{name}"
        );
    }
    let shared = |name: &str| examples.load(name, &turn).layers();
    let (one, another) = (shared("layered-image"), shared("another-layered-image"));
    assert!(one.iter().filter(|layer| another.contains(layer)).count() > 3, "{one:?} {another:?}");
    assert_eq!(shared("layered-bulk-layer").len(), 4);
    for name in ["helloOnRootNoStore", "helloOnRootNoStoreFakechroot"] {
        let image = examples.load(name, &turn);
        assert!(!image.container("", &[]).output().unwrap().status.success(), "{name}");
        let volume = format!("--volume {}:/nix/store:ro", examples.machine.place.join("nix/store").display());
        let output = image.container(&volume, &[]).output().unwrap();
        assert_eq!(String::from_utf8_lossy(&output.stdout), "Hello, world!\n", "{name}");
    }
    let image = examples.load("no-store-paths", &turn);
    assert_eq!(image.layers().len(), 1);
}

/// Several images in one archive, and one as files.
#[test]
fn merged_and_exported() {
    let (Some(docker), Some(examples)) = (Docker::find(), Examples::find()) else { return };
    let turn = docker.turn();
    let tag = examples.facts["bashNoTag"]["reference"].as_str().unwrap();
    for (name, references) in [
        ("mergedBashAndHello", &["bash:latest", "layered-image:latest"][..]),
        ("mergedBashNoTagAndHello", &[tag, "layered-image:latest"]),
        ("mergeVaryingCompressor", &["layered-image:latest", "bash-uncompressed:latest", "bash-zstd:latest"]),
    ] {
        let loaded: Vec<Loaded<'_>> = references.iter().map(|reference| turn.loaded(reference)).collect();
        output(client("load -i").arg(examples.unpacked(name)));
        for image in loaded {
            assert!(!image.layers().is_empty(), "{name}");
        }
    }
    let files = members(&std::fs::read(examples.file("exportBash")).unwrap());
    assert!(files.iter().any(|member| member.name == b"./bin/bash"));
    // An archive is as it is called.
    let plain = std::fs::read(examples.file("bashUncompressed")).unwrap();
    assert_eq!(manifest(&plain)["RepoTags"], json!(["bash-uncompressed:latest"]));
}
