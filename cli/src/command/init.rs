//! `layerstone init`: an image.json to begin with.

mod draft;

use crate::args::Common;
use crate::args::store::StoreArgs;
use crate::overwrite::Files;
use anyhow::{Result, bail};
use clap::Args;
use draft::Draft;
use layerstone_pipeline::{Below, check_spec, libraries};
use layerstone_spec::Spec;
use layerstone_store::{Limits, Store, write_text};
use std::path::{Path, PathBuf};

/// Write an image.json to begin with, which `build` takes as it is
///
/// FROM is a program, a directory or a tar, which is copied into the image, or a store path or a link to one, such as
/// ./result, whose contents are put there. A program becomes the command of the image; so does the program that is called
/// like a package. What programs need of this machine is copied too. Without FROM the image is empty.
#[derive(Args)]
pub struct Options {
    /// A program, a directory, a tar, a store path, or a link to one
    #[arg(value_name = "FROM")]
    from: Option<PathBuf>,
    /// Where to write it, - for stdout
    #[arg(short, long, value_name = "IMAGE.JSON", default_value = "image.json")]
    output: PathBuf,
    /// What the image is called [default: what FROM is called, or the current directory]
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// Command to run, one word for each --cmd
    #[arg(long, value_name = "WORD", allow_hyphen_values = true)]
    cmd: Vec<String>,
    /// Replace an existing file
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    store: StoreArgs,
}

pub fn run(options: &Options, common: &Common) -> Result<()> {
    let (output, store) = (options.output.as_path(), options.store.store()?);
    // A directory may hold the image.json that it is described by.
    let file = options.from.as_ref().filter(|from| !from.is_dir());
    Files::of(&store).reads(file).writes([output]).check()?;
    if !options.force && output != Path::new("-") && output.symlink_metadata().is_ok() {
        bail!("cannot write: {}: it exists, expected another file, or --force with it", output.display());
    }
    let mut draft = Draft::of(options.from.as_deref(), output, &store)?;
    if let Some(name) = &options.name {
        draft.name.clone_from(name);
    }
    if !options.cmd.is_empty() {
        draft.cmd.clone_from(&options.cmd);
    }
    draft.libraries = draft.copy.is_some();
    draft.libraries = draft.libraries && are_needed(&parsed(&draft, output)?, &store, common)?;
    parsed(&draft, output)?;
    Ok(write_text(output, &draft.text())?)
}

/// The spec of a draft, as `build` reads it.
fn parsed(draft: &Draft, output: &Path) -> Result<Spec> {
    let directory = output.parent().unwrap_or(Path::new(""));
    let spec = Spec::parse(draft.text().as_bytes(), &output.display().to_string(), directory)?;
    check_spec(&spec)?;
    Ok(spec)
}

/// Whether what is copied needs something else of this machine that is there.
fn are_needed(spec: &Spec, store: &Store, common: &Common) -> Result<bool> {
    let below = Below { base: None, tree: None };
    let found = libraries(spec, spec.layer_of_libraries().flatten(), below, store, Limits::default())?;
    for missing in &found.missing {
        let (by, what) = (missing.by.display(), missing.what.display());
        common.warn(format_args!("{by} needs {what}, which is not on this machine: the image would not run it"));
    }
    Ok(found.missing.is_empty() && !found.files.is_empty())
}
