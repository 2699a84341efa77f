//! Counts, prunes and verifies what is in a cache, and forgets entries by what they say.

use super::file::is_intact;
use super::{Cache, CacheKind, names, read};
use crate::directory::{Directory, file_type};
use crate::{Digest, Error, Result, temporary};
use rustix::fs::FileType;
use rustix::io::Errno;
use std::ffi::OsStr;
use std::io::{self, Read};

/// What is in a cache of one kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// How many files.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// What is in a cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CacheContents {
    /// Of each kind.
    pub kinds: [(CacheKind, Usage); 4],
    /// How many directories this user may not list.
    pub passed_over: u64,
}

/// What became of a cache that was gone through.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PruneStats {
    /// What stays.
    pub kept: Usage,
    /// What was removed.
    pub removed: Usage,
    /// How many directories this user may not list, and how many files he may not read or remove.
    pub passed_over: u64,
}

impl Usage {
    fn add(&mut self, bytes: u64) {
        self.files += 1;
        self.bytes += bytes;
    }
}

/// A file of a cache.
struct Remembered {
    kind: CacheKind,
    key: Digest,
    bytes: u64,
    /// When it was last used, in seconds and nanoseconds, as far as clocks can be believed.
    used: (i64, i64),
}

impl Cache {
    /// What is in it.
    ///
    /// # Errors
    ///
    /// Its directory cannot be read.
    pub fn contents(&self) -> Result<CacheContents> {
        let mut kinds = CacheKind::ALL.map(|kind| (kind, Usage::default()));
        let (files, passed_over) = self.files()?;
        for file in files {
            kinds[file.kind as usize].1.add(file.bytes);
        }
        Ok(CacheContents { kinds, passed_over })
    }

    /// Removes what was used longest ago until no more than so many bytes are left, and what dead processes left.
    ///
    /// # Errors
    ///
    /// Its directory cannot be read, or something cannot be removed for another reason than that the user may not.
    pub fn prune(&self, limit: u64) -> Result<PruneStats> {
        self.down_to(limit, |fits, file, outcome| self.keep_or_remove(fits, file, outcome))
    }

    /// What [`Cache::prune`] would remove now, as far as this user may; it all stays.
    ///
    /// # Errors
    ///
    /// Its directory cannot be read.
    pub fn prunable(&self, limit: u64) -> Result<PruneStats> {
        self.down_to(limit, |fits, file, outcome| {
            let room = if fits { &mut outcome.kept } else { &mut outcome.removed };
            room.add(file.bytes);
            Ok(())
        })
    }

    /// Goes through all files from the one that was used last, and says of each whether it fits into so many bytes.
    fn down_to(
        &self,
        limit: u64,
        mut decide: impl FnMut(bool, &Remembered, &mut PruneStats) -> Result<()>,
    ) -> Result<PruneStats> {
        let (mut files, passed_over) = self.files()?;
        files.sort_by(|a, b| b.used.cmp(&a.used).then_with(|| (a.kind, &a.key).cmp(&(b.kind, &b.key))));
        let mut outcome = PruneStats { passed_over, ..PruneStats::default() };
        let mut total = 0_u64;
        for file in files {
            let with = total.saturating_add(file.bytes);
            let fits = with <= limit;
            // One that is too big alone leaves room for all others.
            total = if fits { with } else { total };
            decide(fits, &file, &mut outcome)?;
        }
        Ok(outcome)
    }

    /// Reads all of it and removes what is damaged.
    ///
    /// # Errors
    ///
    /// As [`Cache::prune`].
    pub fn verify(&self) -> Result<PruneStats> {
        let (files, passed_over) = self.files()?;
        let mut outcome = PruneStats { passed_over, ..PruneStats::default() };
        for file in files {
            let mut bytes = Vec::new();
            let read = self.open_file(file.kind, &file.key).and_then(|mut open| open.read_to_end(&mut bytes));
            match read.map_err(|e| e.kind()) {
                Err(io::ErrorKind::NotFound) => {}
                Err(io::ErrorKind::PermissionDenied) => outcome.passed_over += 1,
                // What cannot be read is as good as damaged.
                read => {
                    let is_good = read.is_ok() && is_intact(file.kind, &file.key, &bytes);
                    self.keep_or_remove(is_good, &file, &mut outcome)?;
                }
            }
        }
        Ok(outcome)
    }

