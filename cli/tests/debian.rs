//! Images on Debian, as every tool that makes images hands it over: the programs of both run, and Debian stays whole.
//!
//! The tools work on one tar of Debian's files, which `cargo xtask lab debian` makes with mmdebstrap.
//!
//! | module | shows |
//! |---|---|
//! | `bases` | docker, buildah, podman and skopeo make bases, each in its own form |
//! | `web` | nginx on Debian serves a page |

mod bases;
mod web;

use crate::support::docker::{Docker, Turn, client};
use crate::support::lab::{Lab, debian};
use crate::support::{Place, output};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

/// Debian's files and the small lab closure, or the running test is skipped.
#[track_caller]
fn ready() -> Option<(Docker, PathBuf, Lab)> {
    Some((Docker::find()?, debian()?, Lab::find("small")?))
}

/// Has docker import Debian's files and save them: `debian.tar`, an image of one layer.
#[track_caller]
fn save(turn: &Turn, debian: &Path, place: &Place) {
    let reference = "layerstone-test-debian:12";
    let _imported = turn.loaded(reference);
    output(client("import --change").arg("ENV FROM=debian").arg(debian).arg(reference));
    output(client("save --output").arg(place.join("debian.tar")).arg(reference));
}

/// Builds `NAME.tar` on a base, with one package of the lab; what the image is called.
#[track_caller]
fn build(place: &Place, name: &str, base: &str, lab: &Lab, package: &str, keys: Value) -> String {
    let mut spec = json!({"name": format!("layerstone-test-{name}"), "tag": "1", "fromImage": base,
        "contents": lab.path(package), "graph": lab.graph()});
    spec.as_object_mut().unwrap().extend(keys.as_object().unwrap().clone());
    place.write(&format!("{name}.json"), spec.to_string());
    let run = place.ok(&format!("build {name}.json -o {name}.tar"));
    run.text().split_once(' ').unwrap().0.to_owned()
}
