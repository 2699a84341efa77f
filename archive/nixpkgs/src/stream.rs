//! What nixpkgs' `stream_layered_image.py` writes for a conf.json, as an archive that is ready to be written.

use crate::stream_base::StreamBase;
use crate::{Conf, Error, Result};
use layerstone_image::{Archive, ImageFacts, LayerFacts, LayerMember, MANIFEST_NAME, Trailer};
use layerstone_layer::{Recipe, Source, store_layout};
use layerstone_store::{Digest, Error as StageError, Limits, Store, StorePath};
use layerstone_tar::Owner;
use rayon::prelude::*;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

/// A conf.json with the base that it names.
#[derive(Debug)]
pub struct Stream {
    conf: Conf,
    base: Option<StreamBase>,
    facts: ImageFacts,
}

impl Stream {
    /// Opens the base, if there is one.
    ///
    /// # Errors
    ///
    /// The base cannot be read, or its environment and the conf's are not lists of strings.
    pub fn open(conf: Conf, limits: Limits) -> Result<Stream> {
        let base = conf.from_image.as_deref().map(|path| StreamBase::open(path, limits)).transpose()?;
        let facts = conf.facts(base.as_ref())?;
        Ok(Stream { conf, base, facts })
    }

    /// The archive, whose layers are laid out from this store: those of the store paths, then the customisation layer.
    ///
    /// # Errors
    ///
    /// A store path or the customisation layer cannot be read.
    pub fn archive(&self, store: &Store) -> Result<Archive<'_>> {
        let Conf { store_layers, mtime, owner, .. } = &self.conf;
        let source = |paths: &Vec<StorePath>| -> Result<Source> {
            let (dir, paths, owner) = (store.dir().to_owned(), paths.clone(), owner.clone());
            let recipe = Recipe { store: dir, paths, mtime: *mtime, owner, xattrs: false };
            Ok(store_layout(store, &recipe)?.into())
        };
        let sources: Vec<Source> = store_layers.par_iter().map(source).collect::<Result<_>>()?;
        let numbered = sources.into_iter().enumerate();
        let mut layers: Vec<LayerMember> =
            numbered.map(|(index, source)| LayerMember::new(source, None, format!("layer {index}"))).collect();
        layers.push(customisation_layer(&self.conf.customisation_layer, store)?);
        Ok(Archive { before: self.base.as_ref().map_or(&[], |base| &base.members), layers, mtime: *mtime })
    }

    /// What follows the layers, which have these diff IDs: config and manifest.
    pub fn trailer(&self, diff_ids: &[Digest]) -> Trailer {
        let paths = self.conf.store_layers.iter().map(|paths| paths.iter().map(StorePath::as_str).collect());
        let paths = paths.chain([vec![self.conf.customisation_layer.as_str()]]);
        let own =
            diff_ids.iter().zip(paths).map(|(diff_id, paths): (_, Vec<&str>)| LayerFacts::of_paths(*diff_id, &paths));
        let below = self.base.iter().flat_map(|base| base.layers.iter().cloned());
        let image = self.facts.finish(&below.chain(own).collect::<Vec<_>>());
        let manifest = image.manifest(std::slice::from_ref(&self.conf.repo_tag));
        vec![(image.config_name(), image.config), (MANIFEST_NAME.to_owned(), manifest)]
    }
}

/// The layer.tar that nixpkgs made, beside the checksum that names it. Python's tarfile puts the file's own mode and
/// owner into the archive.
fn customisation_layer(directory: &str, store: &Store) -> Result<LayerMember> {
    let directory = store.locate(directory);
    let (path, checksum) = (directory.join("layer.tar"), directory.join("checksum"));
    let text = std::fs::read_to_string(&checksum).map_err(StageError::io("read", &checksum))?;
    let expected = format!("sha256:{}", text.trim()).parse();
    let expected = expected.map_err(|source| Error::Checksum { path: checksum, source })?;
    let metadata = path.metadata().map_err(StageError::io("read", &path))?;
    let mut member = LayerMember::new(Source::blob(&path)?, Some(expected), path);
    member.mode = metadata.permissions().mode() & 0o7777;
    member.owner = Owner {
        uid: metadata.uid(),
        gid: metadata.gid(),
        uname: name_of(Path::new("/etc/passwd"), metadata.uid()),
        gname: name_of(Path::new("/etc/group"), metadata.gid()),
    };
    Ok(member)
}

/// The name of an id in passwd(5) or group(5), empty if it has none there.
///
/// Read from the file, since a static binary cannot ask the name service switch.
fn name_of(database: &Path, id: u32) -> String {
    let text = std::fs::read(database).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let with_id = |line: &&str| line.split(':').nth(2).and_then(|field| field.parse().ok()) == Some(id);
    text.lines().find(with_id).and_then(|line| line.split(':').next()).unwrap_or_default().to_owned()
}
