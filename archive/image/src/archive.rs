//! The docker archive itself: what is copied from a base, layers, then what names them, as one tar.
//!
//! A layer stands in the archive under its digest, which is only known once the layer is through. But its size is known
//! before, and so is the offset of every byte, unless the archive is compressed. Hence three ways to write the same bytes:
//!
//! - a plain file: every layer is written at its offset while it is hashed, several at once, headers last;
//! - a compressed file: front to back, each header in a slot that is written again when the digest is known. Each layer
//!   begins and ends a compressed block, so that its bytes there are those of its blob: one that is kept is copied;
//! - a pipe: layers whose digests are not given are hashed in a first pass, and all are hashed while they are written,
//!   since what was read twice must not have changed in between, and what is given must be true.

use crate::member_writer::{Compressed, MemberWriter, Plain, compressed_layers, plain};
use layerstone_layer::{
    Blob, BlobCache, BlockWriter, CompressedBlob, CompressionParams, CompressorPool, Error, Layer, Progress, Result,
    Source, digest_all, digest_unknown,
};
use layerstone_store::{Digest, Output};
use layerstone_tar::{BLOCK, Common, Dialect, Entry, Owner, Part, RECORD};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// An archive about to be written.
pub struct Archive<'a> {
    /// What stands before the layers, copied as it is.
    pub before: &'a [CopiedMember],
    /// Layers, bottom first.
    pub layers: Vec<LayerMember>,
    /// Modification time of all other members, in seconds since the epoch.
    pub mtime: i64,
}

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
    fn size(&self) -> u64 {
        self.header.len() as u64 + self.contents.as_ref().map_or(0, |contents| padded(contents.size()))
    }

    fn write_to(&self, out: &mut dyn Write) -> io::Result<()> {
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
}

/// A layer that was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WrittenLayer {
    /// sha256 of its tar.
    pub diff_id: Digest,
    /// What it was compressed into on the way, if it was.
    pub blob: Option<CompressedBlob>,
}

impl LayerMember {
    /// A layer whose member has mode 0644 and no named owner, as Python's `TarInfo` begins.
    pub fn new(source: Source, expected: Option<Digest>, label: impl Into<PathBuf>) -> LayerMember {
        let owner = Owner::numeric_root();
        LayerMember { source, expected, label: label.into(), mode: 0o644, owner, name: None, made: None, blobs: None }
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
}

/// Members that follow the layers: names and contents.
pub type Trailer = Vec<(String, Vec<u8>)>;

/// Where an archive goes.
pub enum Target<'a> {
    /// A file, committed by the caller.
    File(&'a mut Output),
    /// Something that only takes bytes in order; the path names it in messages.
    Pipe(&'a mut (dyn Write + Send), &'a Path),
}

impl Archive<'_> {
    /// Writes the archive; `finish` makes the trailer from the layers' diff IDs, `progress` counts what is done, of
    /// [`Archive::work`] bytes.
    ///
    /// Nothing is committed here: after an error the caller drops the output.
    pub fn write(
        &self,
        target: Target<'_>,
        params: Option<CompressionParams>,
        finish: &dyn Fn(&[Digest]) -> Trailer,
        progress: &Progress,
    ) -> Result<Vec<WrittenLayer>> {
        match target {
            Target::File(output) if output.is_seekable() => match params {
                None => Ok(plain(self.write_at_offsets(output, finish, progress)?)),
                Some(params) => self.write_with_slots(output, params, finish, progress),
            },
            Target::File(output) => {
                let path = output.destination().to_owned();
                self.write_in_order(output, &path, params, finish, progress)
            }
            Target::Pipe(out, path) => self.write_in_order(out, path, params, finish, progress),
        }
    }

    /// Bytes that the progress will count, for a target written in any order or in order.
    pub fn work(&self, seekable: bool) -> u64 {
        let once: u64 = self.layers.iter().map(|layer| layer.source.size()).sum();
        let unknown = self.layers.iter().filter(|layer| layer.expected.is_none());
        let first_pass: u64 = unknown.map(|layer| layer.source.size()).sum();
        if seekable { once } else { once + first_pass }
    }

