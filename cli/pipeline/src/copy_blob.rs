//! Copies a blob of a registry by its digest alone, and compares its bytes with it.

use crate::{Registries, Report, Result};
use layerstone_layer::DigestWriter;
use layerstone_oci::{Content, Reference};
use layerstone_registry::Error;
use layerstone_store::Digest;
use std::io::Write;

/// Writes the blob of this digest from the repository of a reference.
///
/// # Errors
///
/// The registry does not have it or cannot be asked, other bytes came, or they cannot be written.
pub fn copy_blob(
    reference: &Reference,
    digest: Digest,
    out: &mut (dyn Write + Send),
    registries: &Registries,
    report: &dyn Report,
) -> Result<()> {
    let (repository, descriptor) = registries.find_blob(reference, &digest)?;
    let mut hashed = DigestWriter::new(out);
    let copy = |_: &_| repository.blob(&descriptor).write_to(0, &mut hashed);
    report.during("reading", None, vec![reference.to_string()], copy)?;
    let (found, expected) = (hashed.finish().0, digest);
    if found != expected {
        return Err(Error::Digest { name: reference.to_string(), found, expected }.into());
    }
    Ok(())
}
