//! The lab: closures and a base image made of Debian packages, in the directory that `LAYERSTONE_LAB` names, or where
//! `cargo xtask lab` puts them. What has no stamp of this recipe was made by something else and counts as absent.

use crate::support::{skip, test_name};
use serde_json::Value;
use std::fs;
use std::path::PathBuf;
use xtask::stamp;

/// Where `cargo xtask lab` leaves what it makes.
const LAB: &str = "/var/tmp/layerstone-lab";

/// The lab's directory.
pub fn folder() -> PathBuf {
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
        match Lab::open(folder().join("closures").join(name), name) {
            Ok(lab) => Some(lab),
            Err(reason) => {
                absent(&reason, name);
                None
            }
        }
    }

    /// The closure in this directory; or why it cannot be used.
    fn open(folder: PathBuf, name: &str) -> Result<Lab, String> {
        let env = fs::read_link(folder.join("result")).ok().filter(|env| env.exists());
        let env = env.ok_or_else(|| format!("no {}", folder.display()))?;
        stamp::check(&folder, &stamp::expected(name).unwrap())?;
        Ok(Lab { folder, env: env.to_str().unwrap().to_owned() })
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
    let file = folder().join("debian.tar");
    let stamped = match file.exists() {
        true => stamp::check(&file, &stamp::expected("debian").unwrap()),
        false => Err(format!("no {}", file.display())),
    };
    match stamped {
        Ok(()) => Some(file),
        Err(reason) => {
            absent(&reason, "debian");
            None
        }
    }
}

/// Skips the running test for this reason.
#[track_caller]
pub fn absent(reason: &str, name: &str) {
    skip(&test_name(), &format!("{reason}; `cargo xtask lab {name} --work {}` makes it", folder().display()));
}

/// A closure that something else made, or another recipe, is none: the reason names the stamp.
#[test]
fn what_something_else_made_counts_as_absent() {
    let folder = tempfile::tempdir().unwrap();
    let open = || Lab::open(folder.path().to_owned(), "small").map(|lab| lab.env);
    assert_eq!(open(), Err(format!("no {}", folder.path().display())));
    std::os::unix::fs::symlink("/", folder.path().join("result")).unwrap();
    let place = stamp::place(folder.path());
    let made_by = "something else than this `cargo xtask lab` made it";
    assert_eq!(open(), Err(format!("no stamp {}: {made_by}", place.display())));
    fs::write(&place, "layerstone lab, recipe 0: hello\n").unwrap();
    let reason = open().unwrap_err();
    assert!(reason.starts_with(&format!("{}: found \"layerstone lab, recipe 0: hello\", expected", place.display())));
    stamp::write(folder.path(), &stamp::expected("small").unwrap()).unwrap();
    assert_eq!(open().as_deref(), Ok("/"));
}
