//! Copies what refers to images along with them: SBOMs, signatures, provenance, and what refers to these.

use crate::base_image::open_file;
use crate::blob_source::{BlobSource, Found};
use crate::copy_index::Listed;
use crate::evidence::{COSIGN_SUFFIXES, cosign_tag};
use crate::oci_destination::PutManifest;
use crate::report::titles;
use crate::{Copier, Error, ImageSource, ImageTarget, Registries, Report, Result};
use layerstone_layer::{Layer, Progress};
use layerstone_oci::{BlobStore, Descriptor, Place, Referrer, put_layers};
use layerstone_store::{Digest, counted};
use std::path::Path;

/// Puts all that refers to these manifests; `image` is what is copied, which a registry may want to have first.
pub fn put_referrers(
    source: &BlobSource<'_>,
    subjects: &[Digest],
    image: (&Descriptor, &[u8]),
    store: &dyn BlobStore,
    registries: &Registries,
    report: &dyn Report,
) -> Result<()> {
    let mut found = Found::new(registries.options.limits);
    subjects.iter().try_for_each(|subject| source.collect_referrers(subject, &mut found, 0))?;
    tell_tags(source, subjects, report)?;
    let Found { layers, manifests, referrers, .. } = found;
    if referrers.is_empty() {
        return Ok(());
    }
    let size = layers.iter().map(Layer::size).fold(0, u64::saturating_add);
    let put = |meter: &Progress| put_layers(&layers, None, store, registries.uploads, meter);
    report.during(store.verb(), Some(size), titles(&layers), put)?;
    store.put_manifest(image.0, image.1)?;
    for (descriptor, bytes) in &manifests {
        store.put_manifest(descriptor, bytes)?;
    }
    let mut kinds = Vec::new();
    for (descriptor, bytes) in &referrers {
        store.put_referrer(descriptor, bytes)?;
        let kind = Referrer::of(descriptor, bytes).and_then(|it| it.entry.artifact_type().map(str::to_owned));
        kinds.extend(kind.map(|kind| kind.escape_debug().to_string()));
    }
    report.notice(&format!("with {}: {}", counted(referrers.len() as u64, "referrer"), kinds.join(", ")));
    Ok(())
}

/// Tells of signatures that are no referrers but have a tag, as in cosign's older form: at the target there may be others
/// under the same tag, which copying would take away.
fn tell_tags(source: &BlobSource<'_>, subjects: &[Digest], report: &dyn Report) -> Result<()> {
    for subject in subjects {
        for suffix in COSIGN_SUFFIXES {
            let tag = cosign_tag(subject, suffix);
            if source.tagged(&tag)?.is_some() {
                report.notice(&format!("what is under the tag {tag} stays where it is: copy it by its name"));
            }
        }
    }
    Ok(())
}

impl Copier<'_> {
    /// Refuses sources and targets that keep no referrers.
    pub(crate) fn check_referrers(&self, source: &ImageSource, target: &ImageTarget) -> Result<()> {
        let found = match source {
            _ if !self.referrers => return Ok(()),
            _ if !target.keeps_oci_images() => target.to_string(),
            ImageSource::Spec(path) => format!("the spec {}", path.display()),
            ImageSource::Image(Place::File(location)) if location.path == Path::new("-") => "-".to_owned(),
            ImageSource::Image(place @ Place::Engine(..)) => place.to_string(),
            ImageSource::Image(_) => return Ok(()),
        };
        let message = format!("--referrers: found {found}, expected OCI images on both sides");
        Err(Error::advised(message, "oci:DIR, oci-archive:FILE and registry:REF have referrers"))
    }

    /// Puts what refers to an image that was put; what refers to the index that it was taken from stays there.
    pub(crate) fn put_referrers_of(
        &self,
        source: &ImageSource,
        put: &PutManifest,
        store: &dyn BlobStore,
    ) -> Result<()> {
        let (registries, file);
        registries = self.options.registries;
        let listed = match source {
            ImageSource::Image(Place::Registry(reference)) => Listed::of_registry(reference, registries)?,
            ImageSource::Image(Place::File(location)) => {
                file = open_file(&location.path, self.options.limits, self.report())?;
                if !file.has_manifests() {
                    let message = format!("--referrers: {location}: found a docker archive, expected an OCI image");
                    return Err(Error::advised(message, "docker archives have no manifests that could be referred to"));
                }
                Listed::of_file(&file, location)?
            }
            _ => return Ok(()),
        };
        if listed.descriptor.digest != put.descriptor.digest {
            let left = listed.source.referrers(&listed.descriptor.digest)?.len();
            if left > 0 {
                let left = counted(left as u64, "referrer");
                self.report().notice(&format!("{left} of the index stay where they are (--all copies it with them)"));
            }
        }
        let image = (&put.descriptor, &put.bytes[..]);
        put_referrers(&listed.source, &[put.descriptor.digest], image, store, registries, self.report())
    }
}
