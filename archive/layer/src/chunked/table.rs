//! Puts the table of a layer together while its frames are written: the manifest, tar-split, and the footer.

use super::batch::{FileSums, Frame, Mark, PackedBatch};
use super::manifest::{Chunk, Entry};
use super::position::{Span, TYPE, TablePosition};
use super::tar_split;
use layerstone_store::Digest;
use layerstone_tar::{RawHeader, clean_name};
use std::collections::HashSet;
use std::io::{self, Write};
use twox_hash::XxHash3_64;
use zstd::stream::write::Encoder;

/// zstd's level for what tables are compressed with. They are small; a change changes the output.
const LEVEL: i32 = 9;
/// Ends the footer.
const MAGIC: &[u8; 8] = b"GNUlInUx";
/// Begins a frame that readers of zstd skip (RFC 8878, section 3.1.2).
const SKIPPABLE: [u8; 4] = [0x50, 0x2a, 0x4d, 0x18];
/// Bytes of the beginning of such a frame: this and its size.
const SKIPPABLE_HEADER: u64 = 8;

/// The table of a layer on its way.
pub(crate) struct TableBuilder {
    /// None once it is clear that the layer cannot have one.
    parts: Option<Parts>,
    is_ended: bool,
}

struct Parts {
    manifest: Document,
    tar_split: Document,
    /// Lines of tar-split so far.
    lines: u64,
    /// Entries of the manifest so far.
    entries: u64,
    file: Option<(Box<RawHeader>, Vec<Chunk>)>,
    /// Hashes of the names so far. That two names share one costs no more than the table.
    names: HashSet<u64>,
}

/// Text that is compressed as it is written.
struct Document {
    encoder: Encoder<'static, Vec<u8>>,
    plain_size: u64,
}

impl Document {
    fn new() -> io::Result<Document> {
        Ok(Document { encoder: Encoder::new(Vec::new(), LEVEL)?, plain_size: 0 })
    }

    fn write(&mut self, text: &[u8]) -> io::Result<()> {
        self.plain_size += text.len() as u64;
        self.encoder.write_all(text)
    }

    /// Its bytes, and where they are once they are written into a frame at this offset.
    fn finish(self, offset: u64) -> io::Result<(Vec<u8>, Span)> {
        let bytes = self.encoder.finish()?;
        let span = Span { offset: offset + SKIPPABLE_HEADER, size: bytes.len() as u64, plain_size: self.plain_size };
        Ok((bytes, span))
    }
}

