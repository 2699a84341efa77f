//! The image below a script, which a namespace gets as one tar. [`machine`](crate::machine) writes it as a file system.

use crate::Result;
use layerstone_store::Digest;
use layerstone_tar::{Part, Tree, write_flat};
use std::ffi::OsString;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;

/// A change of the file system that we write makes kept ones useless.
const KEPT: &str = "layerstone base 1";

/// The image below a script.
#[derive(Clone, Debug)]
pub struct LowerImage {
    /// Its files.
    pub tree: Arc<Tree>,
    /// Its layers, plain, bottom first.
    pub layers: Vec<Part>,
    /// Their diff IDs.
    pub diff_ids: Vec<Digest>,
}

impl LowerImage {
    /// Its files as one tar.
    pub(crate) fn write_tar(&self, out: &mut dyn Write) -> Result<()> {
        Ok(write_flat(&self.tree, &self.layers, out, Path::new("the root script's namespace"))?)
    }

    /// Whether its file system is kept in a directory already.
    pub fn is_kept(&self, cache: &Path) -> bool {
        cache.join(self.name()).exists()
    }

    /// What its file system is called in a directory that keeps it.
    pub(crate) fn name(&self) -> OsString {
        format!("{}.erofs", self.key().hex()).into()
    }

    /// What decides its files.
    fn key(&self) -> Digest {
        let lines = self.diff_ids.iter().map(|id| format!("\n{}", id.hex()));
        Digest::of(format!("{KEPT}{}", lines.collect::<String>()).as_bytes())
    }
}
