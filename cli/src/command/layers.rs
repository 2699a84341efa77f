//! `layerstone layers`: closure to plan.

use anyhow::{Context, Result};
use clap::Args;
use layerstone_closure::Closure;
use layerstone_layering::{Rates, Settings, Strategy, plan};
use layerstone_stage::StorePath;
use std::num::NonZeroUsize;
use std::path::PathBuf;

/// Decide which store paths share a layer
///
/// least-churn: the plan that costs least to send again when paths change.
///
/// popularity: the paths to which most references lead get a layer each, all others share the last one, as dockerTools
/// did from 2018 to 2025.
#[derive(Args)]
pub struct Options {
    /// Closure file, or any references graph
    #[arg(value_name = "CLOSURE.JSON")]
    closure: PathBuf,
    /// How to decide
    #[arg(long, value_name = "NAME", default_value = "least-churn")]
    strategy: Strategy,
    /// How many layers there may be, 1 or more; the customisation layer and a base image's layers do not count
    #[arg(long, value_name = "N")]
    max_layers: usize,
    /// Store path to leave out of all layers
    #[arg(long, value_name = "PATH", value_parser = StorePath::parse)]
    exclude: Vec<StorePath>,
    /// How often paths change, for least-churn: a JSON object of name patterns and numbers [default: 1 each]
    #[arg(long, value_name = "RATES.JSON")]
    rates: Option<PathBuf>,
    /// Plan to write
    #[arg(short, long, value_name = "LAYERS.JSON", default_value = "-")]
    output: PathBuf,
}

pub fn run(options: &Options) -> Result<()> {
    let limit = NonZeroUsize::new(options.max_layers).context("--max-layers: found 0, expected 1 or more")?;
    let settings = Settings {
        strategy: options.strategy.clone(),
        exclude: options.exclude.iter().cloned().collect(),
        rates: options.rates.as_deref().map(Rates::read).transpose()?.unwrap_or_default(),
        ..Settings::new(limit)
    };
    let closure = Closure::read(&options.closure)?;
    Ok(plan(&closure, &settings)?.write(&options.output)?)
}
