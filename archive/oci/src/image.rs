//! An image: layers, the config over them, and its manifest. Does not know where it comes from.

use crate::put::{known, put_layers};
use crate::{
    BlobStore, Content, Descriptor, ExpectedImage, LayerOutcome, Manifest, Platform, Reference, Result, StoredManifest,
    media_type,
};
use layerstone_layer::{CompressedBlob, CompressionParams, Layer, Progress};
use layerstone_store::Digest;
use serde_json::Value;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

/// An image, wherever it comes from and wherever it goes.
pub struct Image<'a> {
    /// What it calls itself; without a tag, its ID gives one.
    pub name: Option<Reference>,
    /// Its layers, bottom first.
    pub layers: Vec<Layer>,
    /// Its config.
    pub config: Config<'a>,
    /// Its manifest, if it goes as it is, byte for byte; its layers have blobs that exist then.
    pub manifest: Option<StoredManifest>,
    /// Annotations of a manifest that is made.
    pub annotations: BTreeMap<String, String>,
    /// Modification time of what an archive holds besides layers, in seconds since the epoch.
    pub mtime: i64,
    /// How layers that are blobs are to be compressed, if the image says so; none in it for not at all.
    pub compression: Option<Option<CompressionParams>>,
}

/// Makes a config of the diff IDs of layers, bottom first.
type MakeConfig<'a> = dyn Fn(&[Digest]) -> Vec<u8> + Sync + 'a;

/// The config of an image.
pub enum Config<'a> {
    /// Its bytes.
    Bytes(Vec<u8>),
    /// Made of the diff IDs of the layers, bottom first.
    Made(Box<MakeConfig<'a>>),
}

/// An image where it was put.
#[derive(Clone, Debug)]
pub struct PutImage {
    /// What it calls itself, with a tag.
    pub name: Option<Reference>,
    /// sha256 of its config: what docker calls the image ID.
    pub image_id: Digest,
    /// The diff IDs of its layers, bottom first; none if one is not known, of a blob that went as it is.
    pub diff_ids: Vec<Digest>,
    /// What each layer was compressed into on the way, bottom first; empty where [`LayerOutcome`]s tell.
    pub blobs: Vec<Option<CompressedBlob>>,
    /// Its manifest and what each layer is there; none in a docker archive.
    pub manifest: Option<(StoredManifest, Vec<LayerOutcome>)>,
    /// Whether the target was it already, and stays the file that it was.
    pub untouched: bool,
}

impl Config<'_> {
    /// Its bytes, over layers of these diff IDs.
    pub fn bytes(&self, diff_ids: &[Digest]) -> Cow<'_, [u8]> {
        match self {
            Config::Bytes(bytes) => Cow::Borrowed(bytes),
            Config::Made(make) => Cow::Owned(make(diff_ids)),
        }
    }
}

impl Image<'_> {
    /// What it is called under this ID.
    pub fn name_for(&self, image_id: &Digest) -> Option<Reference> {
        self.name.as_ref().map(|name| name.for_image(image_id))
    }

    /// Tells a store what is coming, as far as that is known.
    fn expect(&self, params: Option<CompressionParams>, store: &dyn BlobStore) -> Result<()> {
        let (name, layers) = (self.name.as_ref(), self.layers.len());
        let manifest = self.manifest.clone().or_else(|| self.known_manifest(params));
        let blobs = manifest
            .as_ref()
            .map(|StoredManifest { manifest, .. }| [std::slice::from_ref(&manifest.config), &manifest.layers].concat());
        let known = manifest.as_ref().map(|stored| &stored.descriptor).zip(blobs.as_deref());
        store.expect_image(&ExpectedImage { name, layers, known })
    }

    /// The manifest that will be made, if all that it lists is known.
    fn known_manifest(&self, params: Option<CompressionParams>) -> Option<StoredManifest> {
        let known: Vec<(Descriptor, Digest)> =
            self.layers.iter().map(|layer| known(layer, params)).collect::<Option<_>>()?;
        let (layers, diff_ids): (Vec<Descriptor>, Vec<Digest>) = known.into_iter().unzip();
        Some(self.manifest_of(&self.config.bytes(&diff_ids), layers))
    }

    /// Its manifest, or the one that is made of its config and its layers.
    fn manifest_of(&self, config: &[u8], layers: Vec<Descriptor>) -> StoredManifest {
        let made = || {
            let config = Descriptor::of(media_type::CONFIG, config);
            StoredManifest::of(Manifest::new(config, layers, self.annotations.clone()))
        };
        self.manifest.clone().unwrap_or_else(made)
    }

    /// Bytes that [`Image::put`] reads at most.
    pub fn size(&self) -> u64 {
        self.layers.iter().map(Layer::size).fold(0, u64::saturating_add)
    }

    /// Puts all of it but its manifest into a store: layers that are tars compressed with these parameters, `at_once` at
    /// a time. `progress` counts [`Image::size`].
    ///
    /// # Errors
    ///
    /// A layer cannot be read, is not what it must be, or cannot be put.
    pub fn put(
        &self,
        params: Option<CompressionParams>,
        store: &dyn BlobStore,
        at_once: usize,
        progress: &Progress,
    ) -> Result<PutImage> {
        self.expect(params, store)?;
        let layers = put_layers(&self.layers, params, store, at_once, progress)?;
        let diff_ids: Option<Vec<Digest>> = layers.iter().map(|layer| layer.diff_id).collect();
        let diff_ids = diff_ids.unwrap_or_default();
        let config = self.config.bytes(&diff_ids).into_owned();
        let manifest = self.manifest_of(&config, layers.iter().map(|layer| layer.descriptor.clone()).collect());
        let platform = platform(&config);
        let content: Arc<dyn Content> = Arc::new(config);
        let config = &manifest.manifest.config;
        store.put(config, &content)?;
        let image_id = config.digest;
        let descriptor = Descriptor { platform, ..manifest.descriptor };
        let manifest = StoredManifest { descriptor, ..manifest };
        let (name, blobs) = (self.name_for(&image_id), Vec::new());
        Ok(PutImage { name, image_id, diff_ids, blobs, manifest: Some((manifest, layers)), untouched: false })
    }
}

/// What an image runs on, as its config says.
fn platform(config: &[u8]) -> Option<Platform> {
    let value: Value = serde_json::from_slice(config).ok()?;
    Platform::of_config(&value).filter(|platform| !platform.os.is_empty())
}
