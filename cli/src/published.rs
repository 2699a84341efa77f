//! Says on stdout which image was built or published.

use crate::args::Common;
use crate::out::print;
use anyhow::Result;
use layerstone_pipeline::{Built, ImageTarget, Published};

/// Says what was written, unless stdout holds the image itself.
pub fn tell_built(built: &Built, target: &ImageTarget, common: &Common) -> Result<()> {
    if target.is_stdout() || common.quiet {
        return Ok(());
    }
    match (&built.manifest, target) {
        (Some(manifest), ImageTarget::Registry(_)) => print(format_args!("{}@{}\n", built.reference, manifest.digest)),
        _ => print(format_args!("{} {}\n", built.reference, built.image_id)),
    }
}

/// Says what was published.
pub fn tell_published(published: &Published, common: &Common) -> Result<()> {
    if common.quiet {
        return Ok(());
    }
    match published {
        Published::Manifest { name, manifest } => {
            print(format_args!("{}@{}\n", name.as_deref().unwrap_or_default(), manifest.digest))
        }
        Published::Image { name, image_id } => {
            let name = name.as_ref().map(|name| format!("{name} ")).unwrap_or_default();
            print(format_args!("{name}{image_id}\n"))
        }
        Published::Index { name, index, manifests } => {
            print(format_args!("{name}@{}\n", index.digest))?;
            manifests.iter().try_for_each(|manifest| {
                let platform = manifest.platform.as_ref().map_or_else(|| "unknown".to_owned(), ToString::to_string);
                print(format_args!("  {platform} {}\n", manifest.digest))
            })
        }
    }
}
