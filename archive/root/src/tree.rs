//! The tree of a layer in memory: writes it to disk, and lists it as members of a tar.

use crate::error::Side;
use crate::{Conflict, Error, Result};
use layerstone_store::check_written;
use layerstone_tar::{Entry as Member, Placed};
use std::collections::{BTreeMap, btree_map};
use std::ffi::OsString;
use std::fs::{DirBuilder, OpenOptions, Permissions};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

/// A folder of the tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Folder {
    /// Permission bits.
    pub mode: u32,
    /// Whether they were asked for, and so hold over those of a base's folder.
    pub is_on_purpose: bool,
    /// What is in it by name, in byte order.
    pub entries: BTreeMap<OsString, Entry>,
}

/// An entry of the tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The logical path that it comes from, as the contents item names it; of one of the items for a folder.
    pub source: Box<Path>,
    /// What it is.
    pub node: Node,
}

/// What an entry of the tree is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Node {
    /// A folder.
    Folder(Folder),
    /// A symbolic link and its text.
    Link(Box<Path>),
    /// A regular file of the store for which a link to it stands.
    Pointer,
    /// A regular file that is copied.
    File(File),
}

/// A regular file of the store as it was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct File {
    /// Where it is on this machine.
    pub real: Box<Path>,
    /// Size in bytes.
    pub size: u64,
    /// Permission bits.
    pub mode: u32,
    /// When it was last modified, in seconds and nanoseconds.
    pub modified: (i64, i64),
}

impl Entry {
    /// The text of the link that stands in the tree, if a link does.
    pub fn text(&self) -> Option<&Path> {
        match &self.node {
            Node::Link(text) => Some(text),
            Node::Pointer => Some(&self.source),
            Node::Folder(_) | Node::File(_) => None,
        }
    }

    /// What the source is, for messages.
    pub fn describe(&self) -> &'static str {
        match &self.node {
            Node::Folder(_) => "folder",
            Node::Link(_) => "symbolic link",
            Node::Pointer | Node::File(_) => "regular file",
        }
    }

    /// The conflict in which this entry is kept and another one of its name is not.
    pub fn conflict(&self, path: &Path, ignored: &Entry) -> Conflict {
        let (kept, ignored) = (self.source.to_path_buf(), ignored.source.to_path_buf());
        Conflict { path: path.to_owned(), kept, ignored, modes: None }
    }

    /// The error that this entry and another one of its name are a folder and something else.
    pub fn disagreement(&self, path: &Path, second: &Entry) -> Error {
        let side = |entry: &Entry| Side { path: entry.source.to_path_buf(), what: entry.describe() };
        Error::Disagreement { path: path.to_owned(), first: side(self), second: side(second) }
    }
}

impl Folder {
    /// An empty folder.
    pub fn new(mode: u32) -> Folder {
        Folder { mode, is_on_purpose: false, entries: BTreeMap::new() }
    }

    /// The entry of a name below this folder, links not followed; none for the folder itself.
    pub fn find(&self, name: &Path) -> Option<&Entry> {
        let (folder, base) = (name.parent()?, name.file_name()?);
        let folder = folder.iter().try_fold(self, |folder, name| match &folder.entries.get(name)?.node {
            Node::Folder(folder) => Some(folder),
            _ => None,
        });
        folder?.entries.get(base)
    }

    /// [`find`](Folder::find), to be changed.
    pub fn find_mut(&mut self, name: &Path) -> Option<&mut Entry> {
        let (folder, base) = (name.parent()?, name.file_name()?);
        let folder = folder.iter().try_fold(self, |folder, name| match &mut folder.entries.get_mut(name)?.node {
            Node::Folder(folder) => Some(folder),
            _ => None,
        });
        folder?.entries.get_mut(base)
    }

    /// Writes the tree into an empty folder, and gives that folder its mode. A folder gets its mode after its contents:
    /// one of mode 0555 takes none.
    pub fn write(&self, folder: &Path) -> Result<()> {
        let mut walk = Walk::new(self);
        while let Some(step) = walk.next() {
            let path = folder.join(&walk.path);
            match step {
                Step::Enter(entry) => write(entry, &path)?,
                Step::Leave(left) => {
                    set_mode(if walk.path.as_os_str().is_empty() { folder } else { &path }, left.mode)?
                }
            }
        }
        Ok(())
    }

    /// The tree as it would be written, as members of a tar, each folder before its contents.
    pub fn members(&self) -> Vec<Placed> {
        let mut members = vec![Placed::bare(Member::directory(b".", self.mode))];
        let mut walk = Walk::new(self);
        while let Some(step) = walk.next() {
            if let Step::Enter(entry) = step {
                members.push(member(entry, &[b"./", walk.path.as_os_str().as_bytes()].concat()));
            }
        }
        members
    }
}

