//! Finds what is signed about an image beside it: bundles and signatures that refer to it, and those under the tags of
//! cosign's older form. What is found is evidence, and proves nothing yet.

use crate::blob_source::BlobSource;
use crate::{Error, Result};
use layerstone_attestation::{CERTIFICATE_ANNOTATION, Evidence, SIGNATURE_ANNOTATION, SIMPLE_SIGNING, is_bundle};
use layerstone_image::UnreadEntry;
use layerstone_oci::{Descriptor, Manifest, Referrer, media_type};
use layerstone_registry::Error as RegistryError;
use layerstone_store::{Digest, Limit, Limits};

/// The media type of an envelope as a layer (cosign 2, pkg/types/media.go).
pub(crate) const ENVELOPE: &str = "application/vnd.dsse.envelope.v1+json";
/// What cosign calls a signature in the older form that refers to an image instead of having a tag
/// (`--registry-referrers-mode oci-1-1`).
const COSIGN_ARTIFACT: &str = "application/vnd.dev.cosign.artifact.";

/// Endings of the tags of cosign's older form: signatures, attestations.
pub(crate) const COSIGN_SUFFIXES: [&str; 2] = ["sig", "att"];

/// What is signed about an image, as far as it could be read.
#[derive(Debug, Default)]
pub struct FoundEvidence {
    /// What could be read.
    pub evidence: Vec<Evidence>,
    /// Manifests of which something could not be read, and why.
    pub unread: Vec<(Digest, String)>,
}

/// The tag of an image's signatures in cosign's older form, `sig`, or of its attestations, `att` (cosign, pkg/oci/remote).
pub(crate) fn cosign_tag(image: &Digest, suffix: &str) -> String {
    format!("sha256-{}.{suffix}", image.hex())
}

/// Finds what is signed about an image. What is no signature is passed over; what is a damaged one is told, as another one
/// may be whole.
pub(crate) fn find_evidence(source: &BlobSource<'_>, image: &Digest, limits: &Limits) -> Result<FoundEvidence> {
    let mut found = FoundEvidence::default();
    for unread in source.unread(image)?.into_iter().chain(unread_tags(source, image)?) {
        if unread.artifact_type.as_deref().is_none_or(is_kind_of_signature)
            && let Ok(digest) = unread.digest.parse()
        {
            found.unread.push((digest, unread.cause.clone()));
        }
    }
    let listed = source.referrers(image)?;
    let count = listed.len() as u64;
    limits.check(Limit::Manifests, count).map_err(|exceeded| invalid!("{exceeded}: {image}"))?;
    let mut kept = 0_u64;
    for entry in listed.iter().filter(|entry| may_be_signature(entry)) {
        let Some(bytes) = unless_damaged(source.manifest(entry), &entry.digest, &mut found)? else { continue };
        let subject = Referrer::of(entry, &bytes).map(|referrer| referrer.subject);
        if subject != Some(*image) {
            let cause = subject.map_or("it refers to nothing".to_owned(), |other| format!("it refers to {other}"));
            found.unread.push((entry.digest, cause));
            continue;
        }
        add_layers(source, &bytes, &entry.digest, limits, &mut kept, &mut found)?;
    }
    for suffix in COSIGN_SUFFIXES {
        if let Some((descriptor, bytes)) = source.tagged(&cosign_tag(image, suffix))? {
            add_layers(source, &bytes, &descriptor.digest, limits, &mut kept, &mut found)?;
        }
    }
    Ok(found)
}

/// Whether an entry of a list may be that of a signature. cosign 2 puts the type of the config into lists under tags, and
/// others leave it out.
fn may_be_signature(entry: &Descriptor) -> bool {
    media_type::is_image(&entry.media_type) && entry.artifact_type().is_none_or(is_kind_of_signature)
}

fn is_kind_of_signature(kind: &str) -> bool {
    is_bundle(kind) || kind.starts_with(COSIGN_ARTIFACT) || [SIMPLE_SIGNING, media_type::EMPTY].contains(&kind)
}

/// What a layout has under the tags of the signatures of an image and cannot be read.
fn unread_tags<'a>(source: &'a BlobSource<'_>, image: &Digest) -> Result<Vec<&'a UnreadEntry>> {
    let BlobSource::File(file) = source else { return Ok(Vec::new()) };
    let tags = COSIGN_SUFFIXES.map(|suffix| cosign_tag(image, suffix));
    let is_tagged = |it: &&UnreadEntry| it.names.iter().any(|name| tags.iter().any(|tag| name.ends_with(&**tag)));
    Ok(file.unread()?.iter().filter(is_tagged).filter(|it| !it.may_refer_to(image)).collect())
}

/// Adds what the layers of a manifest are.
fn add_layers(
    source: &BlobSource<'_>,
    bytes: &[u8],
    manifest: &Digest,
    limits: &Limits,
    kept: &mut u64,
    found: &mut FoundEvidence,
) -> Result<()> {
    let parsed = Manifest::parse(bytes, &manifest.to_string(), limits).map_err(Error::from);
    let Some(Manifest { layers, .. }) = unless_damaged(parsed, manifest, found)? else { return Ok(()) };
    for layer in layers.iter().filter(|layer| is_signed(layer)) {
        *kept = kept.saturating_add(layer.size);
        limits.check(Limit::Descriptions, *kept).map_err(|exceeded| invalid!("{exceeded}: {manifest}"))?;
        let Some(bytes) = unless_damaged(source.small_blob(layer), manifest, found)? else { continue };
        match evidence(layer, bytes, *manifest, limits) {
            Ok(evidence) => found.evidence.push(evidence),
            Err(error) => found.unread.push((*manifest, error.to_string())),
        }
    }
    Ok(())
}

fn is_signed(layer: &Descriptor) -> bool {
    is_bundle(&layer.media_type) || [SIMPLE_SIGNING, ENVELOPE].contains(&&*layer.media_type)
}

fn evidence(
    layer: &Descriptor,
    bytes: Vec<u8>,
    manifest: Digest,
    limits: &Limits,
) -> layerstone_attestation::Result<Evidence> {
    let is_keyless = layer.annotations.get(CERTIFICATE_ANNOTATION).is_some_and(|it| !it.is_empty());
    match &*layer.media_type {
        SIMPLE_SIGNING => {
            let signature = layer.annotations.get(SIGNATURE_ANNOTATION).map(String::as_str).unwrap_or_default();
            Evidence::simple(bytes, signature, manifest, is_keyless)
        }
        ENVELOPE => Evidence::envelope(&bytes, manifest, is_keyless, limits),
        _ => Evidence::bundle(&bytes, manifest, limits),
    }
}

/// What was read; nothing, which is told, where it is not what it should be. Errors of the place remain errors.
fn unless_damaged<T>(read: Result<T>, manifest: &Digest, found: &mut FoundEvidence) -> Result<Option<T>> {
    match read {
        Ok(it) => Ok(Some(it)),
        Err(error) if is_damage(&error) => {
            found.unread.push((*manifest, error.to_string()));
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

fn is_damage(error: &Error) -> bool {
    match error {
        Error::Registry(error) => {
            matches!(
                error,
                RegistryError::NotFound { .. } | RegistryError::Digest { .. } | RegistryError::Protocol { .. }
            )
        }
        Error::Oci(_) | Error::Image(_) | Error::Invalid(_) => true,
        _ => false,
    }
}
