//! A part of a file as a file of its own, read at places so that several parts can be read at the same time.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::FileExt;

/// A part of a file.
#[derive(Debug)]
pub(crate) struct Section<'a> {
    file: &'a File,
    start: u64,
    at: u64,
    end: u64,
}

impl<'a> Section<'a> {
    /// `size` bytes from `start` on.
    pub(crate) fn new(file: &'a File, start: u64, size: u64) -> Section<'a> {
        Section { file, start, at: start, end: start + size }
    }
}

impl Read for Section<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let want = buffer.len().min(usize::try_from(self.end.saturating_sub(self.at)).unwrap_or(usize::MAX));
        let read = self.file.read_at(&mut buffer[..want], self.at)?;
        if read == 0 && want > 0 {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the archive became shorter"));
        }
        self.at += read as u64;
        Ok(read)
    }
}

impl Seek for Section<'_> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let at = match to {
            SeekFrom::Start(place) => self.start.checked_add(place),
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
        let mut section = Section::new(&file, 2, 5);
        let mut rest = || {
            let mut text = String::new();
            section.read_to_string(&mut text).map(|_| text)
        };
        assert_eq!(rest().unwrap(), "23456");
        assert_eq!(rest().unwrap(), "");
        for (to, place, expected) in [
            (SeekFrom::Start(1), 1, "3456"),
            (SeekFrom::Current(-5), 0, "23456"),
            (SeekFrom::End(-2), 3, "56"),
            (SeekFrom::End(9), 14, ""),
        ] {
            assert_eq!(section.seek(to).unwrap(), place);
            let mut text = String::new();
            section.read_to_string(&mut text).unwrap();
            assert_eq!(text, expected);
        }
        assert!(section.seek(SeekFrom::End(-6)).is_err());
        let error = Section::new(&file, 8, 5).read_to_end(&mut Vec::new()).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
    }
}
