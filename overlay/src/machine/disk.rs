//! Writes the image below a script as a read-only file system for a virtual machine.

use crate::{Error, LowerImage, Result};
use layerstone_erofs::{FileContents, Inode, InodeKind};
use layerstone_guest::is_overlays;
use layerstone_store::{Directory, Limit, Limits, Output};
use layerstone_tar::{FileMeta, Kind, Node, Tree, UnionReader};
use rustix::fs::OFlags;
use std::collections::HashMap;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

/// Bytes written at a time.
const WRITTEN: usize = 1 << 18;

impl LowerImage {
    /// Its files as a file system, which is taken from or kept in a directory if one is given.
    pub(crate) fn image(&self, cache: Option<&Path>, limits: &Limits) -> Result<File> {
        let Some(cache) = cache else {
            let mut file = tempfile::tempfile().map_err(Error::io("make a file in", std::env::temp_dir()))?;
            self.write_image(&mut file, limits)?;
            return Ok(file);
        };
        let name = self.name();
        let path = cache.join(&name);
        // Nothing but a file: no link leads elsewhere, and no pipe is waited for.
        match Directory::open(cache).and_then(|directory| directory.open_file(&name, OFlags::RDONLY)) {
            Ok(file) => {
                tracing::debug!(target: "layerstone::cache", "merged base {}: kept", path.display());
                return Ok(file);
            }
            Err(e) if e.kind() == io::ErrorKind::NotFound => {}
            Err(e) => return Err(Error::io("open", &path)(e)),
        }
        tracing::info!(target: "layerstone::cache", "merged base {}: not kept yet", path.display());
        let directory = Directory::create_named(cache).map_err(Error::io("make", cache))?;
        let mut output = Output::create_below(&directory, Path::new(&name), &path)?;
        self.write_image(&mut output, limits)?;
        output.commit()?;
        directory.open_file(&name, OFlags::RDONLY).map_err(Error::io("open", &path))
    }

    fn write_image(&self, out: &mut dyn Write, limits: &Limits) -> Result<()> {
        let reader = UnionReader(&self.layers);
        let (inodes, nodes) = inodes(&self.tree, reader, limits)?;
        write_erofs(&inodes, &mut Files { nodes, reader }, out).map_err(Error::io("write", "the base's files"))
    }
}

/// Writes a file system with a buffer.
pub fn write_erofs(inodes: &[Inode], files: &mut impl FileContents, out: impl Write) -> io::Result<()> {
    let mut out = BufWriter::with_capacity(WRITTEN, out);
    layerstone_erofs::write(inodes, files, &mut out)?;
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
fn inodes<'a>(tree: &'a Tree, reader: UnionReader<'_>, limits: &Limits) -> Result<(Vec<Inode>, Vec<&'a Node>)> {
    let mut attributes = 0_u64;
    let mut inode = |node: &Node| -> Result<Inode> {
        let inode = inode(node, reader)?;
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
        for (name, child) in nodes[number].children().filter(|(_, child)| !is_whiteout(child)) {
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

/// Whether an overlay would take a file for a whiteout: a device that is none.
fn is_whiteout(node: &Node) -> bool {
    node.kind == Kind::CharDevice { major: 0, minor: 0 }
}

fn inode(node: &Node, reader: UnionReader<'_>) -> Result<Inode> {
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
    let xattrs = xattrs.into_iter().filter(|(name, _)| !is_overlays(name)).collect();
    Ok(Inode { kind, mode: node.mode, uid: node.uid, gid: node.gid, mtime, xattrs })
}

#[cfg(test)]
mod tests {
    use super::*;
    use layerstone_store::Digest;
    use layerstone_tar::{Common, Dialect, Entry, LayerTree, Owner, Part};
    use std::sync::Arc;

    /// The image of a layer of these files, each with an attribute of so many bytes.
    fn image(files: &[(&str, usize)]) -> LowerImage {
        let common = Common { dialect: Dialect::Pax, mtime: 1, owner: Owner::root() };
        let mut layer = Vec::new();
        for (name, bytes) in files {
            let xattrs = [(Box::from(&b"user.x"[..]), vec![b'v'; *bytes].into())].into_iter().collect();
            let entry = Entry { xattrs: Some(Box::new(xattrs)), ..Entry::file(name.as_bytes(), 0o644, 0) };
            common.append_header(&entry, &mut layer);
        }
        layer.extend([0; 1024]);
        let mut tree = Tree::default();
        tree.put(LayerTree::read(io::Cursor::new(&layer)).unwrap()).unwrap();
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&layer).unwrap();
        let part = Part::new(Arc::new(file), "layer", 0, layer.len() as u64);
        LowerImage { tree: Arc::new(tree), layers: vec![part], diff_ids: vec![Digest::of(&layer)] }
    }

    /// Attributes of all files are counted together, with their names.
    #[test]
    fn as_many_attributes_as_the_limit_and_no_more() {
        let image = image(&[("a", 10), ("b", 7)]);
        let write = |most| image.write_image(&mut io::sink(), &Limits::default().with(Limit::Attributes, most));
        write(29).unwrap();
        let expected =
            "the base's files: found 29 bytes of extended attributes, expected at most 28 (limit attributes)";
        assert_eq!(write(28).unwrap_err().to_string(), expected);
    }
}
