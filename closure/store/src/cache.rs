//! Caches bytes by key in a directory.
//!
//! The cache is disposable: missing, corrupt or outdated entries are recomputed, never reported as errors. A file is written under a temporary name and renamed, so many processes may use a directory at once, and
//! none leaves half a file, whatever kills it; no lock is needed, as two that write one key write the same bytes. Files
//! are found by name alone, and clocks decide only which of them goes first when there are too many.
//!
//! Several users may share a cache: what is made in it has the mode and the group of the cache's directory, whatever the umask,
//! and what a user may not read or remove is passed over. Every file is reached through descriptors of the directories that lead
//! to it, and its own is open all the time, so that no link is followed, whoever put it there.
//!
//! See FORMAT.md beside this crate.

mod contents;
mod file;

pub use contents::{CacheContents, PruneStats, Usage};

use crate::directory::Directory;
use crate::{Digest, Error, Output, Result, temporary};
use file::{HEADER, Shared, header, is_intact, touch};
use rustix::fs::{OFlags, fstat};
use rustix::process::geteuid;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// The file that marks a directory as a cache, for backups too (bford.info/cachedir).
const TAG: &str = "CACHEDIR.TAG";
/// What it holds; a directory with other files and without this is none of ours.
const TAG_TEXT: &str = "Signature: 8a477f597d28d172789f06886806bc55\n# A cache of layerstone: what it learned about layers. It may be deleted at any time.\n";
/// The directory of blobs without a digest yet.
const UNNAMED: &str = "new";

/// What is remembered: each kind has a directory of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum CacheKind {
    /// What a layer is, by what decides its bytes.
    Layer,
    /// What the files of a layer were, by its diff ID.
    Index,
    /// Blobs, by their own digests.
    Blob,
    /// Where archives are that were written, and what is in them, by their paths.
    Archive,
}

impl CacheKind {
    /// All of them.
    pub const ALL: [CacheKind; 4] = [CacheKind::Layer, CacheKind::Index, CacheKind::Blob, CacheKind::Archive];

    /// The name of its directory.
    pub fn name(self) -> &'static str {
        match self {
            CacheKind::Layer => "layers",
            CacheKind::Index => "indexes",
            CacheKind::Blob => "blobs",
            CacheKind::Archive => "archives",
        }
    }
}

/// A cache in a directory.
#[derive(Debug)]
pub struct Cache {
    path: PathBuf,
    /// The directory as it was opened last.
    top: Mutex<Arc<Directory>>,
    /// Whether something was added since it was opened.
    grew: AtomicBool,
}

impl Cache {
    /// Opens the cache in a directory, made if it is not there.
    ///
    /// # Errors
    ///
    /// The directory cannot be made, or holds other files.
    pub fn open(path: &Path) -> Result<Cache> {
        let top = Arc::new(Directory::create_named(path).map_err(Error::io("make the cache", path))?);
        if is_tagged(&top) {
            return Ok(Cache { path: path.to_owned(), top: Mutex::new(top), grew: AtomicBool::new(false) });
        }
        if top.names().map_err(Error::io("read", path))?.iter().any(|name| !is_ours(name)) {
            return Err(Error::NoCache { path: path.to_owned(), tag: TAG });
        }
        let shared = Shared::of(&top).map_err(Error::io("read", path))?;
        let tag = path.join(TAG);
        let mut output = Output::create_cached(&top, &tag, shared.file_mode())?;
        output.write_all(TAG_TEXT.as_bytes()).map_err(Error::io("write", &tag))?;
        output.commit()?;
        Ok(Cache { path: path.to_owned(), top: Mutex::new(top), grew: AtomicBool::new(false) })
    }

    /// The directory; if somebody has removed it, what its path leads to now, made if that is nothing.
    fn top(&self) -> io::Result<Arc<Directory>> {
        let mut top = self.top.lock().unwrap_or_else(PoisonError::into_inner);
        if top.stat()?.st_nlink == 0 {
            *top = Arc::new(Directory::create_named(&self.path)?);
        }
        Ok(Arc::clone(&top))
    }

    /// Where it is.
    pub fn directory(&self) -> &Path {
        &self.path
    }

    /// Opens the file of a key.
    ///
    /// # Errors
    ///
    /// It is not there, or is no file.
    pub fn open_file(&self, kind: CacheKind, key: &Digest) -> io::Result<File> {
        let (directory, name) = self.find(kind, key)?;
        directory.open_file(&name, OFlags::RDONLY)
    }

    /// Where the file of a key is, if it is there.
    pub fn path(&self, kind: CacheKind, key: &Digest) -> PathBuf {
        let [directory, name] = names(key);
        self.path.join(kind.name()).join(directory).join(name)
    }

