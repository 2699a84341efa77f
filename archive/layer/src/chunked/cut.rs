//! Says where the contents of a file are cut into chunks: around the hashes of store paths, and between them by FastCDC
//! (Xia et al., USENIX ATC 2016, and TPDS 2020).
//!
//! A package that is built again with other inputs often has the files that it had, but for the hashes in them. Cut apart,
//! the hashes are chunks of some dozen bytes, and all between them stays. That is worth more than small chunks: of the
//! update that `docs/chunks.md` measures, chunks of 128 KiB with hashes apart leave less to fetch than chunks of 64 KiB
//! without, and the image is smaller by 2 %.

use fastcdc::v2020::FastCDC;
use memchr::memmem::Finder;
use std::sync::LazyLock;

/// A file of at most so many bytes is one chunk. A change of this or of any number below changes the output.
pub(crate) const WHOLE: u64 = 4 << 10;
/// The smallest chunk in bytes, but for those that end at a hash or at the end of a file.
const MIN: usize = 32 << 10;
/// How many bytes a chunk has on average where there are no hashes.
const AVERAGE: usize = 128 << 10;
/// The largest chunk in bytes.
pub(crate) const MAX: usize = 512 << 10;

/// The end of the store directory of Nix and of Guix, which is in front of a hash and in its chunk.
const BEFORE_HASH: &[u8] = b"/store/";
/// Digits of a hash (Nix, `store-path.hh`, `StorePath::HashLen`).
const DIGITS: usize = 32;
/// Bytes of a hash with what is in front of it.
const HASH: usize = BEFORE_HASH.len() + DIGITS;
/// Fewer bytes than that between two hashes, in front of the first or behind the last one, are part of their chunk.
const NEAR: usize = 512;
/// The largest chunk of hashes in bytes.
const MAX_HASHES: usize = 64 << 10;

static FINDER: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(BEFORE_HASH));

/// The length of the first chunk of these bytes, which are at least [`MAX`] or all that is left of a file.
pub(crate) fn first(bytes: &[u8]) -> usize {
    let window = &bytes[..bytes.len().min(MAX)];
    let Some(hash) = find_hash(window, 0) else { return by_content(window) };
    if hash >= NEAR {
        return by_content(&window[..hash]);
    }
    let mut end = hash + HASH;
    while let Some(next) = find_hash(window, end).filter(|next| next - end < NEAR && *next < MAX_HASHES) {
        end = next + HASH;
    }
    if bytes.len() - end < NEAR { bytes.len() } else { end }
}

fn by_content(bytes: &[u8]) -> usize {
    FastCDC::new(bytes, MIN, AVERAGE, MAX).cut(0, bytes.len()).1
}

/// Where the first hash behind this position begins, with what is in front of it.
fn find_hash(bytes: &[u8], mut from: usize) -> Option<usize> {
    loop {
        let start = from + FINDER.find(&bytes[from..])?;
        let (digits, name) = bytes[start + BEFORE_HASH.len()..].split_at_checked(DIGITS)?;
        if name.starts_with(b"-") && digits.iter().all(is_digit) {
            return Some(start);
        }
        from = start + BEFORE_HASH.len();
    }
}

/// Nix's base 32 has no e, o, t and u.
fn is_digit(byte: &u8) -> bool {
    matches!(byte, b'0'..=b'9' | b'a'..=b'd' | b'f'..=b'n' | b'p'..=b's' | b'v'..=b'z')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chunks(mut bytes: &[u8]) -> Vec<usize> {
        let mut lengths = Vec::new();
        while !bytes.is_empty() {
            let length = first(bytes);
            lengths.push(length);
            bytes = &bytes[length..];
        }
        lengths
    }

    /// Numbers that look random, the same in each run (Knuth's MMIX generator).
    fn noise(len: usize) -> Vec<u8> {
        let mut state = 1_u64;
        let mut next = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 56) as u8
        };
        (0..len).map(|_| next()).collect()
    }

    /// A change of these changes all blobs.
    #[test]
    fn cuts_stay_where_they_are() {
        let lengths = chunks(&noise(1 << 20));
        assert_eq!(lengths.iter().sum::<usize>(), 1 << 20);
        let expected = [135_136, 136_878, 165_269, 120_902, 198_588, 276_315, 15_488];
        assert_eq!(lengths, expected);
        assert_eq!(chunks(&vec![0; 1_200_000]), [MAX, MAX, 1_200_000 - 2 * MAX]);
        assert_eq!(chunks(&noise(MIN)), [MIN]);
    }

    /// Bytes with hashes at these positions.
    fn with_hashes(len: usize, hashes: &[usize]) -> Vec<u8> {
        let mut bytes = noise(len);
        for &at in hashes {
            bytes[at..at + HASH + 1].copy_from_slice(b"/store/0123456789abcdfghijklmnpqrsvwxyz-");
        }
        bytes
    }

    #[test]
    fn hashes_are_chunks() {
        let check = |len, hashes: &[usize], expected: &[usize]| {
            assert_eq!(chunks(&with_hashes(len, hashes)), expected, "{len} {hashes:?}");
        };
        check(10_000, &[], &[10_000]);
        check(10_000, &[5_000], &[5_000, HASH, 10_000 - 5_000 - HASH]);
        check(10_000, &[100], &[100 + HASH, 10_000 - 100 - HASH]);
        check(10_000, &[9_900], &[9_900, 100]);
        check(10_000, &[5_000, 5_500], &[5_000, 500 + HASH, 10_000 - 5_500 - HASH]);
        // What is between these is a chunk.
        check(10_000, &[5_000, 5_000 + HASH + NEAR], &[5_000, HASH, NEAR, HASH, 10_000 - 5_000 - 2 * HASH - NEAR]);
        let many: Vec<usize> = (0..2_000).map(|n| 10 + n * 50).collect();
        let lengths = chunks(&with_hashes(110_000, &many));
        assert!(lengths[0] >= MAX_HASHES && lengths[0] < MAX_HASHES + NEAR, "{lengths:?}");
        let mut no_hash = with_hashes(10_000, &[5_000]);
        no_hash[5_000 + HASH] = b'/';
        assert_eq!(chunks(&no_hash), [10_000]);
        no_hash[5_000 + HASH] = b'-';
        no_hash[5_010] = b'e';
        assert_eq!(chunks(&no_hash), [10_000]);
    }

    #[test]
    fn what_is_inserted_leaves_later_cuts() {
        let (old, mut new) = (noise(1 << 20), noise(1 << 20));
        new.splice(300_000..300_000, *b"inserted");
        let from_end = |lengths: Vec<usize>| {
            let mut at = 0;
            lengths
                .into_iter()
                .rev()
                .map(|length| {
                    at += length;
                    at
                })
                .collect::<Vec<_>>()
        };
        let (old, new) = (from_end(chunks(&old)), from_end(chunks(&new)));
        let same = old.iter().zip(&new).take_while(|(old, new)| old == new).count();
        assert!(same >= old.len() / 2, "{old:?} {new:?}");
    }
}
