//! The docker archive itself: what is copied from a base, layers, then what names them, as one tar.
//!
//! A layer stands in the archive under its digest, which is only known once the layer is through. But its size is known
//! before, and so is the offset of every byte, unless the archive is compressed. Hence three ways to write the same bytes:
//!
//! - a plain file: every layer is written at its offset while it is hashed, several at once, headers last; one that lies in
//!   an earlier archive is copied from there;
//! - a compressed file: front to back, each header in a slot that is written again when the digest is known. Each layer
//!   begins and ends a compressed block, so that its bytes there are those of its blob: one that is kept, in a cache or in
//!   an earlier archive, is copied;
//! - a pipe: layers whose digests are not given are hashed in a first pass, and all are hashed while they are written,
//!   since what was read twice must not have changed in between, and what is given must be true.

use crate::archive_cache::compression_name;
use crate::copied_run::runs;
use crate::member::{CopiedMember, LayerMember, WrittenLayer, padded, write_zeros};
use crate::member_writer::{Compressed, MemberWriter, Plain, compressed_layers, plain};
use layerstone_layer::{
    BlockWriter, CompressionParams, CompressorPool, Error, Positions, Progress, Result, Source, digest_others,
    digest_unknown,
};
use layerstone_store::{Digest, Hasher, Output};
use layerstone_tar::{BLOCK, Common, Dialect, Entry, Owner, RECORD};
use std::io::Write;
use std::path::Path;

/// An archive about to be written.
pub struct Archive<'a> {
    /// What stands before the layers, copied as it is.
    pub before: &'a [CopiedMember],
    /// Layers, bottom first.
    pub layers: Vec<LayerMember>,
    /// Modification time of all other members, in seconds since the epoch.
    pub mtime: i64,
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
                None => self.write_at_offsets(output, finish, progress),
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

    /// What decides the bytes of the archive of layers of these diff IDs, compressed so. None if something else is copied.
    pub fn fingerprint(
        &self,
        digests: &[Digest],
        params: Option<CompressionParams>,
        finish: &dyn Fn(&[Digest]) -> Trailer,
    ) -> Option<Digest> {
        if !self.before.is_empty() {
            return None;
        }
        let mut hasher = Hasher::default();
        hasher.update(compression_name(params).as_bytes());
        for (layer, digest) in self.layers.iter().zip(digests) {
            hasher.update(digest.as_bytes());
            hasher.update(&self.header(layer, digest));
        }
        let end = self.offsets().last().map_or(0, |(contents, size)| contents + padded(*size));
        hasher.update(&self.trailer(end, finish(digests)));
        Some(hasher.finish())
    }

    fn write_at_offsets(
        &self,
        output: &mut Output,
        finish: &dyn Fn(&[Digest]) -> Trailer,
        progress: &Progress,
    ) -> Result<Vec<WrittenLayer>> {
        let path = output.destination().to_owned();
        self.write_before(output, &path)?;
        let spans = self.offsets();
        let output: &Output = output;
        let sources: Vec<&Source> = self.layers.iter().map(|layer| &layer.source).collect();
        let sink = |index: usize, offset: u64, bytes: &[u8]| {
            output.write_all_at(bytes, spans[index].0 + offset).map_err(Error::write(&path))
        };
        let copied: Vec<Option<Digest>> =
            self.layers.iter().map(|layer| layer.expected.filter(|_| layer.kept.is_some())).collect();
        let copy = || runs(&self.layers, &spans).iter().try_for_each(|run| run.copy(output, progress));
        let read = || digest_others(&sources, &copied, &sink, progress);
        let (written, digests) = rayon::join(copy, read);
        let digests = written.and(digests)?;
        self.check(&digests)?;
        let mut end = self.size_before();
        for ((layer, digest), (contents, size)) in self.layers.iter().zip(&digests).zip(&spans) {
            output.write_all_at(&self.header(layer, digest), end).map_err(Error::write(&path))?;
            end = contents + padded(*size);
        }
        // Padding between members is a hole until here; the trailer brings the file to its length.
        output.write_all_at(&self.trailer(end, finish(&digests)), end).map_err(Error::write(&path))?;
        Ok(plain(digests, Some(spans)))
    }

    /// Offset and size of each layer in an archive that is not compressed.
    fn offsets(&self) -> Vec<(u64, u64)> {
        let mut end = self.size_before();
        let span = |layer: &LayerMember| {
            let (contents, size) = (end + self.header(layer, &ZERO).len() as u64, layer.source.size());
            end = contents + padded(size);
            (contents, size)
        };
        self.layers.iter().map(span).collect()
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
            return Ok(plain(digests, None));
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
        let (written, Positions { slots, layers }) = compressed.map_err(Error::write(path))?;
        let (digests, pending) = written?;
        Ok((compressed_layers(digests, pending, &layers), slots))
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
