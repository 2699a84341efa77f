//! `diff` of two images: which layers of one must still be sent where the other is, and what else differs.

use super::Comparing;
use super::config::{self, differences};
use super::files::{self, ChangedFile};
use crate::command::inspect::image::{holds as told, names};
use crate::screen::answer::print_answer;
use crate::screen::difference::text as difference_text;
use crate::screen::fit::labelled;
use crate::screen::layer_table::{LayerRow, LayerState, LayerTable, Names};
use crate::screen::out::print;
use crate::screen::table::{counted, percent, size};
use anyhow::Result;
use layerstone_closure::{Item, PathDiff, difference};
use layerstone_image::{
    ImageFetch, ImageStorePaths, ImageSummary, LayerSummary, PathSizes, StoredImage, store_paths_of,
};
use layerstone_oci::Place;
use layerstone_pipeline::{Opener, make_plain};
use layerstone_store::{Digest, StorePath};
use serde::Serialize;
use std::cmp::Reverse;
use std::collections::HashSet;

/// What differs between two images.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Answer<'a> {
    old: Image<'a>,
    new: Image<'a>,
    layers: Vec<Layer<'a>>,
    #[serde(rename = "there")]
    present: Sum,
    sent: Sum,
    #[serde(skip_serializing_if = "Option::is_none")]
    chunks: Option<Chunks>,
    store_paths: PathDiff,
    config: Vec<config::Difference>,
    #[serde(skip_serializing_if = "Option::is_none")]
    files: Option<Vec<ChangedFile>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Image<'a> {
    image_id: Digest,
    repo_tags: &'a [String],
}

/// A layer of the new image.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Layer<'a> {
    diff_id: Digest,
    size: u64,
    state: State,
    store_paths: Vec<&'a StorePath>,
}

#[derive(Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
enum State {
    #[serde(rename = "there")]
    Present,
    Sent,
}

#[derive(Serialize)]
struct Sum {
    layers: usize,
    size: u64,
}

/// What a client fetches that takes single chunks of layers.
#[derive(Serialize)]
struct Chunks {
    /// Bytes in all.
    size: u64,
    /// Bytes of tables.
    tables: u64,
    /// Ranges of bytes that are asked for.
    ranges: u64,
}

impl From<ImageFetch> for Chunks {
    fn from(fetch: ImageFetch) -> Chunks {
        Chunks { size: fetch.bytes(), tables: fetch.chunks.table, ranges: fetch.chunks.ranges }
    }
}

/// An image and its store paths.
struct Side {
    image: ImageSummary,
    /// With layers that are plain.
    plain: StoredImage,
    store_paths: ImageStorePaths,
}

/// Compares two images; store paths are the entries of the store.
pub fn run(old: &Place, new: &Place, comparing: &Comparing<'_>, opener: &Opener<'_>) -> Result<()> {
    // Held, since it may be where a registry's layers were fetched to.
    let (old, new) =
        (opener.open(old, &comparing.platform.of_image())?, opener.open(new, &comparing.platform.of_image())?);
    let side = |mut image: StoredImage| -> Result<Side> {
        // Before layers are unpacked, which changes their sizes.
        let summary = ImageSummary::of(&image)?;
        make_plain(&mut image, opener.limits, opener.report)?;
        Ok(Side { image: summary, store_paths: store_paths_of(&image, comparing.store)?, plain: image })
    };
    let (old, new) = (side(old.image()?)?, side(new.image()?)?);
    let mut answer = answer(&old, &new);
    answer.chunks = new.plain.fetch_beside(&old.plain)?.map(Chunks::from);
    if comparing.files {
        answer.files = Some(files::differences(&old.plain, &new.plain, &answer.store_paths)?);
    }
    if comparing.json {
        return print_answer("diff", &answer);
    }
    print(text(&answer, &old, &new, comparing))
}

