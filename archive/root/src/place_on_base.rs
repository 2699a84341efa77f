//! The layer placed over the files of a base image, so that the base's links stay and its folders keep what they are.
//!
//! A folder that the base has as a link to a folder is not written: what is in it goes to where the link leads, `bin/x`
//! to `usr/bin/x`, as it would in a container. The folders on the way there are entries of the layer, with the base's
//! modes and owners. A layer in which two entries come to one place is refused, unless both are folders or links of one
//! text; so is one that takes away a link or folder through which it goes.
//!
//! **A folder that the base has keeps its mode and owner.** The mode that a folder has in the store (0555) or got when
//! contents were merged (0755) says nothing about the image's folder, which may be `/tmp` with 1777, or belong to a
//! user. Only a mode that the script gave on purpose counts: one that is another after the script than before it, or,
//! for a folder that the script made, than 0755; and one that ready contents have on purpose, as /tmp. The owner is the base's even then, for a script cannot give one. This
//! goes for the root folder too.
//!
//! A folder instead of something else, or the other way round, is an error unless it was asked for: a link that leads
//! nowhere may be a mistake, and a file in place of a folder hides all that the base has there. When it was asked for,
//! the layer's entry stands at its own place, and nothing goes through the link. Files and links replace each other.

use crate::read::FOLDER_MODE;
use crate::tree::{Folder, Node};
use crate::way::{Step, follow};
use crate::{Error, Result};
use layerstone_tar::{Entry, FollowError, Kind, Node as BaseNode, Owner, Placed, Tree};
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// What is known of a layer besides its members.
#[derive(Clone, Copy, Debug)]
pub struct Origin<'a> {
    /// What was merged, before the script ran.
    pub merged: &'a Folder,
    /// Owner of entries that name none.
    pub owner: &'a Owner,
    /// Whether folders may take the place of files and links, and these that of folders.
    pub replace: bool,
}

/// Places the members of a layer over a base. Both the members given and those returned are in the order of names, each
/// folder before its contents; with those returned is what the layer called them.
pub fn place_over(base: &Tree, members: Vec<Placed>, origin: Origin<'_>) -> Result<Vec<(PathBuf, Placed)>> {
    let mut placing =
        Placing { base, origin, folders: BTreeMap::new(), redirected: Vec::new(), spots: BTreeMap::new() };
    members.into_iter().try_for_each(|member| placing.add(member))?;
    placing.add_parents()?;
    placing.check_ways()?;
    Ok(placing.spots.into_iter().map(|(place, spot)| spot.at(&place)).collect())
}

/// A layer that is being placed. Names are below the root, empty for the root itself; they sort by component.
struct Placing<'a> {
    base: &'a Tree,
    origin: Origin<'a>,
    /// Where the folders of the layer are, by the names that they have in it.
    folders: BTreeMap<PathBuf, PathBuf>,
    /// The folders that are where a link of the base leads: name in the layer, name of the link, where it leads.
    redirected: Vec<(PathBuf, PathBuf, PathBuf)>,
    spots: BTreeMap<PathBuf, Spot>,
}

/// An entry at its place.
struct Spot {
    /// What the layer calls it.
    name: PathBuf,
    member: Placed,
    /// Whether the script gave a folder its mode.
    is_on_purpose: bool,
}

impl Spot {
    /// What the layer calls it, and the member that it is there.
    fn at(mut self, place: &Path) -> (PathBuf, Placed) {
        let place = place.as_os_str().as_bytes();
        self.member.entry.name = if place.is_empty() { b"."[..].into() } else { [b"./", place].concat().into() };
        (self.name, self.member)
    }
}

