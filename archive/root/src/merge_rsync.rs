//! Merges copied contents as `rsync -a ITEM/ layer/` does for one item after the other (rsync(1)).
//!
//! Files and links replace what items before have under their names; a folder gets the mode of the last item that has
//! it, the root too, and where that is another one than before it is a conflict. Where rsync would replace a folder by something else or the other way round, contents disagree:
//! that is an error. And where rsync would pass over a file because its size and modification time are those of the
//! one that is there, the last one still wins: in a store every file has the same time.
//!
//! With `--keep-dirlinks` a folder goes through a link of the tree that leads to a folder. The link is followed inside
//! the tree, as in a container, not on this machine; one into the store therefore leads nowhere.

use crate::tree::{Entry, Folder, Node};
use crate::{Conflict, Error, Result};
use layerstone_store::{Found, Walk};
use std::ffi::{OsStr, OsString};
use std::io::ErrorKind;
use std::path::Path;

/// A tree that items are copied into. Its folders stay: nothing replaces them.
pub struct Copying<'a> {
    pub root: &'a mut Folder,
    /// The item that the root folder has its mode from, if any.
    pub root_source: Option<&'a Path>,
    /// Whether folders go through links.
    pub keep_dirlinks: bool,
    /// Modes of folders that disagree are added here.
    pub conflicts: &'a mut Vec<Conflict>,
}

impl Copying<'_> {
    /// Adds an item, called `source`, to the tree, the last one winning.
    pub fn add(&mut self, source: &Path, item: Folder) -> Result<()> {
        self.merge_into(Path::new(""), source, item)
    }

    /// Merges the entries of a directory into the one at a path: files and links before directories, as rsync sorts them.
    fn merge_into(&mut self, at: &Path, source: &Path, from: Folder) -> Result<()> {
        self.take_mode(at, source, from.mode);
        let into = self.folder_mut(at);
        let (folders, others): (Vec<_>, Vec<_>) =
            from.entries.into_iter().partition(|(_, entry)| matches!(entry.node, Node::Folder(_)));
        for (name, entry) in others {
            match into.entries.get(&name) {
                Some(existing @ Entry { node: Node::Folder(_), .. }) => {
                    return Err(refuse(at, &name, existing, &entry));
                }
                _ => into.entries.insert(name, entry),
            };
        }
        folders.into_iter().try_for_each(|(name, entry)| self.merge_directory(at, name, entry))
    }

    /// Gives the directory at a path the mode of a directory that is merged into it.
    fn take_mode(&mut self, at: &Path, source: &Path, mode: u32) {
        let before = match self.root.find_mut(at) {
            Some(entry) => Some(std::mem::replace(&mut entry.source, source.into()).into_path_buf()),
            None => self.root_source.map(Path::to_owned),
        };
        let had = std::mem::replace(&mut self.folder_mut(at).mode, mode);
        if let Some(ignored) = before.filter(|_| had != mode) {
            let path = if at.as_os_str().is_empty() { Path::new(".") } else { at }.to_owned();
            let kept = source.to_owned();
            self.conflicts.push(Conflict { path, kept, ignored, modes: Some((mode, had)) });
        }
    }

    fn merge_directory(&mut self, at: &Path, name: OsString, entry: Entry) -> Result<()> {
        let path = at.join(&name);
        let Some(existing) = self.root.find(&path) else {
            self.folder_mut(at).entries.insert(name, entry);
            return Ok(());
        };
        let target = match &existing.node {
            Node::Folder(_) => Some(path),
            Node::Link(text) if self.keep_dirlinks => Walk::new("", at, text).follow(|name| look(self.root, name)).ok(),
            _ => None,
        };
        match (target, entry) {
            (Some(target), Entry { node: Node::Folder(folder), source }) => self.merge_into(&target, &source, folder),
            (_, entry) => Err(refuse(at, &name, existing, &entry)),
        }
    }

    fn folder_mut(&mut self, at: &Path) -> &mut Folder {
        let found = match at.as_os_str().is_empty() {
            true => Some(&mut *self.root),
            false => self.root.find_mut(at).and_then(|entry| match &mut entry.node {
                Node::Folder(folder) => Some(folder),
                _ => None,
            }),
        };
        found.expect("a folder was found at this path, and folders stay")
    }
}

