//! Holds a file of an image with all that is below it.

use crate::{Kind, Member};
use std::collections::BTreeMap;
use std::fmt;

/// Mode of a directory that no header describes.
const DIRECTORY_MODE: u32 = 0o755;

/// What overlayfs has in the place of a file that is hidden (Linux, Documentation/filesystems/overlayfs.rst, "whiteouts and
/// opaque directories").
const OVERLAY_WHITEOUT: Kind = Kind::CharDevice { major: 0, minor: 0 };

/// Bytes of memory that a file takes: a [`Node`], its entry in the map of its directory, and what the allocator adds.
const NODE_BYTES: usize = 144;
/// Bytes that a directory takes when the first file comes into it: a map with room for eleven.
const DIRECTORY_BYTES: usize = 320;

/// What was made of a tree.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Made {
    /// Files.
    pub count: usize,
    /// Bytes of memory that they take, as far as they are known by now: about.
    pub bytes: usize,
}

/// A file of an image; if it is a directory, with all that is in it.
#[derive(Debug)]
pub struct Node {
    /// What it is. Never a hard link in a [`Tree`](crate::Tree), where each name of a file is that file.
    pub kind: Kind,
    /// Permission bits, 07777 at most.
    pub mode: u32,
    /// User id.
    pub uid: u32,
    /// Group id.
    pub gid: u32,
    /// Where its header is; none for a directory that has none.
    pub(crate) origin: Option<Origin>,
    /// Whether it hides all that lower layers have in this directory, if it is of one layer alone.
    pub(super) is_opaque: bool,
    /// Whether it is a directory only because something is in it: no header says its mode and owner.
    pub(super) is_implied: bool,
    pub(super) children: Children,
}

/// Where a file's header is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Origin {
    /// The number of the layer.
    pub layer: u32,
    /// The offset in its tar.
    pub at: u64,
}

/// The files in a directory by name; none is as good as an empty map, and takes no memory.
#[derive(Default)]
pub(super) struct Children(Option<Box<Directory>>);

/// Nodes in boxes: a map makes room for eleven at once, and most directories hold fewer.
type Directory = BTreeMap<Box<[u8]>, Box<Node>>;

impl Node {
    /// Whether it is a directory.
    pub fn is_directory(&self) -> bool {
        self.kind == Kind::Directory
    }

    /// Whether this directory, of [one layer alone](crate::LayerTree::alone), hides all that lower layers have in it.
    pub fn is_opaque(&self) -> bool {
        self.is_opaque
    }

    /// Whether overlayfs takes it for a whiteout: a device of these numbers, which is none.
    pub fn is_overlay_whiteout(&self) -> bool {
        self.kind == OVERLAY_WHITEOUT
    }

    /// The files in a directory with their names, in the order of bytes; none for all that is no directory.
    pub fn children(&self) -> impl Iterator<Item = (&[u8], &Node)> {
        self.children.0.iter().flat_map(|directory| directory.iter()).map(|(name, node)| (&**name, &**node))
    }

    /// What all names of one file have in common, and no other file; none for a directory that no header describes.
    pub fn identity(&self) -> Option<(u32, u64)> {
        self.origin.map(|Origin { layer, at }| (layer, at))
    }

    /// A directory that no header describes.
    pub(super) fn implied() -> Node {
        Node::without_header(Kind::Directory, DIRECTORY_MODE)
    }

    /// What hides a file of this name of lower layers, as overlayfs makes it.
    pub(super) fn overlay_whiteout() -> Node {
        Node::without_header(OVERLAY_WHITEOUT, 0)
    }

    fn without_header(kind: Kind, mode: u32) -> Node {
        let children = Children::default();
        Node { kind, mode, uid: 0, gid: 0, origin: None, is_opaque: false, is_implied: true, children }
    }

    /// The same file without what is below it.
    pub(super) fn bare(&self) -> Node {
        Node { kind: self.kind.clone(), children: Children::default(), ..*self }
    }

    /// The file of this name in a directory.
    pub(super) fn child(&self, name: &[u8]) -> Option<&Node> {
        self.children.0.as_ref()?.get(name).map(|node| &**node)
    }

