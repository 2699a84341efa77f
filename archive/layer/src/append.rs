//! Appends store paths behind a layer's own files, as nixpkgs' `buildImage` appends them: `find PATH… | sort | uniq`, then `tar
//! -rf … --no-recursion --owner=0 --group=0 --files-from`, all of it in the order of bytes.

use crate::layout::{ancestors, below_root};
use crate::{Layout, Result};
use layerstone_store::{Store, StorePath};
use layerstone_tar::{Entry, Owner, Placed, walk_store_path};
use rayon::prelude::*;
use std::collections::BTreeSet;

/// Mode of the store directory and its ancestors: everybody may read, nobody write.
const STORE_MODE: u32 = 0o555;

/// Names below the root of the image.
type Names = BTreeSet<Box<[u8]>>;

impl Layout {
    /// Appends members but those of names that the layer has already.
    ///
    /// # Panics
    ///
    /// As [`Layout::gnu`].
    pub fn append(&mut self, mut members: Vec<Placed>) {
        assert!(members.iter().all(Placed::is_complete), "an entry with contents has a file");
        let existing: Names = self.names().map(Box::from).collect();
        members.retain(|member| !existing.contains(below_root(&member.entry.name)));
        self.extend(members);
    }

    /// Appends all files of store paths but those that the layer has already, and in front of them the directories that
    /// lead to the store, `./nix` and `./nix/store`, unless the layer has them. Without paths nothing is appended.
    ///
    /// `directory` gives the mode and owner that a base image has for one of these directories, by its name without a
    /// slash in front; where it gives none, the mode is 0555. Names of store files have no `./` in front, since GNU tar
    /// only takes the slash off.
    ///
    /// # Errors
    ///
    /// A file cannot be read, or is a socket.
    pub fn append_closure(
        &mut self,
        store: &Store,
        paths: &[StorePath],
        directory: impl Fn(&[u8]) -> Option<(u32, Owner)>,
    ) -> Result<()> {
        if paths.is_empty() {
            return Ok(());
        }
        // What the layer has in the store, and of the directories that lead to it.
        let store_name = below_root(store.dir().as_bytes());
        let in_store = self.names().filter(|name| name.starts_with(store_name) || store_name.starts_with(name));
        let existing: Names = in_store.map(Box::from).collect();
        let absent = ancestors(store.dir()).map(below_root).filter(|name| !existing.contains(*name));
        let directories: Vec<Placed> = absent.map(|name| store_directory(name, directory(name))).collect();
        let walk = |path: &StorePath| {
            let mut files = walk_store_path(store, below_root(path.as_str().as_bytes()), self.xattrs, true)?;
            files.retain(|file| !existing.contains(&file.entry.name));
            Ok(files)
        };
        let found: Result<Vec<Vec<Placed>>> = paths.par_iter().map(walk).collect();
        let mut files: Vec<Placed> = found?.into_iter().flatten().collect();
        files.sort_unstable_by(|a, b| a.entry.name.cmp(&b.entry.name));
        files.dedup_by(|a, b| a.entry.name == b.entry.name);
        self.base = store.root().to_owned();
        self.extend(directories.into_iter().chain(files));
        Ok(())
    }

    /// The names of all members, those of an existing tar too, below the root of the image.
    fn names(&self) -> impl Iterator<Item = &[u8]> {
        let prefix = self.prefix.iter().flat_map(|prefix| prefix.names.iter().map(Vec::as_slice));
        self.entries().map(|entry| below_root(&entry.name)).chain(prefix)
    }
}

