//! What images and artifacts are, as text.

use super::Options;
use crate::out::json;
use crate::table::{Table, size};
use anyhow::Result;
use layerstone_image::{ArchiveSummary, Artifact, ImageFile, ImageSummary};
use layerstone_oci::Place;
use layerstone_pipeline::{Opener, remote_image};
use serde_json::Value;

/// All images of a file or directory.
pub fn all(file: &ImageFile, options: &Options) -> Result<String> {
    let summary = ArchiveSummary::of(file)?;
    if options.json {
        return json(&summary);
    }
    let mut texts = summary.images.iter().map(image).collect::<Result<Vec<_>>>()?;
    texts.extend(summary.artifacts.iter().map(artifact));
    Ok(texts.join("\n"))
}

fn artifact(artifact: &Artifact) -> String {
    let Artifact { artifact_type, digest, repo_tags, subject } = artifact;
    let names = if repo_tags.is_empty() { "no name".to_owned() } else { repo_tags.join(", ") };
    let subject = subject.map(|subject| format!("about     {subject}\n")).unwrap_or_default();
    format!("artifact {names}\n\ntype      {artifact_type}\nmanifest  {digest}\n{subject}")
}

/// One image, wherever it is; of a registry only its manifest and its config are fetched.
pub fn one(place: &Place, options: &Options, opener: &Opener<'_>) -> Result<String> {
    if let Place::Registry(reference) = place {
        let remote = remote_image(reference, &options.platform.wanted(), opener.registries)?;
        let name = remote.name().to_string();
        return text(&ImageSummary::of_manifest(&remote.manifest.manifest, &remote.config, &name)?, options);
    }
    text(&ImageSummary::of(&opener.open(place, &options.platform.of_image())?.image()?)?, options)
}

/// One image, as flags want it.
pub fn text(summary: &ImageSummary, options: &Options) -> Result<String> {
    if options.json { json(summary) } else { image(summary) }
}

fn image(image: &ImageSummary) -> Result<String> {
    let mut table = Table::new(&["layer", "size", "diff ID", "holds"], &[0, 1]);
    for (index, layer) in image.layers.iter().enumerate() {
        let comment = layer.comment.clone().unwrap_or_default();
        table.row(vec![index.to_string(), size(layer.size), layer.diff_id.to_string(), shortened(&comment)]);
    }
    let total = image.layers.iter().map(|layer| layer.size).fold(0, u64::saturating_add);
    // In a layout an image has its name, and its tag alone.
    let is_said = |tag: &String| image.repo_tags.iter().any(|name| name.ends_with(&format!(":{tag}")));
    let names: Vec<&str> = image.repo_tags.iter().filter(|name| !is_said(name)).map(String::as_str).collect();
    let names = if names.is_empty() { "no name".to_owned() } else { names.join(", ") };
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
pub fn shortened(comment: &str) -> String {
    const WIDTH: usize = 100;
    if comment.chars().count() <= WIDTH {
        return comment.to_owned();
    }
    comment.chars().take(WIDTH - 1).chain(['…']).collect()
}
