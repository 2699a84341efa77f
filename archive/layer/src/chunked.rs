//! Writes zstd:chunked: a layer in zstd whose files, and pieces of files, are frames of their own, and a table of them.
//!
//! Whoever reads zstd reads the tar. A client that knows the format reads the table by a range request, takes what it has
//! from other layers, and fetches the rest frame by frame. The format is that of containers/storage, `pkg/chunked`; there
//! is no other specification.
//!
//! ```text
//! headers │ contents │ padding, headers │ chunk │ chunk │ … │ padding, end │ manifest │ tar-split │ footer
//! ╰───────────────────── frames of the tar ──────────────────────────────╯ ╰──── frames that are skipped ───╯
//! ```
//!
//! A small file is one frame, a larger one is [cut](cut) by its contents, so that what is inserted in one place leaves the
//! chunks of others as they are. The [manifest](manifest) says what is in the tar and where, [tar-split](tar_split) holds
//! the bytes of the tar that are no contents.
//!
//! A tar that the format cannot describe has no table: it has sparse files, names that are not UTF-8, or two members of
//! one name. It is plain zstd then.

mod batch;
mod cut;
mod fetch;
mod manifest;
mod position;
mod table;
mod table_reader;
mod tar_split;

pub(crate) use batch::{Batch, PackedBatch};
pub use fetch::{Fetch, KnownContents};
pub use position::{Span, TablePosition};
pub(crate) use table::TableBuilder;
pub use table_reader::{Chunk, ChunkTable, ChunkedFile, TableError};

use crate::compressor_pool::{PIECE, PendingTable};
use crate::{BlockWriter, Error, Result};
use batch::{Frame, Mark, Sums};
use layerstone_store::Limits;
use layerstone_tar::{RawHeader, Split, Splitter};
use std::path::Path;

/// Cuts a tar into frames as it is written.
pub(crate) struct ChunkedWriter<'a> {
    blocks: &'a mut BlockWriter,
    path: &'a Path,
    /// None once it is clear that the tar cannot have a table.
    splitter: Option<Splitter>,
    batch: Batch,
    /// Bytes at the end of the batch that are in no frame yet.
    open: usize,
    file: Option<OpenFile>,
}

/// The file whose contents are written.
struct OpenFile {
    left: u64,
    /// The sums of a file that is cut.
    sums: Option<Sums>,
}

