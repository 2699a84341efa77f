//! Merges copied contents as `rsync -a ITEM/ layer/` does for one item after the other (rsync(1)).
//!
//! Files and links replace what earlier items have under their names; a directory gets the mode of the last item that has
//! it, the root too, and where that differs from the mode before it is a conflict. Where rsync would replace a directory by
//! something else or the other way round, contents disagree: that is an error. And where rsync would skip a file because
//! size and modification time agree with those of the existing one, the last one still wins: in a store every file has the
//! same time.
//!
//! With `--keep-dirlinks` a directory goes through a link of the tree that leads to a directory. The link is followed inside
//! the tree, as in a container, not on this machine; one into the store therefore leads nowhere.

use crate::tree::{Entry, FileTree, Node, is_root};
use crate::{Conflict, Result};
use layerstone_store::Walk;
use std::cmp::Ordering;
use std::collections::HashMap;
use std::path::{Path, PathBuf};

/// Adds an item to a tree, the last one winning.
pub fn merge_as_rsync(
    tree: &mut FileTree,
    conflicts: &mut Vec<Conflict>,
    item: FileTree,
    keep_dirlinks: bool,
) -> Result<()> {
    // Where the item's directories go that do not keep their paths.
    let mut redirects: HashMap<PathBuf, PathBuf> = HashMap::new();
    let mut entries: Vec<(PathBuf, Entry)> = item.0.into_iter().collect();
    entries.sort_by(rsync_order);
    for (path, entry) in entries {
        let redirect =
            path.parent().zip(path.file_name()).and_then(|(parent, name)| Some(redirects.get(parent)?.join(name)));
        let mut to = redirect.unwrap_or_else(|| path.clone());
        if keep_dirlinks
            && entry.is_directory()
            && let Some(Node::Link(text)) = tree.get(&to).map(|existing| &existing.node)
            && let Ok(target) = Walk::new("", to.parent().unwrap_or(Path::new("")), text).follow(|path| tree.look(path))
        {
            to = target;
        }
        tree.add(&to, entry, |existing, entry| {
            conflicts.extend(modes_differ(&to, existing, &entry));
            *existing = entry;
            Ok(())
        })?;
        if to != path {
            redirects.insert(path, to);
        }
    }
    Ok(())
}

/// The conflict that two directories have different modes.
fn modes_differ(path: &Path, existing: &Entry, entry: &Entry) -> Option<Conflict> {
    match (&existing.node, &entry.node) {
        (Node::Directory { mode: before, .. }, Node::Directory { mode, .. }) if before != mode => {
            let path = if is_root(path) { Path::new(".") } else { path };
            Some(Conflict { modes: Some((*mode, *before)), ..entry.conflict(path, existing) })
        }
        _ => None,
    }
}

