//! Reads an overlay's upper directory into members of a layer (OCI image-spec, layer.md, "Representing Changes").
//!
//! A character device 0:0 is a whiteout and becomes `.wh.NAME`; an opaque directory gets a `.wh..wh..opq` before its
//! contents; every other file is itself, and further names of one become hard links. A whiteout or marker is written only
//! for files of the base, not for the mount points that were made for the run.

use crate::unpack::is_overlays;
use crate::{Error, Result};
use layerstone_tar::{Entry, Kind, Owner, Whiteout, Xattrs, kind_of, read_xattrs_if};
use std::collections::HashMap;
use std::fs::{self, Metadata};
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// A member of the layer, and the file that it is.
#[derive(Debug)]
pub struct Changed {
    /// What stands in its header.
    pub entry: Entry,
    /// Modification time, in seconds since the epoch.
    pub mtime: i64,
    /// Where its contents are.
    pub file: PathBuf,
}

/// What the layer holds.
#[derive(Debug, Default)]
pub struct Changes {
    /// Its members, directories before what is in them, siblings in the order of their names.
    pub members: Vec<Changed>,
    /// Names of sockets, which are left out.
    pub sockets: Vec<Vec<u8>>,
}

/// The mode and owner of a layer's root directory: it is a member if a script has changed them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RootFacts {
    mode: u32,
    uid: u32,
    gid: u32,
}

impl RootFacts {
    /// Those of a directory.
    pub fn of(directory: &Path) -> Result<RootFacts> {
        let metadata = directory.symlink_metadata().map_err(Error::io("read", directory))?;
        Ok(RootFacts { mode: metadata.permissions().mode() & 0o7777, uid: metadata.uid(), gid: metadata.gid() })
    }
}

/// Reads an upper directory. The base's files are below `lower`.
pub fn read_upper(upper: &Path, lower: &Path, root: RootFacts) -> Result<Changes> {
    let mut walk = Walk { changes: Changes::default(), links: HashMap::new() };
    let metadata = upper.symlink_metadata().map_err(Error::io("read", upper))?;
    let attributes = Attributes::of(upper, &metadata)?;
    let is_opaque = attributes.is_opaque(upper)?;
    if RootFacts::of(upper)? != root || attributes.own.is_some() {
        walk.add(upper, b".", Kind::Directory, &metadata, attributes.own);
    }
    let lower = Some(lower.to_owned()).filter(|lower| lower.is_dir());
    let mut open = vec![walk.enter(upper, b".".to_vec(), lower, is_opaque)?];
    while let Some(directory) = open.last_mut() {
        let Some(child) = directory.children.next() else {
            open.pop();
            continue;
        };
        let next = walk.visit(directory, child)?;
        open.extend(next);
    }
    Ok(walk.changes)
}

/// A directory that is being read.
struct OpenDirectory {
    /// Its name in the layer.
    name: Vec<u8>,
    /// The directory of the base that shows through.
    lower: Option<PathBuf>,
    /// Whether it hides all that the base has in it.
    is_opaque: bool,
    /// What is left of it.
    children: std::vec::IntoIter<Child>,
}

struct Walk {
    changes: Changes,
    /// Files with several names, by device and inode number, and the first name.
    links: HashMap<(u64, u64), Vec<u8>>,
}

/// A file in a directory, and what it is called in the layer.
struct Child {
    name: Vec<u8>,
    file: PathBuf,
    metadata: Metadata,
    attributes: Attributes,
    is_whiteout: bool,
}

/// A file's extended attributes: its own and those of overlayfs, wherever these are kept.
#[derive(Default)]
struct Attributes {
    own: Option<Box<Xattrs>>,
    overlays: Xattrs,
}

impl Walk {
    /// Opens a directory, and adds its marker if it is opaque.
    fn enter(
        &mut self,
        directory: &Path,
        name: Vec<u8>,
        lower: Option<PathBuf>,
        is_opaque: bool,
    ) -> Result<OpenDirectory> {
        if is_opaque && lower.is_some() {
            self.whiteout(directory, &[&name[..], b"/", Whiteout::OPAQUE].concat());
        }
        Ok(OpenDirectory { name, lower, is_opaque, children: children(directory)?.into_iter() })
    }

