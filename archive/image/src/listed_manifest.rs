//! The manifest or the index that a name of an OCI layout leads to, as its index.json lists it (OCI image-spec,
//! image-layout.md).

use crate::Result;
use crate::blobs::Blobs;
use crate::oci_layout::{Listing, blob, descriptor, parse, top};
use crate::unread::{UnreadEntry, stated_kind};
use layerstone_oci::media_type::{self, is_image, is_index};
use layerstone_oci::{Descriptor, INDEX_NAME, Index, Location, Manifest, Platform, names_in, without_names};
use serde_json::Value;
use std::collections::BTreeMap;

/// What index.json itself lists of this name, or all that it lists: a manifest or an index, its bytes, and what it is
/// called. Of several images of one name for several platforms, the index that they would be in.
pub(crate) fn listed(blobs: &Blobs, location: &Location) -> Result<(Descriptor, Vec<u8>, Vec<String>)> {
    let index = top(blobs)?;
    let mut meant = Vec::new();
    for value in &index.manifests {
        match listed_image(blobs, location, value) {
            Ok(image) => meant.extend(image),
            // Of an artifact no image is missed.
            Err(error) => drop(UnreadEntry::of(blobs, value, error)?),
        }
    }
    meant.dedup_by(|(a, _), (b, _)| a.digest == b.digest);
    let wrong = |cause: String| blobs.error(format!("{INDEX_NAME}: {cause}"));
    match &meant[..] {
        [(one, bytes)] => {
            let descriptor = Descriptor::of(&one.media_type, bytes);
            return Ok((descriptor, bytes.clone(), names_in(&one.annotations)));
        }
        [(first, _), rest @ ..]
            if rest.iter().all(|(it, _)| names_in(&it.annotations) == names_in(&first.annotations))
                && rest.iter().all(|(it, _)| is_image(&it.media_type)) => {}
        _ => {
            let wanted = location.reference().map(|name| format!(" called {name}")).unwrap_or_default();
            return Err(wrong(format!("found {} images{wanted}, expected one", meant.len())));
        }
    }
    let names = names_in(&meant[0].0.annotations);
    let manifests =
        meant.iter().map(|(descriptor, bytes)| in_index(blobs, descriptor, bytes)).collect::<Result<_>>()?;
    let bytes = Index::new(manifests, BTreeMap::new()).to_bytes();
    Ok((Descriptor::of(media_type::INDEX, &bytes), bytes, names))
}

/// An entry of index.json with its bytes, if it is that of an image, or of an index, of this name.
fn listed_image(blobs: &Blobs, location: &Location, value: &Value) -> Result<Option<(Descriptor, Vec<u8>)>> {
    let Some(descriptor) = descriptor(blobs, INDEX_NAME, value)? else { return Ok(None) };
    if descriptor.artifact_type().is_some() || !location.means(&names_in(&descriptor.annotations)) {
        return Ok(None);
    }
    let bytes = blob(blobs, &descriptor, true).read(blobs)?;
    let is_image = kind_of_artifact(blobs, &descriptor, &bytes)?.is_none();
    Ok(is_image.then_some((descriptor, bytes)))
}

/// What an index says of an image that index.json lists: what it says there but for its name, and what it runs on.
fn in_index(blobs: &Blobs, descriptor: &Descriptor, bytes: &[u8]) -> Result<Descriptor> {
    let platform = match &descriptor.platform {
        Some(platform) => Some(platform.clone()),
        None => {
            let manifest: Manifest = parse(blobs, INDEX_NAME, bytes)?;
            Platform::of_config(&blobs.json(&blobs.blob_name(&manifest.config.digest))?)
        }
    };
    let annotations = without_names(&descriptor.annotations);
    Ok(Descriptor { annotations, platform, ..Descriptor::of(&descriptor.media_type, bytes) })
}

/// What kind of artifact a manifest or an index says that it is; none for images.
fn kind_of_artifact(blobs: &Blobs, descriptor: &Descriptor, bytes: &[u8]) -> Result<Option<String>> {
    if is_index(&descriptor.media_type) {
        let index: Listing = parse(blobs, &descriptor.digest.to_string(), bytes)?;
        return Ok(index.artifact_type().map(str::to_owned));
    }
    let parsed = parse::<Manifest>(blobs, &descriptor.digest.to_string(), bytes);
    match (parsed, stated_kind(bytes)) {
        (Ok(manifest), _) => Ok(manifest.artifact().map(str::to_owned)),
        (Err(_), Some(kind)) => Ok(Some(kind)),
        (Err(error), None) => Err(error),
    }
}
