//! Makes the plan of an image, or takes the one that its spec names, made already, if it is one of the image's closure.

use crate::Result;
use layerstone_closure::Closure;
use layerstone_layering::{Draft, Plan, Settings, check, plan};
use std::path::Path;

/// The plan of a closure: that of the file `made`, or one that is made by these settings.
///
/// # Errors
///
/// The plan cannot be made; the file cannot be read, or has the plan of another closure or base.
pub fn plan_or_made(made: Option<&Path>, closure: &Closure, settings: &Settings) -> Result<Plan> {
    let Some(file) = made else { return Ok(plan(closure, settings)?) };
    let draft = Draft::read(file)?;
    let paths = closure.graph.iter().map(|info| &info.path);
    let exclude = paths.filter(|path| settings.base.paths.contains(*path)).cloned().collect();
    let findings = check(&draft, closure, &exclude, None)?;
    let name = file.display().to_string();
    match &findings[..] {
        [] => Ok(Plan::of_draft(draft, &name)?),
        [first] => bail!("not a plan of this image: {name}: {first}"),
        [first, others @ ..] => bail!("not a plan of this image: {name}: {first}, and {} more", others.len()),
    }
}
