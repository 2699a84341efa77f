//! Merges contents into one tree, in the order of the contents.
//!
//! The items are read and merged in memory before anything is written, so that all conflicts are listed first. A directory
//! and something else cannot have one name; directories are merged. What else has one name:
//!
//! - With [`RootMode::Links`], as lndir does it, the first one wins. Two links of the same text agree; others are a
//!   conflict.
//! - With the other modes, as `rsync` does it, the last one wins; see [`crate::merge_rsync`].

use crate::load::load;
use crate::merge_rsync::merge_as_rsync;
use crate::tree::{Entry, FileTree, Node};
use crate::{Conflict, Result};
use layerstone_spec::RootMode;
use layerstone_store::{Store, StorePath};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// What the root of a copied tree gets besides its mode: `chmod ug+w layer` in dockerTools.
const WRITABLE: u32 = 0o220;

/// Contents as they will be written.
#[derive(Debug, Default)]
pub struct Merged {
    /// The files of the layer.
    pub tree: FileTree,
    /// What disagreed, in the order of the contents and then of the paths; links with [`RootMode::Links`], and
    /// modes with the others.
    pub conflicts: Vec<Conflict>,
    /// Files that were copied and whose libraries are wanted.
    pub programs: BTreeSet<PathBuf>,
}

/// Reads contents and merges them.
pub fn merge(store: &Store, contents: &[StorePath], mode: RootMode) -> Result<Merged> {
    let mut merged = Merged::default();
    for path in contents {
        let item = load(store, path, mode)?;
        match mode {
            RootMode::Links => merged.add_links(item)?,
            _ => {
                let Merged { tree, conflicts, .. } = &mut merged;
                merge_as_rsync(tree, conflicts, item, mode == RootMode::CopyKeepingDirlinks)?;
            }
        }
    }
    let root = merged.tree.0.entry("".into()).or_insert_with(|| Entry::directory(Path::new("")));
    if mode != RootMode::Links
        && let Node::Directory { mode: bits, .. } = &mut root.node
    {
        *bits |= WRITABLE;
    }
    Ok(merged)
}

impl Merged {
    /// Adds the entries of an item, the first one of a name winning.
    fn add_links(&mut self, item: FileTree) -> Result<()> {
        for (path, entry) in item.0 {
            self.tree.add(&path, entry, |existing, ours| {
                if !ours.is_directory() && !same_text(existing.text(), ours.text()) {
                    self.conflicts.push(existing.conflict(&path, &ours));
                }
                Ok(())
            })?;
        }
        Ok(())
    }
}

