//! Adds what `copy` of a spec names to merged contents: files, directories and tars of this machine.
//!
//! The last entry wins, over contents and over earlier entries. Where a symlink of the layer leads to a directory of the
//! layer, what is copied into a directory of its name goes there, as it would in a container. Directories are merged; one
//! that exists keeps its mode unless the entry sets one.

use crate::divide::{Cut, share};
use crate::input::{read_directory, read_tar};
use crate::merge::{Merged, same_text};
use crate::merge_trees::same_bytes;
use crate::perms::{compile, glob_matches};
use crate::tree::{DIRECTORY_MODE, Entry, File, FileTree, Node, as_path, is_root};
use crate::{Error, Library, Result, TreeSource};
use glob::Pattern;
use layerstone_spec::CopyEntry;
use layerstone_store::{Scratch, Walk};
use layerstone_tar::Owner;
use std::collections::HashMap;
use std::path::{Path, PathBuf};

/// An entry of `copy` whose source is open.
#[derive(Debug)]
pub struct CopyInput {
    /// What is copied, and where to.
    pub entry: CopyEntry,
    /// What it is.
    pub source: CopySource,
}

/// What `from` of an entry names.
#[derive(Debug)]
pub enum CopySource {
    /// A regular file.
    File(PathBuf),
    /// A directory, or a tar that is unpacked.
    Tree(TreeSource),
}

/// Adds what is copied; contents of tars are kept in a directory of the work directory until the layer is written. `owner`
/// is that of the layer.
pub fn add_copies(merged: &mut Merged, inputs: &[CopyInput], owner: &Owner, scratch: &Scratch) -> Result<()> {
    for (number, input) in inputs.iter().enumerate() {
        let (tree, to) = input.read(scratch, number)?;
        Adding { merged, entry: &input.entry, owner, redirects: HashMap::new() }.add_all(tree, &to)?;
    }
    Ok(())
}

/// Adds files of this machine that copied programs need.
pub fn add_libraries(merged: &mut Merged, libraries: &[Library], owner: &Owner) -> Result<()> {
    let entry = CopyEntry::default();
    for Library { from, to } in libraries {
        let tree = FileTree([(PathBuf::new(), file_at(from)?)].into());
        let to = to.strip_prefix("/").unwrap_or(to).to_owned();
        Adding { merged, entry: &entry, owner, redirects: HashMap::new() }.add_all(tree, &to)?;
    }
    Ok(())
}

/// The files and directories that an entry copies: what decides the layer.
///
/// # Errors
///
/// They cannot be listed.
pub fn copied_files(entry: &CopyEntry) -> Result<Vec<PathBuf>> {
    if !entry.from.is_dir() {
        return Ok(vec![entry.from.clone()]);
    }
    let tree = read_directory(&entry.from, &Excluded::new(&entry.exclude)?)?;
    Ok(tree.0.into_values().filter(|entry| entry.text().is_none()).map(|entry| entry.source.into()).collect())
}

impl CopyInput {
    /// The files to copy, and where they go: of a divided entry, those of its share.
    fn read(&self, scratch: &Scratch, number: usize) -> Result<(FileTree, PathBuf)> {
        let (tree, to) = self.read_all(scratch, number)?;
        let entry = &self.entry;
        let cut = entry.divide.zip(entry.share).map(|(depth, index)| Cut { depth, shares: entry.shares(), index });
        Ok((
            match cut {
                Some(cut) => share(tree, cut),
                None => tree,
            },
            to,
        ))
    }

    fn read_all(&self, scratch: &Scratch, number: usize) -> Result<(FileTree, PathBuf)> {
        let (entry, excluded) = (&self.entry, Excluded::new(&self.entry.exclude)?);
        let to = as_path(entry.to.as_bytes()).components().skip(1).collect::<PathBuf>();
        match &self.source {
            CopySource::File(path) => {
                let name = path.file_name().filter(|_| entry.is_into_directory());
                Ok((FileTree([(PathBuf::new(), file_at(path)?)].into()), name.map_or(to.clone(), |name| to.join(name))))
            }
            CopySource::Tree(TreeSource::Tar { name, file, max_holes }) => {
                let contents = scratch.path().join(format!("copy-{number}"));
                std::fs::create_dir(&contents).map_err(Error::io("make", &contents))?;
                let contents = contents.canonicalize().map_err(Error::io("make", &contents))?;
                Ok((read_tar(name, file, *max_holes, &contents, &excluded)?, to))
            }
            CopySource::Tree(TreeSource::Directory(path)) => Ok((read_directory(path, &excluded)?, to)),
        }
    }
}

