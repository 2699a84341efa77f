//! What the config of an image says: what its spec does, over its base.

use crate::{BaseImage, Result};
use layerstone_image::{ImageFacts, OwnConfig};
use layerstone_spec::Spec;

/// What the image says, and what the user should know about it.
pub fn facts(spec: &Spec, base: Option<&BaseImage>) -> Result<(ImageFacts, Vec<String>)> {
    let mut warnings = spec.warnings();
    let own = OwnConfig {
        created: spec.created.rfc3339()?,
        architecture: spec.architecture.as_deref(),
        variant: spec.variant.as_deref(),
        parameters: &spec.config,
        inherit: spec.inherit,
    };
    let Some(BaseImage { image, .. }) = base else { return Ok((own.facts(), warnings)) };
    warnings.extend(own.warnings_over(&image.config, &image.name)?);
    Ok((own.facts_over(&image.config, &image.name)?, warnings))
}
