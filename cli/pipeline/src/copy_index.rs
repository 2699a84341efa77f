//! Images for several architectures: an index, copied with all that it lists.

use crate::base_image::open_file;
use crate::blob_source::{BlobSource, Found};
use crate::copy_referrers::{Along, put_referrers};
use crate::oci_destination::PutManifest;
use crate::report::titles;
use crate::{ImageSource, Registries, Report, Result, Tally, remote};
use layerstone_image::ImageFile;
use layerstone_layer::{Layer, Progress};
use layerstone_oci::{BlobStore, Descriptor, Location, Manifest, Place, Reference, media_type, put_layers};
use layerstone_registry::FetchedManifest;
use layerstone_store::{Digest, Limits};

/// Puts an index and all that it lists, or an image, byte for byte.
pub fn put_all(
    origin: &ImageSource,
    store: &dyn BlobStore,
    limits: Limits,
    registries: &Registries,
    along: Along,
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
    listed.put(store, registries, along, report)
}

/// A manifest or an index, and where all that it lists is.
pub struct Listed<'a> {
    pub source: BlobSource<'a>,
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

    /// Puts all of it, with what refers to any of its manifests as far as that is to go along.
    pub fn put(
        self,
        store: &dyn BlobStore,
        registries: &Registries,
        along: Along,
        report: &dyn Report,
    ) -> Result<PutManifest> {
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
        let listed = manifests.iter().map(|(descriptor, _)| descriptor.digest);
        let subjects: Vec<Digest> = listed.chain([descriptor.digest]).collect();
        put_referrers(&source, &subjects, (&descriptor, &bytes[..]), store, registries, along, report)?;
        Ok(PutManifest {
            name,
            descriptor,
            bytes,
            config,
            tally: Tally::of_blobs(&put),
            scratch: None,
            companions: Vec::new(),
        })
    }
}
