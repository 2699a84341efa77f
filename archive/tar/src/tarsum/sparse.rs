//! Reads maps of files with holes (GNU tar manual, "Storing Sparse Files"): which parts of a file an archive holds.

use super::header::{Block, Dialect, Member, Records, decimal, number};
use super::reader::{Archive, fill};
use crate::BLOCK;
use layerstone_store::Limit;
use std::io::{self, Read};
use std::ops::Range;

/// Bytes of a number in GNU's own map.
const NUMBER: usize = 12;

/// The contents of a file with holes, part by part.
#[derive(Debug)]
pub(super) struct Sparse {
    /// Where there is data: in order, apart, and inside the file.
    data: std::vec::IntoIter<Range<u64>>,
    /// Where data comes next, or is.
    next: Range<u64>,
    at: u64,
    size: u64,
    /// Bytes that are in holes.
    pub holes: u64,
}

/// Bytes of a file that are alike: all in the archive, or all in a hole.
#[derive(Debug)]
pub(super) struct Part {
    pub is_hole: bool,
    pub length: u64,
}

impl Sparse {
    /// From ranges made by [`data_ranges`] for a file of this size.
    pub fn new(data: Vec<Range<u64>>, size: u64) -> Sparse {
        let data_bytes = data.iter().fold(0, |sum: u64, range| sum.saturating_add(range.end - range.start));
        Sparse { data: data.into_iter(), next: 0..0, at: 0, size, holes: size.saturating_sub(data_bytes) }
    }

    /// What follows; of no length at the end.
    pub fn next_part(&mut self) -> Part {
        while self.next.end <= self.at {
            self.next = self.data.next().unwrap_or(self.size..u64::MAX);
        }
        let is_hole = self.at < self.next.start || self.at == self.size;
        let end = if is_hole { self.next.start } else { self.next.end };
        Part { is_hole, length: end.min(self.size) - self.at }
    }

    /// Goes on by some bytes; whether that leads to the end.
    pub fn advance(&mut self, bytes: u64) -> bool {
        self.at += bytes;
        self.at == self.size
    }
}

impl<R: Read> Archive<R> {
    /// Reads the map of a file with holes, if the member is one, in whichever of the formats it is written: GNU's own,
    /// or 0.0, 0.1 and 1.0 in PAX records. The member gets its real name and size.
    pub(super) fn start_sparse(
        &mut self,
        member: &mut Member,
        dialect: Dialect,
        block: Block,
        records: &Records,
    ) -> io::Result<()> {
        let map = if member.typeflag == b'S' {
            let size = number(&block[483..495]).filter(|_| dialect == Dialect::Gnu);
            member.size = size.ok_or_else(|| self.malformed())?;
            self.read_gnu_map(block)?
        } else {
            let Some(in_records) = is_map_in_records(records) else { return Ok(()) };
            apply_sparse_records(member, records).ok_or_else(|| self.malformed())?;
            match in_records {
                true => map_in_records(records).ok_or_else(|| self.malformed())?,
                false => self.read_map_before_contents()?,
            }
        };
        let data = data_ranges(&map, member.size).filter(|_| !member.is_header_only());
        let data = data.ok_or_else(|| self.malformed())?;
        self.sparse = Some(Sparse::new(data, member.size as u64));
        self.advance_sparse(0)
    }

    /// GNU's own map: four entries in the header, 21 in each block that follows while a flag says so.
    fn read_gnu_map(&mut self, header: Block) -> io::Result<Vec<i64>> {
        let mut map = Vec::new();
        let (mut block, mut entries) = (header, 386..482);
        loop {
            for entry in block[entries.clone()].chunks(24).take_while(|entry| entry[0] != 0) {
                for field in entry.chunks(NUMBER) {
                    map.push(number(field).ok_or_else(|| self.malformed())?);
                }
            }
            if block[entries.end] == 0 {
                return Ok(map);
            }
            self.check(Limit::ExtendedHeader, (map.len() * NUMBER) as u64)?;
            block = self.read_block()?.ok_or_else(|| self.ends_early())?;
            entries = 0..504;
        }
    }

