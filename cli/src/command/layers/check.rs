//! `layerstone layers --check`: what is wrong with a plan.

use super::Options;
use crate::out::print;
use anyhow::{Context, Result, bail};
use layerstone_closure::Closure;
use layerstone_layering::{Draft, Finding, check};
use std::num::NonZeroUsize;
use std::path::Path;

/// A line if all is well, otherwise an error that lists everything.
pub fn run(plan: &Path, closure: &Path, options: &Options) -> Result<()> {
    let draft = Draft::read(plan)?;
    let name = closure.display();
    let closure = Closure::read(closure)?;
    let base = options.base(&closure)?;
    let mut exclude = options.exclude();
    let of_base = closure.graph.iter().map(|info| &info.path).filter(|path| base.paths.contains(path));
    exclude.extend(of_base.cloned());
    let findings = check(&draft, &closure, &exclude, limit(options, base.layers)?)?;
    let plan = plan.display();
    let lines: Vec<String> = findings.iter().map(Finding::to_string).collect();
    match &lines[..] {
        [] => {
            let paths: usize = draft.layers.iter().map(Vec::len).sum();
            print(format!("good plan of {} layers with {paths} paths\n", draft.layers.len()))
        }
        [line] => bail!("not a plan of {name}: {plan}: {line}"),
        lines => bail!("not a plan of {name}: {plan}: {} faults\n  {}", lines.len(), lines.join("\n  ")),
    }
}

/// How many layers a plan may have over a base of so many.
fn limit(options: &Options, base: usize) -> Result<Option<NonZeroUsize>> {
    let left = |limit: NonZeroUsize| {
        NonZeroUsize::new(limit.get().saturating_sub(base))
            .with_context(|| format!("--max-layers: found {limit}, expected more than the {base} of the base image"))
    };
    options.limit()?.map(left).transpose()
}