    fn write_at_offsets(
        &self,
        output: &mut Output,
        finish: &dyn Fn(&[Digest]) -> Trailer,
        progress: &Progress,
    ) -> Result<Vec<Digest>> {
        let path = output.destination().to_owned();
        self.write_before(output, &path)?;
        let mut offsets = Vec::with_capacity(self.layers.len());
        let mut end = self.size_before();
        for layer in &self.layers {
            let header = end;
            let contents = header + self.header(layer, &ZERO).len() as u64;
            end = contents + padded(layer.source.size());
            offsets.push((header, contents));
        }
        let output: &Output = output;
        let sources: Vec<&Source> = self.layers.iter().map(|layer| &layer.source).collect();
        let sink = |index: usize, offset: u64, bytes: &[u8]| {
            let (_, contents): (u64, u64) = offsets[index];
            output.write_all_at(bytes, contents + offset).map_err(Error::write(&path))
        };
        let digests = digest_all(&sources, &sink, progress)?;
        self.check(&digests)?;
        for ((layer, digest), (header, _)) in self.layers.iter().zip(&digests).zip(&offsets) {
            output.write_all_at(&self.header(layer, digest), *header).map_err(Error::write(&path))?;
        }
        // Padding between members is a hole until here; the trailer brings the file to its length.
        output.write_all_at(&self.trailer(end, finish(&digests)), end).map_err(Error::write(&path))?;
        Ok(digests)
    }

    fn write_with_slots(
        &self,
        output: &mut Output,
        params: CompressionParams,
        finish: &dyn Fn(&[Digest]) -> Trailer,
        progress: &Progress,
    ) -> Result<Vec<WrittenLayer>> {
        let path = output.destination().to_owned();
        let (layers, slots) = self.write_compressed(output, &path, params, None, finish, progress)?;
        let digests: Vec<Digest> = layers.iter().map(|layer| layer.diff_id).collect();
        self.check(&digests)?;
        for ((layer, digest), slot) in self.layers.iter().zip(&digests).zip(slots) {
            let member = params.store(&self.header(layer, digest));
            output.write_all_at(&member, slot).map_err(Error::write(&path))?;
        }
        Ok(layers)
    }

    fn write_in_order(
        &self,
        out: &mut (dyn Write + Send),
        path: &Path,
        params: Option<CompressionParams>,
        finish: &dyn Fn(&[Digest]) -> Trailer,
        progress: &Progress,
    ) -> Result<Vec<WrittenLayer>> {
        let digests = self.digests_first(progress)?;
        let Some(params) = params else {
            self.write_members(&mut Plain(out), path, Some(&digests), finish, progress)?;
            out.flush().map_err(Error::write(path))?;
            return Ok(plain(digests));
        };
        Ok(self.write_compressed(out, path, params, Some(&digests), finish, progress)?.0)
    }

    /// Writes all members compressed, front to back: the layers, and where their headers are.
    fn write_compressed(
        &self,
        out: &mut (dyn Write + Send),
        path: &Path,
        params: CompressionParams,
        expected: Option<&[Digest]>,
        finish: &dyn Fn(&[Digest]) -> Trailer,
        progress: &Progress,
    ) -> Result<(Vec<WrittenLayer>, Vec<u64>)> {
        let write = |blocks: &mut BlockWriter| {
            let mut out = Compressed { blocks, params, pending: Vec::new() };
            let digests = self.write_members(&mut out, path, expected, finish, progress)?;
            Ok::<_, Error>((digests, out.pending))
        };
        let threads = rayon::current_num_threads();
        let compressed = CompressorPool::with(params, threads, |pool| pool.compress(out, write));
        let (written, slots) = compressed.map_err(Error::write(path))?;
        let (digests, pending) = written?;
        Ok((compressed_layers(digests, pending), slots))
    }

    /// Diff IDs before anything is written: those given, the others found by a pass over their layers.
    fn digests_first(&self, progress: &Progress) -> Result<Vec<Digest>> {
        let (sources, known): (Vec<&Source>, Vec<Option<Digest>>) =
            self.layers.iter().map(|layer| (&layer.source, layer.expected)).unzip();
        digest_unknown(&sources, &known, progress)
    }

