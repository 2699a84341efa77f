//! Keeps layers as EROFS file systems by diff ID, where containerd's erofs snapshotter looks before it fetches and converts
//! a layer (`layer_content_caches`).
//!
//! A file is `ALGORITHM/XX/HEX.erofs`, XX being the first two digits of HEX (containerd, internal/erofsutils/mount.go,
//! `CacheBlobPath`). A whole file of a layer's name is taken for that layer's, as containerd takes it: other programs write
//! other bytes of the same files, and nothing in them tells the tar. One that is not whole is written again.

use crate::new_directory::make_directory;
use crate::{Error, Report, Result};
use layerstone_image::unpack_tar;
use layerstone_layer::{Blob, Content, Descriptor, Layer, Progress, Source, write_layer};
use layerstone_overlay::write_layer_image;
use layerstone_store::{Digest, Directory, Limits, NewDirectory, Output};
use layerstone_tar::Part;
use rayon::prelude::*;
use rustix::fs::OFlags;
use std::fs::File;
use std::io::{self, ErrorKind};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The algorithm of our diff IDs.
const ALGORITHM: &str = "sha256";
/// Where the superblock begins, and how (`struct erofs_super_block`): its magic number, the exponent of a block's size, and
/// how many blocks there are.
const SUPER: u64 = 1024;
const MAGIC: [u8; 4] = [0xe2, 0xe1, 0xf5, 0xe0];
const BLOCK_BITS: usize = 12;
const BLOCKS: usize = 36;

/// A directory of layers as file systems, held open.
pub struct ErofsCache {
    directory: NewDirectory,
    blobs: Directory,
    limits: Limits,
}

/// What became of a layer.
struct Added {
    diff_id: Digest,
    /// Something that the user should know.
    remark: Option<String>,
}

impl ErofsCache {
    /// Opens the directory, made if it does not exist; its parent must. Layers are read within these limits.
    ///
    /// # Errors
    ///
    /// It cannot be made, or is none.
    pub fn open(path: &Path, limits: Limits) -> Result<ErofsCache> {
        let directory = make_directory(path)?;
        let blobs = subdirectory(directory.directory(), ALGORITHM, path)?;
        Ok(ErofsCache { directory, blobs, limits })
    }

    /// Adds the layers that are not there. Those whose diff ID is not known are read for it, and know it then.
    ///
    /// # Errors
    ///
    /// A layer cannot be read or is not what it must be, or a file cannot be written.
    pub fn add(&self, layers: &mut [Layer], report: &dyn Report) -> Result<()> {
        let missing: Vec<&mut Layer> = layers.iter_mut().filter(|layer| !self.has_quietly(layer)).collect();
        if missing.is_empty() {
            return Ok(());
        }
        let bytes = missing.iter().map(|layer| layer.size()).fold(0, u64::saturating_add);
        let titles = missing.iter().map(|layer| layer.label.display().to_string()).collect();
        let add = |meter: &Progress| {
            let added = missing.into_par_iter().map(|layer| {
                let added = self.add_one(layer, meter)?;
                layer.diff_id = Some(added.diff_id);
                Ok(added.remark)
            });
            added.collect::<Result<Vec<_>>>()
        };
        let remarks = report.during("file systems of layers", Some(bytes), titles, add)?;
        remarks.into_iter().flatten().for_each(|remark| report.warn(remark));
        Ok(())
    }

    /// Whether a layer is there; what is wrong with a file is told when the layer is added.
    fn has_quietly(&self, layer: &Layer) -> bool {
        layer.diff_id.is_some_and(|diff_id| matches!(self.find(&diff_id), Ok(Found::Whole)))
    }

    fn add_one(&self, layer: &Layer, meter: &Progress) -> Result<Added> {
        let (tar, diff_id) = tar_of(layer, &self.limits, meter)?;
        let path = self.path(&diff_id);
        let found = self.find(&diff_id).map_err(|e| Error::from(io_error("read", &path, e)))?;
        if let Found::Whole = found {
            return Ok(Added { diff_id, remark: None });
        }
        let directory = subdirectory(&self.blobs, &diff_id.hex()[..2], &self.directory.path().join(ALGORITHM))?;
        let mut output = Output::create_below(&directory, Path::new(&file_name(&diff_id)), &path)?;
        let remark = match write_layer_image(&tar, &self.limits, &mut output, &path) {
            Ok(()) => {
                output.commit()?;
                found.remark(&path)
            }
            Err(layerstone_overlay::Error::NotAlone(cause)) => {
                let label = layer.label.display();
                Some(format!("no file system of {label}, which containerd makes itself then: {cause}"))
            }
            Err(error) => return Err(error.into()),
        };
        Ok(Added { diff_id, remark })
    }