    /// The directory that the file of a key is in, if it is there, and its name.
    fn find(&self, kind: CacheKind, key: &Digest) -> io::Result<(Directory, OsString)> {
        let [directory, name] = names(key);
        let directory = self.top()?.subdirectory(OsStr::new(kind.name()))?.subdirectory(&directory)?;
        Ok((directory, name))
    }

    /// The directory of this name, of a kind, made if it is not there; and what the cache's users have in common.
    fn make_directory(&self, kind: CacheKind, name: &OsStr) -> Result<(Arc<Directory>, Shared)> {
        let make = || -> io::Result<_> {
            let top = self.top()?;
            let shared = Shared::of(&top)?;
            let directory = shared.make_directory(&shared.make_directory(&top, OsStr::new(kind.name()))?, name)?;
            Ok((Arc::new(directory), shared))
        };
        make().map_err(|e| Error::io("make", &self.path.join(kind.name()).join(name))(e))
    }

    /// What is remembered under a key; a damaged file is removed.
    pub fn get(&self, kind: CacheKind, key: &Digest) -> Option<Vec<u8>> {
        let (directory, name) = self.find(kind, key).ok()?;
        let bytes = read(kind, key, &directory, &name)?;
        touch(&directory, &name);
        Some(bytes)
    }

    /// What this user himself put under a key: where bytes have to be believed, others who write to a cache say nothing. A
    /// damaged file is removed.
    pub fn get_own(&self, kind: CacheKind, key: &Digest) -> Option<Vec<u8>> {
        let (directory, name) = self.find(kind, key).ok()?;
        let file = directory.open_file(&name, OFlags::RDONLY).ok()?;
        let is_own = fstat(&file).is_ok_and(|stat| stat.st_uid == geteuid().as_raw());
        is_own.then(|| read_open(file, kind, key, &directory, &name))?
    }

    /// Notes that something was used.
    pub fn used(&self, kind: CacheKind, key: &Digest) {
        if let Ok((directory, name)) = self.find(kind, key) {
            touch(&directory, &name);
        }
    }

    /// Remembers bytes under a key.
    ///
    /// # Errors
    ///
    /// They cannot be written.
    pub fn put(&self, kind: CacheKind, key: &Digest, bytes: &[u8]) -> Result<()> {
        let (directory, shared) = self.make_directory(kind, &names(key)[0])?;
        let path = self.path(kind, key);
        let mut output = Output::create_cached(&directory, &path, shared.file_mode())?;
        let header = header(key, bytes);
        let written = if kind == CacheKind::Blob { Ok(()) } else { output.write_all(&header) };
        written.and_then(|()| output.write_all(bytes)).map_err(Error::io("write", &path))?;
        self.grew.store(true, Ordering::Relaxed);
        output.commit()
    }

    /// Forgets what is remembered under a key.
    pub fn forget(&self, kind: CacheKind, key: &Digest) {
        // What is not there is forgotten already, and whoever cannot write anew what cannot be removed reports it.
        let _ = self.remove(kind, key);
    }

    fn remove(&self, kind: CacheKind, key: &Digest) -> io::Result<()> {
        let (directory, name) = self.find(kind, key)?;
        directory.remove_file(&name)
    }

    /// Starts a blob that has no digest yet.
    ///
    /// # Errors
    ///
    /// It cannot be made.
    pub fn begin_blob(&self) -> Result<Output> {
        let (directory, shared) = self.make_directory(CacheKind::Blob, OsStr::new(UNNAMED))?;
        let path = self.path.join(CacheKind::Blob.name()).join(UNNAMED).join("blob");
        Output::create_cached(&directory, &path, shared.file_mode())
    }

    /// Lets a blob appear.
    ///
    /// # Errors
    ///
    /// It cannot be renamed.
    pub fn finish_blob(&self, output: Output, digest: &Digest) -> Result<()> {
        let (directory, _) = self.make_directory(CacheKind::Blob, &names(digest)[0])?;
        self.grew.store(true, Ordering::Relaxed);
        output.commit_in(&directory, &self.path(CacheKind::Blob, digest))
    }

    /// Whether something was added since it was opened.
    pub fn grew(&self) -> bool {
        self.grew.load(Ordering::Relaxed)
    }
}

fn is_tagged(directory: &Directory) -> bool {
    let mut text = String::new();
    let tag = directory.open_file(OsStr::new(TAG), OFlags::RDONLY);
    let read = tag.and_then(|file| file.take(TAG_TEXT.len() as u64 + 1).read_to_string(&mut text));
    read.is_ok() && text == TAG_TEXT
}

