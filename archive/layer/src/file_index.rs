//! Records what each file of a layer was, so that later differences can be named.
//!
//! Contents are told apart by XXH3 (64 bits), which is computed beside sha256 at a tenth of its cost: an index says where
//! a difference is, never that there is none.
//!
//! See FORMAT.md beside this crate for its bytes.

use crate::layout::nonzero;
use crate::{Layout, Recipe, Result, Source, store_layout};
use layerstone_store::{Store, decode, encode};
use layerstone_tar::{Kind, Placed};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::hash::Hasher;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;
use std::sync::atomic::Ordering;
use twox_hash::XxHash3_64;

/// What the files of a layer were, in the order of the tar.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileIndex {
    files: Vec<File>,
}

/// A file, as it is written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct File {
    name: Vec<u8>,
    mode: u32,
    what: What,
    /// Sum of the names and values of its extended attributes; 0 for none.
    xattrs: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum What {
    File { size: u64, sum: u64 },
    Directory,
    Symlink { target: Vec<u8> },
    Other { flag: u8, device: Option<(u32, u32)> },
}

/// A file that is not what it was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// Its name in the image.
    pub path: PathBuf,
    /// What was found and what was expected.
    pub cause: String,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path.as_os_str().as_bytes().escape_ascii(), self.cause)
    }
}

impl FileIndex {
    /// The index of a layer that was laid out [with content sums](Layout::with_content_sums), and read since; none if it was not read to
    /// its end.
    pub fn of(layout: &Layout) -> Option<FileIndex> {
        let file = |(member, sum)| file(member, sum);
        let sums = layout.sums.as_ref()?.iter().map(|sum| sum.load(Ordering::Relaxed));
        Some(FileIndex { files: layout.members.iter().zip(sums).map(file).collect::<Option<_>>()? })
    }

    /// The index of what a recipe makes of the store now; reads all of it.
    ///
    /// # Errors
    ///
    /// Something cannot be read, or changes meanwhile.
    pub fn of_store(store: &Store, recipe: &Recipe) -> Result<FileIndex> {
        let source = Source::from(store_layout(store, recipe)?.with_content_sums());
        let mut reader = source.reader()?;
        let mut buffer = vec![0; 256 << 10];
        while reader.fill(&mut buffer)? > 0 {}
        let Source::Layout(layout) = &source else { unreachable!("it was made of a layout") };
        Ok(FileIndex::of(layout).expect("it was read to its end"))
    }

    /// Its bytes; none if there are too many files.
    pub fn to_bytes(&self) -> Option<Vec<u8>> {
        encode(&self.files)
    }

    /// The index of these bytes; none if they are those of none.
    pub fn from_bytes(bytes: &[u8]) -> Option<FileIndex> {
        decode(bytes).map(|files| FileIndex { files })
    }

    /// What `now` has otherwise than this: in the order of the tar, what is gone first.
    pub fn differences(&self, now: &FileIndex) -> Vec<Difference> {
        let (old, new) = (by_name(self), by_name(now));
        let mut differences = Vec::new();
        let mut add = |name: &[u8], cause: String| {
            differences.push(Difference { path: OsString::from_vec(name.to_vec()).into(), cause });
        };
        for file in self.files.iter().filter(|file| !new.contains_key(&*file.name)) {
            add(&file.name, format!("found nothing, expected {}", file.kind()));
        }
        for file in &now.files {
            match old.get(&*file.name) {
                None => add(&file.name, format!("found {}, expected nothing", file.kind())),
                Some(old) => file.causes(old).into_iter().for_each(|cause| add(&file.name, cause)),
            }
        }
        differences
    }
}

fn by_name(index: &FileIndex) -> BTreeMap<&[u8], &File> {
    index.files.iter().map(|file| (&*file.name, file)).collect()
}

