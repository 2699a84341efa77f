//! `layerstone inspect`: what a stage file or an image is, and what two images differ in.

mod diff;

use crate::args::Common;
use crate::base_args::UnpackingArgs;
use crate::out::print;
use crate::platform_args::PlatformArgs;
use crate::table::{Table, size};
use anyhow::{Context, Result};
use clap::{ArgAction, Args};
use layerstone_closure::{Closure, ReferencesGraph};
use layerstone_image::{ArchiveSummary, ArtifactSummary, ImageSummary};
use layerstone_layer::LayerFile;
use layerstone_layering::Plan;
use layerstone_oci::{Location, Wanted};
use layerstone_spec::{ImageKind, References, Spec};
use layerstone_store::StorePath;
use serde_json::Value;
use std::ffi::OsString;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

const USAGE: &str = "\
layerstone inspect [--json] <FILE[#NAME:TAG]>
       layerstone inspect --diff <OLD[#NAME:TAG]> <NEW[#NAME:TAG]> [--store <DIR>] [--json]";

/// Show what a stage file or an image is, or what two images differ in
#[derive(Args)]
#[command(override_usage = USAGE)]
pub struct Options {
    /// Closure, plan, layer file, image spec, references graph, docker archive, OCI archive, or the directory of an OCI
    /// layout or of skopeo's dir:
    #[arg(value_name = "FILE[#NAME:TAG]", required_unless_present = "diff")]
    file: Option<PathBuf>,
    /// Show which layers of NEW whoever has OLD must still receive, and the store paths that were added, removed and
    /// changed by name
    #[arg(long, num_args = 2, action = ArgAction::Set, value_names = ["OLD[#NAME:TAG]", "NEW[#NAME:TAG]"], conflicts_with = "file")]
    diff: Vec<OsString>,
    /// The store directory of the images
    #[arg(long, value_name = "DIR", default_value = "/nix/store", requires = "diff", conflicts_with = "file")]
    store: String,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    platform: PlatformArgs,
    #[command(flatten)]
    unpacking: UnpackingArgs,
}

impl Options {
    /// The platform of an image to look into.
    fn wanted(&self) -> Wanted {
        let wanted = self.platform.wanted();
        if wanted.is_named() { wanted } else { wanted.of_base() }
    }
}

pub fn run(options: &Options, common: &Common) -> Result<()> {
    if let [old, new] = &options.diff[..] {
        let [old, new] = [old, new].map(|image| Location::parse(image));
        return diff::run(&old, &new, options, common);
    }
    let path = options.file.as_deref().context("no file: expected FILE")?;
    let location = Location::parse(path.as_os_str());
    if location.reference().is_some() {
        return print(one_image(&location, options, common)?);
    }
    let path = &*location.path;
    let wanted = options.platform.wanted();
    let text = match kind_of(path)? {
        Kind::Archive if wanted.is_named() => one_image(&location, options, common)?,
        Kind::Archive => archive(path, options, common)?,
        Kind::Registration => closure(&ReferencesGraph::read(path)?.closure(&[])?, options.json)?,
        Kind::Json(value) => match value.get("format").and_then(Value::as_str) {
            Some(layerstone_layering::PLAN_FORMAT) => plan(&Plan::read(path)?, options.json)?,
            Some(layerstone_layer::LAYER_FORMAT) => layer(&LayerFile::read(path)?, options.json)?,
            Some(layerstone_spec::SPEC_FORMAT) => spec(path, &value, options.json)?,
            None if is_plan(&value) => plan(&Plan::read(path)?, options.json)?,
            None if value.get("name").is_some() => spec(path, &value, options.json)?,
            _ => closure(&Closure::read(path)?, options.json)?,
        },
    };
    print(text)
}

enum Kind {
    Json(Value),
    Registration,
    Archive,
}

/// Told by the first byte that is not white space.
fn kind_of(path: &Path) -> Result<Kind> {
    let context = || format!("cannot read: {}", path.display());
    if path.is_dir() {
        return Ok(Kind::Archive);
    }
    let mut head = [0; 64];
    let count = File::open(path).and_then(|mut file| file.read(&mut head)).with_context(context)?;
    Ok(match head[..count].iter().find(|byte| !byte.is_ascii_whitespace()) {
        Some(b'{' | b'[') => {
            let bytes = std::fs::read(path).with_context(context)?;
            Kind::Json(serde_json::from_slice(&bytes).with_context(|| format!("not JSON: {}", path.display()))?)
        }
        // A tar of nixpkgs' store layers begins with a slash too, and has NULs behind the first name.
        Some(b'/') if !head.contains(&0) => Kind::Registration,
        _ => Kind::Archive,
    })
}

/// A bare list of lists.
fn is_plan(value: &Value) -> bool {
    value.get(0).is_some_and(Value::is_array)
}

fn json(value: &impl serde::Serialize) -> Result<String> {
    Ok(serde_json::to_string_pretty(value)? + "\n")
}

fn closure(closure: &Closure, as_json: bool) -> Result<String> {
    if as_json {
        return json(closure);
    }
    let mut table = Table::new(&["NAR size", "references", "path"], &[0, 1]);
    for info in &closure.graph {
        let nar_size = info.nar_size.map(size).unwrap_or_default();
        table.row(vec![nar_size, info.references.len().to_string(), info.path.to_string()]);
    }
    let total = closure.graph.iter().filter_map(|info| info.nar_size).fold(0, u64::saturating_add);
    Ok(format!("closure of {} paths, {} of NARs\n\n{table}", closure.graph.len(), size(total)))
}

fn plan(plan: &Plan, as_json: bool) -> Result<String> {
    if as_json {
        return json(plan);
    }
    let mut table = Table::new(&["layer", "paths", "first path"], &[0, 1]);
    for (index, paths) in plan.layers.iter().enumerate() {
        let first = paths.first().map(StorePath::as_str).unwrap_or_default();
        table.row(vec![index.to_string(), paths.len().to_string(), first.to_owned()]);
    }
    let paths: usize = plan.layers.iter().map(Vec::len).sum();
    Ok(format!("plan of {} layers with {paths} paths\n\n{table}", plan.layers.len()))
}

fn layer(layer: &LayerFile, as_json: bool) -> Result<String> {
    if as_json {
        return json(layer);
    }
    let mut text = format!("layer of {} ({} bytes)\n\n", size(layer.size), layer.size);
    text.push_str(&format!("diff ID  {}\n", layer.diff_id));
    if let Some(tarsum) = &layer.tarsum {
        text.push_str(&format!("tarsum   {tarsum}\n"));
    }
    match (&layer.blob, &layer.recipe) {
        (Some(blob), _) => text.push_str(&format!("blob     {blob}\n")),
        (None, Some(recipe)) => {
            let owner = &recipe.owner;
            text.push_str(&format!(
                "recipe   {} of {}, mtime {}, owner {}:{} {}:{}\n",
                recipe.paths.len(),
                recipe.store,
                recipe.mtime,
                owner.uid,
                owner.gid,
                owner.uname,
                owner.gname
            ));
        }
        (None, None) => {}
    }
    for (title, paths) in [("holds", &layer.store_paths), ("refers to", &layer.references)] {
        if !paths.is_empty() {
            text.push_str(&format!("\n{title}\n"));
            text.extend(paths.iter().map(|path| format!("  {path}\n")));
        }
    }
    Ok(text)
}

fn spec(path: &Path, value: &Value, as_json: bool) -> Result<String> {
    let spec = Spec::read(path)?;
    if as_json {
        return json(value);
    }
    let mut text = format!("image spec of {}\n\n", spec.reference()?.name());
    if let Some(architecture) = &spec.architecture {
        text.push_str(&format!("architecture  {architecture}\n"));
    }
    match spec.kind {
        ImageKind::Layered => text.push_str(&format!("maxLayers     {}\n", spec.max_layers)),
        ImageKind::Single => text.push_str("kind          single\n"),
    }
    if let Some(base) = &spec.from_image {
        text.push_str(&format!("fromImage     {base}\n"));
    }
    text.extend(spec.contents.iter().map(|path| format!("contents      {}\n", path.display())));
    match &spec.references {
        Some(References::Graphs(paths)) => {
            text.extend(paths.iter().map(|path| format!("graph         {}\n", path.display())));
        }
        Some(References::Database(path)) => text.push_str(&format!("db            {}\n", path.display())),
        Some(References::Scan) | None => {}
    }
    text.push_str(&format!("\nconfig {}", json(&spec.config)?));
    Ok(text)
}

fn archive(path: &Path, options: &Options, common: &Common) -> Result<String> {
    let summary = ArchiveSummary::of(&options.unpacking.open_file(path, common)?)?;
    if options.json {
        return json(&summary);
    }
    let mut texts = summary.images.iter().map(image).collect::<Result<Vec<_>>>()?;
    texts.extend(summary.artifacts.iter().map(artifact));
    Ok(texts.join("\n"))
}

fn artifact(artifact: &ArtifactSummary) -> String {
    let ArtifactSummary { artifact_type, digest, repo_tags, subject } = artifact;
    let names = if repo_tags.is_empty() { "no name".to_owned() } else { repo_tags.join(", ") };
    let subject = subject.map(|subject| format!("about     {subject}\n")).unwrap_or_default();
    format!("artifact {names}\n\ntype      {artifact_type}\nmanifest  {digest}\n{subject}")
}

/// One image of several.
fn one_image(location: &Location, options: &Options, common: &Common) -> Result<String> {
    let found = options.unpacking.open_file(&location.path, common)?.image(location, &options.wanted())?;
    let summary = ImageSummary::of(&found)?;
    if options.json { json(&summary) } else { image(&summary) }
}

fn image(image: &ImageSummary) -> Result<String> {
    let mut table = Table::new(&["layer", "size", "diff ID", "holds"], &[0, 1]);
    for (index, layer) in image.layers.iter().enumerate() {
        let comment = layer.comment.clone().unwrap_or_default();
        table.row(vec![index.to_string(), size(layer.size), layer.diff_id.to_string(), shortened(&comment)]);
    }
    let total = image.layers.iter().map(|layer| layer.size).fold(0, u64::saturating_add);
    let names = if image.repo_tags.is_empty() { "no name".to_owned() } else { image.repo_tags.join(", ") };
    let config = image.config.get("config").unwrap_or(&Value::Null);
    Ok(format!(
        "image {names}\n\nimage ID  {}\nlayers    {}, {}\n\n{table}\nconfig {}",
        image.image_id,
        image.layers.len(),
        size(total),
        json(config)?
    ))
}

/// At most so many characters of a history comment.
fn shortened(comment: &str) -> String {
    const WIDTH: usize = 100;
    if comment.chars().count() <= WIDTH {
        return comment.to_owned();
    }
    comment.chars().take(WIDTH - 1).chain(['…']).collect()
}