/// What a file of a cache holds; a damaged one is removed.
fn read(kind: CacheKind, key: &Digest, directory: &Directory, name: &OsStr) -> Option<Vec<u8>> {
    read_open(directory.open_file(name, OFlags::RDONLY).ok()?, kind, key, directory, name)
}

/// The same of a file of it that is open.
fn read_open(mut file: File, kind: CacheKind, key: &Digest, directory: &Directory, name: &OsStr) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes).ok()?;
    if !is_intact(kind, key, &bytes) {
        // If it cannot be removed it is not believed the next time either.
        let _ = directory.remove_file(name);
        return None;
    }
    Some(if kind == CacheKind::Blob { bytes } else { bytes.split_off(HEADER) })
}

/// The names of a key's directory and file.
fn names(key: &Digest) -> [OsString; 2] {
    let hex = key.hex();
    [hex[..2].into(), hex[2..].into()]
}

/// Whether a name in the cache's directory may be one of ours.
fn is_ours(name: &OsStr) -> bool {
    name == TAG || CacheKind::ALL.iter().any(|kind| name == kind.name()) || temporary::is_temporary(name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::PermissionsExt;
    use std::time::{Duration, SystemTime};

    fn cache() -> (tempfile::TempDir, Cache) {
        let dir = tempfile::tempdir().unwrap();
        let cache = Cache::open(&dir.path().join("a/b")).unwrap();
        (dir, cache)
    }

    fn set_used(path: &Path, seconds: u64) {
        let time = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        File::options().write(true).open(path).unwrap().set_modified(time).unwrap();
    }

    #[test]
    fn what_is_put_is_got() {
        let (_dir, cache) = cache();
        let key = Digest::of(b"key");
        assert_eq!(cache.get(CacheKind::Layer, &key), None);
        cache.put(CacheKind::Layer, &key, b"value").unwrap();
        assert_eq!(cache.get(CacheKind::Layer, &key).unwrap(), b"value");
        assert_eq!(cache.get(CacheKind::Index, &key), None);
        cache.put(CacheKind::Layer, &key, b"").unwrap();
        assert_eq!(cache.get(CacheKind::Layer, &key).unwrap(), b"");
        let blob = Digest::of(b"blob");
        cache.put(CacheKind::Blob, &blob, b"blob").unwrap();
        assert_eq!(cache.get(CacheKind::Blob, &blob).unwrap(), b"blob");
        cache.forget(CacheKind::Layer, &key);
        assert_eq!(cache.get(CacheKind::Layer, &key), None);
        assert!(Cache::open(cache.directory()).is_ok());
    }

    #[test]
    fn every_flipped_bit_and_every_cut_is_noticed() {
        let (_dir, cache) = cache();
        let key = Digest::of(b"key");
        let path = cache.path(CacheKind::Index, &key);
        cache.put(CacheKind::Index, &key, b"value").unwrap();
        let bytes = fs::read(&path).unwrap();
        let mut bad: Vec<Vec<u8>> = (0..bytes.len()).map(|end| bytes[..end].to_vec()).collect();
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            bad.push(flipped);
        }
        for bytes in bad {
            fs::write(&path, &bytes).unwrap();
            assert_eq!(cache.get(CacheKind::Index, &key), None, "{bytes:?}");
            assert!(!path.exists());
        }
    }

    #[test]
    fn verify_removes_what_is_not_whole() {
        let (_dir, cache) = cache();
        let keys = [b"a", b"b", b"c", b"d"].map(|key| Digest::of(key));
        cache.put(CacheKind::Layer, &keys[0], b"a").unwrap();
        cache.put(CacheKind::Index, &keys[1], b"b").unwrap();
        cache.put(CacheKind::Blob, &keys[2], b"c").unwrap();
        cache.put(CacheKind::Archive, &keys[3], b"d").unwrap();
        assert_eq!(cache.verify().unwrap().removed, Usage::default());
        for (kind, key) in CacheKind::ALL.iter().zip(&keys) {
            fs::write(cache.path(*kind, key), "damaged").unwrap();
        }
        let outcome = cache.verify().unwrap();
        assert_eq!((outcome.kept.files, outcome.removed), (0, Usage { files: 4, bytes: 28 }));
        assert_eq!(cache.contents().unwrap().kinds.map(|(_, room)| room.files), [0; 4]);
    }

    /// A clock that went backwards makes the order a bad one, and nothing else.
    #[test]
    fn what_was_used_longest_ago_goes_first() {
        let (_dir, cache) = cache();
        let keys: Vec<Digest> = (0..5_u8).map(|i| Digest::of(&[i])).collect();
        for (key, used) in keys.iter().zip([500, 100, 400, 1 << 40, 300]) {
            cache.put(CacheKind::Layer, key, &[7; 52]).unwrap();
            set_used(&cache.path(CacheKind::Layer, key), used);
        }
        let outcome = cache.prune(350).unwrap();
        assert_eq!((outcome.kept, outcome.removed), (Usage { files: 3, bytes: 300 }, Usage { files: 2, bytes: 200 }));
        let left: Vec<bool> = keys.iter().map(|key| cache.path(CacheKind::Layer, key).exists()).collect();
        assert_eq!(left, [true, false, true, true, false]);
        cache.get(CacheKind::Layer, &keys[2]);
        let used = fs::metadata(cache.path(CacheKind::Layer, &keys[2])).unwrap().modified().unwrap();
        assert!(used > SystemTime::UNIX_EPOCH + Duration::from_secs(1000), "it was noted that it was used");
        assert_eq!(cache.prune(0).unwrap().kept, Usage::default());
    }

    /// A shared directory may hold anything: links are neither followed nor written through, and what is not called after a key
    /// stays.
    #[test]
    fn what_is_not_ours_stays() {
        let (dir, cache) = cache();
        let (mine, key) = (dir.path().join("mine"), Digest::of(b"key"));
        fs::create_dir(&mine).unwrap();
        let letter = mine.join("letter");
        fs::write(&letter, "dear").unwrap();
        cache.put(CacheKind::Index, &key, b"value").unwrap();
        let path = cache.path(CacheKind::Index, &key);
        std::os::unix::fs::symlink(&mine, cache.directory().join("layers")).unwrap();
        std::os::unix::fs::symlink(&mine, cache.directory().join("indexes/zz")).unwrap();
        fs::write(path.with_file_name("notes"), "x").unwrap();
        cache.verify().unwrap();
        cache.prune(0).unwrap();
        assert!(letter.exists() && path.with_file_name("notes").exists() && !path.exists());
        std::os::unix::fs::symlink(&letter, &path).unwrap();
        assert_eq!(cache.get(CacheKind::Index, &key), None);
        cache.put(CacheKind::Index, &key, b"value").unwrap();
        assert_eq!(
            (fs::read(&letter).unwrap(), cache.get(CacheKind::Index, &key).unwrap()),
            (b"dear".to_vec(), b"value".to_vec())
        );
    }

    /// A directory and its files have the mode of the cache's directory, also those that this user made otherwise before.
    #[test]
    fn modes_are_those_of_the_cache() {
        let (_dir, cache) = cache();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o7777;
        let key = Digest::of(b"key");
        let path = cache.path(CacheKind::Layer, &key);
        for (of_cache, of_directories, of_files) in
            [(0o2775, 0o2775, 0o664), (0o700, 0o700, 0o600), (0o755, 0o755, 0o644), (0o1777, 0o777, 0o666)]
        {
            fs::set_permissions(cache.directory(), fs::Permissions::from_mode(of_cache)).unwrap();
            cache.put(CacheKind::Layer, &key, b"value").unwrap();
            let directory = path.parent().unwrap();
            assert_eq!(
                (mode(directory), mode(directory.parent().unwrap()), mode(&path)),
                (of_directories, of_directories, of_files)
            );
        }
    }

    #[test]
    fn a_damaged_tag_is_written_anew() {
        let (_dir, cache) = cache();
        cache.put(CacheKind::Layer, &Digest::of(b"key"), b"value").unwrap();
        fs::write(cache.directory().join(TAG), "").unwrap();
        let again = Cache::open(cache.directory()).unwrap();
        assert!(is_tagged(&again.top().unwrap()) && again.get(CacheKind::Layer, &Digest::of(b"key")).is_some());
    }

    #[test]
    fn forgotten_by_what_they_say() {
        let (_dir, cache) = cache();
        for (key, value) in [(b"a", b"1"), (b"b", b"2"), (b"c", b"1")] {
            cache.put(CacheKind::Layer, &Digest::of(key), value).unwrap();
        }
        cache.forget_if(CacheKind::Layer, |bytes| bytes == b"1").unwrap();
        assert_eq!(cache.contents().unwrap().kinds[0].1.files, 1);
    }

    #[test]
    fn a_directory_of_other_files_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("letter"), "dear").unwrap();
        let error = Cache::open(dir.path()).unwrap_err().to_string();
        assert!(
            error.starts_with("not a cache: ") && error.contains("expected an empty directory or CACHEDIR.TAG"),
            "{error}"
        );
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }
}
