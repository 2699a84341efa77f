//! Bounds on what is read of archives and layouts that somebody else made.
//!
//! Real images stay far below each of them. What is beyond one is refused with an error that names the bound. Bounds on the
//! layers' tars are those of `layerstone_tar`; how much may be unpacked is [`MaxUnpacked`](crate::MaxUnpacked), which a
//! flag sets.

use std::io;

/// Bytes of a manifest, index, config or other piece of JSON at most. Registries take 4 MiB, and containers/image reads as
/// much of a config.
pub(crate) const MAX_JSON: u64 = 8 << 20;

/// Bytes of configs, manifests and layers' metadata that are kept of all images of an archive or layout at most. Those of
/// an image have some ten kilobytes.
pub(crate) const MAX_DESCRIPTIONS: usize = 32 << 20;

/// Layers of all images of an archive or layout at most. Engines run images of some hundred layers at most (127 in Docker's
/// classic store).
pub(crate) const MAX_LAYERS: usize = 20_000;

/// Members of an archive of images at most. An image of 127 layers has about 500.
const MAX_MEMBERS: usize = 250_000;

/// Bytes of headers in front of a member's own at most: PAX records, a long name, a long link target. Python, GNU tar and Go
/// write a few kilobytes.
const MAX_EXTENSIONS: u64 = 2 << 20;

/// Bytes of names, link targets and records that are kept of all members of an archive at most.
const MAX_NAMES: usize = 32 << 20;

/// Counts what is read of the headers of an archive, whoever reads them.
#[derive(Debug, Default)]
pub struct HeaderBounds {
    members: usize,
    kept: usize,
}

impl HeaderBounds {
    /// One more member.
    ///
    /// # Errors
    ///
    /// It is one more than an archive of images may have.
    pub fn count(&mut self) -> io::Result<()> {
        self.members += 1;
        check(self.members <= MAX_MEMBERS, || format!("found more than {MAX_MEMBERS} members"))
    }

    /// So many bytes more of names, link targets and records that are kept.
    ///
    /// # Errors
    ///
    /// Those of all members are more than may be kept.
    pub fn keep(&mut self, bytes: usize) -> io::Result<()> {
        self.kept = self.kept.saturating_add(bytes);
        let cause = || format!("found names and PAX records of more than {MAX_NAMES} bytes in its headers");
        check(self.kept <= MAX_NAMES, cause)
    }

    /// Extended headers of one member, from where the first one begins to where they end.
    ///
    /// # Errors
    ///
    /// There are more in front of one member than real archives have.
    pub fn check_extensions(&self, begin: u64, end: u64) -> io::Result<()> {
        let cause = || format!("found more than 2 MiB of extended headers in front of one member, at byte {begin}");
        check(end - begin <= MAX_EXTENSIONS, cause)
    }
}

fn check(is_within: bool, cause: impl FnOnce() -> String) -> io::Result<()> {
    if is_within { Ok(()) } else { Err(io::Error::new(io::ErrorKind::InvalidData, cause())) }
}