fn answer<'a>(old: &'a Side, new: &'a Side) -> Answer<'a> {
    let mut present: HashSet<Digest> = old.image.layers.iter().map(|layer| layer.diff_id).collect();
    let layer = |(layer, paths): (&LayerSummary, &'a PathSizes)| Layer {
        diff_id: layer.diff_id,
        size: layer.size,
        // What an image has twice is sent once.
        state: if present.insert(layer.diff_id) { State::Sent } else { State::Present },
        store_paths: paths.keys().collect(),
    };
    let layers: Vec<Layer> = new.image.layers.iter().zip(&new.store_paths.layers).map(layer).collect();
    let sum = |state: State| {
        let layers = layers.iter().filter(|layer| layer.state == state);
        Sum { layers: layers.clone().count(), size: layers.map(|layer| layer.size).fold(0, u64::saturating_add) }
    };
    let image = |Side { image, .. }: &'a Side| Image { image_id: image.image_id, repo_tags: &image.repo_tags };
    Answer {
        config: differences(&old.image.config, &new.image.config),
        files: None,
        chunks: None,
        old: image(old),
        new: image(new),
        present: sum(State::Present),
        sent: sum(State::Sent),
        store_paths: difference(&items(&old.store_paths.paths), &items(&new.store_paths.paths)),
        layers,
    }
}

fn items(paths: &PathSizes) -> Vec<Item> {
    paths.iter().map(|(path, &size)| Item { path: path.clone(), size: Some(size), nar_hash: None }).collect()
}

fn text(answer: &Answer, old: &Side, new: &Side, comparing: &Comparing<'_>) -> String {
    let (paint, width) = (comparing.paint, comparing.width);
    let platform = |image: &ImageSummary| image.platform.clone().unwrap_or_else(|| "no platform".to_owned());
    let mut text = String::new();
    for (label, side) in [("old", old), ("new", new)] {
        let name = format!("{}  {}", paint.bold(names(&side.image)), platform(&side.image));
        text += &labelled(
            label,
            &format!("{name}, {} in {}", size(total(&side.image)), counted(side.image.layers.len(), "layer")),
            paint,
        );
        text += &labelled("", &side.image.image_id.to_string(), paint);
    }
    let all = answer.present.size.saturating_add(answer.sent.size);
    let sum = |sum: &Sum| format!("{} in {}, {}", size(sum.size), counted(sum.layers, "layer"), percent(sum.size, all));
    text += &labelled("there", &paint.known(sum(&answer.present)), paint);
    text += &labelled("sent", &paint.sent(sum(&answer.sent)), paint);
    if let Some(Chunks { size: all, tables, ranges }) = answer.chunks {
        let chunks = format!(
            "{} to clients of zstd:chunked, {} of it tables, {}",
            size(all),
            size(tables),
            counted(ranges, "range")
        );
        text += &labelled("", &paint.sent(chunks), paint);
    }
    let table = LayerTable {
        rows: answer.layers.iter().enumerate().map(|(index, layer)| row(index, layer, new)).collect(),
        hides: comparing.changed.then_some(LayerState::There),
        ..LayerTable::default()
    };
    if !comparing.changed || answer.sent.layers > 0 {
        text += &format!("\n{}", table.text(width, paint));
    }
    if answer.store_paths.old.paths + answer.store_paths.new.paths > 0 {
        text += &format!("\n{}", difference_text(&answer.store_paths, paint));
    }
    if !answer.config.is_empty() {
        text += &format!("\n{}\n{}", paint.bold("config"), config::text(&answer.config, width, paint));
    }
    if let Some(files) = &answer.files {
        let title = paint.bold(match files.len() {
            1 => "1 file differs".to_owned(),
            count => format!("{count} files differ"),
        });
        text += &format!("\n{title}\n{}", files::text(files, paint));
    }
    text
}

fn row(index: usize, layer: &Layer, new: &Side) -> LayerRow {
    let state = if layer.state == State::Present { LayerState::There } else { LayerState::Sent };
    LayerRow { size: Some(layer.size), state: Some(state), holds: holds(index, new), ..LayerRow::default() }
}

fn total(image: &ImageSummary) -> u64 {
    image.layers.iter().map(|layer| layer.size).fold(0, u64::saturating_add)
}

/// The store paths of a layer, the largest first, or else what the history says about it.
fn holds(index: usize, new: &Side) -> Names {
    let mut paths: Vec<(&StorePath, &u64)> = new.store_paths.layers[index].iter().collect();
    if paths.is_empty() {
        return told(&new.image.layers[index]);
    }
    paths.sort_by_key(|&(path, size)| (Reverse(size), path.name(), path));
    Names::of(paths.into_iter().map(|(path, _)| path))
}
