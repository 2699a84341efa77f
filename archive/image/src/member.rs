//! The members of a docker archive: layers, and what is copied as it is. Does not know where in an archive they stand.

use layerstone_layer::{Blob, BlobCache, CompressedBlob, CompressionParams, Error, Layer, Result, Source};
use layerstone_store::Digest;
use layerstone_tar::{BLOCK, Owner, Part};
use std::io::{self, Write};
use std::path::PathBuf;

/// A member that is copied as it is.
#[derive(Debug)]
pub struct CopiedMember {
    /// Its header blocks.
    pub header: Vec<u8>,
    /// Its contents, if it has any.
    pub contents: Option<Part>,
}

impl CopiedMember {
    /// How many bytes it takes in an archive, padding included.
    pub(crate) fn size(&self) -> u64 {
        self.header.len() as u64 + self.contents.as_ref().map_or(0, |contents| padded(contents.size()))
    }

    pub(crate) fn write_to(&self, out: &mut dyn Write) -> io::Result<()> {
        out.write_all(&self.header)?;
        let Some(contents) = &self.contents else { return Ok(()) };
        io::copy(&mut contents.reader(), out)?;
        write_zeros(out, padded(contents.size()) - contents.size())
    }
}

/// A layer in an archive.
pub struct LayerMember {
    /// Where its bytes come from.
    pub source: Source,
    /// Diff ID that it must have, if that is known.
    pub expected: Option<Digest>,
    /// What it is called in messages: its layer file.
    pub label: PathBuf,
    /// Permission bits of the member.
    pub mode: u32,
    /// Owner of the member.
    pub owner: Owner,
    /// Name of the member, if it is not to be `HEX/layer.tar` after the diff ID.
    pub name: Option<String>,
    /// What compressing it with these parameters gives, if that is known: the digest of its blob.
    pub made: Option<(CompressionParams, Digest)>,
    /// The cache of its blob.
    pub blobs: Option<BlobCache>,
    /// What an earlier archive that is there unchanged has of it, compressed as this one is: its tar, or its blob. Only of one
    /// whose diff ID is expected.
    pub kept: Option<Part>,
}

/// A layer that was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WrittenLayer {
    /// sha256 of its tar.
    pub diff_id: Digest,
    /// What it was compressed into on the way, if it was.
    pub blob: Option<CompressedBlob>,
    /// Offset and size of its bytes in the archive, those of its tar or of its blob; none where they were not counted.
    pub span: Option<(u64, u64)>,
}

impl LayerMember {
    /// A layer whose member has mode 0644 and no named owner, as Python's `TarInfo` begins.
    pub fn new(source: Source, expected: Option<Digest>, label: impl Into<PathBuf>) -> LayerMember {
        let owner = Owner::numeric_root();
        LayerMember {
            source,
            expected,
            label: label.into(),
            mode: 0o644,
            owner,
            name: None,
            made: None,
            blobs: None,
            kept: None,
        }
    }

    /// The member of a layer of an image.
    ///
    /// # Errors
    ///
    /// Only its blob exists.
    pub fn of(layer: &Layer) -> Result<LayerMember> {
        let made = match &layer.blob {
            Some(Blob::Made(params, descriptor)) => Some((*params, descriptor.digest)),
            _ => None,
        };
        let member = LayerMember::new(layer.tar()?.clone(), layer.diff_id, layer.label.clone());
        Ok(LayerMember { made, blobs: layer.blobs.clone(), ..member })
    }

    /// Compares the diff ID that was found with the one that is expected.
    pub(crate) fn check(&self, found: Digest, expected: Digest) -> Result<()> {
        if found == expected { Ok(()) } else { Err(Error::Digest { path: self.label.clone(), found, expected }) }
    }
}

/// Bytes that a member's contents take, with the padding behind them.
pub(crate) fn padded(size: u64) -> u64 {
    size.next_multiple_of(BLOCK as u64)
}

/// Fewer zeros than a block.
pub(crate) fn write_zeros(out: &mut dyn Write, count: u64) -> io::Result<()> {
    let count = usize::try_from(count).expect("padding is shorter than a block");
    out.write_all(&[0; BLOCK][..count])
}
