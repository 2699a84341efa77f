//! The layout of a layer: every member with its header fields and its place, known from metadata alone.
//!
//! Contents are not read here, so the size of a layer, and with it the place of every byte in an image, is known before
//! any content is. What a file was when it was laid out is remembered, and compared when it is read.
//!
//! Memory is about 200 bytes a member: headers are made again when they are written, not kept.

use crate::header::{BLOCK, Common, Dialect};
use crate::{Entry, Error, Kind, Owner, Recipe, Result};
use layerstone_stage::{Store, StorePath};
use rayon::prelude::*;
use std::cmp::Ordering;
use std::ffi::OsStr;
use std::fs::Metadata;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// A tar ends in two zero blocks and is padded to this size, in bytes: both Python's `RECORDSIZE` and GNU tar's default
/// blocking factor of 20.
const RECORD: u64 = 10_240;

/// The members of a layer's tar, in order, and where their contents are on this machine.
#[derive(Clone, Debug)]
pub struct Layout {
    common: Common,
    members: Vec<Member>,
    /// Bytes of a member's name that do not belong to its path below `base`: `/` or `./`.
    prefix: usize,
    base: PathBuf,
    size: u64,
}

/// A member and its file's modification time when it was laid out, in seconds and nanoseconds.
#[derive(Clone, Debug)]
pub(crate) struct Member {
    pub(crate) entry: Entry,
    pub(crate) modified: (i64, i64),
}

/// Lays out a store layer: the store directory's ancestors and itself with mode 0755, then the paths of the recipe, as
/// nixpkgs' `stream_layered_image.py` does (`archive_paths_to`).
pub fn store_layout(store: &Store, recipe: &Recipe) -> Result<Layout> {
    let owner = recipe.owner.clone();
    let common = Common { dialect: Dialect::Pax, mtime: recipe.mtime, owner };
    let walked: Result<Vec<_>> = recipe.paths.par_iter().map(|path| walk_store_path(store, path)).collect();
    let mut members: Vec<Member> = store_ancestors(&recipe.store);
    members.extend(walked?.into_iter().flatten());
    Ok(Layout::new(common, members, 1, store.root().to_owned()))
}

/// Lays out a whole folder as `tar --sort=name --hard-dereference --format=gnu -cf - .` writes it.
pub fn tree_layout(folder: &Path, mtime: i64, owner: &Owner) -> Result<Layout> {
    let mut members = Vec::new();
    walk(folder, b".", <[u8]>::cmp, &mut members)?;
    let common = Common { dialect: Dialect::Gnu, mtime, owner: owner.clone() };
    Ok(Layout::new(common, members, 2, folder.to_owned()))
}

/// Lays out entries that are nowhere on disk, as [`tree_layout`] does those that are: names begin with `./`, each folder
/// comes before its contents.
///
/// # Panics
///
/// An entry has contents: there would be nothing to read them from.
pub fn bare_layout(entries: Vec<Entry>, mtime: i64, owner: &Owner) -> Layout {
    assert!(entries.iter().all(|entry| entry.kind.size() == 0), "an entry of a bare layout has no contents");
    let members = entries.into_iter().map(|entry| Member { entry, modified: (0, 0) }).collect();
    let common = Common { dialect: Dialect::Gnu, mtime, owner: owner.clone() };
    Layout::new(common, members, 2, PathBuf::new())
}

impl Layout {
    fn new(common: Common, members: Vec<Member>, prefix: usize, base: PathBuf) -> Layout {
        let mut header = Vec::new();
        let contents: u64 = members
            .iter()
            .map(|member| {
                header.clear();
                common.append_header(&member.entry, &mut header);
                header.len() as u64 + member.entry.kind.size().next_multiple_of(BLOCK as u64)
            })
            .sum();
        let size = (contents + 2 * BLOCK as u64).next_multiple_of(RECORD);
        Layout { common, members, prefix, base, size }
    }

    /// Size of the tar in bytes.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The members in order.
    pub fn entries(&self) -> impl ExactSizeIterator<Item = &Entry> {
        self.members.iter().map(|member| &member.entry)
    }

