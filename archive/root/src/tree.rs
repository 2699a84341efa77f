//! Holds the files of a layer in memory: writes them to disk, and lists them as members of a tar.
//!
//! A tree is a map by path, not a nest of directories, so that nothing recurses and no depth is too much. Paths sort by
//! component: a directory comes before its contents, and siblings are in the order of their bytes.

use crate::error::Side;
use crate::{Conflict, Error, Result};
use layerstone_store::{Directory, Error as StageError, Found, Scratch, check_written};
use layerstone_tar::{Entry as Member, Owner, Placed};
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::{self, Metadata, Permissions};
use std::io::{self, ErrorKind};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Mode of a directory that nothing gives another one. (The store's are 0555.)
pub const DIRECTORY_MODE: u32 = 0o755;
/// What a new tree is called until it is complete.
const TREE: &str = "tree";

/// Files by their paths below a root, that of the root being empty. What is above an entry is a directory of the tree.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FileTree(pub BTreeMap<PathBuf, Entry>);

/// Opens a file of a tree by its path on this machine: by `open_real_file` where others may write to what the tree was made
/// of, by `open_regular` where they may not, as in the store.
pub type OpenFile = fn(&Path) -> io::Result<fs::File>;

/// An entry of a tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The logical path that it comes from, as the contents item names it; of one of the items for a directory.
    pub source: Box<Path>,
    /// Its kind.
    pub node: Node,
    /// User and group that own it; none for the owner of the layer.
    pub owner: Option<(u32, u32)>,
}

/// The kind of an entry, with what only this kind has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Node {
    /// A directory.
    Directory {
        /// Permission bits.
        mode: u32,
        /// Whether they were asked for, and so replace those of a base's directory.
        is_on_purpose: bool,
    },
    /// A symbolic link and its text.
    Link(Box<Path>),
    /// A regular file of the store, to which the layer has a link.
    Pointer,
    /// A regular file that is copied.
    File(File),
}

/// A regular file as it was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct File {
    /// Its path on this machine.
    pub real: Box<Path>,
    /// Size in bytes.
    pub size: u64,
    /// Permission bits.
    pub mode: u32,
    /// Modification time, in seconds and nanoseconds.
    pub modified: (i64, i64),
}

impl File {
    /// A file with its metadata, but for the permission bits.
    pub fn new(real: &Path, mode: u32, metadata: &Metadata) -> File {
        let modified = (metadata.mtime(), metadata.mtime_nsec());
        File { real: real.into(), size: metadata.len(), mode, modified }
    }
}

impl Entry {
    /// An entry that comes from this path.
    pub fn new(source: &Path, node: Node) -> Entry {
        Entry { source: source.into(), node, owner: None }
    }

    /// A directory of the usual mode.
    pub fn directory(source: &Path) -> Entry {
        Entry::new(source, Node::Directory { mode: DIRECTORY_MODE, is_on_purpose: false })
    }

    /// Whether it is a directory.
    pub fn is_directory(&self) -> bool {
        matches!(self.node, Node::Directory { .. })
    }

    /// The text of the link that the layer has here, if it has one.
    pub fn text(&self) -> Option<&Path> {
        match &self.node {
            Node::Link(text) => Some(text),
            Node::Pointer => Some(&self.source),
            Node::Directory { .. } | Node::File(_) => None,
        }
    }

    /// The kind of the source, for messages.
    pub fn describe(&self) -> &'static str {
        match &self.node {
            Node::Directory { .. } => "directory",
            Node::Link(_) => "symbolic link",
            Node::Pointer | Node::File(_) => "regular file",
        }
    }

    /// The conflict in which this entry is kept and another one of its name is not.
    pub fn conflict(&self, path: &Path, ignored: &Entry) -> Conflict {
        let (kept, ignored) = (self.source.to_path_buf(), ignored.source.to_path_buf());
        Conflict { path: path.to_owned(), kept, ignored, modes: None }
    }

    /// The error that this entry and another one of its name are a directory and something else.
    pub fn disagreement(&self, path: &Path, second: &Entry) -> Error {
        let side = |entry: &Entry| Side { path: entry.source.to_path_buf(), what: entry.describe() };
        Error::Disagreement { path: path.to_owned(), first: side(self), second: side(second) }
    }

    /// Writes the entry into an open directory; a directory is empty, and only its owner can enter it.
    fn write(&self, directory: &Directory, name: &OsStr, path: &Path, open: OpenFile) -> Result<()> {
        if let Some(text) = self.text() {
            return directory.create_symlink(name, text).map_err(Error::io("link", path));
        }
        let Node::File(file) = &self.node else {
            return directory.create_directory(name, 0o700).map_err(Error::io("make", path));
        };
        let mut from = open(&file.real).map_err(Error::io("read", &file.real))?;
        let mut to = directory.create_file(name, 0o600).map_err(Error::io("make", path))?;
        let copied = io::copy(&mut from, &mut to).and_then(|_| check_written(&to));
        copied.map_err(Error::io("write", path))?;
        to.set_permissions(Permissions::from_mode(file.mode)).map_err(Error::io("make", path))
    }

    fn member(&self, name: &[u8]) -> Placed {
        let mut member = self.unowned(name);
        member.entry.owner = self.owner.map(|(uid, gid)| Box::new(Owner::numbered(uid, gid)));
        member
    }

    fn unowned(&self, name: &[u8]) -> Placed {
        match &self.node {
            Node::Directory { mode, .. } => Placed::bare(Member::directory(name, *mode)),
            Node::Link(text) => Placed::bare(Member::symlink(name, text.as_os_str().as_bytes())),
            Node::Pointer => Placed::bare(Member::symlink(name, self.source.as_os_str().as_bytes())),
            Node::File(File { real, size, mode, modified }) => {
                let entry = Member::file(name, *mode, *size);
                Placed { entry, file: Some(real.clone()), modified: *modified }
            }
        }
    }
}

