//! Says where the contents of a large file are cut into chunks: by FastCDC (Xia et al., USENIX ATC 2016, and TPDS 2020).

use fastcdc::v2020::FastCDC;

/// A file of at most so many bytes is one chunk.
pub(crate) const WHOLE: u64 = 64 << 10;
/// The smallest chunk in bytes, but for the last one of a file.
const MIN: usize = 16 << 10;
/// How many bytes a chunk has on average. See `docs/updates.md` for what others cost.
const AVERAGE: usize = 64 << 10;
/// The largest chunk in bytes.
pub(crate) const MAX: usize = 256 << 10;

/// The length of the first chunk of these bytes, which are at least [`MAX`] or all that is left of a file.
pub(crate) fn first(bytes: &[u8]) -> usize {
    let bytes = &bytes[..bytes.len().min(MAX)];
    FastCDC::new(bytes, MIN, AVERAGE, MAX).cut(0, bytes.len()).1
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
        let expected =
            [125_811, 78_145, 101_666, 83_949, 47_712, 79_075, 41_827, 73_610, 78_850, 68_194, 98_023, 155_785, 15_929];
        assert_eq!(lengths, expected);
        assert_eq!(chunks(&vec![0; 600_000]), [MAX, MAX, 600_000 - 2 * MAX]);
        assert_eq!(chunks(&noise(MIN)), [MIN]);
    }

    #[test]
    fn what_is_inserted_leaves_later_cuts() {
        let (old, mut new) = (noise(1 << 20), noise(1 << 20));
        new.splice(300_000..300_000, *b"inserted");
        let from_end = |lengths: Vec<usize>| {
            let mut at = 0;
            lengths.into_iter().rev().map(|length| { at += length; at }).collect::<Vec<_>>()
        };
        let (old, new) = (from_end(chunks(&old)), from_end(chunks(&new)));
        let same = old.iter().zip(&new).take_while(|(old, new)| old == new).count();
        assert!(same >= old.len() / 2, "{old:?} {new:?}");
    }
}
