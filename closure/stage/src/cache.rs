//! A folder that remembers bytes by key: what was learned once and can be learned again.
//!
//! Nothing in it is needed, so nothing about it is an error for long: what is missing, damaged or of another version is
//! learned again. A file is written under a temporary name and renamed, so many processes may use a folder at once, and
//! none leaves half a file, whatever kills it; no lock is needed, as two that write one key write the same bytes. Files
//! are found by name alone, and clocks decide only which of them goes first when there are too many.
//!
//! See FORMAT.md beside this crate.

mod file;

use crate::{Digest, Error, Output, Result};
use file::{HEADER, header, is_whole, key_of, make_folder_of, open, touch};
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

/// The file that marks a folder as a cache, for backups too (bford.info/cachedir).
const TAG: &str = "CACHEDIR.TAG";
/// What it holds; a folder with other files and without this is none of ours.
const TAG_TEXT: &str = "Signature: 8a477f597d28d172789f06886806bc55\n# A cache of layerstone: what it learned about layers. It may be deleted at any time.\n";
/// The folder of blobs whose digests are not known yet.
const UNNAMED: &str = "new";

/// What is remembered: each kind has a folder of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// What a layer is, by what decides its bytes.
    Layer,
    /// What the files of a layer were, by its diff ID.
    Index,
    /// Blobs, by their own digests.
    Blob,
}

impl Kind {
    /// All of them.
    pub const ALL: [Kind; 3] = [Kind::Layer, Kind::Index, Kind::Blob];

    /// The name of its folder.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Layer => "layers",
            Kind::Index => "indexes",
            Kind::Blob => "blobs",
        }
    }
}

/// A cache in a folder.
#[derive(Debug)]
pub struct Cache {
    folder: PathBuf,
    /// Whether something was added since it was opened.
    grew: AtomicBool,
}

/// What is in a cache of one kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Room {
    /// How many files.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// What became of a cache that was gone through.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// What stays.
    pub kept: Room,
    /// What was removed.
    pub removed: Room,
}

impl Room {
    fn add(&mut self, bytes: u64) {
        self.files += 1;
        self.bytes += bytes;
    }
}

/// A file of a cache.
struct Remembered {
    kind: Kind,
    path: PathBuf,
    bytes: u64,
    /// When it was last used, in seconds and nanoseconds, as far as clocks can be believed.
    used: (i64, i64),
}

impl Cache {
    /// Opens the cache in a folder, made if it is not there.
    ///
    /// # Errors
    ///
    /// The folder cannot be made, or holds other files.
    pub fn open(folder: &Path) -> Result<Cache> {
        let cache = Cache { folder: folder.to_owned(), grew: AtomicBool::new(false) };
        if cache.is_tagged() {
            return Ok(cache);
        }
        fs::create_dir_all(folder).map_err(Error::io("make the cache", folder))?;
        if entries(folder)?.iter().any(|entry| !is_ours(&entry.file_name())) {
            return Err(Error::NoCache { folder: folder.to_owned(), tag: TAG });
        }
        let tag = folder.join(TAG);
        let mut output = Output::create_here(&tag)?;
        output.write_all(TAG_TEXT.as_bytes()).map_err(Error::io("write", &tag))?;
        output.commit()?;
        Ok(cache)
    }

    fn is_tagged(&self) -> bool {
        fs::read(self.folder.join(TAG)).is_ok_and(|text| text == TAG_TEXT.as_bytes())
    }

    /// Where it is.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Opens the file of a key.
    ///
    /// # Errors
    ///
    /// It is not there, or is no file.
    pub fn open_file(&self, kind: Kind, key: &Digest) -> io::Result<File> {
        open(&self.path(kind, key))
    }

    /// Where the file of a key is, if it is there.
    pub fn path(&self, kind: Kind, key: &Digest) -> PathBuf {
        let hex = key.hex();
        self.folder.join(kind.name()).join(&hex[..2]).join(&hex[2..])
    }

    /// What is remembered under a key; a file that is not whole is removed.
    pub fn get(&self, kind: Kind, key: &Digest) -> Option<Vec<u8>> {
        let path = self.path(kind, key);
        let mut bytes = Vec::new();
        open(&path).ok()?.read_to_end(&mut bytes).ok()?;
        if !is_whole(kind, key, &bytes) {
            // If it cannot be removed it is not believed the next time either.
            let _ = fs::remove_file(&path);
            return None;
        }
        touch(&path);
        Some(if kind == Kind::Blob { bytes } else { bytes.split_off(HEADER) })
    }

