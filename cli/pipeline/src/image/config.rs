//! What the config of an image says: what its spec does, over its base.

use crate::{BaseImage, Checks, Refused, Report, Result};
use layerstone_image::{ImageFacts, OwnConfig};
use layerstone_spec::Spec;

/// What a spec says of the image's config.
fn own_config(spec: &Spec) -> Result<OwnConfig<'_>> {
    Ok(OwnConfig {
        created: spec.created.rfc3339()?,
        architecture: spec.architecture.as_deref(),
        variant: spec.variant.as_deref(),
        parameters: &spec.config,
        inherit: spec.inherit,
    })
}

/// Refuses a base for another architecture than the spec asks for; without checks it is a warning.
///
/// # Errors
///
/// It is for another one, or its config is not what it must be.
pub fn check_architecture(spec: &Spec, base: &BaseImage, checks: Checks, report: &dyn Report) -> Result<()> {
    let conflict = own_config(spec)?.conflict_over(&base.config, &base.name)?;
    if let Some(message) = conflict {
        if checks != Checks::None {
            return Err(Refused { message, hint: Some("--no-check builds on it all the same".to_owned()) }.into());
        }
        report.warn(message);
    }
    Ok(())
}

/// What the image says, and what the user should know about it.
pub fn facts(spec: &Spec, base: Option<&BaseImage>) -> Result<(ImageFacts, Vec<String>)> {
    let mut warnings = Vec::new();
    let own = own_config(spec)?;
    let Some(BaseImage { config, name, .. }) = base else { return Ok((own.facts(), warnings)) };
    warnings.extend(own.warnings_over(config, name)?);
    Ok((own.facts_over(config, name)?, warnings))
}