impl Placing<'_> {
    fn add(&mut self, member: Placed) -> Result<()> {
        let name = below_root(&member.entry.name);
        let own = match name.parent().and_then(|parent| Some((self.folders.get(parent)?, name.file_name()?))) {
            Some((folder, base)) => folder.join(base),
            None => name.clone(),
        };
        if member.entry.kind == Kind::Directory {
            return self.add_folder(name, own, member);
        }
        if let Some(there) = node(self.base, &own).filter(|there| there.is_directory() && !self.origin.replace) {
            return Err(self.disagreement(&name, &member.entry.kind, there));
        }
        self.put(own, Spot { name, member, is_on_purpose: false })
    }

    fn add_folder(&mut self, name: PathBuf, own: PathBuf, mut member: Placed) -> Result<()> {
        let place = match node(self.base, &own) {
            Some(there) if !there.is_directory() => match self.folder_behind(&name, &own)? {
                Some(place) => {
                    self.redirected.push((name.clone(), own, place.clone()));
                    place
                }
                None if self.origin.replace => own,
                None => return Err(self.disagreement(&name, &member.entry.kind, there)),
            },
            _ => own,
        };
        let is_on_purpose = Some(member.entry.mode) != self.mode_before(&name);
        if let Some(there) = node(self.base, &place).filter(|there| there.is_directory()) {
            let mode = if is_on_purpose { member.entry.mode } else { there.mode };
            let xattrs = member.entry.xattrs.take();
            member.entry = Entry { mode, xattrs, ..self.folder_of_base(there) };
        }
        self.folders.insert(name.clone(), place.clone());
        self.put(place, Spot { name, member, is_on_purpose })
    }

    /// Where a link of the base leads that is in place of a folder of the layer, if that is a folder.
    fn folder_behind(&self, name: &Path, link: &Path) -> Result<Option<PathBuf>> {
        match self.base.resolve(link.as_os_str().as_bytes()) {
            Ok(found) if found.node.is_some_and(BaseNode::is_directory) => Ok(Some(path(&found.name).to_owned())),
            Ok(_) | Err(layerstone_tar::Error::Follow { cause: FollowError::NoFolder { .. }, .. }) => Ok(None),
            Err(source) => Err(Error::Unfollowed { name: name.to_owned(), source }),
        }
    }

    /// The mode that a folder had before the script, or has if a script only makes it; none if it was asked for then.
    fn mode_before(&self, name: &Path) -> Option<u32> {
        match self.origin.merged.find(name).map(|entry| &entry.node) {
            Some(Node::Folder(folder)) => (!folder.is_on_purpose).then_some(folder.mode),
            None if name.as_os_str().is_empty() => Some(self.origin.merged.mode),
            _ => Some(FOLDER_MODE),
        }
    }

    fn folder_of_base(&self, there: &BaseNode) -> Entry {
        let mut entry = Entry::directory(b"", there.mode);
        if (there.uid, there.gid) != (self.origin.owner.uid, self.origin.owner.gid) {
            entry.owner = Some(Box::new(Owner::numbered(there.uid, there.gid)));
        }
        entry
    }

    /// Puts an entry at its place, beside what other entries of the layer come to be there.
    fn put(&mut self, place: PathBuf, spot: Spot) -> Result<()> {
        let Some(there) = self.spots.get_mut(&place) else {
            self.spots.insert(place, spot);
            return Ok(());
        };
        match (&there.member.entry.kind, &spot.member.entry.kind) {
            (Kind::Directory, Kind::Directory) => {
                if spot.is_on_purpose {
                    *there = spot;
                }
                Ok(())
            }
            (Kind::Symlink { target: a }, Kind::Symlink { target: b }) if a == b => Ok(()),
            _ => Err(meeting(&place, there, &spot)),
        }
    }

    /// Adds the folders of the base that entries are in.
    fn add_parents(&mut self) -> Result<()> {
        let places: Vec<PathBuf> = self.redirected.iter().map(|(_, _, place)| place.clone()).collect();
        for place in &places {
            for folder in place.ancestors().skip(1) {
                if !self.spots.contains_key(folder)
                    && let Some(there) = node(self.base, folder)
                {
                    let member = Placed::bare(self.folder_of_base(there));
                    self.spots
                        .insert(folder.to_owned(), Spot { name: folder.to_owned(), member, is_on_purpose: false });
                }
            }
        }
        Ok(())
    }

    /// Checks that the folders that go through links of the base still do when the layer is over it.
    fn check_ways(&self) -> Result<()> {
        for (name, link, place) in &self.redirected {
            if follow(Path::new(""), link, |name| self.look(name)).as_ref() != Some(place) {
                return Err(Error::WayLost { name: name.clone(), place: place.clone() });
            }
        }
        Ok(())
    }

    /// What has a name when the layer is over the base.
    fn look(&self, name: &Path) -> Option<Step<'_>> {
        let kind = match self.spots.get(name) {
            Some(spot) => &spot.member.entry.kind,
            None => &node(self.base, name)?.kind,
        };
        match kind {
            Kind::Directory => Some(Step::Folder),
            Kind::Symlink { target } => Some(Step::Link(path(target))),
            _ => None,
        }
    }

    /// A folder and something else, or the other way round.
    fn disagreement(&self, name: &Path, ours: &Kind, base: &BaseNode) -> Error {
        let from_contents = self
            .origin
            .merged
            .find(name)
            .filter(|entry| matches!(entry.node, Node::Folder(_)) == (*ours == Kind::Directory));
        let ours = match from_contents {
            Some(entry) => format!("{} is a {}", entry.source.display(), entry.describe()),
            None => format!("the script's is a {}", describe(ours)),
        };
        let base = match &base.kind {
            Kind::Symlink { target } => format!("{} to {}", describe(&base.kind), target.escape_ascii()),
            kind => describe(kind).to_owned(),
        };
        Error::OverBase { name: name.to_owned(), ours, base }
    }
}

