//! Writes the image below a script as a read-only file system for a virtual machine.

use crate::file_system::{Form, write_tree};
use crate::{Error, LowerImage, Result};
use layerstone_store::{Directory, Limits, Output};
use layerstone_tar::UnionReader;
use rustix::fs::OFlags;
use std::fs::File;
use std::io::{self, Write};
use std::path::Path;

impl LowerImage {
    /// Its files as a file system, which is taken from or kept in a directory if one is given.
    pub(crate) fn image(&self, cache: Option<&Path>, limits: &Limits) -> Result<File> {
        let Some(cache) = cache else {
            let mut file = tempfile::tempfile().map_err(Error::io("make a file in", std::env::temp_dir()))?;
            self.write_image(&mut file, limits)?;
            return Ok(file);
        };
        let name = self.name();
        let path = cache.join(&name);
        // Nothing but a file: no link leads elsewhere, and no pipe is waited for.
        match Directory::open(cache).and_then(|directory| directory.open_file(&name, OFlags::RDONLY)) {
            Ok(file) => {
                tracing::debug!(target: "layerstone::cache", "merged base {}: kept", path.display());
                return Ok(file);
            }
            Err(e) if e.kind() == io::ErrorKind::NotFound => {}
            Err(e) => return Err(Error::io("open", &path)(e)),
        }
        tracing::info!(target: "layerstone::cache", "merged base {}: not kept yet", path.display());
        let directory = Directory::create_named(cache).map_err(Error::io("make", cache))?;
        let mut output = Output::create_below(&directory, Path::new(&name), &path)?;
        self.write_image(&mut output, limits)?;
        output.commit()?;
        directory.open_file(&name, OFlags::RDONLY).map_err(Error::io("open", &path))
    }

    fn write_image(&self, out: &mut dyn Write, limits: &Limits) -> Result<()> {
        let written = write_tree(&self.tree, UnionReader(&self.layers), Form::Image, limits, out)?;
        written.map_err(Error::io("write", "the base's files"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use layerstone_store::{Digest, Limit};
    use layerstone_tar::{Common, Dialect, Entry, LayerTree, Owner, Part, Tree};
    use std::sync::Arc;

    /// The image of a layer of these files, each with an attribute of so many bytes.
    fn image(files: &[(&str, usize)]) -> LowerImage {
        let common = Common { dialect: Dialect::Pax, mtime: 1, owner: Owner::root() };
        let mut layer = Vec::new();
        for (name, bytes) in files {
            let xattrs = [(Box::from(&b"user.x"[..]), vec![b'v'; *bytes].into())].into_iter().collect();
            let entry = Entry { xattrs: Some(Box::new(xattrs)), ..Entry::file(name.as_bytes(), 0o644, 0) };
            common.append_header(&entry, &mut layer);
        }
        layer.extend([0; 1024]);
        let mut tree = Tree::default();
        tree.put(LayerTree::read(io::Cursor::new(&layer)).unwrap()).unwrap();
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&layer).unwrap();
        let part = Part::new(Arc::new(file), "layer", 0, layer.len() as u64);
        LowerImage { tree: Arc::new(tree), layers: vec![part], diff_ids: vec![Digest::of(&layer)] }
    }

    /// Attributes of all files are counted together, with their names.
    #[test]
    fn as_many_attributes_as_the_limit_and_no_more() {
        let image = image(&[("a", 10), ("b", 7)]);
        let write = |most| image.write_image(&mut io::sink(), &Limits::default().with(Limit::Attributes, most));
        write(29).unwrap();
        let expected =
            "the base's files: found 29 bytes of extended attributes, expected at most 28 (limit attributes)";
        assert_eq!(write(28).unwrap_err().to_string(), expected);
    }
}
