//! Finds on this machine what programs need that are copied into an image, and which the image lacks: interpreters and
//! libraries, each with the path at which it is looked for in the image.
//!
//! What the image has is taken before what the machine has: copied files, and those of the layers below. Store paths are
//! left alone, as what names them brings them into the image.

use crate::copy::{CopyInput, add_copies};
use crate::file_view::{FileView, FoundFile, Held, Image, ThisMachine};
use crate::loader::{Missing, needs_in, runs_on};
use crate::merge::Merged;
use crate::tree::{File, FileTree, Node};
use crate::{Error, Result};
use layerstone_store::{Found, Scratch, Store, Walk, open_regular};
use layerstone_tar::{Kind, Owner, Tree};
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// Bytes that tell a program from other files.
const MAGIC: usize = 4;

/// The image in which copied programs run.
#[derive(Clone, Copy, Debug)]
pub struct Surroundings<'a> {
    /// The files of the layers below.
    pub below: Option<&'a Tree>,
    /// Go's name of its architecture: programs for another one are passed over.
    pub architecture: &'a str,
    /// LD_LIBRARY_PATH there.
    pub search_path: &'a [PathBuf],
    /// The store, whose paths come into the image by themselves.
    pub store: &'a Store,
}

/// What copied programs need.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Libraries {
    /// What the image lacks and the machine has, in the order of the paths in the image.
    pub files: Vec<Library>,
    /// What both lack.
    pub missing: Vec<Missing>,
    /// The files of the machine that were looked at besides what is copied: what decides the rest.
    pub read: BTreeSet<PathBuf>,
}

/// A file of this machine that a copied program needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Library {
    /// Where it is; links are followed.
    pub from: PathBuf,
    /// Where it is looked for in the image.
    pub to: PathBuf,
}

/// Finds what the entries need that ask for libraries. `copies` are all of the image, those of the bottom layer first.
///
/// # Errors
///
/// A file cannot be read, or is a damaged ELF file.
pub fn find_libraries(copies: &[CopyInput], surroundings: Surroundings<'_>) -> Result<Libraries> {
    let scratch = Scratch::create(&std::env::temp_dir())?;
    let mut merged = Merged { tree: FileTree::new(Path::new("")), ..Merged::default() };
    add_copies(&mut merged, copies, &Owner::numeric_root(), &scratch)?;
    let image = CopiedOver { tree: &merged.tree, surroundings };
    let machine = Noted::default();
    let (mut found, mut missing) = (BTreeMap::new(), BTreeSet::new());
    for path in &merged.programs {
        let Some(Node::File(file)) = merged.tree.get(path).map(|entry| &entry.node) else { continue };
        let to = Path::new("/").join(path);
        let unreadable = || Error::io("read", &file.real);
        let Some(program) = program(file).map_err(unreadable())? else { continue };
        let architecture = crate::Elf::parse(&program.bytes).and_then(|elf| elf.ok()?.architecture);
        if architecture.is_some_and(|found| !runs_on(found, surroundings.architecture)) {
            continue;
        }
        let needs = needs_in(&image, &machine, (&program, &to), surroundings.search_path);
        let needs = needs.map_err(Error::io("find the libraries of", &to))?;
        missing.extend(needs.missing);
        for (to, needed) in needs.files {
            found.entry(image.place(&to)).or_insert(needed.from);
        }
    }
    let files = found.into_iter().map(|(to, from)| Library { from, to }).collect();
    Ok(Libraries { files, missing: missing.into_iter().collect(), read: machine.0.into_inner() })
}

/// A file that is a program by its first bytes, or may be executed and is a script; libraries of all kinds are programs.
fn program(file: &File) -> io::Result<Option<FoundFile>> {
    let mut reader = open_regular(&file.real)?;
    let mut bytes = Vec::new();
    reader.by_ref().take(MAGIC as u64).read_to_end(&mut bytes)?;
    let is_script = bytes.starts_with(b"#!") && file.mode & 0o111 != 0;
    if !is_script && bytes != b"\x7fELF" {
        return Ok(None);
    }
    reader.read_to_end(&mut bytes)?;
    Ok(Some(FoundFile { path: file.real.to_path_buf(), mode: file.mode, bytes }))
}

/// Copied files over the layers below.
struct CopiedOver<'a> {
    tree: &'a FileTree,
    surroundings: Surroundings<'a>,
}

impl CopiedOver<'_> {
    fn look(&self, at: &Path) -> Result<Found, Infallible> {
        let below = || self.surroundings.below?.get(at.as_os_str().as_bytes());
        Ok(match self.tree.get(at).map(|entry| &entry.node) {
            // Where the layers below have a link, it stays, and what is copied goes through it.
            Some(Node::Directory { .. }) if let Some(Kind::Symlink { target }) = below().map(|node| &node.kind) => {
                Found::Symlink(crate::tree::as_path(target).to_owned())
            }
            Some(Node::Directory { .. }) => Found::Directory,
            Some(Node::Link(text)) => Found::Symlink(text.to_path_buf()),
            Some(Node::File(_) | Node::Pointer) => Found::Other,
            None => match below().map(|node| &node.kind) {
                None => Found::Nothing,
                Some(Kind::Directory) => Found::Directory,
                Some(Kind::Symlink { target }) => Found::Symlink(crate::tree::as_path(target).to_owned()),
                Some(_) => Found::Other,
            },
        })
    }

    /// Where a path leads, below the root; none where links lead nowhere.
    fn follow(&self, path: &Path) -> Option<PathBuf> {
        Walk::new("", "", path).follow(|at| self.look(at)).ok()
    }

    /// The path at which something is put that is looked for at this one.
    fn place(&self, path: &Path) -> PathBuf {
        self.follow(path).map_or_else(|| path.to_owned(), |at| Path::new("/").join(at))
    }
}

impl Image for CopiedOver<'_> {
    fn held(&self, path: &Path) -> io::Result<Held> {
        let store = self.surroundings.store;
        if path.starts_with(store.dir()) && store.locate(path).exists() {
            return Ok(Held::Unread);
        }
        let Some(at) = self.follow(path) else { return Ok(Held::Nothing) };
        match self.tree.get(&at).map(|entry| &entry.node) {
            Some(Node::File(file)) => {
                let bytes = std::fs::read(&file.real)?;
                return Ok(Held::File(FoundFile { path: file.real.to_path_buf(), mode: file.mode, bytes }));
            }
            Some(_) => return Ok(Held::Nothing),
            None => {}
        }
        let below = self.surroundings.below.and_then(|tree| tree.get(at.as_os_str().as_bytes()));
        Ok(if below.is_some_and(|node| matches!(node.kind, Kind::File { .. })) { Held::Unread } else { Held::Nothing })
    }
}

/// This machine, and what was asked of it and found.
#[derive(Default)]
struct Noted(RefCell<BTreeSet<PathBuf>>);

impl FileView for Noted {
    fn file(&self, path: &Path) -> io::Result<Option<FoundFile>> {
        // What a relative path leads to depends on where the command runs.
        let found = if path.is_absolute() { ThisMachine.file(path)? } else { None };
        if found.is_some() {
            self.0.borrow_mut().insert(path.to_owned());
        }
        Ok(found)
    }

    fn names(&self, directory: &Path) -> io::Result<Vec<Vec<u8>>> {
        ThisMachine.names(directory)
    }
}
