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
mod manifest;
mod position;
mod table;
mod tar_split;

pub(crate) use batch::{Batch, PackedBatch};
pub use position::{Span, TablePosition};
pub(crate) use table::TableBuilder;

use crate::compressor_pool::{BLOCK, PendingTable};
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
        } else if self.open >= BLOCK {
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
            let (taken, rest) = bytes.split_at(bytes.len().min(BLOCK.saturating_sub(self.open).max(1)));
            self.batch.bytes.extend_from_slice(taken);
            self.open += taken.len();
            bytes = rest;
            if self.open >= BLOCK {
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
        if (framed < BLOCK && self.splitter.is_some()) || is_open_header || self.batch.marks.is_empty() {
            return Ok(());
        }
        let mut rest = Vec::with_capacity(BLOCK + cut::MAX);
        rest.extend_from_slice(&self.batch.bytes[framed..]);
        self.batch.bytes.truncate(framed);
        let batch = std::mem::replace(&mut self.batch, Batch { bytes: rest, marks: Vec::new() });
        self.blocks.batch(batch).map_err(Error::write(self.path))
    }
}