/// A walk through a tree in the order of names: each folder before its contents, and again after them.
struct Walk<'a> {
    /// The path of the last step, below the root.
    path: PathBuf,
    /// The folders on the way there, each with what is left of it.
    open: Vec<(&'a Folder, btree_map::Iter<'a, OsString, Entry>)>,
    /// Whether the last step was the last one at its path.
    is_done: bool,
}

/// A step of a walk.
enum Step<'a> {
    /// An entry.
    Enter(&'a Entry),
    /// The end of a folder, the root's too.
    Leave(&'a Folder),
}

impl<'a> Walk<'a> {
    fn new(root: &'a Folder) -> Walk<'a> {
        Walk { path: PathBuf::new(), open: vec![(root, root.entries.iter())], is_done: false }
    }

    fn next(&mut self) -> Option<Step<'a>> {
        if std::mem::take(&mut self.is_done) {
            self.path.pop();
        }
        let (folder, entries) = self.open.last_mut()?;
        let Some((name, entry)) = entries.next() else {
            let left = Step::Leave(folder);
            self.open.pop();
            self.is_done = true;
            return Some(left);
        };
        self.path.push(name);
        match &entry.node {
            Node::Folder(folder) => self.open.push((folder, folder.entries.iter())),
            _ => self.is_done = true,
        }
        Some(Step::Enter(entry))
    }
}

/// Writes an entry; a folder is empty yet, and only its owner can enter it.
fn write(entry: &Entry, path: &Path) -> Result<()> {
    if let Some(text) = entry.text() {
        return symlink(text, path).map_err(Error::io("link", path));
    }
    match &entry.node {
        Node::Folder(_) => DirBuilder::new().mode(0o700).create(path).map_err(Error::io("make", path)),
        Node::File(file) => {
            let mut from = std::fs::File::open(&file.real).map_err(Error::io("read", &file.real))?;
            let made = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
            let mut to = made.map_err(Error::io("make", path))?;
            let copied = std::io::copy(&mut from, &mut to).and_then(|_| check_written(&to));
            copied.map_err(Error::io("write", path))?;
            to.set_permissions(Permissions::from_mode(file.mode)).map_err(Error::io("make", path))
        }
        Node::Link(_) | Node::Pointer => Ok(()),
    }
}

fn member(entry: &Entry, name: &[u8]) -> Placed {
    match &entry.node {
        Node::Folder(folder) => Placed::bare(Member::directory(name, folder.mode)),
        Node::Link(text) => Placed::bare(Member::symlink(name, text.as_os_str().as_bytes())),
        Node::Pointer => Placed::bare(Member::symlink(name, entry.source.as_os_str().as_bytes())),
        Node::File(File { real, size, mode, modified }) => {
            let entry = Member::file(name, *mode, *size);
            Placed { entry, file: Some(real.clone()), modified: *modified }
        }
    }
}

fn set_mode(path: &Path, mode: u32) -> Result<()> {
    std::fs::set_permissions(path, Permissions::from_mode(mode)).map_err(Error::io("make", path))
}

/// For tests: the tree as lines `a/`, `a/b -> TEXT`, `a/c = REAL`, each folder before its contents.
#[cfg(test)]
pub fn lines(folder: &Folder) -> Vec<String> {
    let (mut lines, mut walk) = (Vec::new(), Walk::new(folder));
    while let Some(step) = walk.next() {
        let Step::Enter(entry) = step else { continue };
        let path = walk.path.display();
        lines.push(match (&entry.node, entry.text()) {
            (Node::Folder(_), _) => format!("{path}/"),
            (Node::File(file), _) => format!("{path} = {}", file.real.display()),
            (_, text) => format!("{path} -> {}", text.unwrap().display()),
        });
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(path: &Path) -> u32 {
        path.symlink_metadata().unwrap().permissions().mode() & 0o7777
    }

    /// A folder `a` of mode 0555 with a folder, a link, and a file of mode 4511 that has this text.
    fn tree(text: &Path) -> Folder {
        let entry = |node| Entry { source: Path::new("/s/x").into(), node };
        let file = File { real: text.into(), size: 5, mode: 0o4511, modified: (1, 2) };
        let mut inner = Folder::new(0o555);
        inner.entries.insert("d".into(), entry(Node::Folder(Folder::new(0o1700))));
        inner.entries.insert("f".into(), entry(Node::File(file)));
        inner.entries.insert("l".into(), entry(Node::Link(Path::new("f//f").into())));
        inner.entries.insert("p".into(), entry(Node::Pointer));
        let mut root = Folder::new(0o750);
        root.entries.insert("a".into(), entry(Node::Folder(inner)));
        root
    }

    #[test]
    fn what_is_written_is_what_is_listed() {
        let scratch = tempfile::tempdir().unwrap();
        let (text, out) = (scratch.path().join("text"), scratch.path().join("out"));
        std::fs::write(&text, "hello").unwrap();
        std::fs::create_dir(&out).unwrap();
        tree(&text).write(&out).unwrap();
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
}
