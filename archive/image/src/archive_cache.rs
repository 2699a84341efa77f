//! Remembers archives that were written whole: which file each is, what decided its bytes, and where in it each layer lies.
//! The next archive copies from there what stayed, and one that would be what it is stays as it is.
//!
//! What is copied is not hashed again, so what stands for its bytes must be as good as a digest. That is the file's
//! identity, looked at on the open descriptor before and after: a file that anybody wrote to, renamed or linked since is
//! another one. A record counts for the user who wrote it alone, and for archives of the file system that is written to, so that
//! neither who shares a cache nor who serves another file system says what a layer is. When in doubt, the store is read.
//!
//! See FORMAT.md of the cache.

use crate::{LayerMember, WrittenLayer};
use layerstone_layer::CompressionParams;
use layerstone_store::{Cache, CacheKind, Digest, FileIdentity, Output, decode, encode, open_regular};
use layerstone_tar::Part;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Archives at other places that are looked into for layers, those last used first. More cost time where there is nothing to
/// be found.
const MOST: usize = 16;

/// Raised whenever the wire types change, or something else than a record says begins to decide the bytes of an archive.
const VERSION: u32 = 1;

/// The target of events.
const LOG: &str = "layerstone::cache";

/// The archives that a cache remembers.
#[derive(Clone, Debug)]
pub struct ArchiveCache {
    cache: Arc<Cache>,
    is_read: bool,
}

/// An archive that was written.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Record {
    version: u32,
    path: Vec<u8>,
    identity: FileIdentity,
    /// What decided its bytes.
    fingerprint: [u8; 32],
    /// How it is compressed.
    compression: String,
    /// The diff ID of each layer, and the offset and the size of its bytes.
    layers: Vec<([u8; 32], u64, u64)>,
}

/// Earlier archives that layers are copied from.
#[derive(Debug, Default)]
pub struct KeptArchives(Vec<(Arc<File>, FileIdentity)>);

/// An archive that is about to be remembered.
pub struct NewArchive<'a> {
    /// What decided its bytes.
    pub fingerprint: Digest,
    /// How it is compressed.
    pub params: Option<CompressionParams>,
    /// Its layers.
    pub layers: &'a [WrittenLayer],
}

impl ArchiveCache {
    /// The archives of this cache; those of before are only believed if they are to be read.
    pub fn new(cache: &Arc<Cache>, is_read: bool) -> ArchiveCache {
        ArchiveCache { cache: Arc::clone(cache), is_read }
    }

    /// Whether an output would replace an archive of this fingerprint, which is there as it was written.
    pub fn has(&self, output: &Output, fingerprint: &Digest) -> bool {
        let key = key(&absolute(output.destination()));
        let Some(record) = self.record(&key) else { return false };
        let is_same = record.fingerprint == *fingerprint.as_bytes() && record.open().is_ok_and(|open| open.is_some());
        if is_same {
            self.cache.used(CacheKind::Archive, &key);
        }
        is_same
    }

    /// Finds layers in earlier archives that were compressed so: in the one that the output replaces, and in others.
    pub fn find(&self, output: &Output, layers: &mut [LayerMember], params: Option<CompressionParams>) -> KeptArchives {
        let mut kept = KeptArchives::default();
        let Ok(Some(target)) = FileIdentity::of(output.file()) else { return kept };
        let own = key(&absolute(output.destination()));
        let others = if self.is_read { self.cache.last_used(CacheKind::Archive, MOST) } else { Ok(Vec::new()) };
        let others = others.unwrap_or_default().into_iter().filter(|key| *key != own);
        for key in [own].into_iter().chain(others) {
            if layers.iter().all(|layer| layer.expected.is_none() || layer.kept.is_some()) {
                break;
            }
            let record = self.record(&key).filter(|record| record.compression == compression_name(params));
            let Some(record) = record.filter(|record| record.identity.device() == target.device()) else { continue };
            match record.open() {
                Ok(Some(file)) => {
                    if record.give(&file, layers, params) {
                        self.cache.used(CacheKind::Archive, &key);
                        kept.0.push((file, record.identity));
                    }
                }
                Ok(None) => {
                    tracing::debug!(target: LOG, "archive {}: not what it was", record.path().display());
                    self.cache.forget(CacheKind::Archive, &key);
                }
                Err(_) => self.cache.forget(CacheKind::Archive, &key),
            }
        }
        kept
    }

