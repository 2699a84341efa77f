//! Says on stdout which image was built or published.

use crate::args::Common;
use crate::out::print;
use crate::table::size;
use anyhow::Result;
use layerstone_oci::PutOutcome;
use layerstone_pipeline::{Built, ImageTarget, Published, Rehearsal, Rehearsed};

/// Says what was written, unless the image itself goes to stdout.
pub fn print_built(built: &Built, target: &ImageTarget, common: &Common) -> Result<()> {
    if target.is_stdout() || common.quiet {
        return Ok(());
    }
    let Built { reference, image } = built;
    match (&image.manifest, target) {
        (Some((manifest, _)), ImageTarget::Registry(_)) => {
            print(format_args!("{reference}@{}\n", manifest.descriptor.digest))
        }
        _ => print(format_args!("{reference} {}\n", image.image_id)),
    }
}

/// Says what would become of each blob and manifest, a line each with its digest and its bytes, and of all together.
pub fn print_rehearsed(published: &Published, rehearsal: &Rehearsal, target: &ImageTarget) -> Result<()> {
    let send = if let ImageTarget::Registry(_) = target { "send" } else { "write" };
    let word = |put| match put {
        PutOutcome::Sent => send,
        PutOutcome::Existing => "there",
        PutOutcome::Mounted => "mount",
    };
    let (blobs, manifests) = (rehearsal.blobs(), rehearsal.manifests());
    for (all, kind) in [(&blobs, "blob"), (&manifests, "manifest")] {
        for Rehearsed { digest, size, put } in all {
            print(format_args!("{} {kind} {digest} {size}\n", word(*put)))?;
        }
    }
    let of = |put| {
        let some = || blobs.iter().chain(&manifests).filter(move |one| one.put == put);
        let bytes = some().map(|one| one.size).fold(0, u64::saturating_add);
        let (count, plural) = (some().count(), if some().count() == 1 { "" } else { "s" });
        format!("{count} piece{plural} of {}", size(bytes))
    };
    let mounted = blobs.iter().any(|blob| blob.put == PutOutcome::Mounted);
    let mounted = if mounted { format!(", mount {}", of(PutOutcome::Mounted)) } else { String::new() };
    let digest = published.digest();
    let (there, sent) = (of(PutOutcome::Existing), of(PutOutcome::Sent));
    print(format_args!("{target} {digest}: would {send} {sent}{mounted}; {there} there already\n"))
}

/// Says what was published.
pub fn print_published(published: &Published, common: &Common) -> Result<()> {
    if common.quiet {
        return Ok(());
    }
    match published {
        Published::Manifest { name, listed, .. } => {
            let digest = published.digest();
            print(format_args!("{}@{digest}\n", name.as_deref().unwrap_or_default()))?;
            listed.iter().try_for_each(|manifest| {
                let platform = manifest.platform.as_ref().map_or_else(|| "unknown".to_owned(), ToString::to_string);
                print(format_args!("  {platform} {}\n", manifest.digest))
            })
        }
        Published::Image { name, image_id } => {
            let name = name.as_ref().map(|name| format!("{name} ")).unwrap_or_default();
            print(format_args!("{name}{image_id}\n"))
        }
    }
}