impl FileTree {
    /// A tree of an empty root directory.
    pub fn new(source: &Path) -> FileTree {
        FileTree(BTreeMap::from([(PathBuf::new(), Entry::directory(source))]))
    }

    /// The entry at a path, links not followed.
    pub fn get(&self, path: &Path) -> Option<&Entry> {
        self.0.get(path)
    }

    /// Adds an entry, whose directory exists. If its path is taken by an entry of its sort, `meet` merges the two.
    ///
    /// # Errors
    ///
    /// [`Error::Disagreement`]: of the two, one is a directory.
    pub fn add(&mut self, path: &Path, entry: Entry, meet: impl FnOnce(&mut Entry, Entry) -> Result<()>) -> Result<()> {
        match self.0.get_mut(path) {
            Some(existing) if existing.is_directory() != entry.is_directory() => {
                Err(existing.disagreement(path, &entry))
            }
            Some(existing) => meet(existing, entry),
            None => {
                self.0.insert(path.to_owned(), entry);
                Ok(())
            }
        }
    }

    /// Makes a directory, and those above it, where nothing exists; the error is what exists at one of these paths and is no
    /// directory.
    pub fn make_directories<'a>(&'a mut self, path: &'a Path, source: &Path) -> Result<(), (&'a Path, &'a Entry)> {
        let missing: Vec<&Path> = path.ancestors().take_while(|at| !self.0.contains_key(*at)).collect();
        let nearest = path.ancestors().nth(missing.len());
        if nearest.is_some_and(|at| !self.0[at].is_directory()) {
            return Err(nearest.and_then(|at| Some((at, self.get(at)?))).expect("it was found above"));
        }
        self.0.extend(missing.into_iter().map(|at| (at.to_owned(), Entry::directory(source))));
        Ok(())
    }

    /// What a walk through the tree finds at a path; an error for what leads to no directory.
    pub fn look(&self, path: &Path) -> Result<Found, ErrorKind> {
        match self.get(path).map(|entry| &entry.node) {
            Some(Node::Directory { .. }) => Ok(Found::Directory),
            Some(Node::Link(text)) => Ok(Found::Symlink(text.to_path_buf())),
            Some(Node::Pointer | Node::File(_)) => Err(ErrorKind::NotADirectory),
            None => Err(ErrorKind::NotFound),
        }
    }

    /// Writes the tree into an empty directory, which gets the root's mode; `path` leads there. Directories get their modes
    /// last: one of mode 0555 takes no contents.
    pub fn write(&self, directory: &Directory, path: &Path, open: OpenFile) -> Result<()> {
        for (at, entry) in self.0.iter().filter(|(at, _)| !is_root(at)) {
            let shown = path.join(at);
            let above = at.parent().filter(|above| !is_root(above)).map(|above| directory.open_below(above));
            let above = above.transpose().map_err(Error::io("make", &shown))?;
            entry.write(above.as_ref().unwrap_or(directory), at.file_name().unwrap_or_default(), &shown, open)?;
        }
        for (at, entry) in self.0.iter().rev() {
            if let Node::Directory { mode, .. } = entry.node {
                let set = if is_root(at) {
                    directory.set_mode(mode)
                } else {
                    directory.open_below(at).and_then(|directory| directory.set_mode(mode))
                };
                set.map_err(Error::io("make", &path.join(at)))?;
            }
        }
        Ok(())
    }

    /// Writes the tree as a new directory, which appears complete or not at all.
    ///
    /// # Errors
    ///
    /// There is something of that name, or it cannot be written.
    pub fn write_new(&self, path: &Path, open: OpenFile) -> Result<()> {
        let above = path.parent().filter(|above| !is_root(above)).unwrap_or(Path::new("."));
        let parent = match Directory::open_named(above) {
            Err(e) if matches!(e.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
                return Err(StageError::NoParent { path: path.to_owned(), parent: above.to_owned() }.into());
            }
            opened => Arc::new(opened.map_err(Error::io("make", path))?),
        };
        let name = path.file_name().unwrap_or_default();
        if parent.stat_of(name).is_ok() {
            let cause = io::Error::new(ErrorKind::AlreadyExists, "it exists, expected a new directory");
            return Err(Error::io("make", path)(cause));
        }
        let scratch = Scratch::create_in(&parent, above)?;
        let (work, tree, inner) = (scratch.directory(), scratch.path().join(TREE), OsStr::new(TREE));
        let made = work.create_directory(inner, 0o777).and_then(|()| work.subdirectory(inner));
        self.write(&made.map_err(Error::io("make", &tree))?, &tree, open)?;
        work.rename(inner, &parent, name).map_err(Error::io("make", path))
    }

    /// The tree as it would be written, as members of a tar, each directory before its contents.
    pub fn members(&self) -> Vec<Placed> {
        let member = |(path, entry): (&PathBuf, &Entry)| match is_root(path) {
            true => entry.member(b"."),
            false => entry.member(&[b"./", path.as_os_str().as_bytes()].concat()),
        };
        self.0.iter().map(member).collect()
    }
}