    /// Lets an archive appear, and remembers it; that it cannot be remembered is no error.
    ///
    /// # Errors
    ///
    /// It cannot be written.
    pub fn commit(&self, output: Output, archive: &NewArchive<'_>) -> layerstone_store::Result<()> {
        let path = absolute(output.destination());
        let file = output.file().try_clone().ok();
        let before = file.as_ref().and_then(|file| FileIdentity::of(file).ok()?);
        output.commit()?;
        // Nobody else has written to it before it had its name.
        let settled = file.and_then(|file| FileIdentity::settled(file).ok()?);
        let identity = settled.zip(before).filter(|(now, before)| now.is_renamed(before)).map(|(now, _)| now);
        let record = identity.and_then(|identity| archive.record(&path, identity));
        match record.and_then(|record| encode(&record)) {
            Some(bytes) => drop(self.cache.put(CacheKind::Archive, &key(&path), &bytes)),
            None => self.cache.forget(CacheKind::Archive, &key(&path)),
        }
        Ok(())
    }

    fn record(&self, key: &Digest) -> Option<Record> {
        let bytes = self.is_read.then(|| self.cache.get_own(CacheKind::Archive, key))??;
        decode(&bytes).filter(|record: &Record| record.version == VERSION)
    }
}

impl Record {
    fn path(&self) -> &Path {
        Path::new(OsStr::from_bytes(&self.path))
    }

    /// The archive, if it is the very file that was written.
    fn open(&self) -> io::Result<Option<Arc<File>>> {
        let file = open_regular(self.path())?;
        let is_same = FileIdentity::of(&file)? == Some(self.identity);
        Ok(is_same.then(|| Arc::new(file)))
    }

    /// Gives layers what the archive has of them; whether it has anything.
    fn give(&self, file: &Arc<File>, layers: &mut [LayerMember], params: Option<CompressionParams>) -> bool {
        let spans: BTreeMap<&[u8; 32], (u64, u64)> =
            self.layers.iter().map(|(diff_id, offset, size)| (diff_id, (*offset, *size))).collect();
        let mut gives = false;
        for layer in layers.iter_mut().filter(|layer| layer.kept.is_none()) {
            let Some((offset, size)) = layer.expected.and_then(|id| spans.get(id.as_bytes()).copied()) else {
                continue;
            };
            let is_inside = offset.checked_add(size).is_some_and(|end| end <= self.identity.size());
            if is_inside && (params.is_some() || size == layer.source.size()) {
                layer.kept = Some(Part::new(Arc::clone(file), self.path(), offset, size));
                gives = true;
            }
        }
        gives
    }
}

impl KeptArchives {
    /// Whether nothing is copied.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether they all are what they were when they were opened, and so is what was read of them.
    pub fn are_unchanged(&self) -> bool {
        self.0.iter().all(|(file, identity)| FileIdentity::of(file).is_ok_and(|now| now == Some(*identity)))
    }
}

impl NewArchive<'_> {
    fn record(&self, path: &Path, identity: FileIdentity) -> Option<Record> {
        let layer = |layer: &WrittenLayer| layer.span.map(|(offset, size)| (*layer.diff_id.as_bytes(), offset, size));
        Some(Record {
            version: VERSION,
            path: path.as_os_str().as_bytes().to_vec(),
            identity,
            fingerprint: *self.fingerprint.as_bytes(),
            compression: compression_name(self.params),
            layers: self.layers.iter().map(layer).collect::<Option<_>>()?,
        })
    }
}

/// What decides how a layer is compressed: another version of this program may do it otherwise. Nothing for not at all.
pub(crate) fn compression_name(params: Option<CompressionParams>) -> String {
    let name =
        |params: CompressionParams| format!("{} {} {}", params.name(), params.level(), env!("CARGO_PKG_VERSION"));
    params.map(name).unwrap_or_default()
}

fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

