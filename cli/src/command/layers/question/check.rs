//! `layers --check`: what is wrong with a plan.

use crate::args::Common;
use crate::command::layers::Options;
use crate::command::layers::limit::Limit;
use crate::screen::answer::print_answer;
use crate::screen::fit::clean;
use crate::screen::out::print;
use crate::screen::table::counted;
use anyhow::{Context, Result, bail};
use layerstone_closure::Closure;
use layerstone_layering::{Draft, check};
use serde_json::json;
use std::num::NonZeroUsize;
use std::path::Path;

/// Prints every fault; one is an error.
pub fn run(plan: &Path, options: &Options, as_json: bool, common: &Common) -> Result<()> {
    let file = options.closure()?;
    let draft = Draft::read(plan)?;
    let closure = Closure::read(&file)?;
    let base = options.base(&closure, common)?;
    let mut exclude = options.exclude(std::slice::from_ref(&closure))?;
    let of_base = closure.graph.iter().map(|info| &info.path).filter(|path| base.paths.contains(path));
    exclude.extend(of_base.cloned());
    let faults = check(&draft, &closure, &exclude, limit(options, base.layers)?)?;
    let (layers, paths) = (draft.layers.len(), draft.layers.iter().map(Vec::len).sum::<usize>());
    if as_json {
        let answer = json!({"faults": faults, "layers": layers, "paths": paths});
        print_answer("layers-check", &answer)?;
    } else if faults.is_empty() {
        print(format_args!("{} with {}: nothing is wrong\n", counted(layers, "layer"), counted(paths, "path")))?;
    } else {
        print(faults.iter().map(|fault| format!("{}\n", clean(&fault.to_string()))).collect::<String>())?;
    }
    match faults.len() {
        0 => Ok(()),
        count => bail!("not a plan of {}: {}: {}", file.display(), plan.display(), counted(count, "fault")),
    }
}

/// How many layers a plan may have over a base of so many.
fn limit(options: &Options, base: usize) -> Result<Option<NonZeroUsize>> {
    let left = |limit: Limit| {
        let limit = limit.over(base);
        NonZeroUsize::new(limit.get().saturating_sub(base))
            .with_context(|| format!("--max-layers: found {limit}, expected more than the {base} that lie below"))
    };
    options.limit()?.map(left).transpose()
}
