//! `layerstone layers`: closure to plan, and what can be said about plans.

mod question;
mod several;

use crate::args::{Common, usage_error};
use crate::base_args::BaseArgs;
use crate::overwrite::Files;
use crate::plan_args::PlanArgs;
use crate::step_args::StepArgs;
use crate::strategy::{INPUTS, StrategyArgs};
use anyhow::{Context, Result};
use clap::Args;
use clap::error::ErrorKind;
use layerstone_closure::Closure;
use layerstone_layering::{PlanBase, Rates, Settings, plan};
use layerstone_pipeline::{BuildStep, settings, strategy_of};
use layerstone_spec::{Layering, Spec};
use layerstone_store::{Store, StorePath};
use question::QuestionArgs;
use std::collections::BTreeSet;
use std::num::NonZeroUsize;
use std::path::PathBuf;

const USAGE: &str = "\
layerstone layers [OPTIONS] --max-layers <N> <CLOSURE.JSON>
       layerstone layers [OPTIONS] --spec <IMAGE.JSON> <CLOSURE.JSON>
       layerstone layers [OPTIONS] --strategy pipeline <FILE> <CLOSURE.JSON>
       layerstone layers [OPTIONS] --max-layers <N> -o <FOLDER> <A.CLOSURE.JSON> <B.CLOSURE.JSON>...
       layerstone layers --check <LAYERS.JSON> [--max-layers <N>] <CLOSURE.JSON>
       layerstone layers --explain [OPTIONS] --max-layers <N> <CLOSURE.JSON>
       layerstone layers --explain --plan <LAYERS.JSON> <CLOSURE.JSON>
       layerstone layers --compare <OLD.JSON> <NEW.JSON> [CLOSURE.JSON]";

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
///
/// --check, --explain and --compare write no plan but answer questions about some.
#[derive(Args)]
#[command(override_usage = USAGE)]
pub struct Options {
    // Before the inputs, so that it sees them.
    #[command(flatten)]
    strategy: StrategyArgs,
    /// Closure file, or any references graph; several are planned together, so that what they share lies in layers that
    /// their images share
    #[arg(id = INPUTS, value_name = "CLOSURE.JSON", required_unless_present_any = ["strategy", "compare"])]
    closures: Vec<PathBuf>,
    /// How many layers there may be, 1 or more, those of --base included; the customisation layer does not count; a
    /// pipeline does without
    #[arg(long, value_name = "N")]
    max_layers: Option<usize>,
    /// Image spec to take maxLayers, strategy, minLayerSize and base from, where no flag says them
    #[arg(long, value_name = "IMAGE.JSON")]
    spec: Option<PathBuf>,
    /// Store path to leave out of all layers
    #[arg(long, value_name = "PATH", value_parser = StorePath::parse)]
    exclude: Vec<StorePath>,
    /// How often paths change, for least-churn: a JSON object of name patterns and numbers [default: 1 each]
    #[arg(long, value_name = "RATES.JSON")]
    rates: Option<PathBuf>,
    #[command(flatten)]
    plan: PlanArgs,
    /// Plan to write; for several closures the folder that receives NAME.layers.json for each NAME.closure.json
    #[arg(short, long, value_name = "LAYERS.JSON", default_value = "-")]
    output: PathBuf,
    #[command(flatten)]
    question: QuestionArgs,
    // Its layers are taken off the limit, and the store paths that it holds are left out.
    #[command(flatten)]
    base: BaseArgs,
    #[command(flatten)]
    edge: StepArgs,
}

pub fn run(options: &Options, common: &Common) -> Result<()> {
    if options.question.answer(options, common)? {
        return Ok(());
    }
    let closures = options.strategy.inputs(&options.closures);
    if closures.len() > 1 {
        return several::run(&closures, options, common);
    }
    let file = options.closure()?;
    if options.spec.is_none() {
        // Before anything is read.
        options.limit_of_plan()?;
    }
    let spec = options.spec.as_deref().map(Spec::read).transpose()?;
    options.files(spec.as_ref()).reads([&file]).writes([&options.output]).check()?;
    let mut edge = options.edge.begin(&[&options.output])?;
    let closure = Closure::read(&file)?;
    let settings = options.settings_of_plan(spec.as_ref(), &closure, common)?;
    plan(&closure, &settings)?.with_hashes_of(&closure).write(&options.output)?;
    edge.file(file);
    options.tell(spec.as_ref(), &mut edge);
    Ok(edge.finish()?)
}

