//! Makes the layer of an image for nix-snapshotter: an empty mount point for each store path, and annotations that name the
//! paths. Nothing of the paths themselves is in it: the node's Nix brings them, and they are mounted.
//!
//! A mount point is of the kind that the path is, a directory or a file. nix-snapshotter 0.2 realises each path that an
//! annotation names; 0.3 realises one, which refers to all of them and lists them in its file `store-paths`, as nixpkgs'
//! closureInfo has it (pdtpartners/nix-snapshotter, docs/architecture.md and pull request 162).

use crate::error::Context;
use crate::tar_layer::{NewBlob, written};
use crate::{Error, Report, Result};
use layerstone_layer::{History, Layout, Source};
use layerstone_oci::{NIX_CLOSURE, NIX_LAYER, NIX_STORE_PATH};
use layerstone_store::{Found, Output, Store, StorePath, Walk, counted};
use layerstone_tar::{Entry, Owner, Placed};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// The list of store paths in a closure's directory (nixpkgs, closureInfo).
const LIST: &str = "store-paths";

/// Store paths that are mounted.
pub struct MountLayer<'a> {
    /// The paths.
    pub paths: &'a BTreeSet<StorePath>,
    /// Modification time of the mount points, in seconds since the epoch.
    pub mtime: i64,
    /// Where the paths are.
    pub store: &'a Store,
    /// The directory that is to list the paths, and stands for them; without one, each path is named.
    pub closure: Option<&'a Path>,
}

impl MountLayer<'_> {
    /// Writes the layer file, its blob, and the list.
    ///
    /// # Errors
    ///
    /// A path is not there, or a file cannot be written.
    pub fn run(&self, output: &Path, blob: NewBlob<'_>, report: &dyn Report) -> Result<()> {
        if let Some(directory) = self.closure.filter(|directory| directory.is_relative()) {
            let message = format!("no path of a store: {}: expected an absolute one", directory.display());
            return Err(Error::advised(message, "nodes have it at the same path: it is the output of a derivation"));
        }
        let list = self.closure.map(|directory| directory.join(LIST));
        let mut outputs = Output::create_all(
            &[Some(output), Some(blob.path), list.as_deref()].into_iter().flatten().collect::<Vec<_>>(),
        )?;
        let layout = Layout::gnu_numeric(self.members()?, self.mtime, &Owner::numeric_root());
        let mut layer = written(&Source::from(layout), blob, &mut outputs[1], report)?;
        layer.descriptor.annotations.extend(self.annotations());
        layer.store_paths = self.paths.iter().cloned().collect();
        layer.history = History::comment(format!("mount points of {}", counted(self.paths.len(), "store path")));
        layer.set_blob(output, blob.path)?;
        layer.fill(&mut outputs[0])?;
        if let Some(out) = outputs.get_mut(2) {
            let text: String = self.paths.iter().map(|path| format!("{path}\n")).collect();
            std::io::Write::write_all(out, text.as_bytes())
                .map_err(layerstone_store::Error::io("write", out.destination()))?;
        }
        Ok(Output::commit_all(outputs)?)
    }

    /// The mount points, and the directories that lead to them.
    fn members(&self) -> Result<Vec<Placed>> {
        let store = self.store.dir().trim_start_matches('/');
        let ends = store.match_indices('/').map(|(at, _)| at).chain([store.len()]);
        let leading = ends.map(|end| Entry::directory(format!("./{}", &store[..end]).as_bytes(), 0o755));
        let mut members: Vec<Placed> = leading.map(Placed::bare).collect();
        for path in self.paths {
            let name = format!(".{path}");
            members.push(Placed::bare(match self.is_directory(path)? {
                true => Entry::directory(name.as_bytes(), 0o755),
                false => Entry::file(name.as_bytes(), 0o555, 0),
            }));
        }
        Ok(members)
    }

    /// What is mounted is what a link leads to.
    fn is_directory(&self, path: &StorePath) -> Result<bool> {
        let place = self.store.locate(path.as_str());
        fs::symlink_metadata(&place).with_context(|| format!("cannot read: {}", place.display()))?;
        let look = |at: &Path| match Found::on_disk(&self.store.locate(at)) {
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(Found::Nothing),
            found => found,
        };
        let followed: Option<PathBuf> = Walk::new("/", "/", Path::new(path.as_str())).follow(look).ok();
        Ok(followed.is_some_and(|at| matches!(look(&at), Ok(Found::Directory))))
    }

    fn annotations(&self) -> BTreeMap<String, String> {
        if let Some(directory) = self.closure {
            return [(NIX_CLOSURE.to_owned(), directory.display().to_string())].into();
        }
        let named = self.paths.iter().enumerate().map(|(i, path)| (format!("{NIX_STORE_PATH}{i}"), path.to_string()));
        named.chain([(NIX_LAYER.to_owned(), "true".to_owned())]).collect()
    }
}
