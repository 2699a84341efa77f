//! What keeps OCI images as a destination: an OCI layout, a tar of one, a registry, or any store of blobs.

use crate::companion::Companion;
use crate::destination::Destination;
use crate::rehearsal::{Rehearsal, RehearsedStore};
use crate::report::titles;
use crate::signal_safe::SignalSafe;
use crate::{CompressionChoice, ImageTarget, Registries, Report, Result, Tally};
use layerstone_image::OciArchive;
use layerstone_layer::{Blob, CompressionParams, Progress};
use layerstone_oci::{BlobStore, Descriptor, Image, OciLayout, PutImage, Reference};
use layerstone_registry::{Push, PushStats};
use layerstone_store::{Digest, Scratch};
use std::sync::Arc;

/// An OCI layout, a tar of one, or a registry, opened.
pub(crate) struct OciDestination {
    kind: Kind,
    compression: CompressionChoice,
    uploads: usize,
}

enum Kind {
    Layout(Box<OciLayout>),
    Archive(OciArchive),
    Push(Box<SignalSafe<Push>>, Reference),
    Rehearsed(RehearsedStore, Option<Reference>),
}

/// A manifest or an index, with all that it describes in a store of blobs, but without a name there.
pub struct PutManifest {
    /// What it calls itself; none if it does not.
    pub name: Option<Reference>,
    /// What describes it.
    pub descriptor: Descriptor,
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// The digest of the config; an index has none.
    pub config: Option<Digest>,
    /// What became of its layers.
    pub tally: Tally,
    /// Where the bytes of some blobs are, for a store that reads them only when they are asked for.
    pub scratch: Option<Scratch>,
    /// What is put beside it.
    pub companions: Vec<Companion>,
}

impl PutManifest {
    /// The manifest of an image that was put.
    pub(crate) fn of(put: PutImage, tally: Tally, scratch: Option<Scratch>) -> PutManifest {
        let (stored, _) = put.manifest.expect("a store of blobs has manifests");
        let config = Some(put.image_id);
        PutManifest {
            name: put.name,
            descriptor: stored.descriptor,
            bytes: stored.bytes,
            config,
            tally,
            scratch,
            companions: Vec::new(),
        }
    }
}

impl OciDestination {
    /// Opens a target; blobs of a registry may be mounted from `mounts` too.
    pub fn open(
        target: &ImageTarget,
        compression: CompressionChoice,
        registries: &Registries,
        mounts: &[String],
    ) -> Result<OciDestination> {
        let kind = match target {
            ImageTarget::OciLayout(directory) => {
                Kind::Layout(Box::new(OciLayout::open(directory, registries.options.limits)?))
            }
            ImageTarget::OciArchive(path) => Kind::Archive(OciArchive::create(path)?),
            ImageTarget::Registry(reference) => {
                let mounts: Vec<String> = registries.mount_from.iter().chain(mounts).cloned().collect();
                let push = Push::new(&registries.repository(reference)?, reference.tag(), &mounts);
                Kind::Push(Box::new(SignalSafe(push)), reference.clone())
            }
            ImageTarget::Archive(_) | ImageTarget::DockerArchive(_) | ImageTarget::Engine(_) => {
                bail!("found {target}, expected what keeps an OCI image")
            }
        };
        Ok(OciDestination { kind, compression, uploads: registries.uploads })
    }

    /// The same of a target that is only asked what it has, and stays as it is.
    pub fn rehearse(
        target: &ImageTarget,
        compression: CompressionChoice,
        registries: &Registries,
        mounts: &[String],
        rehearsal: &Arc<Rehearsal>,
    ) -> Result<OciDestination> {
        let store = RehearsedStore::open(target, registries, mounts, rehearsal)?;
        let reference = if let ImageTarget::Registry(reference) = target { Some(reference.clone()) } else { None };
        Ok(OciDestination { kind: Kind::Rehearsed(store, reference), compression, uploads: registries.uploads })
    }

    /// What keeps the blobs.
    pub fn store(&self) -> &dyn BlobStore {
        match &self.kind {
            Kind::Layout(layout) => &**layout,
            Kind::Archive(archive) => archive,
            Kind::Push(push, _) => &**push,
            Kind::Rehearsed(store, _) => store,
        }
    }

    /// Stores a manifest or an index under a name: the last call.
    pub fn finish(&self, descriptor: &Descriptor, bytes: &[u8], name: Option<&Reference>) -> Result<()> {
        Ok(self.store().finish(descriptor, bytes, name)?)
    }

    /// The same without a name.
    fn unnamed(&self) -> Unnamed<'_> {
        Unnamed { store: self.store(), compression: self.compression, uploads: self.uploads }
    }
}

impl Destination for OciDestination {
    fn write(&self, image: &Image<'_>, report: &dyn Report) -> Result<PutImage> {
        let put = self.unnamed().write(image, report)?;
        let (manifest, _) = put.manifest.as_ref().expect("a store of blobs has manifests");
        self.finish(&manifest.descriptor, &manifest.bytes, put.name.as_ref())?;
        Ok(put)
    }

    fn compression(&self, image: &Image<'_>) -> Option<CompressionParams> {
        self.unnamed().compression(image)
    }

    fn pushed(&self) -> Option<PushStats> {
        if let Kind::Push(push, _) = &self.kind { Some(push.0.sent()) } else { None }
    }

    fn called(&self, name: &Reference) -> String {
        match &self.kind {
            Kind::Layout(_) | Kind::Archive(_) | Kind::Rehearsed(_, None) => name.to_string(),
            Kind::Push(_, reference) | Kind::Rehearsed(_, Some(reference)) => {
                let tag = reference.tag().unwrap_or(name.tag_or_latest());
                format!("{}:{tag}", reference.name())
            }
        }
    }
}

/// A store of blobs, into which all of an image goes but its manifest.
pub(crate) struct Unnamed<'a> {
    pub store: &'a dyn BlobStore,
    /// How layers are compressed.
    pub compression: CompressionChoice,
    /// Blobs that are put at a time.
    pub uploads: usize,
}

impl Destination for Unnamed<'_> {
    fn write(&self, image: &Image<'_>, report: &dyn Report) -> Result<PutImage> {
        let params = self.compression(image);
        let put = |meter: &Progress| image.put(params, self.store, self.uploads, meter);
        Ok(report.during(self.store.verb(), Some(image.size()), titles(&image.layers), put)?)
    }

    /// As layer files describe their layers, unless something else was asked for.
    fn compression(&self, image: &Image<'_>) -> Option<CompressionParams> {
        let described = image.layers.iter().find_map(|layer| match &layer.blob {
            Some(Blob::Made(params, _)) => Some(*params),
            _ => None,
        });
        self.compression.of_layers(described, image.compression).filter(|_| image.manifest.is_none())
    }
}