/// What a walk through a tree finds at a name; an error for what leads to no folder.
pub fn look(root: &Folder, name: &Path) -> Result<Found, ErrorKind> {
    match root.find(name).map(|entry| &entry.node) {
        Some(Node::Folder(_)) => Ok(Found::Directory),
        Some(Node::Link(text)) => Ok(Found::Symlink(text.to_path_buf())),
        Some(Node::Pointer | Node::File(_)) => Err(ErrorKind::NotADirectory),
        None => Err(ErrorKind::NotFound),
    }
}

fn refuse(at: &Path, name: &OsStr, existing: &Entry, entry: &Entry) -> Error {
    existing.disagreement(&at.join(name), entry)
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
        let found = found.map(|merged| lines(&merged.root)).map_err(|e| e.to_string());
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

    /// The last one's mode wins, and both sides are named; folders that agree are none.
    #[test]
    fn modes_of_folders() {
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
    fn a_folder_and_something_else_disagree() {
        let error = "contents disagree: x/y: /nix/store/a/x/y is a folder, /nix/store/b/x/y a regular file";
        check(RootMode::Copy, &["a/x/y/z", "b/x/y"], Err(error));
        let error = "contents disagree: x: /nix/store/a/x is a symbolic link, /nix/store/b/x a folder";
        check(RootMode::Copy, &["a/x -> nowhere", "b/x/y"], Err(error));
        let error = "contents disagree: x: /nix/store/a/x is a folder, /nix/store/b/x a symbolic link";
        check(RootMode::CopyKeepingDirlinks, &["a/x/", "a/y/", "b/x -> y"], Err(error));
        // Both links are folders.
        check(
            RootMode::Copy,
            &["a/x -> y", "a/y/1", "b/x -> z", "b/z/2"],
            Ok(&["x/", "x/1 = a/y/1", "x/2 = b/z/2", "y/", "y/1 = a/y/1", "z/", "z/2 = b/z/2"]),
        );
    }

    #[test]
    fn folders_go_through_links_of_the_tree() {
        let usr = ["usr/", "usr/bin/"];
        let both = ["usr/bin/x = a/usr/bin/x", "usr/bin/y = b/bin/y"];
        for text in ["usr/bin", "/usr/bin", "../..//usr/./bin/", "usr/../usr/bin", "way"] {
            let bin = format!("a/bin -> {text}");
            let way = ["way -> /usr/way", "usr/way -> bin"];
            let files = ["a/usr/bin/x", &bin, "a/way -> /usr/way", "a/usr/way -> bin", "b/bin/y"];
            let line = &bin[2..];
            let expected = [&[line], &usr[..], &both, &[way[1], way[0]]].concat();
            check(RootMode::CopyKeepingDirlinks, &files, Ok(&expected));
        }
        // Links below a link, and a folder of its own behind one.
        check(
            RootMode::CopyKeepingDirlinks,
            &["a/l -> d", "a/d/m -> ../e", "a/e/", "b/l/m/x", "b/l/n/x"],
            Ok(&["d/", "d/m -> ../e", "d/n/", "d/n/x = b/l/n/x", "e/", "e/x = b/l/m/x", "l -> d"]),
        );
    }

    #[test]
    fn links_that_lead_to_no_folder_of_the_tree() {
        for text in ["nowhere", "/nix/store/a/d", "x", "f", "f/..", "f/../d"] {
            let link = format!("a/x -> {text}");
            let error = "contents disagree: x: /nix/store/a/x is a symbolic link, /nix/store/b/x a folder";
            check(RootMode::CopyKeepingDirlinks, &[&link, "a/d/", "a/f", "b/x/y"], Err(error));
        }
        let error = "contents disagree: d/y: /nix/store/a/d/y is a regular file, /nix/store/b/x/y a folder";
        check(RootMode::CopyKeepingDirlinks, &["a/x -> d", "a/d/y", "b/x/y/"], Err(error));
    }
}
