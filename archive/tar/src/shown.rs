//! The files that a stack of layers shows, one by one: what their headers say beyond what a [`Node`] keeps, and contents.

use crate::tree::Origin;
use crate::{Error, Members, Node, Part, Result, Xattrs};
use std::io::{self, BufReader, Seek, SeekFrom, Write};

/// Bytes read of a layer at a time for headers, and for small files with them.
const READ: usize = 4 << 10;

/// The layers of a tree, plain, with the numbers that it was read with ([`LayerTree::read_nth`](crate::LayerTree::read_nth)).
#[derive(Clone, Copy, Debug)]
pub struct Shown<'a>(pub &'a [Part]);

/// What a header says of a file besides what a [`Node`] keeps.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Details {
    /// Modification time: seconds since the epoch and nanoseconds.
    pub mtime: (i64, u32),
    /// Extended attributes by full name.
    pub xattrs: Xattrs,
}

/// The members of a layer from one of them on.
pub(crate) type MembersFrom = Members<BufReader<crate::PartReader>>;

impl Shown<'_> {
    /// What its header says of a file; nothing of a folder that has none.
    ///
    /// # Errors
    ///
    /// The layer cannot be read or is not what it was.
    pub fn details(&self, node: &Node) -> Result<Details> {
        let members = node.origin.map(|origin| self.members(node, origin)).transpose()?;
        Ok(members.map(|members| members.details()).unwrap_or_default())
    }

    /// Writes the contents of a regular file, holes as zeros.
    ///
    /// # Errors
    ///
    /// As [`details`](Shown::details), or what writing gives.
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
            let mut members = Members::new(BufReader::with_capacity(READ, reader));
            Ok((members.next_member()?, members))
        });
        let (member, members) = found.map_err(Error::read(layer.name()))?;
        match member {
            Some(member) if member.kind == node.kind => Ok(members),
            _ => Err(Error::Changed { path: layer.name().to_owned(), cause: "found another header".to_owned() }),
        }
    }
}
