//! The image to build on, or to look into: opened, its layers plain, and what they hold. Of one in a registry whose files
//! nobody needs only the manifest and the config are fetched.

use crate::find_manifest::no_manifest;
use crate::opener::{OpenedFile, origin};
use crate::remote::RemoteImage;
use crate::verify::{check_opened, require_signed};
use crate::{Opener, Report, Result};
use layerstone_image::{ImageFile, ImageStorePaths, ImageSummary, StoredImage, store_paths_of};
use layerstone_layer::{Blob, Layer, Progress};
use layerstone_oci::{Place, Platform, Reference, Wanted, media_type};
use layerstone_spec::Spec;
use layerstone_store::{Digest, Limits, Store, StorePath};
use layerstone_tar::{Kind, Tree};
use serde_json::Value;
use std::collections::BTreeSet;
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

/// What is needed of a base.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BaseNeeds {
    /// Its files.
    Files,
    /// What its manifest and its config say: its layers only go where the image goes, as blobs.
    Description,
}

/// An image to build on.
pub struct BaseImage {
    /// What messages call it.
    pub name: String,
    /// Its config.
    pub config: Value,
    /// The registry that it is in, and its digest there; none for that of a file.
    pub origin: Option<Reference>,
    /// How much of it may be read.
    pub limits: Limits,
    held: Held,
    tree: OnceLock<Arc<Tree>>,
}

/// What there is of a base.
enum Held {
    /// All of it, its layers plain.
    Image(Box<StoredImage>),
    /// Its layers as a registry has them, and the store paths that the registry tells.
    Described(Vec<Layer>, BTreeSet<StorePath>),
}

impl BaseImage {
    /// Opens an image to build on and unpacks its layers, unless nobody needs them; `spec` says for which platform.
    ///
    /// # Errors
    ///
    /// It cannot be read or fetched, or is no image for that platform.
    pub fn open(place: &Place, spec: Option<&Spec>, needs: BaseNeeds, opener: &Opener<'_>) -> Result<BaseImage> {
        let wanted = wanted_for(spec).of_base();
        // What a tag leads to now is what is used, wherever it leads later.
        let pinned =
            if let Place::Registry(_) = place { require_signed(place, &wanted, false, opener)? } else { place.clone() };
        if let (Place::Registry(reference), BaseNeeds::Description) = (&pinned, needs) {
            let remote = opener.remote(reference, &wanted)?;
            return match described(&remote, opener)? {
                Some(base) => Ok(base),
                // What is odd about it is told when it is read.
                None => BaseImage::of(opener.fetch(reference, remote)?, opener),
            };
        }
        let opened = opener.open(&pinned, &wanted)?;
        match place {
            Place::Registry(_) => {}
            Place::File(location) => check_opened(&opened, location, opener)?,
            Place::Engine(..) if opener.verify_keys.is_empty() => {}
            Place::Engine(..) => return Err(no_manifest(place, "an engine")),
        }
        BaseImage::of(opened, opener)
    }

    fn of(opened: OpenedFile, opener: &Opener<'_>) -> Result<BaseImage> {
        let mut image = opened.image()?;
        make_plain(&mut image, opener.limits, opener.report)?;
        Ok(BaseImage {
            name: image.name.clone(),
            config: image.config.clone(),
            origin: opened.origin,
            limits: image.limits(),
            held: Held::Image(Box::new(image)),
            tree: OnceLock::new(),
        })
    }

    /// All of it.
    ///
    /// # Errors
    ///
    /// Its layers were not fetched.
    pub fn image(&self) -> Result<&StoredImage> {
        match &self.held {
            Held::Image(image) => Ok(image),
            Held::Described(..) => bail!("cannot read the files of {}: its layers were not fetched", self.name),
        }
    }

    /// Whether its files can be looked at.
    pub fn has_files(&self) -> bool {
        matches!(self.held, Held::Image(_))
    }

    /// How many layers it has.
    pub fn layer_count(&self) -> usize {
        match &self.held {
            Held::Image(image) => image.layers.len(),
            Held::Described(layers, _) => layers.len(),
        }
    }

