//! `layerstone ninja` and `layerstone make`: the stages of an image as rules of a build tool.

use crate::args::{Common, StoreArgs};
use crate::overwrite::Files;
use anyhow::{Context, Result, anyhow, bail};
use clap::Args;
use layerstone_layering::Plan;
use layerstone_pipeline::build_graph::{
    BuildGraph, GraphInput, make as make_rules, ninja as ninja_rules, plan_in, quoted,
};
use layerstone_pipeline::{BuildStep, CompressionChoice, ImageTarget, ReferenceSource, StepOptions, root_script};
use layerstone_spec::{ImageKind, Spec};
use layerstone_store::{Error, write_whole};
use std::ffi::OsString;
use std::fs;
use std::io::{self, Write};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

/// Stages that a program may take the place of.
const STAGES: [&str; 7] = ["root", "closure", "layers", "layer", "nix-db", "overlay run", "image"];

/// The file that is there while rules plan anew. If the new plan is of another version too, they would never end.
const ANEW: &str = "planned-anew";

/// Write an image's stages as a build.ninja, one edge a stage and a layer
///
/// ninja runs what is new: the graph is written again when the plan changes, and layers are called after what is in them,
/// so that one changed store path makes one layer and the image anew.
#[derive(Args)]
pub struct NinjaOptions {
    #[command(flatten)]
    wire: WireArgs,
    /// File to write
    #[arg(short, long, value_name = "FILE", default_value = "build.ninja")]
    output: PathBuf,
}

/// Write an image's stages as rules of GNU make, one a stage and a layer
///
/// `make -f image.mk` makes the image; another makefile may include it. It is written again when the plan changes.
#[derive(Args)]
pub struct MakeOptions {
    #[command(flatten)]
    wire: WireArgs,
    /// File to write
    #[arg(short, long, value_name = "FILE", default_value = "image.mk")]
    output: PathBuf,
}

#[derive(Args)]
struct WireArgs {
    /// Image spec
    #[arg(value_name = "IMAGE.JSON")]
    spec: PathBuf,
    /// Where the image goes: FILE, oci:DIR or oci-archive:FILE [default: the spec's name with .tar.gz behind]
    #[arg(long, value_name = "PLACE")]
    image: Option<OsString>,
    /// Folder for all files between
    #[arg(long, value_name = "DIR", default_value = "layerstone.build")]
    folder: PathBuf,
    /// Plan of the image before, whose layers are kept
    #[arg(long, value_name = "OLD.LAYERS.JSON")]
    previous: Option<PathBuf>,
    /// Command line in the place of `layerstone` for all stages, such as one that runs them elsewhere [default: this
    /// program]
    #[arg(long, value_name = "COMMAND", value_parser = parse_command)]
    program: Option<OsString>,
    /// Command line in the place of `layerstone STAGE`, which gets the same inputs and outputs; for `layer` -o FILE, flags,
    /// and the store paths instead of the plan
    #[arg(long, value_name = "STAGE=COMMAND", value_parser = parse_stage)]
    stage: Vec<(String, OsString)>,
    /// The rules run this: the plan must be there
    #[arg(long, hide = true)]
    planned: bool,
    #[command(flatten)]
    store: StoreArgs,
}

pub fn ninja(options: &NinjaOptions, common: &Common) -> Result<()> {
    options.wire.write("ninja", &options.output, ninja_rules::text, true, common)
}

pub fn make(options: &MakeOptions, common: &Common) -> Result<()> {
    options.wire.write("make", &options.output, make_rules::text, false, common)
}

/// `STAGE=COMMAND`.
fn parse_stage(text: &str) -> Result<(String, OsString), String> {
    let (stage, command) = text.split_once('=').ok_or("expected STAGE=COMMAND")?;
    if !STAGES.contains(&stage) {
        return Err(format!("found the stage {stage:?}, expected {}", STAGES.join(", ")));
    }
    Ok((stage.to_owned(), parse_command(command)?))
}

/// A command line.
fn parse_command(text: &str) -> Result<OsString, String> {
    match text.is_empty() || text.contains('\n') {
        true => Err("expected a command line of one line".to_owned()),
        false => Ok(text.into()),
    }
}

