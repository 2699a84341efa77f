//! Splits a tar into headers and contents as its bytes come, for those who cannot read it twice, as a compressor.
//!
//! What a header means is decided by the reader of [`tarsum`](crate::tarsum()), which follows Go's.

use crate::BLOCK;
use crate::header::XATTR;
use crate::tarsum::{self, Archive};
use layerstone_store::{Limit, Limits};
use std::collections::BTreeMap;
use std::io::{self, ErrorKind};

/// Seconds since the epoch, and nanoseconds.
pub type Timestamp = (i64, u32);

/// What the header of a member says: names as they are, numbers of any size.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RawHeader {
    /// Its name, in as many bytes as the header has; a directory's may end in a slash.
    pub name: Vec<u8>,
    /// The target of a link; empty for all else.
    pub link_name: Vec<u8>,
    /// What it is, `0` to `7` and others (POSIX.1-2017, pax, "ustar Interchange Format", typeflag).
    pub typeflag: u8,
    /// Mode bits.
    pub mode: i64,
    /// User id.
    pub uid: i64,
    /// Group id.
    pub gid: i64,
    /// Bytes of its contents.
    pub size: u64,
    /// Major and minor device number.
    pub device: (i64, i64),
    /// When it was modified.
    pub mtime: Timestamp,
    /// When it was read, if that is stated.
    pub atime: Option<Timestamp>,
    /// When its inode was changed, if that is stated.
    pub ctime: Option<Timestamp>,
    /// Extended attributes, by the keywords of their records without `SCHILY.xattr.`.
    pub xattrs: BTreeMap<Vec<u8>, Vec<u8>>,
}

/// What the next bytes of a tar are.
#[derive(Debug, PartialEq, Eq)]
pub enum Split<'a> {
    /// Part of a header, or of the end.
    Part,
    /// The last bytes of a member's header.
    Header(Box<RawHeader>),
    /// Contents of the member whose header came last.
    Contents(&'a [u8]),
}

/// Splits a tar.
///
/// It keeps the bytes that are no contents until they are [taken](Splitter::take_raw): the padding behind a member, the
/// extended headers and the header of the next one; or all behind the last one.
#[derive(Debug)]
pub struct Splitter {
    limits: Limits,
    raw: Vec<u8>,
    /// Bytes of `raw` that pad the member before.
    padding: usize,
    state: State,
}

#[derive(Clone, Copy, Debug)]
enum State {
    /// Bytes that pad contents.
    Padding(usize),
    /// A block that is a header.
    Block(usize),
    /// The contents of an extended header.
    Extension(usize),
    /// The contents of a member, and the padding behind them.
    Contents(u64, usize),
    /// Zeros that end the tar.
    End,
}

impl Splitter {
    /// At the first byte of a tar.
    pub fn new(limits: Limits) -> Splitter {
        Splitter { limits, raw: Vec::new(), padding: 0, state: State::Block(BLOCK) }
    }

