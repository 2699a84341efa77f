//! The one layer of a single image: store paths appended to the tar of a root.

use crate::error::Context;
use crate::tar_layer::{NewBlob, written};
use crate::{BaseImage, ErofsCache, Report, Result};
use layerstone_image::paths_comment;
use layerstone_layer::{CompressionParams, History, Layer, LayerFile, Layout, Prefix, Source, write_layer};
use layerstone_store::{Output, Store, StorePath};
use layerstone_tar::{Owner, tarsum};
use std::path::{Path, PathBuf};

/// A root's layer file and the store paths to append to its tar.
pub struct SingleLayer<'a> {
    /// The layer file of the root.
    pub root: &'a Path,
    /// The store paths, in order.
    pub paths: &'a [StorePath],
    /// Modification time of what is appended, in seconds since the epoch.
    pub mtime: i64,
    /// The base, which tells modes of the directories that lead to the store.
    pub base: Option<&'a BaseImage>,
    /// Where store paths are read.
    pub store: &'a Store,
    /// Whether docker's tarsum is computed.
    pub tarsum: bool,
    /// Whether extended attributes are kept.
    pub xattrs: bool,
    /// What the history says, before what the root and the store paths tell.
    pub history: History,
    /// How the blob is compressed.
    pub compression: Option<CompressionParams>,
    /// Where the layer is kept as a file system.
    pub erofs_cache: Option<&'a ErofsCache>,
}

impl SingleLayer<'_> {
    /// Writes the layer file and the tar, both or none.
    pub fn run(&self, output: &Path, blob: &Path, report: &dyn Report) -> Result<()> {
        let SingleLayer { root, paths, mtime, base, store, .. } = *self;
        if output != Path::new("-") {
            Output::create(output)?;
        }
        let mut out = Output::create(blob)?;
        let front = LayerFile::read(root)?;
        let tar = plain_blob(&front, root)?;
        let source = layout(&tar, paths, mtime, base, store, self.xattrs)?;
        check_front(&front, &tar, report)?;
        let blob_file = NewBlob { path: blob, compression: self.compression };
        let made = written(&source, blob_file, &mut out, report)?;
        if let Some(erofs_cache) = self.erofs_cache {
            erofs_cache.add(&mut [Layer::of_tar(source.clone(), Some(made.diff_id), blob)], report)?;
        }
        let tarsum = if self.tarsum { Some(tarsum(source.reader()?)?) } else { None };
        let told = front.history.over(History::comment(comment(paths)));
        let history = self.history.clone().over(told);
        let mut layer = LayerFile { store_paths: paths.to_vec(), history, tarsum, ..made };
        layer.set_blob(output, blob)?;
        if output == Path::new("-") {
            out.commit()?;
            return Ok(layer.write(output)?);
        }
        let file = layer.prepare(output)?;
        out.commit()?;
        Ok(file.commit()?)
    }
}

/// The tar beside a layer file.
pub fn plain_blob(layer: &LayerFile, path: &Path) -> Result<PathBuf> {
    if !layer.is_plain() {
        bail!("found a compressed layer, expected a tar: {}", path.display());
    }
    layer.blob_path(path).with_context(|| format!("no blob: {}", path.display()))
}

/// The root's tar must be what its layer file says.
pub fn check_front(front: &LayerFile, tar: &Path, report: &dyn Report) -> Result<()> {
    let source = Source::blob(tar)?;
    let hash = |meter: &_| write_layer(&source, &mut std::io::sink(), tar, meter);
    let found = report.during("checking", Some(source.size()), vec![tar.display().to_string()], hash)?;
    if found != front.diff_id {
        bail!("wrong digest: {}: found {found}, expected {}", tar.display(), front.diff_id);
    }
    Ok(())
}

/// The tar at `blob` with the store paths behind it. The directories that lead to the store have the mode and owner that the
/// base has for them.
pub fn layout(
    blob: &Path,
    paths: &[StorePath],
    mtime: i64,
    base: Option<&BaseImage>,
    store: &Store,
    xattrs: bool,
) -> Result<Source> {
    let tree = base.map(BaseImage::tree).transpose()?;
    let tree = tree.as_deref();
    if let Some(base) = base.filter(|_| !paths.is_empty()) {
        base.check_store(store)?;
    }
    let mut layout = Layout::appending_to(Prefix::read(blob)?, mtime);
    layout.xattrs = xattrs;
    let of_base = |name: &[u8]| {
        let node = tree?.get(name)?;
        Some((node.mode, Owner::numbered(node.uid, node.gid)))
    };
    layout.append_closure(store, paths, of_base)?;
    Ok(Source::from(layout))
}

/// What the history says about such a layer.
pub fn comment(paths: &[StorePath]) -> String {
    if paths.is_empty() {
        return "root".to_owned();
    }
    let paths: Vec<&str> = paths.iter().map(StorePath::as_str).collect();
    format!("root and {}", paths_comment(&paths))
}