/// Whether two link texts are the same bytes. (Paths compare by component: `a//b` equals `a/b`.)
pub fn same_text(a: Option<&Path>, b: Option<&Path>) -> bool {
    a.map(Path::as_os_str) == b.map(Path::as_os_str)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::{paths, store};
    use crate::tree::{self, lines};
    use proptest::prelude::*;
    use std::ffi::OsString;
    use std::fs::Permissions;
    use std::os::unix::ffi::OsStrExt;
    use std::os::unix::fs::PermissionsExt;

    fn merge_named(store: &Store, items: &[&str]) -> Result<Merged> {
        merge(store, &paths(store, items), RootMode::Links)
    }

    #[track_caller]
    fn check(lines: &[&str], items: &[&str], expected: &[&str], conflicts: &[&str]) {
        let (_dir, store) = store(lines);
        let merged = merge_named(&store, items).unwrap();
        assert_eq!(tree::lines(&merged.tree), expected);
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
        let lines =
            ["a/bin/x", "b/bin/x", "c/bin/x -> /nix/store/a/bin/x", "b/bin/y -> y", "c/bin/y -> ./y", "a/d/e/f"];
        check(
            &lines,
            &["a", "b", "c"],
            &["bin/", "bin/x -> /nix/store/a/bin/x", "bin/y -> y", "d/", "d/e/", "d/e/f -> /nix/store/a/d/e/f"],
            &[
                "bin/x: /nix/store/a/bin/x kept, /nix/store/b/bin/x ignored",
                "bin/y: /nix/store/b/bin/y kept, /nix/store/c/bin/y ignored",
            ],
        );
    }

    #[track_caller]
    fn check_error(lines: &[&str], items: &[&str], expected: &str) {
        let (_dir, store) = store(lines);
        assert_eq!(merge_named(&store, items).unwrap_err().to_string(), expected);
    }

    #[test]
    fn a_directory_and_something_else_disagree() {
        let lines = ["a/d/e/f", "b/d/e", "c/d/e -> x", "d/d/e/g"];
        let (directory, file) = ("/nix/store/a/d/e is a directory", "/nix/store/b/d/e a regular file");
        check_error(&lines, &["a", "b"], &format!("contents disagree: d/e: {directory}, {file}"));
        check_error(
            &lines,
            &["d", "a", "c"],
            "contents disagree: d/e: /nix/store/d/d/e is a directory, /nix/store/c/d/e a symbolic link",
        );
        check_error(
            &lines,
            &["b", "a"],
            "contents disagree: d/e: /nix/store/b/d/e is a regular file, /nix/store/a/d/e a directory",
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
        assert_eq!(error, "cannot merge: /nix/store/file: found a regular file, expected a directory");
        std::os::unix::net::UnixListener::bind(dir.path().join("nix/store/a/x/s")).unwrap();
        let error = merge_named(&store, &["a"]).unwrap_err().to_string();
        let expected = "found a socket, expected a directory, a regular file or a symbolic link";
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
        let opened = layerstone_store::Directory::open(out.path()).unwrap();
        merge_named(&store, &["a"]).unwrap().tree.write(&opened, out.path(), layerstone_store::open_regular).unwrap();
        let text = std::fs::read_link(out.path().join("new\nline").join(&name)).unwrap();
        assert_eq!(text.as_os_str().as_bytes(), b"/nix/store/a/new\nline/latin1-\xe9");
        for directory in ["", "new\nline"] {
            assert_eq!(out.path().join(directory).metadata().unwrap().permissions().mode() & 0o7777, 0o755);
        }
    }

    /// A tree of few names, so that two disagree often; large letters are directories, small ones links. Its entries come
    /// from items of `/s`.
    fn tree() -> impl Strategy<Value = FileTree> {
        let directory = proptest::collection::vec("[DE]", 0..4).prop_map(|names| names.iter().collect::<PathBuf>());
        let links = proptest::collection::vec((directory.clone(), "[abc]", "[xy]"), 0..12);
        (links, proptest::collection::vec(directory, 0..3)).prop_map(|(links, directories)| {
            let mut tree = FileTree::new(Path::new(""));
            directories.iter().for_each(|path| tree.make_directories(path, Path::new("")).unwrap());
            for (directory, name, text) in links {
                tree.make_directories(&directory, Path::new("")).unwrap();
                let link = Node::Link(Path::new(&text).into());
                tree.0.insert(directory.join(name), Entry::new(Path::new(""), link));
            }
            tree
        })
    }

    /// Gives all entries of a tree their sources, below this one.
    fn name(tree: &mut FileTree, source: &Path) {
        tree.0.iter_mut().for_each(|(path, entry)| entry.source = source.join(path).into());
    }

    fn merge_all(items: &[FileTree]) -> (Vec<String>, Vec<Conflict>) {
        let mut merged = Merged::default();
        items.iter().for_each(|item| merged.add_links(item.clone()).unwrap());
        (lines(&merged.tree), merged.conflicts)
    }

    /// As deep as no path of Linux is.
    #[test]
    fn depth_is_no_matter() {
        let deep = |text: &str| {
            let mut tree = FileTree::new(Path::new("/s"));
            let directory = PathBuf::from(vec!["d"; 3000].join("/"));
            tree.make_directories(&directory, Path::new("/s")).unwrap();
            tree.0.insert(directory.join("l"), Entry::new(Path::new("/s/l"), Node::Link(Path::new(text).into())));
            tree
        };
        let run = move || {
            let (merged, conflicts) = merge_all(&[deep("x"), deep("x"), deep("y")]);
            assert_eq!((merged.len(), conflicts.len()), (3001, 1));
            let mut merged = Merged { tree: deep("x"), ..Merged::default() };
            merge_as_rsync(&mut merged.tree, &mut merged.conflicts, deep("y"), true).unwrap();
            assert!(lines(&merged.tree)[3000].ends_with("/d/l -> y"));
            assert_eq!((merged.tree.members().len(), merged.conflicts), (3002, Vec::new()));
        };
        std::thread::Builder::new().stack_size(256 << 10).spawn(run).unwrap().join().unwrap();
    }

    proptest! {
        #[test]
        fn every_line_has_its_place_or_a_conflict(mut items in proptest::collection::vec(tree(), 0..4)) {
            items.iter_mut().enumerate().for_each(|(index, item)| name(item, Path::new(&format!("/s/{index}"))));
            let (merged, conflicts) = merge_all(&items);
            let tree: BTreeSet<String> = merged.iter().cloned().collect();
            let mut from_items = BTreeSet::new();
            for (index, item) in items.iter().enumerate() {
                for line in lines(item) {
                    let path = format!("/s/{index}/{}", line.split(" -> ").next().unwrap());
                    let ignored = conflicts.iter().any(|conflict| conflict.ignored == Path::new(&path));
                    prop_assert_ne!(tree.contains(&line), ignored, "{} of {}", line, index);
                    prop_assert!(index > 0 || !ignored, "the first item loses nothing");
                    from_items.insert(line);
                }
            }
            prop_assert!(tree.is_subset(&from_items), "nothing comes from nowhere");
            prop_assert_eq!(merge_all(&[items.clone(), items].concat()).0, merged);
        }
    }
}
