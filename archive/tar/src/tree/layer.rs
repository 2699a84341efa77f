//! Reads the files of one layer and what it hides of lower ones (OCI image-spec, layer.md, "Whiteouts").

use super::Tree;
use super::node::{Made, Node, Origin, join, split};
use crate::{Allowance, Error, Kind, Member, Members, Result, Whiteout};
use layerstone_store::{Limit, Limits};
use std::collections::BTreeSet;
use std::io::{self, Read, Seek};

/// Bytes of memory that a name in a list takes besides its own.
const LISTED: usize = 64;

/// The files of one layer, and what it hides of lower ones; contents are left in the tar.
#[derive(Debug)]
pub struct LayerTree {
    pub(super) root: Node,
    /// Names of lower layers that are hidden, with all below them.
    pub(super) hidden: BTreeSet<Vec<u8>>,
    /// Directories of which nothing is left that lower layers hold.
    pub(super) opaque: BTreeSet<Vec<u8>>,
    /// Notes of aufs. They are among the files until hard links are resolved, since those may name a file in
    /// `.wh..wh.plnk`.
    notes: BTreeSet<Vec<u8>>,
    /// Names of hard links, from front to back.
    links: Vec<Vec<u8>>,
    /// Files that were made, and members among them.
    made: Made,
    members: usize,
    /// Bytes of holes that its files have together.
    pub(super) holes: u64,
    limits: Limits,
}

impl LayerTree {
    /// Reads the headers of an uncompressed tar, and passes over contents; best from a buffer.
    ///
    /// # Errors
    ///
    /// What reading gives; `UnexpectedEof` if the tar ends early; `InvalidData`, with the position of the header, if the
    /// tar is none, or has a member that no image can hold: a name that leads out of the image or is longer than 4096
    /// bytes, a root that is no directory, a whiteout of nothing; or if it has more than 250,000 directories without a header, or
    /// more files than an image may have.
    pub fn read<R: Read + Seek>(tar: R) -> io::Result<LayerTree> {
        LayerTree::read_nth(tar, 0, &Allowance::default())
    }

    /// [`read`](LayerTree::read) for the layer of this number, counted from the bottom, for
    /// [`write_flat`](crate::write_flat) to find it again. All layers of an image share one allowance.
    ///
    /// # Errors
    ///
    /// As [`read`](LayerTree::read).
    pub fn read_nth<R: Read + Seek>(tar: R, number: u32, allowance: &Allowance) -> io::Result<LayerTree> {
        LayerTree::read_members(tar, number, allowance, Members::pass_contents)
    }

    /// [`read`](LayerTree::read) for a tar that can only be read from front to back.
    ///
    /// # Errors
    ///
    /// As [`read`](LayerTree::read).
    pub fn read_stream<R: Read>(tar: R, allowance: &Allowance) -> io::Result<LayerTree> {
        LayerTree::read_members(tar, 0, allowance, |_| Ok(()))
    }

    /// Reads all members; `pass` goes over the contents of one, if that can be done without reading them.
    fn read_members<R: Read>(
        tar: R,
        number: u32,
        allowance: &Allowance,
        pass: impl Fn(&mut Members<R>) -> io::Result<()>,
    ) -> io::Result<LayerTree> {
        let limits = *allowance.limits();
        let mut members = Members::new(tar, limits);
        let (hidden, opaque, notes, links, made) = Default::default();
        let root = Node::implied();
        let mut layer = LayerTree { root, hidden, opaque, notes, links, made, members: 0, holes: 0, limits };
        let mut counted = 0;
        let mut count =
            |made: Made| allowance.take(made.bytes - std::mem::replace(&mut counted, made.bytes)).map_err(String::from);
        while let Some(member) = members.next_member()? {
            let origin = Origin { layer: number, at: members.position() };
            layer.holes = layer.holes.saturating_add(members.holes());
            let added = layer.add(member, origin).and_then(|()| count(layer.made));
            added.map_err(|cause| members.invalid(&cause))?;
            pass(&mut members)?;
        }
        let implied = layer.imply_directories().and_then(|()| count(layer.made));
        implied.map_err(|cause| members.invalid(&cause))?;
        Ok(layer)
    }

    /// Takes a member up, whatever it means, or says what is wrong with it.
    fn add(&mut self, member: Member, origin: Origin) -> Result<(), String> {
        if member.name.is_empty() && !member.is_directory() {
            return Err("found a file with the name of the root, expected a directory".to_owned());
        }
        match Whiteout::of(&member.name) {
            None => self.add_file(member, origin),
            Some(Whiteout::Note(note)) => {
                self.made.bytes += LISTED + note.len();
                self.notes.insert(note.to_vec());
                self.add_file(member, origin);
            }
            Some(Whiteout::Opaque { directory }) => {
                self.made.bytes += LISTED + directory.len();
                self.opaque.insert(directory.to_vec());
            }
            Some(Whiteout::File { base: b"" | b"." | b"..", .. }) => {
                return Err(format!("found the whiteout {}, which names no file", member.name.escape_ascii()));
            }
            Some(Whiteout::File { directory, base }) => {
                self.made.bytes += LISTED + member.name.len();
                self.hidden.insert(join(directory, base));
            }
        }
        self.check_made()
    }

