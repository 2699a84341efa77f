//! Merges contents into one tree, in the order of the contents.
//!
//! The items are read and merged in memory before anything is written, so that conflicts are known first. A folder
//! and something else cannot have one name; folders are merged. What else has one name:
//!
//! - With [`RootMode::Links`], as lndir does it, the first one wins. Two links of the same text agree; others are a conflict.
//! - With the other modes, as `rsync` does it, the last one wins; see [`crate::merge_rsync`].

use crate::load::{FOLDER_MODE, load};
use crate::merge_rsync::Copying;
use crate::tree::{Entry, Folder, Node};
use crate::{Conflict, Result};
use layerstone_spec::RootMode;
use layerstone_store::{Store, StorePath};
use std::collections::btree_map::Entry as Slot;
use std::path::{Path, PathBuf};

/// What the root of a copied tree gets besides its mode: `chmod ug+w layer` in dockerTools.
const WRITABLE: u32 = 0o220;

/// Contents as they will be written.
#[derive(Debug)]
pub struct Merged {
    /// The root of the layer.
    pub root: Folder,
    /// What disagreed, in the order of the contents and then of the paths; links with [`RootMode::Links`], and
    /// modes with the others.
    pub conflicts: Vec<Conflict>,
}

/// Reads contents and merges them.
pub fn merge(store: &Store, contents: &[StorePath], mode: RootMode) -> Result<Merged> {
    let mut merged = Merged { root: Folder::new(FOLDER_MODE), conflicts: Vec::new() };
    for (index, path) in contents.iter().enumerate() {
        let item = load(store, path, mode)?;
        let Merged { root, conflicts } = &mut merged;
        if mode == RootMode::Links {
            merge_folder(root, item, &mut PathBuf::new(), conflicts)?;
            continue;
        }
        let before = index.checked_sub(1).map(|index| Path::new(contents[index].as_str()));
        let keep_dirlinks = mode == RootMode::CopyKeepingDirlinks;
        Copying { root, root_source: before, keep_dirlinks, conflicts }.add(Path::new(path.as_str()), item)?;
    }
    if mode != RootMode::Links {
        merged.root.mode |= WRITABLE;
    }
    Ok(merged)
}

/// Adds the entries of `from` to `into`, the folder at `path`, the first one winning.
fn merge_folder(into: &mut Folder, from: Folder, path: &mut PathBuf, conflicts: &mut Vec<Conflict>) -> Result<()> {
    for (name, ours) in from.entries {
        path.push(&name);
        match into.entries.entry(name) {
            Slot::Vacant(slot) => {
                slot.insert(ours);
            }
            Slot::Occupied(mut slot) => merge_entry(slot.get_mut(), ours, path, conflicts)?,
        }
        path.pop();
    }
    Ok(())
}

fn merge_entry(theirs: &mut Entry, ours: Entry, path: &mut PathBuf, conflicts: &mut Vec<Conflict>) -> Result<()> {
    match (&mut theirs.node, ours.node) {
        (Node::Folder(theirs), Node::Folder(ours)) => return merge_folder(theirs, ours, path, conflicts),
        (Node::Folder(_), node) | (_, node @ Node::Folder(_)) => {
            return Err(theirs.disagreement(path, &Entry { node, ..ours }));
        }
        (_, node) => {
            let ours = Entry { node, ..ours };
            if !same_text(theirs.text(), ours.text()) {
                conflicts.push(theirs.conflict(path, &ours));
            }
        }
    }
    Ok(())
}

/// Whether two link texts are the same bytes. (Paths compare by component: `a//b` equals `a/b`.)
fn same_text(a: Option<&Path>, b: Option<&Path>) -> bool {
    a.map(Path::as_os_str) == b.map(Path::as_os_str)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::{paths, store};
    use crate::tree::{self, lines};
    use proptest::prelude::*;
    use std::collections::{BTreeMap, BTreeSet};
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
        assert_eq!(tree::lines(&merged.root), expected);
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
    fn a_folder_and_something_else_disagree() {
        let lines = ["a/d/e/f", "b/d/e", "c/d/e -> x", "d/d/e/g"];
        let (folder, file) = ("/nix/store/a/d/e is a folder", "/nix/store/b/d/e a regular file");
        check_error(&lines, &["a", "b"], &format!("contents disagree: d/e: {folder}, {file}"));
        check_error(
            &lines,
            &["d", "a", "c"],
            "contents disagree: d/e: /nix/store/d/d/e is a folder, /nix/store/c/d/e a symbolic link",
        );
        check_error(
            &lines,
            &["b", "a"],
            "contents disagree: d/e: /nix/store/b/d/e is a regular file, /nix/store/a/d/e a folder",
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
        merge_named(&store, &["a"]).unwrap().root.write(out.path()).unwrap();
        let text = std::fs::read_link(out.path().join("new\nline").join(&name)).unwrap();
        assert_eq!(text.as_os_str().as_bytes(), b"/nix/store/a/new\nline/latin1-\xe9");
        for folder in ["", "new\nline"] {
            assert_eq!(out.path().join(folder).metadata().unwrap().permissions().mode() & 0o7777, 0o755);
        }
    }

    /// A tree of few names, so that two disagree often; large letters are folders, small ones links.
    fn tree() -> impl Strategy<Value = Folder> {
        let links = || {
            let link = "[xy]".prop_map(|text| Node::Link(Path::new(&text).into()));
            proptest::collection::btree_map("[abc]", link, 0..4)
        };
        links().prop_map(folder).prop_recursive(3, 12, 3, move |inner| {
            let folders = proptest::collection::btree_map("[DE]", inner.prop_map(Node::Folder), 0..3);
            (links(), folders).prop_map(|(links, folders)| folder(links.into_iter().chain(folders).collect()))
        })
    }

    fn folder(nodes: BTreeMap<String, Node>) -> Folder {
        let entry = |(name, node): (String, Node)| (name.into(), Entry { source: Path::new("").into(), node });
        Folder { entries: nodes.into_iter().map(entry).collect(), ..Folder::new(FOLDER_MODE) }
    }

    /// Gives all entries of a tree their sources, below this one.
    fn name(folder: &mut Folder, source: &Path) {
        for (child, entry) in &mut folder.entries {
            entry.source = source.join(child).into();
            if let Node::Folder(inner) = &mut entry.node {
                name(inner, &entry.source);
            }
        }
    }

    fn merge_all(items: &[Folder]) -> (Vec<String>, Vec<Conflict>) {
        let (mut root, mut conflicts) = (Folder::new(FOLDER_MODE), Vec::new());
        for item in items {
            merge_folder(&mut root, item.clone(), &mut PathBuf::new(), &mut conflicts).unwrap();
        }
        (lines(&root), conflicts)
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
