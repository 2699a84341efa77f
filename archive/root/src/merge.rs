//! Contents merged into one tree, as lndir does it: folders are made, regular files become links to themselves, links
//! are copied with their text, and where two items disagree the first one wins.
//!
//! The items are read and merged in memory before anything is written, so that conflicts are known first. Two entries
//! of one name agree when they come out the same: two folders (which are merged), or two links of the same text.
//! Everything else is a conflict, a folder against a link too; the loser is left out with all that is below it.
//!
//! No name is passed over. (lndir leaves out version control folders and names that end in `~`.)

use crate::item::{describe, folder_of};
use crate::{Error, Result};
use layerstone_layer::Entry as Member;
use layerstone_stage::{Store, StorePath};
use std::collections::BTreeMap;
use std::collections::btree_map::Entry as Slot;
use std::ffi::OsString;
use std::fmt;
use std::fs::{DirBuilder, Permissions};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

/// Mode of every folder of the tree, whatever the items' folders have (the store's are 0555) and the umask says.
const FOLDER_MODE: u32 = 0o755;

/// Two contents items that disagree about a name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Conflict {
    /// The name, relative to the root of the layer.
    pub path: PathBuf,
    /// Logical path of what the layer has.
    pub kept: PathBuf,
    /// Logical path of what it has not.
    pub ignored: PathBuf,
}

impl fmt::Display for Conflict {
    /// `bin/x: /nix/store/a/bin/x kept, /nix/store/b/bin/x ignored`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Conflict { path, kept, ignored } = self;
        write!(f, "{}: {} kept, {} ignored", path.display(), kept.display(), ignored.display())
    }
}

/// Contents as they will be written.
#[derive(Debug)]
pub struct Merged {
    root: Folder,
    /// What disagreed, in the order of the contents and then of the paths.
    pub conflicts: Vec<Conflict>,
}

/// A folder's entries by name, in byte order.
type Folder = BTreeMap<OsString, Entry>;

/// An entry of the tree.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Entry {
    /// Index of the contents item that it comes from, of the first one for a folder.
    item: usize,
    node: Node,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Node {
    Folder(Folder),
    /// A symbolic link and its text.
    Link(PathBuf),
}

/// Reads contents and merges them.
pub fn merge(store: &Store, contents: &[StorePath]) -> Result<Merged> {
    let mut items = Vec::with_capacity(contents.len());
    for (index, item) in contents.iter().enumerate() {
        items.push(read(&folder_of(store, item)?, Path::new(item.as_str()), index)?);
    }
    Ok(merge_items(items, contents))
}

impl Merged {
    /// Writes the tree into an empty folder, and gives that folder the mode of the others.
    pub fn write(&self, folder: &Path) -> Result<()> {
        set_mode(folder)?;
        write(&self.root, folder)
    }

    /// The tree as it would be written, as members of a tar, each folder before its contents.
    pub fn members(&self) -> Vec<Member> {
        let mut members = vec![Member::directory(b".", FOLDER_MODE)];
        list(&self.root, b".", &mut members);
        members
    }
}

/// Reads the folder `real` of the item with this index; `logical` is what links to its files say.
fn read(real: &Path, logical: &Path, item: usize) -> Result<Folder> {
    let mut folder = Folder::new();
    for entry in real.read_dir().map_err(Error::io("read", real))? {
        let entry = entry.map_err(Error::io("read", real))?;
        let (real, logical) = (entry.path(), logical.join(entry.file_name()));
        let kind = entry.file_type().map_err(Error::io("read", &real))?;
        let node = if kind.is_dir() {
            Node::Folder(read(&real, &logical, item)?)
        } else if kind.is_symlink() {
            Node::Link(real.read_link().map_err(Error::io("read", &real))?)
        } else if kind.is_file() {
            Node::Link(logical)
        } else {
            return Err(Error::Special { path: logical, found: describe(kind) });
        };
        folder.insert(entry.file_name(), Entry { item, node });
    }
    Ok(folder)
}

