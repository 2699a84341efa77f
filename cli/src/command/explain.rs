//! `layerstone explain`: what each layer is sent again for, and what that costs.

use super::inspect::is_stage_file;
use super::layers::question::explain::{Subject, answer, show};
use crate::args::Common;
use crate::args::look::LookArgs;
use crate::args::rates::RatesArgs;
use crate::closure_source::ClosureSource;
use anyhow::{Context, Result};
use clap::Args;
use layerstone_closure::Closure;
use layerstone_layering::{Plan, PlanBase, Settings, plan};
use layerstone_pipeline::Error;
use layerstone_store::StorePath;
use std::collections::BTreeSet;
use std::ffi::OsString;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

/// Show what each layer is sent again for, and what that costs
///
/// Of an image, whose layers are searched for references; of a plan and its closure; or of the plan that would be made of a
/// closure. Beside it stand the prices of the strategies, and the least that any layers could cost.
#[derive(Args)]
pub struct Options {
    /// Image (FILE[#NAME:TAG], oci:DIR, registry:REF, docker:NAME, or any other place), plan, or closure
    #[arg(value_name = "IMAGE|PLAN|CLOSURE")]
    subject: OsString,
    /// The closure of a plan
    #[arg(value_name = "CLOSURE.JSON")]
    closure: Option<PathBuf>,
    /// Most layers of a plan of a closure, and of the other strategies
    #[arg(long, value_name = "N")]
    max_layers: Option<NonZeroUsize>,
    #[command(flatten)]
    rates: RatesArgs,
    #[command(flatten)]
    look: LookArgs,
}

pub fn run(options: &Options, common: &Common) -> Result<()> {
    let rates = options.rates.rates()?.unwrap_or_default();
    let path = Path::new(&options.subject);
    let is_plan = path.is_file() && is_stage_file(path)? == Some(true);
    let title = options.subject.display().to_string();
    let (closure, chosen) = if is_plan {
        let closure = options.closure.as_deref().ok_or_else(|| {
            let message = "a plan alone has no sizes: expected its closure behind it";
            Error::advised(message, format!("`layerstone explain {title} CLOSURE.JSON`"))
        })?;
        (Closure::read(closure)?, Some(Plan::read(path)?))
    } else {
        let registries = options.look.read.registries(common);
        let opener = options.look.read.opener(&registries, common);
        let source =
            ClosureSource::open(&options.subject, &options.look.store, &options.look.platform.of_image(), &opener)?;
        (source.closure, source.layers)
    };
    // An empty plan is one too; other strategies may not have fewer layers than one.
    let layers = chosen.as_ref().map(|plan| NonZeroUsize::new(plan.layers.len()).unwrap_or(NonZeroUsize::MIN));
    let limit = options.max_layers.or(layers).context("no number of layers: expected --max-layers N with a closure")?;
    // What a plan leaves out lies below, and other strategies would leave it there.
    let base = chosen.as_ref().map(|plan| left_out(plan, &closure)).unwrap_or_default();
    let settings = Settings { rates, base, ..Settings::new(limit) };
    let strategy = chosen.is_none().then(|| settings.strategy.name());
    let title = strategy.map_or(title, str::to_owned);
    let chosen = chosen.map_or_else(|| plan(&closure, &settings), Ok)?;
    show(&answer(Subject { title, strategy, chosen }, &closure, settings)?, options.look.json, common)
}

/// The paths of a closure that a plan of it leaves out.
fn left_out(plan: &Plan, closure: &Closure) -> PlanBase {
    let planned: BTreeSet<&StorePath> = plan.layers.iter().flatten().collect();
    let paths = closure.graph.iter().map(|info| &info.path).filter(|path| !planned.contains(path));
    PlanBase { layers: 0, paths: paths.cloned().collect() }
}
