//! Builds the files that a stack of layers shows from headers alone: what a container of the image sees.
//!
//! One layer is put over the lower ones as OCI image-spec, layer.md, "Applying Changesets" says, name by name: a link of a
//! lower layer is no directory, and is replaced where an upper layer has something below its name. So overlayfs shows them.

mod layer;
mod node;
mod resolve;

pub use layer::LayerTree;
pub use node::Node;
pub(crate) use node::Origin;
pub use resolve::Resolved;

pub(crate) use node::{components, join, split};

use crate::Result;
use node::Children;

/// The files that a stack of layers shows.
#[derive(Debug)]
pub struct Tree {
    root: Node,
    /// Bytes of holes that the files of all layers have together.
    holes: u64,
}

impl Default for Tree {
    /// An image without files: a root directory of mode 0755 that belongs to 0:0.
    fn default() -> Tree {
        Tree { root: Node::implied(), holes: 0 }
    }
}

impl Tree {
    /// Puts a layer over all lower ones. What it hides is gone; of directories that both have, the mode and owner are the
    /// upper one's, if a header says them, and the files are those of both; everything else is replaced.
    ///
    /// # Errors
    ///
    /// [`Error::HardLink`](crate::Error::HardLink): a hard link of a file that is neither in the layer nor in lower ones.
    /// The tree is what it was then.
    pub fn put(&mut self, mut layer: LayerTree) -> Result<()> {
        layer.settle(&self.root)?;
        self.holes = self.holes.saturating_add(layer.holes);
        for name in &layer.opaque {
            if let Some(directory) = self.root.find_mut(name) {
                directory.children = Children::default();
            }
        }
        for name in &layer.hidden {
            self.root.remove(name);
        }
        self.merge(layer.root);
        Ok(())
    }

    /// The file of a name below the root of the image, without a slash in front; the root for the empty name. Links are
    /// not followed.
    pub fn get(&self, name: &[u8]) -> Option<&Node> {
        self.root.find(name)
    }

    /// Bytes of holes that the files of its layers have together, hidden ones counted: zeros that are in no layer, but in
    /// what is written of the files ([`write_flat`](crate::write_flat), [`UnionReader`](crate::UnionReader)). They may be many times
    /// what the layers have; whoever writes files of others compares them with a bound first.
    pub fn holes(&self) -> u64 {
        self.holes
    }

    /// The root directory.
    pub fn root(&self) -> &Node {
        &self.root
    }