    /// The file of a name below this one; itself for the empty name.
    pub(super) fn find(&self, name: &[u8]) -> Option<&Node> {
        components(name).try_fold(self, Node::child)
    }

    /// [`find`](Node::find) to change it.
    pub(super) fn find_mut(&mut self, name: &[u8]) -> Option<&mut Node> {
        components(name).try_fold(self, |node, part| node.children.0.as_mut()?.get_mut(part).map(|node| &mut **node))
    }

    /// The file of a name below this one, made as an implied directory if there is none, as are all directories on the way
    /// there; what is new is noted in `made`.
    pub(super) fn make(&mut self, name: &[u8], made: &mut Made) -> &mut Node {
        components(name).fold(self, |node, part| {
            if !node.is_directory() {
                *node = Node::implied();
            }
            node.make_child(part, made)
        })
    }

    /// Makes a directory of that name and all on the way there, unless something that is no directory is in the way.
    pub(super) fn imply(&mut self, name: &[u8], made: &mut Made) {
        let mut node = self;
        for part in components(name) {
            if !node.is_directory() {
                return;
            }
            node = node.make_child(part, made);
        }
    }

    fn make_child(&mut self, name: &[u8], made: &mut Made) -> &mut Node {
        if self.children.0.is_none() {
            made.bytes += DIRECTORY_BYTES;
        }
        self.children.directory().entry(name.into()).or_insert_with(|| {
            made.count += 1;
            made.bytes += NODE_BYTES + name.len();
            Box::new(Node::implied())
        })
    }

    /// Takes the file of a name away, with all below it.
    pub(super) fn remove(&mut self, name: &[u8]) {
        let (directory, base) = split(name);
        if let Some(directory) = self.find_mut(directory).and_then(|directory| directory.children.0.as_mut()) {
            directory.remove(base);
        }
    }

    /// Becomes what a header says. A directory stays one with all that is in it.
    pub(super) fn describe(&mut self, member: Member, origin: Origin) {
        if !(self.is_directory() && member.is_directory()) {
            self.children = Children::default();
        }
        let Member { kind, mode, uid, gid, .. } = member;
        (self.kind, self.mode, self.uid, self.gid, self.is_implied) = (kind, mode, uid, gid, false);
        self.origin = Some(origin);
    }

    /// Takes the mode and owner of a directory that is put over this one, if a header says them.
    pub(super) fn own_as(&mut self, upper: &Node) {
        if !upper.is_implied {
            (self.mode, self.uid, self.gid, self.origin) = (upper.mode, upper.uid, upper.gid, upper.origin);
        }
    }
}

impl Children {
    /// The files, to be changed.
    pub fn directory(&mut self) -> &mut Directory {
        self.0.get_or_insert_default()
    }

    /// All files with their names, taken out.
    pub fn take(&mut self) -> impl Iterator<Item = (Box<[u8]>, Box<Node>)> + use<> {
        self.0.take().into_iter().flat_map(|directory| directory.into_iter())
    }
}

/// The number of files alone: directories may be nested too deep to print.
impl fmt::Debug for Children {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} files", self.0.as_ref().map_or(0, |directory| directory.len()))
    }
}

/// Without recursion: directories may be nested deeper than the stack is.
impl Drop for Children {
    fn drop(&mut self) {
        let mut directories: Vec<Box<Directory>> = self.0.take().into_iter().collect();
        while let Some(directory) = directories.pop() {
            directories.extend(directory.into_values().filter_map(|mut node| node.children.0.take()));
        }
    }
}

/// The components of a name; none for the root.
pub(crate) fn components(name: &[u8]) -> impl Iterator<Item = &[u8]> {
    name.split(|&byte| byte == b'/').filter(|_| !name.is_empty())
}

/// A name's directory and what it is called there.
pub(crate) fn split(name: &[u8]) -> (&[u8], &[u8]) {
    match name.iter().rposition(|&byte| byte == b'/') {
        Some(slash) => (&name[..slash], &name[slash + 1..]),
        None => (b"", name),
    }
}

/// The name of something in a directory.
pub(crate) fn join(directory: &[u8], base: &[u8]) -> Vec<u8> {
    if directory.is_empty() { base.to_vec() } else { [directory, b"/", base].concat() }
}
