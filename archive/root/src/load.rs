//! Loads a contents item as the tree that it becomes in a layer.
//!
//! With [`RootMode::Links`] regular files become links to themselves. Otherwise they are copied, and directories keep their
//! modes; with [`RootMode::Copy`] a link that leads to a directory of the store becomes a directory with all its contents,
//! as `rsync --copy-dirlinks` has it (rsync(1)). A link that leads out of the store, to the store itself or to nothing
//! stays a link.
//!
//! No name is skipped. (lndir leaves out version control directories and names that end in `~`.)

use crate::item::{Lost, describe, directory_of, follow};
use crate::tree::{DIRECTORY_MODE, Entry, File, FileTree, Node, is_root};
use crate::{Error, Result};
use layerstone_spec::RootMode;
use layerstone_store::{Store, StorePath};
use std::ffi::OsString;
use std::fs::{FileType, Metadata};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::vec::IntoIter;

/// Bytes of a path in a layer: Linux takes no longer one (PATH_MAX in limits.h). Directories that links lead to can be
/// nested deeper than any directory of the store.
const MAX_PATH: usize = 4096;

/// Reads a contents item.
pub fn load(store: &Store, item: &StorePath, mode: RootMode) -> Result<FileTree> {
    let mut loading = Loading { store, mode, item, tree: FileTree::default(), open: Vec::new() };
    loading.enter(directory_of(store, item)?, PathBuf::new(), None)?;
    while let Some(directory) = loading.open.last_mut() {
        match directory.children.next() {
            Some((name, kind)) => loading.visit(&name, kind)?,
            None => drop(loading.open.pop()),
        }
    }
    Ok(loading.tree)
}

/// An item that is being read. The source of an entry is its path as the item names it.
struct Loading<'a> {
    store: &'a Store,
    mode: RootMode,
    item: &'a StorePath,
    tree: FileTree,
    /// The directories that are being read, each in the one before it.
    open: Vec<OpenDirectory>,
}

/// A directory that is being read.
struct OpenDirectory {
    /// Its logical path, free of links.
    at: PathBuf,
    /// Its path in the tree.
    path: PathBuf,
    /// The source of the link that was followed last to get there.
    link: Option<PathBuf>,
    /// The children that are left.
    children: IntoIter<(OsString, FileType)>,
}

impl Loading<'_> {
    /// Adds a directory, and begins to read it.
    fn enter(&mut self, at: PathBuf, path: PathBuf, link: Option<PathBuf>) -> Result<()> {
        let source = self.source(&path);
        self.check(&at, &source, link.as_deref())?;
        let real = self.store.locate(&at);
        let mode = match self.mode {
            RootMode::Links => DIRECTORY_MODE,
            _ => mode_of(&real.metadata().map_err(Error::io("read", &real))?),
        };
        let entry = Entry::new(&source, Node::Directory { mode, is_on_purpose: false });
        self.tree.0.insert(path.clone(), entry);
        self.open.push(OpenDirectory { children: children(&real)?.into_iter(), at, path, link });
        Ok(())
    }

    /// Refuses a directory that would be read without end.
    fn check(&self, at: &Path, source: &Path, link: Option<&Path>) -> Result<()> {
        let Some(link) = link.map(Path::to_owned) else { return Ok(()) };
        if self.open.iter().any(|open| open.at == at) {
            return Err(Error::Circle { link, directory: at.to_owned() });
        }
        if source.as_os_str().len() > MAX_PATH {
            return Err(Error::TooDeep { link });
        }
        Ok(())
    }

    /// Adds a child of the directory that was opened last.
    fn visit(&mut self, name: &OsString, kind: FileType) -> Result<()> {
        let Some(OpenDirectory { at, path, link, .. }) = self.open.last() else { return Ok(()) };
        let (path, at_child) = (path.join(name), at.join(name));
        let (source, real) = (self.source(&path), self.store.locate(&at_child));
        let node = if kind.is_dir() {
            let link = link.clone();
            return self.enter(at_child, path, link);
        } else if kind.is_symlink() {
            let text = real.read_link().map_err(Error::io("read", &real))?;
            if self.mode == RootMode::Copy
                && let Some(target) = self.directory_behind(&text, at)?
            {
                return self.enter(target, path, Some(source));
            }
            Node::Link(text.into())
        } else if !kind.is_file() {
            return Err(Error::Special { path: source, found: describe(kind) });
        } else if self.mode == RootMode::Links {
            Node::Pointer
        } else {
            let metadata = real.symlink_metadata().map_err(Error::io("read", &real))?;
            Node::File(File::new(&real, mode_of(&metadata), &metadata))
        };
        self.tree.0.insert(path, Entry::new(&source, node));
        Ok(())
    }

    /// The directory of the store that a link in `directory` leads to, if it leads to one.
    fn directory_behind(&self, text: &Path, directory: &Path) -> Result<Option<PathBuf>> {
        let at = match follow(self.store, directory, text) {
            Ok(at) => at,
            Err(Lost::Outside | Lost::Loop | Lost::Nowhere(..)) => return Ok(None),
            Err(Lost::Unread(path, source)) => return Err(Error::io("read", &path)(source)),
        };
        let real = self.store.locate(&at);
        let metadata = real.symlink_metadata().map_err(Error::io("read", &real))?;
        Ok(metadata.is_dir().then_some(at))
    }

    fn source(&self, path: &Path) -> PathBuf {
        let item = PathBuf::from(self.item.as_str());
        if is_root(path) { item } else { item.join(path) }
    }
}

