//! Images on their way to what keeps blobs: an OCI layout, a tar of one, a registry, or the shelf of a server.

use crate::args::Common;
use crate::held::Held;
use crate::place::Place;
use crate::registry_args::RegistryArgs;
use crate::table::size;
use anyhow::{Result, bail};
use layerstone_image::{OciArchive, StoredImage, StoredManifest};
use layerstone_layer::{CompressionParams, Progress};
use layerstone_oci::{
    Content, Descriptor, Destination, Layer, LayerOutcome, Manifest, OciLayout, Platform, Reference, media_type,
    put_layers,
};
use layerstone_registry::{Push, PushStats};
use layerstone_store::Digest;
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

/// What keeps blobs, opened.
pub enum Keeper {
    Layout(OciLayout),
    Archive(OciArchive),
    Push(Box<Held<Push>>, Reference),
}

impl Keeper {
    /// Opens what keeps blobs; blobs of a registry may be taken over from `sources` too.
    pub fn open(place: &Place, args: &RegistryArgs, sources: &[String]) -> Result<Keeper> {
        Ok(match place {
            Place::OciLayout(folder) => Keeper::Layout(OciLayout::open(folder)?),
            Place::OciArchive(path) => Keeper::Archive(OciArchive::create(path)?),
            Place::Registry(reference) => {
                let mounts: Vec<String> = args.mounts().iter().chain(sources).cloned().collect();
                let push = Push::new(&args.repository(reference)?, reference.tag(), &mounts);
                Keeper::Push(Box::new(Held(push)), reference.clone())
            }
            Place::Archive(_) | Place::DockerArchive(_) | Place::Engine(_) => {
                bail!("found {place}, expected what keeps an OCI image")
            }
        })
    }

    pub fn destination(&self) -> &dyn Destination {
        match self {
            Keeper::Layout(layout) => layout,
            Keeper::Archive(archive) => archive,
            Keeper::Push(push, _) => &**push,
        }
    }

    /// What the image is called there; `name` is what it calls itself.
    pub fn called(&self, name: &Reference) -> String {
        match self {
            Keeper::Layout(_) | Keeper::Archive(_) => name.to_string(),
            Keeper::Push(_, reference) => {
                let tag = reference.tag().unwrap_or(name.tag_or_latest());
                format!("{}:{tag}", reference.name())
            }
        }
    }

    /// Says what was sent, if it is a registry.
    pub fn tell(&self, since: Instant, common: &Common) {
        if let Keeper::Push(push, _) = self
            && !common.quiet
        {
            eprintln!("{}", told(&push.0.sent(), since));
        }
    }
}

fn told(sent: &PushStats, since: Instant) -> String {
    let blobs = |(count, bytes): (u64, u64)| match count {
        0 => "0 blobs".to_owned(),
        1 => format!("1 blob of {}", size(bytes)),
        count => format!("{count} blobs of {}", size(bytes)),
    };
    let some = |before: &str, some: (u64, u64), after: &str| match some {
        (0, _) => String::new(),
        some => format!("{before}{}{after}", blobs(some)),
    };
    let manifest = if sent.manifests == 0 { "" } else { " and a manifest" };
    let mounted = some(", took over ", sent.mounted, " of another repository");
    let there = some(", skipped ", sent.there, " that were there");
    let seconds = since.elapsed().as_secs_f64();
    format!("sent {}{manifest}{mounted}{there}, in {seconds:.1} s", blobs(sent.sent))
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
    pub manifest: Descriptor,
    pub bytes: Vec<u8>,
    pub image_id: Digest,
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
    common: &Common,
) -> Result<Arrived> {
    let bytes = image.layers.iter().map(Layer::size).fold(0, u64::saturating_add);
    let put = |progress: &Progress| put_layers(&image.layers, packing, destination, uploads, progress);
    let layers = common.progress().during("putting", Some(bytes), image.layers.len(), put)?;
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
    common: &Common,
) -> Result<Arrived> {
    let bytes = layers.iter().map(Layer::size).fold(0, u64::saturating_add);
    let put = |progress: &Progress| put_layers(&layers, None, destination, uploads, progress);
    let placed = common.progress().during("putting", Some(bytes), layers.len(), put)?;
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