    /// Its layers, for an image on top of it.
    pub fn layers_below(&self) -> Vec<Layer> {
        match &self.held {
            Held::Image(image) => image.layers_below(),
            Held::Described(layers, _) => layers.clone(),
        }
    }

    /// The files that a container of it sees.
    pub fn tree(&self) -> Result<Arc<Tree>> {
        if let Some(tree) = self.tree.get() {
            return Ok(Arc::clone(tree));
        }
        let tree = Arc::new(self.image()?.tree()?);
        Ok(Arc::clone(self.tree.get_or_init(|| tree)))
    }

    /// Store paths keep their names in an image, so that the base must have directories on the way to them, or nothing. What
    /// was not fetched is not looked at.
    pub fn check_store(&self, store: &Store) -> Result<()> {
        if !self.has_files() {
            return Ok(());
        }
        let (tree, dir) = (self.tree()?, store.dir());
        for end in dir.match_indices('/').map(|(at, _)| at).skip(1).chain([dir.len()]) {
            let directory = &dir[..end];
            if let Some(node) = tree.get(&directory.as_bytes()[1..]).filter(|node| !node.is_directory()) {
                let found = match &node.kind {
                    Kind::Symlink { target } => format!("a link to {}", target.escape_ascii()),
                    _ => "a file".to_owned(),
                };
                bail!("cannot put store paths over {}: {directory}: found {found}, expected a directory", self.name);
            }
        }
        Ok(())
    }

    /// Its files, which are going to be written.
    pub fn tree_to_write(&self) -> Result<Arc<Tree>> {
        let tree = self.tree()?;
        self.image()?.check_holes(&tree)?;
        Ok(tree)
    }

    /// Its store paths.
    pub fn store_paths(&self, store_dir: &str) -> Result<BTreeSet<StorePath>> {
        match &self.held {
            Held::Image(image) => Ok(store_paths_of(image, store_dir)?.paths.into_keys().collect()),
            Held::Described(_, paths) => Ok(paths.iter().filter(|it| it.store_dir() == store_dir).cloned().collect()),
        }
    }

    /// Its store paths, and in which layers they are.
    ///
    /// # Errors
    ///
    /// A layer cannot be read.
    pub fn store_contents(&self, store_dir: &str) -> Result<ImageStorePaths> {
        Ok(store_paths_of(self.image()?, store_dir)?)
    }
}

/// What a registry tells of a base whose layers nobody reads. None if its description contradicts itself.
fn described(remote: &RemoteImage, opener: &Opener<'_>) -> Result<Option<BaseImage>> {
    let Ok(config) = serde_json::from_slice::<Value>(&remote.config) else { return Ok(None) };
    let diff_ids: Option<Vec<Digest>> = config["rootfs"]["diff_ids"]
        .as_array()
        .and_then(|ids| ids.iter().map(|id| id.as_str()?.parse().ok()).collect());
    let (Some(diff_ids), name) = (diff_ids, remote.reference.to_string()) else { return Ok(None) };
    let Ok(summary) = ImageSummary::of_manifest(&remote.manifest, &remote.config, &name) else { return Ok(None) };
    let mut image = remote.as_stored();
    opener.keep(&mut image)?;
    if diff_ids.len() != image.layers.len() || Platform::of_config(&config).is_none() {
        return Ok(None);
    }
    for (layer, diff_id) in image.layers.iter_mut().zip(&diff_ids) {
        layer.diff_id = Some(*diff_id);
        if let Some(Blob::Stored(descriptor, _)) = &mut layer.blob {
            descriptor.media_type = media_type::layer_in_oci(&descriptor.media_type);
        }
    }
    let paths = summary.layers.iter().flat_map(|layer| &layer.store_paths);
    let paths = paths.filter_map(|path| StorePath::parse(path).ok()).collect();
    Ok(Some(BaseImage {
        name,
        config,
        origin: Some(origin(&remote.reference, remote.digest)),
        limits: opener.limits,
        held: Held::Described(image.layers, paths),
        tree: OnceLock::new(),
    }))
}