    fn add_file(&mut self, member: Member, origin: Origin) {
        if let Kind::HardLink { target } | Kind::Symlink { target } = &member.kind {
            self.made.bytes += target.len();
        }
        if let Kind::HardLink { .. } = member.kind {
            self.made.bytes += LISTED + member.name.len();
            self.links.push(member.name.clone());
        }
        self.members += 1;
        self.root.make(&member.name, &mut self.made).describe(member, origin);
    }

    fn check_made(&self) -> Result<(), String> {
        let implied = self.made.count.saturating_sub(self.members);
        Ok(self.limits.check(Limit::ImpliedDirectories, implied as u64)?)
    }

    /// Whoever unpacks a whiteout makes its directory. Done at the end, so that a whiteout changes no file of its own layer,
    /// wherever it stands.
    fn imply_directories(&mut self) -> Result<(), String> {
        let directories = self.hidden.iter().chain(&self.notes).map(|name| split(name).0);
        for directory in directories.chain(self.opaque.iter().map(Vec::as_slice)) {
            self.root.imply(directory, &mut self.made);
            self.check_made()?;
        }
        Ok(())
    }

    /// The files of this layer alone, in the form that an upper directory of overlayfs has: a whiteout in the place of what is
    /// hidden, and directories that say that they are opaque.
    ///
    /// # Errors
    ///
    /// [`Error::HardLink`]: a hard link of a file that is not in the layer.
    pub fn alone(mut self) -> Result<Tree> {
        self.settle(&Node::implied())?;
        for name in &self.hidden {
            let (directory, base) = split(name);
            let Some(directory) = self.root.find_mut(directory).filter(|node| node.is_directory()) else { continue };
            let whiteout = || Box::new(Node::overlay_whiteout());
            let own = directory.children.directory().entry(base.into()).or_insert_with(whiteout);
            // A directory of this layer in the place of what it hides has nothing of that.
            own.is_opaque = own.is_directory();
        }
        for name in &self.opaque {
            if let Some(directory) = self.root.find_mut(name).filter(|node| node.is_directory()) {
                directory.is_opaque = true;
            }
        }
        Ok(Tree { root: self.root, holes: self.holes })
    }

    /// Makes each hard link the file that it names: of this layer, or else of `lower` as it is before anything of it is
    /// hidden. Notes of aufs are gone then.
    pub(super) fn settle(&mut self, lower: &Node) -> Result<()> {
        let links = std::mem::take(&mut self.links);
        let mut copied = 0;
        for name in &links {
            copied += self.resolve(name, links.len(), lower, copied)?;
        }
        for name in std::mem::take(&mut self.notes) {
            self.root.remove(&name);
        }
        Ok(())
    }

    /// Makes a hard link, and all others that it leads through, the file that the last one names; `count` is how many
    /// links there are. Returns how many bytes of targets of symbolic links were copied, besides those before.
    fn resolve(&mut self, name: &[u8], count: usize, lower: &Node, before: u64) -> Result<u64> {
        let (passed, last) = self.chain(name, count);
        let Some(link) = passed.last() else { return Ok(0) };
        let wrong = |cause: &str| Error::HardLink { name: link.clone(), target: last.clone(), cause: cause.to_owned() };
        let found = self.root.find(&last).or_else(|| lower.find(&last));
        let file = match found.map(|node| (node, &node.kind)) {
            None => return Err(wrong("expected a file of this layer or of a lower one")),
            Some((_, Kind::Directory)) => return Err(wrong("which is a directory, expected a file")),
            Some((_, Kind::HardLink { .. })) => return Err(wrong("which leads back to the link")),
            Some((node, _)) => node.bare(),
        };
        let target = if let Kind::Symlink { target } = &file.kind { target.len() } else { 0 };
        let copied = target.saturating_mul(passed.len()) as u64;
        let exceeded = self.limits.check(Limit::LinkTargets, before.saturating_add(copied)).err();
        if let Some(exceeded) = exceeded {
            return Err(wrong(&format!("a symbolic link: {exceeded}")));
        }
        for link in &passed {
            *self.root.make(link, &mut self.made) = file.bare();
        }
        Ok(copied)
    }

    /// The hard links from a name on, each naming the next, and what the last one names; no links if the name is none any
    /// more, since another member replaced it.
    fn chain(&self, name: &[u8], count: usize) -> (Vec<Vec<u8>>, Vec<u8>) {
        let mut passed = Vec::new();
        let mut at = name;
        // More than there are lead round in a circle.
        while passed.len() <= count
            && let Some(Kind::HardLink { target }) = self.root.find(at).map(|node| &node.kind)
        {
            passed.push(at.to_vec());
            at = target;
        }
        (passed, at.to_vec())
    }
}
