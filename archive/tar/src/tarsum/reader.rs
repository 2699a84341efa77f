//! Reads tar members as Go's `archive/tar` does.
//!
//! The formats are those of POSIX.1-2017 (pax, "ustar Interchange Format" and "pax Interchange Format") and the GNU tar
//! manual ("Basic Tar Format", "Sparse Formats"). Where archives deviate from them, Go 1.19's reader decides what they
//! mean, and functions here say so.

use super::header::{Block, Dialect, Member, Records, apply_records, global, parse_fields, parse_records, until_nul};
use super::sparse::Sparse;
use crate::BLOCK;
use layerstone_store::{Limit, Limits};
use std::io::{self, ErrorKind, Read, Seek, SeekFrom};
use std::ops::Range;

/// Numbers that a field of eight bytes holds in octal, with the NUL that ends them.
const OCTAL: Range<i64> = 0..1 << 21;
/// Numbers that a field of eight bytes holds in base 256.
const BASE_256: Range<i64> = -(1 << 56)..1 << 56;

/// A tar that is read from front to back.
#[derive(Debug)]
pub(crate) struct Archive<R> {
    input: R,
    /// Bytes read so far.
    pub offset: u64,
    /// Where the present header begins; at the end of the archive, where there are no more members.
    pub start: u64,
    /// Where the first of the headers that describe the present member begins.
    pub first: u64,
    /// Bytes of the present member's contents that are still to be read from the archive.
    stored: u64,
    /// Bytes that follow them up to the next header.
    padding: u64,
    pub(super) sparse: Option<Sparse>,
    /// Headers read so far.
    pub count: u64,
    pub limits: Limits,
}

impl<R: Read> Archive<R> {
    pub fn new(input: R, limits: Limits) -> Archive<R> {
        Archive { input, offset: 0, start: 0, first: 0, stored: 0, padding: 0, sparse: None, count: 0, limits }
    }

    /// Goes on to the next member; none at the end of the archive.
    pub fn next_member(&mut self) -> io::Result<Option<Member>> {
        let mut records = Records::new();
        let (mut long_name, mut long_link) = (Vec::new(), Vec::new());
        let mut is_first = true;
        loop {
            let Some(block) = self.next_header()? else { return Ok(None) };
            self.check(Limit::Members, self.count + 1)?;
            if std::mem::take(&mut is_first) {
                self.first = self.start;
            }
            let (mut member, dialect) = self.parse_header(&block)?;
            self.start_contents(&member)?;
            match member.typeflag {
                b'x' => records = self.read_records()?,
                b'L' => long_name = until_nul(&self.read_special()?).to_vec(),
                b'K' => long_link = until_nul(&self.read_special()?).to_vec(),
                b'g' => return self.read_records().map(|records| Some(global(member, records))),
                _ => {
                    apply_records(&mut member, &records)
                        .ok_or_else(|| self.invalid("a PAX record holds no number or time where one must be"))?;
                    if !long_name.is_empty() {
                        member.name = long_name;
                    }
                    if !long_link.is_empty() {
                        member.link_name = long_link;
                    }
                    if member.typeflag == 0 {
                        member.typeflag = if member.name.ends_with(b"/") { b'5' } else { b'0' };
                    }
                    self.start_contents(&member)?;
                    self.start_sparse(&mut member, dialect, block, &records)?;
                    self.check_writable(&member, &records)?;
                    member.records = records;
                    return Ok(Some(member));
                }
            }
        }
    }

    /// Bytes of the present member that are in no archive: its holes; none unless it has a map of them.
    pub fn holes(&self) -> Option<u64> {
        self.sparse.as_ref().map(|sparse| sparse.holes)
    }

    /// Reads on in the present member's contents, holes as zeros; 0 at their end.
    pub fn read_contents(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let Some(sparse) = &mut self.sparse else { return self.read_stored(buffer) };
        let part = sparse.next_part();
        let wanted = at_most(buffer.len(), part.length);
        let buffer = &mut buffer[..wanted];
        if part.is_hole {
            buffer.fill(0);
        } else if self.stored == 0 && wanted > 0 {
            return Err(self.invalid("found less data than the sparse map says"));
        }
        let n = if part.is_hole { wanted } else { self.read_stored(buffer)? };
        self.advance_sparse(n)?;
        Ok(n)
    }

    /// Notes that so many bytes of a file with holes are read; at its end nothing may be left in the archive.
    pub(super) fn advance_sparse(&mut self, n: usize) -> io::Result<()> {
        let at_end = self.sparse.as_mut().is_some_and(|sparse| sparse.advance(n as u64));
        if at_end && self.stored > 0 {
            return Err(self.invalid("found more data than the sparse map says"));
        }
        Ok(())
    }

    /// Reads what the archive holds of the present member's contents; 0 at their end.
    pub(super) fn read_stored(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let wanted = at_most(buffer.len(), self.stored);
        let n = self.read_some(&mut buffer[..wanted])?;
        if n == 0 && wanted > 0 {
            return Err(self.ends_early());
        }
        self.stored -= n as u64;
        Ok(n)
    }

