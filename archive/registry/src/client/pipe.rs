//! Streams part of a blob from the thread that makes it to the one that sends it, and hashes it on the way.
//!
//! A part that cannot be read on, or whose sending is cancelled, ends early, as if there were no more of it: a request in
//! chunks then has a proper end, and its answer names the upload so that it can be cancelled. docker-registry 2.8 has no
//! other way to do that: it does not know an upload by its old address once it has got more bytes.

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};
use layerstone_oci::{Content, Error as OciError};
use layerstone_store::{Cancel, Digest, Error as StageError, Hasher};
use std::cell::RefCell;
use std::io::{self, Read, Write};
use std::path::Path;
use std::thread;

/// Pieces on the way; each has at most 256 KiB.
const DEPTH: usize = 8;
const PIECE: usize = 1 << 18;

/// A part of a blob that is sent: from an offset to the end.
pub(crate) struct Part<'a> {
    pub content: &'a dyn Content,
    pub from: u64,
    /// Bytes that are expected from there on.
    pub size: u64,
    /// What came of it when it was sent the last time.
    pub taken: RefCell<Option<Taken>>,
}

/// What came of a part that was sent.
pub(crate) struct Taken {
    /// Digest of what was read of it.
    pub digest: Digest,
    /// How many bytes that were: one too many if there are more than expected.
    pub size: u64,
    /// Whether its content has fewer bytes than expected.
    pub is_short: bool,
    /// What went wrong with the content, if not with its reader.
    pub error: Option<OciError>,
}

/// Lets `send` read a part, until it has enough or the work is cancelled. Whatever it does, the thread that makes the bytes ends
/// as soon as nobody reads them any more.
pub(crate) fn read<T>(part: &Part<'_>, cancel: &Cancel, send: impl FnOnce(&mut dyn Read) -> T) -> T {
    let (pieces, source) = bounded(DEPTH);
    let (content, from) = (part.content, part.from);
    thread::scope(|scope| {
        let writer = thread::Builder::new().spawn_scoped(scope, move || {
            let mut out = Writer { pieces, is_gone: false };
            let result = content.write_to(from, &mut out);
            if result.is_err() && !out.is_gone {
                let _ = out.pieces.send(None);
            }
            result.err().filter(|_| !out.is_gone).map(OciError::from)
        });
        let (piece, hasher) = (Vec::new(), Hasher::default());
        let mut reader = Reader { cancel, source, piece, at: 0, hasher, size: 0, is_over: false, is_stopped: false };
        let result = send(&mut reader);
        if reader.size == part.size {
            // A byte more than expected is noticed.
            let _ = reader.read(&mut [0]);
        }
        let is_short = reader.is_over && reader.size < part.size;
        let Reader { hasher, size, source, .. } = reader;
        // The writer does not wait for somebody to take its pieces.
        drop(source);
        let error = match writer {
            Ok(writer) => writer.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)),
            Err(e) => Some(StageError::io("start a thread for", Path::new("an upload"))(e).into()),
        };
        part.taken.replace(Some(Taken { digest: hasher.finish(), size, is_short, error }));
        result
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
    cancel: &'a Cancel,
    source: Receiver<Option<Vec<u8>>>,
    piece: Vec<u8>,
    at: usize,
    hasher: Hasher,
    size: u64,
    /// Whether the end of the content came.
    is_over: bool,
    /// Whether it is not read on, for another reason.
    is_stopped: bool,
}

impl Reader<'_> {
    /// The next piece; an empty one at the end.
    fn next(&mut self) -> Vec<u8> {
        loop {
            if self.is_stopped || self.cancel.is_cancelled() {
                self.is_stopped = true;
                return Vec::new();
            }
            match self.source.recv_timeout(Cancel::TICK) {
                Ok(Some(piece)) => return piece,
                Ok(None) => self.is_stopped = true,
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => {
                    self.is_over = true;
                    return Vec::new();
                }
            }
        }
    }
}

impl Read for Reader<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.at == self.piece.len() {
            self.at = 0;
            self.piece = Vec::new();
            self.piece = self.next();
        }
        let count = buffer.len().min(self.piece.len() - self.at);
        buffer[..count].copy_from_slice(&self.piece[self.at..self.at + count]);
        self.hasher.update(&buffer[..count]);
        self.at += count;
        self.size += count as u64;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sends a content of so many bytes that is said to have `size`; `send` reads at most `most` of it.
    fn taken(bytes: usize, from: u64, size: u64, most: u64, cancel: &Cancel) -> Taken {
        let content = vec![7u8; bytes];
        let part = Part { content: &content, from, size, taken: RefCell::default() };
        let _ = read(&part, cancel, |reader| io::copy(&mut reader.take(most), &mut io::sink()));
        part.taken.into_inner().unwrap()
    }

    /// A reader that stops early must not leave the writer waiting, however much is left.
    #[test]
    fn whoever_stops_reading_ends_the_writer() {
        for most in [0, 1, 1 << 18, 3 << 20] {
            let taken = taken(20 << 20, 0, 20 << 20, most, &Cancel::default());
            assert_eq!((taken.size, taken.is_short), (most, false));
            assert!(taken.error.is_none());
        }
        let cancelled = Cancel::when(|| true);
        assert_eq!(taken(20 << 20, 0, 20 << 20, u64::MAX, &cancelled).size, 0);
    }

    #[test]
    fn sizes() {
        let never = Cancel::default();
        for (bytes, from, size, expected) in [
            (0, 0, 0, (0, false)),
            (1000, 0, 1000, (1000, false)),
            (1000, 400, 600, (600, false)),
            (1000, 0, 1001, (1000, true)),
            (0, 0, 1, (0, true)),
            (1001, 0, 1000, (1001, false)),
        ] {
            let taken = taken(bytes, from, size, size, &never);
            assert_eq!((taken.size, taken.is_short), expected, "{bytes} {from} {size}");
        }
        assert_eq!(taken(1000, 0, 1000, 1000, &never).digest, Digest::of(&[7; 1000]));
    }
}
