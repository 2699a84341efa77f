//! Images on their way to what keeps blobs: an OCI layout, a tar of one, a registry, or the shelf of a server.

use crate::signal_safe::SignalSafe;
use crate::{ImageTarget, Registries, Report, Result};
use layerstone_image::{OciArchive, StoredImage, StoredManifest};
use layerstone_layer::{CompressionParams, Progress};
use layerstone_oci::{
    Content, Descriptor, Destination, Layer, LayerOutcome, Manifest, OciLayout, Platform, Reference, media_type,
    put_layers,
};
use layerstone_registry::Push;
use layerstone_store::Digest;
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

/// What keeps blobs, opened.
pub struct OpenTarget {
    kind: Kind,
    since: Instant,
}

enum Kind {
    Layout(OciLayout),
    Archive(OciArchive),
    Push(Box<SignalSafe<Push>>, Reference),
}

impl OpenTarget {
    /// Opens what keeps blobs; blobs of a registry may be taken over from `sources` too.
    pub fn open(place: &ImageTarget, registries: &Registries, sources: &[String]) -> Result<OpenTarget> {
        let since = Instant::now();
        let kind = match place {
            ImageTarget::OciLayout(folder) => Kind::Layout(OciLayout::open(folder)?),
            ImageTarget::OciArchive(path) => Kind::Archive(OciArchive::create(path)?),
            ImageTarget::Registry(reference) => {
                let mounts: Vec<String> = registries.mount_from.iter().chain(sources).cloned().collect();
                let push = Push::new(&registries.repository(reference)?, reference.tag(), &mounts);
                Kind::Push(Box::new(SignalSafe(push)), reference.clone())
            }
            ImageTarget::Archive(_) | ImageTarget::DockerArchive(_) | ImageTarget::Engine(_) => {
                bail!("found {place}, expected what keeps an OCI image")
            }
        };
        Ok(OpenTarget { kind, since })
    }

    /// What takes the blobs.
    pub fn destination(&self) -> &dyn Destination {
        match &self.kind {
            Kind::Layout(layout) => layout,
            Kind::Archive(archive) => archive,
            Kind::Push(push, _) => &**push,
        }
    }

    /// What the image is called there; `name` is what it calls itself.
    pub fn called(&self, name: &Reference) -> String {
        match &self.kind {
            Kind::Layout(_) | Kind::Archive(_) => name.to_string(),
            Kind::Push(_, reference) => {
                let tag = reference.tag().unwrap_or(name.tag_or_latest());
                format!("{}:{tag}", reference.name())
            }
        }
    }

    /// Reports what was sent since it was opened, if it is a registry.
    pub fn report_sent(&self, report: &dyn Report) {
        if let Kind::Push(push, _) = &self.kind {
            report.sent(&push.0.sent(), self.since.elapsed());
        }
    }
}

/// An image about to be made of layers: all but what the layers tell.
pub struct Unfinished<'a> {
    pub layers: Vec<Layer>,
    /// Diff IDs that layers have which go as they are.
    pub diff_ids: Vec<Option<Digest>>,
    /// The config, given the diff IDs.
    pub config: &'a dyn Fn(&[Digest]) -> Vec<u8>,
    /// What the manifest says besides.
    pub annotations: BTreeMap<String, String>,
}

/// An image that is there.
pub struct Arrived {
    /// Its manifest.
    pub manifest: Descriptor,
    /// The bytes of the manifest.
    pub bytes: Vec<u8>,
    /// sha256 of its config.
    pub image_id: Digest,
    /// The diff IDs of its layers, bottom first; none for one that went as it was.
    pub diff_ids: Vec<Digest>,
    /// What each layer is there.
    pub layers: Vec<LayerOutcome>,
}

/// Puts the layers and the config of an image; its manifest is made, but not put.
pub fn put(
    image: &Unfinished<'_>,
    packing: Option<CompressionParams>,
    destination: &dyn Destination,
    uploads: usize,
    report: &dyn Report,
) -> Result<Arrived> {
    let bytes = image.layers.iter().map(Layer::size).fold(0, u64::saturating_add);
    let put = |meter: &Progress| put_layers(&image.layers, packing, destination, uploads, meter);
    let layers = report.during("putting", Some(bytes), image.layers.len(), put)?;
    let known = layers.iter().zip(&image.diff_ids);
    let diff_ids: Vec<Digest> =
        known.map(|(placed, known)| placed.diff_id.or(*known).expect("a blob comes with its diff ID")).collect();
    let config = (image.config)(&diff_ids);
    let descriptor = Descriptor::of(media_type::CONFIG, &config);
    let platform = platform(&config);
    let content: Arc<dyn Content> = Arc::new(config);
    destination.put(&descriptor, &content)?;
    let image_id = descriptor.digest;
    let described = layers.iter().map(|placed| placed.descriptor.clone()).collect();
    let manifest = Manifest::new(descriptor, described, image.annotations.clone());
    let bytes = manifest.to_bytes();
    let manifest = Descriptor { platform, ..manifest.descriptor(&bytes) };
    Ok(Arrived { manifest, bytes, image_id, diff_ids, layers })
}

/// Puts an image as it is, byte for byte.
pub fn put_kept(
    stored: &StoredManifest,
    config: Vec<u8>,
    layers: Vec<Layer>,
    destination: &dyn Destination,
    uploads: usize,
    report: &dyn Report,
) -> Result<Arrived> {
    let bytes = layers.iter().map(Layer::size).fold(0, u64::saturating_add);
    let put = |meter: &Progress| put_layers(&layers, None, destination, uploads, meter);
    let placed = report.during("putting", Some(bytes), layers.len(), put)?;
    let platform = platform(&config);
    let content: Arc<dyn Content> = Arc::new(config);
    destination.put(&stored.manifest.config, &content)?;
    Ok(Arrived {
        manifest: Descriptor { platform, ..stored.descriptor.clone() },
        bytes: stored.bytes.clone(),
        image_id: stored.manifest.config.digest,
        diff_ids: Vec::new(),
        layers: placed,
    })
}

/// The layers of an image that is there, as they are.
pub fn kept_layers(image: &StoredImage, manifest: &StoredManifest) -> Vec<Layer> {
    let layer = |(stored, descriptor): (&layerstone_image::StoredLayer, &Descriptor)| {
        let content: Arc<dyn Content> = Arc::new(stored.stored.clone());
        Layer::Blob(descriptor.clone(), content)
    };
    image.layers.iter().zip(&manifest.manifest.layers).map(layer).collect()
}

/// What an image runs on, as its config says.
pub fn platform(config: &[u8]) -> Option<Platform> {
    let value: Value = serde_json::from_slice(config).ok()?;
    Platform::of_config(&value).filter(|platform| !platform.os.is_empty())
}
