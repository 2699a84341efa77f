//! Refuses outputs that would overwrite an input, another output, or a file of a store. Does not know what a command
//! reads and writes: each one says so in one call, before it writes anything.
//!
//! Files are compared by device and inode, so that links do not hide them. One that does not exist yet is compared by
//! the name that it will have in its real directory, links followed as the writer follows them. Devices and pipes are
//! not compared: several outputs may go to /dev/null.

mod identity;

use anyhow::{Result, bail};
use identity::{Identity, NamedFile};
use layerstone_layer::LayerFile;
use layerstone_pipeline::{Error, ImageTarget, layer_files_of, nix_outputs, state_files};
use layerstone_root::Excluded;
use layerstone_spec::{CopyEntry, References, Spec};
use layerstone_store::Store;
use std::path::{Path, PathBuf};

/// Stores that nothing is written to, whichever store a command reads.
const STORES: [&str; 2] = ["/nix/store", "/gnu/store"];

/// What a command reads and writes.
#[derive(Default)]
pub struct Files {
    inputs: Vec<NamedFile>,
    /// Directories that are read but for what is left out.
    copied: Vec<(NamedFile, Excluded)>,
    outputs: Vec<Output>,
    /// The directory of the store that the command reads.
    store: Option<PathBuf>,
}

struct Output {
    file: NamedFile,
    /// The directory that it is added to, if there may be other files in it.
    added_to: Option<Identity>,
}

impl Files {
    /// Nothing yet, of a command that reads this store.
    pub fn of(store: &Store) -> Files {
        Files { store: Some(store.locate(store.dir())), ..Files::default() }
    }

    /// Files that are read, or all that is in a directory; `-` is stdin.
    pub fn reads<P: AsRef<Path>>(mut self, paths: impl IntoIterator<Item = P>) -> Files {
        for path in paths {
            self.inputs.extend(NamedFile::at(path.as_ref()));
        }
        self
    }

    /// Layer files that are read, and their tars.
    pub fn reads_layers<P: AsRef<Path>>(self, files: impl IntoIterator<Item = P>) -> Files {
        files.into_iter().fold(self, |all, file| {
            let file = file.as_ref();
            // Whoever reads a bad one reports it.
            let layer = if file == Path::new("-") { None } else { LayerFile::read(file).ok() };
            all.reads([file]).reads(layer.and_then(|layer| layer.blob_path(file)))
        })
    }

    /// A spec that is read, if there is one, and all that it names.
    pub fn reads_spec<'a>(self, file: Option<&Path>, spec: impl Into<Option<&'a Spec>>) -> Files {
        let Some(spec) = spec.into() else { return self };
        let database = if let Some(References::Database(file)) = &spec.references { Some(file) } else { None };
        let files = self.reads(file).reads(spec.files()).reads(database).reads(spec.store_paths());
        let made = layer_files_of(&spec.layers).unwrap_or_default();
        let files = files.reads_layers(&spec.root_layer).reads(&spec.layers).reads_layers(&made);
        spec.copy.iter().fold(files, Files::reads_copied)
    }

    fn reads_copied(mut self, entry: &CopyEntry) -> Files {
        // Whoever reads a bad glob reports it.
        let excluded = Excluded::new(&entry.exclude).unwrap_or_default();
        match NamedFile::at(&entry.from) {
            Some(file) if file.is_directory => self.copied.push((file, excluded)),
            file => self.inputs.extend(file),
        }
        self
    }

    /// Files that are written; `-` is stdout.
    pub fn writes<P: AsRef<Path>>(mut self, paths: impl IntoIterator<Item = P>) -> Files {
        for path in paths {
            self.outputs.extend(NamedFile::at(path.as_ref()).map(|file| Output { file, added_to: None }));
        }
        self
    }

    /// Files of these names that are written into a directory, which may hold others, and be an input too.
    pub fn adds_to<P: AsRef<Path>>(mut self, directory: &Path, names: impl IntoIterator<Item = P>) -> Files {
        for name in names {
            let added_to = NamedFile::at(directory).map(|directory| directory.identity);
            self.outputs.extend(NamedFile::at(&directory.join(name)).map(|file| Output { file, added_to }));
        }
        self
    }

    /// Where an image goes; an OCI layout is added to, and may be an input too.
    pub fn writes_to(self, target: &ImageTarget) -> Files {
        match target {
            ImageTarget::OciLayout(directory) => self.adds_to(directory, ["index.json", "oci-layout"]),
            other => self.writes(other.path()),
        }
    }

    /// The directory of `--state`.
    pub fn writes_state(self, directory: Option<&Path>) -> Files {
        self.writes(directory.map(state_files).unwrap_or_default())
    }

    /// The error of the first output that is refused.
    pub fn check(self) -> Result<()> {
        let stores = STORES.iter().map(Path::new).chain(self.store.as_deref());
        let stores: Vec<Identity> = stores.filter_map(Identity::of).collect();
        let is_of_build = |file: &NamedFile| {
            nix_outputs().iter().filter_map(|path| Identity::of(path)).any(|output| file.identity.is_in(&output))
        };
        for (index, Output { file, added_to }) in self.outputs.iter().enumerate() {
            let name = file.name.display();
            if let Some(store) = stores.iter().find(|store| file.identity.is_in(store))
                && !is_of_build(file)
            {
                bail!("cannot write: {name}: it is in the store {}, expected another place", store.path.display());
            }
            let mut others = self.outputs[..index].iter().map(|output| &output.file);
            if let Some(other) = others.find(|other| other.identity.is(&file.identity)) {
                let message =
                    format!("cannot write: {name}: it is the output {} too, expected two files", other.name.display());
                return Err(Error::advised(message, "each output has a name of its own").into());
            }
            for (input, excluded) in &self.copied {
                let below = file.identity.path.strip_prefix(&input.identity.path);
                if below.is_ok_and(|below| !excluded.has_above(below)) {
                    let other = input.name.display();
                    bail!(
                        "cannot write: {name}: it is in {other}, which is copied, expected another place or an exclude"
                    );
                }
            }
            for input in &self.inputs {
                let other = input.name.display();
                if input.identity.is(&file.identity) {
                    let message = format!("cannot write: {name}: it is the input {other} too, expected another file");
                    let hint = "write to another name, and move it over the input afterwards";
                    return Err(Error::advised(message, hint).into());
                }
                let is_added = added_to.as_ref().is_some_and(|directory| directory.is(&input.identity));
                if input.is_directory && !is_added && file.identity.is_in(&input.identity) {
                    bail!("cannot write: {name}: it is in the input {other}, expected another place");
                }
            }
        }
        Ok(())
    }
}