/// The entry of a regular file, links followed.
fn file_at(path: &Path) -> Result<Entry> {
    let real = path.canonicalize().map_err(Error::io("read", path))?;
    let metadata = real.metadata().map_err(Error::io("read", path))?;
    let mode = std::os::unix::fs::MetadataExt::mode(&metadata) & 0o7777;
    Ok(Entry::new(path, Node::File(File::new(&real, mode, &metadata))))
}

/// What is left out of a directory or a tar.
#[derive(Debug, Default)]
pub struct Excluded(Vec<Pattern>);

impl Excluded {
    /// Compiles globs, with a slash at their begin or end or without.
    ///
    /// # Errors
    ///
    /// One is no glob.
    pub fn new(globs: &[String]) -> Result<Excluded> {
        let pattern = |text: &String| compile(text, text.trim_start_matches("./").trim_matches('/'));
        globs.iter().map(pattern).collect::<Result<_>>().map(Excluded)
    }

    /// Whether an entry of this name, by itself, is left out.
    pub fn has(&self, name: &Path) -> bool {
        self.0.iter().any(|pattern| glob_matches(pattern, name))
    }

    /// Whether an entry, or a directory that it is in, is left out.
    pub fn has_above(&self, name: &Path) -> bool {
        name.ancestors().any(|name| !is_root(name) && self.has(name))
    }
}

/// An entry that is being added.
struct Adding<'a> {
    merged: &'a mut Merged,
    entry: &'a CopyEntry,
    owner: &'a Owner,
    /// Where directories go that symlinks of the layer lead elsewhere.
    redirects: HashMap<PathBuf, PathBuf>,
}

