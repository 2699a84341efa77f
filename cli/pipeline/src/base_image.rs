//! The image to build on, or to look into: opened, its layers plain, and what they hold.

use crate::{Report, Result};
use layerstone_image::{ImageFile, ImageStorePaths, StoredImage, store_paths_of};
use layerstone_layer::Progress;
use layerstone_oci::{Location, Wanted};
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

/// Opens an image and unpacks its layers.
///
/// # Errors
///
/// It cannot be read, or is no image for the platform that is wanted.
pub fn open_plain_image(
    location: &Location,
    wanted: &Wanted,
    limits: Limits,
    report: &dyn Report,
) -> Result<StoredImage> {
    let mut image = open_file(&location.path, limits, report)?.image(location, wanted)?;
    make_plain(&mut image, limits, report)?;
    Ok(image)
}

/// Unpacks the layers that are compressed.
pub fn make_plain(image: &mut StoredImage, limits: Limits, report: &dyn Report) -> Result<()> {
    let unpack = |meter: &Progress| image.unpack(limits, meter);
    Ok(report.during("unpacking", None, 0, unpack)?)
}

/// An image to build on, its layers plain.
pub struct BaseImage {
    /// The image.
    pub image: StoredImage,
    tree: OnceLock<Arc<Tree>>,
}

impl BaseImage {
    /// Opens an image to build on and unpacks its layers; `spec` says for which platform.
    ///
    /// # Errors
    ///
    /// It cannot be read, or is no image for that platform.
    pub fn open(location: &Location, spec: Option<&Spec>, limits: Limits, report: &dyn Report) -> Result<BaseImage> {
        let (architecture, variant) =
            spec.map_or((None, None), |spec| (spec.architecture.as_deref(), spec.variant.as_deref()));
        let wanted = Wanted::new(None, architecture, variant).of_base();
        Ok(BaseImage { image: open_plain_image(location, &wanted, limits, report)?, tree: OnceLock::new() })
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