/// The names in a directory, sorted, so that of several errors it is always the same one.
fn children(directory: &Path) -> Result<Vec<(OsString, FileType)>> {
    let child = |entry: std::io::Result<std::fs::DirEntry>| entry.and_then(|it| Ok((it.file_name(), it.file_type()?)));
    let children = directory.read_dir().and_then(|entries| entries.map(child).collect::<Result<Vec<_>, _>>());
    let mut children = children.map_err(Error::io("read", directory))?;
    children.sort_by(|(a, _), (b, _)| a.cmp(b));
    Ok(children)
}

fn mode_of(metadata: &Metadata) -> u32 {
    metadata.permissions().mode() & 0o7777
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::store;
    use crate::tree::lines;

    /// Lines of a store; how the item `a` is read.
    #[track_caller]
    fn check(mode: RootMode, files: &[&str], expected: Result<&[&str], &str>) {
        let (dir, store) = store(files);
        let tree = load(&store, &store.entry("a").unwrap(), mode);
        let real = format!("{}/nix/store", dir.path().display());
        let found = tree.map(|tree| lines(&tree).iter().map(|line| line.replace(&real, "REAL")).collect::<Vec<_>>());
        let found = found.map_err(|e| e.to_string());
        assert_eq!(
            found.as_deref().map_err(String::as_str),
            expected
                .map(|lines| lines.iter().map(|&line| line.to_owned()).collect::<Vec<_>>())
                .as_deref()
                .map_err(|e| *e)
        );
    }

    const LINKS: [&str; 10] = [
        "a/d/f",
        "a/d/up -> ../e",
        "a/e/g",
        "a/1 -> d",
        "a/2 -> /nix/store/b/deep",
        "a/3 -> /nix/store/b/f",
        "a/4 -> /nix/store/b/way",
        "b/deep/l -> ../deeper",
        "b/deeper/f",
        "b/f",
    ];

    #[test]
    fn links_to_directories_become_directories() {
        let files = [&LINKS[..], &["b/way -> ../c", "c/f"]].concat();
        let expected = [
            "1/",
            "1/f = REAL/a/d/f",
            "1/up/",
            "1/up/g = REAL/a/e/g",
            "2/",
            "2/l/",
            "2/l/f = REAL/b/deeper/f",
            "3 -> /nix/store/b/f",
            "4/",
            "4/f = REAL/c/f",
            "d/",
            "d/f = REAL/a/d/f",
            "d/up/",
            "d/up/g = REAL/a/e/g",
            "e/",
            "e/g = REAL/a/e/g",
        ];
        check(RootMode::Copy, &files, Ok(&expected));
    }

    #[test]
    fn or_stay_links() {
        let text = ["1 -> d", "2 -> /nix/store/b/deep", "3 -> /nix/store/b/f", "4 -> /nix/store/b/way", "d/"];
        let copied = [&text[..], &["d/f = REAL/a/d/f", "d/up -> ../e", "e/", "e/g = REAL/a/e/g"]].concat();
        check(RootMode::CopyKeepingDirlinks, &LINKS, Ok(&copied));
        let linked =
            [&text[..], &["d/f -> /nix/store/a/d/f", "d/up -> ../e", "e/", "e/g -> /nix/store/a/e/g"]].concat();
        check(RootMode::Links, &LINKS, Ok(&linked));
    }

    #[test]
    fn links_to_no_directory_of_the_store_stay_links() {
        let long = format!("long -> {}", "x".repeat(300));
        let links = [
            "all -> /nix/store",
            "file -> f/../d",
            &long,
            "loop -> loop",
            "nowhere -> x/y",
            "out -> /etc",
            "up -> ../../..",
        ];
        let files: Vec<String> =
            links.iter().map(|line| format!("a/{line}")).chain(["a/f".into(), "a/d/".into()]).collect();
        let mut expected = [&links[..], &["d/", "f = REAL/a/f"]].concat();
        expected.sort_unstable();
        check(RootMode::Copy, &files.iter().map(String::as_str).collect::<Vec<_>>(), Ok(&expected));
    }

    #[test]
    fn circles() {
        let error = "cannot copy: /nix/store/a/d/l: a link to /nix/store/a/d, a directory that it lies in";
        check(RootMode::Copy, &["a/d/l -> ."], Err(error));
        let error = "cannot copy: /nix/store/a/d/l: a link to /nix/store/a, a directory that it lies in";
        check(RootMode::Copy, &["a/d/l -> .."], Err(error));
        let error = "cannot copy: /nix/store/a/x/to-y/to-x: a link to /nix/store/a/x, a directory that it lies in";
        check(RootMode::Copy, &["a/x/to-y -> ../y", "a/y/to-x -> ../x"], Err(error));
        // The link leads to the directory around a directory that is being read.
        let error = "cannot copy: /nix/store/a/l: a link to /nix/store/b/sub, a directory that it lies in";
        check(RootMode::Copy, &["a -> /nix/store/b/sub", "b/sub/l -> .."], Err(error));
        check(RootMode::CopyKeepingDirlinks, &["a/d/l -> ."], Ok(&["d/", "d/l -> ."]));
    }

    /// Every directory leads to the next one: no circle, yet deeper than any path may be.
    #[test]
    fn links_that_lead_too_deep() {
        let name = "n".repeat(200);
        let links: Vec<String> =
            (0..30).map(|n| format!("a/{n}/{name} -> ../{}", n + 1)).chain(["a/30/".into()]).collect();
        let (_dir, store) = store(&links.iter().map(String::as_str).collect::<Vec<_>>());
        let error = load(&store, &store.entry("a").unwrap(), RootMode::Copy).unwrap_err().to_string();
        assert!(error.ends_with(": it leads to directories that are too deep"), "{error}");
    }

    #[test]
    fn modes_sizes_and_times() {
        let (dir, store) = store(&["a/d/f"]);
        let item = dir.path().join("nix/store/a");
        std::fs::write(item.join("d/f"), "hello").unwrap();
        let time = std::time::UNIX_EPOCH + std::time::Duration::new(7, 8);
        std::fs::File::open(item.join("d/f")).unwrap().set_modified(time).unwrap();
        for (name, mode) in [("d/f", 0o4555), ("d", 0o1711), ("", 0o750)] {
            std::fs::set_permissions(item.join(name), std::fs::Permissions::from_mode(mode)).unwrap();
        }
        for (mode, modes) in [(RootMode::Copy, [0o750, 0o1711]), (RootMode::Links, [0o755, 0o755])] {
            let root = load(&store, &store.entry("a").unwrap(), mode).unwrap();
            let node = |path: &str| root.get(Path::new(path)).unwrap().node.clone();
            let is_on_purpose = false;
            assert_eq!(["", "d"].map(node), modes.map(|mode| Node::Directory { mode, is_on_purpose }));
            if let Node::File(file) = node("d/f") {
                assert_eq!((file.size, file.mode, file.modified), (5, 0o4555, (7, 8)));
            }
        }
    }
}