impl Adding<'_> {
    fn add_all(&mut self, tree: FileTree, to: &Path) -> Result<()> {
        let above = to.parent().map(|above| self.make_directories(above, &tree)).transpose()?.unwrap_or_default();
        self.redirects.insert(to.parent().unwrap_or(Path::new("")).to_owned(), above);
        for (path, entry) in tree.0 {
            let path = if is_root(&path) { to.to_owned() } else { to.join(path) };
            let is_target = path == to;
            let entry = self.changed(entry, is_target);
            match (is_root(&path), entry.is_directory()) {
                (true, true) => drop(self.redirects.insert(path.clone(), path)),
                (_, true) => self.add_directory(path, entry, is_target)?,
                _ => self.add_file(&path, entry)?,
            }
        }
        Ok(())
    }

    /// Makes the directories above the target, and says where they are.
    fn make_directories(&mut self, path: &Path, tree: &FileTree) -> Result<PathBuf> {
        let mut at = PathBuf::new();
        let source = tree.0.values().next().map_or(Path::new(""), |entry| &entry.source).to_owned();
        for name in path {
            at = self.leads_to(at.join(name));
            let made = self.merged.tree.make_directories(&at, &source);
            made.map_err(|(at, other)| other.disagreement(at, &Entry::directory(&source)))?;
        }
        Ok(at)
    }

    /// The directory of the layer that a path leads to through a symlink, or the path itself.
    fn leads_to(&self, path: PathBuf) -> PathBuf {
        let tree = &self.merged.tree;
        let is_link = matches!(tree.get(&path).map(|entry| &entry.node), Some(Node::Link(_)));
        let followed = is_link.then(|| Walk::new("", "", &path).follow(|at| tree.look(at)).ok()).flatten();
        followed.filter(|target| tree.get(target).is_some_and(Entry::is_directory)).unwrap_or(path)
    }

    /// An entry with the mode and the owner that are asked for.
    fn changed(&self, mut entry: Entry, is_target: bool) -> Entry {
        let asked = self.entry.mode;
        match &mut entry.node {
            Node::Directory { mode, is_on_purpose } => {
                // What is copied is in the directory; the directory itself is another one.
                let found = if is_target { DIRECTORY_MODE } else { *mode };
                (*mode, *is_on_purpose) = (asked.map_or(found, |mode| mode | (mode & 0o444) >> 2), asked.is_some());
            }
            Node::File(file) => file.mode = asked.unwrap_or(file.mode),
            Node::Link(_) | Node::Pointer => {}
        }
        if self.entry.uid.is_some() || self.entry.gid.is_some() {
            let (uid, gid) = entry.owner.unwrap_or((self.owner.uid, self.owner.gid));
            entry.owner = Some((self.entry.uid.unwrap_or(uid), self.entry.gid.unwrap_or(gid)));
        }
        entry
    }

    fn destination(&self, path: &Path) -> PathBuf {
        let above = path.parent().and_then(|above| Some((self.redirects.get(above)?, path.file_name()?)));
        above.map_or_else(|| path.to_owned(), |(above, name)| above.join(name))
    }

    fn add_directory(&mut self, path: PathBuf, entry: Entry, is_target: bool) -> Result<()> {
        let at = self.leads_to(self.destination(&path));
        let sets_mode = matches!(entry.node, Node::Directory { is_on_purpose: true, .. }) || !is_target;
        self.merged.tree.add(&at, entry, |existing, entry| {
            if sets_mode {
                existing.node = entry.node;
            }
            existing.owner = entry.owner.or(existing.owner);
            Ok(())
        })?;
        self.redirects.insert(path, at);
        Ok(())
    }

    fn add_file(&mut self, path: &Path, entry: Entry) -> Result<()> {
        let at = self.destination(path);
        if self.entry.libraries {
            self.merged.programs.insert(at.clone());
        } else {
            self.merged.programs.remove(&at);
        }
        let conflicts = &mut self.merged.conflicts;
        self.merged.tree.add(&at, entry, |existing, entry| {
            let agree = match (&existing.node, &entry.node) {
                (Node::File(old), Node::File(new)) => old.mode == new.mode && same_bytes(old, new)?,
                _ => entry.text().is_some() && same_text(existing.text(), entry.text()),
            };
            if !agree {
                conflicts.push(entry.conflict(&at, existing));
            }
            *existing = entry;
            Ok(())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Conflict;
    use crate::tree::lines;
    use layerstone_tar::{Entry as Member, Kind, Placed};
    use std::fs;
    use std::os::unix::fs::{PermissionsExt, symlink};

    /// A directory with files to copy, and a work directory.
    struct Machine {
        dir: tempfile::TempDir,
        scratch: Scratch,
    }

    impl Machine {
        fn new() -> Machine {
            let dir = tempfile::tempdir().unwrap();
            fs::create_dir_all(dir.path().join("src/sub/deep")).unwrap();
            for (name, mode) in [("app", 0o755), ("src/a", 0o640), ("src/sub/b.pyc", 0o644), ("src/sub/deep/c", 0o644)]
            {
                fs::write(dir.path().join(name), name).unwrap();
                fs::set_permissions(dir.path().join(name), fs::Permissions::from_mode(mode)).unwrap();
            }
            symlink("a", dir.path().join("src/link")).unwrap();
            Machine { scratch: Scratch::create(dir.path()).unwrap(), dir }
        }

        /// An input as its flag has it, but for the directory in which it is.
        fn input(&self, text: &str) -> CopyInput {
            let mut entry: CopyEntry = text.parse().unwrap();
            entry.from = self.dir.path().join(&entry.from);
            let source = match (entry.unpacks(), entry.from.is_dir()) {
                (_, true) => CopySource::Tree(TreeSource::Directory(entry.from.clone())),
                (true, false) => CopySource::Tree(TreeSource::Tar {
                    name: entry.from.clone(),
                    file: fs::File::open(&entry.from).unwrap(),
                    max_holes: 1 << 20,
                }),
                _ => CopySource::File(entry.from.clone()),
            };
            CopyInput { entry, source }
        }

        fn add(&self, merged: &mut Merged, flags: &[&str]) -> Result<()> {
            let inputs: Vec<_> = flags.iter().map(|text| self.input(text)).collect();
            add_copies(merged, &inputs, &Owner::numeric_root(), &self.scratch)
        }

        /// The lines of a tree that these lines were in before.
        fn lines(&self, merged: &Merged) -> Vec<String> {
            let here = format!("{}/", self.dir.path().display());
            lines(&merged.tree).iter().map(|line| line.replace(&here, "")).collect()
        }
    }

    fn empty() -> Merged {
        Merged { tree: FileTree::new(Path::new("")), ..Merged::default() }
    }

    #[track_caller]
    fn check(flags: &[&str], expected: &[&str]) {
        let (machine, mut merged) = (Machine::new(), empty());
        machine.add(&mut merged, flags).unwrap();
        assert_eq!(machine.lines(&merged), expected);
        assert!(merged.conflicts.is_empty(), "{:?}", merged.conflicts);
    }

    #[test]
    fn files_and_directories() {
        check(&["app:/bin/x"], &["bin/", "bin/x = app"]);
        check(&["app:/bin/"], &["bin/", "bin/app = app"]);
        check(&["app:/"], &["app = app"]);
        let tree =
            ["a = src/a", "link -> a", "sub/", "sub/b.pyc = src/sub/b.pyc", "sub/deep/", "sub/deep/c = src/sub/deep/c"];
        check(&["src:/"], &tree);
        check(&["src/:/", "src:/,exclude=**"], &tree);
        check(&["src:/d/e,exclude=sub"], &["d/", "d/e/", "d/e/a = src/a", "d/e/link -> a"]);
        check(&["src:/,exclude=**/*.pyc,exclude=sub/deep,exclude=/link"], &["a = src/a", "sub/"]);
    }

    #[test]
    fn modes_and_owners() {
        let (machine, mut merged) = (Machine::new(), empty());
        fs::set_permissions(machine.dir.path().join("src/sub"), fs::Permissions::from_mode(0o700)).unwrap();
        machine.add(&mut merged, &["src:/d", "src:/e,mode=0640,uid=5", "app:/d/sub/x,gid=7"]).unwrap();
        let of = |path: &str| {
            let entry = merged.tree.get(Path::new(path)).unwrap();
            let mode = match &entry.node {
                Node::Directory { mode, .. } => *mode,
                Node::File(file) => file.mode,
                _ => 0,
            };
            (mode, entry.owner)
        };
        // The directory that is copied is not the one in the image.
        assert_eq!(of("d"), (0o755, None));
        assert_eq!([of("d/sub"), of("d/a"), of("d/sub/x")], [(0o700, None), (0o640, None), (0o755, Some((0, 7)))]);
        assert_eq!(
            [of("e"), of("e/a"), of("e/link")],
            [(0o750, Some((5, 0))), (0o640, Some((5, 0))), (0, Some((5, 0)))]
        );
        assert_eq!(of(""), (0o755, None));
    }

    #[test]
    fn the_last_one_wins() {
        let (machine, mut merged) = (Machine::new(), empty());
        let store = Entry::new(Path::new("/nix/store/x/a"), Node::Pointer);
        merged.tree.0.insert("a".into(), store);
        machine.add(&mut merged, &["src:/", "app:/a", "app:/a", "src:/other"]).unwrap();
        let conflicts: Vec<String> = merged.conflicts.iter().map(Conflict::to_string).collect();
        let here = machine.dir.path().display();
        assert_eq!(
            conflicts,
            [
                format!("a: {here}/src/a kept, /nix/store/x/a ignored"),
                format!("a: {here}/app kept, {here}/src/a ignored"),
            ]
        );
        assert_eq!(machine.lines(&merged)[0], "a = app");
        for (flag, expected) in
            [("app:/sub", "sub is a directory"), ("src:/a", "a is a regular file"), ("app:/a/x", "a is a")]
        {
            let error = machine.add(&mut merged, &[flag]).unwrap_err().to_string();
            assert!(error.contains("contents disagree: ") || error.contains(expected), "{error}");
        }
    }

    #[test]
    fn symlinks_of_the_layer_are_gone_through() {
        let (machine, mut merged) = (Machine::new(), empty());
        merged.tree.make_directories(Path::new("usr/bin"), Path::new("")).unwrap();
        merged.tree.make_directories(Path::new("opt"), Path::new("")).unwrap();
        for (path, text) in [("bin", "usr/bin"), ("usr/sub", "/opt"), ("away", "/nowhere")] {
            merged.tree.0.insert(path.into(), Entry::new(Path::new("/s/x"), Node::Link(Path::new(text).into())));
        }
        machine.add(&mut merged, &["app:/bin/app", "src:/usr"]).unwrap();
        let lines = machine.lines(&merged);
        for line in
            ["usr/bin/app = app", "bin -> usr/bin", "usr/sub -> /opt", "opt/b.pyc = src/sub/b.pyc", "usr/a = src/a"]
        {
            assert!(lines.contains(&line.to_owned()), "{line}: {lines:?}");
        }
        assert!(machine.add(&mut merged, &["app:/away/x"]).is_err());
    }

    #[test]
    fn tars_keep_their_owners() {
        let machine = Machine::new();
        let members = ["./", "d/", "d/f", "d/g", "skip/", "skip/x"].map(|name| {
            let kind = if name.ends_with('/') { Kind::Directory } else { Kind::File { size: 0 } };
            let name = name.trim_end_matches('/').as_bytes();
            Placed::bare(Member { owner: Some(Box::new(Owner::numbered(7, 8))), ..Member::new(name, kind, 0o751) })
        });
        let tar = layerstone_layer::Source::from(layerstone_layer::Layout::gnu(members.into(), 1, &Owner::root()));
        let mut file = fs::File::create(machine.dir.path().join("x.tar")).unwrap();
        let progress = layerstone_layer::Progress::default();
        layerstone_layer::write_layer(&tar, &mut file, Path::new("x.tar"), &progress).unwrap();
        let mut merged = empty();
        machine.add(&mut merged, &["x.tar:/,exclude=skip", "x.tar:/o/,gid=9,exclude=*/g", "x.tar:/x.tar"]).unwrap();
        let owner = |path: &str| merged.tree.get(Path::new(path)).map(|entry| entry.owner);
        assert_eq!(
            [owner("d"), owner("d/f"), owner("o/d/f")],
            [Some(Some((7, 8))), Some(Some((7, 8))), Some(Some((7, 9)))]
        );
        assert_eq!([owner("skip"), owner("o/d/g"), owner("x.tar")], [None, None, Some(None)]);
    }

    #[test]
    fn what_is_listed_is_what_decides() {
        let machine = Machine::new();
        let list = |text: &str| {
            let files = copied_files(&machine.input(text).entry).unwrap();
            let names = files.iter().map(|path| path.strip_prefix(machine.dir.path()).unwrap().display().to_string());
            names.collect::<Vec<_>>()
        };
        assert_eq!(list("app:/x"), ["app"]);
        assert_eq!(list("src:/x,exclude=sub/deep"), ["src", "src/a", "src/sub", "src/sub/b.pyc"]);
    }

    #[test]
    fn sockets_are_refused_unless_left_out() {
        let (machine, mut merged) = (Machine::new(), empty());
        let _socket = std::os::unix::net::UnixListener::bind(machine.dir.path().join("src/s")).unwrap();
        let error = machine.add(&mut merged, &["src:/"]).unwrap_err().to_string();
        assert!(error.contains("src/s"), "{error}");
        machine.add(&mut merged, &["src:/,exclude=s"]).unwrap();
        let error = machine.add(&mut merged, &["src:/,exclude=a["]).unwrap_err().to_string();
        assert!(error.starts_with("not a glob: \"a[\": "), "{error}");
    }
}
