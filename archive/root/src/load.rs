//! Loads a contents item as the tree that it becomes in a layer.
//!
//! With [`RootMode::Links`] regular files become links to themselves. Otherwise they are copied, and folders keep their
//! modes; with [`RootMode::Copy`] a link that leads to a folder of the store becomes a folder with all that is there, as
//! `rsync --copy-dirlinks` has it (rsync(1)). A link that leads out of the store, to the store as a whole or to nothing
//! stays a link.
//!
//! No name is passed over. (lndir leaves out version control folders and names that end in `~`.)

use crate::item::{Lost, describe, folder_of, follow};
use crate::tree::{Entry, File, Folder, Node};
use crate::{Error, Result};
use layerstone_spec::RootMode;
use layerstone_store::{Store, StorePath};
use std::fs::{DirEntry, Metadata};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// Mode of every folder among links, whatever the items' folders have (the store's are 0555).
pub const FOLDER_MODE: u32 = 0o755;

/// Bytes of a path in a layer: Linux takes no longer one (PATH_MAX in limits.h). Folders that links lead to can be nested
/// deeper than any folder of the store.
const MAX_PATH: usize = 4096;

/// Reads a contents item.
pub fn load(store: &Store, item: &StorePath, mode: RootMode) -> Result<Folder> {
    let mut reading = Loading { store, mode, way: Vec::new(), link: None };
    reading.folder(&folder_of(store, item)?, Path::new(item.as_str()))
}

/// An item that is being read. Folders have two logical paths: where they are, free of links, and their source, as the
/// item names them.
struct Loading<'a> {
    store: &'a Store,
    mode: RootMode,
    /// Where the folders are that are being read, each in the one before it.
    way: Vec<PathBuf>,
    /// The source of the link that was followed last.
    link: Option<PathBuf>,
}

impl Loading<'_> {
    fn folder(&mut self, at: &Path, source: &Path) -> Result<Folder> {
        self.check(at, source)?;
        let real = self.store.locate(at);
        let mode = match self.mode {
            RootMode::Links => FOLDER_MODE,
            RootMode::Copy | RootMode::CopyKeepingDirlinks => {
                mode_of(&real.metadata().map_err(Error::io("read", &real))?)
            }
        };
        let mut folder = Folder::new(mode);
        self.way.push(at.to_owned());
        for child in children(&real)? {
            let name = child.file_name();
            let source = source.join(&name);
            let node = self.node(&child, at, &source)?;
            folder.entries.insert(name, Entry { source: source.into(), node });
        }
        self.way.pop();
        Ok(folder)
    }

    /// Refuses a folder that would be read without end.
    fn check(&self, at: &Path, source: &Path) -> Result<()> {
        let Some(link) = &self.link else { return Ok(()) };
        if self.way.iter().any(|folder| folder == at) {
            return Err(Error::Circle { link: link.clone(), folder: at.to_owned() });
        }
        if source.as_os_str().len() > MAX_PATH {
            return Err(Error::TooDeep { link: link.clone() });
        }
        Ok(())
    }

    fn node(&mut self, child: &DirEntry, folder: &Path, source: &Path) -> Result<Node> {
        let real = child.path();
        let kind = child.file_type().map_err(Error::io("read", &real))?;
        if kind.is_dir() {
            return Ok(Node::Folder(self.folder(&folder.join(child.file_name()), source)?));
        }
        if kind.is_symlink() {
            let text = real.read_link().map_err(Error::io("read", &real))?;
            return self.link(text, folder, source);
        }
        if !kind.is_file() {
            return Err(Error::Special { path: source.to_owned(), found: describe(kind) });
        }
        if self.mode == RootMode::Links {
            return Ok(Node::Pointer);
        }
        // Looks the name up in the open folder, and follows no link.
        let metadata = child.metadata().map_err(Error::io("read", &real))?;
        let modified = (metadata.mtime(), metadata.mtime_nsec());
        Ok(Node::File(File { real: real.into(), size: metadata.len(), mode: mode_of(&metadata), modified }))
    }

    fn link(&mut self, text: PathBuf, folder: &Path, source: &Path) -> Result<Node> {
        if self.mode == RootMode::Copy
            && let Some(target) = self.folder_behind(&text, folder)?
        {
            let before = self.link.replace(source.to_owned());
            let folder = self.folder(&target, source)?;
            self.link = before;
            return Ok(Node::Folder(folder));
        }
        Ok(Node::Link(text.into()))
    }

    /// Where the folder of the store is that a link in `folder` leads to; none if it leads to none.
    fn folder_behind(&self, text: &Path, folder: &Path) -> Result<Option<PathBuf>> {
        let at = match follow(self.store, folder, text) {
            Ok(at) => at,
            Err(Lost::Outside | Lost::Loop | Lost::Nowhere(..)) => return Ok(None),
            Err(Lost::Unread(path, source)) => return Err(Error::io("read", &path)(source)),
        };
        let real = self.store.locate(&at);
        let metadata = real.symlink_metadata().map_err(Error::io("read", &real))?;
        Ok(metadata.is_dir().then_some(at))
    }
}

