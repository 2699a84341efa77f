//! What images and artifacts are: a header, and the layers as bars.

use super::old::OldImage;
use crate::screen::color::Paint;
use crate::screen::fit::{clean, labelled, some_in};
use crate::screen::layer_table::{LayerRow, LayerState, LayerTable, Names};
use crate::screen::out::json;
use crate::screen::table::{counted, percent, size};
use anyhow::Result;
use layerstone_image::{Artifact, Compression, ImageSummary, LayerSummary, StoredImage};
use layerstone_pipeline::build_graph::quoted;
use layerstone_store::StorePath;
use serde_json::Value;
use std::collections::BTreeSet;
use std::ffi::OsStr;

/// How images are shown.
pub struct View {
    /// Columns that there are.
    pub width: usize,
    /// Colours.
    pub paint: Paint,
    /// With all that there is to be told, however wide it is.
    pub wide: bool,
    /// What whoever is to receive it has.
    pub old: Option<OldImage>,
}

/// An image, with the bytes that its layers have unpacked if they are known.
pub fn image(image: &ImageSummary, unpacked: Option<&[u64]>, view: &View) -> Result<String> {
    let mut text = header(image, unpacked, view);
    let states = view.old.as_ref().map(|old| old.states(image));
    let row = |(index, layer): (usize, &LayerSummary)| LayerRow {
        size: Some(layer.size),
        state: states.as_ref().map(|states| states[index]),
        numbers: if view.wide { wide_cells(layer, unpacked.map(|sizes| sizes[index])) } else { Vec::new() },
        holds: holds(layer),
        ..LayerRow::default()
    };
    let table = LayerTable {
        rows: image.layers.iter().enumerate().map(row).collect(),
        numbers: if view.wide { vec!["unpacked", "as", "diff ID"] } else { Vec::new() },
        ..LayerTable::default()
    };
    text += &format!("\n{}", table.text(if view.wide { usize::MAX / 2 } else { view.width }, view.paint));
    if view.wide {
        text += &format!("\nconfig {}", json(&image.config["config"])?);
    }
    Ok(text)
}

/// What an OCI layout lists besides images.
pub fn artifact(artifact: &Artifact, paint: Paint) -> String {
    let Artifact { artifact_type, digest, repo_tags, subject, .. } = artifact;
    let names = if repo_tags.is_empty() { "no name".to_owned() } else { clean(&repo_tags.join(", ")) };
    let mut text = format!("{}  artifact\n", paint.bold(names));
    text += &labelled("type", &clean(artifact_type), paint);
    text += &labelled("digest", &digest.to_string(), paint);
    text += &subject.map(|subject| labelled("about", &subject.to_string(), paint)).unwrap_or_default();
    text
}

/// The names of what a layer holds: store paths, or else what the history says about it.
pub fn holds(layer: &LayerSummary) -> Names {
    if layer.store_paths.is_empty() {
        return Names::all(layer.comment.clone());
    }
    Names::all(layer.store_paths.iter().map(|path| match StorePath::parse(path) {
        Ok(path) => path.name().to_owned(),
        Err(_) => path.clone(),
    }))
}

/// What an image is called: in a layout it has its name, and its tag alone.
pub fn names(image: &ImageSummary) -> String {
    let is_said = |tag: &String| image.repo_tags.iter().any(|name| name.ends_with(&format!(":{tag}")));
    let names: Vec<&str> = image.repo_tags.iter().filter(|name| !is_said(name)).map(String::as_str).collect();
    if names.is_empty() { "no name".to_owned() } else { clean(&names.join(", ")) }
}

/// Bytes of the layers of an image, unpacked, one by one.
pub fn unpacked_sizes(image: &StoredImage) -> Vec<u64> {
    image.layers.iter().map(|layer| layer.part.size()).collect()
}

