//! Writes the image below a script as one read-only file system for a virtual machine, or one tar for a namespace.

use crate::limits::MAX_ATTRIBUTES;
use crate::{Error, Result};
use layerstone_erofs::{FileContent, FileContents, Inode, InodeKind};
use layerstone_guest::is_overlays;
use layerstone_store::{Digest, Directory, Output};
use layerstone_tar::{FileMeta, Kind, Node, Part, Tree, UnionReader, write_flat};
use rustix::fs::OFlags;
use std::collections::HashMap;
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;
use std::sync::Arc;

/// Bytes written at a time.
const WRITTEN: usize = 1 << 18;
/// A change of the file system that we write makes kept ones useless.
const KEPT: &str = "layerstone base 1";

/// The image below a script.
#[derive(Clone, Debug)]
pub struct LowerImage {
    /// Its files.
    pub tree: Arc<Tree>,
    /// Its layers, plain, bottom first.
    pub layers: Vec<Part>,
    /// Their diff IDs.
    pub diff_ids: Vec<Digest>,
}

impl LowerImage {
    /// Its files as one tar.
    pub(crate) fn write_tar(&self, out: &mut dyn Write) -> Result<()> {
        Ok(write_flat(&self.tree, &self.layers, out, Path::new("the root script's namespace"))?)
    }

    /// Its files as a file system, which is taken from or kept in a folder if one is given.
    pub(crate) fn image(&self, cache: Option<&Path>) -> Result<File> {
        let Some(cache) = cache else {
            let mut file = tempfile::tempfile().map_err(Error::io("make a file in", std::env::temp_dir()))?;
            self.write_image(&mut file)?;
            return Ok(file);
        };
        let name = self.name();
        let path = cache.join(&name);
        // Nothing but a file: no link leads elsewhere, and no pipe is waited for.
        match Directory::open(cache).and_then(|folder| folder.open_file(&name, OFlags::RDONLY)) {
            Ok(file) => return Ok(file),
            Err(e) if e.kind() == io::ErrorKind::NotFound => {}
            Err(e) => return Err(Error::io("open", &path)(e)),
        }
        std::fs::create_dir_all(cache).map_err(Error::io("make", cache))?;
        let mut output = Output::create(&path)?;
        self.write_image(&mut output)?;
        output.commit()?;
        File::open(&path).map_err(Error::io("open", &path))
    }

    /// Whether its file system is kept in a folder already.
    pub fn is_kept(&self, cache: &Path) -> bool {
        cache.join(self.name()).exists()
    }

    fn name(&self) -> OsString {
        format!("{}.erofs", self.key().hex()).into()
    }

    /// What decides its files.
    fn key(&self) -> Digest {
        let lines = self.diff_ids.iter().map(|id| format!("\n{}", id.hex()));
        Digest::of(format!("{KEPT}{}", lines.collect::<String>()).as_bytes())
    }

    fn write_image(&self, out: &mut dyn Write) -> Result<()> {
        let mut out = BufWriter::with_capacity(WRITTEN, out);
        let reader = UnionReader(&self.layers);
        let (inodes, nodes) = inodes(&self.tree, reader)?;
        let written =
            layerstone_erofs::write(&inodes, &mut Files { nodes, reader }, &mut out).and_then(|()| out.flush());
        written.map_err(Error::io("write", "the base's files"))
    }
}

/// Where contents come from: the key is a file's number.
struct Files<'a> {
    nodes: Vec<&'a Node>,
    reader: UnionReader<'a>,
}

impl FileContents for Files<'_> {
    fn copy(&mut self, key: usize, out: &mut dyn Write) -> io::Result<()> {
        self.reader.copy(self.nodes[key], out)
    }
}

/// The files of a tree as the file system describes them, folders before what is in them.
fn inodes<'a>(tree: &'a Tree, reader: UnionReader<'_>) -> Result<(Vec<Inode>, Vec<&'a Node>)> {
    let mut attributes = 0_usize;
    let mut inode = |node: &Node, number: usize| -> Result<Inode> {
        let inode = inode(node, reader, number)?;
        attributes += inode.xattrs.iter().map(|(name, value)| name.len() + value.len()).sum::<usize>();
        match attributes > MAX_ATTRIBUTES {
            true => Err(Error::Attributes { limit: MAX_ATTRIBUTES }),
            false => Ok(inode),
        }
    };
    let mut inodes = vec![inode(tree.root(), 0)?];
    let mut nodes = vec![tree.root()];
    let mut linked: HashMap<(u32, u64), usize> = HashMap::new();
    // Folders whose files are to come: their number and their parent's.
    let mut left = vec![(0, 0)];
    while let Some((number, parent)) = left.pop() {
        let mut entries = Vec::new();
        for (name, child) in nodes[number].children().filter(|(_, child)| !is_whiteout(child)) {
            let identity = child.identity().filter(|_| !child.is_directory());
            if let Some(first) = identity.and_then(|identity| linked.get(&identity)) {
                inodes[*first].links += 1;
                entries.push((name.into(), *first));
                continue;
            }
            let found = inodes.len();
            inodes.push(inode(child, found)?);
            nodes.push(child);
            entries.push((name.into(), found));
            if child.is_directory() {
                inodes[number].links += 1;
                left.push((found, number));
            } else if let Some(identity) = identity {
                linked.insert(identity, found);
            }
        }
        inodes[number].kind = InodeKind::Directory { parent, entries };
    }
    Ok((inodes, nodes))
}

/// Whether an overlay would take a file for a whiteout: a device that is none.
fn is_whiteout(node: &Node) -> bool {
    node.kind == Kind::CharDevice { major: 0, minor: 0 }
}

fn inode(node: &Node, reader: UnionReader<'_>, number: usize) -> Result<Inode> {
    let FileMeta { mtime, xattrs } = reader.meta(node)?;
    let kind = match &node.kind {
        Kind::File { size } => InodeKind::File(FileContent { size: *size, key: number }),
        Kind::Directory => InodeKind::Directory { parent: 0, entries: Vec::new() },
        Kind::Symlink { target } | Kind::HardLink { target } => InodeKind::Symlink(target.clone()),
        Kind::Fifo => InodeKind::Fifo,
        Kind::CharDevice { major, minor } => InodeKind::CharDevice(*major, *minor),
        Kind::BlockDevice { major, minor } => InodeKind::BlockDevice(*major, *minor),
    };
    // What an image says to overlayfs is not for it to say.
    let xattrs = xattrs.into_iter().filter(|(name, _)| !is_overlays(name)).collect();
    let links = if node.is_directory() { 2 } else { 1 };
    Ok(Inode { kind, mode: node.mode, uid: node.uid, gid: node.gid, mtime, links, xattrs })
}