    pub(crate) fn members(&self) -> &[Member] {
        &self.members
    }

    pub(crate) fn common(&self) -> &Common {
        &self.common
    }

    /// Where a member's file is.
    pub(crate) fn locate(&self, member: &Member) -> PathBuf {
        let below = member.entry.name.get(self.prefix..).unwrap_or_default();
        self.base.join(OsStr::from_bytes(below))
    }
}

/// `/nix`, `/nix/store`: docker wants folders before what is in them.
fn store_ancestors(store: &str) -> Vec<Member> {
    let ends = store.match_indices('/').map(|(at, _)| at).skip(1).chain([store.len()]);
    ends.map(|end| Member { entry: Entry::directory(&store.as_bytes()[..end], 0o755), modified: (0, 0) }).collect()
}

fn walk_store_path(store: &Store, path: &StorePath) -> Result<Vec<Member>> {
    let mut members = Vec::new();
    let real = store.locate(path.as_str());
    walk(&real, path.as_str().as_bytes(), code_point_order, &mut members)?;
    Ok(members)
}

/// Appends a file, and if it is a folder all that is in it, each folder before its contents, siblings in `order`.
///
/// This is the order of Python's `sorted(path.rglob("*"))`, which compares component by component, and that of GNU
/// tar's `--sort=name`.
fn walk(real: &Path, name: &[u8], order: fn(&[u8], &[u8]) -> Ordering, members: &mut Vec<Member>) -> Result<()> {
    let metadata = real.symlink_metadata().map_err(Error::read(real))?;
    walk_known(real, name, &metadata, order, members)
}

fn walk_known(
    real: &Path,
    name: &[u8],
    metadata: &Metadata,
    order: fn(&[u8], &[u8]) -> Ordering,
    members: &mut Vec<Member>,
) -> Result<()> {
    let entry =
        Entry { name: name.into(), kind: kind_of(real, metadata)?, mode: metadata.permissions().mode() & 0o7777 };
    members.push(Member { entry, modified: (metadata.mtime(), metadata.mtime_nsec()) });
    if !metadata.is_dir() {
        return Ok(());
    }
    let mut children = Vec::new();
    for child in real.read_dir().map_err(Error::read(real))? {
        let child = child.map_err(Error::read(real))?;
        // Looks the name up in the open folder, and follows no link.
        let metadata = child.metadata().map_err(Error::read(&child.path()))?;
        children.push((child.file_name().into_vec(), metadata));
    }
    children.sort_by(|(a, _), (b, _)| order(a, b));
    for (child, metadata) in children {
        let child_name = [name, b"/", &child].concat();
        walk_known(&real.join(OsStr::from_bytes(&child)), &child_name, &metadata, order, members)?;
    }
    Ok(())
}

fn kind_of(real: &Path, metadata: &Metadata) -> Result<Kind> {
    let kind = metadata.file_type();
    let (major, minor) = (rustix::fs::major(metadata.rdev()), rustix::fs::minor(metadata.rdev()));
    Ok(if kind.is_file() {
        Kind::File { size: metadata.len() }
    } else if kind.is_dir() {
        Kind::Directory
    } else if kind.is_symlink() {
        let target = real.read_link().map_err(Error::read(real))?;
        Kind::Symlink { target: target.into_os_string().into_vec().into() }
    } else if kind.is_fifo() {
        Kind::Fifo
    } else if kind.is_char_device() {
        Kind::CharDevice { major, minor }
    } else if kind.is_block_device() {
        Kind::BlockDevice { major, minor }
    } else {
        return Err(Error::Socket { path: real.to_owned() });
    })
}

/// Order of two names as Python compares them: by code point, a byte that is not UTF-8 counting as U+DC00 plus itself
/// (PEP 383). It differs from the order of bytes only where such a byte meets a character from U+E000 on.
fn code_point_order(a: &[u8], b: &[u8]) -> Ordering {
    if std::str::from_utf8(a).is_ok() && std::str::from_utf8(b).is_ok() {
        return a.cmp(b);
    }
    code_points(a).cmp(code_points(b))
}

