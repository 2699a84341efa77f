//! Reads the files that a stack of layers shows, one by one: contents, and what headers say beyond what a [`Node`] keeps.

use crate::tree::Origin;
use crate::{Error, Members, Node, Part, Result, Xattrs};
use layerstone_store::Limits;
use std::io::{self, BufReader, Seek, SeekFrom, Write};

/// Bytes read of a layer at a time for headers, and for small files with them.
const READ: usize = 4 << 10;

/// Reads the files of a tree out of its layers, which are plain and have the numbers that it was read with
/// ([`LayerTree::read_nth`](crate::LayerTree::read_nth)).
#[derive(Clone, Copy, Debug)]
pub struct UnionReader<'a>(pub &'a [Part]);

/// What a header says of a file besides what a [`Node`] keeps.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FileMeta {
    /// Modification time: seconds since the epoch and nanoseconds.
    pub mtime: (i64, u32),
    /// Extended attributes by full name.
    pub xattrs: Xattrs,
}

/// The members of a layer from one of them on.
pub(crate) type MembersFrom = Members<BufReader<crate::PartReader>>;

impl UnionReader<'_> {
    /// What its header says of a file; nothing of a directory that has none.
    ///
    /// # Errors
    ///
    /// The layer cannot be read or is not what it was.
    pub fn meta(&self, node: &Node) -> Result<FileMeta> {
        let members = node.origin.map(|origin| self.members(node, origin)).transpose()?;
        Ok(members.map(|members| members.meta()).unwrap_or_default())
    }

    /// Bytes of a file that are in no layer, but are written as zeros: its holes.
    ///
    /// # Errors
    ///
    /// As [`meta`](UnionReader::meta).
    pub fn holes(&self, node: &Node) -> Result<u64> {
        let members = node.origin.map(|origin| self.members(node, origin)).transpose()?;
        Ok(members.map_or(0, |members| members.holes()))
    }

    /// Writes the contents of a regular file, holes as zeros.
    ///
    /// # Errors
    ///
    /// As [`meta`](UnionReader::meta), or what writing gives.
    pub fn copy(&self, node: &Node, out: &mut dyn Write) -> io::Result<()> {
        match node.origin {
            Some(origin) => self.members(node, origin).map_err(io::Error::other)?.copy_contents(out),
            None => Ok(()),
        }
    }

    /// The members from the one that describes a file, which is read, on.
    pub(crate) fn members(&self, node: &Node, origin: Origin) -> Result<MembersFrom> {
        let layer = &self.0[origin.layer as usize];
        let mut reader = layer.reader();
        let found = reader.seek(SeekFrom::Start(origin.at)).and_then(|_| {
            let mut members = Members::new(BufReader::with_capacity(READ, reader), Limits::none());
            Ok((members.next_member()?, members))
        });
        let (member, members) = found.map_err(Error::read(layer.name()))?;
        match member {
            Some(member) if member.kind == node.kind => Ok(members),
            _ => Err(Error::Changed { path: layer.name().to_owned(), cause: "found another header".to_owned() }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flat::tests::stack;
    use crate::tree::tests::tar;

    /// The size of `f` in these layers, bottom first, as its contents are copied.
    #[track_caller]
    fn check(layers: &[&str], expected: Option<usize>) {
        let layers: Vec<Vec<u8>> = layers.iter().map(|layer| tar(layer)).collect();
        let (tree, parts) = stack(&layers);
        let copied = tree.get(b"f").filter(|node| !matches!(node.kind, crate::Kind::Symlink { .. })).map(|node| {
            let mut found = Vec::new();
            UnionReader(&parts).copy(node, &mut found).unwrap();
            assert_eq!(UnionReader(&parts).holes(node).unwrap(), 0);
            found.len()
        });
        assert_eq!(copied, expected);
    }

    #[test]
    fn contents_from_the_layer_that_shows_them() {
        check(&["f=1 g=2"], Some(1));
        check(&["f=1", "f=200000", "g=2"], Some(200_000));
        check(&["f=1 f=2 g=3"], Some(2));
        check(&["f=1", ".wh.f f=2"], Some(2));
        check(&["f=1", ".wh.f"], None);
        check(&["g=3 f=>g"], Some(3));
        check(&["g=3", "h=>g f=>h"], Some(3));
        check(&["f=1", "f->g"], None);
    }
}