    /// Tells what the first of these bytes are, and takes them off.
    ///
    /// # Errors
    ///
    /// `InvalidData` for what is no tar, or one that cannot be split so: one with holes in files, with headers for all
    /// members, with contents where there are none, with more than zeros behind its end, or with times before the epoch
    /// that have a fraction.
    pub fn split<'a>(&mut self, bytes: &mut &'a [u8]) -> io::Result<Split<'a>> {
        match self.state {
            State::Contents(left, padding) => {
                let count = usize::try_from(left).map_or(bytes.len(), |left| left.min(bytes.len()));
                let (contents, rest) = bytes.split_at(count);
                *bytes = rest;
                self.state = State::after_contents(left - count as u64, padding);
                return Ok(Split::Contents(contents));
            }
            State::Padding(left) => {
                let left = self.keep(bytes, left);
                self.padding = self.raw.len();
                self.state = if left == 0 { State::Block(BLOCK) } else { State::Padding(left) };
            }
            State::Extension(left) => {
                let left = self.keep(bytes, left);
                self.state = if left == 0 { State::Block(BLOCK) } else { State::Extension(left) };
            }
            State::Block(left) => match self.keep(bytes, left) {
                0 => return self.end_block(),
                left => self.state = State::Block(left),
            },
            State::End => self.end(bytes)?,
        }
        Ok(Split::Part)
    }

    /// Appends the bytes that were kept, and forgets them.
    pub fn take_raw(&mut self, out: &mut Vec<u8>) {
        out.append(&mut self.raw);
        self.padding = 0;
    }

    /// Whether the tar may end here: behind the zeros, or between members.
    pub fn is_at_end(&self) -> bool {
        let has_extensions = self.raw.len() > self.padding;
        matches!(self.state, State::End) || (matches!(self.state, State::Block(BLOCK)) && !has_extensions)
    }

    /// Keeps so many bytes, or as many as there are; how many are still to come.
    fn keep(&mut self, bytes: &mut &[u8], left: usize) -> usize {
        let count = left.min(bytes.len());
        let (kept, rest) = bytes.split_at(count);
        self.raw.extend_from_slice(kept);
        *bytes = rest;
        left - count
    }

    fn end(&mut self, bytes: &mut &[u8]) -> io::Result<()> {
        if bytes.iter().any(|&byte| byte != 0) {
            return Err(invalid("found bytes behind the end, expected zeros"));
        }
        let kept = (self.raw.len() + bytes.len()) as u64;
        self.limits.check(Limit::ExtendedHeader, kept).map_err(|exceeded| invalid(&exceeded.to_string()))?;
        self.raw.extend_from_slice(bytes);
        *bytes = &[];
        Ok(())
    }

    /// A block is whole: an extended header goes on, any other ends what describes the member.
    fn end_block<'a>(&mut self) -> io::Result<Split<'a>> {
        let start = self.raw.len() - BLOCK;
        let block = &self.raw[start..];
        if block.iter().all(|&byte| byte == 0) {
            if start > self.padding {
                return Err(invalid("found the end behind an extended header"));
            }
            self.state = State::End;
            return Ok(Split::Part);
        }
        if matches!(block[156], b'x' | b'L' | b'K') {
            let size = tarsum::number(&block[124..136]).and_then(|size| u64::try_from(size).ok());
            let size = size.ok_or_else(|| invalid("found no size of an extended header"))?;
            self.limits.check(Limit::ExtendedHeader, size).map_err(|exceeded| invalid(&exceeded.to_string()))?;
            let size = (size as usize).next_multiple_of(BLOCK);
            self.state = if size == 0 { State::Block(BLOCK) } else { State::Extension(size) };
            return Ok(Split::Part);
        }
        let header = self.header()?;
        let padding = (header.size.wrapping_neg() % BLOCK as u64) as usize;
        self.state = State::after_contents(header.size, padding);
        Ok(Split::Header(Box::new(header)))
    }

    /// What the kept headers say.
    fn header(&self) -> io::Result<RawHeader> {
        let mut archive = Archive::new(&self.raw[self.padding..], self.limits);
        let member = archive.next_member()?.ok_or_else(|| invalid("found no header"))?;
        if archive.holes().is_some() {
            return Err(invalid("found a file with holes"));
        }
        if member.typeflag == b'g' || (member.is_header_only() && member.size != 0) {
            return Err(invalid("found a header that is no file's"));
        }
        let other = |time: Option<i64>, keyword: &[u8]| match member.records.get(keyword) {
            Some(text) if !text.is_empty() => exact(text).map(Some),
            _ => Ok(time.map(|seconds| (seconds, 0))),
        };
        let xattr =
            |(keyword, value): (&Vec<u8>, &Vec<u8>)| Some((keyword.strip_prefix(XATTR)?.to_vec(), value.clone()));
        Ok(RawHeader {
            mtime: if member.exact_mtime.is_empty() { (member.mtime, 0) } else { exact(&member.exact_mtime)? },
            atime: other(member.other_times.0, b"atime")?,
            ctime: other(member.other_times.1, b"ctime")?,
            xattrs: member.records.iter().filter_map(xattr).collect(),
            size: u64::try_from(member.size).map_err(|_| invalid("found a size below zero"))?,
            name: member.name,
            link_name: member.link_name,
            typeflag: member.typeflag,
            mode: member.mode,
            uid: member.uid,
            gid: member.gid,
            device: member.device,
        })
    }
}

impl State {
    fn after_contents(left: u64, padding: usize) -> State {
        match (left, padding) {
            (0, 0) => State::Block(BLOCK),
            (0, padding) => State::Padding(padding),
            (left, padding) => State::Contents(left, padding),
        }
    }
}

/// The time of a record.
fn exact(text: &[u8]) -> io::Result<Timestamp> {
    let seconds = tarsum::time(text).ok_or_else(|| invalid("found no time in a record"))?;
    if text.starts_with(b"-") && text.contains(&b'.') {
        return Err(invalid("found a fraction of a second before the epoch"));
    }
    Ok((seconds, crate::member::nanoseconds(text)))
}