/// Orders entries as rsync does: in a directory, files and links before directories, each of them by name.
fn rsync_order((a, entry): &(PathBuf, Entry), (b, other): &(PathBuf, Entry)) -> Ordering {
    let (mut left, mut right) = (a.iter(), b.iter());
    loop {
        let (name, other_name) = (left.next(), right.next());
        if name.is_none() || name != other_name {
            let is_directory = left.next().is_some() || entry.is_directory();
            let is_other = right.next().is_some() || other.is_directory();
            // A directory comes before its contents.
            return (name.is_some(), is_directory, name).cmp(&(other_name.is_some(), is_other, other_name));
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::fixtures::{paths, store};
    use crate::merge::merge;
    use crate::tree::lines;
    use crate::{Conflict, Result};
    use layerstone_spec::RootMode;
    use std::fs::Permissions;
    use std::os::unix::fs::PermissionsExt;

    /// Lines of a store whose items are `a`, `b` and so on, merged in this order; the tree.
    #[track_caller]
    fn check(mode: RootMode, files: &[&str], expected: Result<&[&str], &str>) {
        let (dir, store) = store(files);
        let mut items: Vec<&str> = files.iter().map(|line| &line[..1]).collect();
        items.dedup();
        let real = format!("{}/nix/store/", dir.path().display());
        let found = merge(&store, &paths(&store, &items), mode);
        let found = found.map(|merged| lines(&merged.tree)).map_err(|e| e.to_string());
        let found = found.map(|lines| lines.iter().map(|line| line.replace(&real, "")).collect::<Vec<_>>());
        assert_eq!(
            found,
            expected.map(|lines| lines.iter().map(|&line| line.to_owned()).collect()).map_err(str::to_owned)
        );
    }

    #[test]
    fn the_last_one_wins() {
        let files = ["a/d/x", "a/d/y -> 1", "a/d/z", "a/w", "b/d/x", "b/d/y -> 2", "b/d/z -> x", "c/d/y"];
        for mode in [RootMode::Copy, RootMode::CopyKeepingDirlinks] {
            check(mode, &files, Ok(&["d/", "d/x = b/d/x", "d/y = c/d/y", "d/z -> x", "w = a/w"]));
        }
    }

    /// The last one's mode wins, and both sides are named; directories that agree are none.
    #[test]
    fn modes_of_directories() {
        let (dir, store) = store(&["a/x/y/", "a/z/", "b/l -> x", "b/x/y/", "c/x/", "c/z/"]);
        for (name, mode) in [("a/x/y", 0o555), ("a/z", 0o1777), ("b/x", 0o700), ("b", 0o711), ("c/x", 0o711)] {
            let path = dir.path().join("nix/store").join(name);
            std::fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
        }
        for mode in [RootMode::Copy, RootMode::CopyKeepingDirlinks] {
            let merged = merge(&store, &paths(&store, &["a", "b", "c"]), mode).unwrap();
            let found: Vec<String> = merged.conflicts.iter().map(Conflict::to_string).collect();
            let expected = [
                ".: mode 711 of /nix/store/b kept, 755 of /nix/store/a ignored",
                "x: mode 700 of /nix/store/b/x kept, 755 of /nix/store/a/x ignored",
                "x/y: mode 755 of /nix/store/b/x/y kept, 555 of /nix/store/a/x/y ignored",
                ".: mode 755 of /nix/store/c kept, 711 of /nix/store/b ignored",
                "x: mode 711 of /nix/store/c/x kept, 700 of /nix/store/b/x ignored",
                "z: mode 755 of /nix/store/c/z kept, 1777 of /nix/store/a/z ignored",
            ];
            assert_eq!(found, expected);
        }
        let links = merge(&store, &paths(&store, &["a", "b", "c"]), RootMode::Links).unwrap();
        assert_eq!(links.conflicts, []);
    }

    #[test]
    fn a_directory_and_something_else_disagree() {
        let error = "contents disagree: x/y: /nix/store/a/x/y is a directory, /nix/store/b/x/y a regular file";
        check(RootMode::Copy, &["a/x/y/z", "b/x/y"], Err(error));
        let error = "contents disagree: x: /nix/store/a/x is a symbolic link, /nix/store/b/x a directory";
        check(RootMode::Copy, &["a/x -> nowhere", "b/x/y"], Err(error));
        let error = "contents disagree: x: /nix/store/a/x is a directory, /nix/store/b/x a symbolic link";
        check(RootMode::CopyKeepingDirlinks, &["a/x/", "a/y/", "b/x -> y"], Err(error));
        // Both links are directories.
        check(
            RootMode::Copy,
            &["a/x -> y", "a/y/1", "b/x -> z", "b/z/2"],
            Ok(&["x/", "x/1 = a/y/1", "x/2 = b/z/2", "y/", "y/1 = a/y/1", "z/", "z/2 = b/z/2"]),
        );
    }

    #[test]
    fn directories_go_through_links_of_the_tree() {
        let usr = ["usr/", "usr/bin/"];
        let both = ["usr/bin/x = a/usr/bin/x", "usr/bin/y = b/bin/y"];
        for text in ["usr/bin", "/usr/bin", "../..//usr/./bin/", "usr/../usr/bin", "way"] {
            let bin = format!("a/bin -> {text}");
            let chain = ["way -> /usr/way", "usr/way -> bin"];
            let files = ["a/usr/bin/x", &bin, "a/way -> /usr/way", "a/usr/way -> bin", "b/bin/y"];
            let line = &bin[2..];
            let expected = [&[line], &usr[..], &both, &[chain[1], chain[0]]].concat();
            check(RootMode::CopyKeepingDirlinks, &files, Ok(&expected));
        }
        // Links below a link, and a directory of its own behind one.
        check(
            RootMode::CopyKeepingDirlinks,
            &["a/l -> d", "a/d/m -> ../e", "a/e/", "b/l/m/x", "b/l/n/x"],
            Ok(&["d/", "d/m -> ../e", "d/n/", "d/n/x = b/l/n/x", "e/", "e/x = b/l/m/x", "l -> d"]),
        );
    }

    #[test]
    fn links_that_lead_to_no_directory_of_the_tree() {
        for text in ["nowhere", "/nix/store/a/d", "x", "f", "f/..", "f/../d"] {
            let link = format!("a/x -> {text}");
            let error = "contents disagree: x: /nix/store/a/x is a symbolic link, /nix/store/b/x a directory";
            check(RootMode::CopyKeepingDirlinks, &[&link, "a/d/", "a/f", "b/x/y"], Err(error));
        }
        let error = "contents disagree: d/y: /nix/store/a/d/y is a regular file, /nix/store/b/x/y a directory";
        check(RootMode::CopyKeepingDirlinks, &["a/x -> d", "a/d/y", "b/x/y/"], Err(error));
    }
}
