//! Places a layer on a base image, so that the base's symlinks stay and its directories keep their modes and owners.
//!
//! Each entry of the layer has a source path, its name in the layer, and a destination path, its name in the image. They
//! differ below a directory that the base has as a symlink to one: with `bin -> usr/bin` in the base, `bin/x` goes to
//! `usr/bin/x`, as it would in a container, and the symlink stays. The directories above it become entries of
//! the layer, with the base's modes and owners. It is an error if two entries have one destination, unless both are
//! directories or symlinks of one text, and if an entry replaces a symlink or directory that another one goes through.
//!
//! **A directory that the base has keeps its mode and owner.** The mode that it has in the store (0555) or got when
//! contents were merged (0755) says nothing about the image's directory, which may be `/tmp` with 1777, or belong to a
//! user. Only a mode that was set on purpose counts: one that differs after the script from before it, or, for a directory
//! that the script made, from 0755; and one that helpers set on purpose, as /tmp. The owner is the base's even then, for a
//! script cannot set one. This goes for the root directory too.
//!
//! A directory instead of something else, or the other way round, is an error unless the spec says `replace`: a dangling
//! symlink may be a mistake, and a file that replaces a directory hides all that the base has there. With `replace`, the
//! layer's entry stands at its own path, and nothing goes through the symlink. Files and symlinks replace each other.

use crate::tree::{DIRECTORY_MODE, FileTree, Node, as_path, below_root};
use crate::{Error, Result};
use layerstone_store::{Found, Walk};
use layerstone_tar::{Entry, FollowError, Kind, Node as BaseNode, Owner, Placed, Tree};
use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// The layer that is placed, besides its members.
#[derive(Clone, Copy, Debug)]
pub struct Origin<'a> {
    /// What was merged, before the script ran.
    pub merged: &'a FileTree,
    /// Owner of entries that name none.
    pub owner: &'a Owner,
    /// Whether directories may replace files and symlinks, and these directories.
    pub replace: bool,
}

/// Places the members of a layer on a base. Both the members given and those returned are in the order of names, each
/// directory before its contents; with each of those returned comes its source path.
pub fn place_on_base(base: &Tree, members: Vec<Placed>, origin: Origin<'_>) -> Result<Vec<(PathBuf, Placed)>> {
    let mut placing =
        Placing { base, origin, directories: BTreeMap::new(), redirects: Vec::new(), placed: BTreeMap::new() };
    members.into_iter().try_for_each(|member| placing.add(member))?;
    placing.add_parents();
    placing.check_redirects()?;
    Ok(placing.placed.into_iter().map(|(destination, item)| item.named(&destination)).collect())
}

/// A layer that is being placed. Paths are below the root, empty for the root itself; they sort by component.
struct Placing<'a> {
    base: &'a Tree,
    origin: Origin<'a>,
    /// Destinations of the layer's directories, by source.
    directories: BTreeMap<PathBuf, PathBuf>,
    /// Directories of the layer that the base has as symlinks.
    redirects: Vec<Redirect>,
    /// Entries by destination.
    placed: BTreeMap<PathBuf, Item>,
}

/// A directory of the layer that goes where a symlink of the base leads.
struct Redirect {
    source: PathBuf,
    link: PathBuf,
    destination: PathBuf,
}

/// An entry of the layer.
struct Item {
    source: PathBuf,
    member: Placed,
    /// Whether it is a directory whose mode was set on purpose.
    sets_mode: bool,
}

impl Item {
    /// The source, and the member by the name of its destination.
    fn named(mut self, destination: &Path) -> (PathBuf, Placed) {
        let name = destination.as_os_str().as_bytes();
        self.member.entry.name = if name.is_empty() { b"."[..].into() } else { [b"./", name].concat().into() };
        (self.source, self.member)
    }
}

