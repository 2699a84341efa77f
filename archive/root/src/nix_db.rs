//! Makes the layer of Nix's database, from which Nix knows the store paths of the image, with a garbage collector root for
//! each.
//!
//! Directories, files and their modes are those that `nix-store --init` leaves (Nix 2.8; nix, src/libstore/local-store.cc,
//! `LocalStore::LocalStore`), but for `reserved`, 8 MiB of nothing that Nix makes again, and the directories of users, which
//! it makes for those who use it.

use crate::{Error, Result};
use layerstone_closure::{Closure, Database, Earlier, write_database};
use layerstone_layer::{LayerFile, Layout, Prefix, Progress, Source, write_layer};
use layerstone_store::{Output, Scratch, Store};
use layerstone_tar::{Entry, Kind, LayerTree, Node, Owner, Placed, Tree, Whiteout};
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::BufReader;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The version of the schema, as the file `schema` says it.
const VERSION: &str = "10";
/// What SQLite may leave beside a database. What a lower layer has of it would be taken for that of the new one.
const LEFT_BEHIND: [&str; 3] = ["db.sqlite-journal", "db.sqlite-shm", "db.sqlite-wal"];
/// The files of an earlier database that are read.
pub const EARLIER_FILES: [&str; 4] = ["db.sqlite", "db.sqlite-journal", "db.sqlite-wal", "schema"];

/// Where the database goes.
#[derive(Clone, Debug)]
pub enum NixDbPlace {
    /// Into a layer of its own, above all others.
    OnTop {
        /// The customisation layer's tar, which must have no database; none if there is none at hand.
        root: Option<PathBuf>,
        /// Owner of the directories that lead to the store in the layers below.
        store_owner: Owner,
    },
    /// Into the layer of a single image, behind the members of its root's tar.
    Behind {
        /// The tar.
        root: PathBuf,
    },
}

/// The image below.
#[derive(Clone, Debug)]
pub struct NixDbBase {
    /// What messages call it.
    pub name: String,
    /// Its files.
    pub tree: Arc<Tree>,
    /// A directory with copies of those of [`EARLIER_FILES`] that it has; they are changed.
    pub copies: PathBuf,
}

/// What a database layer is made of, besides the closure.
#[derive(Clone, Debug)]
pub struct NixDbSpec {
    /// The store.
    pub store: Store,
    /// Modification time of every entry, in seconds since the epoch.
    pub mtime: i64,
    /// User that owns everything in the layer; none for the owner in the base, or root.
    pub uid: Option<u32>,
    /// Group, likewise.
    pub gid: Option<u32>,
    /// Where it goes.
    pub place: NixDbPlace,
    /// What is below; its registrations are kept.
    pub base: Option<NixDbBase>,
}

/// The directory of the database in an image, without a slash in front.
pub fn nix_db_directory(store: &Store) -> Vec<u8> {
    name_of(&Database::state_of_nix(store.dir()).join("db"))
}

/// Makes the layer and writes its tar to `blob`, complete or not at all, in GNU tar's dialect. All paths of the closure have
/// NAR hashes.
///
/// # Errors
///
/// What [`write_database`] gives; the root or the base has something else where the database goes.
pub fn build_nix_db(spec: &NixDbSpec, closure: &Closure, blob: &Path) -> Result<LayerFile> {
    let mut output = Output::create(blob)?;
    let scratch = Scratch::create(&std::env::temp_dir())?;
    let members = Members::new(spec)?.all(closure, scratch.path())?;
    let layout = match &spec.place {
        NixDbPlace::OnTop { .. } => Layout::gnu_numeric(members, spec.mtime, &Owner::numeric_root()),
        NixDbPlace::Behind { root } => {
            let mut layout = Layout::appending_to(Prefix::read(root)?, spec.mtime);
            layout.append(members);
            layout
        }
    };
    let source = Source::from(layout);
    let diff_id = write_layer(&source, &mut output, blob, &Progress::default())?;
    output.commit()?;
    Ok(LayerFile::new(diff_id, source.size()))
}