impl<'a> ChunkedWriter<'a> {
    /// Writes to `blocks`; `path` names the output in messages.
    pub fn new(blocks: &'a mut BlockWriter, path: &'a Path) -> ChunkedWriter<'a> {
        let splitter = Some(Splitter::new(Limits::default()));
        ChunkedWriter { blocks, path, splitter, batch: Batch::default(), open: 0, file: None }
    }

    /// Takes the next bytes of the tar.
    ///
    /// # Errors
    ///
    /// The output cannot be written.
    pub fn write(&mut self, mut bytes: &[u8]) -> Result<()> {
        while !bytes.is_empty() {
            let Some(splitter) = &mut self.splitter else { return self.plain(bytes) };
            match splitter.split(&mut bytes) {
                Ok(Split::Part) => {}
                Ok(Split::Header(header)) => self.header(header)?,
                Ok(Split::Contents(contents)) => self.contents(contents)?,
                Err(why) => {
                    tracing::debug!(target: "layerstone::layer", %why, "the layer has no table");
                    self.give_up();
                }
            }
        }
        Ok(())
    }

    /// Ends the tar, and writes its table.
    ///
    /// # Errors
    ///
    /// The output cannot be written.
    pub fn finish(mut self) -> Result<PendingTable> {
        match self.splitter.take() {
            Some(mut splitter) if self.file.is_none() && splitter.is_at_end() => {
                let kept = self.take_raw(&mut splitter);
                self.batch.marks.push(Mark::End(kept));
            }
            splitter => {
                self.splitter = splitter;
                self.give_up();
            }
        }
        self.end_frame(Frame::Raw);
        self.flush()?;
        self.blocks.table().map_err(Error::write(self.path))
    }

    fn header(&mut self, header: Box<RawHeader>) -> Result<()> {
        let Some(mut splitter) = self.splitter.take() else { return Ok(()) };
        let kept = self.take_raw(&mut splitter);
        self.splitter = Some(splitter);
        let size = header.size;
        self.batch.marks.push(Mark::Header(kept, header));
        if size > 0 {
            self.end_frame(Frame::Raw);
            self.file = Some(OpenFile { left: size, sums: (size > cut::WHOLE).then(Sums::default) });
        } else if self.open >= PIECE {
            self.end_frame(Frame::Raw);
        }
        self.flush()
    }

    fn contents(&mut self, contents: &[u8]) -> Result<()> {
        let Some(file) = &mut self.file else { return Ok(()) };
        self.batch.bytes.extend_from_slice(contents);
        self.open += contents.len();
        file.left -= contents.len() as u64;
        let is_through = file.left == 0;
        if let Some(sums) = &mut file.sums {
            sums.update(contents);
            while self.open >= cut::MAX || (is_through && self.open > 0) {
                let open = &self.batch.bytes[self.batch.bytes.len() - self.open..];
                let length = cut::first(open);
                self.batch.marks.push(Mark::Frame(length, Frame::Chunk));
                self.open -= length;
                self.flush()?;
            }
        }
        if is_through {
            match self.file.take().and_then(|file| file.sums) {
                Some(sums) => self.batch.marks.push(Mark::FileEnd(sums.finish())),
                None => self.end_frame(Frame::File),
            }
            self.flush()?;
        }
        Ok(())
    }

    /// Takes bytes that have no place in a table.
    fn plain(&mut self, mut bytes: &[u8]) -> Result<()> {
        while !bytes.is_empty() {
            let (taken, rest) = bytes.split_at(bytes.len().min(PIECE.saturating_sub(self.open).max(1)));
            self.batch.bytes.extend_from_slice(taken);
            self.open += taken.len();
            bytes = rest;
            if self.open >= PIECE {
                self.end_frame(Frame::Raw);
                self.flush()?;
            }
        }
        Ok(())
    }

    /// Goes on without a table.
    fn give_up(&mut self) {
        if let Some(mut splitter) = self.splitter.take() {
            self.take_raw(&mut splitter);
        }
        self.batch.marks.push(Mark::NoTable);
    }

    /// Takes what the splitter has kept; how many bytes that are.
    fn take_raw(&mut self, splitter: &mut Splitter) -> usize {
        let before = self.batch.bytes.len();
        splitter.take_raw(&mut self.batch.bytes);
        let kept = self.batch.bytes.len() - before;
        self.open += kept;
        kept
    }

    fn end_frame(&mut self, frame: Frame) {
        if self.open > 0 {
            self.batch.marks.push(Mark::Frame(std::mem::take(&mut self.open), frame));
        }
    }

    /// Hands on what is in frames, once that is enough for a thread. Not while headers wait for the end of their frame.
    fn flush(&mut self) -> Result<()> {
        let framed = self.batch.bytes.len() - self.open;
        let is_open_header = self.open > 0 && self.file.is_none();
        if (framed < PIECE && self.splitter.is_some()) || is_open_header || self.batch.marks.is_empty() {
            return Ok(());
        }
        let mut rest = Vec::with_capacity(PIECE + cut::MAX);
        rest.extend_from_slice(&self.batch.bytes[framed..]);
        self.batch.bytes.truncate(framed);
        let batch = std::mem::replace(&mut self.batch, Batch { bytes: rest, marks: Vec::new() });
        self.blocks.batch(batch).map_err(Error::write(self.path))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{CompressedBlob, CompressionParams, CompressorPool, Progress, Source, compress_layer};
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    use layerstone_store::Digest;
    use layerstone_tar::{Common, Dialect, Entry, Owner, Part};
    use std::collections::BTreeMap;
    use std::sync::Arc;

    /// A tar of these entries, whose files have this many bytes that no two positions share.
    fn tar(entries: &[Entry], end: usize) -> Vec<u8> {
        let common = Common { dialect: Dialect::Gnu, mtime: 1, owner: Owner::root() };
        let mut tar = Vec::new();
        let mut state = 7_u64;
        for entry in entries {
            common.append_header(entry, &mut tar);
            for _ in 0..entry.kind.size() {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                tar.push((state >> 60) as u8);
            }
            tar.resize(tar.len().next_multiple_of(512), 0);
        }
        tar.resize(tar.len() + end, 0);
        tar
    }

    fn compress(tar: &[u8]) -> (CompressedBlob, Vec<u8>) {
        let mut file = tempfile::tempfile().unwrap();
        std::io::Write::write_all(&mut file, tar).unwrap();
        let source = Source::Part(Part::new(Arc::new(file), "x", 0, tar.len() as u64));
        let mut blob = Vec::new();
        let compress =
            |pool: &CompressorPool| compress_layer(&source, pool, &mut blob, Path::new("x"), &Progress::default());
        let packed = CompressorPool::with(CompressionParams::ZSTD_CHUNKED, 2, compress).unwrap();
        assert!(zstd::decode_all(&blob[..]).unwrap() == tar);
        (packed, blob)
    }

    fn part(blob: &[u8], span: Span) -> &[u8] {
        &blob[span.offset as usize..(span.offset + span.size) as usize]
    }

    /// Puts the tar together as a client does: from the contents that the manifest leads to, and tar-split.
    fn assemble(blob: &[u8], position: &TablePosition) -> Vec<u8> {
        let manifest = zstd::decode_all(part(blob, position.manifest)).unwrap();
        assert_eq!(manifest.len() as u64, position.manifest.plain_size);
        let manifest: serde_json::Value = serde_json::from_slice(&manifest).unwrap();
        let mut files: BTreeMap<&str, Vec<u8>> = BTreeMap::new();
        let table = ChunkTable::read(part(blob, position.manifest), position, &Limits::default()).unwrap();
        let regular = manifest["entries"].as_array().unwrap().iter().filter(|entry| entry["digest"].is_string());
        assert_eq!(regular.clone().count(), table.files.len());
        for (entry, file) in regular.zip(&table.files) {
            let mut contents = Vec::new();
            for chunk in &file.chunks {
                let bytes = zstd::decode_all(&blob[chunk.offset as usize..chunk.end as usize]).unwrap();
                assert!(chunk.digest.is_none_or(|digest| digest == Digest::of(&bytes)));
                contents.extend(bytes);
            }
            assert_eq!((Digest::of(&contents), contents.len() as u64), (file.digest, entry["size"].as_u64().unwrap()));
            files.insert(entry["name"].as_str().unwrap(), contents);
        }
        let tar_split = part(blob, position.tar_split);
        assert_eq!(manifest["tarSplitDigest"], Digest::of(tar_split).to_string());
        let tar_split = zstd::decode_all(tar_split).unwrap();
        assert_eq!(tar_split.len() as u64, position.tar_split.plain_size);
        let mut tar = Vec::new();
        for (number, line) in tar_split.split_inclusive(|&byte| byte == b'\n').enumerate() {
            let line: serde_json::Value = serde_json::from_slice(line).unwrap();
            assert_eq!(line["position"], number);
            let payload = line["payload"].as_str().map(|text| STANDARD.decode(text).unwrap());
            if line["type"] == 2 {
                tar.extend(payload.unwrap());
            } else if let Some(sum) = payload {
                let contents = &files[line["name"].as_str().unwrap()];
                let mut sums = Sums::default();
                sums.update(contents);
                assert_eq!(sum, sums.finish().1.to_be_bytes());
                tar.extend(contents);
            }
        }
        tar
    }

    #[test]
    fn a_client_puts_the_tar_together() {
        let mut entries = vec![
            Entry::directory(b".", 0o755),
            Entry::file(b"./empty", 0o644, 0),
            Entry::file(b"./small", 0o4755, 3),
            Entry::symlink(b"./link", b"small"),
            Entry::file(b"./whole", 0o644, cut::WHOLE),
            Entry::file(b"./cut", 0o644, cut::WHOLE + 1),
            Entry::file("./große/Dateien".as_bytes(), 0o644, 3_000_001),
            Entry::file(b"./last", 0o644, 512),
        ];
        // Headers alone that are more than a batch.
        entries.extend((0..3_000).map(|n| Entry::file(format!("./many/{n}").as_bytes(), 0o644, n % 2)));
        for end in [1_024, 10_240 - 512, 1_000_448] {
            let tar = tar(&entries, end);
            let (packed, blob) = compress(&tar);
            let position = packed.table.unwrap();
            assert!(assemble(&blob, &position) == tar);
            let footer = &blob[blob.len() - 64..];
            assert_eq!(&footer[56..], b"GNUlInUx");
            assert_eq!(footer[..8], position.manifest.offset.to_le_bytes());
        }
        assert!(compress(&tar(&[], 1_024)).0.table.is_some());
    }

    #[test]
    fn what_has_no_table_is_zstd() {
        let file = |name: &[u8]| Entry::file(name, 0o644, 5);
        let check = |tar: &[u8]| assert_eq!(compress(tar).0.table, None);
        check(&tar(&[file(b"./x"), file(b"x")], 1_024));
        check(&tar(&[file(b"./x\xff")], 1_024));
        check(&[&tar(&[file(b"x")], 1_024)[..], &vec![7; 3 << 20]].concat());
        check(&vec![7; 3 << 20]);
        let whole = tar(&[file(b"x"), file(b"y")], 1_024);
        // Without its last bytes: in contents, in padding, in a header.
        for missing in [1_024 + 508, 1_024 + 100, 1_024 + 600] {
            check(&whole[..whole.len() - missing]);
        }
        assert!(compress(&whole[..whole.len() - 1_024]).0.table.is_some());
    }

    #[test]
    fn tables_that_are_not_good() {
        let (packed, blob) = compress(&tar(&[Entry::file(b"x", 0o644, 200_000), Entry::file(b"y", 0o644, 9)], 1_024));
        let position = packed.table.unwrap();
        let text = String::from_utf8(zstd::decode_all(part(&blob, position.manifest)).unwrap()).unwrap();
        let read = |text: &str, change: &dyn Fn(&mut TablePosition)| {
            let manifest = zstd::encode_all(text.as_bytes(), 1).unwrap();
            let mut position = TablePosition { checksum: Digest::of(&manifest), ..position };
            position.manifest.plain_size = text.len() as u64;
            change(&mut position);
            ChunkTable::read(&manifest, &position, &Limits::default())
        };
        assert_eq!(read(&text, &|_| {}).unwrap().files.len(), 2);
        let check = |text: &str, change: &dyn Fn(&mut TablePosition), expected: &str| {
            let error = read(text, change).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        };
        check(&text, &|position| position.checksum = Digest::of(b""), "expected sha256:e3b0");
        check(&text, &|position| position.manifest.plain_size -= 1, "not of");
        check(&text, &|position| position.manifest.plain_size += 1, "not of");
        check(&text, &|position| position.manifest.plain_size = u64::MAX, "chunk-table");
        check(&text, &|position| position.manifest.offset = 9, "expected at most 9");
        check(&text[1..], &|_| {}, "expected");
        check(&text.replace(r#""version":1"#, r#""version":2"#), &|_| {}, "version 2");
        check(&text.replace(r#""type":"reg""#, r#""type":"fifo""#), &|_| {}, "chunk of no file");
        check(&text.replace(r#""digest""#, r#""sum""#), &|_| {}, "without a digest");
        check(&text.replace(r#""offset""#, r#""at""#), &|_| {}, "contents at 0");
    }
}
