//! Writes one layer as a read-only file system that overlayfs puts over those of lower layers, as containerd's erofs snapshotter
//! does.
//!
//! Whiteouts and opaque directories have the kernel's form, as `mkfs.erofs --aufs` gives it to them.

use crate::file_system::{Form, write_tree};
use crate::{Error, Result};
use layerstone_store::Limits;
use layerstone_tar::{Allowance, LayerTree, Part, UnionReader};
use std::io::{BufReader, ErrorKind, Write};
use std::path::Path;
use std::slice;

/// Writes the file system of a layer, which is this tar, plain. The same tar gives the same bytes.
///
/// # Errors
///
/// The tar is no layer; [`Error::NotAlone`]: it cannot be a file system of its own; or `out` cannot be written, which
/// messages call `name`.
pub fn write_layer_image(tar: &Part, limits: &Limits, out: &mut dyn Write, name: &Path) -> Result<()> {
    let layer = LayerTree::read_nth(BufReader::new(tar.reader()), 0, &Allowance::new(*limits));
    let tree = layer.map_err(Error::io("read", tar.name()))?.alone().map_err(|e| Error::NotAlone(e.to_string()))?;
    let limit = limits.unpacked(Some(tar.size()));
    if tree.holes() > limit {
        return Err(Error::Holes { name: tar.name().to_owned(), found: tree.holes(), limit });
    }
    let written = write_tree(&tree, UnionReader(slice::from_ref(tar)), Form::Layer, limits, out);
    let written = written.map_err(|e| match e {
        Error::Attributes(exceeded) => Error::NotAlone(exceeded.to_string()),
        other => other,
    })?;
    written.map_err(|e| match e.kind() {
        ErrorKind::InvalidFilename | ErrorKind::FileTooLarge => Error::NotAlone(e.to_string()),
        _ => Error::io("write", name)(e),
    })
}