impl Placing<'_> {
    fn add(&mut self, member: Placed) -> Result<()> {
        let source = below_root(&member.entry.name).to_owned();
        let parent = source.parent().and_then(|parent| Some((self.directories.get(parent)?, source.file_name()?)));
        let destination = parent.map_or_else(|| source.clone(), |(parent, name)| parent.join(name));
        if member.entry.kind == Kind::Directory {
            return self.add_directory(source, destination, member);
        }
        if let Some(below) = node(self.base, &destination).filter(|it| it.is_directory() && !self.origin.replace) {
            return Err(self.disagreement(&source, &member.entry.kind, below));
        }
        self.put(destination, Item { source, member, sets_mode: false })
    }

    /// Adds a directory, at `path` unless the base has a symlink to a directory there.
    fn add_directory(&mut self, source: PathBuf, path: PathBuf, mut member: Placed) -> Result<()> {
        let destination = match node(self.base, &path) {
            Some(below) if !below.is_directory() => match self.target_directory(&source, &path)? {
                Some(destination) => {
                    let redirect = Redirect { source: source.clone(), link: path, destination: destination.clone() };
                    self.redirects.push(redirect);
                    destination
                }
                None if self.origin.replace => path,
                None => return Err(self.disagreement(&source, &member.entry.kind, below)),
            },
            _ => path,
        };
        let sets_mode = Some(member.entry.mode) != self.mode_before(&source);
        if let Some(below) = node(self.base, &destination).filter(|below| below.is_directory()) {
            let mode = if sets_mode { member.entry.mode } else { below.mode };
            let xattrs = member.entry.xattrs.take();
            member.entry = Entry { mode, xattrs, ..self.directory_of_base(below) };
        }
        self.directories.insert(source.clone(), destination.clone());
        self.put(destination, Item { source, member, sets_mode })
    }

    /// The directory that a symlink of the base leads to, if it leads to one.
    fn target_directory(&self, source: &Path, link: &Path) -> Result<Option<PathBuf>> {
        match self.base.resolve(link.as_os_str().as_bytes()) {
            Ok(found) if found.node.is_some_and(BaseNode::is_directory) => Ok(Some(as_path(&found.name).to_owned())),
            Ok(_) | Err(layerstone_tar::Error::Follow { cause: FollowError::NoDirectory { .. }, .. }) => Ok(None),
            Err(error) => Err(Error::Unfollowed { name: source.to_owned(), source: error }),
        }
    }

    /// The mode that a directory had before the script, or has if a script only makes it; none if it was set on purpose
    /// then.
    fn mode_before(&self, source: &Path) -> Option<u32> {
        match self.origin.merged.get(source).map(|entry| &entry.node) {
            Some(Node::Directory { mode, is_on_purpose }) => (!is_on_purpose).then_some(*mode),
            _ => Some(DIRECTORY_MODE),
        }
    }

    fn directory_of_base(&self, below: &BaseNode) -> Entry {
        let mut entry = Entry::directory(b"", below.mode);
        if (below.uid, below.gid) != (self.origin.owner.uid, self.origin.owner.gid) {
            entry.owner = Some(Box::new(Owner::numbered(below.uid, below.gid)));
        }
        entry
    }

    /// Puts an entry at its destination, unless another one that agrees with it is there.
    fn put(&mut self, destination: PathBuf, item: Item) -> Result<()> {
        let Some(existing) = self.placed.get_mut(&destination) else {
            self.placed.insert(destination, item);
            return Ok(());
        };
        match (&existing.member.entry.kind, &item.member.entry.kind) {
            (Kind::Directory, Kind::Directory) => {
                if item.sets_mode {
                    *existing = item;
                }
                Ok(())
            }
            (Kind::Symlink { target: a }, Kind::Symlink { target: b }) if a == b => Ok(()),
            _ => {
                let side = |item: &Item| (item.source.clone(), describe(&item.member.entry.kind));
                Err(Error::Collision { path: destination, first: side(existing), second: side(&item) })
            }
        }
    }

    /// Adds the directories of the base above redirected ones.
    fn add_parents(&mut self) {
        let parents: Vec<PathBuf> =
            self.redirects.iter().flat_map(|it| it.destination.ancestors().skip(1)).map(Path::to_owned).collect();
        for parent in parents {
            if !self.placed.contains_key(&parent)
                && let Some(below) = node(self.base, &parent)
            {
                let member = Placed::bare(self.directory_of_base(below));
                self.placed.insert(parent.clone(), Item { source: parent, member, sets_mode: false });
            }
        }
    }

    /// Checks that symlinks of the base still lead to the same directories with the layer over it.
    fn check_redirects(&self) -> Result<()> {
        for Redirect { source, link, destination } in &self.redirects {
            if Walk::new("", "", link).follow(|name| self.look(name)).as_ref() != Ok(destination) {
                return Err(Error::RedirectLost { name: source.clone(), destination: destination.clone() });
            }
        }
        Ok(())
    }

    /// The directory or symlink of a name with the layer over the base; an error for what leads to no directory.
    fn look(&self, name: &Path) -> Result<Found, ErrorKind> {
        let kind = match self.placed.get(name) {
            Some(item) => &item.member.entry.kind,
            None => &node(self.base, name).ok_or(ErrorKind::NotFound)?.kind,
        };
        match kind {
            Kind::Directory => Ok(Found::Directory),
            Kind::Symlink { target } => Ok(Found::Symlink(as_path(target).to_owned())),
            _ => Err(ErrorKind::NotADirectory),
        }
    }

    /// The error that layer and base have a directory and something else.
    fn disagreement(&self, source: &Path, ours: &Kind, below: &BaseNode) -> Error {
        let merged = self.origin.merged.get(source);
        let from_contents = merged.filter(|entry| entry.is_directory() == (*ours == Kind::Directory));
        let ours = match from_contents {
            Some(entry) => format!("{} is a {}", entry.source.display(), entry.describe()),
            None => format!("the script's is a {}", describe(ours)),
        };
        let base = match &below.kind {
            Kind::Symlink { target } => format!("{} to {}", describe(&below.kind), target.escape_ascii()),
            kind => describe(kind).to_owned(),
        };
        Error::OverBase { name: source.to_owned(), ours, base }
    }
}

