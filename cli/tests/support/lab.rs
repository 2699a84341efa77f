//! The lab: closures and a base image made of Debian packages, in the folder that `LAYERSTONE_LAB` names, or where
//! `cargo xtask lab` puts them.

use crate::support::{skip, test_name};
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};

/// Where `cargo xtask lab` leaves what it makes.
const LAB: &str = "/var/tmp/layerstone-lab";

fn lab() -> PathBuf {
    std::env::var_os("LAYERSTONE_LAB").map_or(PathBuf::from(LAB), PathBuf::from)
}

/// A closure of the lab.
pub struct Lab {
    /// The root: a tree of links over the others.
    pub env: String,
    folder: PathBuf,
}

impl Lab {
    /// The closure of that name, or the running test is skipped.
    #[track_caller]
    pub fn find(name: &str) -> Option<Lab> {
        let folder = lab().join("closures").join(name);
        let env = fs::read_link(folder.join("result")).ok().filter(|env| env.exists());
        let Some(env) = env else {
            absent(&folder, name);
            return None;
        };
        Some(Lab { folder, env: env.to_str().unwrap().to_owned() })
    }

    /// Its references graph.
    pub fn graph(&self) -> PathBuf {
        self.folder.join("graph.json")
    }

    /// What the graph says of each path.
    #[track_caller]
    pub fn infos(&self) -> Vec<Value> {
        let mut graph: Value = serde_json::from_slice(&fs::read(self.graph()).unwrap()).unwrap();
        serde_json::from_value(graph["graph"].take()).unwrap()
    }

    /// The store path of a package such as `bash`, whatever its version.
    #[track_caller]
    pub fn path(&self, package: &str) -> String {
        let paths = fs::read_to_string(self.folder.join("store-paths")).unwrap();
        let version = |path: &str| Some(path.split_once('-')?.1.strip_prefix(package)?.strip_prefix('-')?.to_owned());
        let is_it =
            |path: &&str| version(path).is_some_and(|rest| rest.starts_with(|digit: char| digit.is_ascii_digit()));
        paths.lines().find(is_it).unwrap_or_else(|| panic!("no {package} in {}", self.folder.display())).to_owned()
    }
}

/// Debian's files as a tar, or the running test is skipped.
#[track_caller]
pub fn debian() -> Option<PathBuf> {
    let file = lab().join("debian.tar");
    if !file.exists() {
        absent(&file, "debian");
        return None;
    }
    Some(file)
}

#[track_caller]
fn absent(path: &Path, name: &str) {
    skip(&test_name(), &format!("no {}: `cargo xtask lab {name}` makes it", path.display()));
}
