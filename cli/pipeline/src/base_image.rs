//! The image to build on, or to look into: opened, its layers plain, and what they hold.

use crate::{Opener, Report, Result};
use layerstone_image::{ImageFile, ImageStorePaths, StoredImage, store_paths_of};
use layerstone_layer::Progress;
use layerstone_oci::{Place, Reference, Wanted};
use layerstone_spec::Spec;
use layerstone_store::{Limits, Store};
use layerstone_tar::{Kind, Tree};
use std::path::Path;
use std::sync::{Arc, OnceLock};

/// Opens a file or directory of images, and reports what is odd about it.
pub fn open_file(path: &Path, limits: Limits, report: &dyn Report) -> Result<ImageFile> {
    open_file_as(path, path, limits, report)
}

/// The same for a file that messages call by another name.
pub fn open_file_as(path: &Path, shown: &Path, limits: Limits, report: &dyn Report) -> Result<ImageFile> {
    let file = ImageFile::open_as(path, shown, limits)?;
    file.warning().into_iter().for_each(|warning| report.warn(warning));
    Ok(file)
}

/// Unpacks the layers that are compressed.
pub fn make_plain(image: &mut StoredImage, limits: Limits, report: &dyn Report) -> Result<()> {
    let unpack = |meter: &Progress| image.unpack(limits, meter);
    Ok(report.during("unpacking", None, Vec::new(), unpack)?)
}

/// The platform of the image of a spec, or without one that of this machine.
pub fn wanted_for(spec: Option<&Spec>) -> Wanted {
    let (architecture, variant) =
        spec.map_or((None, None), |spec| (spec.architecture.as_deref(), spec.variant.as_deref()));
    Wanted::new(None, architecture, variant)
}

/// An image to build on, its layers plain.
pub struct BaseImage {
    /// The image.
    pub image: StoredImage,
    /// The registry that it is in, and its digest there; none for that of a file.
    pub origin: Option<Reference>,
    tree: OnceLock<Arc<Tree>>,
}

impl BaseImage {
    /// Opens an image to build on and unpacks its layers; `spec` says for which platform.
    ///
    /// # Errors
    ///
    /// It cannot be read or fetched, or is no image for that platform.
    pub fn open(place: &Place, spec: Option<&Spec>, opener: &Opener<'_>) -> Result<BaseImage> {
        let wanted = wanted_for(spec).of_base();
        let opened = opener.open(place, &wanted)?;
        let mut image = opened.image()?;
        make_plain(&mut image, opener.limits, opener.report)?;
        Ok(BaseImage { image, origin: opened.origin, tree: OnceLock::new() })
    }

    /// The files that a container of it sees.
    pub fn tree(&self) -> Result<Arc<Tree>> {
        if let Some(tree) = self.tree.get() {
            return Ok(Arc::clone(tree));
        }
        let tree = Arc::new(self.image.tree()?);
        Ok(Arc::clone(self.tree.get_or_init(|| tree)))
    }

    /// Store paths keep their names in an image, so that the base must have directories on the way to them, or nothing.
    pub fn check_store(&self, store: &Store) -> Result<()> {
        let (tree, dir) = (self.tree()?, store.dir());
        for end in dir.match_indices('/').map(|(at, _)| at).skip(1).chain([dir.len()]) {
            let directory = &dir[..end];
            if let Some(node) = tree.get(&directory.as_bytes()[1..]).filter(|node| !node.is_directory()) {
                let found = match &node.kind {
                    Kind::Symlink { target } => format!("a link to {}", target.escape_ascii()),
                    _ => "a file".to_owned(),
                };
                bail!("cannot put store paths over {}: {directory}: found {found}, expected a folder", self.image.name);
            }
        }
        Ok(())
    }

    /// Its files, which are going to be written.
    pub fn tree_to_write(&self) -> Result<Arc<Tree>> {
        let tree = self.tree()?;
        self.image.check_holes(&tree)?;
        Ok(tree)
    }

    /// Its store paths.
    pub fn store_paths(&self, store_dir: &str) -> Result<ImageStorePaths> {
        Ok(store_paths_of(&self.image, store_dir)?)
    }
}