    /// Adds a file; if it is a directory, it is to be read next.
    fn visit(&mut self, parent: &OpenDirectory, child: Child) -> Result<Option<OpenDirectory>> {
        let base = child.file.file_name().unwrap_or_default();
        let full = [&parent.name[..], b"/", &child.name].concat();
        let below = parent.lower.as_ref().map(|lower| lower.join(base));
        let hidden = below.as_deref().and_then(|path| path.symlink_metadata().ok());
        if child.is_whiteout {
            if hidden.is_some() {
                self.whiteout(&child.file, &full);
            }
            return Ok(None);
        }
        if child.name.starts_with(Whiteout::PREFIX) {
            let shown = full[1..].escape_ascii();
            return Err(Error::Found(format!("cannot pack {shown}: in a layer such a name deletes a file")));
        }
        let Child { file, metadata, attributes, .. } = child;
        let is_opaque = metadata.is_dir() && attributes.is_opaque(&file)?;
        self.add_child(&file, &metadata, attributes.own, &full)?;
        if !metadata.is_dir() {
            return Ok(None);
        }
        let shows = hidden.is_some_and(|hidden| hidden.is_dir()) && !parent.is_opaque;
        self.enter(&file, full, below.filter(|_| shows), is_opaque).map(Some)
    }

    fn add_child(
        &mut self,
        file: &Path,
        metadata: &Metadata,
        mut xattrs: Option<Box<Xattrs>>,
        name: &[u8],
    ) -> Result<()> {
        let Some(mut kind) = kind_of(file, metadata)? else {
            self.changes.sockets.push(name.to_owned());
            return Ok(());
        };
        if !metadata.is_dir() && metadata.nlink() > 1 {
            let first = self.links.entry((metadata.dev(), metadata.ino())).or_insert_with(|| name.to_owned());
            if *first != name {
                // Its first name has the attributes.
                (kind, xattrs) = (Kind::HardLink { target: first.as_slice().into() }, None);
            }
        }
        self.add(file, name, kind, metadata, xattrs);
        Ok(())
    }

    fn add(&mut self, file: &Path, name: &[u8], kind: Kind, metadata: &Metadata, xattrs: Option<Box<Xattrs>>) {
        let owner = Owner { uid: metadata.uid(), gid: metadata.gid(), ..Owner::numeric_root() };
        let entry = Entry {
            owner: Some(Box::new(owner)),
            xattrs,
            ..Entry::new(name, kind, metadata.permissions().mode() & 0o7777)
        };
        self.changes.members.push(Changed { entry, mtime: metadata.mtime(), file: file.to_owned() });
    }

    /// An empty file of root's, as the image specification shows them.
    fn whiteout(&mut self, file: &Path, name: &[u8]) {
        let entry = Entry { owner: Some(Box::new(Owner::numeric_root())), ..Entry::file(name, 0o644, 0) };
        self.changes.members.push(Changed { entry, mtime: 0, file: file.to_owned() });
    }
}

/// The files in a directory in the order of their members' names.
fn children(directory: &Path) -> Result<Vec<Child>> {
    let mut children = Vec::new();
    for child in fs::read_dir(directory).map_err(Error::io("read", directory))? {
        let child = child.map_err(Error::io("read", directory))?;
        let file = child.path();
        let metadata = child.metadata().map_err(Error::io("read", &file))?;
        let attributes = Attributes::of(&file, &metadata)?;
        let is_whiteout = is_whiteout(&metadata, &attributes);
        let base = child.file_name().into_vec();
        let name = if is_whiteout { Whiteout::hiding(&base) } else { base };
        children.push(Child { name, file, metadata, attributes, is_whiteout });
    }
    children.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(children)
}

/// Whether a file hides one of the base: a device 0:0, and only this one, or since Linux 6.7 an empty file with an
/// attribute that says so.
fn is_whiteout(metadata: &Metadata, attributes: &Attributes) -> bool {
    match metadata.file_type() {
        kind if kind.is_char_device() => metadata.rdev() == 0,
        kind if kind.is_file() && metadata.len() == 0 => attributes.overlays(b"whiteout").is_some(),
        _ => false,
    }
}

impl Attributes {
    /// Those of a file; a link has none. Labels of SELinux belong to the machine.
    fn of(file: &Path, metadata: &Metadata) -> Result<Attributes> {
        if metadata.is_symlink() {
            return Ok(Attributes::default());
        }
        let all = read_xattrs_if(file, |name| name != b"security.selinux")?;
        let (overlays, own): (Xattrs, Xattrs) =
            all.into_iter().flat_map(|all| *all).partition(|(name, _)| is_overlays(name));
        Ok(Attributes { own: (!own.is_empty()).then(|| Box::new(own)), overlays })
    }