    fn path(&self, diff_id: &Digest) -> PathBuf {
        self.directory.path().join(ALGORITHM).join(&diff_id.hex()[..2]).join(file_name(diff_id))
    }

    /// What has a layer's name.
    fn find(&self, diff_id: &Digest) -> io::Result<Found> {
        let opened = self.blobs.open_below(Path::new(&diff_id.hex()[..2]));
        match opened.and_then(|directory| directory.open_file(file_name(diff_id).as_ref(), OFlags::RDONLY)) {
            Ok(file) => Ok(if is_whole(&file)? { Found::Whole } else { Found::Damaged }),
            Err(e) if e.kind() == ErrorKind::NotFound => Ok(Found::Nothing),
            Err(e) => Err(e),
        }
    }
}

/// What is in the place of a layer.
enum Found {
    Nothing,
    Whole,
    Damaged,
}

impl Found {
    /// What is said when the layer takes its place.
    fn remark(&self, path: &Path) -> Option<String> {
        let damaged = matches!(self, Found::Damaged);
        damaged.then(|| format!("written again: {}: found no whole EROFS file system", path.display()))
    }
}

fn file_name(diff_id: &Digest) -> String {
    format!("{}.erofs", diff_id.hex())
}

/// Opens a directory in one that has this path, made if it does not exist.
fn subdirectory(parent: &Directory, name: &str, path: &Path) -> Result<Directory> {
    let made = parent.create_below(Path::new(name));
    Ok(made.map_err(|e| io_error("make the directory", &path.join(name), e))?)
}

/// Whether a file has a superblock, and as many bytes as that says, or more: a hash tree of dm-verity may follow.
fn is_whole(file: &File) -> io::Result<bool> {
    let mut head = [0; BLOCKS + 4];
    match file.read_exact_at(&mut head, SUPER) {
        Err(e) if e.kind() == ErrorKind::UnexpectedEof => return Ok(false),
        read => read?,
    }
    let blocks = u32::from_le_bytes([head[BLOCKS], head[BLOCKS + 1], head[BLOCKS + 2], head[BLOCKS + 3]]);
    let size = u64::from(blocks).checked_shl(u32::from(head[BLOCK_BITS])).unwrap_or(u64::MAX);
    Ok(head.starts_with(&MAGIC) && blocks > 0 && size <= file.metadata()?.len())
}

/// The tar of a layer, checked, and its diff ID.
fn tar_of(layer: &Layer, limits: &Limits, meter: &Progress) -> Result<(Part, Digest)> {
    let (tar, found) = match (&layer.tar, &layer.blob) {
        (Some(tar @ (Source::Blob { .. } | Source::Part(_))), _) => {
            let found = write_layer(tar, &mut io::sink(), &layer.label, meter)?;
            (tar.file().expect("it is a file"), found)
        }
        (None, Some(Blob::Stored(descriptor, content))) => unpacked(descriptor, &**content, limits)?,
        _ => written(layer, meter)?,
    };
    layer.check(found)?;
    Ok((tar, found))
}

/// The tar that a blob unpacks to.
fn unpacked(descriptor: &Descriptor, content: &dyn Content, limits: &Limits) -> Result<(Part, Digest)> {
    let name = PathBuf::from(descriptor.digest.to_string());
    let mut file = anonymous()?;
    content.write_to(0, &mut file)?;
    let size = file.metadata()?.len();
    let found = unpack_tar(&Part::new(Arc::new(file), &name, 0, size), *limits)?;
    if found.digest != descriptor.digest {
        let (path, expected) = (name, descriptor.digest);
        return Err(layerstone_layer::Error::Digest { path, found: found.digest, expected }.into());
    }
    Ok((found.tar, found.diff_id))
}

/// The tar of a layer that is made of files.
fn written(layer: &Layer, meter: &Progress) -> Result<(Part, Digest)> {
    let mut file = anonymous()?;
    let found = write_layer(layer.tar()?, &mut file, &layer.label, meter)?;
    let size = file.metadata()?.len();
    Ok((Part::new(Arc::new(file), &layer.label, 0, size), found))
}

fn anonymous() -> Result<File> {
    let directory = std::env::temp_dir();
    Ok(tempfile::tempfile().map_err(|e| io_error("make a file in", &directory, e))?)
}

fn io_error(action: &'static str, path: &Path, source: io::Error) -> layerstone_store::Error {
    layerstone_store::Error::Io { action, path: path.to_owned(), source }
}
