//! `layerstone rates`: how often paths change, counted over images that follow each other, as a file of rates.

use super::inspect::is_stage_file;
use crate::args::Common;
use crate::args::platform::PlatformArgs;
use crate::args::read::{ReadArgs, parse_place};
use crate::args::step::StepArgs;
use crate::overwrite::Files;
use crate::screen::table::counted;
use anyhow::Result;
use clap::Args;
use layerstone_closure::Closure;
use layerstone_layering::{ChangeCount, Contents, Plan};
use layerstone_oci::Place;
use layerstone_pipeline::PreviousImages;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

/// Count how often paths change by themselves, and write it as rates
///
/// A path has changed if one of another version has taken its place, or one of other contents while nothing that it refers to
/// was replaced. That is known of closures; plans and images do not tell references, and of them versions alone count.
///
/// Without --from, the rates that `--rates builtin` means: how often Debian's packages were updated.
#[derive(Args)]
pub struct Options {
    /// The states to compare, the oldest first, two or more: closures, references graphs, plans, or images
    /// (FILE[#NAME:TAG], oci:DIR, registry:REF, or any other place)
    #[arg(long, value_name = "PLACE", num_args = 2..)]
    from: Vec<OsString>,
    /// Rates to add the changes to
    #[arg(long, value_name = "RATES.JSON", requires = "from")]
    add: Option<PathBuf>,
    /// File to write
    #[arg(short, long, value_name = "RATES.JSON", default_value = "-")]
    output: PathBuf,
    /// The store directory of images
    #[arg(long, value_name = "DIR", default_value = "/nix/store")]
    store: String,
    #[command(flatten)]
    platform: PlatformArgs,
    #[command(flatten)]
    read: ReadArgs,
    #[command(flatten)]
    step: StepArgs,
}

pub fn run(options: &Options, common: &Common) -> Result<()> {
    let states = options.from.iter().map(|text| State::parse(text)).collect::<Result<Vec<_>>>()?;
    let inputs: Vec<&Path> = states.iter().filter_map(State::path).chain(options.add.as_deref()).collect();
    let files = Files::default().reads(&inputs).reads(options.read.files());
    files.writes([&options.output]).writes(&options.step.depfile).check()?;
    let mut step = options.step.begin(&[&options.output])?;
    let registries = options.read.registries(common);
    let opener = options.read.opener(&registries, common);
    let wanted = options.platform.of_image();
    let images = PreviousImages { replaced: None, store_dir: &options.store, wanted, opener };
    let mut count = match &options.add {
        Some(file) => ChangeCount::read(file)?,
        None if states.is_empty() => ChangeCount::builtin(),
        None => ChangeCount::default(),
    };
    let (mut before, mut changes) = (None, 0);
    for state in &states {
        let contents = state.contents(&images)?;
        changes += before.as_ref().map_or(0, |before| count.count(before, &contents));
        before = Some(contents);
    }
    count.write(&options.output)?;
    if let Some(updates @ 1..) = states.len().checked_sub(1) {
        common.report().notice(&format!("{} in {}", counted(changes, "change"), counted(updates, "update")));
    }
    inputs.iter().for_each(|input| step.file(input.to_path_buf()));
    Ok(step.finish()?)
}

/// What an image held at a time.
enum State {
    Closure(PathBuf),
    Plan(PathBuf),
    Image(Place),
}

impl State {
    fn parse(text: &OsStr) -> Result<State> {
        let place = parse_place(text)?;
        if let Place::File(location) = &place
            && location.reference().is_none()
            && let Some(is_plan) = is_stage_file(&location.path)?
        {
            let path = location.path.clone();
            return Ok(if is_plan { State::Plan(path) } else { State::Closure(path) });
        }
        Ok(State::Image(place))
    }

    /// The file or directory that is read, if it is one.
    fn path(&self) -> Option<&Path> {
        match self {
            State::Closure(path) | State::Plan(path) => Some(path),
            State::Image(place) => place.path(),
        }
    }

    fn contents(&self, images: &PreviousImages<'_>) -> Result<Contents> {
        Ok(match self {
            State::Closure(path) => Contents::from(&Closure::read(path)?),
            State::Plan(path) => Contents::from(&Plan::read(path)?),
            State::Image(place) => Contents::from(&images.plan(place)?),
        })
    }
}