/// Two entries of the layer that come to one place.
fn meeting(place: &Path, first: &Spot, second: &Spot) -> Error {
    let tell = |spot: &Spot| (spot.name.clone(), describe(&spot.member.entry.kind));
    Error::Meeting { place: place.to_owned(), first: tell(first), second: tell(second) }
}

fn describe(kind: &Kind) -> &'static str {
    match kind {
        Kind::Directory => "folder",
        Kind::File { .. } | Kind::HardLink { .. } => "regular file",
        Kind::Symlink { .. } => "symbolic link",
        Kind::Fifo => "named pipe",
        Kind::CharDevice { .. } | Kind::BlockDevice { .. } => "device",
    }
}

fn node<'a>(base: &'a Tree, name: &Path) -> Option<&'a BaseNode> {
    base.get(name.as_os_str().as_bytes())
}

/// A member's name below the root.
pub fn below_root(name: &[u8]) -> PathBuf {
    path(name.strip_prefix(b"./").unwrap_or(if name == b"." { b"" } else { name })).to_owned()
}

/// Bytes as a path.
pub fn path(bytes: &[u8]) -> &Path {
    Path::new(OsStr::from_bytes(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::merge::{Mode, merge};
    use crate::sample::{base, paths, store};

    /// How the item `a` and a script that changes members come to be over a base.
    struct Case<'a> {
        base: &'a [&'a str],
        /// Lines of a store.
        files: &'a [&'a str],
        /// Folders that a script makes or changes, and their modes.
        script: &'a [(&'a str, u32)],
        replace: bool,
    }

    impl Case<'_> {
        fn place(&self) -> Result<Vec<Placed>> {
            let (_dir, store) = store(self.files);
            let merged = merge(&store, &paths(&store, &["a"]), Mode::Links).unwrap().root;
            let mut members = merged.members();
            for (name, mode) in self.script {
                let name = if name.is_empty() { ".".to_owned() } else { format!("./{name}") };
                members.retain(|member| *member.entry.name != *name.as_bytes());
                members.push(Placed::bare(Entry::directory(name.as_bytes(), *mode)));
            }
            members.sort_by_key(|member| below_root(&member.entry.name));
            let origin = Origin { merged: &merged, owner: &Owner::numeric_root(), replace: self.replace };
            Ok(place_over(&base(self.base), members, origin)?.into_iter().map(|(_, member)| member).collect())
        }

        /// The layer in lines: a folder with its mode, and its owner if it is another than the layer's.
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
    fn folders_go_where_links_lead() {
        let over = |files| Case { base: DEBIAN, files, ..NOTHING };
        let usr = ["./ 755", "./usr/ 755", "./usr/bin/ 711"];
        over(&["a/bin/x"]).check(&[&usr[..], &["./usr/bin/x -> /nix/store/a/bin/x"]].concat());
        over(&["a/abs/x/y"])
            .check(&[&usr[..], &["./usr/bin/x/ 755", "./usr/bin/x/y -> /nix/store/a/abs/x/y"]].concat());
        over(&["a/bin/"]).check(&usr);
        let both = ["./usr/bin/x -> /nix/store/a/bin/x", "./usr/bin/y -> y", "./usr/z -> /nix/store/a/usr/z"];
        over(&["a/bin/x", "a/usr/bin/y -> y", "a/usr/z"]).check(&[&usr[..], &both].concat());
        // In the folder behind one link there is another.
        let base = ["d/", "d/e/", "d/l -> e/../../f", "f/", "700: f/g/", "l -> d/."];
        let expected = ["./ 755", "./d/ 755", "./f/ 755", "./f/g/ 700", "./f/g/x -> /nix/store/a/l/l/g/x"];
        Case { base: &base, files: &["a/l/l/g/x"], ..NOTHING }.check(&expected);
        let expected = ["./ 755", "./x -> /nix/store/a/l/x"];
        Case { base: &["l -> ."], files: &["a/l/x"], ..NOTHING }.check(&expected);
    }

    #[test]
    fn each_folder_comes_before_its_contents_and_siblings_by_bytes() {
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
    fn folders_of_the_base_keep_mode_and_owner() {
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
        // Two names of one folder: the mode that was given stands.
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

    /// Base and files that disagree, what is said, and what comes of it with `replace`.
    #[track_caller]
    fn check_replaced(base: &[&str], files: &[&str], message: &str, expected: &[&str]) {
        let case = Case { base, files, ..NOTHING };
        case.check_error(&format!("layer and base disagree: {message}"));
        Case { replace: true, ..case }.check(&[&["./ 755"], expected].concat());
    }

    #[test]
    fn folders_against_files_and_links() {
        let x = ["./x/ 755", "./x/y -> 1"];
        let folder = "x: /nix/store/a/x is a folder, the base's a";
        check_replaced(&["x"], &["a/x/y -> 1"], &format!("{folder} regular file"), &x);
        check_replaced(&["x -> no"], &["a/x/y -> 1"], &format!("{folder} symbolic link to no"), &x);
        check_replaced(&["x -> f", "f"], &["a/x/y -> 1"], &format!("{folder} symbolic link to f"), &x);
        check_replaced(&["x -> f/y", "f"], &["a/x/y -> 1"], &format!("{folder} symbolic link to f/y"), &x);
        let message = "x: /nix/store/a/x is a regular file, the base's a folder";
        check_replaced(&["x/", "x/z"], &["a/x"], message, &["./x -> /nix/store/a/x"]);
        check_replaced(
            &["x/"],
            &["a/x -> y"],
            "x: /nix/store/a/x is a symbolic link, the base's a folder",
            &["./x -> y"],
        );
        let message = "l/x: /nix/store/a/l/x is a symbolic link, the base's a folder";
        check_replaced(&["d/", "d/x/", "l -> d"], &["a/l/x -> y"], message, &["./d/ 755", "./d/x -> y"]);
        // Links to folders are followed all the same.
        let case = Case { base: DEBIAN, files: &["a/bin/x -> y"], replace: true, ..NOTHING };
        case.check(&["./ 755", "./usr/ 755", "./usr/bin/ 711", "./usr/bin/x -> y"]);
        let script = Case { base: &["x"], script: &[("x", 0o755)], ..NOTHING };
        script.check_error("layer and base disagree: x: the script's is a folder, the base's a regular file");
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
    fn entries_that_come_to_one_place() {
        let over = |files| Case { base: DEBIAN, files, ..NOTHING };
        let error = "cannot place over the base: usr/bin/x: found bin/x, a symbolic link, and usr/bin/x, a symbolic link, \
            which come to one place";
        over(&["a/bin/x", "a/usr/bin/x"]).check_error(error);
        let error = "cannot place over the base: usr/bin/x: found abs/x, a folder, and bin/x, a symbolic link, which come to \
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
        let lost = |name: &str, place: &str| {
            format!(
                "cannot place over the base: {name}: links of the base lead to {place}, but not with this layer over it"
            )
        };
        // A link on the way is replaced by another one, by a file, and as the link itself by another name.
        let base = ["a -> b", "b/", "b/s/", "c/", "c/s/", "l -> a/s", "top -> ."];
        Case { base: &base, files: &["a/a -> c", "a/l/x"], ..NOTHING }.check_error(&lost("l", "b/s"));
        Case { base: &base, files: &["a/a", "a/l/x"], ..NOTHING }.check_error(&lost("l", "b/s"));
        Case { base: &base, files: &["a/top/l", "a/l/x"], ..NOTHING }.check_error(&lost("l", "b/s"));
        Case { base: &base, files: &["a/b", "a/l/x"], replace: true, ..NOTHING }.check_error(&lost("l", "b/s"));
        // Another link that leads to the same place will do.
        let expected = ["./ 755", "./a -> ./b", "./b/ 755", "./b/s/ 755", "./b/s/x -> /nix/store/a/l/x"];
        Case { base: &base, files: &["a/a -> ./b", "a/l/x"], ..NOTHING }.check(&expected);
    }
}