    fn keep_or_remove(&self, keep: bool, file: &Remembered, outcome: &mut PruneStats) -> Result<()> {
        if keep {
            outcome.kept.add(file.bytes);
            return Ok(());
        }
        match self.remove(file.kind, &file.key) {
            Ok(()) => outcome.removed.add(file.bytes),
            // Another process was first.
            Err(e) if e.kind() == io::ErrorKind::NotFound => {}
            Err(e) if e.kind() == io::ErrorKind::PermissionDenied => outcome.passed_over += 1,
            Err(e) => return Err(Error::io("remove", &self.path(file.kind, &file.key))(e)),
        }
        Ok(())
    }

    /// All files that are ours, in no order, and how many directories cannot be listed; those that are gone or were never made
    /// hold none. No link is followed.
    fn files(&self) -> Result<(Vec<Remembered>, u64)> {
        self.files_of(&CacheKind::ALL)
    }

    /// The same of some kinds.
    fn files_of(&self, kinds: &[CacheKind]) -> Result<(Vec<Remembered>, u64)> {
        let top = self.top().map_err(Error::io("read", &self.path))?;
        let (mut files, mut passed_over) = (Vec::new(), 0);
        for kind in kinds.iter().copied() {
            let opened = top.subdirectory(OsStr::new(kind.name()));
            let listed = opened.and_then(|directory| Ok((directory.names()?, directory)));
            let Some((names, directory)) = seen(listed, &mut passed_over) else { continue };
            for name in names {
                let Some(inner) = seen(directory.subdirectory(&name), &mut passed_over) else { continue };
                temporary::sweep(&inner);
                let found = seen(Remembered::all_in(kind, &name, &inner), &mut passed_over);
                files.extend(found.unwrap_or_default());
            }
        }
        Ok((files, passed_over))
    }

    /// The keys of a kind, the last used first, at most so many.
    ///
    /// # Errors
    ///
    /// The cache's directory cannot be read.
    pub fn last_used(&self, kind: CacheKind, most: usize) -> Result<Vec<Digest>> {
        let mut files = self.files_of(&[kind])?.0;
        files.sort_by(|a, b| b.used.cmp(&a.used).then_with(|| a.key.cmp(&b.key)));
        files.truncate(most);
        Ok(files.into_iter().map(|file| file.key).collect())
    }

    /// Forgets all of a kind whose bytes fulfil a condition, as far as they can be read.
    ///
    /// # Errors
    ///
    /// Its directory cannot be read.
    pub fn forget_if(&self, kind: CacheKind, condition: impl Fn(&[u8]) -> bool) -> Result<()> {
        for Remembered { key, .. } in &self.files_of(&[kind])?.0 {
            let Ok((directory, name)) = self.find(kind, key) else { continue };
            if read(kind, key, &directory, &name).is_some_and(|bytes| condition(&bytes)) {
                self.forget(kind, key);
            }
        }
        Ok(())
    }
}

/// What was found, if it could be; what is there and cannot be read is counted.
fn seen<T>(found: io::Result<T>, passed_over: &mut u64) -> Option<T> {
    let is_nothing = |e: &io::Error| {
        // A link or a file instead of a directory is none of ours.
        matches!(Errno::from_io_error(e), Some(Errno::NOENT | Errno::NOTDIR | Errno::LOOP))
    };
    *passed_over += u64::from(found.as_ref().is_err_and(|e| !is_nothing(e)));
    found.ok()
}

impl Remembered {
    /// The files of a directory that are called after keys.
    fn all_in(kind: CacheKind, name: &OsStr, directory: &Directory) -> io::Result<Vec<Remembered>> {
        let mut files = Vec::new();
        for file in directory.names()? {
            let digits = name.to_str().zip(file.to_str()).map(|(begin, end)| format!("sha256:{begin}{end}"));
            let Some(key) = digits.and_then(|digits| digits.parse().ok()) else { continue };
            match directory.stat_of(&file) {
                Ok(stat) if file_type(&stat) == FileType::RegularFile && names(&key)[0] == *name => {
                    let used = (stat.st_mtime, stat.st_mtime_nsec as i64);
                    files.push(Remembered { kind, key, bytes: stat.st_size as u64, used });
                }
                Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
                _ => {}
            }
        }
        Ok(files)
    }
}