    /// The next block that is a header; none at the end: two blocks of zeros, or one that ends the input, or the end of
    /// the input before or in the padding.
    fn next_header(&mut self) -> io::Result<Option<Block>> {
        let mut waste = [0; 8192];
        while self.read_stored(&mut waste)? > 0 {}
        let padding = std::mem::take(&mut self.padding) as usize;
        if fill(&mut waste[..padding], |rest| self.read_some(rest))? < padding {
            self.start = self.offset;
            return Ok(None);
        }
        self.start = self.offset;
        match self.read_block()? {
            Some(block) if block == [0; BLOCK] => match self.read_block()? {
                Some(second) if second != block => {
                    Err(self.invalid("found a header after a block of zeros, expected a second one"))
                }
                _ => Ok(None),
            },
            block => Ok(block),
        }
    }

    /// The fields of a header before any extended header applies.
    fn parse_header(&mut self, block: &Block) -> io::Result<(Member, Dialect)> {
        let dialect = Dialect::of(block).ok_or_else(|| self.invalid("wrong checksum"))?;
        self.count += 1;
        parse_fields(block, dialect)
            .map(|member| (member, dialect))
            .ok_or_else(|| self.invalid("found no number where one must be"))
    }

    /// Sets up reading of the contents that the header promises.
    fn start_contents(&mut self, member: &Member) -> io::Result<()> {
        let size = if member.is_header_only() { 0 } else { member.size };
        self.stored = u64::try_from(size).map_err(|_| self.invalid("found a size below zero"))?;
        self.padding = self.stored.wrapping_neg() % BLOCK as u64;
        self.sparse = None;
        Ok(())
    }

    /// The contents of a header that describes the next one.
    fn read_special(&mut self) -> io::Result<Vec<u8>> {
        let mut contents = Vec::new();
        let mut buffer = [0; 4096];
        loop {
            match self.read_stored(&mut buffer)? {
                0 => return Ok(contents),
                n => contents.extend_from_slice(&buffer[..n]),
            }
            self.check(Limit::ExtendedHeader, contents.len() as u64)?;
        }
    }

    fn read_records(&mut self) -> io::Result<Records> {
        let contents = self.read_special()?;
        parse_records(&contents).ok_or_else(|| self.invalid("malformed PAX record"))
    }

    /// docker's code writes every member into a second archive as it reads, and ends in an error where that cannot be
    /// done: for a file whose name ends in a slash, and for numbers too large for the fields that have no PAX record,
    /// or, without PAX records, for GNU's form of them.
    fn check_writable(&self, member: &Member, records: &Records) -> io::Result<()> {
        if matches!(member.typeflag, b'0' | b'3' | b'4' | b'6' | b'S') && member.name.ends_with(b"/") {
            return Err(self.invalid("found a slash at the end of a file's name"));
        }
        let fits_pax = [member.mode, member.device.0, member.device.1].iter().all(|n| OCTAL.contains(n));
        let numbers = [member.mode, member.uid, member.gid, member.device.0, member.device.1];
        let fits_gnu = records.is_empty() && numbers.iter().all(|n| BASE_256.contains(n));
        if !fits_pax && !fits_gnu {
            return Err(self.invalid("found a mode, owner or device number that cannot be written again"));
        }
        Ok(())
    }

    /// A whole block; none at the end of the input.
    pub(super) fn read_block(&mut self) -> io::Result<Option<Block>> {
        let mut block = [0; BLOCK];
        match fill(&mut block, |rest| self.read_some(rest))? {
            0 => Ok(None),
            BLOCK => Ok(Some(block)),
            _ => Err(self.ends_early()),
        }
    }

    fn read_some(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.input.read(buffer) {
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                read => return read.inspect(|&n| self.offset += n as u64),
            }
        }
    }

    /// Checks a number of the present header.
    pub fn check(&self, limit: Limit, found: u64) -> io::Result<()> {
        self.limits.check(limit, found).map_err(|exceeded| self.invalid(&exceeded.to_string()))
    }

    /// An error that names the present header.
    pub fn invalid(&self, cause: &str) -> io::Error {
        let message = format!("not a good tar: header at byte {}: {cause}", self.start);
        io::Error::new(ErrorKind::InvalidData, message)
    }

    pub(super) fn ends_early(&self) -> io::Error {
        let message = format!("not a whole tar: header at byte {}: the input ends at byte {}", self.start, self.offset);
        io::Error::new(ErrorKind::UnexpectedEof, message)
    }
}

impl<R: Read + Seek> Archive<R> {
    /// Goes to the end of the present member's contents, of which only the last byte is read: the input may end before.
    pub fn pass_contents(&mut self) -> io::Result<()> {
        let Some(passed) = self.stored.checked_sub(1) else { return Ok(()) };
        self.input.seek_relative(i64::try_from(passed).map_err(|_| self.ends_early())?)?;
        self.offset += passed;
        if self.read_some(&mut [0])? == 0 {
            self.offset = self.input.seek(SeekFrom::End(0))?;
            return Err(self.ends_early());
        }
        self.stored = 0;
        Ok(())
    }
}

/// Fills a buffer as far as there are bytes to be read.
pub(super) fn fill(buffer: &mut [u8], mut read: impl FnMut(&mut [u8]) -> io::Result<usize>) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match read(&mut buffer[filled..])? {
            0 => break,
            n => filled += n,
        }
    }
    Ok(filled)
}

/// As many bytes of a buffer as there are to be read.
fn at_most(buffer: usize, bytes: u64) -> usize {
    usize::try_from(bytes).map_or(buffer, |bytes| bytes.min(buffer))
}
