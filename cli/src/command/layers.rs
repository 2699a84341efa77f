//! `layerstone layers`: closure to plan, and what can be said about plans.

mod limit;
pub mod question;
mod settings;
mod several;

use crate::args::Common;
use crate::args::base::StageBaseArgs;
use crate::args::below::BelowArgs;
use crate::args::path_word::PathWord;
use crate::args::plan::PlanArgs;
use crate::args::step::StepArgs;
use crate::args::strategy::{INPUTS, StrategyArgs};
use crate::overwrite::Files;
use anyhow::Result;
use clap::Args;
use layerstone_closure::Closure;
use layerstone_pipeline::{BuildStep, layer_files_of, plan_or_made};
use layerstone_spec::{Layering, Spec};
use limit::LayerLimitArgs;
use question::QuestionArgs;
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
    #[command(flatten)]
    limit: LayerLimitArgs,
    /// Image spec to take maxLayers, strategy, minLayerSize and base from, where no flag says them
    #[arg(long, value_name = "IMAGE.JSON")]
    spec: Option<PathBuf>,
    /// Store path, or pattern of names, to leave out of all layers
    #[arg(long, value_name = "PATH|PATTERN", value_parser = PathWord::parse)]
    exclude: Vec<PathWord>,
    #[command(flatten)]
    plan: PlanArgs,
    /// Plan to write; for several closures the directory that receives NAME.layers.json for each NAME.closure.json
    #[arg(short, long, value_name = "LAYERS.JSON", default_value = "-")]
    output: PathBuf,
    #[command(flatten)]
    question: QuestionArgs,
    // Their layers are taken off the limit, and their store paths are left out.
    #[command(flatten)]
    base: StageBaseArgs,
    #[command(flatten)]
    below: BelowArgs,
    #[command(flatten)]
    step: StepArgs,
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
    let mut step = options.step.begin(&[&options.output])?;
    let closure = Closure::read(&file)?;
    let settings = options.settings_of_plan(spec.as_ref(), &closure, common)?;
    let made = spec.as_ref().and_then(|spec| spec.plan.as_deref());
    let planned = common.report().stage("plan", || plan_or_made(made, &closure, &settings))?;
    planned.with_hashes_of(&closure).write(&options.output)?;
    step.file(file);
    options.note_inputs(spec.as_ref(), &mut step);
    Ok(step.finish()?)
}

impl Options {
    /// Files that are read besides closures and the spec.
    fn inputs(&self, spec: Option<&Spec>) -> Vec<PathBuf> {
        let flags = self.strategy.file().cloned().into_iter().chain(self.plan.files());
        let below = self.below.files().into_iter().map(|file| file.path);
        flags.chain(self.base.files(spec)).chain(below).collect()
    }

    /// What is read and written besides closures and plans.
    fn files(&self, spec: Option<&Spec>) -> Files {
        let files = Files::default().reads(self.inputs(spec)).writes(&self.step.depfile);
        files.reads_spec(self.spec.as_deref(), spec)
    }

    /// Notes what was read besides closures.
    fn note_inputs(&self, spec: Option<&Spec>, step: &mut BuildStep) {
        step.files(&self.inputs(spec));
        step.files(&self.spec);
        if let Some(Layering::PipelineFile(file)) = spec.and_then(|spec| spec.layering.as_ref()) {
            step.file(file);
        }
        spec.iter().flat_map(|spec| layer_files_of(&spec.layers)).flatten().for_each(|file| step.file(file.path));
    }

    /// The closure's file.
    fn closure(&self) -> Result<PathBuf> {
        self.closure_if_given()?.ok_or_else(|| settings::missing("<CLOSURE.JSON>..."))
    }

    fn closure_if_given(&self) -> Result<Option<PathBuf>> {
        self.strategy.only_input(NAME, &self.closures)
    }
}