    /// Puts the files of a layer over those that are left, directory by directory and without recursion.
    fn merge(&mut self, root: Node) {
        self.root.own_as(&root);
        let mut directories = vec![(Vec::new(), Box::new(root))];
        while let Some((name, mut upper)) = directories.pop() {
            let Some(lower) = self.root.find_mut(&name) else { continue };
            for (base, node) in upper.children.take() {
                match lower.children.directory().get_mut(&base) {
                    Some(directory) if directory.is_directory() && node.is_directory() => {
                        directory.own_as(&node);
                        directories.push((join(&name, &base), node));
                    }
                    _ => {
                        lower.children.directory().insert(base, node);
                    }
                }
            }
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::flat::tests::flattened;
    use crate::{Allowance, Common, Dialect, Entry, Kind, Owner};
    use layerstone_store::{Limit, Limits};
    use proptest::prelude::*;
    use std::collections::BTreeMap;
    use std::io::Cursor;

    /// An entry in words: `a/` is a directory, `a->b` a link, `a=>b` a hard link, `a|` a pipe, `a=5` and `a` are files; then
    /// mode, user and group, if they matter: `a/@700,5,6`.
    fn entry(text: &str) -> Entry {
        let (text, rights) = text.split_once('@').unwrap_or((text, ""));
        let mut entry = if let Some((name, target)) = text.split_once("->") {
            Entry::symlink(name.as_bytes(), target.as_bytes())
        } else if let Some((name, target)) = text.split_once("=>") {
            Entry::new(name.as_bytes(), Kind::HardLink { target: target.as_bytes().into() }, 0o644)
        } else if let Some(name) = text.strip_suffix('|') {
            Entry::new(name.as_bytes(), Kind::Fifo, 0o644)
        } else if text.ends_with('/') {
            Entry::directory(text.as_bytes(), 0o755)
        } else {
            let (name, size) = text.split_once('=').unwrap_or((text, "0"));
            Entry::file(name.as_bytes(), 0o644, size.parse().unwrap())
        };
        let mut rights = rights.split(',').filter(|number| !number.is_empty());
        if let Some(mode) = rights.next() {
            entry.mode = u32::from_str_radix(mode, 8).unwrap();
        }
        let [uid, gid] = [rights.next(), rights.next()].map(|id| id.map_or(0, |id| id.parse().unwrap()));
        entry.owner = Some(Box::new(Owner::numbered(uid, gid)));
        entry
    }

    pub(crate) fn tar(members: &str) -> Vec<u8> {
        let common = Common { dialect: Dialect::Pax, mtime: 1, owner: Owner::root() };
        let mut tar = Vec::new();
        for member in members.split_whitespace() {
            let entry = entry(member);
            common.append_header(&entry, &mut tar);
            tar.resize((tar.len() + entry.kind.size() as usize).next_multiple_of(512), b'x');
        }
        tar.resize(tar.len() + 1024, 0);
        tar
    }

    /// The files of a layer alone: a whiteout is `a!`, and an opaque directory `a/!`.
    #[track_caller]
    fn check_alone(members: &str, expected: &str) {
        let alone = LayerTree::read(Cursor::new(tar(members))).unwrap().alone().unwrap();
        let mut left = vec![(String::new(), alone.root())];
        let mut found = Vec::new();
        while let Some((name, node)) = left.pop() {
            match node.is_overlay_whiteout() {
                true => found.push(format!("{name}!")),
                false => found.push(line(&name, node) + if node.is_opaque() { "!" } else { "" }),
            }
            let below =
                node.children().map(|(base, node)| (join(name.as_bytes(), base).escape_ascii().to_string(), node));
            left.extend(below.collect::<Vec<_>>().into_iter().rev());
        }
        found.retain(|line| line != "/");
        assert_eq!(found.join(" "), expected);
    }

    fn put(tree: &mut Tree, members: &str) -> Result<()> {
        tree.put(LayerTree::read(Cursor::new(tar(members))).unwrap())
    }

    /// A stack of layers, bottom first.
    pub(super) fn tree(layers: &[&str]) -> Tree {
        let mut tree = Tree::default();
        layers.iter().for_each(|layer| put(&mut tree, layer).unwrap());
        tree
    }

    /// What [`entry`] reads. Default modes and owners are left out.
    pub(super) fn line(name: &str, node: &Node) -> String {
        let (text, mode) = match &node.kind {
            Kind::Directory => (format!("{name}/"), 0o755),
            Kind::Symlink { target } => (format!("{name}->{}", target.escape_ascii()), 0o777),
            Kind::HardLink { target } => (format!("{name}=>{}", target.escape_ascii()), 0o644),
            Kind::File { size: 0 } => (name.to_owned(), 0o644),
            Kind::File { size } => (format!("{name}={size}"), 0o644),
            _ => (format!("{name}|"), 0o644),
        };
        match (node.mode, node.uid, node.gid) {
            (default, 0, 0) if default == mode => text,
            (mode, 0, 0) => format!("{text}@{mode:o}"),
            (mode, uid, gid) => format!("{text}@{mode:o},{uid},{gid}"),
        }
    }

    /// All files of an image; the root only if it is not as it was in the beginning.
    fn lines(tree: &Tree) -> Vec<String> {
        let mut lines = Vec::new();
        let mut left = vec![(String::new(), tree.get(b"").unwrap())];
        while let Some((name, node)) = left.pop() {
            lines.push(line(&name, node));
            let below: Vec<_> = node
                .children()
                .map(|(base, node)| (join(name.as_bytes(), base).escape_ascii().to_string(), node))
                .collect();
            left.extend(below.into_iter().rev());
        }
        lines.retain(|line| line != "/");
        lines
    }

    #[track_caller]
    fn check(layers: &[&str], expected: &str) {
        assert_eq!(lines(&tree(layers)).join(" "), expected);
    }

    /// The error of the last layer, and that it changes nothing.
    #[track_caller]
    fn check_error(layers: &[&str], expected: &str) {
        let (last, lower) = layers.split_last().unwrap();
        let mut tree = tree(lower);
        let before = lines(&tree);
        assert_eq!(put(&mut tree, last).unwrap_err().to_string(), expected);
        assert_eq!(lines(&tree), before);
    }

    #[track_caller]
    fn check_read_error(members: &str, expected: &str) {
        let tar = tar(members);
        let errors = [LayerTree::read(Cursor::new(&tar)), LayerTree::read_stream(&tar[..], &Allowance::default())]
            .map(Result::unwrap_err);
        for error in errors {
            assert_eq!(error.kind(), std::io::ErrorKind::InvalidData);
            assert_eq!(error.to_string(), format!("not a good tar: header at byte {expected}"));
        }
    }

    #[test]
    fn one_layer() {
        check(&[], "");
        check(&[""], "");
        check(&["b=700 a/ a/c a/b->/x a/p|"], "a/ a/b->/x a/c a/p| b=700");
        check(&["./ ./a/@700,5,6 /b@4755,7,0"], "a/@700,5,6 b@4755,7,0");
        check(&["./@700,1,2"], "/@700,1,2");
        check(&["a/b/c=5 a-b"], "a/ a/b/ a/b/c=5 a-b");
        let tree = tree(&["a/b/c=5"]);
        let found =
            ["", "a", "a/b/c", "b", "a/c", "a/b/c/d", "/a", "a/"].map(|name| tree.get(name.as_bytes()).is_some());
        assert_eq!(found, [true, true, true, false, false, false, false, false]);
    }

    #[test]
    fn the_last_member_of_a_name_stands() {
        check(&["a=5 a=6@600"], "a=6@600");
        check(&["a/ a/b a/@700"], "a/@700 a/b");
        check(&["a/b a/@700 a/c"], "a/@700 a/b a/c");
        check(&["a/ a/b a=5"], "a=5");
        check(&["a=5@600 a/b"], "a/ a/b");
        check(&["a->x a/"], "a/");
    }

    #[test]
    fn layers_over_layers() {
        check(&["a/ a/b=1 c=1", "a/ a/d=2 c=2"], "a/ a/b=1 a/d=2 c=2");
        check(&["a/@700 a/b", "a/c"], "a/@700 a/b a/c");
        check(&["a/@700 a/b", "a/@711,1,1 a/c"], "a/@711,1,1 a/b a/c");
        check(&["a/b", "a/@700", "a/c"], "a/@700 a/b a/c");
        check(&["./@700", "a"], "/@700 a");
        check(&["a/ a/b a/c/d", "a=3"], "a=3");
        check(&["a=3", "a/b"], "a/ a/b");
        check(&["bin->usr/bin usr/bin/sh", "bin/ls"], "bin/ bin/ls usr/ usr/bin/ usr/bin/sh");
    }

    #[test]
    fn whiteouts_hide_lower_layers() {
        let lower = "a/@700 a/b a/c/d e";
        check(&[lower, ".wh.a"], "e");
        check(&[lower, "a/.wh.b"], "a/@700 a/c/ a/c/d e");
        check(&[lower, "a/.wh.c .wh.e .wh.x"], "a/@700 a/b");
        check(&[lower, "a/.wh..wh..opq"], "a/@700 e");
        check(&[lower, ".wh..wh..opq"], "");
        check(&[lower, ".wh.a", "a/"], "a/ e");
        check(&[lower, ".wh.a/ .wh.e->x"], "");
        for upper in ["a/x .wh.a", ".wh.a a/x", "a/.wh.b .wh.a a/.wh.x a/x"] {
            check(&[lower, upper], "a/ a/x e");
        }
        for upper in ["a/x a/.wh..wh..opq", "a/.wh..wh..opq a/x", "a/.wh..wh..opq a/.wh.x a/x"] {
            check(&[lower, upper], "a/@700 a/x e");
        }
    }

    #[test]
    fn layers_alone() {
        check_alone("", "");
        check_alone("a=1 b=>a d/c->x", "a=1 b=1 d/ d/c->x");
        check_alone(".wh.a d/.wh.b d/c", "a! d/ d/b! d/c");
        check_alone("d/.wh..wh..opq d/x .wh..wh..opq", "/! d/! d/x");
        // What is hidden and there anew.
        check_alone(".wh.a a=1 .wh.d d/x", "a=1 d/! d/x");
        check_alone("a=1 a/.wh.b a/.wh..wh..opq", "a=1");
        check_alone(".wh..wh.aufs .wh..wh.plnk/7.8=5 b=>.wh..wh.plnk/7.8", "b=5");
        let error = LayerTree::read(Cursor::new(tar("b=>c"))).unwrap().alone().unwrap_err().to_string();
        assert_eq!(error, "cannot link: b: found the target c, expected a file of this layer or of a lower one");
    }

    #[test]
    fn directories_of_whiteouts_are_there() {
        check(&["x/.wh.b"], "x/");
        check(&["x/y/.wh..wh..opq"], "x/ x/y/");
        check(&["bin->usr/bin", "bin/.wh.sh"], "bin/");
        for upper in ["x=1 x/.wh.b x/y/.wh..wh..opq", "x/.wh.b x/y/.wh..wh..opq x=1"] {
            check(&["x/b", upper], "x=1");
        }
    }

    #[test]
    fn notes_of_aufs_are_no_files() {
        check(&["a", ".wh..wh.aufs .wh..wh.orph/ .wh..wh.plnk/ .wh..wh.plnk/.wh..wh..opq b"], "a b");
        check(&["d/.wh..wh.plnk/7.8=5 d/.wh..wh..opq/x"], "d/");
        check(&[".wh..wh.plnk/ .wh..wh.plnk/7.8=5@600 b=>.wh..wh.plnk/7.8"], "b=5@600");
    }

    #[test]
    fn hard_links_are_files() {
        check(&["a=5@600,1,2 b=>a c=>/./a"], "a=5@600,1,2 b=5@600,1,2 c=5@600,1,2");
        check(&["b=>a d/c=>b a=5"], "a=5 b=5 d/ d/c=5");
        check(&["a=5 b->x c=>b d|", "e=>c f=>d g=>a"], "a=5 b->x c->x d| e->x f| g=5");
        check(&["a=5", "a=6 b=>a"], "a=6 b=6");
        check(&["a=5", ".wh.a b=>a"], "b=5");
        check(&["a=5 b=>a b=7"], "a=5 b=7");
        check(&["a=5 b=>a b/c"], "a=5 b/ b/c");
        check(&["a=5 b=>a b=>a c=>b"], "a=5 b=5 c=5");
    }

    #[test]
    fn hard_links_of_no_file() {
        let expected = "expected a file of this layer or of a lower one";
        check_error(&["a", "b=>c"], &format!("cannot link: b: found the target c, {expected}"));
        check_error(&["a", ".wh.a", "c b=>a"], &format!("cannot link: b: found the target a, {expected}"));
        check_error(&["a/x", "d/b=>a"], "cannot link: d/b: found the target a, which is a directory, expected a file");
        check_error(&["a=>b b=>c c=>a"], "cannot link: a: found the target b, which leads back to the link");
        check_error(&["a", "a=>a"], "cannot link: a: found the target a, which leads back to the link");
    }

    #[test]
    fn members_that_no_image_can_hold() {
        check_read_error("../etc/passwd", "0: found the name ../etc/passwd, which leads out of the image");
        check_read_error("a a/../../b\u{7f}", "512: found the name a/../../b\\x7f, which leads out of the image");
        check_read_error("a=>/../b", "0: found the hard link target /../b, which leads out of the image");
        check_read_error("./.", "0: found a file with the name of the root, expected a directory");
        for name in ["d/.wh.", "d/.wh..", "d/.wh..."] {
            check_read_error(name, &format!("0: found the whiteout {name}, which names no file"));
        }
        let long = "n".repeat(4097);
        check_read_error(&long, "5120: a name: found 4097 bytes, expected at most 4096 (limit name)");
    }

    #[test]
    fn names_of_too_many_directories() {
        for ending in ["x", ".wh.x"] {
            let deep = |index: usize| format!("{index}/{}{ending} ", "a/".repeat(2000));
            let read = |count: usize| LayerTree::read(Cursor::new(tar(&(0..count).map(deep).collect::<String>())));
            assert!(read(100).is_ok(), "{ending}");
            let error = read(130).unwrap_err().to_string();
            let expected = "directories that no header describes, expected at most 250000 (limit implied-directories)";
            assert!(error.ends_with(expected), "{error}");
        }
        // Those that have a header count nothing.
        let directories: String = (0..300).flat_map(|a| (0..1000).map(move |b| format!("{a}/{b}/ "))).collect();
        assert!(LayerTree::read(Cursor::new(tar(&directories))).is_ok());
    }

    /// A million files, named as on an installed Debian and ten in a directory, are within the default limit, with another
    /// hundred thousand on top. A hundredth of them is read.
    #[test]
    fn a_million_files_are_within_the_limits() {
        let directory = |index: usize| format!("usr/share/directory{index:06}/ ");
        let file = |index: usize| format!("usr/share/directory{:06}/file-{index:07}.conf.gz ", index / 10);
        let members: String = (0..1_100).map(directory).chain((0..11_000).map(file)).collect();
        let limits = Limits::default();
        let hundredth = limits.most(Limit::Headers) / 100;
        let read = |most| {
            let allowance = Allowance::new(limits.with(Limit::Headers, most));
            LayerTree::read_nth(Cursor::new(tar(&members)), 0, &allowance).map(drop)
        };
        read(hundredth).unwrap();
        // It is what they take, and not much more.
        assert!(read(hundredth * 8 / 10).is_err());
    }

    /// On a stack that would not hold a call for each directory.
    #[test]
    fn deep_directories() {
        let work = || {
            let deep = "a/".repeat(2045);
            let tree = tree(&[&format!("{deep}a"), &format!("{deep}b"), &format!("{deep}.wh.a")]);
            assert_eq!(lines(&tree).len(), 2046);
            assert!(tree.get(format!("{deep}b").as_bytes()).is_some());
            assert!(format!("{tree:?}").contains("1 files"));
        };
        std::thread::Builder::new().stack_size(64 << 10).spawn(work).unwrap().join().unwrap();
    }

    /// Paths and what is there, with the mode.
    type Model = BTreeMap<String, (Kind, u32)>;

    #[derive(Clone, Debug)]
    enum Op {
        Directory(u32),
        File(u64),
        Link,
        Whiteout,
        Opaque,
    }

    fn is_at_or_below(path: &str, directory: &str) -> bool {
        directory.is_empty() || path == directory || path.starts_with(&format!("{directory}/"))
    }

    fn ancestors(path: &str) -> impl Iterator<Item = &str> {
        path.match_indices('/').map(|(slash, _)| &path[..slash])
    }

    /// A layer over a model, slowly.
    fn put_naively(model: &mut Model, layer: &[(String, Op)]) {
        let mut own: BTreeMap<String, (Kind, Option<u32>)> = BTreeMap::new();
        for (path, op) in layer {
            match op {
                Op::Whiteout => model.retain(|other, _| !is_at_or_below(other, path)),
                Op::Opaque => model.retain(|other, _| other == path || !is_at_or_below(other, path)),
                _ => {}
            }
        }
        for (path, op) in layer {
            let file = match op {
                Op::Directory(mode) => (Kind::Directory, Some(*mode)),
                Op::File(size) => (Kind::File { size: *size }, Some(0o644)),
                Op::Link => (Kind::Symlink { target: b"a"[..].into() }, Some(0o777)),
                Op::Whiteout | Op::Opaque => continue,
            };
            for directory in ancestors(path) {
                if own.get(directory).is_none_or(|(kind, _)| *kind != Kind::Directory) {
                    own.insert(directory.to_owned(), (Kind::Directory, None));
                }
            }
            if file.0 != Kind::Directory {
                own.retain(|other, _| !is_at_or_below(other, path));
            }
            own.insert(path.clone(), file);
        }
        for (path, op) in layer {
            let itself = matches!(op, Op::Opaque).then_some(&**path);
            let directories = ancestors(path).chain(itself).filter(|_| matches!(op, Op::Whiteout | Op::Opaque));
            for directory in directories {
                if own.entry(directory.to_owned()).or_insert((Kind::Directory, None)).0 != Kind::Directory {
                    break;
                }
            }
        }
        for (path, (kind, mode)) in own {
            let existing = model.get(&path).filter(|(old, _)| kind == Kind::Directory && *old == kind);
            let mode = mode.or(existing.map(|(_, mode)| *mode)).unwrap_or(0o755);
            if existing.is_none() {
                model.retain(|other, _| !is_at_or_below(other, &path));
            }
            model.insert(path, (kind, mode));
        }
    }

    fn words(layer: &[(String, Op)]) -> String {
        let word = |(path, op): &(String, Op)| {
            let whiteout = path.rsplit_once('/').map_or(format!(".wh.{path}"), |(f, base)| format!("{f}/.wh.{base}"));
            match op {
                Op::Directory(mode) => format!("{path}/@{mode:o}"),
                Op::File(size) => format!("{path}={size}"),
                Op::Link => format!("{path}->a"),
                Op::Whiteout => whiteout,
                Op::Opaque => format!("{path}/.wh..wh..opq"),
            }
        };
        layer.iter().map(word).collect::<Vec<_>>().join(" ")
    }

    /// Few names, so that they meet; one sorts between a directory's name and what is below it.
    fn layers() -> impl Strategy<Value = Vec<Vec<(String, Op)>>> {
        let name = prop::collection::vec(prop::sample::select(vec!["a", "a-", "b"]), 1..4).prop_map(|n| n.join("/"));
        let op = prop_oneof![
            3 => prop::sample::select(vec![0o700, 0o755]).prop_map(Op::Directory),
            3 => (0_u64..3).prop_map(Op::File),
            1 => Just(Op::Link),
            2 => Just(Op::Whiteout),
            1 => Just(Op::Opaque),
        ];
        prop::collection::vec(prop::collection::vec((name, op), 0..8), 0..4)
    }

    fn is_file(op: &Op) -> bool {
        !matches!(op, Op::Whiteout | Op::Opaque)
    }

    proptest! {
        #[test]
        fn as_a_naive_model(layers in layers()) {
            let mut model = Model::new();
            let mut tree = Tree::default();
            for layer in &layers {
                put_naively(&mut model, layer);
                put(&mut tree, &words(layer)).unwrap();
            }
            let expected: Vec<String> = model
                .into_iter()
                .map(|(path, (kind, mode))| line(&path, &Node { kind, mode, ..Node::implied() }))
                .collect();
            let mut found = lines(&tree);
            prop_assert_eq!(&lines(&flattened(&layers.iter().map(|layer| words(layer)).collect::<Vec<_>>())), &found);
            found.sort_by(|a, b| path(a).cmp(path(b)));
            prop_assert_eq!(found, expected);
        }

        #[test]
        fn the_order_of_members_does_not_matter(
            (lower, upper, mixed) in layers().prop_map(|layers| {
                let mut layers = layers.into_iter();
                let lower = layers.next().unwrap_or_default();
                // One member of each name, one whiteout of each.
                let upper: BTreeMap<_, _> =
                    layers.flatten().map(|(name, op)| ((name.clone(), is_file(&op)), (name, op))).collect();
                (lower, upper.into_values().collect::<Vec<_>>())
            }).prop_flat_map(|(lower, upper)| (Just(lower), Just(upper.clone()), Just(upper).prop_shuffle())),
        ) {
            // Files stay behind the directories that they are in.
            let mut files: Vec<_> = mixed.iter().filter(|(_, op)| is_file(op)).collect();
            files.sort_by_key(|(name, _)| ancestors(name).count());
            let mut files = files.into_iter();
            let mixed: Vec<_> = mixed
                .iter()
                .map(|member| if is_file(&member.1) { files.next().unwrap() } else { member })
                .cloned()
                .collect();
            let [expected, found] = [upper, mixed].map(|upper| lines(&tree(&[&words(&lower), &words(&upper)])));
            prop_assert_eq!(found, expected);
        }
    }

    /// The path of a line.
    fn path(line: &str) -> &str {
        let line = line.split(['=', '@']).next().unwrap();
        let line = line.split("->").next().unwrap();
        line.strip_suffix('/').unwrap_or(line)
    }
}
