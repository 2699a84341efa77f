//! Real clients take the images that the binary makes: the demo and an image of real programs, the small lab closure.
//!
//! | module | shows |
//! |---|---|
//! | `docker` | it loads images plain, compressed and from a pipe, shows what was asked for, and runs them |
//! | `podman` | it loads them and shows the same |
//! | `skopeo` | it reads their manifest and copies them with the digests that we computed |
//! | `umoci` | unpacked, store paths are what they are in the store |
//!
//! No test starts a service: docker's tests use the daemon that `DOCKER_HOST` names, or the usual one.
//! The lab is in the folder that `LAYERSTONE_LAB` names, or where `cargo xtask lab small` puts it.

mod docker;
mod podman;
mod skopeo;
mod umoci;

use crate::support::{Place, digest, skip, test_name};
use serde_json::{Value, json};
use std::fs::{self, File};
use std::io::Read;
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// Where `cargo xtask lab` leaves its closures.
const LAB: &str = "/var/tmp/layerstone-lab";
/// What GNU hello prints.
const GNU_GREETING: &str = "Hello, world!\n";

/// An archive's image as it lies there: read from the tar and hashed here, by nothing of the code under test.
struct Image {
    file: PathBuf,
    /// The digest of the config.
    id: String,
    reference: String,
    config: Value,
    /// The digests of the layers, bottom first.
    diff_ids: Vec<String>,
}

impl Image {
    /// Reads an uncompressed docker archive.
    fn read(file: PathBuf) -> Image {
        let mut members = std::collections::BTreeMap::new();
        for entry in tar::Archive::new(File::open(&file).unwrap()).entries().unwrap() {
            let mut entry = entry.unwrap();
            let mut bytes = Vec::new();
            entry.read_to_end(&mut bytes).unwrap();
            members.insert(entry.path().unwrap().to_str().unwrap().to_owned(), bytes);
        }
        let manifest: Value = serde_json::from_slice(&members["manifest.json"]).unwrap();
        let member = |name: &Value| &members[name.as_str().unwrap()];
        let digest = |name: &Value| format!("sha256:{}", digest(member(name)));
        Image {
            file,
            id: digest(&manifest[0]["Config"]),
            reference: manifest[0]["RepoTags"][0].as_str().unwrap().to_owned(),
            config: serde_json::from_slice(member(&manifest[0]["Config"])).unwrap(),
            diff_ids: manifest[0]["Layers"].as_array().unwrap().iter().map(digest).collect(),
        }
    }

    /// The layers as clients print them.
    fn layers(&self) -> Value {
        json!(self.diff_ids)
    }
}

/// The small lab closure: GNU hello, bash, coreutils and what they need, made of Debian packages.
struct Lab {
    folder: PathBuf,
    /// The root: a tree of links over the others.
    env: String,
}

impl Lab {
    /// The lab, or the running test is skipped.
    #[track_caller]
    fn find() -> Option<Lab> {
        let lab = std::env::var_os("LAYERSTONE_LAB").map_or(PathBuf::from(LAB), PathBuf::from);
        let folder = lab.join("closures/small");
        let env = fs::read_link(folder.join("result")).ok().filter(|env| env.exists());
        let Some(env) = env else {
            skip(&test_name(), &format!("no lab in {}: `cargo xtask lab small` makes it", lab.display()));
            return None;
        };
        Some(Lab { folder, env: env.to_str().unwrap().to_owned() })
    }

    /// The package of this name, whatever its version.
    #[track_caller]
    fn path(&self, name: &str) -> String {
        let paths = fs::read_to_string(self.folder.join("store-paths")).unwrap();
        let is_it = |path: &&str| path.split_once('-').is_some_and(|(_, rest)| rest.starts_with(&format!("{name}-")));
        paths.lines().find(is_it).unwrap_or_else(|| panic!("no {name} in the lab")).to_owned()
    }

    fn graph(&self) -> PathBuf {
        self.folder.join("graph.json")
    }

    /// An image.json with a value for each field that a client shows.
    fn spec(&self) -> Value {
        json!({
            "name": "Layerstone-Test-Small",
            "contents": self.env,
            "graph": self.graph(),
            "created": "2024-02-29T12:34:56Z",
            "config": {
                "Cmd": ["-c", "hello; echo $NAME; pwd; id -u; id -g"],
                "Entrypoint": ["bash"],
                "Env": ["PATH=/bin", "NAME=a value: \"quoted\""],
                "ExposedPorts": { "8080/tcp": {} },
                "Labels": { "org.example.title": "small", "empty": "" },
                "StopSignal": "SIGINT",
                "User": "1000:100",
                "Volumes": { "/data": {} },
                "WorkingDir": "/share",
            },
        })
    }

    /// Its image, `small.tar`.
    fn image(&self, place: &Place) -> Image {
        place.write("small.json", self.spec().to_string());
        let run = place.ok("build small.json -o small.tar");
        let image = Image::read(place.join("small.tar"));
        assert_eq!(run.text(), format!("{} {}\n", image.reference, image.id));
        image
    }
}

/// The demo's image, `demo.tar`.
fn demo(place: &Place) -> Image {
    let run = place.ok("demo -o demo.tar");
    let image = Image::read(place.join("demo.tar"));
    assert!(run.text().contains(&image.id), "{}", run.text());
    image
}

/// What a client shows of an image, under docker's names, is what the image says.
#[track_caller]
fn check_shown(shown: &Value, image: &Image) {
    assert_eq!(shown["Id"].as_str().unwrap().trim_start_matches("sha256:"), &image.id["sha256:".len()..]);
    assert_eq!(shown["RootFS"]["Layers"], image.layers());
    assert_eq!(shown["Architecture"], image.config["architecture"]);
    assert_eq!(shown["Os"], image.config["os"]);
    // nixpkgs writes the time zone as Python does, docker as Go does.
    let created = image.config["created"].as_str().unwrap().replace("+00:00", "Z");
    assert_eq!(shown["Created"], created);
    for (key, value) in image.config["config"].as_object().unwrap() {
        assert_eq!(&shown["Config"][key], value, "{key}");
    }
}

/// What a program prints; it must succeed.
#[track_caller]
pub fn output(command: &mut Command) -> String {
    let output = command.stdin(Stdio::null()).output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {}\n{stderr}", output.status);
    String::from_utf8(output.stdout).unwrap()
}

/// The JSON that a client prints.
#[track_caller]
fn output_json(command: &mut Command) -> Value {
    serde_json::from_str(&output(command)).unwrap()
}
