//! `layerstone ninja` and `layerstone make`: the stages of an image as rules of a build tool.

mod plan;
mod program;
mod rules_args;

use crate::args::Common;
use crate::args::registry::ConnectArgs;
use crate::overwrite::Files;
use crate::screen::out;
use anyhow::{Result, bail};
use clap::Args;
use layerstone_oci::{Place, Wanted};
use layerstone_pipeline::build_graph::{BuildGraph, GraphInput, make as make_rules, ninja as ninja_rules};
use layerstone_pipeline::{
    BuildStep, CompressionChoice, ImageTarget, ReferenceSource, StepOptions, remote_image, root_script,
};
use layerstone_spec::Spec;
use layerstone_store::{Limits, Store, StorePath, write_whole};
use program::this_program;
use rules_args::RulesArgs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// Write an image's stages as a build.ninja
///
/// There is an edge for each stage and each layer.
/// ninja runs what is new: the graph is written again when the plan changes, and layers are called after what is in them,
/// so that one changed store path makes one layer and the image again.
#[derive(Args)]
pub struct NinjaOptions {
    #[command(flatten)]
    rules: RulesArgs,
    /// File to write
    #[arg(short, long, value_name = "FILE", default_value = "build.ninja")]
    output: PathBuf,
}

/// Write an image's stages as rules of GNU make
///
/// There is a rule for each stage and each layer.
/// `make -f image.mk` makes the image; another makefile may include it. It is written again when the plan changes.
#[derive(Args)]
pub struct MakeOptions {
    #[command(flatten)]
    rules: RulesArgs,
    /// File to write
    #[arg(short, long, value_name = "FILE", default_value = "image.mk")]
    output: PathBuf,
}

pub fn ninja(options: &NinjaOptions, common: &Common) -> Result<()> {
    options.rules.write("ninja", &options.output, ninja_rules::text, true, common)
}

pub fn make(options: &MakeOptions, common: &Common) -> Result<()> {
    options.rules.write("make", &options.output, make_rules::text, false, common)
}

/// What writes a graph.
type Writer = fn(&GraphInput<'_>, &BuildGraph) -> layerstone_pipeline::Result<Vec<u8>>;

impl RulesArgs {
    fn write(&self, command: &str, output: &Path, text: Writer, restat: bool, common: &Common) -> Result<()> {
        if self.spec() == Path::new("-") {
            bail!("no file: -: expected IMAGE.JSON, which is read again whenever it changes");
        }
        let specs = Spec::read_all(self.spec())?;
        let [spec] = &specs[..] else {
            bail!("{}: found {} architectures, expected one", self.spec().display(), specs.len());
        };
        layerstone_pipeline::check_spec(spec)?;
        let store = self.store.store()?;
        let target = match &self.image {
            Some(target) => ImageTarget::parse(target)?,
            None => ImageTarget::Archive(format!("{}.tar.gz", spec.name.replace('/', "-")).into()),
        };
        let input = GraphInput {
            spec,
            file: self.spec(),
            store: &store,
            target: &target,
            directory: &self.directory,
            program: self.program.as_ref().map_or_else(this_program, |it| it.as_bytes().to_vec()),
            is_ours: self.program.is_none(),
            stages: &self.stage,
            store_flags: self.store.words(),
            base: pinned_base(spec, common)?,
            previous: self.previous.as_deref(),
            mentioned: mentioned(spec, &store)?,
            again: self.words(command, output),
            graph: output,
        };
        self.check_files(&input, output)?;
        let plan = self.plan(spec, common)?;
        let graph = input.graph(plan.as_ref())?;
        let text = text(&input, &graph)?;
        if output == Path::new("-") {
            return out::write(&text);
        }
        let options = StepOptions { restat, ..StepOptions::default() };
        let step = BuildStep::begin(options, &[output])?;
        write_whole(output, &text)?;
        Ok(step.finish()?)
    }

    /// Refuses rules that would write over what they are written from, or over each other.
    fn check_files(&self, input: &GraphInput<'_>, output: &Path) -> Result<()> {
        input.target.compression(&CompressionChoice::default())?;
        input.check_target()?;
        // Without a plan all rules can be made but those of the layers, which are named after their contents.
        let graph = input.graph(None)?;
        let made = graph.rules.iter().filter(|rule| rule.stage != "image").flat_map(|rule| &rule.outputs);
        let files = Files::of(input.store).reads_spec(Some(input.file), input.spec).reads(&self.previous);
        files.writes(made).writes_to(input.target).writes([output]).check()
    }
}

/// The base of a spec with its digest, so that all stages build on one image, if a registry has it and the spec does not
/// say which digest.
fn pinned_base(spec: &Spec, common: &Common) -> Result<Option<Place>> {
    let Some(Place::Registry(reference)) = spec.from_image.as_ref() else { return Ok(None) };
    if reference.digest().is_some() {
        return Ok(None);
    }
    let wanted = Wanted::new(None, spec.architecture.as_deref(), spec.variant.as_deref()).of_base();
    let remote = remote_image(reference, &wanted, &ConnectArgs::default().registries(Limits::default(), common))?;
    Ok(Some(Place::Registry(reference.tagged().with_digest(remote.digest))))
}

/// The store paths that the root script names.
fn mentioned(spec: &Spec, store: &Store) -> Result<Vec<StorePath>> {
    let Some(script) = &spec.run_as_root else { return Ok(Vec::new()) };
    let text = root_script::text(script)?;
    Ok(ReferenceSource::of_spec(spec, store)?.mentioned(&text, store)?)
}