impl TableBuilder {
    pub fn new() -> io::Result<TableBuilder> {
        let mut manifest = Document::new()?;
        manifest.write(br#"{"version":1,"entries":["#)?;
        let tar_split = Document::new()?;
        let parts = Parts { manifest, tar_split, lines: 0, entries: 0, file: None, names: HashSet::new() };
        Ok(TableBuilder { parts: Some(parts), is_ended: false })
    }

    /// Adds a batch whose frames begin at this offset of the blob.
    pub fn add(&mut self, batch: &PackedBatch, mut offset: u64) -> io::Result<()> {
        let (mut frames, mut rest) = (batch.frames.iter(), &batch.plain.bytes[..]);
        for mark in &batch.plain.marks {
            let Some(parts) = &mut self.parts else { return Ok(()) };
            let is_possible = match mark {
                Mark::Header(length, header) => {
                    let (raw, behind) = rest.split_at(*length);
                    rest = behind;
                    parts.header(raw, header)?
                }
                Mark::End(length) => {
                    self.is_ended = true;
                    if *length > 0 {
                        parts.segment(&rest[..*length])?;
                    }
                    true
                }
                Mark::Frame(length, kind) => {
                    let frame = frames.next().expect("each frame was compressed");
                    let end = offset + frame.size as u64;
                    let start = std::mem::replace(&mut offset, end);
                    let chunk = frame.digest.map(|digest| Chunk { offset: start, end, size: *length as u64, digest });
                    if chunk.is_some() {
                        rest = &rest[*length..];
                    }
                    parts.frame(chunk, (*kind == Frame::File).then_some(frame.crc))?
                }
                Mark::FileEnd(sums) => parts.file_end(sums)?,
                Mark::NoTable => false,
            };
            if !is_possible {
                self.parts = None;
            }
        }
        Ok(())
    }

    /// The frames of the table, which begin at this offset of the blob; none if there is none.
    pub fn finish(self, offset: u64) -> io::Result<Option<(Vec<u8>, TablePosition)>> {
        let Some(Parts { mut manifest, tar_split, .. }) = self.parts.filter(|_| self.is_ended) else {
            return Ok(None);
        };
        // Behind the manifest, whose size is not known yet.
        let (tar_split, mut tar_split_span) = tar_split.finish(0)?;
        let digest = Digest::of(&tar_split);
        manifest.write(format!(r#"],"tarSplitDigest":"{digest}"}}"#).as_bytes())?;
        let (manifest, span) = manifest.finish(offset)?;
        tar_split_span.offset += span.offset + span.size;
        let position = TablePosition { checksum: Digest::of(&manifest), manifest: span, tar_split: tar_split_span };
        let frames = [skippable(&manifest)?, skippable(&tar_split)?, skippable(&footer(&position))?].concat();
        Ok(Some((frames, position)))
    }
}

/// Each tells whether the layer can have a table.
impl Parts {
    fn header(&mut self, raw: &[u8], header: &RawHeader) -> io::Result<bool> {
        // As tar-split compares them: two members of one name are an error there.
        if !self.names.insert(XxHash3_64::oneshot(&clean_name(&header.name))) {
            return Ok(false);
        }
        self.segment(raw)?;
        if header.size > 0 {
            self.file = Some((Box::new(header.clone()), Vec::new()));
            return Ok(true);
        }
        let Some(entry) = Entry::of(header) else { return Ok(false) };
        self.entry(&entry)?;
        self.contents(header, None)?;
        Ok(true)
    }

    fn frame(&mut self, chunk: Option<Chunk>, crc: Option<u64>) -> io::Result<bool> {
        let (Some(chunk), Some((_, chunks))) = (chunk, &mut self.file) else { return Ok(true) };
        chunks.push(chunk);
        crc.map_or(Ok(true), |crc| self.file_end(&(chunk.digest, crc)))
    }

    fn file_end(&mut self, sums: &FileSums) -> io::Result<bool> {
        let Some((header, chunks)) = self.file.take() else { return Ok(false) };
        let Some(entries) = Entry::of_file(&header, sums, &chunks) else { return Ok(false) };
        for entry in &entries {
            self.entry(entry)?;
        }
        self.contents(&header, Some(sums.1))?;
        Ok(true)
    }

    fn entry(&mut self, entry: &Entry<'_>) -> io::Result<()> {
        if self.entries > 0 {
            self.manifest.write(b",")?;
        }
        self.entries += 1;
        self.manifest.write(&serde_json::to_vec(entry)?)
    }

    fn contents(&mut self, header: &RawHeader, crc: Option<u64>) -> io::Result<()> {
        let name = str::from_utf8(&header.name).expect("an entry of the manifest has the name");
        let line = tar_split::file(name, header.size, crc, self.lines);
        self.lines += 1;
        self.tar_split.write(&line)
    }

    fn segment(&mut self, bytes: &[u8]) -> io::Result<()> {
        let line = tar_split::segment(bytes, self.lines);
        self.lines += 1;
        self.tar_split.write(&line)
    }
}

/// A frame that readers of zstd skip.
fn skippable(bytes: &[u8]) -> io::Result<Vec<u8>> {
    let size = u32::try_from(bytes.len()).map_err(|_| io::Error::other("the table of a layer has more than 4 GiB"))?;
    Ok([&SKIPPABLE[..], &size.to_le_bytes(), bytes].concat())
}

/// Where the table is, for those who have no annotations.
fn footer(position: &TablePosition) -> Vec<u8> {
    let TablePosition { manifest, tar_split, .. } = position;
    let numbers = [
        [manifest.offset, manifest.size, manifest.plain_size, TYPE],
        [tar_split.offset, tar_split.size, tar_split.plain_size, u64::from_le_bytes(*MAGIC)],
    ];
    numbers.as_flattened().iter().flat_map(|number| number.to_le_bytes()).collect()
}
