//! Lays out a layer: every member with its header fields and its offset, from metadata alone.
//!
//! Contents are not read here, so the size of a layer, and with it the offset of every byte in an image, is known before
//! any content is. What a file was when it was laid out is remembered, and compared when it is read.
//!
//! Memory is about 200 bytes a member: headers are made again when they are written, not kept, and a file of the store
//! is found by its member's name.

use crate::{Prefix, Recipe, Result};
use layerstone_store::{Store, StorePath};
use layerstone_tar::{BLOCK, Common, Dialect, Entry, Owner, Placed, RECORD, walk_store_path};
use rayon::prelude::*;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

/// The members of a layer's tar, in order, and where their contents are on this machine.
#[derive(Clone, Debug)]
pub struct Layout {
    pub(crate) common: Common,
    /// The existing tar that the members are appended to.
    pub(crate) prefix: Option<Prefix>,
    /// Without those of the existing tar.
    pub(crate) members: Vec<Placed>,
    /// Below this directory are the files of members that have none of their own, by name.
    pub(crate) base: PathBuf,
    /// Bytes of the tar but for the zeros that end it.
    length: u64,
    /// Whether the files of store paths that are appended keep their extended attributes.
    pub xattrs: bool,
    /// Whether the paths of its files have no links, so that any which is found there is one that replaced what was laid out.
    pub has_real_paths: bool,
    /// Sums of the members' contents as they are read, if they are to be recorded.
    pub(crate) sums: Option<Arc<[AtomicU64]>>,
}

/// Lays out a store layer: the store directory's ancestors and itself with mode 0755, then the paths of the recipe, as
/// nixpkgs' `stream_layered_image.py` does (`archive_paths_to`).
pub fn store_layout(store: &Store, recipe: &Recipe) -> Result<Layout> {
    let walk = |path: &StorePath| Ok(walk_store_path(store, path.as_str().as_bytes(), recipe.xattrs, true)?);
    let walked: Result<Vec<_>> = recipe.paths.par_iter().map(walk).collect();
    Ok(of_walked(store, recipe, walked?))
}

/// [`store_layout`] on the current thread alone: for threads that a pool's own ones may be waiting for, which would wait
/// for the pool.
pub(crate) fn store_layout_here(store: &Store, recipe: &Recipe) -> Result<Layout> {
    let walk = |path: &StorePath| Ok(walk_store_path(store, path.as_str().as_bytes(), recipe.xattrs, false)?);
    let walked: Result<Vec<_>> = recipe.paths.iter().map(walk).collect();
    Ok(of_walked(store, recipe, walked?))
}

fn of_walked(store: &Store, recipe: &Recipe, walked: Vec<Vec<Placed>>) -> Layout {
    let common = Common { dialect: Dialect::Pax, mtime: recipe.mtime, owner: recipe.owner.clone() };
    let mut layout = Layout::new(common, store.root());
    layout.extend(ancestors(&recipe.store).map(|name| Placed::bare(Entry::directory(name, 0o755))));
    layout.extend(walked.into_iter().flatten());
    layout
}

/// The store directory's ancestors and itself: `/nix`, `/nix/store`; docker wants directories before what is in them.
pub(crate) fn ancestors(store: &str) -> impl Iterator<Item = &[u8]> {
    let ends = store.match_indices('/').map(|(at, _)| at).skip(1).chain([store.len()]);
    ends.map(|end| &store.as_bytes()[..end])
}

impl Layout {
    /// Lays out entries as GNU tar writes them: `tar --no-recursion --mtime=@… -cf - ENTRY…`. Each directory comes before
    /// its contents.
    ///
    /// # Panics
    ///
    /// An entry has contents and no file: there would be nothing to read them from.
    pub fn gnu(members: Vec<Placed>, mtime: i64, owner: &Owner) -> Layout {
        Layout::in_gnu(Dialect::Gnu, members, mtime, owner)
    }