impl File {
    /// What kind of file it is.
    fn kind(&self) -> &'static str {
        match self.what {
            What::File { .. } => "a file",
            What::Directory => "a directory",
            What::Symlink { .. } => "a link",
            What::Other { flag: b'6', .. } => "a pipe",
            What::Other { .. } => "a device",
        }
    }

    /// What of it is not what it was.
    fn causes(&self, old: &File) -> Vec<String> {
        let mut causes = Vec::new();
        match (&self.what, &old.what) {
            (What::File { size, .. }, What::File { size: old, .. }) if size != old => {
                causes.push(format!("found {size} bytes, expected {old}"));
            }
            (What::File { sum, .. }, What::File { sum: old, .. }) if sum != old => {
                causes.push("found other contents of the same size".to_owned());
            }
            (What::Symlink { target }, What::Symlink { target: old }) if target != old => {
                causes.push(format!("found a link to {}, expected to {}", target.escape_ascii(), old.escape_ascii()));
            }
            (now, old_what) if now != old_what && self.kind() != old.kind() => {
                causes.push(format!("found {}, expected {}", self.kind(), old.kind()));
            }
            (now, old) if now != old => causes.push("found another device".to_owned()),
            _ => {}
        }
        if self.mode != old.mode {
            causes.push(format!("found mode {:04o}, expected {:04o}", self.mode, old.mode));
        }
        if self.xattrs != old.xattrs {
            causes.push("found other extended attributes".to_owned());
        }
        causes
    }
}

/// A member as it is written; none if its contents were not read.
fn file(member: &Placed, sum: u64) -> Option<File> {
    let entry = &member.entry;
    let what = match &entry.kind {
        Kind::File { size: 0 } => What::File { size: 0, sum: 0 },
        Kind::File { .. } if sum == 0 => return None,
        Kind::File { size } => What::File { size: *size, sum },
        Kind::Directory => What::Directory,
        Kind::Symlink { target } => What::Symlink { target: target.to_vec() },
        other => What::Other { flag: other.flag(), device: other.device() },
    };
    let xattrs = entry.xattrs.as_ref().map_or(0, |xattrs| {
        let mut hasher = XxHash3_64::new();
        for bytes in xattrs.iter().flat_map(|(name, value)| [name, value]) {
            hasher.write_u64(bytes.len() as u64);
            hasher.write(bytes);
        }
        nonzero(hasher.finish())
    });
    Some(File { name: entry.name.to_vec(), mode: entry.mode, what, xattrs })
}

#[cfg(test)]
mod tests {
    use super::*;
    use layerstone_store::StorePath;
    use layerstone_tar::Owner;
    use std::fs;
    use std::os::unix::fs::{PermissionsExt, symlink};
    use std::path::Path;

    const PATH: &str = "/nix/store/516z65g5d2g7yfc9yv6n2g1q21jqv0m1-x";

    /// A store of one path, and its recipe.
    fn sample() -> (tempfile::TempDir, Store, Recipe) {
        let root = tempfile::tempdir().unwrap();
        let real = root.path().join(&PATH[1..]);
        fs::create_dir_all(real.join("bin")).unwrap();
        for (name, contents) in [("bin/a", "aaaa"), ("bin/b", "bb"), ("empty", ""), ("gone", "x")] {
            fs::write(real.join(name), contents).unwrap();
            fs::set_permissions(real.join(name), fs::Permissions::from_mode(0o444)).unwrap();
        }
        symlink("bin/a", real.join("link")).unwrap();
        let store = Store::new("/nix/store", root.path()).unwrap();
        let paths = vec![StorePath::parse(PATH).unwrap()];
        let recipe = Recipe { store: store.dir().to_owned(), paths, mtime: 1, owner: Owner::root(), xattrs: false };
        (root, store, recipe)
    }