fn code_points(name: &[u8]) -> impl Iterator<Item = u32> {
    name.utf8_chunks().flat_map(|chunk| {
        let invalid = chunk.invalid().iter().map(|&byte| 0xDC00 + u32::from(byte));
        chunk.valid().chars().map(u32::from).chain(invalid)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::symlink;
    use std::os::unix::net::UnixListener;

    const PATH: &str = "/nix/store/516z65g5d2g7yfc9yv6n2g1q21jqv0m1-x";

    fn recipe(store: &str, path: &str) -> Recipe {
        let paths = vec![StorePath::parse(path).unwrap()];
        Recipe { store: store.to_owned(), paths, mtime: 1, owner: Owner::root() }
    }

    fn names(layout: &Layout) -> Vec<String> {
        layout.entries().map(|entry| String::from_utf8_lossy(&entry.name).into_owned()).collect()
    }

    #[test]
    fn components_are_compared_not_paths() {
        let root = tempfile::tempdir().unwrap();
        let real = root.path().join(&PATH[1..]);
        fs::create_dir_all(real.join("a")).unwrap();
        for name in ["a/b", "a-b", "a.b", "A"] {
            fs::write(real.join(name), "").unwrap();
        }
        let store = Store::new("/nix/store", root.path()).unwrap();
        let layout = store_layout(&store, &recipe("/nix/store", PATH)).unwrap();
        let expected = ["", "/A", "/a", "/a/b", "/a-b", "/a.b"].map(|name| format!("{PATH}{name}"));
        assert_eq!(names(&layout)[..2], ["/nix", "/nix/store"]);
        assert_eq!(names(&layout)[2..], expected);
        assert_eq!(layout.size(), RECORD);
    }

    #[test]
    fn all_ancestors_of_the_store_come_first() {
        let names = |store| store_ancestors(store).into_iter().map(|m| m.entry.name.to_vec()).collect::<Vec<_>>();
        assert_eq!(names("/gnu/store"), [&b"/gnu"[..], b"/gnu/store"]);
        assert_eq!(names("/s"), [b"/s"]);
    }

    /// Python: sorted(["\udce9", "\ue000", "\ud7ff", "\U00010000"]) puts the byte E9 between U+D7FF and U+E000.
    #[test]
    fn bytes_that_are_not_utf8_sort_as_python_has_them() {
        let mut names = ["\u{10000}".as_bytes(), "\u{e000}".as_bytes(), b"\xe9", "\u{d7ff}".as_bytes(), b"z\xe9", b"z"];
        names.sort_by(|a, b| code_point_order(a, b));
        let expected =
            [&b"z"[..], b"z\xe9", "\u{d7ff}".as_bytes(), b"\xe9", "\u{e000}".as_bytes(), "\u{10000}".as_bytes()];
        assert_eq!(names, expected);
    }

    #[test]
    fn a_path_may_be_a_file_or_a_link_and_not_a_socket() {
        let root = tempfile::tempdir().unwrap();
        let store = Store::new("/nix/store", root.path()).unwrap();
        let real = root.path().join(&PATH[1..]);
        fs::create_dir_all(real.parent().unwrap()).unwrap();
        symlink("/absent", &real).unwrap();
        let layout = store_layout(&store, &recipe("/nix/store", PATH)).unwrap();
        assert_eq!(layout.entries().last().unwrap().kind, Kind::Symlink { target: (*b"/absent").into() });
        fs::remove_file(&real).unwrap();
        let error = store_layout(&store, &recipe("/nix/store", PATH)).unwrap_err().to_string();
        assert_eq!(error, format!("cannot read: {}: No such file or directory (os error 2)", real.display()));
        UnixListener::bind(&real).unwrap();
        let error = store_layout(&store, &recipe("/nix/store", PATH)).unwrap_err().to_string();
        assert!(error.contains("found a socket"), "{error}");
    }
}