fn header(image: &ImageSummary, unpacked: Option<&[u64]>, view: &View) -> String {
    let paint = view.paint;
    let platform = image.platform.as_deref().map_or_else(|| "no platform".to_owned(), clean);
    let mut text = format!("{}  {platform}\n", paint.bold(names(image)));
    let mut line = |label: &str, value: Option<String>| {
        text += &value.map(|value| labelled(label, &value, paint)).unwrap_or_default();
    };
    let config = image.config.get("config").unwrap_or(&Value::Null);
    let word = |key: &str| config[key].as_str().filter(|word| !word.is_empty()).map(clean);
    line("ID", Some(image.image_id.to_string()));
    line("digest", image.digest.map(|digest| digest.to_string()));
    line("made", image.config["created"].as_str().map(clean));
    line("runs", command(config));
    line("user", word("User"));
    line("in", word("WorkingDir"));
    let room = if view.wide { usize::MAX } else { view.width.saturating_sub(9) };
    line("env", list(words(&config["Env"]), room));
    line("ports", list(keys(&config["ExposedPorts"]), room));
    line("mounts", list(keys(&config["Volumes"]), room));
    line("labels", list(keys(&config["Labels"]), room));
    line("base", image.base.as_deref().map(clean));
    line("with", list(attached(image), room));
    line("size", Some(sizes(image, unpacked)));
    line("sent", view.old.as_ref().map(|old| sent(image, old, paint)));
    text
}

/// The types of what refers to it.
fn attached(image: &ImageSummary) -> Vec<String> {
    image.referrers.iter().map(|entry| entry.artifact_type().unwrap_or("no type").to_owned()).collect()
}

/// `98.5 MB in 100 layers (gzip), 265 MB unpacked`
fn sizes(image: &ImageSummary, unpacked: Option<&[u64]>) -> String {
    let stored = total(image.layers.iter().map(|layer| layer.size));
    let kinds: BTreeSet<String> = image.layers.iter().filter_map(|layer| compression(layer.compression)).collect();
    let kinds: Vec<String> = kinds.into_iter().collect();
    let how = if kinds.is_empty() { String::new() } else { format!(", compressed ({})", kinds.join(", ")) };
    let unpacked = unpacked.filter(|_| !kinds.is_empty()).map(|sizes| total(sizes.iter().copied()));
    let unpacked = unpacked.map(|bytes| format!(", {} unpacked", size(bytes))).unwrap_or_default();
    format!("{} in {}{how}{unpacked}", size(stored), counted(image.layers.len(), "layer"))
}

fn sent(image: &ImageSummary, old: &OldImage, paint: Paint) -> String {
    let states = old.states(image);
    let sent = || image.layers.iter().zip(&states).filter(|(_, state)| **state == LayerState::Sent);
    let (bytes, all) = (total(sent().map(|(layer, _)| layer.size)), total(image.layers.iter().map(|layer| layer.size)));
    let text = format!("{} in {}, {}", size(bytes), counted(sent().count(), "layer"), percent(bytes, all));
    format!("{} of it where {} is", paint.sent(text), old.name)
}

/// Entrypoint and command as a shell reads them.
fn command(config: &Value) -> Option<String> {
    let all: Vec<String> = words(&config["Entrypoint"]).into_iter().chain(words(&config["Cmd"])).collect();
    let word = |word: &String| clean(&String::from_utf8_lossy(&quoted(OsStr::new(word))));
    (!all.is_empty()).then(|| all.iter().map(word).collect::<Vec<_>>().join(" "))
}

fn words(value: &Value) -> Vec<String> {
    value.as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
}

fn keys(value: &Value) -> Vec<String> {
    value.as_object().into_iter().flatten().map(|(key, _)| key.clone()).collect()
}

fn list(words: Vec<String>, room: usize) -> Option<String> {
    let words: Vec<String> = words.iter().map(|word| clean(word)).collect();
    (!words.is_empty()).then(|| some_in(room, &words, words.len()))
}

fn wide_cells(layer: &LayerSummary, unpacked: Option<u64>) -> Vec<String> {
    let kind = compression(layer.compression).unwrap_or_else(|| "tar".to_owned());
    vec![unpacked.map(size).unwrap_or_default(), kind, layer.diff_id.to_string()]
}

fn compression(compression: Compression) -> Option<String> {
    let name = serde_json::to_value(compression).ok()?;
    name.as_str().filter(|_| compression != Compression::None).map(str::to_owned)
}

fn total(sizes: impl Iterator<Item = u64>) -> u64 {
    sizes.fold(0, u64::saturating_add)
}
