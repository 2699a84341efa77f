//! Bytes that one side writes and the other reads, hashed on the way.

use crate::client::Stop;
use crossbeam_channel::{Receiver, Sender, bounded};
use layerstone_oci::{Content, Error as OciError};
use layerstone_stage::{Digest, Hasher};
use std::io::{self, Read, Write};
use std::thread;

/// Pieces on the way; each has at most 256 KiB.
const DEPTH: usize = 8;
const PIECE: usize = 1 << 18;

/// What came of a content that was read.
pub(crate) struct Told {
    /// Digest of what was read of it.
    pub digest: Digest,
    /// How many bytes that were.
    pub size: u64,
    /// What went wrong with it, if not with its reader.
    pub error: Option<OciError>,
}

/// Lets `read` read a content from an offset on, until it is time to end.
pub(crate) fn read<T>(
    content: &dyn Content,
    from: u64,
    stop: &Stop,
    read: impl FnOnce(&mut dyn Read) -> T,
) -> (T, Told) {
    let (pieces, taken) = bounded(DEPTH);
    thread::scope(|scope| {
        let writer = scope.spawn(move || {
            let mut out = Writer { pieces, is_gone: false };
            let result = content.write_to(from, &mut out);
            if result.is_err() && !out.is_gone {
                let _ = out.pieces.send(None);
            }
            result.err().filter(|_| !out.is_gone)
        });
        let mut reader = Reader { stop, taken, piece: Vec::new(), at: 0, hasher: Hasher::default(), size: 0 };
        let result = read(&mut reader);
        let Reader { hasher, size, .. } = reader;
        let error = writer.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        (result, Told { digest: hasher.finish(), size, error })
    })
}

struct Writer {
    /// Pieces; none for an end before the end.
    pieces: Sender<Option<Vec<u8>>>,
    is_gone: bool,
}

impl Write for Writer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = bytes.len().min(PIECE);
        if self.pieces.send(Some(bytes[..count].to_vec())).is_err() {
            self.is_gone = true;
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

struct Reader<'a> {
    stop: &'a Stop,
    taken: Receiver<Option<Vec<u8>>>,
    piece: Vec<u8>,
    at: usize,
    hasher: Hasher,
    size: u64,
}

impl Read for Reader<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.at == self.piece.len() {
            self.stop.check().map_err(io::Error::other)?;
            self.at = 0;
            self.piece = match self.taken.recv() {
                Ok(Some(piece)) => piece,
                Ok(None) => return Err(io::Error::other("the content cannot be read")),
                Err(_) => Vec::new(),
            };
        }
        let count = buffer.len().min(self.piece.len() - self.at);
        buffer[..count].copy_from_slice(&self.piece[self.at..self.at + count]);
        self.hasher.update(&buffer[..count]);
        self.at += count;
        self.size += count as u64;
        Ok(count)
    }
}
