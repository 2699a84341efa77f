//! Reads the plan that a spec names, made already, and checks that it is one of the image's closure.

use crate::Result;
use layerstone_closure::Closure;
use layerstone_layering::{Draft, Plan, check};
use layerstone_store::StorePath;
use std::collections::BTreeSet;
use std::path::Path;

/// The plan in `file` of a closure, whose paths of the base it leaves out.
///
/// # Errors
///
/// It cannot be read, or is another closure's.
pub fn read_plan(file: &Path, closure: &Closure, of_base: &BTreeSet<StorePath>) -> Result<Plan> {
    let draft = Draft::read(file)?;
    let exclude = closure.graph.iter().map(|info| &info.path).filter(|path| of_base.contains(*path)).cloned().collect();
    let findings = check(&draft, closure, &exclude, None)?;
    match &findings[..] {
        [] => Ok(Plan::read(file)?),
        [first] => bail!("not a plan of this image: {}: {first}", file.display()),
        [first, others @ ..] => {
            bail!("not a plan of this image: {}: {first}, and {} more", file.display(), others.len())
        }
    }
}