    /// An attribute of overlayfs.
    fn overlays(&self, name: &[u8]) -> Option<&[u8]> {
        let is_it = |found: &[u8]| found.rsplit(|&byte| byte == b'.').next() == Some(name);
        self.overlays.iter().find_map(|(found, value)| is_it(found).then_some(&**value))
    }

    /// Whether a directory with these hides all that the base has in it. `x` is a directory in which files may be whiteouts
    /// (Linux 6.7).
    fn is_opaque(&self, directory: &Path) -> Result<bool> {
        for name in [&b"redirect"[..], b"metacopy"] {
            if self.overlays(name).is_some() {
                let cause = format!("found overlayfs' attribute {}, expected none", name.escape_ascii());
                return Err(Error::Found(format!("cannot pack {}: {cause}", directory.display())));
            }
        }
        Ok(self.overlays(b"opaque") == Some(b"y"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::fs::{XattrFlags, lsetxattr};

    /// An upper and a lower directory with the same files.
    fn directories() -> (tempfile::TempDir, PathBuf, PathBuf) {
        let both = tempfile::tempdir().unwrap();
        let [upper, lower] = ["upper", "lower"].map(|name| both.path().join(name));
        for directory in [&upper, &lower] {
            fs::create_dir_all(directory.join("d/e")).unwrap();
            fs::write(directory.join("d/f"), "").unwrap();
        }
        (both, upper, lower)
    }

    fn set(file: &Path, name: &str, value: &str) {
        lsetxattr(file, name, value.as_bytes(), XattrFlags::empty()).unwrap();
    }

    fn names(upper: &Path, lower: &Path) -> Result<Vec<String>> {
        let changes = read_upper(upper, lower, RootFacts::of(upper)?)?;
        Ok(changes.members.iter().map(|member| String::from_utf8_lossy(&member.entry.name).into_owned()).collect())
    }

    /// Linux 6.7: an empty file with an attribute in a directory that is marked with `x`.
    #[test]
    fn whiteouts_that_are_files() {
        let (_whole, upper, lower) = directories();
        assert_eq!(names(&upper, &lower).unwrap(), ["./d", "./d/e", "./d/f"]);
        set(&upper.join("d"), "user.overlay.opaque", "x");
        set(&upper.join("d/f"), "user.overlay.whiteout", "");
        assert_eq!(names(&upper, &lower).unwrap(), ["./d", "./d/.wh.f", "./d/e"]);
        // Of a file that the base has not there is nothing to be hidden.
        fs::remove_file(lower.join("d/f")).unwrap();
        assert_eq!(names(&upper, &lower).unwrap(), ["./d", "./d/e"]);
    }

    #[test]
    fn opaque_directories() {
        let (_whole, upper, lower) = directories();
        set(&upper.join("d"), "user.overlay.opaque", "y");
        set(&upper.join("d/e"), "user.overlay.opaque", "y");
        // What is below an opaque directory hides nothing more.
        assert_eq!(names(&upper, &lower).unwrap(), ["./d", "./d/.wh..wh..opq", "./d/e", "./d/f"]);
        fs::remove_dir_all(lower.join("d")).unwrap();
        assert_eq!(names(&upper, &lower).unwrap(), ["./d", "./d/e", "./d/f"]);
    }

    #[test]
    fn what_depends_on_the_base_is_refused() {
        for name in ["redirect", "metacopy"] {
            let (_whole, upper, lower) = directories();
            set(&upper.join("d"), &format!("user.overlay.{name}"), "/e");
            let error = names(&upper, &lower).unwrap_err().to_string();
            assert!(error.ends_with(&format!("/upper/d: found overlayfs' attribute {name}, expected none")), "{error}");
        }
    }

    #[test]
    fn attributes_of_the_machine_stay_there() {
        let (_whole, upper, lower) = directories();
        for (name, value) in [("user.overlay.origin", "o"), ("user.kept", "k")] {
            set(&upper.join("d/f"), name, value);
        }
        let changes = read_upper(&upper, &lower, RootFacts::of(&upper).unwrap()).unwrap();
        let found = changes.members.iter().find_map(|member| member.entry.xattrs.clone()).unwrap();
        assert_eq!(found.keys().map(|name| &**name).collect::<Vec<_>>(), [b"user.kept"]);
    }
}
