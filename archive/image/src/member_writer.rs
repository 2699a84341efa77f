//! Writes members front to back, as they are or compressed. Does not know what they are called.

use crate::member::{LayerMember, WrittenLayer};
use layerstone_layer::{
    BlockWriter, CompressedBlob, CompressionParams, Error, PendingBlob, Progress, Result, write_layer,
};
use layerstone_store::Digest;
use layerstone_tar::Part;
use std::io::{self, Write};
use std::path::Path;

/// What members are written into, front to back.
pub(crate) trait MemberWriter {
    /// Takes anything but headers and contents of layers.
    fn bytes(&mut self) -> &mut dyn Write;

    /// Takes the header of a layer.
    fn header(&mut self, header: &[u8]) -> io::Result<()>;

    /// Takes a layer; its diff ID.
    fn layer(&mut self, layer: &LayerMember, path: &Path, progress: &Progress) -> Result<Digest>;
}

/// Takes all as it is.
pub(crate) struct Plain<'a>(pub &'a mut (dyn Write + Send));

impl MemberWriter for Plain<'_> {
    fn bytes(&mut self) -> &mut dyn Write {
        &mut self.0
    }

    fn header(&mut self, header: &[u8]) -> io::Result<()> {
        self.0.write_all(header)
    }

    fn layer(&mut self, layer: &LayerMember, path: &Path, progress: &Progress) -> Result<Digest> {
        write_layer(&layer.source, &mut self.0, path, progress)
    }
}

/// Compresses all; headers of layers go into slots.
pub(crate) struct Compressed<'a> {
    pub blocks: &'a mut BlockWriter,
    pub params: CompressionParams,
    /// The blobs of the layers; none of one that was copied.
    pub pending: Vec<Option<PendingBlob>>,
}

impl MemberWriter for Compressed<'_> {
    fn bytes(&mut self) -> &mut dyn Write {
        self.blocks
    }

    fn header(&mut self, header: &[u8]) -> io::Result<()> {
        self.blocks.slot(header)
    }

    fn layer(&mut self, layer: &LayerMember, path: &Path, progress: &Progress) -> Result<Digest> {
        if let Some((diff_id, blob)) = kept_blob(layer, self.params) {
            self.blocks.blob(blob).map_err(Error::write(path))?;
            progress.count(usize::try_from(layer.source.size()).unwrap_or(usize::MAX))?;
            self.pending.push(None);
            return Ok(diff_id);
        }
        let write = |blocks: &mut BlockWriter| write_layer(&layer.source, blocks, path, progress);
        let (written, blob) = self.blocks.layer(layer.blobs.as_ref(), write).map_err(Error::write(path))?;
        self.pending.push(Some(blob));
        written
    }
}

/// Layers that went plain, and where they are.
pub(crate) fn plain(diff_ids: Vec<Digest>, spans: Option<Vec<(u64, u64)>>) -> Vec<WrittenLayer> {
    let spans = spans.map_or_else(|| vec![None; diff_ids.len()], |spans| spans.into_iter().map(Some).collect());
    let layer = |(diff_id, span)| WrittenLayer { diff_id, blob: None, span };
    diff_ids.into_iter().zip(spans).map(layer).collect()
}

/// Layers whose blobs are all written, and where they are.
pub(crate) fn compressed_layers(
    diff_ids: Vec<Digest>,
    pending: Vec<Option<PendingBlob>>,
    spans: &[(u64, u64)],
) -> Vec<WrittenLayer> {
    let layer = |((diff_id, blob), span): ((Digest, Option<PendingBlob>), &(u64, u64))| {
        let blob = blob.and_then(PendingBlob::wait);
        let blob = blob.map(|(digest, size)| CompressedBlob::without_table(diff_id, digest, size));
        WrittenLayer { diff_id, blob, span: Some(*span) }
    };
    diff_ids.into_iter().zip(pending).zip(spans).map(layer).collect()
}

/// The blob that compressing it so gives, if an earlier archive has it or it is kept, and the diff ID that it must have.
fn kept_blob(layer: &LayerMember, params: CompressionParams) -> Option<(Digest, Part)> {
    if let Some(kept) = &layer.kept {
        return Some((layer.expected?, kept.clone()));
    }
    let (_, digest) = layer.made.filter(|(made, _)| *made == params)?;
    Some((layer.expected?, layer.blobs.as_ref()?.find(&digest)?))
}