    /// Notes that something was used.
    pub fn used(&self, kind: Kind, key: &Digest) {
        touch(&self.path(kind, key));
    }

    /// Remembers bytes under a key.
    ///
    /// # Errors
    ///
    /// They cannot be written.
    pub fn put(&self, kind: Kind, key: &Digest, bytes: &[u8]) -> Result<()> {
        let path = self.path(kind, key);
        make_folder_of(&path)?;
        let mut output = Output::create_here(&path)?;
        let header = header(key, bytes);
        let written = if kind == Kind::Blob { Ok(()) } else { output.write_all(&header) };
        written.and_then(|()| output.write_all(bytes)).map_err(Error::io("write", &path))?;
        self.grew.store(true, Ordering::Relaxed);
        output.commit()
    }

    /// Forgets what is remembered under a key.
    pub fn forget(&self, kind: Kind, key: &Digest) {
        // What is not there is forgotten already, and what cannot be removed is told by whoever cannot write it anew.
        let _ = fs::remove_file(self.path(kind, key));
    }

    /// A blob on its way, whose digest is not known yet.
    ///
    /// # Errors
    ///
    /// It cannot be made.
    pub fn begin_blob(&self) -> Result<Output> {
        let path = self.folder.join(Kind::Blob.name()).join(UNNAMED).join("blob");
        make_folder_of(&path)?;
        Output::create_here(&path)
    }

    /// Lets a blob appear.
    ///
    /// # Errors
    ///
    /// It cannot be renamed.
    pub fn finish_blob(&self, output: Output, digest: &Digest) -> Result<()> {
        let path = self.path(Kind::Blob, digest);
        make_folder_of(&path)?;
        self.grew.store(true, Ordering::Relaxed);
        output.commit_as(&path)
    }

    /// Whether something was added since it was opened.
    pub fn grew(&self) -> bool {
        self.grew.load(Ordering::Relaxed)
    }

    /// What is in it, of each kind.
    ///
    /// # Errors
    ///
    /// It cannot be read.
    pub fn room(&self) -> Result<[(Kind, Room); 3]> {
        let mut room = Kind::ALL.map(|kind| (kind, Room::default()));
        for file in self.files()? {
            room[file.kind as usize].1.add(file.bytes);
        }
        Ok(room)
    }

    /// Removes what was used longest ago until no more than so many bytes are left, and what dead processes left.
    ///
    /// # Errors
    ///
    /// It cannot be read, or something cannot be removed.
    pub fn prune(&self, limit: u64) -> Result<Outcome> {
        let mut files = self.files()?;
        files.sort_by(|a, b| b.used.cmp(&a.used).then_with(|| a.path.cmp(&b.path)));
        let mut outcome = Outcome::default();
        let mut total = 0_u64;
        for file in files {
            let with = total.saturating_add(file.bytes);
            let fits = with <= limit;
            // One that is too big alone leaves room for all others.
            total = if fits { with } else { total };
            self.keep_or_remove(fits, &file, &mut outcome)?;
        }
        Ok(outcome)
    }

    /// Reads all of it and removes what is not whole.
    ///
    /// # Errors
    ///
    /// It cannot be read, or something cannot be removed.
    pub fn verify(&self) -> Result<Outcome> {
        let mut outcome = Outcome::default();
        for file in self.files()? {
            let mut bytes = Vec::new();
            let is_good = match open(&file.path).and_then(|mut open| open.read_to_end(&mut bytes)) {
                Err(e) if e.kind() == io::ErrorKind::NotFound => continue,
                // What cannot be read is as good as damaged.
                read => read.is_ok() && key_of(&file.path).is_some_and(|key| is_whole(file.kind, &key, &bytes)),
            };
            self.keep_or_remove(is_good, &file, &mut outcome)?;
        }
        Ok(outcome)
    }

    fn keep_or_remove(&self, keep: bool, file: &Remembered, outcome: &mut Outcome) -> Result<()> {
        if keep {
            outcome.kept.add(file.bytes);
            return Ok(());
        }
        match fs::remove_file(&file.path) {
            Ok(()) => outcome.removed.add(file.bytes),
            // Another process was first.
            Err(e) if e.kind() == io::ErrorKind::NotFound => {}
            Err(e) => return Err(Error::io("remove", &file.path)(e)),
        }
        Ok(())
    }