    #[test]
    fn what_differs_is_told_by_name() {
        let (root, store, recipe) = sample();
        let before = FileIndex::of_store(&store, &recipe).unwrap();
        assert_eq!(before.differences(&FileIndex::of_store(&store, &recipe).unwrap()), []);
        let real = root.path().join(&PATH[1..]);
        let rewrite = |name: &str, contents: &str| {
            fs::remove_file(real.join(name)).unwrap();
            fs::write(real.join(name), contents).unwrap();
            fs::set_permissions(real.join(name), fs::Permissions::from_mode(0o444)).unwrap();
        };
        rewrite("bin/a", "aaba");
        rewrite("bin/b", "b");
        fs::write(real.join("new"), "").unwrap();
        fs::set_permissions(real.join("empty"), fs::Permissions::from_mode(0o555)).unwrap();
        for name in ["gone", "link"] {
            fs::remove_file(real.join(name)).unwrap();
        }
        symlink("bin/b", real.join("link")).unwrap();
        let differences = before.differences(&FileIndex::of_store(&store, &recipe).unwrap());
        let found: Vec<String> = differences.iter().map(ToString::to_string).collect();
        let expected = [
            "/gone: found nothing, expected a file",
            "/bin/a: found other contents of the same size",
            "/bin/b: found 1 bytes, expected 2",
            "/empty: found mode 0555, expected 0444",
            "/link: found a link to bin/b, expected to bin/a",
            "/new: found a file, expected nothing",
        ];
        assert_eq!(found, expected.map(|line| format!("{PATH}{line}")));
        for name in ["bin/a", "bin/b"] {
            fs::remove_file(real.join(name)).unwrap();
        }
        fs::create_dir(real.join("bin/a")).unwrap();
        let differences = before.differences(&FileIndex::of_store(&store, &recipe).unwrap());
        assert!(differences.iter().any(|it| it.cause == "found a directory, expected a file"), "{differences:?}");
    }

    #[test]
    fn write_read_same() {
        let (_root, store, recipe) = sample();
        let index = FileIndex::of_store(&store, &recipe).unwrap();
        let bytes = index.to_bytes().unwrap();
        assert_eq!(FileIndex::from_bytes(&bytes), Some(index));
        for end in 0..bytes.len() {
            assert_eq!(FileIndex::from_bytes(&bytes[..end]), None, "{end}");
        }
    }

    /// The bytes that FORMAT.md describes.
    #[test]
    fn golden_bytes() {
        let entry = layerstone_tar::Entry::file(b"/a", 0o444, 3);
        let link = layerstone_tar::Entry::symlink(b"/b", b"a");
        let members = [(Placed::bare(entry), 7), (Placed::bare(link), 0)];
        let files = members.iter().map(|(member, sum)| file(member, *sum).unwrap()).collect();
        let expected: &[u8] = b"\x02\0\0\0\0\0\0\0\
            \x02\0\0\0\0\0\0\0/a\x24\x01\0\0\0\0\0\0\x03\0\0\0\0\0\0\0\x07\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\
            \x02\0\0\0\0\0\0\0/b\xff\x01\0\0\x02\0\0\0\x01\0\0\0\0\0\0\0a\0\0\0\0\0\0\0\0";
        assert_eq!(FileIndex { files }.to_bytes().unwrap(), expected);
    }

    #[test]
    fn a_layer_that_was_not_read_has_no_index() {
        let (_root, store, recipe) = sample();
        let source = Source::from(store_layout(&store, &recipe).unwrap().with_content_sums());
        let Source::Layout(layout) = &source else { panic!("no layout") };
        assert_eq!(FileIndex::of(layout), None);
        source.reader().unwrap().fill(&mut [0; 3000]).unwrap();
        assert_eq!(FileIndex::of(layout), None);
        crate::write_layer(&source, &mut std::io::sink(), Path::new("x"), &crate::Progress::default()).unwrap();
        assert!(FileIndex::of(layout).is_some());
        assert_eq!(FileIndex::of(&store_layout(&store, &recipe).unwrap()), None);
    }
}