/// Merges what was read of the contents, the first item winning.
fn merge_items(items: Vec<Folder>, contents: &[StorePath]) -> Merged {
    let mut merged = Merged { root: Folder::new(), conflicts: Vec::new() };
    for item in items {
        let conflicts = &mut merged.conflicts;
        merge_folder(&mut merged.root, item, &mut PathBuf::new(), &mut |path, kept, ignored| {
            let logical = |item: usize| Path::new(contents[item].as_str()).join(path);
            conflicts.push(Conflict { path: path.to_owned(), kept: logical(kept), ignored: logical(ignored) });
        });
    }
    merged
}

/// Adds the entries of `from` to `into`, the folder at `path`, and tells the path and the two items of each conflict.
fn merge_folder(into: &mut Folder, from: Folder, path: &mut PathBuf, conflict: &mut impl FnMut(&Path, usize, usize)) {
    for (name, ours) in from {
        path.push(&name);
        match into.entry(name) {
            Slot::Vacant(slot) => {
                slot.insert(ours);
            }
            Slot::Occupied(mut slot) => {
                let theirs = slot.get_mut();
                match (&mut theirs.node, ours.node) {
                    (Node::Folder(theirs), Node::Folder(ours)) => merge_folder(theirs, ours, path, conflict),
                    (Node::Link(theirs), Node::Link(ours)) if same_text(theirs, &ours) => {}
                    _ => conflict(path, theirs.item, ours.item),
                }
            }
        }
        path.pop();
    }
}

/// Whether two link texts are the same bytes. (Paths compare by component: `a//b` equals `a/b`.)
fn same_text(a: &Path, b: &Path) -> bool {
    a.as_os_str() == b.as_os_str()
}

fn write(entries: &Folder, folder: &Path) -> Result<()> {
    for (name, entry) in entries {
        let path = folder.join(name);
        match &entry.node {
            Node::Link(text) => symlink(text, &path).map_err(Error::io("link", &path))?,
            Node::Folder(entries) => {
                DirBuilder::new().mode(FOLDER_MODE).create(&path).map_err(Error::io("make", &path))?;
                set_mode(&path)?;
                write(entries, &path)?;
            }
        }
    }
    Ok(())
}

fn list(entries: &Folder, folder: &[u8], members: &mut Vec<Member>) {
    for (name, entry) in entries {
        let path = [folder, b"/", name.as_bytes()].concat();
        match &entry.node {
            Node::Link(text) => {
                members.push(Member::symlink(&path, text.as_os_str().as_bytes()));
            }
            Node::Folder(entries) => {
                members.push(Member::directory(&path, FOLDER_MODE));
                list(entries, &path, members);
            }
        }
    }
}

