//! Writes one tar of the files that a stack of layers shows: a container's whole root.
//!
//! Every file stands once, in the order of the names of each directory, with the mode, owner, time and extended attributes
//! that the layer's header says; further names of a file are hard links. Nothing is unpacked.

use crate::tree::Origin;
use crate::{BLOCK, Common, Dialect, Entry, Error, Members, Node, Owner, Part, RECORD, Result, Tree, UnionReader};
use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, BufWriter, Write};
use std::path::Path;
use std::rc::Rc;

/// Bytes written at a time.
const WRITTEN: usize = 1 << 17;

/// Writes all files of a tree, which was read from these uncompressed layers with their numbers
/// ([`LayerTree::read_nth`](crate::LayerTree::read_nth)): names begin with `./`, directories come before what is in them, holes
/// are filled ([`Tree::holes`] is how many bytes these are), and headers are those of [`Dialect::Pax`]; `to` is what messages call the output. A directory without a header is root's, of mode 0755 and of 1970.
///
/// # Errors
///
/// A layer cannot be read or is not what it was; writing fails.
pub fn write_flat(tree: &Tree, layers: &[Part], out: &mut dyn Write, to: &Path) -> Result<()> {
    let mut flat = Flat {
        layers,
        out: Counted { out: BufWriter::with_capacity(WRITTEN, out), count: 0, has_failed: false },
        to,
        header: Vec::new(),
        linked: linked(tree),
    };
    flat.write(b".", tree.root())?;
    // Names are put together when their turn comes: a directory may have very many files.
    let mut left = below(&Rc::from(&b"."[..]), tree.root());
    while let Some((directory, base, node)) = left.pop() {
        let name = [&directory, &b"/"[..], base].concat();
        flat.write(&name, node)?;
        left.extend(below(&name.into(), node));
    }
    flat.finish().map_err(Error::write(to))
}

/// A file by the name of its directory and its own.
type Named<'a> = (Rc<[u8]>, &'a [u8], &'a Node);

/// The files in a directory, the last one first.
fn below<'a>(directory: &Rc<[u8]>, node: &'a Node) -> Vec<Named<'a>> {
    let mut children: Vec<_> = node.children().map(|(base, child)| (Rc::clone(directory), base, child)).collect();
    children.reverse();
    children
}

/// Files that have several names, and the first of these once it is written.
fn linked(tree: &Tree) -> BTreeMap<Origin, Vec<u8>> {
    let (mut once, mut linked) = (BTreeSet::new(), BTreeMap::new());
    let mut left = vec![tree.root()];
    while let Some(node) = left.pop() {
        if let Some(origin) = node.origin.filter(|_| !node.is_directory())
            && !once.insert(origin)
        {
            linked.insert(origin, Vec::new());
        }
        left.extend(node.children().map(|(_, child)| child));
    }
    linked
}

struct Flat<'a> {
    layers: &'a [Part],
    out: Counted<'a>,
    to: &'a Path,
    header: Vec<u8>,
    linked: BTreeMap<Origin, Vec<u8>>,
}

impl Flat<'_> {
    fn write(&mut self, name: &[u8], node: &Node) -> Result<()> {
        self.header.clear();
        let Some(origin) = node.origin else {
            let common = Common { dialect: Dialect::Pax, mtime: 0, owner: Owner::root() };
            common.append_header(&Entry::directory(name, node.mode), &mut self.header);
            return self.out.write_all(&self.header).map_err(Error::write(self.to));
        };
        let mut members = UnionReader(self.layers).members(node, origin)?;
        let full_name = if node.is_directory() { [name, b"/"].concat() } else { name.to_owned() };
        let link = self.linked.get_mut(&origin).and_then(|first| match first.is_empty() {
            true => {
                *first = name.to_owned();
                None
            }
            false => Some(&*first),
        });
        members.append_header(&full_name, link.map(Vec::as_slice), &mut self.header);
        self.out.write_all(&self.header).map_err(Error::write(self.to))?;
        if link.is_none() && node.kind.size() > 0 {
            self.copy(&mut members, &self.layers[origin.layer as usize])?;
        }
        Ok(())
    }

    fn copy(&mut self, members: &mut Members<impl io::Read>, layer: &Part) -> Result<()> {
        let copied = members.copy_contents(&mut self.out);
        copied.map_err(|source| match self.out.has_failed {
            true => Error::write(self.to)(source),
            false => Error::read(layer.name())(source),
        })?;
        self.out.pad_to(BLOCK as u64).map_err(Error::write(self.to))
    }

    fn finish(mut self) -> io::Result<()> {
        self.out.write_all(&[0; 2 * BLOCK])?;
        self.out.pad_to(RECORD)?;
        self.out.flush()
    }
}

/// Counts what is written.
struct Counted<'a> {
    out: BufWriter<&'a mut dyn Write>,
    count: u64,
    has_failed: bool,
}

impl Counted<'_> {
    fn pad_to(&mut self, size: u64) -> io::Result<()> {
        let missing = self.count.next_multiple_of(size) - self.count;
        io::copy(&mut io::Read::take(io::repeat(0), missing), self).map(drop)
    }
}