/// What is in a folder, in the order of names, so that of several errors it is always the same one.
fn children(folder: &Path) -> Result<Vec<DirEntry>> {
    let entries = folder.read_dir().map_err(Error::io("read", folder))?;
    let mut children = entries.collect::<Result<Vec<_>, _>>().map_err(Error::io("read", folder))?;
    children.sort_by_key(DirEntry::file_name);
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
        let folder = load(&store, &store.entry("a").unwrap(), mode);
        let real = format!("{}/nix/store", dir.path().display());
        let found =
            folder.map(|folder| lines(&folder).iter().map(|line| line.replace(&real, "REAL")).collect::<Vec<_>>());
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
    fn links_to_folders_become_folders() {
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
    fn links_to_no_folder_of_the_store_stay_links() {
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
        let error = "cannot copy: /nix/store/a/d/l: a link to /nix/store/a/d, a folder that it lies in";
        check(RootMode::Copy, &["a/d/l -> ."], Err(error));
        let error = "cannot copy: /nix/store/a/d/l: a link to /nix/store/a, a folder that it lies in";
        check(RootMode::Copy, &["a/d/l -> .."], Err(error));
        let error = "cannot copy: /nix/store/a/x/to-y/to-x: a link to /nix/store/a/x, a folder that it lies in";
        check(RootMode::Copy, &["a/x/to-y -> ../y", "a/y/to-x -> ../x"], Err(error));
        // The link leads to the folder around a folder that is being read.
        let error = "cannot copy: /nix/store/a/l: a link to /nix/store/b/sub, a folder that it lies in";
        check(RootMode::Copy, &["a -> /nix/store/b/sub", "b/sub/l -> .."], Err(error));
        check(RootMode::CopyKeepingDirlinks, &["a/d/l -> ."], Ok(&["d/", "d/l -> ."]));
    }

    /// Every folder leads to the next one: no circle, yet deeper than any path may be.
    #[test]
    fn links_that_lead_too_deep() {
        let name = "n".repeat(200);
        let links: Vec<String> =
            (0..30).map(|n| format!("a/{n}/{name} -> ../{}", n + 1)).chain(["a/30/".into()]).collect();
        let (_dir, store) = store(&links.iter().map(String::as_str).collect::<Vec<_>>());
        let error = load(&store, &store.entry("a").unwrap(), RootMode::Copy).unwrap_err().to_string();
        assert!(error.ends_with(": it leads to folders that are too deep"), "{error}");
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
            let Node::Folder(folder) = &root.entries["d".as_ref() as &std::ffi::OsStr].node else { panic!() };
            assert_eq!([root.mode, folder.mode], modes);
            if let Node::File(file) = &folder.entries["f".as_ref() as &std::ffi::OsStr].node {
                assert_eq!((file.size, file.mode, file.modified), (5, 0o4555, (7, 8)));
            }
        }
    }
}
