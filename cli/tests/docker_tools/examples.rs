//! Images of the lab's small closure, built once for all tests of this process, and a store of their own, made once for all:
//! that closure and a few store paths beside it.

use crate::support::lab::Lab;
use crate::support::{Place, output, require_tool, shared};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Mutex, OnceLock, PoisonError};

/// What images are called in front of nixpkgs' own names, so that no image of anybody else is replaced.
const PREFIX: &str = "layerstone-test-";

/// The store paths beside the lab's: static busybox, a directory, a link to it, what a bare path becomes in a store, and what
/// stands for certificates.
const OWN: [&str; 5] = ["busybox-static", "target", "symlink", "bare-path", "certificates"];

/// An image in its archive.
#[derive(Clone)]
pub struct Built {
    /// The archive.
    pub file: PathBuf,
    /// Its name and tag, as the program tells them.
    pub reference: String,
    spec: Value,
}

impl Built {
    /// What the program told of the tag.
    pub fn tag(&self) -> &str {
        self.reference.rsplit_once(':').unwrap().1
    }
}

/// The store, and the images built so far.
pub struct Examples {
    place: Place,
    lab: Lab,
    root: PathBuf,
    built: Mutex<BTreeMap<String, Built>>,
}

impl Examples {
    /// The examples, or the running test is skipped.
    #[track_caller]
    pub fn find() -> Option<&'static Examples> {
        static EXAMPLES: OnceLock<Examples> = OnceLock::new();
        let lab = Lab::find("small")?;
        require_tool("busybox").then(|| EXAMPLES.get_or_init(|| Examples::new(lab)))
    }

    fn new(lab: Lab) -> Examples {
        let place = Place::until_exit();
        let mut infos = lab.infos();
        let root = shared("docker-tools", &[&lab.graph(), &busybox()], "", |root| {
            fs::create_dir_all(root.join("nix/store")).unwrap();
            for info in &infos {
                copy(info["path"].as_str().unwrap(), root);
            }
            for name in OWN {
                add(name, &root.join(&own(name)[1..]));
            }
        });
        for name in OWN {
            let path = own(name);
            let references = if name == "symlink" { vec![own("target")] } else { Vec::new() };
            infos.push(json!({"path": path, "narSize": 1000, "references": references}));
        }
        place.write("graph.json", Value::Array(infos).to_string());
        Examples { place, lab, root, built: Mutex::default() }
    }

    /// A store path, such as `bash`.
    #[track_caller]
    pub fn path(&self, name: &str) -> String {
        if OWN.contains(&name) { own(name) } else { self.lab.path(name) }
    }

    /// Where a store path is on this machine.
    pub fn locate(&self, path: &str) -> PathBuf {
        self.root.join(&path[1..])
    }

    /// An image of one layer with these keys of image.json: dockerTools' `buildImage`.
    #[track_caller]
    pub fn single(&self, name: &str, keys: Value) -> Built {
        self.build(name, "tar", &json!({"kind": "single"}), keys, "")
    }

    /// The same, whose root script runs in this backend.
    #[track_caller]
    pub fn single_in(&self, backend: &str, name: &str, keys: Value) -> Built {
        let name = format!("{name}-{backend}");
        self.build(&name, "tar", &json!({"kind": "single"}), keys, &format!("--quiet --backend {backend}"))
    }

    /// An image of layers with these keys of image.json: dockerTools' `buildLayeredImage`.
    #[track_caller]
    pub fn layered(&self, name: &str, keys: Value) -> Built {
        self.build(name, "tar", &json!({}), keys, "")
    }

    /// The same in a file with that ending.
    #[track_caller]
    pub fn layered_as(&self, name: &str, ending: &str, keys: Value) -> Built {
        self.build(name, ending, &json!({}), keys, "")
    }

    /// What writes an image to stdout that was built before, in another place: dockerTools' `streamLayeredImage`.
    pub fn stream(&self, name: &str, place: &Place) -> Command {
        let spec = self.place.join(format!("{name}.json"));
        place.command(&format!("build {} --root {} -o -", spec.display(), self.root.display()))
    }

    #[track_caller]
    fn build(&self, name: &str, ending: &str, kind: &Value, keys: Value, flags: &str) -> Built {
        // For one test at a time, as each looks for leftovers.
        let mut built = self.built.lock().unwrap_or_else(PoisonError::into_inner);
        let spec = self.write_spec(name, kind, keys);
        if let Some(built) = built.get(name) {
            assert_eq!(built.spec, spec, "two images are called {name}");
            return built.clone();
        }
        let line = format!("build {name}.json --root {} -o {name}.{ending} {flags}", self.root.display());
        let mut command = self.place.command(&line);
        let told = output(command.env("PATH", self.path_of_a_build()));
        self.place.check_no_leftovers();
        let reference = match told.split_once(' ') {
            Some((reference, _)) => reference.to_owned(),
            // It was told to be quiet.
            None => format!("{PREFIX}{name}:latest").to_lowercase(),
        };
        let image = Built { file: self.place.join(format!("{name}.{ending}")), reference, spec };
        built.insert(name.to_owned(), image.clone());
        image
    }

    /// As in a build by Nix, programs of the store are in PATH, here behind those of the machine.
    fn path_of_a_build(&self) -> OsString {
        let of_store = ["bash", "coreutils"].map(|name| PathBuf::from(self.lab.path(name)).join("bin"));
        let path = std::env::var_os("PATH").unwrap();
        std::env::join_paths(std::env::split_paths(&path).chain(of_store)).unwrap()
    }

    fn write_spec(&self, name: &str, kind: &Value, keys: Value) -> Value {
        let mut spec = json!({"name": format!("{PREFIX}{name}"), "tag": "latest", "graph": "graph.json"});
        for keys in [kind, &keys] {
            spec.as_object_mut().unwrap().extend(keys.as_object().unwrap().clone());
        }
        self.place.write(&format!("{name}.json"), spec.to_string());
        spec
    }
}