impl Write for Counted<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.out.write(bytes);
        self.has_failed |= written.is_err();
        self.count += *written.as_ref().unwrap_or(&0) as u64;
        written
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::tree::tests::tar;
    use crate::{Allowance, LayerTree};
    use std::fs::File;
    use std::sync::Arc;

    /// Layers in files, and what they show.
    pub(crate) fn stack(layers: &[Vec<u8>]) -> (Tree, Vec<Part>) {
        let part = |layer: &Vec<u8>| {
            let mut file = tempfile::tempfile().unwrap();
            file.write_all(layer).unwrap();
            Part::new(Arc::<File>::new(file), "layer", 0, layer.len() as u64)
        };
        let parts: Vec<Part> = layers.iter().map(part).collect();
        let mut tree = Tree::default();
        for (number, part) in (0..).zip(&parts) {
            tree.put(LayerTree::read_nth(part.reader(), number, &Allowance::default()).unwrap()).unwrap();
        }
        (tree, parts)
    }

    fn flat(layers: &[Vec<u8>]) -> Vec<u8> {
        let (tree, parts) = stack(layers);
        let mut out = Vec::new();
        write_flat(&tree, &parts, &mut out, Path::new("out")).unwrap();
        out
    }

    /// What the flat tar of layers in words shows.
    pub(crate) fn flattened(layers: &[String]) -> Tree {
        let mut tree = Tree::default();
        let layers: Vec<Vec<u8>> = layers.iter().map(|layer| tar(layer)).collect();
        tree.put(LayerTree::read_stream(&flat(&layers)[..], &Allowance::default()).unwrap()).unwrap();
        tree
    }

    /// Name, type, link, contents of each member, as the tar crate reads them.
    fn listing(bytes: &[u8]) -> Vec<(String, char, String, String)> {
        let mut archive = ::tar::Archive::new(bytes);
        let entries = archive.entries().unwrap().map(|entry| {
            let mut entry = entry.unwrap();
            let mut contents = String::new();
            io::Read::read_to_string(&mut entry, &mut contents).unwrap();
            let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
            let link = entry.link_name_bytes().map(|link| text(&link)).unwrap_or_default();
            let kind = char::from(entry.header().entry_type().as_byte());
            (text(&entry.path_bytes()), kind, link, contents)
        });
        entries.collect()
    }

    fn check(layers: &[&str], expected: &[(&str, char, &str, &str)]) {
        let layers: Vec<Vec<u8>> = layers.iter().map(|layer| tar(layer)).collect();
        let found = listing(&flat(&layers));
        let found: Vec<_> = found.iter().map(|(n, k, l, c)| (n.as_str(), *k, l.as_str(), c.as_str())).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn what_layers_show_stands_once_and_in_order() {
        check(
            &["z/ z/b=1 z/a=2 gone=3 /abs/x=1 l->z", ".wh.gone z/b=3 z/.wh.a p|", "./z/c/ ./z/c/d=1 l=1"],
            &[
                ("./", '5', "", ""),
                ("./abs/", '5', "", ""),
                ("./abs/x", '0', "", "x"),
                ("./l", '0', "", "x"),
                ("./p", '6', "", ""),
                ("./z/", '5', "", ""),
                ("./z/b", '0', "", "xxx"),
                ("./z/c/", '5', "", ""),
                ("./z/c/d", '0', "", "x"),
            ],
        );
        check(&[], &[("./", '5', "", "")]);
    }

    /// A file has its contents at the first of its names that is left, whatever became of the others.
    #[test]
    fn several_names_of_a_file() {
        check(
            &["b=2 a=>b c=>b", "d=>c .wh.b"],
            &[("./", '5', "", ""), ("./a", '0', "", "xx"), ("./c", '1', "./a", ""), ("./d", '1', "./a", "")],
        );
    }

    /// Fractions of seconds, names of owners, attributes and long names are kept, holes are filled.
    #[test]
    fn headers_say_what_they_said() {
        let name = "n".repeat(150);
        let mut records = crate::Records::default();
        records.set(b"SCHILY.xattr.user.x", b"a\xff\n=");
        records.set(b"mtime", b"12.345");
        let fields = crate::HeaderFields {
            name: name.as_bytes(),
            mode: 0o4755,
            uid: 5,
            gid: 3_000_000,
            size: 3,
            mtime: 12,
            flag: b'0',
            link: b"",
            uname: b"ann",
            gname: b"staff",
            device: None,
        };
        let mut layer = Vec::new();
        crate::append_pax(&fields, records.clone(), &mut layer);
        layer.extend_from_slice(b"abc");
        layer.resize(layer.len().next_multiple_of(BLOCK) + 2 * BLOCK, 0);
        let full_name = format!("./{name}");
        let mut expected = Vec::new();
        crate::append_pax(&crate::HeaderFields { name: full_name.as_bytes(), ..fields }, records, &mut expected);
        let found = flat(&[layer]);
        // Behind the root, which has no header.
        assert_eq!(found[BLOCK..][..expected.len()].escape_ascii().to_string(), expected.escape_ascii().to_string());
        assert_eq!(&found[BLOCK + expected.len()..][..3], b"abc");
        assert_eq!(found.len() as u64 % RECORD, 0);
    }

    #[test]
    fn errors_name_the_side() {
        let (tree, parts) = stack(&[tar("a=700000")]);
        let mut full = File::options().write(true).open("/dev/full").unwrap();
        let error = write_flat(&tree, &parts, &mut full, Path::new("out")).unwrap_err().to_string();
        assert_eq!(error, "cannot write: out: No space left on device (os error 28)");
        let (_, others) = stack(&[tar("a/")]);
        let error = write_flat(&tree, &others, &mut Vec::new(), Path::new("out")).unwrap_err().to_string();
        assert_eq!(error, "changed while it was read: layer: found another header");
    }
}
