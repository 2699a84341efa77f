//! `layerstone check-stage`: whether a program in the place of a stage wrote what the stage writes, for rules that run it.

use crate::args::{Common, StoreArgs};
use crate::base_args::{BaseArgs, UnpackingArgs};
use anyhow::{Context, Result, bail};
use clap::Args;
use layerstone_closure::Closure;
use layerstone_layer::{LayerFile, Progress};
use layerstone_layering::{Draft, Finding, check};
use layerstone_oci::{Location, Wanted};
use layerstone_pipeline::ImageTarget;
use layerstone_spec::{RootMode, Spec};
use layerstone_store::{Digest, StorePath};
use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// Check what a program in the place of a stage has written, as the rules of `ninja` and `make` do
#[derive(Args)]
#[command(hide = true)]
pub struct Options {
    /// The stage
    #[arg(value_name = "STAGE")]
    stage: String,
    /// What it wrote
    #[arg(value_name = "FILE", required = true)]
    outputs: Vec<PathBuf>,
    /// The command line in its place
    #[arg(long, value_name = "COMMAND")]
    command: OsString,
    /// The image spec that it was given
    #[arg(long, value_name = "IMAGE.JSON")]
    spec: Option<PathBuf>,
    /// The closure whose paths a plan must hold
    #[arg(long, value_name = "CLOSURE.JSON")]
    closure: Option<PathBuf>,
    /// Layer file of a layer that the image must have, the bottom one first
    #[arg(long, value_name = "LAYER.JSON")]
    layer: Vec<PathBuf>,
    /// Store path that a layer or a closure must hold
    #[arg(long, value_name = "PATH", value_parser = StorePath::parse)]
    path: Vec<StorePath>,
    /// Where the image is
    #[arg(long, value_name = "PLACE")]
    place: Option<OsString>,
    #[command(flatten)]
    unpacking: UnpackingArgs,
    #[command(flatten)]
    store: StoreArgs,
}

pub fn run(options: &Options, common: &Common) -> Result<()> {
    let told = || format!("the stage {} ({}) is no good", options.stage, options.command.display());
    options.outputs.iter().try_for_each(|output| is_written(output)).with_context(told)?;
    let output = &options.outputs[0];
    match options.stage.as_str() {
        "closure" => options.closure(output),
        "layers" => options.plan(output, common),
        "image" => options.image(common),
        "layer" => options.layer(output),
        _ => options.layer_file(output).map(drop),
    }
    .with_context(told)
}

/// Whether an output is a file. What else it may be would be waited for, or be read without end.
fn is_written(output: &Path) -> Result<()> {
    let metadata = output.metadata().with_context(|| format!("it has not written {}", output.display()))?;
    match metadata.is_file() {
        true => Ok(()),
        false => bail!("it has not written {}: found no regular file", output.display()),
    }
}

impl Options {
    fn closure(&self, output: &Path) -> Result<()> {
        let closure = Closure::read(output)?;
        let paths: BTreeSet<&StorePath> = closure.graph.iter().map(|info| &info.path).collect();
        let mut wanted: Vec<StorePath> = self.path.clone();
        if let Some(spec) = self.spec.as_deref().map(Spec::read).transpose()?
            && spec.include_store_paths
            && spec.root_mode == RootMode::Links
        {
            let store = self.store.store()?;
            for path in &spec.contents {
                wanted.push(store.resolve(path)?);
            }
        }
        let references = closure.graph.iter().flat_map(|info| &info.references);
        match wanted.iter().chain(references).find(|path| !paths.contains(path)) {
            Some(path) => bail!("wrong closure: {}: found no {path}, expected it there", output.display()),
            None if paths.len() < closure.graph.len() => {
                bail!("wrong closure: {}: found a path twice, expected each once", output.display())
            }
            None => Ok(()),
        }
    }

    fn plan(&self, output: &Path, common: &Common) -> Result<()> {
        let draft = Draft::read(output)?;
        let mut faults = draft.findings(None);
        if let (true, Some(closure)) = (faults.is_empty(), &self.closure) {
            let closure = Closure::read(closure)?;
            let spec = self.spec.as_deref().map(Spec::read).transpose()?;
            let base = BaseArgs::default().open(spec.as_ref(), common)?;
            let dir = closure.graph.first().map_or("/nix/store", |info| info.path.store_dir());
            let held = base.map(|base| base.held(dir)).transpose()?.map(|held| held.paths).unwrap_or_default();
            // What the base holds may be left out, and need not be.
            let paths = closure.graph.iter().map(|info| &info.path).filter(|path| held.contains_key(*path));
            faults = check(&draft, &closure, &paths.cloned().collect(), None)?;
            faults.retain(|fault| !matches!(fault, Finding::Excluded { .. }));
        }
        match &faults[..] {
            [] => Ok(()),
            [fault] => bail!("wrong plan: {}: {fault}", output.display()),
            [fault, rest @ ..] => bail!("wrong plan: {}: {fault}, and {} more faults", output.display(), rest.len()),
        }
    }

    fn layer(&self, output: &Path) -> Result<()> {
        let layer = self.layer_file(output)?;
        let found: BTreeSet<&StorePath> = layer.store_paths.iter().collect();
        let wanted: BTreeSet<&StorePath> = self.path.iter().collect();
        if wanted.is_empty() || found.is_empty() {
            // A layer file need not tell them.
            return Ok(());
        }
        match (wanted.difference(&found).next(), found.difference(&wanted).next()) {
            (Some(path), _) => bail!("wrong layer: {}: found no {path}, expected it there", output.display()),
            (_, Some(path)) => bail!("wrong layer: {}: found {path}, expected it elsewhere", output.display()),
            _ if found.len() < layer.store_paths.len() => {
                bail!("wrong layer: {}: found a path twice, expected each once", output.display())
            }
            _ => Ok(()),
        }
    }

    /// A layer file whose blob is there. Its bytes are compared with its digest by whoever reads them.
    fn layer_file(&self, output: &Path) -> Result<LayerFile> {
        let layer = LayerFile::read(output)?;
        if let Some(blob) = layer.blob_path(output) {
            is_written(&blob)?;
            let (found, expected) = (blob.metadata().map(|it| it.len()).unwrap_or(0), layer.descriptor.size);
            if found != expected {
                bail!("wrong size: {}: found {found} bytes, expected {expected}", blob.display());
            }
        }
        Ok(layer)
    }

    /// An image that holds the layers, whose bytes are those of their diff IDs.
    fn image(&self, common: &Common) -> Result<()> {
        let place = self.place.as_deref().map(ImageTarget::parse).transpose()?;
        let path = place
            .as_ref()
            .and_then(ImageTarget::path)
            .context("no place: expected --place FILE, oci:DIR or the like")?;
        let image = self.unpacking.open(&Location::of(path), &Wanted::new(None, None, None).of_base(), common)?;
        image.check(&Progress::default())?;
        let wanted = self.layer.iter().map(|file| Ok(LayerFile::read(file)?.diff_id));
        let wanted: Vec<Digest> = wanted.collect::<Result<_>>()?;
        let found: Vec<Digest> = image.layers.iter().map(|layer| layer.diff_id).collect();
        if found.ends_with(&wanted) {
            return Ok(());
        }
        let (found, expected) = (found.len(), wanted.len());
        bail!("wrong image: {}: found {found} layers, expected the {expected} that it was given", path.display())
    }
}
