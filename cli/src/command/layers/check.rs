//! `layerstone layers --check`: what is wrong with a plan.

use super::Options;
use crate::out::print;
use anyhow::{Result, bail};
use layerstone_closure::Closure;
use layerstone_layering::{Draft, Finding, check};
use std::path::Path;

/// A line if all is well, otherwise an error that lists everything.
pub fn run(plan: &Path, options: &Options) -> Result<()> {
    let draft = Draft::read(plan)?;
    let closure = Closure::read(&options.closure)?;
    let findings = check(&draft, &closure, &options.exclude(), options.limit()?)?;
    let (plan, closure) = (plan.display(), options.closure.display());
    let lines: Vec<String> = findings.iter().map(Finding::to_string).collect();
    match &lines[..] {
        [] => {
            let paths: usize = draft.layers.iter().map(Vec::len).sum();
            print(format!("good plan of {} layers with {paths} paths\n", draft.layers.len()))
        }
        [line] => bail!("not a plan of {closure}: {plan}: {line}"),
        lines => bail!("not a plan of {closure}: {plan}: {} faults\n  {}", lines.len(), lines.join("\n  ")),
    }
}