    /// All files that are ours, in no order; folders that are gone or were never made hold none. No link is followed.
    fn files(&self) -> Result<Vec<Remembered>> {
        let mut files = Vec::new();
        for kind in Kind::ALL {
            let folder = self.folder.join(kind.name());
            if !folder.symlink_metadata().is_ok_and(|metadata| metadata.is_dir()) {
                continue;
            }
            for folder in entries(&folder)? {
                if folder.file_type().is_ok_and(|kind| kind.is_dir()) {
                    crate::sweep(&folder.path());
                    files.extend(entries(&folder.path())?.iter().filter_map(|entry| Remembered::of(kind, entry)));
                }
            }
        }
        Ok(files)
    }

    /// Forgets all of a kind of which this is so.
    ///
    /// # Errors
    ///
    /// It cannot be read.
    pub fn forget_if(&self, kind: Kind, is_so: impl Fn(&[u8]) -> bool) -> Result<()> {
        for file in self.files()?.iter().filter(|file| file.kind == kind) {
            let Some(key) = key_of(&file.path) else { continue };
            if self.get(kind, &key).is_some_and(|bytes| is_so(&bytes)) {
                self.forget(kind, &key);
            }
        }
        Ok(())
    }
}

impl Remembered {
    /// A file that is called after a key; none if it is something else.
    fn of(kind: Kind, entry: &fs::DirEntry) -> Option<Remembered> {
        let (path, metadata) = (entry.path(), entry.metadata().ok()?);
        key_of(&path).filter(|_| metadata.is_file())?;
        Some(Remembered { kind, path, bytes: metadata.len(), used: (metadata.mtime(), metadata.mtime_nsec()) })
    }
}

/// Whether a name in the cache's folder may be one of ours.
fn is_ours(name: &OsStr) -> bool {
    name == TAG
        || Kind::ALL.iter().any(|kind| name == kind.name())
        || name.as_encoded_bytes().starts_with(b".layerstone-tmp-")
}

