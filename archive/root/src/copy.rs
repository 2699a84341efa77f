//! Copied contents merged as `rsync -a ITEM/ layer/` does it for one item after the other (rsync(1)).
//!
//! Files and links replace what items before have under their names; a folder gets the mode of the last item that has
//! it, the root too. Where rsync would replace a folder by something else or the other way round, contents disagree:
//! that is an error. And where rsync would pass over a file because its size and modification time are those of the
//! one that is there, the last one still wins: in a store every file has the same time.
//!
//! With `--keep-dirlinks` a folder goes through a link of the tree that leads to a folder. The link is followed inside
//! the tree, as in a container, not on this machine; one into the store therefore leads nowhere.

use crate::merge::disagreement;
use crate::tree::{Entry, Folder, Node};
use crate::way::{Step, follow};
use crate::{Error, Result};
use std::ffi::{OsStr, OsString};
use std::path::Path;

/// Adds an item to the tree, the last one winning.
pub fn add(root: &mut Folder, item: Folder, keep_dirlinks: bool) -> Result<()> {
    Copying { root, keep_dirlinks }.place(Path::new(""), item)
}

/// A tree that items are copied into. Its folders stay: nothing replaces them.
struct Copying<'a> {
    root: &'a mut Folder,
    keep_dirlinks: bool,
}

impl Copying<'_> {
    /// Adds what is in a folder to the folder at a place: files and links before folders, as rsync sorts them.
    fn place(&mut self, at: &Path, from: Folder) -> Result<()> {
        let into = self.folder_mut(at);
        into.mode = from.mode;
        let (folders, others): (Vec<_>, Vec<_>) =
            from.entries.into_iter().partition(|(_, entry)| matches!(entry.node, Node::Folder(_)));
        for (name, entry) in others {
            match into.entries.get(&name) {
                Some(there @ Entry { node: Node::Folder(_), .. }) => return Err(refuse(at, &name, there, &entry)),
                _ => into.entries.insert(name, entry),
            };
        }
        folders.into_iter().try_for_each(|(name, entry)| self.place_folder(at, name, entry))
    }

    fn place_folder(&mut self, at: &Path, name: OsString, entry: Entry) -> Result<()> {
        let place = at.join(&name);
        let Some(there) = self.root.find(&place) else {
            self.folder_mut(at).entries.insert(name, entry);
            return Ok(());
        };
        let target = match &there.node {
            Node::Folder(_) => Some(place),
            Node::Link(text) if self.keep_dirlinks => follow(at, text, |name| look(self.root, name)),
            _ => None,
        };
        match (target, entry) {
            (Some(target), Entry { node: Node::Folder(folder), .. }) => self.place(&target, folder),
            (_, entry) => Err(refuse(at, &name, there, &entry)),
        }
    }

    fn folder_mut(&mut self, at: &Path) -> &mut Folder {
        at.iter()
            .try_fold(&mut *self.root, |folder, name| match &mut folder.entries.get_mut(name)?.node {
                Node::Folder(folder) => Some(folder),
                _ => None,
            })
            .expect("a folder was found at this place, and folders stay")
    }
}

fn look<'a>(root: &'a Folder, name: &Path) -> Option<Step<'a>> {
    match &root.find(name)?.node {
        Node::Folder(_) => Some(Step::Folder),
        Node::Link(text) => Some(Step::Link(text)),
        Node::Pointer | Node::File(_) => None,
    }
}

fn refuse(at: &Path, name: &OsStr, there: &Entry, entry: &Entry) -> Error {
    disagreement(&at.join(name), there, entry)
}

#[cfg(test)]
mod tests {
    use crate::merge::merge;
    use crate::sample::{paths, store};
    use crate::tree::lines;
    use crate::{Mode, Result};

    /// Lines of a store whose items are `a`, `b` and so on, merged in this order; the tree.
    #[track_caller]
    fn check(mode: Mode, files: &[&str], expected: Result<&[&str], &str>) {
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
        for mode in [Mode::Copy, Mode::CopyKeepingDirlinks] {
            check(mode, &files, Ok(&["d/", "d/x = b/d/x", "d/y = c/d/y", "d/z -> x", "w = a/w"]));
        }
    }

    #[test]
    fn a_folder_and_something_else_disagree() {
        let error = "contents disagree: x/y: /nix/store/a/x/y is a folder, /nix/store/b/x/y a regular file";
        check(Mode::Copy, &["a/x/y/z", "b/x/y"], Err(error));
        let error = "contents disagree: x: /nix/store/a/x is a symbolic link, /nix/store/b/x a folder";
        check(Mode::Copy, &["a/x -> nowhere", "b/x/y"], Err(error));
        let error = "contents disagree: x: /nix/store/a/x is a folder, /nix/store/b/x a symbolic link";
        check(Mode::CopyKeepingDirlinks, &["a/x/", "a/y/", "b/x -> y"], Err(error));
        // Both links are folders.
        check(
            Mode::Copy,
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
            check(Mode::CopyKeepingDirlinks, &files, Ok(&expected));
        }
        // Links below a link, and a folder of its own behind one.
        check(
            Mode::CopyKeepingDirlinks,
            &["a/l -> d", "a/d/m -> ../e", "a/e/", "b/l/m/x", "b/l/n/x"],
            Ok(&["d/", "d/m -> ../e", "d/n/", "d/n/x = b/l/n/x", "e/", "e/x = b/l/m/x", "l -> d"]),
        );
    }

    #[test]
    fn links_that_lead_to_no_folder_of_the_tree() {
        for text in ["nowhere", "/nix/store/a/d", "x", "f", "f/..", "f/../d"] {
            let link = format!("a/x -> {text}");
            let error = "contents disagree: x: /nix/store/a/x is a symbolic link, /nix/store/b/x a folder";
            check(Mode::CopyKeepingDirlinks, &[&link, "a/d/", "a/f", "b/x/y"], Err(error));
        }
        let error = "contents disagree: d/y: /nix/store/a/d/y is a regular file, /nix/store/b/x/y a folder";
        check(Mode::CopyKeepingDirlinks, &["a/x -> d", "a/d/y", "b/x/y/"], Err(error));
    }
}
