//! The files of an image that is about to be written, or of one that exists: in tars, and store paths where they are.

use crate::Result;
use crate::error::Context;
use crate::os_packages::PackageFiles;
use layerstone_layer::{Layer, Source};
use layerstone_root::{FileView, FoundFile};
use layerstone_store::{Found, Limits, Stop, Store, StorePath, Walk};
use layerstone_tar::{Allowance, Kind, LayerTree, Node, Part, Tree, UnionReader};
use std::collections::BTreeSet;
use std::io::{self, BufReader, ErrorKind, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// Bytes that are read of a file at most. What a loader asks for is there in all but a few programs, whose libraries are
/// not looked for then.
const MOST: u64 = 64 << 20;

/// The files of an image.
pub struct ImageFiles<'a> {
    tree: Tree,
    /// The layers that the tree is read from.
    parts: Vec<Part>,
    store: &'a Store,
    /// Store paths that the image has besides.
    paths: BTreeSet<StorePath>,
    limits: Limits,
}

impl<'a> ImageFiles<'a> {
    /// The files of layers, bottom first: of their tars, or of the store paths that they hold.
    ///
    /// # Errors
    ///
    /// A tar cannot be read.
    pub fn of_layers(layers: &[Layer], store: &'a Store, limits: Limits) -> Result<ImageFiles<'a>> {
        let mut files = ImageFiles { tree: Tree::default(), parts: Vec::new(), store, paths: BTreeSet::new(), limits };
        let allowance = Allowance::new(limits);
        for layer in layers {
            files.paths.extend(layer.store_paths.iter().cloned());
            let Some(tar) = layer.tar.as_ref().and_then(Source::file) else { continue };
            let unusable = || format!("cannot use the layer: {}", layer.label.display());
            let number = u32::try_from(files.parts.len()).context("too many layers")?;
            let read = LayerTree::read_nth(BufReader::new(tar.reader()), number, &allowance).with_context(unusable)?;
            files.tree.put(read).with_context(unusable)?;
            files.parts.push(tar);
        }
        Ok(files)
    }

    /// Whether something is at a path, links followed, that is no directory.
    pub fn is_no_directory(&self, path: &Path) -> bool {
        match self.follow(path) {
            Ok(Some(at)) => matches!(self.look(&at), Ok(Found::Other)),
            Ok(None) => true,
            Err(_) => false,
        }
    }

    /// Where a path leads; none if something on the way is no directory, or links lead nowhere.
    fn follow(&self, path: &Path) -> io::Result<Option<PathBuf>> {
        match Walk::new("/", "/", path).follow(|at| self.look(at)) {
            Ok(at) => Ok(Some(at)),
            Err(Stop::TooManySymlinks | Stop::NotADirectory(_)) => Ok(None),
            Err(Stop::Lookup(error)) => Err(error),
        }
    }

    /// Where a path of the image is on this machine, if it is in a store path.
    fn on_disk(&self, at: &Path) -> Option<PathBuf> {
        let mut inside = at.strip_prefix(self.store.dir()).ok()?.components();
        let path = self.store.entry(inside.next()?.as_os_str().to_str()?).ok()?;
        self.paths.contains(&path).then(|| self.store.locate(at))
    }

    fn look(&self, at: &Path) -> io::Result<Found> {
        if let Some(real) = self.on_disk(at) {
            return match Found::on_disk(&real) {
                Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
                    Ok(Found::Nothing)
                }
                found => found,
            };
        }
        Ok(match self.node(at).map(|node| &node.kind) {
            Some(Kind::Directory) => Found::Directory,
            Some(Kind::Symlink { target }) => Found::Symlink(std::ffi::OsStr::from_bytes(target).into()),
            Some(_) => Found::Other,
            None if !self.paths.is_empty() && Path::new(self.store.dir()).starts_with(at) => Found::Directory,
            None => Found::Nothing,
        })
    }

    fn node(&self, at: &Path) -> Option<&Node> {
        self.tree.get(at.as_os_str().as_bytes().strip_prefix(b"/")?)
    }
}

impl FileView for ImageFiles<'_> {
    fn file(&self, path: &Path) -> io::Result<Option<FoundFile>> {
        let Some(at) = self.follow(path)? else { return Ok(None) };
        if let Some(real) = self.on_disk(&at) {
            let Ok(metadata) = real.metadata() else { return Ok(None) };
            if !metadata.is_file() {
                return Ok(None);
            }
            let mut bytes = Vec::new();
            std::fs::File::open(&real)?.take(MOST).read_to_end(&mut bytes)?;
            return Ok(Some(FoundFile { path: at, mode: metadata.permissions().mode() & 0o7777, bytes }));
        }
        let Some(node) = self.node(&at).filter(|node| matches!(node.kind, Kind::File { .. })) else { return Ok(None) };
        let mut first = FirstBytes(Vec::new());
        match UnionReader(&self.parts).copy(node, &mut first) {
            // Enough was read.
            Err(_) if first.0.len() as u64 >= MOST => {}
            copied => copied?,
        }
        Ok(Some(FoundFile { path: at, mode: node.mode, bytes: first.0 }))
    }

    fn names(&self, directory: &Path) -> io::Result<Vec<Vec<u8>>> {
        let Some(at) = self.follow(directory)? else { return Ok(Vec::new()) };
        if let Some(real) = self.on_disk(&at) {
            return layerstone_root::ThisMachine.names(&real);
        }
        Ok(self.node(&at).map(|node| node.children().map(|(name, _)| name.to_vec()).collect()).unwrap_or_default())
    }
}

impl PackageFiles for ImageFiles<'_> {
    fn image(&self) -> String {
        "the image".to_owned()
    }

    fn size(&self, name: &str) -> Option<u64> {
        let at = self.follow(&Path::new("/").join(name)).ok()??;
        if let Some(real) = self.on_disk(&at) {
            return real.metadata().ok().filter(|metadata| metadata.is_file()).map(|metadata| metadata.len());
        }
        if let Kind::File { size } = self.node(&at)?.kind { Some(size) } else { None }
    }

    fn write(&self, name: &str, out: &mut dyn Write) -> Result<()> {
        let mut copy = || -> io::Result<()> {
            let Some(at) = self.follow(&Path::new("/").join(name))? else { return Err(ErrorKind::NotFound.into()) };
            if let Some(real) = self.on_disk(&at) {
                return io::copy(&mut std::fs::File::open(&real)?, out).map(drop);
            }
            let node = self.node(&at).ok_or(ErrorKind::NotFound)?;
            UnionReader(&self.parts).copy(node, out)
        };
        copy().with_context(|| format!("cannot read a file of the image: {name}"))
    }

    fn names_in(&self, directory: &str) -> Vec<String> {
        let names = self.names(&Path::new("/").join(directory)).unwrap_or_default();
        names.iter().map(|name| String::from_utf8_lossy(name).into_owned()).collect()
    }

    fn limits(&self) -> Limits {
        self.limits
    }
}

/// Takes as many bytes as are wanted, and then no more.
struct FirstBytes(Vec<u8>);

impl Write for FirstBytes {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let room = usize::try_from(MOST).unwrap_or(usize::MAX).saturating_sub(self.0.len());
        self.0.extend_from_slice(&bytes[..bytes.len().min(room)]);
        if bytes.len() > room { Err(ErrorKind::WriteZero.into()) } else { Ok(bytes.len()) }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
