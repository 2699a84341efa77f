//! Images on Debian, as every tool that makes images hands it over: the programs of both run, and Debian stays whole.
//!
//! The tools work on one tar of Debian's files, which `cargo xtask lab debian` makes with mmdebstrap.
//!
//! | module | shows |
//! |---|---|
//! | `bases` | docker, buildah and skopeo make bases, each in its own form |
//! | `web` | nginx on Debian serves a page |

mod bases;
mod web;

use crate::support::docker::{Docker, Turn, client};
use crate::support::lab::{Lab, debian};
use crate::support::{Place, output, shared};
use serde_json::{Value, json};
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

/// What docker calls Debian's files.
pub const SAVED_REFERENCE: &str = "layerstone-test-debian:12";

/// Debian's files and the small lab closure, or the running test is skipped.
#[track_caller]
fn ready() -> Option<(Docker, PathBuf, Lab)> {
    Some((Docker::find()?, debian()?, Lab::find("small")?))
}

/// What docker saves of Debian's files, which it has imported: an image of one layer, made once for all tests. It stays in
/// the daemon until the process ends, which spares every test the making and removing of its files.
#[track_caller]
pub fn saved(turn: &Turn, debian: &Path) -> PathBuf {
    let file = shared("debian-saved", &[debian], &output(&mut client("version")), |folder| {
        let _imported = turn.loaded(SAVED_REFERENCE);
        output(client("import --change").arg("ENV FROM=docker").arg(debian).arg(SAVED_REFERENCE));
        output(client("save --output").arg(folder.join("debian.tar")).arg(SAVED_REFERENCE));
    });
    let file = file.join("debian.tar");
    // Another process may have ended meanwhile.
    if !client("image inspect").arg(SAVED_REFERENCE).output().unwrap().status.success() {
        let [loaded] = turn.load_all(&file, [SAVED_REFERENCE]);
        turn.keep(loaded);
    }
    file
}

/// Builds `NAME.tar` on a base, with one package of the lab; what the image is called.
#[track_caller]
fn build(place: &Place, name: &str, base: impl AsRef<OsStr>, lab: &Lab, package: &str, keys: Value) -> String {
    let mut spec = json!({"name": format!("layerstone-test-{name}"), "tag": "1", "fromImage": base.as_ref().to_str(),
        "contents": lab.path(package), "graph": lab.graph()});
    spec.as_object_mut().unwrap().extend(keys.as_object().unwrap().clone());
    place.write(&format!("{name}.json"), spec.to_string());
    let run = place.ok(&format!("build {name}.json -o {name}.tar"));
    run.text().split_once(' ').unwrap().0.to_owned()
}
