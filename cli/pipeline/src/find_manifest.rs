//! The manifest or index that a name leads to, wherever the image is.

use crate::{Opener, Result, remote};
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
                let (descriptor, bytes, _) = opened.file.listed(location)?;
                return Ok((descriptor, bytes));
            }
            let Some(manifest) = opened.image()?.manifest else {
                bail!("no manifest: {place}: found a docker archive, expected an OCI layout or a registry");
            };
            Ok((manifest.descriptor, manifest.bytes))
        }
        Place::Engine(..) => bail!("no manifest: {place}: found an engine, expected an OCI layout or a registry"),
    }
}
