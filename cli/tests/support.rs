//! How the program's tests run the binary, where they work, and what happens when a tool is missing.

pub mod archive;
pub mod browser;
pub mod caller;
pub mod chunk_podman;
pub mod containers_storage;
pub mod database;
pub mod docker;
pub mod fake_registry;
pub mod faulty;
pub mod http;
pub mod image_spec;
pub mod judges;
pub mod keys;
pub mod lab;
pub mod memory;
mod named_tests;
pub mod pieces;
mod place;
pub mod process;
pub mod proxy;
pub mod referrer_registry;
pub mod registry;
mod shared;
mod signal;
pub mod skip;
pub mod today;
mod tool;

pub use named_tests::check_named_tests;
pub use place::{Place, Run, digest, without_summary};
pub use shared::{shared, turn};
pub use signal::with_default_signals;
pub use skip::{require_root, require_tool, skip, test_name};
pub use tool::{output, output_json};

use serde_json::{Value, json};
use std::path::PathBuf;
use std::sync::OnceLock;

/// The keys of an answer as JSON, which says that it is `layerstone/NAME`.
#[track_caller]
pub fn answer(stdout: &[u8], name: &str) -> Value {
    let mut value: Value = serde_json::from_slice(stdout).unwrap();
    let keys = value.as_object_mut().unwrap();
    assert_eq!(keys.shift_remove("format"), Some(json!(format!("layerstone/{name}"))));
    assert_eq!(keys.shift_remove("version"), Some(json!(1)));
    value
}

/// The synthetic store, made once for all tests; nobody may change it.
pub struct Synth {
    /// What `--root` is given: the store is at `nix/store` below it.
    pub root: PathBuf,
    /// Its references graph, as Nix writes it for exportReferencesGraph.
    pub graph: PathBuf,
    /// Its references graph as registration text.
    pub registration: PathBuf,
    /// The store path whose directory holds nixpkgs' customisation layer.
    pub customisation_layer: String,
    paths: Vec<String>,
}

impl Synth {
    /// The store path of a name such as `bash-5.2`.
    pub fn path(&self, name: &str) -> &str {
        let ending = format!("-{name}");
        self.paths.iter().find(|path| path.ends_with(&ending)).unwrap_or_else(|| panic!("no {name} in the store"))
    }

    /// Where a store path is on this machine.
    pub fn locate(&self, path: &str) -> PathBuf {
        self.root.join(path.trim_start_matches('/'))
    }

    /// All store paths, sorted.
    pub fn paths(&self) -> &[String] {
        &self.paths
    }
}

/// The synthetic store.
pub fn synth() -> &'static Synth {
    static SYNTH: OnceLock<Synth> = OnceLock::new();
    SYNTH.get_or_init(|| {
        let folder = shared("synth", &[], "", |folder| {
            let made = xtask::synth::make(&folder.join("root/nix/store"), &folder.join("out")).unwrap();
            let paths: Vec<String> = made.graph.into_iter().map(|info| info.path).collect();
            std::fs::write(folder.join("paths"), paths.join("\n")).unwrap();
            std::fs::write(folder.join("customisation-layer"), made.customisation_layer).unwrap();
        });
        let read = |name: &str| std::fs::read_to_string(folder.join(name)).unwrap();
        Synth {
            root: folder.join("root"),
            graph: folder.join("out/graph.json"),
            registration: folder.join("out/registration"),
            customisation_layer: read("customisation-layer"),
            paths: read("paths").lines().map(str::to_owned).collect(),
        }
    })
}

/// A golden file about the synthetic store.
pub fn golden(name: &str) -> PathBuf {
    xtask::golden_dir().join("synth").join(name)
}

/// A golden file about the synthetic store, read.
pub fn golden_text(name: &str) -> String {
    std::fs::read_to_string(golden(name)).unwrap()
}
