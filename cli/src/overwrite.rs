//! Refuses outputs that would overwrite an input, another output, or a file of a store. Does not know what a command
//! reads and writes: each one says so in one call, before it writes anything.
//!
//! Files are compared by device and inode, so that links do not hide them. One that is not there yet is compared by the
//! name that it will have in its real directory, links followed as the writer follows them. Devices and pipes are
//! nobody's: several outputs may go to /dev/null.

use crate::step_args::StepArgs;
use anyhow::{Result, bail};
use layerstone_layer::LayerFile;
use layerstone_pipeline::{ImageTarget, nix_outputs, state_files};
use layerstone_spec::{References, Spec};
use layerstone_store::{Store, follow_last};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Stores that nothing is written to, whichever store a command reads.
const STORES: [&str; 2] = ["/nix/store", "/gnu/store"];

/// What a command reads and writes.
#[derive(Default)]
pub struct Files {
    inputs: Vec<Named>,
    outputs: Vec<Output>,
    /// The directory of the store that the command reads.
    store: Option<PathBuf>,
}

/// A file, and what it is called on the command line or in a spec.
struct Named {
    name: PathBuf,
    identity: Identity,
    is_folder: bool,
}

struct Output {
    file: Named,
    /// The folder that it is added to, if there may be other files in it.
    added_to: Option<Identity>,
}

/// What tells a file from others.
#[derive(Clone, PartialEq, Eq)]
struct Identity {
    /// Where it is, without links.
    path: PathBuf,
    /// Device and inode, if it is there.
    inode: Option<(u64, u64)>,
}

impl Identity {
    fn is(&self, other: &Identity) -> bool {
        self.path == other.path || self.inode.is_some() && self.inode == other.inode
    }
}

impl Files {
    /// Nothing yet, of a command that reads this store.
    pub fn of(store: &Store) -> Files {
        Files { store: Some(store.locate(store.dir())), ..Files::default() }
    }

    /// Files that are read, or all that is in a folder; `-` is stdin.
    pub fn reads<P: AsRef<Path>>(mut self, paths: impl IntoIterator<Item = P>) -> Files {
        for path in paths {
            self.inputs.extend(named(path.as_ref()));
        }
        self
    }

    /// Layer files that are read, and their tars.
    pub fn reads_layers<P: AsRef<Path>>(self, files: impl IntoIterator<Item = P>) -> Files {
        files.into_iter().fold(self, |all, file| {
            let file = file.as_ref();
            // Whoever reads a bad one tells so.
            let layer = if file == Path::new("-") { None } else { LayerFile::read(file).ok() };
            all.reads([file]).reads(layer.and_then(|layer| layer.blob_path(file)))
        })
    }

    /// A spec that is read, and all that it names.
    pub fn reads_spec(self, file: Option<&Path>, spec: &Spec) -> Files {
        let database = if let Some(References::Database(file)) = &spec.references { Some(file) } else { None };
        self.reads(file).reads(spec.files()).reads(database).reads(spec.store_paths())
    }

    /// Files that are written; `-` is stdout.
    pub fn writes<P: AsRef<Path>>(mut self, paths: impl IntoIterator<Item = P>) -> Files {
        for path in paths {
            self.outputs.extend(named(path.as_ref()).map(|file| Output { file, added_to: None }));
        }
        self
    }

    /// Files of these names that are written into a folder, which may hold others, and be an input too.
    pub fn adds_to<P: AsRef<Path>>(mut self, folder: &Path, names: impl IntoIterator<Item = P>) -> Files {
        let whole = named(folder);
        for name in names {
            let added_to = whole.as_ref().map(|folder| folder.identity.clone());
            self.outputs.extend(named(&folder.join(name)).map(|file| Output { file, added_to }));
        }
        self
    }

    /// Where an image goes; an OCI layout is added to, and may be an input too.
    pub fn writes_to(self, place: &ImageTarget) -> Files {
        match place {
            ImageTarget::OciLayout(folder) => self.adds_to(folder, ["index.json", "oci-layout"]),
            other => self.writes(other.path()),
        }
    }

    /// The folder of `--state`.
    pub fn writes_state(self, folder: Option<&Path>) -> Files {
        self.writes(folder.map(state_files).unwrap_or_default())
    }

    /// What flags for build tools say is written.
    pub fn edge(self, args: &StepArgs) -> Files {
        self.writes(args.depfile())
    }

    /// The error of the first output that is refused.
    pub fn check(self) -> Result<()> {
        let stores: Vec<Identity> =
            STORES.iter().map(Path::new).chain(self.store.as_deref()).filter_map(identity).collect();
        for (index, output) in self.outputs.iter().enumerate() {
            let (name, file) = (output.file.name.display(), &output.file.identity);
            if let Some(store) = stores.iter().find(|store| file.path.starts_with(&store.path)) {
                let own = nix_outputs();
                let own = own.iter().filter_map(|path| identity(path));
                if !own.into_iter().any(|own| file.path.starts_with(&own.path)) {
                    bail!("cannot write: {name}: it is in the store {}, expected another place", store.path.display());
                }
            }
            let mut others = self.outputs[..index].iter().map(|output| &output.file);
            if let Some(other) = others.find(|other| other.identity.is(file)) {
                bail!("cannot write: {name}: it is the output {} too, expected two files", other.name.display());
            }
            for input in &self.inputs {
                let other = input.name.display();
                if input.identity.is(file) {
                    bail!("cannot write: {name}: it is the input {other} too, expected another file");
                }
                let is_added = output.added_to.as_ref().is_some_and(|folder| folder.is(&input.identity));
                if input.is_folder && !is_added && file.path.starts_with(&input.identity.path) {
                    bail!("cannot write: {name}: it is in the input {other}, expected another place");
                }
            }
        }
        Ok(())
    }
}

/// None for what is no file: standard input and output as such, devices, pipes.
fn named(path: &Path) -> Option<Named> {
    if path == Path::new("-") {
        return None;
    }
    let identity = identity(path)?;
    let is_folder = path.is_dir();
    Some(Named { name: path.to_owned(), identity, is_folder })
}

/// None for what is neither a file nor a folder.
fn identity(path: &Path) -> Option<Identity> {
    let metadata = path.metadata().ok();
    if metadata.as_ref().is_some_and(|metadata| !metadata.is_file() && !metadata.is_dir()) {
        return None;
    }
    let inode = metadata.map(|metadata| (metadata.dev(), metadata.ino()));
    Some(Identity { path: real(path), inode })
}

/// Where a file is, or will be when it is written: links followed, the last one too though it leads to nothing yet.
fn real(path: &Path) -> PathBuf {
    if let Ok(real) = path.canonicalize() {
        return real;
    }
    let at = follow_last(path).ok().and_then(|mut links| links.pop()).unwrap_or_else(|| path.to_owned());
    // The folders that are there, and behind them what is not.
    let whole = std::path::absolute(&at).unwrap_or(at);
    let there = whole.ancestors().skip(1).find_map(|folder| Some((folder, folder.canonicalize().ok()?)));
    match there {
        Some((folder, real)) => real.join(whole.strip_prefix(folder).unwrap_or(Path::new(""))),
        None => whole,
    }
}