/// Whether a path below the root is that of the root.
pub fn is_root(path: &Path) -> bool {
    path.as_os_str().is_empty()
}

/// A member's path below the root.
pub fn below_root(name: &[u8]) -> &Path {
    as_path(name.strip_prefix(b"./").unwrap_or(if name == b"." { b"" } else { name }))
}

/// Bytes as a path.
pub fn as_path(bytes: &[u8]) -> &Path {
    Path::new(OsStr::from_bytes(bytes))
}

/// For tests: the tree as lines `a/`, `a/b -> TEXT`, `a/c = REAL`, each directory before its contents.
#[cfg(test)]
pub fn lines(tree: &FileTree) -> Vec<String> {
    let line = |(path, entry): (&PathBuf, &Entry)| match (&entry.node, path.display()) {
        (Node::Directory { .. }, path) => format!("{path}/"),
        (Node::File(file), path) => format!("{path} = {}", file.real.display()),
        (_, path) => format!("{path} -> {}", entry.text().unwrap().display()),
    };
    tree.0.iter().filter(|(path, _)| !is_root(path)).map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(path: &Path) -> u32 {
        path.symlink_metadata().unwrap().permissions().mode() & 0o7777
    }

    fn directory(mode: u32) -> Node {
        Node::Directory { mode, is_on_purpose: false }
    }

    /// A directory `a` of mode 0555 with a directory, a link, and a file of mode 4511 that has this text.
    fn tree(text: &Path) -> FileTree {
        let file = File { real: text.into(), size: 5, mode: 0o4511, modified: (1, 2) };
        let nodes = [
            ("", directory(0o750)),
            ("a", directory(0o555)),
            ("a/d", directory(0o1700)),
            ("a/f", Node::File(file)),
            ("a/l", Node::Link(Path::new("f//f").into())),
            ("a/p", Node::Pointer),
        ];
        FileTree(nodes.map(|(path, node)| (path.into(), Entry::new(Path::new("/s/x"), node))).into())
    }

    #[test]
    fn what_is_written_is_what_is_listed() {
        let scratch = tempfile::tempdir().unwrap();
        let (text, out) = (scratch.path().join("text"), scratch.path().join("out"));
        std::fs::write(&text, "hello").unwrap();
        std::fs::create_dir(&out).unwrap();
        tree(&text).write(&Directory::open(&out).unwrap(), &out, layerstone_store::open_regular).unwrap();
        assert_eq!(std::fs::read(out.join("a/f")).unwrap(), b"hello");
        assert_eq!(std::fs::read_link(out.join("a/l")).unwrap().as_os_str(), "f//f");
        let modes = ["", "a", "a/d", "a/f"].map(|name| mode(&out.join(name)));
        assert_eq!(modes, [0o750, 0o555, 0o1700, 0o4511]);
        let walked = layerstone_tar::walk_tree(&out, false).unwrap();
        let listed = tree(&text).members();
        let entries = |members: &[Placed]| members.iter().map(|member| member.entry.clone()).collect::<Vec<_>>();
        assert_eq!(entries(&walked), entries(&listed));
        assert_eq!((listed[3].file.as_deref(), listed[3].modified), (Some(&*text), (1, 2)));
    }

    #[test]
    fn directories_are_made_where_nothing_is() {
        let mut tree = tree(Path::new("/t"));
        tree.make_directories(Path::new("a/d/x/y"), Path::new("/s/y")).unwrap();
        assert_eq!(lines(&tree)[1..4], ["a/d/", "a/d/x/", "a/d/x/y/"]);
        for path in ["a/l", "a/l/x"] {
            let (at, other) = tree.make_directories(Path::new(path), Path::new("/s/y")).unwrap_err();
            assert_eq!((at, other.describe()), (Path::new("a/l"), "symbolic link"));
        }
    }
}
