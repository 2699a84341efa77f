//! Encodes the blocks of a directory: entries in the order of names, each block with its names after its entries.

use crate::BLOCK;

/// Bytes of an entry (`struct erofs_dirent`).
const ENTRY: usize = 12;

/// An entry: name, number of the file in the file system (nid), type.
pub type Entry<'a> = (&'a [u8], u64, u8);

/// How many entries each block takes, for names in their order.
fn blocks<'a>(names: impl Iterator<Item = &'a [u8]>) -> Vec<(usize, usize)> {
    let mut blocks = vec![(0, 0)];
    for name in names {
        let length = ENTRY + name.len();
        match blocks.last_mut() {
            Some((count, used)) if *used + length <= BLOCK as usize => (*count, *used) = (*count + 1, *used + length),
            _ => blocks.push((1, length)),
        }
    }
    blocks
}

/// Bytes of a directory with these names, in their order.
pub fn size<'a>(names: impl Iterator<Item = &'a [u8]>) -> u64 {
    let blocks = blocks(names);
    (blocks.len() as u64 - 1) * BLOCK + blocks.last().map_or(0, |(_, used)| *used as u64)
}

/// The directory itself. All blocks but the last are full.
pub fn bytes(entries: &[Entry<'_>]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut left = entries;
    for (count, _) in blocks(entries.iter().map(|entry| entry.0)) {
        bytes.resize(bytes.len().next_multiple_of(BLOCK as usize), 0);
        let (these, rest) = left.split_at(count);
        left = rest;
        let mut name_at = count * ENTRY;
        for (name, nid, kind) in these {
            bytes.extend(nid.to_le_bytes());
            // Within a block of 4096 bytes.
            bytes.extend((name_at as u16).to_le_bytes());
            bytes.extend([*kind, 0]);
            name_at += name.len();
        }
        these.iter().for_each(|(name, _, _)| bytes.extend(*name));
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn size_is_that_of_the_bytes() {
        for count in [0, 1, 2, 200, 273, 274, 1000] {
            let names: Vec<String> = (0..count).map(|n| format!("{n:03}")).collect();
            let entries: Vec<Entry> = names.iter().map(|name| (name.as_bytes(), 7, 1)).collect();
            assert_eq!(bytes(&entries).len() as u64, size(names.iter().map(String::as_bytes)), "{count}");
        }
    }

    #[test]
    fn a_name_never_crosses_a_block() {
        let names: Vec<String> = (0..40).map(|n| format!("{n:0255}")).collect();
        let entries: Vec<Entry> = names.iter().map(|name| (name.as_bytes(), 7, 1)).collect();
        let bytes = bytes(&entries);
        // 15 entries of 267 bytes fit in 4096.
        assert_eq!(bytes.len(), 2 * 4096 + 10 * 267);
        assert_eq!(u16::from_le_bytes([bytes[4096 + 8], bytes[4096 + 9]]), 15 * 12);
        assert_eq!(&bytes[4096 + 15 * 12..][..255], names[15].as_bytes());
    }
}
