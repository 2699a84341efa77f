//! `layerstone layer --behind`: store paths appended to the tar of a root, which makes the one layer of a single image.

use crate::args::Common;
use crate::base::Base;
use anyhow::{Context, Result, bail};
use layerstone_image::paths_comment;
use layerstone_layer::{
    CompressionParams, CompressorPool, LayerFile, Layout, Prefix, Progress, Source, compress_layer, write_layer,
};
use layerstone_store::{Output, Store, StorePath};
use layerstone_tar::{Owner, tarsum};
use std::path::{Path, PathBuf};

/// A root's layer file and the store paths to append to its tar.
pub struct Job<'a> {
    pub root: &'a Path,
    pub paths: &'a [StorePath],
    pub mtime: i64,
    pub base: Option<&'a Base>,
    pub store: &'a Store,
    pub tarsum: bool,
    pub xattrs: bool,
    pub packing: Option<CompressionParams>,
}

impl Job<'_> {
    /// Writes the layer file and the tar, both or none.
    pub fn run(&self, output: &Path, blob: &Path, common: &Common) -> Result<()> {
        let Job { root, paths, mtime, base, store, .. } = *self;
        if output != Path::new("-") {
            Output::create(output)?;
        }
        let mut out = Output::create(blob)?;
        let front = LayerFile::read(root)?;
        let tar = plain_blob(&front, root)?;
        let source = layout(&tar, paths, mtime, base, store, self.xattrs)?;
        check_front(&front, &tar, common)?;
        let write = |progress: &Progress| match self.packing {
            None => Ok(LayerFile::new(write_layer(&source, &mut out, blob, progress)?, source.size())),
            Some(packing) => {
                let threads = rayon::current_num_threads();
                let packed = CompressorPool::with(packing, threads, |pool| {
                    compress_layer(&source, pool, &mut out, blob, progress)
                })?;
                Ok(LayerFile::compressed(&packed, source.size(), packing))
            }
        };
        let made: layerstone_layer::Result<LayerFile> =
            common.progress().during("writing", Some(source.size()), 1, write);
        let tarsum = if self.tarsum { Some(tarsum(source.reader()?)?) } else { None };
        let (store_paths, comment) = (paths.to_vec(), Some(comment(paths)));
        let mut layer = LayerFile { store_paths, comment, tarsum, ..made? };
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
pub fn check_front(front: &LayerFile, tar: &Path, common: &Common) -> Result<()> {
    let source = Source::blob(tar)?;
    let hash = |progress: &_| write_layer(&source, &mut std::io::sink(), tar, progress);
    let found = common.progress().during("checking", Some(source.size()), 1, hash)?;
    if found != front.diff_id {
        bail!("wrong digest: {}: found {found}, expected {}", tar.display(), front.diff_id);
    }
    Ok(())
}

/// The tar at `blob` with the store paths behind it. The folders that lead to the store have the mode and owner that the
/// base has for them.
pub fn layout(
    blob: &Path,
    paths: &[StorePath],
    mtime: i64,
    base: Option<&Base>,
    store: &Store,
    xattrs: bool,
) -> Result<Source> {
    let tree = base.map(Base::tree).transpose()?;
    let tree = tree.as_deref();
    if let Some(base) = base.filter(|_| !paths.is_empty()) {
        base.check_store(store)?;
    }
    let mut layout = Layout::appending_to(Prefix::read(blob)?, mtime).keep_xattrs(xattrs);
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
