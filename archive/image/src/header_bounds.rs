//! Counts what is read of the headers of an archive of images, whoever reads them.

use layerstone_store::{Limit, Limits};
use std::io;

/// Headers of an archive, as far as it is read.
#[derive(Debug)]
pub struct HeaderBounds {
    limits: Limits,
    members: u64,
    kept: u64,
}

impl HeaderBounds {
    /// At the beginning of an archive.
    pub fn new(limits: Limits) -> HeaderBounds {
        HeaderBounds { limits, members: 0, kept: 0 }
    }

    /// The limits.
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// One more member.
    ///
    /// # Errors
    ///
    /// It is one more than [`Limit::ArchiveMembers`] allows.
    pub fn count(&mut self) -> io::Result<()> {
        self.members += 1;
        Ok(self.limits.check(Limit::ArchiveMembers, self.members)?)
    }

    /// So many bytes more of names, link targets and records that are kept.
    ///
    /// # Errors
    ///
    /// Those of all members are more than [`Limit::ArchiveHeaders`] allows.
    pub fn keep(&mut self, bytes: usize) -> io::Result<()> {
        self.kept = self.kept.saturating_add(bytes as u64);
        Ok(self.limits.check(Limit::ArchiveHeaders, self.kept)?)
    }

    /// Extended headers of one member, from where the first one begins to where they end: as many as a long name and
    /// records may have together.
    ///
    /// # Errors
    ///
    /// There are more in front of one member than twice [`Limit::ExtendedHeader`].
    pub fn check_extensions(&self, begin: u64, end: u64) -> io::Result<()> {
        let exceeded = self.limits.check(Limit::ExtendedHeader, (end - begin) / 2).err();
        let cause = |exceeded| format!("extended headers in front of the member at byte {begin}: {exceeded}");
        exceeded.map_or(Ok(()), |it| Err(io::Error::new(io::ErrorKind::InvalidData, cause(it))))
    }
}