fn key(path: &Path) -> Digest {
    Digest::of(path.as_os_str().as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use layerstone_layer::Source;
    use std::fs;
    use std::io::Write;

    /// A cache, and an archive of two layers that it remembers.
    fn remembered() -> (tempfile::TempDir, ArchiveCache, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let cache = Arc::new(Cache::open(&dir.path().join("cache")).unwrap());
        let (archives, path) = (ArchiveCache::new(&cache, true), dir.path().join("x.tar"));
        let mut output = Output::create(&path).unwrap();
        output.write_all(b"headlayerpadother").unwrap();
        let layer = |bytes: &[u8], at| WrittenLayer {
            diff_id: Digest::of(bytes),
            blob: None,
            span: Some((at, bytes.len() as u64)),
        };
        let layers = [layer(b"layer", 4), layer(b"other", 12)];
        let new = NewArchive { fingerprint: Digest::of(b"all"), params: None, layers: &layers };
        archives.commit(output, &new).unwrap();
        (dir, archives, path)
    }

    fn member(bytes: &[u8], expected: &[u8]) -> LayerMember {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(bytes).unwrap();
        LayerMember::new(Source::open_blob(file, Path::new("x")).unwrap(), Some(Digest::of(expected)), "x")
    }

    /// Offsets and sizes of what is found of layers for the file at a path.
    fn found(archives: &ArchiveCache, path: &Path, params: Option<CompressionParams>) -> Vec<Option<(u64, u64)>> {
        let output = Output::create(path).unwrap();
        let mut layers = [member(b"other", b"other"), member(b"new", b"new"), member(b"longer", b"layer")];
        let kept = archives.find(&output, &mut layers, params);
        assert!(kept.are_unchanged());
        layers.iter().map(|layer| layer.kept.as_ref().map(|kept| (kept.start(), kept.size()))).collect()
    }

    #[test]
    fn what_an_archive_has_is_found() {
        let (dir, archives, path) = remembered();
        let expected = vec![Some((12, 5)), None, None];
        assert_eq!(found(&archives, &path, None), expected);
        assert_eq!(found(&archives, &dir.path().join("y.tar"), None), expected);
        assert_eq!(found(&archives, &path, Some(CompressionParams::GZIP)), [None; 3]);
        let output = Output::create(&path).unwrap();
        assert!(archives.has(&output, &Digest::of(b"all")) && !archives.has(&output, &Digest::of(b"more")));
        let unread = ArchiveCache { is_read: false, ..archives };
        assert!(!unread.has(&output, &Digest::of(b"all")) && found(&unread, &path, None) == [None; 3]);
    }

    #[test]
    fn what_changes_while_it_is_copied_is_noticed() {
        let (_dir, archives, path) = remembered();
        let (output, mut layers) = (Output::create(&path).unwrap(), [member(b"other", b"other")]);
        let kept = archives.find(&output, &mut layers, None);
        assert!(!kept.is_empty() && kept.are_unchanged());
        File::options().append(true).open(&path).unwrap().write_all(b"!").unwrap();
        assert!(!kept.are_unchanged());
    }

    #[test]
    fn a_record_of_another_file_is_forgotten() {
        let (_dir, archives, path) = remembered();
        fs::write(&path, "headlayerpadother").unwrap();
        assert_eq!(found(&archives, &path, None), [None; 3]);
        assert_eq!(archives.cache.last_used(CacheKind::Archive, 9).unwrap(), []);
    }

    /// As FORMAT.md of the cache has it.
    #[test]
    fn the_bytes_are_those_that_are_described() {
        let identity: FileIdentity = decode(&[[7_u8; 8]; 7].concat()).unwrap();
        let record = Record {
            version: VERSION,
            path: b"/x".to_vec(),
            identity,
            fingerprint: [1; 32],
            compression: "gzip 6 1".to_owned(),
            layers: vec![([2; 32], 3, 4)],
        };
        let expected = [
            &b"\x01\0\0\0\x02\0\0\0\0\0\0\0/x"[..],
            &[7; 56],
            &[1; 32],
            b"\x08\0\0\0\0\0\0\0gzip 6 1\x01\0\0\0\0\0\0\0",
            &[2; 32],
            b"\x03\0\0\0\0\0\0\0\x04\0\0\0\0\0\0\0",
        ]
        .concat();
        assert_eq!(encode(&record).unwrap(), expected);
        assert_eq!(decode::<Record>(&expected), Some(record));
    }
}