fn invalid(cause: &str) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, format!("a tar that cannot be split: {cause}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::member::tests::tar;
    use crate::{Dialect, Entry};

    /// A header, and the numbers of bytes of it and of contents.
    type Found = (RawHeader, usize, usize);

    /// Headers with their bytes, contents, and the bytes of the end, of a tar that comes in pieces of this size.
    fn split(tar: &[u8], piece: usize) -> io::Result<(Vec<Found>, Vec<u8>)> {
        let mut splitter = Splitter::new(Limits::default());
        let (mut found, mut whole) = (Vec::new(), Vec::new());
        for mut bytes in tar.chunks(piece) {
            while !bytes.is_empty() {
                match splitter.split(&mut bytes)? {
                    Split::Part => {}
                    Split::Header(header) => {
                        let before = whole.len();
                        splitter.take_raw(&mut whole);
                        found.push((*header, whole.len() - before, 0));
                    }
                    Split::Contents(contents) => {
                        found.last_mut().expect("a header comes first").2 += contents.len();
                        whole.extend_from_slice(contents);
                    }
                }
            }
        }
        assert!(splitter.is_at_end());
        splitter.take_raw(&mut whole);
        Ok((found, whole))
    }

    #[test]
    fn the_same_in_pieces_of_any_size() {
        let long = format!("./{}/x", "directory".repeat(30));
        for dialect in [Dialect::Gnu, Dialect::Pax] {
            let entries = [
                Entry::directory(b".", 0o755),
                Entry::file(b"./empty", 0o644, 0),
                Entry::file(long.as_bytes(), 0o644, 700),
                Entry::symlink(b"./link", long.as_bytes()),
                Entry::file(b"./last", 0o644, 512),
            ];
            let tar = tar(dialect, &entries);
            let (found, whole) = split(&tar, tar.len()).unwrap();
            assert!(whole == tar);
            let sizes: Vec<_> = found.iter().map(|(header, _, contents)| (header.size, *contents)).collect();
            assert_eq!(sizes, [(0, 0), (0, 0), (700, 700), (0, 0), (512, 512)]);
            assert_eq!((&found[2].0.name[..], &found[3].0.link_name[..]), (long.as_bytes(), long.as_bytes()));
            assert_eq!(found[0].0.mtime, (1, 0));
            for piece in [1, 7, 512, 513] {
                assert_eq!(split(&tar, piece).unwrap(), (found.clone(), whole.clone()), "{piece}");
            }
        }
    }

    #[test]
    fn times_and_attributes_of_records() {
        let records: &[u8] =
            b"22 atime=1234567890.5\n20 ctime=1234567890\n28 SCHILY.xattr.user.empty=\n21 mtime=1.000000001\n";
        let mut tar = tar(Dialect::Pax, &[Entry::file(b"x", 0o644, 0)]);
        let mut header = tar[..BLOCK].to_vec();
        header[156] = b'x';
        header[124..136].copy_from_slice(format!("{:011o}\0", records.len()).as_bytes());
        header[148..156].fill(b' ');
        let sum: u32 = header.iter().map(|&byte| u32::from(byte)).sum();
        header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        let mut contents = records.to_vec();
        contents.resize(BLOCK, 0);
        tar.splice(..0, header.into_iter().chain(contents));
        let (found, _) = split(&tar, 100).unwrap();
        let header = &found[0].0;
        assert_eq!(header.atime, Some((1_234_567_890, 500_000_000)));
        assert_eq!((header.ctime, header.mtime), (Some((1_234_567_890, 0)), (1, 1)));
        assert_eq!(header.xattrs, BTreeMap::from([(b"user.empty".to_vec(), Vec::new())]));
    }

    #[test]
    fn what_cannot_be_split() {
        let check = |tar: &[u8], expected: &str| {
            let error = split(tar, 300).unwrap_err();
            assert!(error.to_string().contains(expected), "{error}");
        };
        let good = tar(Dialect::Gnu, &[Entry::file(b"x", 0o644, 3)]);
        check(&[&good[..], b"more"].concat(), "behind the end");
        let mut wrong = good.clone();
        wrong[3] = b'y';
        check(&wrong, "checksum");
        check(&vec![0; 2 << 20], "bytes");
        let one_zero_block = [&good[..2 * BLOCK], &[0; BLOCK], &good[..]].concat();
        check(&one_zero_block, "behind the end");
    }
}
