//! Compressed streams in a row as one, and what may stand behind the last one.
//!
//! gzip(1) passes over zeros behind the last member (tapes and bsdtar pad to whole records), and over anything else with a
//! warning; bzip2(1) passes over anything with a warning. zstd(1) and xz(1) refuse what is no frame, no stream and no
//! padding of xz, and so do their libraries, so that their readers need nothing of this.

use std::cell::Cell;
use std::io::{self, BufRead, ErrorKind, Read};
use std::rc::Rc;

/// What becomes of bytes behind the compressed data.
#[derive(Clone, Debug)]
pub(crate) enum Trailing {
    /// They are an error, zeros too: Go's readers, and so the engines and registries' clients, take no such layer.
    Refused,
    /// They are passed over where the codec's own program does so; the cell then says whether they were more than zeros.
    Ignored(Rc<Cell<bool>>),
}

/// A decoder of one stream.
pub(super) trait Stream<R>: Read + Sized {
    /// Bytes that tell whether another stream begins.
    const MAGIC: usize;
    /// What messages call the data.
    const NAME: &str;

    fn open(source: Ahead<R>) -> Self;

    /// The source, behind the stream once that is read.
    fn close(self) -> Ahead<R>;

    /// Whether another stream begins with these bytes, which are fewer than [`MAGIC`](Stream::MAGIC) only at the end.
    fn begins(start: &[u8]) -> bool;
}

/// Reads streams in a row.
pub(super) struct Streams<R, S> {
    /// The present stream; none at the end.
    stream: Option<S>,
    trailing: Trailing,
    source: std::marker::PhantomData<R>,
}

impl<R: BufRead, S: Stream<R>> Streams<R, S> {
    pub fn new(source: R, trailing: Trailing) -> Streams<R, S> {
        let stream = Some(S::open(Ahead { front: Vec::new(), source }));
        Streams { stream, trailing, source: std::marker::PhantomData }
    }

    /// Goes on behind a stream; whether there is another one.
    fn next(&mut self, mut source: Ahead<R>) -> io::Result<()> {
        let start = source.peek(S::MAGIC)?;
        if start.is_empty() {
            return Ok(());
        }
        if S::begins(start) {
            self.stream = Some(S::open(source));
            return Ok(());
        }
        let Trailing::Ignored(is_more) = &self.trailing else {
            let cause = format!("found bytes behind the end of the {} data", S::NAME);
            return Err(io::Error::new(ErrorKind::InvalidData, cause));
        };
        // To the end, so that whoever writes into a pipe is not stopped.
        let mut buffer = [0; 8192];
        loop {
            match source.read(&mut buffer) {
                Ok(0) => return Ok(()),
                Ok(count) => is_more.set(is_more.get() || buffer[..count].iter().any(|&byte| byte != 0)),
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
    }
}

impl<R: BufRead, S: Stream<R>> Read for Streams<R, S> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while let Some(stream) = &mut self.stream {
            let count = stream.read(buffer)?;
            if count > 0 || buffer.is_empty() {
                return Ok(count);
            }
            if let Some(stream) = self.stream.take() {
                self.next(stream.close())?;
            }
        }
        Ok(0)
    }
}

/// A source of which some bytes were looked at.
pub(super) struct Ahead<R> {
    front: Vec<u8>,
    source: R,
}

impl<R: BufRead> Ahead<R> {
    /// The next bytes, which stay; fewer only at the end.
    fn peek(&mut self, count: usize) -> io::Result<&[u8]> {
        while self.front.len() < count {
            match self.source.fill_buf() {
                Ok([]) => break,
                Ok([first, ..]) => {
                    self.front.push(*first);
                    self.source.consume(1);
                }
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
        Ok(&self.front)
    }
}

impl<R: BufRead> Read for Ahead<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.fill_buf()?.read(buffer)?;
        self.consume(count);
        Ok(count)
    }
}

impl<R: BufRead> BufRead for Ahead<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.front.is_empty() { self.source.fill_buf() } else { Ok(&self.front) }
    }

    fn consume(&mut self, count: usize) {
        match self.front.is_empty() {
            true => self.source.consume(count),
            false => drop(self.front.drain(..count)),
        }
    }
}

impl<R: BufRead> Stream<R> for flate2::bufread::GzDecoder<Ahead<R>> {
    const MAGIC: usize = 2;
    const NAME: &str = "gzip";

    fn open(source: Ahead<R>) -> Self {
        Self::new(source)
    }

    fn close(self) -> Ahead<R> {
        self.into_inner()
    }

    /// A single byte behind a member that is no padding is taken by gzip(1) for a member that is cut off.
    fn begins(start: &[u8]) -> bool {
        start == [0x1f, 0x8b] || (start.len() == 1 && start != [0])
    }
}

impl<R: BufRead> Stream<R> for bzip2::bufread::BzDecoder<Ahead<R>> {
    const MAGIC: usize = 4;
    const NAME: &str = "bzip2";

    fn open(source: Ahead<R>) -> Self {
        Self::new(source)
    }

    fn close(self) -> Ahead<R> {
        self.into_inner()
    }

    /// Where the input ends inside of the four bytes, bzip2(1) takes it for a stream that is cut off.
    fn begins(start: &[u8]) -> bool {
        let (letters, level) = start.split_at(start.len().min(3));
        b"BZh".starts_with(letters) && level.iter().all(|level| (b'1'..=b'9').contains(level))
    }
}