impl Options {
    /// What is read besides closures.
    fn files(&self, spec: Option<&Spec>) -> Files {
        let files = Files::default().reads(&self.rates).reads(self.plan.previous()).reads(self.strategy.file());
        let files = files.reads(self.base.location(spec).map(|base| base.path)).edge(&self.edge);
        spec.iter().fold(files, |files, spec| files.reads_spec(self.spec.as_deref(), spec))
    }

    /// Tells what is read besides closures.
    fn tell(&self, spec: Option<&Spec>, edge: &mut BuildStep) {
        edge.files(&self.rates);
        edge.files(self.plan.previous());
        edge.files(self.strategy.file());
        edge.files(&self.spec);
        if let Some(Layering::PipelineFile(file)) = spec.and_then(|spec| spec.layering.as_ref()) {
            edge.file(file);
        }
        edge.files(&self.base.location(spec).map(|base| base.path));
    }

    /// What the flags say of a plan that is to be made, over what a spec says.
    fn settings_of_plan(&self, spec: Option<&Spec>, closure: &Closure, common: &Common) -> Result<Settings> {
        let (Some(spec), Some(path)) = (spec, &self.spec) else {
            return self.settings(closure, self.limit_of_plan()?, common);
        };
        let base = self.base.open(Some(spec), common)?;
        let strategy = match self.strategy.strategy()? {
            Some(strategy) => strategy,
            None => strategy_of(spec, &path.display().to_string())?,
        };
        let store = Store::new(closure.graph.first().map_or("/nix/store", |info| info.path.store_dir()), "/")?;
        let settings = settings(spec, strategy, base.as_ref(), &store)?;
        Ok(self.plan.options().over(Settings {
            limit: self.limit()?.unwrap_or(settings.limit),
            exclude: self.exclude(),
            rates: self.rates.as_deref().map(Rates::read).transpose()?.unwrap_or_default(),
            ..settings
        })?)
    }

    /// The closure's file.
    fn closure(&self) -> Result<PathBuf> {
        self.closure_if_given()?.ok_or_else(|| missing("<CLOSURE.JSON>..."))
    }

    fn closure_if_given(&self) -> Result<Option<PathBuf>> {
        self.strategy.only_input(NAME, &self.closures)
    }

    /// How many layers a plan may have.
    fn limit_of_plan(&self) -> Result<NonZeroUsize> {
        match self.limit()? {
            None if self.strategy.is_pipeline() || self.question.has_plan() => Ok(NonZeroUsize::MAX),
            limit => limit.ok_or_else(|| missing("--max-layers <N>")),
        }
    }

    /// What the flags say, for a closure.
    fn settings(&self, closure: &Closure, limit: NonZeroUsize, common: &Common) -> Result<Settings> {
        Ok(self.plan.options().over(Settings {
            strategy: self.strategy.strategy()?.unwrap_or_default(),
            base: self.base(closure, common)?,
            exclude: self.exclude(),
            rates: self.rates.as_deref().map(Rates::read).transpose()?.unwrap_or_default(),
            ..Settings::new(limit)
        })?)
    }

    fn limit(&self) -> Result<Option<NonZeroUsize>> {
        let limit = |number| NonZeroUsize::new(number).context("--max-layers: found 0, expected 1 or more");
        self.max_layers.map(limit).transpose()
    }

    fn exclude(&self) -> BTreeSet<StorePath> {
        self.exclude.iter().cloned().collect()
    }

    /// What the base image holds of the store that the closure is in.
    fn base(&self, closure: &Closure, common: &Common) -> Result<PlanBase> {
        let Some(base) = self.base.open(None, common)? else { return Ok(PlanBase::default()) };
        let store = closure.graph.first().map_or("/nix/store", |info| info.path.store_dir());
        let held = base.held(store)?;
        Ok(PlanBase { layers: held.layers.len(), paths: held.paths.into_keys().collect() })
    }
}

/// The error for an argument that is needed, in clap's words.
fn missing(argument: &str) -> anyhow::Error {
    let message = format!("the following required arguments were not provided:\n  {argument}");
    usage_error(NAME, ErrorKind::MissingRequiredArgument, message)
}
