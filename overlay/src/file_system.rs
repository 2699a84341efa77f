//! Describes the files of a tree for a read-only file system, and writes it. Does not know who mounts it.

use crate::{Error, Result};
use layerstone_erofs::{FileContents, Inode, InodeKind, SmallFiles};
use layerstone_guest::is_overlays;
use layerstone_store::{Limit, Limits};
use layerstone_tar::{FileMeta, Kind, Node, Tree, UnionReader};
use std::collections::HashMap;
use std::io::{self, BufWriter, Write};

/// Bytes written at a time.
const WRITTEN: usize = 1 << 18;
/// The attribute of a directory of which nothing is seen that lower layers have, and its value (Linux, fs/overlayfs/overlayfs.h).
const OPAQUE: (&[u8], &[u8]) = (b"trusted.overlay.opaque", b"y");
/// The attribute of a directory that has whiteouts. Without it overlayfs shows the devices where no lower layer has the
/// directory (fs/overlayfs/inode.c, `ovl_get_inode`).
const ORIGIN: &[u8] = b"trusted.overlay.origin";

/// What a file system shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// The files of an image, for a virtual machine.
    #[cfg_attr(not(feature = "vm"), expect(dead_code))]
    Image,
    /// One layer of an overlay, with whiteouts and opaque directories.
    Layer,
}

/// Writes the files of a tree as a file system, their contents out of these layers.
pub fn write_tree(
    tree: &Tree,
    reader: UnionReader<'_>,
    form: Form,
    limits: &Limits,
    out: &mut dyn Write,
) -> Result<io::Result<()>> {
    let (inodes, nodes) = inodes(tree, reader, form, limits)?;
    let small_files = match form {
        Form::Image => SmallFiles::BehindInode,
        Form::Layer => SmallFiles::InBlocks,
    };
    Ok(write_erofs(&inodes, small_files, &mut Files { nodes, reader }, out))
}

/// Writes a file system with a buffer.
pub fn write_erofs(
    inodes: &[Inode],
    small_files: SmallFiles,
    files: &mut impl FileContents,
    out: impl Write,
) -> io::Result<()> {
    let mut out = BufWriter::with_capacity(WRITTEN, out);
    layerstone_erofs::write(inodes, small_files, files, &mut out)?;
    out.flush()
}

/// The files of a tree, by their numbers in the file system.
struct Files<'a> {
    nodes: Vec<&'a Node>,
    reader: UnionReader<'a>,
}

impl FileContents for Files<'_> {
    fn copy(&mut self, number: usize, out: &mut dyn Write) -> io::Result<()> {
        self.reader.copy(self.nodes[number], out)
    }
}

/// The files of a tree as the file system describes them, directories before their contents.
fn inodes<'a>(
    tree: &'a Tree,
    reader: UnionReader<'_>,
    form: Form,
    limits: &Limits,
) -> Result<(Vec<Inode>, Vec<&'a Node>)> {
    let mut attributes = 0_u64;
    let mut inode = |node: &Node| -> Result<Inode> {
        let inode = inode(node, reader, form)?;
        attributes += inode.xattrs.iter().map(|(name, value)| (name.len() + value.len()) as u64).sum::<u64>();
        limits.check(Limit::Attributes, attributes).map_err(Error::Attributes)?;
        Ok(inode)
    };
    let mut inodes = vec![inode(tree.root())?];
    let mut nodes = vec![tree.root()];
    let mut linked: HashMap<(u32, u64), usize> = HashMap::new();
    // Directories that are to be read.
    let mut left = vec![0];
    while let Some(number) = left.pop() {
        let mut entries = Vec::new();
        // An overlay would take such a device of an image for a whiteout.
        let is_shown = |child: &Node| form == Form::Layer || !child.is_overlay_whiteout();
        for (name, child) in nodes[number].children().filter(|(_, child)| is_shown(child)) {
            let identity = child.identity().filter(|_| !child.is_directory());
            let existing = identity.and_then(|identity| linked.get(&identity).copied());
            entries.push((name.into(), existing.unwrap_or(inodes.len())));
            if existing.is_some() {
                continue;
            }
            left.extend(child.is_directory().then_some(inodes.len()));
            linked.extend(identity.map(|identity| (identity, inodes.len())));
            inodes.push(inode(child)?);
            nodes.push(child);
        }
        inodes[number].kind = InodeKind::Directory(entries);
    }
    Ok((inodes, nodes))
}

fn inode(node: &Node, reader: UnionReader<'_>, form: Form) -> Result<Inode> {
    let FileMeta { mtime, xattrs } = reader.meta(node)?;
    let kind = match &node.kind {
        Kind::File { size } => InodeKind::File(*size),
        Kind::Directory => InodeKind::Directory(Vec::new()),
        Kind::Symlink { target } | Kind::HardLink { target } => InodeKind::Symlink(target.clone()),
        Kind::Fifo => InodeKind::Fifo,
        Kind::CharDevice { major, minor } => InodeKind::CharDevice(*major, *minor),
        Kind::BlockDevice { major, minor } => InodeKind::BlockDevice(*major, *minor),
    };
    // What an image says to overlayfs is not for it to say.
    let mut xattrs: Vec<_> = xattrs.into_iter().filter(|(name, _)| !is_overlays(name)).collect();
    if form == Form::Layer {
        xattrs.extend(node.is_opaque().then(|| (OPAQUE.0.into(), OPAQUE.1.into())));
        let has_whiteouts = node.children().any(|(_, child)| child.is_overlay_whiteout());
        xattrs.extend(has_whiteouts.then(|| (ORIGIN.into(), Box::default())));
    }
    Ok(Inode { kind, mode: node.mode, uid: node.uid, gid: node.gid, mtime, xattrs })
}
