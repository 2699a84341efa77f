//! Predicts what a client fetches of a layer in zstd:chunked if it has other layers.
//!
//! The rules are those of containers/storage (`pkg/chunked/storage_linux.go`): a file that another layer has is copied, a
//! chunk of another file that another layer has is copied too, and the rest is asked for in ranges of bytes. Ranges with
//! less than a kilobyte between them become one, and so do the nearest ones if there are more than 1,024.

use super::table_reader::{Chunk, ChunkTable};
use layerstone_store::Digest;
use std::collections::HashSet;
use std::ops::AddAssign;

/// Ranges that a client asks for at most, of one layer (`maxNumberMissingChunks`).
const MOST_RANGES: usize = 1024;
/// Bytes between two ranges that are fetched with them (`autoMergePartsThreshold`).
const SMALL_GAP: u64 = 1024;

/// The contents that a client has.
#[derive(Clone, Debug, Default)]
pub struct KnownContents {
    files: HashSet<Digest>,
    chunks: HashSet<Digest>,
}

/// What is fetched of a layer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Fetch {
    /// Bytes of the table.
    pub table: u64,
    /// Bytes of contents, and of what lies between them.
    pub contents: u64,
    /// Ranges that are asked for.
    pub ranges: u64,
}

impl Fetch {
    /// All bytes.
    pub fn bytes(&self) -> u64 {
        self.table + self.contents
    }
}

impl AddAssign for Fetch {
    fn add_assign(&mut self, other: Fetch) {
        self.table += other.table;
        self.contents += other.contents;
        self.ranges += other.ranges;
    }
}

impl KnownContents {
    /// Adds what a layer holds.
    pub fn add(&mut self, table: &ChunkTable) {
        for file in &table.files {
            self.files.insert(file.digest);
            self.chunks.extend(file.chunks.iter().filter_map(|chunk| chunk.digest));
        }
    }

    /// What is fetched of a layer that is not there.
    pub fn fetch(&self, table: &ChunkTable) -> Fetch {
        let missing = table.files.iter().filter(|file| !self.files.contains(&file.digest));
        let mut ranges: Vec<(u64, u64)> = Vec::new();
        for file in missing {
            let mut is_first = true;
            for chunk in file.chunks.iter().filter(|chunk| !self.has(chunk)) {
                // Chunks of one file that touch each other are one range, whatever the number of ranges.
                match ranges.last_mut().filter(|last| !is_first && last.1 == chunk.offset) {
                    Some(last) => last.1 = chunk.end,
                    None => ranges.push((chunk.offset, chunk.end)),
                }
                is_first = false;
            }
        }
        let (contents, count) = merged(&ranges);
        Fetch { table: table.size, contents, ranges: count }
    }

    fn has(&self, chunk: &Chunk) -> bool {
        chunk.digest.is_some_and(|digest| self.chunks.contains(&digest) || self.files.contains(&digest))
    }
}

/// Bytes and number of ranges, once near ones are one.
fn merged(ranges: &[(u64, u64)]) -> (u64, u64) {
    let bytes: u64 = ranges.iter().map(|(start, end)| end - start).sum();
    let mut gaps: Vec<u64> = ranges.windows(2).map(|pair| pair[1].0.saturating_sub(pair[0].1)).collect();
    gaps.sort_unstable();
    // As the client counts: with exactly as many ranges as it may ask for, one gap goes all the same.
    let too_many = (ranges.len() + 1).saturating_sub(MOST_RANGES);
    let filled = gaps.iter().enumerate().take_while(|(index, gap)| *index < too_many || **gap <= SMALL_GAP).count();
    (bytes + gaps[..filled].iter().sum::<u64>(), (ranges.len() - filled) as u64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chunked::ChunkedFile;

    fn file(name: &str, chunks: &[(&str, u64, u64)]) -> ChunkedFile {
        let is_whole = chunks.len() == 1;
        let chunk = |&(name, offset, end): &(&str, u64, u64)| {
            let digest = (!is_whole).then(|| Digest::of(name.as_bytes()));
            Chunk { digest, offset, end }
        };
        ChunkedFile { digest: Digest::of(name.as_bytes()), chunks: chunks.iter().map(chunk).collect() }
    }

    #[test]
    fn what_is_known_is_not_fetched() {
        let old = ChunkTable {
            files: vec![file("a", &[("a", 10, 20)]), file("b", &[("b1", 30, 40), ("b2", 40, 60)])],
            size: 7,
        };
        let mut known = KnownContents::default();
        assert_eq!(known.fetch(&old), Fetch { table: 7, contents: 50, ranges: 1 });
        known.add(&old);
        assert_eq!(known.fetch(&old), Fetch { table: 7, contents: 0, ranges: 0 });
        let new = ChunkTable {
            files: vec![
                file("a", &[("a", 10, 20)]),
                file("c", &[("b1", 5_000, 6_000), ("c2", 6_000, 6_100), ("c3", 6_100, 6_200)]),
                // Its contents are a chunk of another file: only chunks are looked up so.
                file("b2", &[("b2", 90_000, 90_010)]),
            ],
            size: 9,
        };
        assert_eq!(known.fetch(&new), Fetch { table: 9, contents: 210, ranges: 2 });
    }

    #[test]
    fn near_ranges_are_one() {
        assert_eq!(merged(&[]), (0, 0));
        assert_eq!(merged(&[(10, 20), (1_044, 1_050)]), (1_040, 1));
        assert_eq!(merged(&[(10, 20), (1_045, 1_050)]), (15, 2));
        let far: Vec<(u64, u64)> = (0..1_023).map(|n| (n * 10_000, n * 10_000 + 1)).collect();
        assert_eq!(merged(&far), (1_023, 1_023));
        let more: Vec<(u64, u64)> = (0..1_026).map(|n| (n * 10_000, n * 10_000 + 1)).collect();
        assert_eq!(merged(&more), (1_026 + 3 * 9_999, 1_023));
    }
}
