//! A piece of a tar that is cut into frames, which one thread compresses and hashes.

use crate::compressor::Compressor;
use crc::{CRC_64_GO_ISO, Crc, Table};
use layerstone_store::{Digest, Hasher};
use layerstone_tar::RawHeader;
use std::io;

/// The sum that tar-split has of contents (its `tar/storage/entry.go`: Go's `crc64.ISO`).
static CRC: Crc<u64, Table<16>> = Crc::<u64, Table<16>>::new(&CRC_64_GO_ISO);

/// Bytes of a tar, and what they are, in their order.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    pub bytes: Vec<u8>,
    pub marks: Vec<Mark>,
}

/// What is said of the bytes of a batch.
#[derive(Debug)]
pub(crate) enum Mark {
    /// So many bytes are the header of a member, with the padding before it.
    Header(usize, Box<RawHeader>),
    /// So many bytes end the tar.
    End(usize),
    /// A frame of so many bytes ends here.
    Frame(usize, Frame),
    /// A file that is cut ends here; the sums of all of it.
    FileEnd(FileSums),
    /// The tar has no table.
    NoTable,
}

/// What a frame holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Frame {
    /// Headers, padding, zeros.
    Raw,
    /// All contents of a file.
    File,
    /// A chunk of a file.
    Chunk,
}

/// sha256 of contents, and the sum of tar-split.
pub(crate) type FileSums = (Digest, u64);

/// The sums of a file on its way.
pub(crate) struct Sums {
    hasher: Hasher,
    crc: crc::Digest<'static, u64, Table<16>>,
}

impl Default for Sums {
    fn default() -> Sums {
        Sums { hasher: Hasher::default(), crc: CRC.digest() }
    }
}

impl Sums {
    pub fn update(&mut self, bytes: &[u8]) {
        self.hasher.update(bytes);
        self.crc.update(bytes);
    }

    pub fn finish(self) -> FileSums {
        (self.hasher.finish(), self.crc.finalize())
    }
}

/// A batch whose frames are compressed.
#[derive(Debug)]
pub(crate) struct PackedBatch {
    pub plain: Batch,
    /// The frames, one behind the other.
    pub bytes: Vec<u8>,
    /// Of each [`Mark::Frame`], in their order.
    pub frames: Vec<PackedFrame>,
}

/// A frame that is compressed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PackedFrame {
    /// Its size in bytes.
    pub size: usize,
    /// sha256 of what it holds, unless it is [`Frame::Raw`].
    pub digest: Option<Digest>,
    /// The sum of tar-split of a [`Frame::File`].
    pub crc: u64,
}

impl Batch {
    /// Compresses and hashes its frames.
    pub fn pack(self, compressor: &mut Compressor) -> io::Result<PackedBatch> {
        let mut bytes = Vec::with_capacity(self.bytes.len() / 2);
        let mut frames = Vec::new();
        let mut rest = &self.bytes[..];
        for mark in &self.marks {
            let Mark::Frame(length, kind) = mark else { continue };
            let (frame, behind) = rest.split_at(*length);
            rest = behind;
            let size = compressor.append(frame, &mut bytes)?;
            let digest = (*kind != Frame::Raw).then(|| Digest::of(frame));
            let crc = if *kind == Frame::File { CRC.checksum(frame) } else { 0 };
            frames.push(PackedFrame { size, digest, crc });
        }
        Ok(PackedBatch { plain: self, bytes, frames })
    }
}