fn set_mode(folder: &Path) -> Result<()> {
    std::fs::set_permissions(folder, Permissions::from_mode(FOLDER_MODE)).map_err(Error::io("make", folder))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    /// Makes items of a store below a root from lines `ITEM/PATH` (a folder if it ends in a slash) and `ITEM/PATH -> TEXT`.
    fn store(lines: &[&str]) -> (tempfile::TempDir, Store) {
        let dir = tempfile::tempdir().unwrap();
        for line in lines {
            let (path, text) = line.split_once(" -> ").map_or((*line, None), |(path, text)| (path, Some(text)));
            let real = dir.path().join("nix/store").join(path);
            std::fs::create_dir_all(real.parent().unwrap()).unwrap();
            match text {
                Some(text) => symlink(text, &real).unwrap(),
                None if path.ends_with('/') => std::fs::create_dir_all(&real).unwrap(),
                None => std::fs::write(&real, "").unwrap(),
            }
        }
        let store = Store::new("/nix/store", dir.path()).unwrap();
        (dir, store)
    }

    fn merge_named(store: &Store, items: &[&str]) -> Result<Merged> {
        merge(store, &items.iter().map(|base| store.entry(base).unwrap()).collect::<Vec<_>>())
    }

    /// The tree as lines, each folder's with a slash at its end.
    fn lines_of(folder: &Folder, at: &str, lines: &mut Vec<String>) {
        for (name, entry) in folder {
            let path = format!("{at}{}", name.display());
            match &entry.node {
                Node::Link(text) => lines.push(format!("{path} -> {}", text.display())),
                Node::Folder(entries) => {
                    lines.push(format!("{path}/"));
                    lines_of(entries, &format!("{path}/"), lines);
                }
            }
        }
    }

    #[track_caller]
    fn check(lines: &[&str], items: &[&str], tree: &[&str], conflicts: &[&str]) {
        let (_dir, store) = store(lines);
        let merged = merge_named(&store, items).unwrap();
        let mut found = Vec::new();
        lines_of(&merged.root, "", &mut found);
        assert_eq!(found, tree);
        assert_eq!(merged.conflicts.iter().map(Conflict::to_string).collect::<Vec<_>>(), conflicts);
    }

    #[test]
    fn files_become_links_and_links_keep_their_text() {
        check(
            &["a/bin/x", "a/bin/y -> ../lib//y", "a/bin/z -> /nix/store/c/z", "a/empty/", "b/bin/w~", "b/CVS/q"],
            &["a", "b"],
            &[
                "CVS/",
                "CVS/q -> /nix/store/b/CVS/q",
                "bin/",
                "bin/w~ -> /nix/store/b/bin/w~",
                "bin/x -> /nix/store/a/bin/x",
                "bin/y -> ../lib//y",
                "bin/z -> /nix/store/c/z",
                "empty/",
            ],
            &[],
        );
    }

    #[test]
    fn the_first_one_wins() {
        let lines = [
            "a/bin/x",
            "b/bin/x",
            "c/bin/x -> /nix/store/a/bin/x",
            "b/bin/y -> y",
            "c/bin/y -> ./y",
            "a/d/e/f",
            "c/d/e",
        ];
        check(
            &lines,
            &["a", "b", "c"],
            &["bin/", "bin/x -> /nix/store/a/bin/x", "bin/y -> y", "d/", "d/e/", "d/e/f -> /nix/store/a/d/e/f"],
            &[
                "bin/x: /nix/store/a/bin/x kept, /nix/store/b/bin/x ignored",
                "bin/y: /nix/store/b/bin/y kept, /nix/store/c/bin/y ignored",
                "d/e: /nix/store/a/d/e kept, /nix/store/c/d/e ignored",
            ],
        );
        check(
            &lines,
            &["c", "a"],
            &["bin/", "bin/x -> /nix/store/a/bin/x", "bin/y -> ./y", "d/", "d/e -> /nix/store/c/d/e"],
            &["d/e: /nix/store/c/d/e kept, /nix/store/a/d/e ignored"],
        );
    }

    #[test]
    fn an_item_may_be_a_link_and_names_itself() {
        let lines = ["a/bin/x", "b -> /nix/store/a"];
        check(&lines, &["b"], &["bin/", "bin/x -> /nix/store/b/bin/x"], &[]);
        let conflict = ["bin/x: /nix/store/a/bin/x kept, /nix/store/b/bin/x ignored"];
        check(&lines, &["a", "b"], &["bin/", "bin/x -> /nix/store/a/bin/x"], &conflict);
    }

    #[test]
    fn what_cannot_be_merged() {
        let (dir, store) = store(&["file", "a/x/"]);
        let error = merge_named(&store, &["file"]).unwrap_err().to_string();
        assert_eq!(error, "cannot merge: /nix/store/file: found a regular file, expected a folder");
        std::os::unix::net::UnixListener::bind(dir.path().join("nix/store/a/x/s")).unwrap();
        let error = merge_named(&store, &["a"]).unwrap_err().to_string();
        let expected = "found a socket, expected a folder, a regular file or a symbolic link";
        assert_eq!(error, format!("cannot merge: /nix/store/a/x/s: {expected}"));
    }

    #[test]
    fn names_are_bytes_and_modes_are_fixed() {
        let (dir, store) = store(&["a/new\nline/x"]);
        let item = dir.path().join("nix/store/a");
        let name = OsString::from(std::ffi::OsStr::from_bytes(b"latin1-\xe9"));
        std::fs::write(item.join("new\nline").join(&name), "").unwrap();
        std::fs::set_permissions(item.join("new\nline"), Permissions::from_mode(0o555)).unwrap();
        let out = tempfile::tempdir().unwrap();
        merge_named(&store, &["a"]).unwrap().write(out.path()).unwrap();
        let text = std::fs::read_link(out.path().join("new\nline").join(&name)).unwrap();
        assert_eq!(text.as_os_str().as_bytes(), b"/nix/store/a/new\nline/latin1-\xe9");
        for folder in ["", "new\nline"] {
            assert_eq!(out.path().join(folder).metadata().unwrap().permissions().mode() & 0o7777, 0o755);
        }
    }

    /// Items as folders of few names, so that they disagree often.
    fn items() -> impl Strategy<Value = Vec<Folder>> {
        let link = "[ab]".prop_map(|text| Node::Link(PathBuf::from(text)));
        let node = link.prop_recursive(3, 12, 3, |inner| {
            proptest::collection::btree_map("[abc]", inner, 0..3).prop_map(|nodes| {
                let entry = |(name, node): (String, Node)| (OsString::from(name), Entry { item: 0, node });
                Node::Folder(nodes.into_iter().map(entry).collect())
            })
        });
        let folder = proptest::collection::btree_map("[abc]", node, 0..3);
        proptest::collection::vec(folder, 0..4).prop_map(|items| {
            let named = |index: usize, folder: BTreeMap<String, Node>| {
                let mut folder: Folder =
                    folder.into_iter().map(|(name, node)| (name.into(), Entry { item: index, node })).collect();
                number(&mut folder, index);
                folder
            };
            items.into_iter().enumerate().map(|(index, folder)| named(index, folder)).collect()
        })
    }

    fn number(folder: &mut Folder, index: usize) {
        for entry in folder.values_mut() {
            entry.item = index;
            if let Node::Folder(inner) = &mut entry.node {
                number(inner, index);
            }
        }
    }

    fn lines(folder: &Folder) -> Vec<String> {
        let mut found = Vec::new();
        lines_of(folder, "", &mut found);
        found
    }

    proptest! {
        #[test]
        fn every_line_has_its_place_or_a_conflict(items in items()) {
            let contents: Vec<_> = (0..items.len()).map(|i| StorePath::parse(&format!("/s/{i}")).unwrap()).collect();
            let merged = merge_items(items.clone(), &contents);
            let tree: BTreeSet<String> = lines(&merged.root).into_iter().collect();
            let mut from_items = BTreeSet::new();
            for (index, item) in items.iter().enumerate() {
                for line in lines(item) {
                    let path = format!("/s/{index}/{}", line.split(" -> ").next().unwrap());
                    let ignored = merged.conflicts.iter().any(|c| Path::new(&path).starts_with(&c.ignored));
                    prop_assert!(tree.contains(&line) || ignored, "{line} of {index}");
                    prop_assert!(index > 0 || !ignored, "the first item loses nothing");
                    from_items.insert(line);
                }
            }
            prop_assert!(tree.is_subset(&from_items), "nothing comes from nowhere");
            let twice = merge_items([items.clone(), items].concat(), &[contents.clone(), contents].concat());
            prop_assert_eq!(lines(&twice.root), lines(&merged.root));
        }
    }
}
