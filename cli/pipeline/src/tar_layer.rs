//! Makes a layer of any tar: read as engines read layers, hashed, described; its bytes stay what they are.

use crate::error::Context;
use crate::{ErofsCache, Report, Result};
use layerstone_image::{FoundTar, unpack_tar};
use layerstone_layer::{
    Compression, CompressionParams, CompressorPool, Descriptor, History, Layer, LayerFile, Progress, Source,
    compress_layer, media_type, write_layer,
};
use layerstone_store::{Limits, Output, open_regular};
use layerstone_tar::{Allowance, LayerTree, Part, Tree, tarsum};
use std::io::BufReader;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What the history says of such a layer.
pub const COMMENT: &str = "files of a tar";

/// A tar that is to be a layer, plain or compressed.
#[derive(Clone, Copy)]
pub struct TarLayer<'a> {
    /// The tar.
    pub tar: &'a Path,
    /// How much is read of it.
    pub limits: Limits,
    /// Whether docker's tarsum is computed.
    pub tarsum: bool,
    /// What the history says, before what any such layer does.
    pub history: &'a History,
}

/// The blob of a layer that is to be written.
#[derive(Clone, Copy)]
pub struct NewBlob<'a> {
    /// Where.
    pub path: &'a Path,
    /// How it is compressed.
    pub compression: Option<CompressionParams>,
}

impl TarLayer<'_> {
    /// Writes the layer file, whose blob is the tar as it is, or a new one; both or none. The layer is kept as a file system
    /// too, if that has a place.
    ///
    /// # Errors
    ///
    /// The tar is none that can be a layer, or a file cannot be written.
    pub fn run(
        &self,
        output: &Path,
        blob: Option<NewBlob<'_>>,
        erofs_cache: Option<&ErofsCache>,
        report: &dyn Report,
    ) -> Result<()> {
        if output != Path::new("-") {
            Output::create(output)?;
        }
        let mut out = blob.map(|blob| Output::create(blob.path)).transpose()?;
        let found = self.read(report)?;
        let mut layer = match blob.zip(out.as_mut()) {
            None => self.as_it_is(&found)?,
            Some((blob, out)) => written(&Source::Part(found.tar.clone()), blob, out, report)?,
        };
        layer.history = self.history.clone().over(History::comment(COMMENT));
        if let Some(erofs_cache) = erofs_cache {
            let tar = Source::Part(found.tar.clone());
            erofs_cache.add(&mut [Layer::of_tar(tar, Some(found.diff_id), self.tar)], report)?;
        }
        layer.tarsum = if self.tarsum { Some(tarsum(found.tar.reader())?) } else { None };
        layer.set_blob(output, blob.map_or(self.tar, |blob| blob.path))?;
        if output == Path::new("-") {
            out.map(Output::commit).transpose()?;
            return Ok(layer.write(output)?);
        }
        let file = layer.prepare(output)?;
        out.map(Output::commit).transpose()?;
        Ok(file.commit()?)
    }

    /// The layer, and its tar: the file itself, or if that is compressed what it unpacks to, at this path.
    ///
    /// # Errors
    ///
    /// As [`TarLayer::run`].
    pub fn plain(&self, to: PathBuf, report: &dyn Report) -> Result<(LayerFile, PathBuf)> {
        let found = self.read(report)?;
        let history = self.history.clone().over(History::comment(COMMENT));
        let layer = LayerFile { history, ..LayerFile::new(found.diff_id, found.tar.size()) };
        if found.compression == Compression::None {
            return Ok((layer, self.tar.to_owned()));
        }
        let mut out = Output::create(&to)?;
        written(&Source::Part(found.tar), NewBlob { path: &to, compression: None }, &mut out, report)?;
        out.commit()?;
        Ok((layer, to))
    }

    /// Reads the tar, and all its headers.
    fn read(&self, report: &dyn Report) -> Result<FoundTar> {
        let reading = || format!("cannot read: {}", self.tar.display());
        let file = open_regular(self.tar).with_context(reading)?;
        let size = file.metadata().with_context(reading)?.len();
        if size == 0 {
            bail!("no layer: {}: found no bytes, expected a tar", self.tar.display());
        }
        let part = Part::new(Arc::new(file), self.tar, 0, size);
        let found =
            report.during("reading", None, vec![self.tar.display().to_string()], |_| unpack_tar(&part, self.limits))?;
        let unusable = || format!("no layer: {}", self.tar.display());
        let tree = LayerTree::read_nth(BufReader::new(found.tar.reader()), 0, &Allowance::new(self.limits));
        let mut files = Tree::default();
        files.put(tree.with_context(unusable)?).with_context(unusable)?;
        if files.get(b"oci-layout").or(files.get(b"manifest.json")).is_some() {
            let tar = self.tar.display();
            report.warn(format_args!(
                "{tar}: it looks like an image, whose layers are files in it (--base builds on one)"
            ));
        }
        Ok(found)
    }

    /// The layer whose blob is what was found.
    fn as_it_is(&self, found: &FoundTar) -> Result<LayerFile> {
        let layer = LayerFile::new(found.diff_id, found.tar.size());
        let params = match found.compression {
            Compression::None => return Ok(layer),
            other => other.usual(),
        };
        let Some(params) = params else {
            let tar = self.tar.display();
            bail!(
                "no layer: {tar}: found {}, expected a plain tar, gzip or zstd, or --blob beside it",
                name(found.compression)
            )
        };
        let size = std::fs::metadata(self.tar).with_context(|| format!("cannot read: {}", self.tar.display()))?.len();
        let descriptor = Descriptor::new(media_type::layer(Some(params)), found.digest, size);
        Ok(LayerFile { descriptor, ..layer })
    }
}

/// What messages call a compression.
fn name(compression: Compression) -> &'static str {
    match compression {
        Compression::None => "no compression",
        Compression::Gzip => "gzip",
        Compression::Zstd => "zstd",
        Compression::Xz => "xz",
        Compression::Bzip2 => "bzip2",
    }
}

/// Writes the blob of a tar.
///
/// # Errors
///
/// The tar cannot be read, or the blob not written.
pub fn written(tar: &Source, blob: NewBlob<'_>, out: &mut Output, report: &dyn Report) -> Result<LayerFile> {
    let write = |meter: &Progress| match blob.compression {
        None => Ok(LayerFile::new(write_layer(tar, out, blob.path, meter)?, tar.size())),
        Some(params) => {
            let threads = rayon::current_num_threads();
            let compress = |pool: &CompressorPool| compress_layer(tar, pool, out, blob.path, meter);
            Ok(LayerFile::compressed(&CompressorPool::with(params, threads, compress)?, tar.size(), params))
        }
    };
    let made: layerstone_layer::Result<LayerFile> =
        report.during("writing", Some(tar.size()), vec![blob.path.display().to_string()], write);
    Ok(made?)
}