    /// Writes all members front to back, and returns the layers' diff IDs; each layer's header has the diff ID that is
    /// expected of it, which is then checked.
    fn write_members(
        &self,
        out: &mut dyn MemberWriter,
        path: &Path,
        expected: Option<&[Digest]>,
        finish: &dyn Fn(&[Digest]) -> Trailer,
        progress: &Progress,
    ) -> Result<Vec<Digest>> {
        self.write_before(out.bytes(), path)?;
        let mut end = self.size_before();
        let mut digests = Vec::with_capacity(self.layers.len());
        for (index, layer) in self.layers.iter().enumerate() {
            let expected = expected.map(|digests| digests[index]);
            let header = self.header(layer, &expected.unwrap_or(ZERO));
            out.header(&header).map_err(Error::write(path))?;
            progress.begin_layer(index);
            let found = out.layer(layer, path, progress)?;
            progress.add_layer();
            layer.check(found, expected.unwrap_or(found))?;
            digests.push(found);
            let size = layer.source.size();
            write_zeros(out.bytes(), padded(size) - size).map_err(Error::write(path))?;
            end += header.len() as u64 + padded(size);
        }
        out.bytes().write_all(&self.trailer(end, finish(&digests))).map_err(Error::write(path))?;
        Ok(digests)
    }

    /// Writes what stands before the layers.
    fn write_before(&self, out: &mut dyn Write, path: &Path) -> Result<()> {
        self.before.iter().try_for_each(|member| member.write_to(out)).map_err(Error::write(path))
    }

    /// Bytes of what stands before the layers.
    fn size_before(&self) -> u64 {
        self.before.iter().map(CopiedMember::size).sum()
    }

    /// All that follows the layers, which end at `end`: the trailer's members, two zero blocks, padding.
    fn trailer(&self, end: u64, members: Trailer) -> Vec<u8> {
        let mut bytes = Vec::new();
        for (name, contents) in members {
            let entry = Entry::file(name.as_bytes(), 0o644, contents.len() as u64);
            self.common(&Owner::numeric_root()).append_header(&entry, &mut bytes);
            bytes.extend_from_slice(&contents);
            bytes.resize(bytes.len().next_multiple_of(BLOCK), 0);
        }
        let total = (end + bytes.len() as u64 + 2 * BLOCK as u64).next_multiple_of(RECORD);
        let len = usize::try_from(total - end).expect("the trailer was made in memory");
        bytes.resize(len, 0);
        bytes
    }

    fn header(&self, layer: &LayerMember, digest: &Digest) -> Vec<u8> {
        let mut header = Vec::new();
        let name = layer.name.clone().unwrap_or_else(|| layer_name(digest));
        let entry = Entry::file(name.as_bytes(), layer.mode, layer.source.size());
        self.common(&layer.owner).append_header(&entry, &mut header);
        header
    }

    fn common(&self, owner: &Owner) -> Common {
        Common { dialect: Dialect::Pax, mtime: self.mtime, owner: owner.clone() }
    }

    /// Compares diff IDs with those that the layers must have.
    fn check(&self, digests: &[Digest]) -> Result<()> {
        let pairs = self.layers.iter().zip(digests);
        pairs.into_iter().try_for_each(|(layer, found)| layer.check(*found, layer.expected.unwrap_or(*found)))
    }
}

impl LayerMember {
    fn check(&self, found: Digest, expected: Digest) -> Result<()> {
        if found == expected { Ok(()) } else { Err(Error::Digest { path: self.label.clone(), found, expected }) }
    }
}

/// Stands for a digest that is not known yet.
const ZERO: Digest = Digest::from_bytes([0; 32]);

/// Name of a config's member.
pub(crate) fn config_name(image_id: &Digest) -> String {
    format!("{}.json", image_id.hex())
}

/// Name of a layer's member.
pub(crate) fn layer_name(digest: &Digest) -> String {
    format!("{}/layer.tar", digest.hex())
}

fn padded(size: u64) -> u64 {
    size.next_multiple_of(BLOCK as u64)
}

/// Fewer zeros than a block.
fn write_zeros(out: &mut dyn Write, count: u64) -> io::Result<()> {
    let count = usize::try_from(count).expect("padding is shorter than a block");
    out.write_all(&[0; BLOCK][..count])
}