/// A database layer whose members are being collected.
struct Members<'a> {
    spec: &'a NixDbSpec,
    /// What the root has.
    root: Tree,
    /// By the components of their names, so that a directory comes before what is in it.
    found: BTreeMap<PathBuf, Placed>,
}

impl<'a> Members<'a> {
    fn new(spec: &'a NixDbSpec) -> Result<Members<'a>> {
        let root = match &spec.place {
            NixDbPlace::OnTop { root: None, .. } => Tree::default(),
            NixDbPlace::OnTop { root: Some(root), .. } | NixDbPlace::Behind { root } => read_tree(root)?,
        };
        Ok(Members { spec, root, found: BTreeMap::new() })
    }

    fn all(mut self, closure: &Closure, scratch: &Path) -> Result<Vec<Placed>> {
        let state = Database::state_of_nix(self.spec.store.dir());
        self.directories(Path::new(self.spec.store.dir()))?;
        for directory in ["db", "gcroots/docker", "gcroots/per-user", "profiles/per-user", "temproots"] {
            self.directories(&state.join(directory))?;
        }
        let database = self.database(closure, &state.join("db"), scratch)?;
        self.file(&state.join("db/db.sqlite"), 0o644, &database)?;
        self.bare(&state.join("db/big-lock"), Kind::File { size: 0 }, 0o600)?;
        let profiles = state.join("profiles").as_os_str().as_bytes().into();
        self.link(&state.join("gcroots/profiles"), profiles)?;
        for info in &closure.graph {
            let target = info.path.as_str().as_bytes().into();
            self.link(&state.join("gcroots/docker").join(info.path.base_name()), target)?;
        }
        Ok(self.found.into_values().collect())
    }

    /// Writes the database, adds its version and takes away what lower layers have beside it; where it is.
    fn database(&mut self, closure: &Closure, directory: &Path, scratch: &Path) -> Result<PathBuf> {
        let [database, schema] = ["db.sqlite", "schema"].map(|name| scratch.join(name));
        let shown = directory.join("db.sqlite");
        // Before it is read: something else than a file would be taken for an empty database.
        self.check(&shown, &name_of(&shown), &Kind::File { size: 0 })?;
        let below = self.spec.base.as_ref().filter(|base| base.tree.get(&name_of(&shown)).is_some());
        let name = below.map(|base| PathBuf::from(format!("{}: {}", base.name, shown.display()))).unwrap_or_default();
        let copy = below.map(|base| base.copies.join("db.sqlite")).unwrap_or_default();
        let earlier = below.map(|_| Earlier { copy: &copy, name: &name });
        write_database(closure, earlier, &database)?;
        let has = |file: &str| below.is_some_and(|base| base.tree.get(&name_of(&directory.join(file))).is_some());
        if !has("schema") {
            fs::write(&schema, VERSION).map_err(Error::io("write", &schema))?;
            self.file(&directory.join("schema"), 0o644, &schema)?;
        }
        for left in LEFT_BEHIND.into_iter().filter(|left| has(left)) {
            let whiteout = Whiteout::hiding(left.as_bytes());
            self.bare(&directory.join(OsStr::from_bytes(&whiteout)), Kind::File { size: 0 }, 0o644)?;
        }
        Ok(database)
    }

    /// Adds a directory and those that lead to it.
    fn directories(&mut self, path: &Path) -> Result<()> {
        let mut ancestors: Vec<&Path> = path.ancestors().filter(|directory| directory.parent().is_some()).collect();
        ancestors.reverse();
        ancestors.into_iter().try_for_each(|directory| self.bare(directory, Kind::Directory, 0o755))
    }

    fn link(&mut self, path: &Path, target: Box<[u8]>) -> Result<()> {
        self.bare(path, Kind::Symlink { target }, 0o777)
    }

    fn file(&mut self, path: &Path, mode: u32, contents: &Path) -> Result<()> {
        let metadata = contents.metadata().map_err(Error::io("read", contents))?;
        let kind = Kind::File { size: metadata.len() };
        let modified = (metadata.mtime(), metadata.mtime_nsec());
        self.add(path, kind, mode, Some(contents.into()), modified)
    }

    fn bare(&mut self, path: &Path, kind: Kind, mode: u32) -> Result<()> {
        self.add(path, kind, mode, None, (0, 0))
    }

    fn add(&mut self, path: &Path, kind: Kind, mode: u32, file: Option<Box<Path>>, modified: (i64, i64)) -> Result<()> {
        let name = name_of(path);
        self.check(path, &name, &kind)?;
        let (mode, owner) = self.attributes(path, &name, mode);
        let owner = Some(Box::new(owner));
        let entry = Entry { owner, ..Entry::new(&[b"./", &name[..]].concat(), kind, mode) };
        self.found.insert(path.to_owned(), Placed { entry, file, modified });
        Ok(())
    }

    /// Directories may be there already, and files and links of the base may be replaced.
    fn check(&self, path: &Path, name: &[u8], kind: &Kind) -> Result<()> {
        let is_directory = *kind == Kind::Directory;
        let wrong = |over: &str, node: &Node| Error::UnderNixDb {
            over: over.to_owned(),
            path: path.to_owned(),
            found: what(node),
            expected: if is_directory { "a directory" } else { "none, or what Nix has there" },
        };
        match self.root.get(name) {
            Some(node) if !is_directory || !node.is_directory() => return Err(wrong("the root of the image", node)),
            _ => {}
        }
        let Some(base) = &self.spec.base else { return Ok(()) };
        match base.tree.get(name) {
            Some(node) if std::mem::discriminant(&node.kind) != std::mem::discriminant(kind) => {
                Err(wrong(&base.name, node))
            }
            _ => Ok(()),
        }
    }

    /// Mode and owner: in the layers of an image the directories that lead to the store are those of the store layers;
    /// elsewhere the base has its say.
    fn attributes(&self, path: &Path, name: &[u8], mode: u32) -> (u32, Owner) {
        let NixDbSpec { store, uid, gid, place, base, .. } = self.spec;
        let owned = |below_uid, below_gid| Owner::numbered(uid.unwrap_or(below_uid), gid.unwrap_or(below_gid));
        match place {
            NixDbPlace::OnTop { store_owner, .. } if Path::new(store.dir()).starts_with(path) => {
                (mode, owned(store_owner.uid, store_owner.gid))
            }
            _ => match base.as_ref().and_then(|base| base.tree.get(name)) {
                Some(node) => (node.mode, owned(node.uid, node.gid)),
                None => (mode, owned(0, 0)),
            },
        }
    }
}

/// The name of a path in an image, without the slash in front.
fn name_of(path: &Path) -> Vec<u8> {
    path.strip_prefix("/").unwrap_or(path).as_os_str().as_bytes().to_vec()
}

fn read_tree(tar: &Path) -> Result<Tree> {
    let file = File::open(tar).map_err(Error::io("read", tar))?;
    let layer = LayerTree::read(BufReader::new(file)).map_err(Error::io("read", tar))?;
    let mut tree = Tree::default();
    tree.put(layer)?;
    Ok(tree)
}

/// What a file is, for a message.
fn what(node: &Node) -> String {
    match &node.kind {
        Kind::Directory => "a directory".to_owned(),
        Kind::File { .. } | Kind::HardLink { .. } => "a file".to_owned(),
        Kind::Symlink { target } => format!("a link to {}", OsStr::from_bytes(target).display()),
        Kind::Fifo => "a pipe".to_owned(),
        Kind::CharDevice { .. } | Kind::BlockDevice { .. } => "a device".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::{base, paths};
    use layerstone_closure::PathInfo;
    use layerstone_store::{NarHash, StorePath};

    const A: &str = "516z65g5d2g7yfc9yv6n2g1q21jqv0m1-a";

    fn closure(store: &Store) -> Closure {
        let path: StorePath = paths(store, &[A]).remove(0);
        let nar_hash: NarHash = format!("sha256:{}", "0".repeat(64)).parse().unwrap();
        let references = vec![path.clone()];
        Closure { graph: vec![PathInfo { nar_hash: Some(nar_hash), nar_size: Some(120), path, references }] }
    }

    fn spec(place: NixDbPlace, tree: Option<Tree>, copies: &Path) -> NixDbSpec {
        let base =
            tree.map(|tree| NixDbBase { name: "base".to_owned(), tree: Arc::new(tree), copies: copies.to_owned() });
        let store = Store::new("/nix/store", "/").unwrap();
        NixDbSpec { store, mtime: 1, uid: None, gid: None, place, base }
    }

    fn on_top() -> NixDbPlace {
        NixDbPlace::OnTop { root: None, store_owner: Owner::root() }
    }

    /// Names, modes and owners of the layer, and its bytes' digest.
    fn made(spec: &NixDbSpec) -> Result<(Vec<String>, layerstone_store::Digest)> {
        let directory = tempfile::tempdir().unwrap();
        let blob = directory.path().join("x.tar");
        let layer = build_nix_db(spec, &closure(&spec.store), &blob)?;
        let mut members = layerstone_tar::Members::new(BufReader::new(File::open(&blob).unwrap()), Default::default());
        let mut found = Vec::new();
        while let Some(member) = members.next_member().unwrap() {
            let name = String::from_utf8(member.name).unwrap();
            found.push(format!("{name} {:o} {}:{}", member.mode, member.uid, member.gid));
        }
        Ok((found, layer.diff_id))
    }

    #[test]
    fn the_files_around_the_database() {
        let (members, first) = made(&spec(on_top(), None, Path::new(""))).unwrap();
        for expected in [
            "nix 755 0:0".to_owned(),
            "nix/store 755 0:0".to_owned(),
            "nix/var/nix/db/db.sqlite 644 0:0".to_owned(),
            "nix/var/nix/db/schema 644 0:0".to_owned(),
            format!("nix/var/nix/gcroots/docker/{A} 777 0:0"),
        ] {
            assert!(members.contains(&expected), "{expected}: {members:#?}");
        }
        let mut sorted = members.clone();
        sorted.sort_by(|a, b| a.split(' ').next().unwrap().split('/').cmp(b.split(' ').next().unwrap().split('/')));
        assert_eq!(members, sorted);
        assert_eq!(made(&spec(on_top(), None, Path::new(""))).unwrap().1, first, "the same bytes each time");
        let owned = NixDbSpec { uid: Some(5), gid: Some(6), ..spec(on_top(), None, Path::new("")) };
        assert!(made(&owned).unwrap().0.iter().all(|line| line.ends_with(" 5:6")));
    }

    #[test]
    fn what_is_in_the_way() {
        for (line, found) in [
            ("nix/var -> /var", "/nix/var: found a link to /var, expected a directory"),
            ("nix/var/nix/db", "/nix/var/nix/db: found a file, expected a directory"),
        ] {
            let copies = tempfile::tempdir().unwrap();
            let error = made(&spec(on_top(), Some(base(&[line])), copies.path())).unwrap_err().to_string();
            assert!(error.starts_with("cannot put the Nix database over base: ") && error.contains(found), "{error}");
        }
    }

    /// Directories of the base keep their modes and owners, but for those that the layers of store paths have.
    #[test]
    fn over_a_base() {
        let copies = tempfile::tempdir().unwrap();
        let tree = base(&["700,7,8: nix/", "750,7,8: nix/var/"]);
        let (members, _) = made(&spec(on_top(), Some(tree), copies.path())).unwrap();
        for expected in ["nix 755 0:0", "nix/var 750 7:8", "nix/var/nix 755 0:0"] {
            assert!(members.iter().any(|line| line == expected), "{expected}: {members:#?}");
        }
    }
}
