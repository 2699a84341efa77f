//! The image to build on, or to look into: opened, its layers plain, and what they hold.

use crate::args::Common;
use crate::bytes::parse_bytes;
use crate::command::image::{ImageLayer, LayerBlob};
use crate::origin::Origin;
use anyhow::{Result, bail};
use clap::Args;
use layerstone_image::{Held, ImageFile, MaxUnpacked, StoredImage, StoredLayer, held};
use layerstone_layer::{Progress, Source};
use layerstone_oci::{Descriptor, Location, Wanted, media_type};
use layerstone_spec::Spec;
use layerstone_store::Store;
use layerstone_tar::{Kind, Tree};
use std::ffi::{OsStr, OsString};
use std::path::Path;
use std::sync::{Arc, OnceLock};

/// The flags that name a base.
#[derive(Args, Default)]
#[command(next_help_heading = "Base image")]
pub struct BaseArgs {
    /// Image to build on: a docker archive, an OCI archive, or the directory of an OCI layout or of skopeo's dir:
    #[arg(long, value_name = "FILE[#NAME:TAG]")]
    base: Option<OsString>,
    #[command(flatten)]
    unpacking: UnpackingArgs,
}

/// The flags for whoever reads an image.
#[derive(Args, Default)]
pub struct UnpackingArgs {
    /// Bytes that the image or a layer of it, and all layers together, may have when unpacked; files' holes may have as
    /// many [default: 100 times what is compressed, at least 1Gi]
    #[arg(long, value_name = "BYTES", value_parser = parse_bytes)]
    max_unpacked: Option<u64>,
}

impl UnpackingArgs {
    pub fn max(&self) -> MaxUnpacked {
        self.max_unpacked.map_or(MaxUnpacked::default(), MaxUnpacked::bytes)
    }

    /// Opens a file or directory of images, and tells what is odd about it.
    pub fn open_file(&self, path: &Path, common: &Common) -> Result<ImageFile> {
        open_file(path, self.max(), common)
    }

    /// Opens an image to look into or to build on, and makes its layers plain.
    pub fn open(&self, location: &Location, wanted: &Wanted, common: &Common) -> Result<StoredImage> {
        let mut image = self.open_file(&location.path, common)?.image(location, wanted)?;
        make_plain(&mut image, self.max(), common)?;
        Ok(image)
    }
}

/// Opens a file or folder of images, and tells what is odd about it.
pub fn open_file(path: &Path, max: MaxUnpacked, common: &Common) -> Result<ImageFile> {
    open_file_as(path, path, max, common)
}

/// The same for a file that messages call by another name.
pub fn open_file_as(path: &Path, shown: &Path, max: MaxUnpacked, common: &Common) -> Result<ImageFile> {
    let file = ImageFile::open_as(path, shown, max)?;
    file.warning().into_iter().for_each(|warning| common.warn(warning));
    Ok(file)
}

/// A layer's descriptor with OCI's media type in the place of docker's.
fn in_oci(descriptor: &Descriptor) -> Descriptor {
    Descriptor { media_type: media_type::layer_in_oci(&descriptor.media_type), ..descriptor.clone() }
}

/// Unpacks the layers that are compressed.
pub fn make_plain(image: &mut StoredImage, max: MaxUnpacked, common: &Common) -> Result<()> {
    let unpack = |progress: &Progress| image.unpack(max, &|bytes| progress.add_bytes(bytes));
    Ok(common.progress().during("unpacking", None, 0, unpack)?)
}

impl BaseArgs {
    /// How much may be unpacked.
    pub fn max(&self) -> MaxUnpacked {
        self.unpacking.max()
    }

    /// Where the base is that the flag names, or else the spec.
    pub fn location(&self, spec: Option<&Spec>) -> Option<Location> {
        let named = self.base.as_deref().map(of_flag);
        named.or_else(|| spec.and_then(|spec| spec.from_image.clone()))
    }

    /// The base that the flag names, or else the spec.
    pub fn open(&self, spec: Option<&Spec>, common: &Common) -> Result<Option<Base>> {
        let Some(location) = self.location(spec) else { return Ok(None) };
        let named = self.base.as_deref().filter(|text| !Path::new(text).exists());
        if let Some(text) = named
            && let Ok(Origin::Engine(..) | Origin::Registry(_)) = Origin::parse(text)
        {
            let text = text.display();
            bail!("not a file: --base {text}: `layerstone copy {text} FILE` makes one of it");
        }
        let (architecture, variant) =
            spec.map_or((None, None), |spec| (spec.architecture.as_deref(), spec.variant.as_deref()));
        let wanted = Wanted::new(None, architecture, variant).of_base();
        Ok(Some(Base { image: self.unpacking.open(&location, &wanted, common)?, tree: OnceLock::new() }))
    }
}

/// Where the base is that the flag names, with the word of its kind or without.
fn of_flag(text: &OsStr) -> Location {
    match Origin::parse(text) {
        Ok(Origin::File(location)) => location,
        _ => Location::parse(text),
    }
}

/// An image to build on, its layers plain.
pub struct Base {
    pub image: StoredImage,
    tree: OnceLock<Arc<Tree>>,
}

impl Base {
    /// Its layers as they go into an image: what the history says about them is the base's.
    pub fn layers(&self) -> Vec<ImageLayer> {
        let described = self.image.manifest.iter().flat_map(|manifest| &manifest.manifest.layers);
        let described = described.map(Some).chain(std::iter::repeat(None));
        let layer = |(layer, described): (&StoredLayer, Option<&Descriptor>)| {
            let (part, diff_id) = (layer.part.clone(), layer.diff_id);
            let label = part.name().to_owned();
            let blob = described.map(|descriptor| LayerBlob::Stored(in_oci(descriptor), layer.stored.clone()));
            ImageLayer { blob, ..ImageLayer::new(Source::Part(part), Some(diff_id), label) }
        };
        self.image.layers.iter().zip(described).map(layer).collect()
    }

    /// The files that a container of it sees.
    pub fn tree(&self) -> Result<Arc<Tree>> {
        if let Some(tree) = self.tree.get() {
            return Ok(Arc::clone(tree));
        }
        let tree = Arc::new(self.image.tree()?);
        Ok(Arc::clone(self.tree.get_or_init(|| tree)))
    }

    /// Store paths keep their names in an image, so that the base must have folders on the way to them, or nothing.
    pub fn check_store(&self, store: &Store) -> Result<()> {
        let (tree, dir) = (self.tree()?, store.dir());
        for end in dir.match_indices('/').map(|(at, _)| at).skip(1).chain([dir.len()]) {
            let folder = &dir[..end];
            if let Some(node) = tree.get(&folder.as_bytes()[1..]).filter(|node| !node.is_directory()) {
                let found = match &node.kind {
                    Kind::Symlink { target } => format!("a link to {}", target.escape_ascii()),
                    _ => "a file".to_owned(),
                };
                bail!("cannot put store paths over {}: {folder}: found {found}, expected a folder", self.image.name);
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

    /// The store paths that it holds.
    pub fn held(&self, store_dir: &str) -> Result<Held> {
        Ok(held(&self.image, store_dir)?)
    }
}