    /// Version 1.0: decimal numbers, one a line, the number of entries first, in as many blocks as they need before the
    /// contents.
    fn read_map_before_contents(&mut self) -> io::Result<Vec<i64>> {
        let mut text = Vec::new();
        let mut lines = 0;
        let mut wanted = 1;
        loop {
            while lines < wanted {
                self.check(Limit::ExtendedHeader, (text.len() + BLOCK) as u64)?;
                let mut block = [0; BLOCK];
                if fill(&mut block, |rest| self.read_stored(rest))? < BLOCK {
                    return Err(self.ends_early());
                }
                lines += block.iter().filter(|&&byte| byte == b'\n').count();
                text.extend_from_slice(&block);
            }
            let mut numbers = text.split(|&byte| byte == b'\n').map(decimal);
            let entries = numbers.next().flatten().and_then(|count| usize::try_from(count).ok());
            let entries = entries.and_then(|count| count.checked_mul(2)).filter(|&count| count < usize::MAX);
            let entries = entries.ok_or_else(|| self.malformed())?;
            if lines > entries {
                let map: Option<Vec<i64>> = numbers.take(entries).collect();
                return map.ok_or_else(|| self.malformed());
            }
            wanted = entries + 1;
        }
    }

    fn malformed(&self) -> io::Error {
        self.invalid("malformed sparse map")
    }
}

/// Whether records say that the file has holes, and if so, whether they hold the map (versions 0.0, which has become
/// 0.1 on reading, and 0.1) or it stands before the contents (version 1.0).
fn is_map_in_records(records: &Records) -> Option<bool> {
    match (record(records, "major"), record(records, "minor")) {
        (b"0", b"0" | b"1") => Some(true),
        (b"1", b"0") => Some(false),
        (b"", b"") if !record(records, "map").is_empty() => Some(true),
        _ => None,
    }
}

/// Gives the member the name and size that the file has when its holes are filled.
fn apply_sparse_records(member: &mut Member, records: &Records) -> Option<()> {
    let name = record(records, "name");
    if !name.is_empty() {
        member.name = name.to_vec();
    }
    let size = Some(record(records, "size")).filter(|size| !size.is_empty());
    let size = size.unwrap_or_else(|| record(records, "realsize"));
    if !size.is_empty() {
        member.size = decimal(size)?;
    }
    Some(())
}

/// The map of version 0.1: offsets and lengths in turn.
fn map_in_records(records: &Records) -> Option<Vec<i64>> {
    let map = record(records, "map");
    let map: Vec<&[u8]> = if map.is_empty() { Vec::new() } else { map.split(|&byte| byte == b',').collect() };
    let entries = usize::try_from(decimal(record(records, "numblocks"))?).ok()?;
    if entries.checked_mul(2) != Some(map.len()) {
        return None;
    }
    map.into_iter().map(decimal).collect()
}

/// Offsets and lengths as ranges; none unless they are in order, apart and inside a file of this size.
fn data_ranges(map: &[i64], size: i64) -> Option<Vec<Range<u64>>> {
    let size = u64::try_from(size).ok()?;
    let mut last = 0;
    let mut ranges = Vec::with_capacity(map.len() / 2);
    for entry in map.chunks_exact(2) {
        let start = u64::try_from(entry[0]).ok()?;
        let end = start + u64::try_from(entry[1]).ok()?;
        if start < last || end > size {
            return None;
        }
        last = end;
        ranges.push(start..end);
    }
    Some(ranges)
}

/// The value of a record `GNU.sparse.…`; empty if there is none.
fn record<'a>(records: &'a Records, keyword: &str) -> &'a [u8] {
    records.get(format!("GNU.sparse.{keyword}").as_bytes()).map_or(b"", Vec::as_slice)
}