/// What writes a graph.
type Writer = fn(&GraphInput<'_>, &BuildGraph) -> layerstone_pipeline::Result<Vec<u8>>;

impl WireArgs {
    fn write(&self, command: &str, output: &Path, text: Writer, restat: bool, common: &Common) -> Result<()> {
        if self.spec == Path::new("-") {
            bail!("no file: -: expected IMAGE.JSON, which is read again whenever it changes");
        }
        let specs = Spec::read_all(&self.spec)?;
        let [spec] = &specs[..] else {
            bail!("{}: found {} architectures, expected one", self.spec.display(), specs.len());
        };
        layerstone_pipeline::check_spec(spec)?;
        spec.warnings().into_iter().for_each(|warning| common.warn(warning));
        let store = self.store.store()?;
        let place = match &self.image {
            Some(place) => ImageTarget::parse(place)?,
            None => ImageTarget::Archive(format!("{}.tar.gz", spec.name.replace('/', "-")).into()),
        };
        let wiring = GraphInput {
            spec,
            file: &self.spec,
            store: &store,
            place: &place,
            folder: &self.folder,
            program: self.program.as_ref().map_or_else(program, |it| it.as_bytes().to_vec()),
            is_ours: self.program.is_none(),
            stages: &self.stage,
            store_flags: self.store.words(),
            previous: self.previous.as_deref(),
            mentioned: self.mentioned(spec)?,
            again: self.words(command, output),
            graph: output,
        };
        self.check_files(&wiring, output)?;
        let plan = self.plan(spec, common)?;
        let graph = wiring.graph(plan.as_ref())?;
        let text = text(&wiring, &graph)?;
        if output == Path::new("-") {
            let mut out = std::io::stdout().lock();
            return out.write_all(&text).and_then(|()| out.flush()).context("cannot write: standard output");
        }
        let options = StepOptions { restat, ..StepOptions::default() };
        let edge = BuildStep::begin(options, &[output])?;
        write_whole(output, &text)?;
        Ok(edge.finish()?)
    }

    /// Refuses rules that would write over what they are written from, or over each other.
    fn check_files(&self, wiring: &GraphInput<'_>, output: &Path) -> Result<()> {
        wiring.place.packing(&CompressionChoice::default())?;
        wiring.check_place()?;
        // Without a plan all edges are there but those of the layers, which are called after what is in them.
        let graph = wiring.graph(None)?;
        let made = graph.edges.iter().filter(|edge| edge.stage != "image").flat_map(|edge| &edge.outputs);
        let files = Files::of(wiring.store).reads_spec(Some(wiring.file), wiring.spec).reads(&self.previous);
        files.writes(made).writes_to(wiring.place).writes([output]).check()
    }

    /// The plan, if there is one. One of another version is removed, so that it is made again.
    fn plan(&self, spec: &Spec, common: &Common) -> Result<Option<Plan>> {
        let file = plan_in(&self.folder);
        let command = || self.stage.iter().find(|(stage, _)| stage == "layers").map(|(_, command)| command.display());
        let command = || command().map_or_else(|| "layerstone layers".to_owned(), |command| command.to_string());
        if spec.kind == ImageKind::Single {
            return Ok(None);
        }
        match file.metadata() {
            Err(error) if error.kind() == io::ErrorKind::NotFound && self.planned => {
                bail!("no plan: {}: expected the one of the stage layers ({})", file.display(), command())
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error).with_context(|| format!("cannot read: {}", file.display())),
            Ok(metadata) if !metadata.is_file() => {
                bail!("wrong plan of the stage layers ({}): {}: found no regular file", command(), file.display())
            }
            Ok(_) => {}
        }
        let anew = self.folder.join(ANEW);
        match Plan::read(&file) {
            Ok(plan) => {
                // Most often it is not there.
                let _ = fs::remove_file(&anew);
                Ok(Some(plan))
            }
            Err(error) if is_of_another_version(&error) && !(self.planned && anew.exists()) => {
                common.warn(format_args!("planning anew: {error}"));
                if self.planned {
                    write_whole(&anew, b"")?;
                }
                fs::remove_file(&file).with_context(|| format!("cannot remove: {}", file.display()))?;
                Ok(None)
            }
            Err(error) => Err(anyhow!(error).context(format!(
                "wrong plan of the stage layers ({}), to be made again once {} is removed",
                command(),
                file.display()
            ))),
        }
    }

    /// The store paths that the root script names.
    fn mentioned(&self, spec: &Spec) -> Result<Vec<layerstone_store::StorePath>> {
        let Some(script) = &spec.run_as_root else { return Ok(Vec::new()) };
        let store = self.store.store()?;
        let text = root_script::text(script)?;
        Ok(ReferenceSource::of_spec(spec, &store)?.mentioned(&text, &store)?)
    }

    /// The words that write the same file again.
    fn words(&self, command: &str, output: &Path) -> Vec<OsString> {
        let mut words = vec![command.into(), self.spec.clone().into()];
        words.extend(self.image.iter().flat_map(|place| ["--image".into(), place.clone()]));
        words.extend(["--folder".into(), self.folder.clone().into()]);
        words.extend(self.previous.iter().flat_map(|plan| ["--previous".into(), plan.clone().into()]));
        words.extend(self.program.iter().flat_map(|program| ["--program".into(), program.clone()]));
        for (stage, program) in &self.stage {
            let told = [stage.as_bytes(), b"=", program.as_bytes()].concat();
            words.extend(["--stage".into(), OsString::from_vec(told)]);
        }
        words.extend(self.store.words());
        words.push("--planned".into());
        words.extend(["-o".into(), output.into()]);
        words
    }
}

/// Whether a file is a plan, but not of this version.
fn is_of_another_version(error: &Error) -> bool {
    let kind = |text: &str| text.split_once(" version ").map(|(format, _)| format.to_owned());
    matches!(error, Error::WrongFormat { found, expected, .. } if kind(found) == kind(expected))
}

/// The command line that runs this program again.
fn program() -> Vec<u8> {
    let called = std::env::args_os().next().unwrap_or_else(|| "layerstone".into());
    let absolute = std::path::absolute(&called).map(OsString::from);
    let is_path = called.as_bytes().contains(&b'/');
    quoted(&absolute.ok().filter(|_| is_path).unwrap_or(called))
}
