//! Maps of files with holes (GNU tar manual, "Storing Sparse Files"): which parts of a file an archive holds.

use super::header::{Member, Records, decimal};
use std::ops::Range;

/// The contents of a file with holes, part by part.
#[derive(Debug)]
pub(super) struct Sparse {
    /// Where there is data: in order, apart, and inside the file.
    data: std::vec::IntoIter<Range<u64>>,
    /// Where data comes next, or is.
    next: Range<u64>,
    at: u64,
    size: u64,
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
        Sparse { data: data.into_iter(), next: 0..0, at: 0, size }
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

/// Whether records say that the file has holes, and if so, whether they hold the map (versions 0.0, which has become
/// 0.1 on reading, and 0.1) or it stands before the contents (version 1.0).
pub(super) fn is_map_in_records(records: &Records) -> Option<bool> {
    match (record(records, "major"), record(records, "minor")) {
        (b"0", b"0" | b"1") => Some(true),
        (b"1", b"0") => Some(false),
        (b"", b"") if !record(records, "map").is_empty() => Some(true),
        _ => None,
    }
}

/// Gives the member the name and size that the file has when its holes are filled.
pub(super) fn apply_sparse_records(member: &mut Member, records: &Records) -> Option<()> {
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
pub(super) fn map_in_records(records: &Records) -> Option<Vec<i64>> {
    let map = record(records, "map");
    let map: Vec<&[u8]> = if map.is_empty() { Vec::new() } else { map.split(|&byte| byte == b',').collect() };
    let entries = usize::try_from(decimal(record(records, "numblocks"))?).ok()?;
    if entries.checked_mul(2) != Some(map.len()) {
        return None;
    }
    map.into_iter().map(decimal).collect()
}

/// Offsets and lengths as ranges; none unless they are in order, apart and inside a file of this size.
pub(super) fn data_ranges(map: &[i64], size: i64) -> Option<Vec<Range<u64>>> {
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
