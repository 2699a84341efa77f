//! What images and artifacts are, as text.

use super::Options;
use crate::args::Common;
use crate::out::json;
use crate::table::{Table, size};
use anyhow::Result;
use layerstone_image::{ArchiveSummary, Artifact, ImageSummary};
use layerstone_oci::Location;
use serde_json::Value;
use std::path::Path;

/// All images of a file or directory.
pub fn all(path: &Path, options: &Options, common: &Common) -> Result<String> {
    let summary = ArchiveSummary::of(&options.limits.open_file(path, common)?)?;
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

/// One image of several.
pub fn one(location: &Location, options: &Options, common: &Common) -> Result<String> {
    let found = options.limits.open_file(&location.path, common)?.image(location, &options.platform.of_image())?;
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
pub fn shortened(comment: &str) -> String {
    const WIDTH: usize = 100;
    if comment.chars().count() <= WIDTH {
        return comment.to_owned();
    }
    comment.chars().take(WIDTH - 1).chain(['…']).collect()
}
