//! The manifest or index that a name leads to, wherever the image is.

use crate::{Error, Opener, Result, remote};
use layerstone_oci::{Descriptor, Place, Wanted};

/// Finds a manifest or an index, and its bytes: what the name leads to, or the image in it for a platform that is named.
///
/// # Errors
///
/// It does not exist, there is none for the platform, or the place holds no manifests.
pub fn find_manifest(place: &Place, wanted: &Wanted, opener: &Opener<'_>) -> Result<(Descriptor, Vec<u8>)> {
    match place {
        Place::Registry(reference) if wanted.is_named => {
            let manifest = remote::image(reference, wanted, opener.registries)?.manifest;
            Ok((manifest.descriptor, manifest.bytes))
        }
        Place::Registry(reference) => {
            let (_, fetched) = opener.registries.fetch(reference)?;
            Ok((fetched.descriptor, fetched.bytes))
        }
        Place::File(location) => {
            let opened = opener.open(place, wanted)?;
            if !wanted.is_named {
                if !opened.file.has_manifests() {
                    return Err(no_manifest(place, "a docker archive"));
                }
                let (descriptor, bytes, _) = opened.file.listed(location)?;
                return Ok((descriptor, bytes));
            }
            let Some(manifest) = opened.image()?.manifest else {
                return Err(no_manifest(place, "a docker archive"));
            };
            Ok((manifest.descriptor, manifest.bytes))
        }
        Place::Engine(..) => Err(no_manifest(place, "an engine")),
    }
}

/// The error for a place that holds images without manifests.
pub(crate) fn no_manifest(place: &Place, found: &str) -> Error {
    let message = format!("no manifest: {place}: found {found}, expected an OCI layout or a registry");
    Error::advised(message, "`layerstone inspect` shows the image ID; a copy to oci:DIR has a manifest")
}
