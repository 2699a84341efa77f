//! The layer of the database from which Nix in a container knows the image's store paths.

use crate::error::Context;
use crate::{BaseImage, Result};
use layerstone_closure::{Closure, measure_nars};
use layerstone_layer::{History, LayerFile};
use layerstone_root::{EARLIER_FILES, NixDbBase, NixDbPlace, NixDbSpec, build_nix_db, nix_db_directory};
use layerstone_spec::Spec;
use layerstone_store::{Scratch, Store};
use layerstone_tar::Kind;
use std::fs::File;
use std::path::Path;

/// What the history says about the layer.
pub const COMMENT: &str = "nix database";

/// What the layer is made of, besides the closure.
pub struct NixDbLayer<'a> {
    /// Who owns the database.
    pub spec: &'a Spec,
    /// Modification time of all files, in seconds since the epoch.
    pub mtime: i64,
    /// What it lies on, or behind.
    pub place: NixDbPlace,
    /// The base, whose database comes first.
    pub base: Option<&'a BaseImage>,
    /// Where store paths are read.
    pub store: &'a Store,
}

impl NixDbLayer<'_> {
    /// Makes the layer's tar.
    pub fn make(self, mut closure: Closure, blob: &Path) -> Result<LayerFile> {
        if self.store.dir() == "/gnu/store" {
            bail!("no Nix database for the store /gnu/store, which is that of Guix: expected another one");
        }
        measure_nars(&mut closure, self.store).context("no NAR hash or size in the closure")?;
        let scratch = Scratch::create(&std::env::temp_dir())?;
        let history = match self.place {
            NixDbPlace::OnTop { .. } => History::comment(COMMENT),
            NixDbPlace::Behind { .. } => History::default(),
        };
        let spec = NixDbSpec {
            store: self.store.clone(),
            mtime: self.mtime,
            uid: self.spec.nix_uid,
            gid: self.spec.nix_gid,
            base: self.base.map(|base| base_of(base, self.store, scratch.path())).transpose()?,
            place: self.place,
        };
        Ok(LayerFile { history, ..build_nix_db(&spec, &closure, blob)? })
    }
}

/// The base, with copies of what it has of a database in this directory.
fn base_of(base: &BaseImage, store: &Store, directory: &Path) -> Result<NixDbBase> {
    let tree = base.tree()?;
    for file in EARLIER_FILES {
        let name = [&nix_db_directory(store)[..], b"/", file.as_bytes()].concat();
        // What is something else than a file, the root stage tells.
        let Some(node) = tree.get(&name).filter(|node| matches!(node.kind, Kind::File { .. })) else { continue };
        let copy = directory.join(file);
        let mut out = File::create(&copy).map_err(layerstone_store::Error::io("write", &copy))?;
        base.image()?.copy_file(node, &mut out)?;
    }
    Ok(NixDbBase { name: base.name.clone(), tree, copies: directory.to_owned() })
}
