//! Copies what refers to images along with them: SBOMs, signatures, provenance, and what refers to these.

use crate::base_image::open_file;
use crate::blob_source::{BlobSource, Found, detach_hint};
use crate::copy_index::Listed;
use crate::evidence::{COSIGN_SUFFIXES, cosign_tag};
use crate::oci_destination::PutManifest;
use crate::report::titles;
use crate::{Copier, Error, ImageSource, ImageTarget, Registries, Report, Result};
use layerstone_image::UnreadEntry;
use layerstone_layer::{Layer, Progress};
use layerstone_oci::{BlobStore, Descriptor, Place, Referrer, put_layers};
use layerstone_store::{Digest, counted};
use std::collections::HashMap;
use std::path::Path;

/// Which referrers go along with an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Along {
    /// None.
    Nothing,
    /// All: one that cannot be read is an error.
    All,
    /// Those that can be read: of others there is a warning.
    Readable,
}

/// Kinds of referrers that a line names.
const NAMED_KINDS: usize = 10;

/// Puts all that refers to these manifests; `image` is what is copied, which a registry may want to have first.
pub fn put_referrers(
    source: &BlobSource<'_>,
    subjects: &[Digest],
    image: (&Descriptor, &[u8]),
    store: &dyn BlobStore,
    registries: &Registries,
    along: Along,
    report: &dyn Report,
) -> Result<()> {
    if along == Along::Nothing {
        return Ok(());
    }
    let mut found = Found::new(registries.options.limits);
    found.is_lenient = along == Along::Readable;
    subjects.iter().try_for_each(|subject| source.collect_referrers(subject, &mut found, 0))?;
    tell_tags(source, subjects, report)?;
    let Found { layers, manifests, referrers, unread, failed, is_lenient, .. } = found;
    match unread.first() {
        Some(entry) if !is_lenient => return Err(Error::advised(told(entry), detach_hint(&clean_digest(entry)))),
        _ => unread.iter().map(told).chain(failed).for_each(|text| report.warn(text)),
    }
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
        kinds.push(kind.map_or("no type".to_owned(), |kind| kind.escape_debug().to_string()));
    }
    report.notice(&format!("with {}: {}", counted(referrers.len() as u64, "referrer"), by_kind(&kinds)));
    Ok(())
}

fn clean_digest(unread: &UnreadEntry) -> String {
    unread.digest.escape_debug().to_string()
}

/// What a layout lists as a referrer and cannot be read, for messages.
pub(crate) fn told(unread: &UnreadEntry) -> String {
    let kind = unread.artifact_type.as_ref().map(|kind| format!(" ({})", kind.escape_debug()));
    format!("cannot read a referrer: {}{}: {}", clean_digest(unread), kind.unwrap_or_default(), unread.cause)
}

/// The kinds of referrers in the order in which they come, with how many there are of each if there are several of one.
fn by_kind(kinds: &[String]) -> String {
    let mut counts: HashMap<&str, u64> = HashMap::new();
    let mut order = Vec::new();
    for kind in kinds {
        let count = counts.entry(kind).or_default();
        if *count == 0 {
            order.push(&**kind);
        }
        *count += 1;
    }
    let is_counted = order.len() < kinds.len();
    let text = |kind: &&str| if is_counted { format!("{} {kind}", counts[kind]) } else { (*kind).to_owned() };
    let mut texts: Vec<String> = order.iter().take(NAMED_KINDS).map(text).collect();
    let more = order.len().saturating_sub(NAMED_KINDS) as u64;
    if more > 0 {
        texts.push(counted(more, "more kind"));
    }
    texts.join(", ")
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
            tell_tags(&listed.source, &[listed.descriptor.digest], self.report())?;
        }
        let image = (&put.descriptor, &put.bytes[..]);
        let subjects = [put.descriptor.digest];
        put_referrers(&listed.source, &subjects, image, store, registries, Along::All, self.report())
    }
}

#[cfg(test)]
mod tests {
    use super::by_kind;

    #[test]
    fn kinds_are_counted() {
        let text = |kinds: &[&str]| by_kind(&kinds.iter().map(|kind| (*kind).to_owned()).collect::<Vec<_>>());
        assert_eq!(text(&["b/x", "a/x"]), "b/x, a/x");
        assert_eq!(text(&["b/x", "a/x", "b/x"]), "2 b/x, 1 a/x");
        assert_eq!(text(&["x/y"; 3000]), "3000 x/y");
        let many: Vec<String> = (0..3000).map(|number| format!("x/{number}")).collect();
        assert_eq!(by_kind(&many), "x/0, x/1, x/2, x/3, x/4, x/5, x/6, x/7, x/8, x/9, 2990 more kinds");
        assert_eq!(by_kind(&many[..11]), "x/0, x/1, x/2, x/3, x/4, x/5, x/6, x/7, x/8, x/9, 1 more kind");
    }
}
