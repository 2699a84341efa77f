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

mod docker;
mod podman;
mod skopeo;
mod umoci;

use crate::support::lab::Lab;
use crate::support::{Place, digest};
use serde_json::{Value, json};
use std::fs::File;
use std::io::Read;
use std::path::PathBuf;

/// What GNU hello prints.
pub const GNU_GREETING: &str = "Hello, world!\n";

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

/// The small lab closure, GNU hello, bash, coreutils and what they need, or the running test is skipped.
#[track_caller]
fn small() -> Option<Lab> {
    Lab::find("small")
}

/// An image.json of it with a value for each field that a client shows.
fn spec(lab: &Lab) -> Value {
    json!({
        "name": "Layerstone-Test-Small",
        "contents": lab.env,
        "graph": lab.graph(),
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
fn image(lab: &Lab, place: &Place) -> Image {
    place.write("small.json", spec(lab).to_string());
    let run = place.ok("build small.json -o small.tar");
    let image = Image::read(place.join("small.tar"));
    assert_eq!(run.text(), format!("{} {}\n", image.reference, image.id));
    image
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
