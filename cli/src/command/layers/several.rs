//! `layerstone layers A B …`: several closures to a plan each, in one directory.

use super::settings::missing;
use super::{NAME, Options};
use crate::args::Common;
use crate::message::usage_error::usage_error;
use anyhow::{Context, Result};
use clap::error::ErrorKind;
use layerstone_closure::Closure;
use layerstone_layering::plans;
use layerstone_pipeline::make_directory;
use layerstone_store::Output;
use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// What the names of closure files end in; the first one that fits is taken off.
const ENDINGS: [&str; 2] = [".closure.json", ".json"];

/// Plans all closures together and writes `NAME.layers.json` for each into the output directory, all or none.
pub fn run(files: &[PathBuf], options: &Options, common: &Common) -> Result<()> {
    let directory = Some(&options.output).filter(|output| output.as_os_str() != "-");
    let directory = directory.ok_or_else(|| missing("--output <FOLDER>, for the plans of several closures"))?;
    let outputs = outputs(files, directory)?;
    let names = outputs.iter().filter_map(|path| path.file_name());
    options.files(None).reads(files).adds_to(directory, names).check()?;
    let limit = options.limit_of_plan()?;
    let closures: Vec<Closure> = files.iter().map(|file| Closure::read(file)).collect::<Result<_, _>>()?;
    let first = closures.iter().find(|closure| !closure.graph.is_empty()).or(closures.first());
    let settings = options.settings_of_all(&closures, first.context("no closure")?, limit, common)?;
    let plans = plans(&closures, &settings)?;
    let plans = plans.into_iter().zip(&closures).map(|(plan, closure)| plan.with_hashes_of(closure));
    let mut made = make_directory(directory)?;
    let mut step = options.step.begin(&outputs)?;
    let mut files_of_plans = Output::create_all_below(made.directory(), &outputs)?;
    plans.zip(&mut files_of_plans).try_for_each(|(plan, output)| plan.fill(output))?;
    Output::commit_all(files_of_plans)?;
    made.keep();
    step.files(files);
    options.note_inputs(None, &mut step);
    Ok(step.finish()?)
}

/// The plan's file for each closure.
fn outputs(closures: &[PathBuf], directory: &Path) -> Result<Vec<PathBuf>> {
    let mut taken: BTreeMap<PathBuf, &Path> = BTreeMap::new();
    let mut outputs = Vec::with_capacity(closures.len());
    for closure in closures {
        let mut name = stem(closure.file_name().unwrap_or_default());
        name.push(".layers.json");
        let output = directory.join(name);
        if let Some(other) = taken.insert(output.clone(), closure) {
            let (other, own) = (other.display(), closure.display());
            let message = format!("two closures for one plan {}: {other} and {own}", output.display());
            return Err(usage_error(NAME, ErrorKind::ValueValidation, message));
        }
        outputs.push(output);
    }
    Ok(outputs)
}

/// A closure file's name without its ending.
fn stem(name: &OsStr) -> OsString {
    let bytes = name.as_bytes();
    let stem = ENDINGS.iter().find_map(|ending| bytes.strip_suffix(ending.as_bytes())).unwrap_or(bytes);
    OsStr::from_bytes(stem).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(closures: &[&str], expected: &[&str]) {
        let closures: Vec<PathBuf> = closures.iter().map(PathBuf::from).collect();
        let expected: Vec<PathBuf> = expected.iter().map(PathBuf::from).collect();
        assert_eq!(outputs(&closures, Path::new("out")).unwrap(), expected);
    }

    #[test]
    fn a_plan_is_called_as_its_closure() {
        check(&["a.closure.json", "x/b.json"], &["out/a.layers.json", "out/b.layers.json"]);
        check(&["graph", "graph.txt"], &["out/graph.layers.json", "out/graph.txt.layers.json"]);
    }
}
