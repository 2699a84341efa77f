//! Reads a part of an open file as a file of its own, at offsets, so that several parts can be read at the same time.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A part of a file, such as a member of an archive.
#[derive(Clone, Debug)]
pub struct Part {
    file: Arc<File>,
    name: PathBuf,
    start: u64,
    size: u64,
}

/// Reads a part; wherever it is, other readers of the file are not disturbed.
#[derive(Debug)]
pub struct PartReader {
    file: Arc<File>,
    start: u64,
    at: u64,
    end: u64,
}

impl Part {
    /// `size` bytes from `start` on; `name` is what messages call the part.
    pub fn new(file: Arc<File>, name: impl Into<PathBuf>, start: u64, size: u64) -> Part {
        Part { file, name: name.into(), start, size }
    }

    /// What messages call it.
    pub fn name(&self) -> &Path {
        &self.name
    }

    /// The file that it is in.
    pub fn file(&self) -> &File {
        &self.file
    }

    /// The offset of its first byte there.
    pub fn start(&self) -> u64 {
        self.start
    }

    /// Its size in bytes.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// So many of its first bytes, or as many as it has.
    pub fn first(self, size: u64) -> Part {
        Part { size: size.min(self.size), ..self }
    }

    /// A reader at the first byte.
    pub fn reader(&self) -> PartReader {
        let Part { start, size, .. } = *self;
        PartReader { file: Arc::clone(&self.file), start, at: start, end: start.saturating_add(size) }
    }
}

impl Read for PartReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let want = buffer.len().min(usize::try_from(self.end.saturating_sub(self.at)).unwrap_or(usize::MAX));
        let read = loop {
            match self.file.read_at(&mut buffer[..want], self.at) {
                // Not every reader of a reader tries again.
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                read => break read?,
            }
        };
        if read == 0 && want > 0 {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the file became shorter"));
        }
        self.at += read as u64;
        Ok(read)
    }
}

impl Seek for PartReader {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let at = match to {
            SeekFrom::Start(offset) => self.start.checked_add(offset),
            SeekFrom::Current(by) => self.at.checked_add_signed(by),
            SeekFrom::End(by) => self.end.checked_add_signed(by),
        };
        let outside = || io::Error::new(io::ErrorKind::InvalidInput, "a place before the beginning");
        self.at = at.filter(|at| *at >= self.start).ok_or_else(outside)?;
        Ok(self.at - self.start)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn a_part_is_a_file() {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(b"0123456789").unwrap();
        let file = Arc::new(file);
        let mut reader = Part::new(Arc::clone(&file), "x", 2, 5).reader();
        let mut rest = || {
            let mut text = String::new();
            reader.read_to_string(&mut text).map(|_| text)
        };
        assert_eq!(rest().unwrap(), "23456");
        assert_eq!(rest().unwrap(), "");
        for (to, offset, expected) in [
            (SeekFrom::Start(1), 1, "3456"),
            (SeekFrom::Current(-5), 0, "23456"),
            (SeekFrom::End(-2), 3, "56"),
            (SeekFrom::End(9), 14, ""),
        ] {
            assert_eq!(reader.seek(to).unwrap(), offset);
            let mut text = String::new();
            reader.read_to_string(&mut text).unwrap();
            assert_eq!(text, expected);
        }
        assert!(reader.seek(SeekFrom::End(-6)).is_err());
        let error = Part::new(file, "x", 8, 5).reader().read_to_end(&mut Vec::new()).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
    }
}
