//! Copies a piece of one file into another: the kernel does it, without the bytes passing through this program, and shares
//! blocks where the file system can.

use rustix::fs::copy_file_range;
use rustix::io::{Errno, retry_on_intr};
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

/// Bytes that are worth a system call, after which it may be asked whether to go on.
const PIECE: u64 = 64 << 20;
/// Bytes in a piece that goes through memory.
const BUFFER: usize = 1 << 20;
/// File systems that share blocks share those of this size, or of a multiple (ioctl_ficlonerange(2)).
const BLOCK: u64 = 4096;

/// A piece of a file on its way into another file.
#[derive(Debug)]
pub struct RangeCopy<'a> {
    from: &'a File,
    start: u64,
    to: &'a File,
    at: u64,
    end: u64,
    by_kernel: bool,
}

impl<'a> RangeCopy<'a> {
    /// `size` bytes from an offset of one file on, to an offset of another.
    pub fn new((from, start): (&'a File, u64), (to, at): (&'a File, u64), size: u64) -> RangeCopy<'a> {
        RangeCopy { from, start, to, at, end: start.saturating_add(size), by_kernel: true }
    }

    /// Copies some more; how many bytes, none at the end.
    ///
    /// # Errors
    ///
    /// They cannot be read or not be written, or the file is shorter.
    pub fn step(&mut self) -> io::Result<u64> {
        let RangeCopy { from, start, to, at, end, by_kernel } = *self;
        if start >= end {
            return Ok(0);
        }
        let wanted = piece(start, at, end);
        let done = match by_kernel.then(|| ask_kernel(from, start, to, at, wanted)) {
            Some(Ok(done)) => done,
            // What the kernel does not do, or fails of, is tried by hand: that tells what is to blame.
            Some(Err(_)) | None => {
                self.by_kernel = false;
                by_hand(from, start, to, at, wanted)?
            }
        };
        if done == 0 {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the file became shorter"));
        }
        (self.start, self.at) = (start + done, at + done);
        Ok(done)
    }
}

/// How many bytes come next: few at first, where the rest may begin with a block in both files, so that it can be shared.
fn piece(start: u64, at: u64, end: u64) -> u64 {
    let to_block = start.next_multiple_of(BLOCK) - start;
    let is_alike = start % BLOCK == at % BLOCK;
    let wanted = if is_alike && to_block > 0 { to_block } else { PIECE };
    wanted.min(end - start)
}

fn ask_kernel(from: &File, start: u64, to: &File, at: u64, size: u64) -> Result<u64, Errno> {
    let size = usize::try_from(size).unwrap_or(usize::MAX);
    let copy = || {
        let (mut start, mut at) = (start, at);
        copy_file_range(from, Some(&mut start), to, Some(&mut at), size)
    };
    retry_on_intr(copy).map(|done| done as u64)
}

fn by_hand(from: &File, start: u64, to: &File, at: u64, size: u64) -> io::Result<u64> {
    let mut buffer = vec![0; usize::try_from(size).unwrap_or(BUFFER).min(BUFFER)];
    loop {
        match from.read_at(&mut buffer, start) {
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            read => {
                let read = read?;
                to.write_all_at(&buffer[..read], at)?;
                return Ok(read as u64);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};

    fn file(bytes: &[u8]) -> File {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(bytes).unwrap();
        file
    }

    fn copy(from: (&File, u64), to: (&File, u64), size: u64) -> io::Result<u64> {
        let (mut copy, mut count) = (RangeCopy::new(from, to, size), 0);
        loop {
            match copy.step()? {
                0 => return Ok(count),
                done => count += done,
            }
        }
    }

    #[test]
    fn pieces_of_all_places_and_sizes() {
        let bytes: Vec<u8> = (0..3 * BUFFER as u64 + 5).map(|i| ((i * i) >> 9) as u8).collect();
        let from = file(&bytes);
        for start in [0, 1, 4095, 4096, 10_240, 1 << 20] {
            for at in [0, 512, 4095, 10_240] {
                for size in [0, 1, 512, 4096, 10_240, 2_000_000] {
                    let mut to = file(b"");
                    assert_eq!(copy((&from, start), (&to, at), size).unwrap(), size);
                    let mut found = Vec::new();
                    io::Seek::rewind(&mut to).unwrap();
                    to.read_to_end(&mut found).unwrap();
                    let (start, at, end) = (start as usize, at as usize, (start + size) as usize);
                    assert_eq!(found.get(at..).unwrap_or_default(), &bytes[start..end]);
                }
            }
        }
    }

    #[test]
    fn what_ends_early_is_an_error() {
        let (from, to) = (file(b"short"), file(b""));
        let error = copy((&from, 1), (&to, 0), 5).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
    }

    #[test]
    fn by_hand_it_is_the_same() {
        let (from, mut to) = (file(b"0123456789"), file(b""));
        assert_eq!(by_hand(&from, 2, &to, 0, 5).unwrap(), 5);
        let mut found = String::new();
        io::Seek::rewind(&mut to).unwrap();
        to.read_to_string(&mut found).unwrap();
        assert_eq!(found, "23456");
    }
}