/// What is in a folder; nothing if it is none.
fn entries(folder: &Path) -> Result<Vec<fs::DirEntry>> {
    match fs::read_dir(folder) {
        Ok(entries) => entries.collect::<io::Result<_>>().map_err(Error::io("read", folder)),
        Err(e) if matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => Ok(Vec::new()),
        Err(e) => Err(Error::io("read", folder)(e)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
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
        assert_eq!(cache.get(Kind::Layer, &key), None);
        cache.put(Kind::Layer, &key, b"value").unwrap();
        assert_eq!(cache.get(Kind::Layer, &key).unwrap(), b"value");
        assert_eq!(cache.get(Kind::Index, &key), None);
        cache.put(Kind::Layer, &key, b"").unwrap();
        assert_eq!(cache.get(Kind::Layer, &key).unwrap(), b"");
        let blob = Digest::of(b"blob");
        cache.put(Kind::Blob, &blob, b"blob").unwrap();
        assert_eq!(cache.get(Kind::Blob, &blob).unwrap(), b"blob");
        cache.forget(Kind::Layer, &key);
        assert_eq!(cache.get(Kind::Layer, &key), None);
        assert!(Cache::open(cache.folder()).is_ok());
    }

    #[test]
    fn every_flipped_bit_and_every_cut_is_noticed() {
        let (_dir, cache) = cache();
        let key = Digest::of(b"key");
        let path = cache.path(Kind::Index, &key);
        cache.put(Kind::Index, &key, b"value").unwrap();
        let bytes = fs::read(&path).unwrap();
        let mut bad: Vec<Vec<u8>> = (0..bytes.len()).map(|end| bytes[..end].to_vec()).collect();
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            bad.push(flipped);
        }
        for bytes in bad {
            fs::write(&path, &bytes).unwrap();
            assert_eq!(cache.get(Kind::Index, &key), None, "{bytes:?}");
            assert!(!path.exists());
        }
    }

    #[test]
    fn verify_removes_what_is_not_whole() {
        let (_dir, cache) = cache();
        let keys = [b"a", b"b", b"c"].map(|key| Digest::of(key));
        cache.put(Kind::Layer, &keys[0], b"a").unwrap();
        cache.put(Kind::Index, &keys[1], b"b").unwrap();
        cache.put(Kind::Blob, &keys[2], b"c").unwrap();
        assert_eq!(cache.verify().unwrap().removed, Room::default());
        for (kind, key) in Kind::ALL.iter().zip(&keys) {
            fs::write(cache.path(*kind, key), "damaged").unwrap();
        }
        let outcome = cache.verify().unwrap();
        assert_eq!((outcome.kept.files, outcome.removed), (0, Room { files: 3, bytes: 21 }));
        assert_eq!(cache.room().unwrap().map(|(_, room)| room.files), [0; 3]);
    }

    /// A clock that went backwards makes the order a bad one, and nothing else.
    #[test]
    fn what_was_used_longest_ago_goes_first() {
        let (_dir, cache) = cache();
        let keys: Vec<Digest> = (0..5_u8).map(|i| Digest::of(&[i])).collect();
        for (key, used) in keys.iter().zip([500, 100, 400, 1 << 40, 300]) {
            cache.put(Kind::Layer, key, &[7; 52]).unwrap();
            set_used(&cache.path(Kind::Layer, key), used);
        }
        let outcome = cache.prune(350).unwrap();
        assert_eq!((outcome.kept, outcome.removed), (Room { files: 3, bytes: 300 }, Room { files: 2, bytes: 200 }));
        let left: Vec<bool> = keys.iter().map(|key| cache.path(Kind::Layer, key).exists()).collect();
        assert_eq!(left, [true, false, true, true, false]);
        cache.get(Kind::Layer, &keys[2]);
        let used = fs::metadata(cache.path(Kind::Layer, &keys[2])).unwrap().modified().unwrap();
        assert!(used > SystemTime::UNIX_EPOCH + Duration::from_secs(1000), "it was noted that it was used");
        assert_eq!(cache.prune(0).unwrap().kept, Room::default());
    }

    /// A shared folder may hold anything: links are neither followed nor written through, and what is not called after a key
    /// stays.
    #[test]
    fn what_is_not_ours_stays() {
        let (dir, cache) = cache();
        let (mine, key) = (dir.path().join("mine"), Digest::of(b"key"));
        fs::create_dir(&mine).unwrap();
        let letter = mine.join("letter");
        fs::write(&letter, "dear").unwrap();
        cache.put(Kind::Index, &key, b"value").unwrap();
        let path = cache.path(Kind::Index, &key);
        std::os::unix::fs::symlink(&mine, cache.folder().join("layers")).unwrap();
        std::os::unix::fs::symlink(&mine, cache.folder().join("indexes/zz")).unwrap();
        fs::write(path.with_file_name("notes"), "x").unwrap();
        cache.verify().unwrap();
        cache.prune(0).unwrap();
        assert!(letter.exists() && path.with_file_name("notes").exists() && !path.exists());
        std::os::unix::fs::symlink(&letter, &path).unwrap();
        assert_eq!(cache.get(Kind::Index, &key), None);
        cache.put(Kind::Index, &key, b"value").unwrap();
        assert_eq!(
            (fs::read(&letter).unwrap(), cache.get(Kind::Index, &key).unwrap()),
            (b"dear".to_vec(), b"value".to_vec())
        );
    }

    #[test]
    fn a_damaged_tag_is_written_anew() {
        let (_dir, cache) = cache();
        cache.put(Kind::Layer, &Digest::of(b"key"), b"value").unwrap();
        fs::write(cache.folder().join(TAG), "").unwrap();
        let again = Cache::open(cache.folder()).unwrap();
        assert!(again.is_tagged() && again.get(Kind::Layer, &Digest::of(b"key")).is_some());
    }

    #[test]
    fn forgotten_by_what_they_say() {
        let (_dir, cache) = cache();
        for (key, value) in [(b"a", b"1"), (b"b", b"2"), (b"c", b"1")] {
            cache.put(Kind::Layer, &Digest::of(key), value).unwrap();
        }
        cache.forget_if(Kind::Layer, |bytes| bytes == b"1").unwrap();
        assert_eq!(cache.room().unwrap()[0].1.files, 1);
    }

    #[test]
    fn a_folder_of_other_files_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("letter"), "dear").unwrap();
        let error = Cache::open(dir.path()).unwrap_err().to_string();
        assert!(
            error.starts_with("not a cache: ") && error.contains("expected an empty folder or CACHEDIR.TAG"),
            "{error}"
        );
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }
}
