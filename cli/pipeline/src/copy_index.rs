//! Images for several architectures: an index, copied with all that it lists.

use crate::base_image::open_file;
use crate::oci_destination::PutManifest;
use crate::report::titles;
use crate::{ImageSource, Registries, Report, Result, Tally, remote};
use layerstone_image::ImageFile;
use layerstone_layer::{Content, Layer, Progress};
use layerstone_oci::{BlobStore, Descriptor, Index, Location, Manifest, Place, Reference, media_type, put_layers};
use layerstone_registry::{FetchedManifest, Repository};
use layerstone_store::{Digest, Limit, Limits};
use std::collections::HashSet;
use std::sync::Arc;

/// Where manifests and blobs are read.
enum BlobSource<'a> {
    Registry(Repository),
    File(&'a ImageFile),
}

/// Puts an index and all that it lists, or an image, byte for byte.
pub fn put_all(
    origin: &ImageSource,
    store: &dyn BlobStore,
    limits: Limits,
    registries: &Registries,
    report: &dyn Report,
) -> Result<PutManifest> {
    let file;
    let listed = match origin {
        ImageSource::Image(Place::Registry(reference)) => Listed::of_registry(reference, registries)?,
        ImageSource::Image(Place::File(location)) => {
            file = open_file(&location.path, limits, report)?;
            Listed::of_file(&file, location)?
        }
        ImageSource::Spec(_) => bail!("--all: found a spec, expected an image with it"),
        ImageSource::Image(Place::Engine(..)) => bail!("--all: expected registry:REF or an OCI layout with it"),
    };
    listed.put(store, registries, report)
}

/// A manifest or an index, and where all that it lists is.
pub struct Listed<'a> {
    source: BlobSource<'a>,
    pub descriptor: Descriptor,
    bytes: Vec<u8>,
    name: Option<Reference>,
    limits: Limits,
}

impl<'a> Listed<'a> {
    pub fn of_registry(reference: &Reference, registries: &Registries) -> Result<Listed<'a>> {
        let (repository, FetchedManifest { descriptor, bytes }) = registries.fetch(reference)?;
        let name = Some(remote::name_of(reference));
        let limits = registries.options.limits;
        Ok(Listed { source: BlobSource::Registry(repository), descriptor, bytes, name, limits })
    }

    pub fn of_file(file: &'a ImageFile, location: &Location) -> Result<Listed<'a>> {
        let (descriptor, bytes, names) = file.listed(location)?;
        let name = names.iter().find(|name| name.contains(':')).map(|name| Reference::unchecked(name).tagged());
        Ok(Listed { source: BlobSource::File(file), descriptor, bytes, name, limits: *file.limits() })
    }

    /// An error if something that is listed is missing.
    pub fn check(&self) -> Result<()> {
        self.source.collect(&self.descriptor, &self.bytes, &mut Found::new(self.limits), 0)
    }

    /// Puts all of it.
    pub fn put(self, store: &dyn BlobStore, registries: &Registries, report: &dyn Report) -> Result<PutManifest> {
        let Listed { source, descriptor, bytes, name, limits } = self;
        let is_image = media_type::is_image(&descriptor.media_type);
        let config = is_image.then(|| Manifest::parse(&bytes, &descriptor.digest.to_string(), &limits)).transpose()?;
        let config = config.map(|manifest| manifest.config.digest);
        let mut found = Found::new(limits);
        source.collect(&descriptor, &bytes, &mut found, 0)?;
        let Found { layers, manifests, .. } = found;
        let size = layers.iter().map(Layer::size).fold(0, u64::saturating_add);
        let put = |meter: &Progress| put_layers(&layers, None, store, registries.uploads, meter);
        let put = report.during(store.verb(), Some(size), titles(&layers), put)?;
        for (descriptor, bytes) in &manifests {
            store.put_manifest(descriptor, bytes)?;
        }
        Ok(PutManifest { name, descriptor, bytes, config, tally: Tally::of_blobs(&put), scratch: None })
    }
}

/// What is below an index.
struct Found {
    limits: Limits,
    /// All blobs, each once.
    layers: Vec<Layer>,
    /// All manifests and indexes, those that others list first.
    manifests: Vec<(Descriptor, Vec<u8>)>,
    /// What is in either.
    seen: HashSet<Digest>,
    /// Bytes of the manifests.
    kept: u64,
}

impl Found {
    fn new(limits: Limits) -> Found {
        Found { limits, layers: Vec::new(), manifests: Vec::new(), seen: HashSet::new(), kept: 0 }
    }

    fn check(&self, limit: Limit, found: u64, name: &str) -> Result<()> {
        self.limits.check(limit, found).map_err(|exceeded| invalid!("{exceeded}: {name}"))
    }
}

impl BlobSource<'_> {
    /// Adds what is below a manifest or an index.
    fn collect(&self, descriptor: &Descriptor, bytes: &[u8], found: &mut Found, depth: u64) -> Result<()> {
        let name = descriptor.digest.to_string();
        if media_type::is_image(&descriptor.media_type) {
            let manifest = Manifest::parse(bytes, &name, &found.limits)?;
            for blob in manifest.layers.iter().chain([&manifest.config]) {
                if found.seen.insert(blob.digest) {
                    found.layers.push(Layer::of_blob(blob.clone(), self.blob(blob)?));
                }
            }
            return Ok(());
        }
        found.check(Limit::IndexDepth, depth, &name)?;
        for child in Index::parse(bytes, &name, &found.limits)?.manifests {
            if !found.seen.insert(child.digest) {
                continue;
            }
            found.check(Limit::Manifests, found.seen.len() as u64, &name)?;
            let is_known = media_type::MANIFESTS.contains(&child.media_type.as_str());
            if !is_known {
                bail!("found media type {:?} in the index {name}, expected a manifest or an index", child.media_type);
            }
            let bytes = self.manifest(&child)?;
            found.kept = found.kept.saturating_add(bytes.len() as u64);
            found.check(Limit::Descriptions, found.kept, &name)?;
            self.collect(&child, &bytes, found, depth + 1)?;
            found.manifests.push((child, bytes));
        }
        Ok(())
    }

    fn manifest(&self, descriptor: &Descriptor) -> Result<Vec<u8>> {
        let file = match self {
            BlobSource::Registry(repository) => return Ok(repository.manifest(&descriptor.digest.to_string())?.bytes),
            BlobSource::File(file) => file,
        };
        Ok(file.manifest(&descriptor.digest)?)
    }

    fn blob(&self, descriptor: &Descriptor) -> Result<Arc<dyn Content>> {
        Ok(match self {
            BlobSource::Registry(repository) => Arc::new(repository.blob(descriptor)),
            BlobSource::File(file) => Arc::new(file.blob(&descriptor.digest)?),
        })
    }
}
