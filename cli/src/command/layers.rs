//! `layerstone layers`: closure to plan, and what can be said about plans.

mod check;

use crate::args::usage_error;
use crate::plan_args::PlanArgs;
use crate::strategy::{INPUTS, StrategyArgs};
use anyhow::{Context, Result};
use clap::Args;
use clap::error::ErrorKind;
use layerstone_closure::Closure;
use layerstone_image::held;
use layerstone_layering::{Base, Rates, Settings, plan};
use layerstone_stage::StorePath;
use std::collections::BTreeSet;
use std::num::NonZeroUsize;
use std::path::PathBuf;

/// What the command is called.
const NAME: &str = "layers";

/// Decide which store paths share a layer
///
/// least-churn: the plan that costs least to send again when paths change.
///
/// popularity: the paths to which most references lead get a layer each, all others share the last one, as dockerTools
/// did from 2018 to 2025.
///
/// size: the largest paths get a layer each with what nobody else needs, and what several of them need lies between, as
/// dockerTools does since 2025.
///
/// pipeline FILE: a JSON list of operations, dockerTools' layeringPipeline.
#[derive(Args)]
#[command(override_usage = "layerstone layers [OPTIONS] --max-layers <N> <CLOSURE.JSON>")]
pub struct Options {
    // Before the inputs, so that it sees them.
    #[command(flatten)]
    strategy: StrategyArgs,
    /// Closure file, or any references graph
    #[arg(id = INPUTS, value_name = "CLOSURE.JSON", required_unless_present = "strategy")]
    closure: Option<PathBuf>,
    /// How many layers there may be, 1 or more, those of --base included; the customisation layer does not count; a
    /// pipeline does without
    #[arg(long, value_name = "N")]
    max_layers: Option<usize>,
    /// Image to build on: its layers are taken off the limit, the store paths that it holds are left out
    #[arg(long, value_name = "IMAGE.TAR")]
    base: Option<PathBuf>,
    /// Store path to leave out of all layers
    #[arg(long, value_name = "PATH", value_parser = StorePath::parse)]
    exclude: Vec<StorePath>,
    /// How often paths change, for least-churn: a JSON object of name patterns and numbers [default: 1 each]
    #[arg(long, value_name = "RATES.JSON")]
    rates: Option<PathBuf>,
    #[command(flatten)]
    plan: PlanArgs,
    /// Say all that is wrong with a plan for CLOSURE.JSON, whoever made it, and make none
    #[arg(long, value_name = "LAYERS.JSON", conflicts_with_all = ["strategy", "rates", "PlanArgs", "output"])]
    check: Option<PathBuf>,
    /// Plan to write
    #[arg(short, long, value_name = "LAYERS.JSON", default_value = "-")]
    output: PathBuf,
}

pub fn run(options: &Options) -> Result<()> {
    let input =
        options.strategy.only_input(NAME, options.closure.as_ref())?.ok_or_else(|| missing("<CLOSURE.JSON>"))?;
    if let Some(plan) = &options.check {
        return check::run(plan, &input, options);
    }
    let limit = match options.limit()? {
        None if options.strategy.is_pipeline() => NonZeroUsize::MAX,
        limit => limit.ok_or_else(|| missing("--max-layers <N>"))?,
    };
    let closure = Closure::read(&input)?;
    let settings = options.plan.over(Settings {
        strategy: options.strategy.strategy()?.unwrap_or_default(),
        base: options.base(&closure)?,
        exclude: options.exclude(),
        rates: options.rates.as_deref().map(Rates::read).transpose()?.unwrap_or_default(),
        ..Settings::new(limit)
    })?;
    Ok(plan(&closure, &settings)?.write(&options.output)?)
}

/// The error for an argument that is needed, in clap's words.
fn missing(argument: &str) -> anyhow::Error {
    let message = format!("the following required arguments were not provided:\n  {argument}");
    usage_error(NAME, ErrorKind::MissingRequiredArgument, message)
}

impl Options {
    fn limit(&self) -> Result<Option<NonZeroUsize>> {
        let limit = |number| NonZeroUsize::new(number).context("--max-layers: found 0, expected 1 or more");
        self.max_layers.map(limit).transpose()
    }

    fn exclude(&self) -> BTreeSet<StorePath> {
        self.exclude.iter().cloned().collect()
    }

    /// What the base image holds of the store that the closure is in.
    fn base(&self, closure: &Closure) -> Result<Base> {
        let Some(image) = &self.base else { return Ok(Base::default()) };
        let store = closure.graph.first().map_or("/nix/store", |info| info.path.store_dir());
        let held = held(image, store)?;
        Ok(Base { layers: held.layers.len(), paths: held.paths.into_keys().collect() })
    }
}