fn store_directory(name: &[u8], base: Option<(u32, Owner)>) -> Placed {
    let mut entry = Entry::directory(&[b"./", name].concat(), STORE_MODE);
    if let Some((mode, owner)) = base {
        entry.mode = mode;
        entry.owner = Some(Box::new(owner));
    }
    Placed::bare(entry)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Prefix, Source};
    use layerstone_tar::Kind;
    use std::fs;
    use std::io::Read;
    use std::path::Path;

    const A: &str = "/nix/store/516z65g5d2g7yfc9yv6n2g1q21jqv0m1-a";
    const B: &str = "/nix/store/5wqnl34l8k8y01bqi4livgq7x9r214kc-b";

    /// A store with the directory A and the file B.
    fn store() -> (tempfile::TempDir, Store) {
        let root = tempfile::tempdir().unwrap();
        for name in ["a/b", "a-b", "a.b", "A"] {
            let file = root.path().join(&A[1..]).join(name);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, name).unwrap();
        }
        fs::write(root.path().join(&B[1..]), "b").unwrap();
        let store = Store::new("/nix/store", root.path()).unwrap();
        (root, store)
    }

    fn append(layout: &mut Layout, store: &Store, base: &[(&str, u32)]) {
        let directory = |name: &[u8]| {
            let found = base.iter().find(|(directory, _)| directory.as_bytes() == name);
            found.map(|(_, mode)| (*mode, Owner::numbered(7, 0)))
        };
        let paths = [B, A].map(|path| StorePath::parse(path).unwrap());
        layout.append_closure(store, &paths, directory).unwrap();
    }

    /// Directories of the layer's own, directories of the base with their modes; what is appended.
    #[track_caller]
    fn check(own: &[&str], base: &[(&str, u32)], expected: &[&str]) {
        let (_root, store) = store();
        let own: Vec<Placed> = own.iter().map(|name| Placed::bare(Entry::directory(name.as_bytes(), 0o755))).collect();
        let count = own.len();
        let mut layout = Layout::gnu(own, 1, &Owner::root());
        append(&mut layout, &store, base);
        let line = |entry: &Entry| {
            let mode = if entry.kind == Kind::Directory { format!("/ {:o}", entry.mode) } else { String::new() };
            let name = String::from_utf8_lossy(&entry.name).replace(&A[1..], "A").replace(&B[1..], "B");
            format!("{name}{}{mode}", entry.owner.as_ref().map_or(String::new(), |owner| format!(" of {}", owner.uid)))
        };
        let found: Vec<String> = layout.entries().skip(count).map(line).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn in_the_order_of_bytes_behind_the_directories() {
        let files = ["A/ 755", "A/A", "A/a/ 755", "A/a-b", "A/a.b", "A/a/b", "B"];
        check(&["."], &[], &[&["./nix/ 555", "./nix/store/ 555"], &files[..]].concat());
        check(&[".", "./nix"], &[], &[&["./nix/store/ 555"], &files[..]].concat());
        check(&[".", "./nix", "./nix/store"], &[], &files);
        let base = [("nix", 0o755), ("usr", 0o700)];
        check(&["."], &base, &[&["./nix of 7/ 755", "./nix/store/ 555"], &files[..]].concat());
        let own = [".", "./nix", "./nix/store", &format!(".{A}"), &format!(".{A}/a")];
        check(&own, &[], &["A/A", "A/a-b", "A/a.b", "A/a/b", "B"]);
    }

    fn bytes(layout: Layout) -> Vec<u8> {
        let mut bytes = Vec::new();
        Source::from(layout).reader().unwrap().read_to_end(&mut bytes).unwrap();
        bytes
    }

    #[test]
    fn a_tar_in_front_is_as_good_as_its_members() {
        let (root, store) = store();
        let own = vec![Placed::bare(Entry::directory(b".", 0o775)), Placed::bare(Entry::directory(b"./nix", 0o700))];
        let mut whole = Layout::gnu(own, 1, &Owner::root());
        let blob = root.path().join("root.tar");
        fs::write(&blob, bytes(whole.clone())).unwrap();
        append(&mut whole, &store, &[]);
        let mut behind = Layout::appending_to(Prefix::read(&blob).unwrap(), 1);
        append(&mut behind, &store, &[]);
        assert_eq!(behind.size(), whole.size());
        assert!(bytes(behind.clone()) == bytes(whole));
        fs::write(&blob, "changed").unwrap();
        let error = Source::from(behind).reader().unwrap().read_to_end(&mut Vec::new()).unwrap_err();
        assert!(error.to_string().starts_with("changed while it was read: "), "{error}");
    }

    /// It is open from the first look on: another file of its name, a link or a pipe, is not read.
    #[test]
    fn a_tar_in_front_that_is_replaced() {
        let root = tempfile::tempdir().unwrap();
        let blob = root.path().join("root.tar");
        let tar = bytes(Layout::gnu(vec![Placed::bare(Entry::directory(b".", 0o775))], 1, &Owner::root()));
        fs::write(&blob, &tar).unwrap();
        let behind = Layout::appending_to(Prefix::read(&blob).unwrap(), 1);
        fs::remove_file(&blob).unwrap();
        std::os::unix::fs::symlink("/dev/zero", &blob).unwrap();
        assert!(bytes(behind.clone()) == tar && bytes(behind) == tar);
        assert!(Prefix::read(&blob).unwrap_err().to_string().ends_with("found no regular file"));
    }

    #[test]
    fn members_that_are_there_are_not_appended() {
        let directory = |name: &str, mode| Placed::bare(Entry::directory(name.as_bytes(), mode));
        let mut layout = Layout::gnu(vec![directory(".", 0o755), directory("./a", 0o700)], 1, &Owner::root());
        layout.append(vec![directory("./a", 0o755), directory("./a/b", 0o755), directory("./c", 0o755)]);
        let names: Vec<_> = layout.entries().map(|entry| (String::from_utf8_lossy(&entry.name), entry.mode)).collect();
        let expected = [(".", 0o755), ("./a", 0o700), ("./a/b", 0o755), ("./c", 0o755)];
        assert_eq!(names, expected.map(|(name, mode)| (name.into(), mode)));
    }

    #[test]
    fn a_tar_that_is_none() {
        let directory = tempfile::tempdir().unwrap();
        let blob = directory.path().join("x.tar");
        let mut tar = bytes(Layout::gnu(vec![Placed::bare(Entry::directory(b".", 0o755))], 1, &Owner::root()));
        fs::write(&blob, &tar[..100]).unwrap();
        let error = Prefix::read(&blob).unwrap_err().to_string();
        assert!(error.ends_with("not a whole tar: header at byte 0: the input ends at byte 100"), "{error}");
        tar[156] = b'0';
        tar[135] = b'1';
        fs::write(&blob, &tar).unwrap();
        assert!(Prefix::read(&blob).unwrap_err().to_string().ends_with("header at byte 0: wrong checksum"));
        assert!(Prefix::read(Path::new("/absent.tar")).is_err());
    }
}