    /// The same with `--numeric-owner`: no owner has a name, whatever the entries say.
    ///
    /// # Panics
    ///
    /// As [`Layout::gnu`].
    pub fn gnu_numeric(members: Vec<Placed>, mtime: i64, owner: &Owner) -> Layout {
        Layout::in_gnu(Dialect::GnuNumeric, members, mtime, owner)
    }

    fn in_gnu(dialect: Dialect, members: Vec<Placed>, mtime: i64, owner: &Owner) -> Layout {
        assert!(members.iter().all(Placed::is_complete), "an entry with contents has a file");
        let mut layout = Layout::new(Common { dialect, mtime, owner: owner.clone() }, Path::new(""));
        layout.extend(members);
        layout
    }

    /// Lays out an existing tar, to which members are appended in GNU tar's dialect, owned by root.
    pub fn appending_to(prefix: Prefix, mtime: i64) -> Layout {
        let mut layout = Layout::gnu(Vec::new(), mtime, &Owner::root());
        layout.length = prefix.length;
        layout.prefix = Some(prefix);
        layout
    }

    fn new(common: Common, base: &Path) -> Layout {
        let (members, base) = (Vec::new(), base.to_owned());
        Layout { common, prefix: None, members, base, length: 0, xattrs: false, has_real_paths: false, sums: None }
    }

    /// Records a sum of each file's contents when it is read, for a [`FileIndex`](crate::FileIndex).
    pub fn with_content_sums(self) -> Layout {
        let sums = self.members.iter().map(|_| AtomicU64::new(0)).collect();
        Layout { sums: Some(sums), ..self }
    }

    /// Appends members; the file of one that has contents and names none is found below the base.
    pub(crate) fn extend(&mut self, members: impl IntoIterator<Item = Placed>) {
        let mut header = Vec::new();
        for member in members {
            header.clear();
            self.common.append_header(&member.entry, &mut header);
            self.length += header.len() as u64 + member.entry.kind.size().next_multiple_of(BLOCK as u64);
            self.members.push(member);
        }
    }

    /// Size of the tar in bytes.
    pub fn size(&self) -> u64 {
        (self.length + 2 * BLOCK as u64).next_multiple_of(RECORD)
    }

    /// The members in order, without those of an existing tar.
    pub fn entries(&self) -> impl ExactSizeIterator<Item = &Entry> {
        self.members.iter().map(|member| &member.entry)
    }

    /// Where a member's file is.
    pub(crate) fn locate(&self, member: &Placed) -> PathBuf {
        let below = || self.base.join(OsStr::from_bytes(below_root(&member.entry.name)));
        member.file.as_deref().map_or_else(below, Path::to_owned)
    }
}

/// A sum as it is recorded: 0 stands for none.
pub(crate) fn nonzero(sum: u64) -> u64 {
    sum.max(1)
}

/// A member's name below the root of the image, as far as our own layouts write them: without `/` or `./` in front.
pub(crate) fn below_root(name: &[u8]) -> &[u8] {
    name.strip_prefix(b"./").or(name.strip_prefix(b"/")).unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use layerstone_tar::Kind;
    use std::fs;
    use std::os::unix::fs::symlink;
    use std::os::unix::net::UnixListener;

    const PATH: &str = "/nix/store/516z65g5d2g7yfc9yv6n2g1q21jqv0m1-x";

    fn recipe(store: &str, path: &str) -> Recipe {
        let paths = vec![StorePath::parse(path).unwrap()];
        Recipe { store: store.to_owned(), paths, mtime: 1, owner: Owner::root(), xattrs: false }
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
        let names = |store| ancestors(store).map(<[u8]>::to_vec).collect::<Vec<_>>();
        assert_eq!(names("/gnu/store"), [&b"/gnu"[..], b"/gnu/store"]);
        assert_eq!(names("/s"), [b"/s"]);
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