fn describe(kind: &Kind) -> &'static str {
    match kind {
        Kind::Directory => "directory",
        Kind::File { .. } | Kind::HardLink { .. } => "regular file",
        Kind::Symlink { .. } => "symbolic link",
        Kind::Fifo => "named pipe",
        Kind::CharDevice { .. } | Kind::BlockDevice { .. } => "device",
    }
}

fn node<'a>(base: &'a Tree, name: &Path) -> Option<&'a BaseNode> {
    base.get(name.as_os_str().as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::{base, paths, store};
    use crate::merge::merge;
    use layerstone_spec::RootMode;

    /// How the item `a` and a script that changes members come to be over a base.
    struct Case<'a> {
        base: &'a [&'a str],
        /// Lines of a store.
        files: &'a [&'a str],
        /// Directories that a script makes or changes, and their modes.
        script: &'a [(&'a str, u32)],
        replace: bool,
    }

    impl Case<'_> {
        fn place(&self) -> Result<Vec<Placed>> {
            let (_dir, store) = store(self.files);
            let merged = merge(&store, &paths(&store, &["a"]), RootMode::Links).unwrap().tree;
            let mut members = merged.members();
            for (name, mode) in self.script {
                let name = if name.is_empty() { ".".to_owned() } else { format!("./{name}") };
                members.retain(|member| *member.entry.name != *name.as_bytes());
                members.push(Placed::bare(Entry::directory(name.as_bytes(), *mode)));
            }
            members.sort_by(|a, b| below_root(&a.entry.name).cmp(below_root(&b.entry.name)));
            let origin = Origin { merged: &merged, owner: &Owner::numeric_root(), replace: self.replace };
            Ok(place_on_base(&base(self.base), members, origin)?.into_iter().map(|(_, member)| member).collect())
        }

        /// The layer in lines: a directory with its mode, and its owner if it is another than the layer's.
        #[track_caller]
        fn check(&self, expected: &[&str]) {
            let lines: Vec<String> = self.place().unwrap().iter().map(line).collect();
            assert_eq!(lines, expected);
        }

        #[track_caller]
        fn check_error(&self, expected: &str) {
            assert_eq!(self.place().unwrap_err().to_string(), expected);
        }
    }

    fn line(member: &Placed) -> String {
        let entry = &member.entry;
        let name = entry.name.escape_ascii();
        let owner = entry
            .owner
            .as_ref()
            .map_or(String::new(), |owner| format!(" {}:{} {}:{}", owner.uid, owner.gid, owner.uname, owner.gname));
        match &entry.kind {
            Kind::Directory => format!("{name}/ {:o}{owner}", entry.mode),
            Kind::Symlink { target } => format!("{name} -> {}", target.escape_ascii()),
            kind => format!("{name} {}", describe(kind)),
        }
    }

    const NOTHING: Case<'static> = Case { base: &[], files: &["a/"], script: &[], replace: false };
    const DEBIAN: &[&str] =
        &["usr/", "711: usr/bin/", "bin -> usr/bin", "abs -> /usr/bin", "1777: tmp/", "home/", "750,1000,7: home/app/"];

    #[test]
    fn directories_go_where_links_lead() {
        let over = |files| Case { base: DEBIAN, files, ..NOTHING };
        let usr = ["./ 755", "./usr/ 755", "./usr/bin/ 711"];
        over(&["a/bin/x"]).check(&[&usr[..], &["./usr/bin/x -> /nix/store/a/bin/x"]].concat());
        over(&["a/abs/x/y"])
            .check(&[&usr[..], &["./usr/bin/x/ 755", "./usr/bin/x/y -> /nix/store/a/abs/x/y"]].concat());
        over(&["a/bin/"]).check(&usr);
        let both = ["./usr/bin/x -> /nix/store/a/bin/x", "./usr/bin/y -> y", "./usr/z -> /nix/store/a/usr/z"];
        over(&["a/bin/x", "a/usr/bin/y -> y", "a/usr/z"]).check(&[&usr[..], &both].concat());
        // In the directory behind one link there is another.
        let base = ["d/", "d/e/", "d/l -> e/../../f", "f/", "700: f/g/", "l -> d/."];
        let expected = ["./ 755", "./d/ 755", "./f/ 755", "./f/g/ 700", "./f/g/x -> /nix/store/a/l/l/g/x"];
        Case { base: &base, files: &["a/l/l/g/x"], ..NOTHING }.check(&expected);
        let expected = ["./ 755", "./x -> /nix/store/a/l/x"];
        Case { base: &["l -> ."], files: &["a/l/x"], ..NOTHING }.check(&expected);
    }

    #[test]
    fn each_directory_comes_before_its_contents_and_siblings_by_bytes() {
        let base = ["z/", "z/a/", "l -> z"];
        let files = ["a/l/a/1 -> 1", "a/l/a-b -> 2", "a/l/a.b -> 3", "a/z/A -> 4", "a/m -> 5"];
        let expected = [
            "./ 755",
            "./m -> 5",
            "./z/ 755",
            "./z/A -> 4",
            "./z/a/ 755",
            "./z/a/1 -> 1",
            "./z/a-b -> 2",
            "./z/a.b -> 3",
        ];
        Case { base: &base, files: &files, ..NOTHING }.check(&expected);
    }

    #[test]
    fn directories_of_the_base_keep_mode_and_owner() {
        let files = ["a/tmp/x -> x", "a/home/app/y -> y", "a/new/"];
        let owned = "./home/app/ 750 1000:7 :";
        let own = [
            "./ 700 3:0 :root",
            "./home/ 755",
            owned,
            "./home/app/y -> y",
            "./new/ 755",
            "./tmp/ 1777",
            "./tmp/x -> x",
        ];
        let root = [&["700,3,0: ./"], DEBIAN].concat();
        Case { base: &root, files: &files, ..NOTHING }.check(&own);
        // What a script leaves or makes as it comes.
        Case { base: &root, files: &["a/x -> x"], script: &[("", 0o755), ("tmp", 0o755)], ..NOTHING }.check(&[
            "./ 700 3:0 :root",
            "./tmp/ 1777",
            "./x -> x",
        ]);
    }

    #[test]
    fn unless_the_script_gave_another_mode() {
        let script = [("", 0o711), ("bin", 0o2755), ("home", 0o755), ("home/app", 0o700), ("new", 0o1777)];
        let expected =
            ["./ 711", "./home/ 755", "./home/app/ 700 1000:7 :", "./new/ 1777", "./usr/ 755", "./usr/bin/ 2755"];
        Case { base: DEBIAN, files: &["a/home/"], script: &script, ..NOTHING }.check(&expected);
        // Two names of one directory: the mode that was given stands.
        for script in [[("bin", 0o700), ("usr/bin", 0o755)], [("bin", 0o755), ("usr/bin", 0o700)]] {
            Case { base: DEBIAN, files: &["a/usr/"], script: &script, ..NOTHING }.check(&[
                "./ 755",
                "./usr/ 755",
                "./usr/bin/ 700",
            ]);
        }
    }

    #[test]
    fn files_and_links_replace_each_other() {
        let base = ["f", "l -> nowhere", "to-f -> f", "loop -> loop", "d/", "to-d -> d"];
        let files = ["a/f -> 1", "a/l", "a/loop -> 2", "a/to-d -> 3", "a/to-f"];
        let expected = [
            "./ 755",
            "./f -> 1",
            "./l -> /nix/store/a/l",
            "./loop -> 2",
            "./to-d -> 3",
            "./to-f -> /nix/store/a/to-f",
        ];
        Case { base: &base, files: &files, ..NOTHING }.check(&expected);
    }

    /// Base and files that disagree, the message, and the layer with `replace`.
    #[track_caller]
    fn check_replaced(base: &[&str], files: &[&str], message: &str, expected: &[&str]) {
        let case = Case { base, files, ..NOTHING };
        case.check_error(&format!("layer and base disagree: {message}"));
        Case { replace: true, ..case }.check(&[&["./ 755"], expected].concat());
    }

    #[test]
    fn directories_against_files_and_links() {
        let x = ["./x/ 755", "./x/y -> 1"];
        let directory = "x: /nix/store/a/x is a directory, the base's a";
        check_replaced(&["x"], &["a/x/y -> 1"], &format!("{directory} regular file"), &x);
        check_replaced(&["x -> no"], &["a/x/y -> 1"], &format!("{directory} symbolic link to no"), &x);
        check_replaced(&["x -> f", "f"], &["a/x/y -> 1"], &format!("{directory} symbolic link to f"), &x);
        check_replaced(&["x -> f/y", "f"], &["a/x/y -> 1"], &format!("{directory} symbolic link to f/y"), &x);
        let message = "x: /nix/store/a/x is a regular file, the base's a directory";
        check_replaced(&["x/", "x/z"], &["a/x"], message, &["./x -> /nix/store/a/x"]);
        check_replaced(
            &["x/"],
            &["a/x -> y"],
            "x: /nix/store/a/x is a symbolic link, the base's a directory",
            &["./x -> y"],
        );
        let message = "l/x: /nix/store/a/l/x is a symbolic link, the base's a directory";
        check_replaced(&["d/", "d/x/", "l -> d"], &["a/l/x -> y"], message, &["./d/ 755", "./d/x -> y"]);
        // Links to directories are followed all the same.
        let case = Case { base: DEBIAN, files: &["a/bin/x -> y"], replace: true, ..NOTHING };
        case.check(&["./ 755", "./usr/ 755", "./usr/bin/ 711", "./usr/bin/x -> y"]);
        let script = Case { base: &["x"], script: &[("x", 0o755)], ..NOTHING };
        script.check_error("layer and base disagree: x: the script's is a directory, the base's a regular file");
    }

    #[test]
    fn links_that_cannot_be_followed() {
        for replace in [false, true] {
            let check = |base: &[&str], files: &[&str], expected: &str| {
                Case { base, files, replace, ..NOTHING }
                    .check_error(&format!("cannot place over the base: {expected}"));
            };
            check(&["l -> l"], &["a/l/x"], "l: cannot follow: l: found more than 40 symbolic links");
            check(
                &["usr/", "usr/bin -> ../../x", "l -> usr"],
                &["a/l/bin/x"],
                "l/bin: cannot follow: usr/bin: found the link usr/bin -> ../../x, which leads out of the image",
            );
        }
    }

    #[test]
    fn entries_of_one_destination() {
        let over = |files| Case { base: DEBIAN, files, ..NOTHING };
        let error = "cannot place over the base: usr/bin/x: found bin/x, a symbolic link, and usr/bin/x, a symbolic link, \
            which come to one place";
        over(&["a/bin/x", "a/usr/bin/x"]).check_error(error);
        let error = "cannot place over the base: usr/bin/x: found abs/x, a directory, and bin/x, a symbolic link, which come to \
            one place";
        over(&["a/bin/x", "a/abs/x/y"]).check_error(error);
        over(&["a/bin/x -> y", "a/abs/x -> y", "a/bin/d/1 -> 1", "a/usr/bin/d/2 -> 2"]).check(&[
            "./ 755",
            "./usr/ 755",
            "./usr/bin/ 711",
            "./usr/bin/d/ 755",
            "./usr/bin/d/1 -> 1",
            "./usr/bin/d/2 -> 2",
            "./usr/bin/x -> y",
        ]);
    }

    #[test]
    fn layers_that_take_their_own_way_away() {
        let lost = |name: &str, destination: &str| {
            format!(
                "cannot place over the base: {name}: links of the base lead to {destination}, but not with this layer over it"
            )
        };
        // A link of the path is replaced by another one, by a file, and as the link itself by another name.
        let base = ["a -> b", "b/", "b/s/", "c/", "c/s/", "l -> a/s", "top -> ."];
        Case { base: &base, files: &["a/a -> c", "a/l/x"], ..NOTHING }.check_error(&lost("l", "b/s"));
        Case { base: &base, files: &["a/a", "a/l/x"], ..NOTHING }.check_error(&lost("l", "b/s"));
        Case { base: &base, files: &["a/top/l", "a/l/x"], ..NOTHING }.check_error(&lost("l", "b/s"));
        Case { base: &base, files: &["a/b", "a/l/x"], replace: true, ..NOTHING }.check_error(&lost("l", "b/s"));
        // Another link that leads to the same directory will do.
        let expected = ["./ 755", "./a -> ./b", "./b/ 755", "./b/s/ 755", "./b/s/x -> /nix/store/a/l/x"];
        Case { base: &base, files: &["a/a -> ./b", "a/l/x"], ..NOTHING }.check(&expected);
    }
}