/// Makes a store path the store's too: by hard links, or where that does not go, by copies.
#[track_caller]
fn copy(path: &str, root: &Path) {
    let to = root.join(&path[1..]);
    let linked = Command::new("cp").args(["--archive", "--link", path]).arg(&to).stderr(Stdio::null()).status();
    if !linked.unwrap().success() {
        output(Command::new("cp").args(["--archive", "--no-target-directory", path]).arg(&to));
    }
}

fn own(name: &str) -> String {
    let digit = OWN.iter().position(|own| *own == name).unwrap().to_string();
    format!("/nix/store/{}-{name}", digit.repeat(32))
}

/// Puts a store path of our own at a place.
fn add(name: &str, path: &Path) {
    let fill = |folder: &str, file: &str| {
        fs::create_dir_all(path.join(folder)).unwrap();
        fs::write(path.join(folder).join(file), "Content doesn't matter.\n").unwrap();
    };
    match name {
        "busybox-static" => add_busybox(&path.join("bin")),
        "target" => fill("dir", "target"),
        "symlink" => symlink(own("target"), path).unwrap(),
        "bare-path" => fill("", "hello.txt"),
        _ => fill("etc/ssl/certs", "ca-bundle.crt"),
    }
}

/// Debian's static busybox.
fn busybox() -> PathBuf {
    let path = std::env::var_os("PATH").unwrap();
    std::env::split_paths(&path).map(|folder| folder.join("busybox")).find(|file| file.is_file()).unwrap()
}

/// It, and links to it for some of what it can do.
fn add_busybox(bin: &Path) {
    fs::create_dir_all(bin).unwrap();
    fs::copy(busybox(), bin.join("busybox")).unwrap();
    for applet in ["sh", "ls", "cat", "readlink"] {
        symlink("busybox", bin.join(applet)).unwrap();
    }
}
