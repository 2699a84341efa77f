//! Says on stdout which image was built or published.

use crate::args::Common;
use crate::out::print;
use anyhow::Result;
use layerstone_pipeline::{Built, ImageTarget, Published};

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

/// Says what was published.
pub fn print_published(published: &Published, common: &Common) -> Result<()> {
    if common.quiet {
        return Ok(());
    }
    match published {
        Published::Manifest { name, digest, listed } => {
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
