//! Bounds what is read of a tar that somebody else made.
//!
//! Real layers stay far below each of them. A tar beyond one is refused with an error that names the bound.

use std::sync::atomic::{AtomicU64, Ordering};

/// Bytes of an extended header, of a long name, and of the map of a sparse file at most: those of Go's `archive/tar`
/// (`maxSpecialFileSize`), which bounds sparse maps so since CVE-2025-58183. Real ones have a few kilobytes.
pub(crate) const MAX_EXTENSION: usize = 1 << 20;

/// Bytes of a name or of a link's target at most: PATH_MAX of Linux (limits.h). No container could have the file.
pub(crate) const MAX_NAME: usize = 4096;

/// Members of a tar at most. Images with all of TeX Live or of a machine learning stack have some hundred thousand.
pub(crate) const MAX_MEMBERS: u64 = 2_000_000;

/// Directories of a layer that may exist only because something is in them: a name of 4096 bytes is one of 2048 directories. Tools
/// that write layers describe all directories but a few.
pub(crate) const MAX_IMPLIED: usize = 250_000;

/// Bytes of memory that the headers of all layers of an image may take: about a million files, several times as many as
/// the largest images have.
pub(crate) const MAX_HEADERS: u64 = 192 << 20;

/// Bytes that the targets of hard links to symbolic links may take together: each such link is a copy.
pub(crate) const MAX_COPIED_TARGETS: usize = 16 << 20;

/// Bytes of holes that the files of a tar may have besides a multiple of what the tar itself has so far: a tar of one
/// kilobyte can promise 2^63 zeros. Those who make layers do not write sparse members at all.
pub(crate) const ALWAYS_HOLES: u64 = 1 << 30;
/// That multiple.
pub(crate) const HOLES_RATIO: u64 = 100;

/// Memory for the headers of an image's layers, shared by those who read them at the same time: all that they keep is
/// counted against one bound.
#[derive(Debug, Default)]
pub struct Allowance {
    taken: AtomicU64,
}

impl Allowance {
    /// Takes some bytes.
    ///
    /// # Errors
    ///
    /// More than the bound are taken; the text says what was found and what was expected.
    pub fn take(&self, bytes: usize) -> Result<(), String> {
        let bytes = bytes as u64;
        let taken = self.taken.fetch_add(bytes, Ordering::Relaxed).saturating_add(bytes);
        match taken > MAX_HEADERS {
            true => Err(format!("found files whose headers take more than {} MiB of memory", MAX_HEADERS >> 20)),
            false => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_much_as_the_bound_and_no_more() {
        let allowance = Allowance::default();
        assert_eq!(allowance.take(MAX_HEADERS as usize), Ok(()));
        let expected = "found files whose headers take more than 192 MiB of memory";
        assert_eq!(allowance.take(1), Err(expected.to_owned()));
    }
}
