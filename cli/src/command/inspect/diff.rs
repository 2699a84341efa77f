//! `inspect --diff`: which layers of one image must still be sent where another is, and which store paths differ.

use super::Options;
use super::image::shortened;
use crate::difference::text as difference_text;
use crate::out::{print, print_json};
use crate::table::{Table, percent, size, some_of};
use anyhow::Result;
use layerstone_closure::{Item, PathDiff, difference};
use layerstone_image::{ImageStorePaths, ImageSummary, LayerSummary, PathSizes, store_paths_of};
use layerstone_oci::Place;
use layerstone_pipeline::{Opener, make_plain};
use layerstone_store::{Digest, StorePath};
use serde::Serialize;
use std::cmp::Reverse;
use std::collections::HashSet;

/// Store paths named of a layer.
const NAMES: usize = 4;

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
    store_paths: PathDiff,
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

/// An image and its store paths.
struct Side {
    image: ImageSummary,
    store_paths: ImageStorePaths,
}

/// Compares two images; store paths are the entries of the store.
pub fn run(old: &Place, new: &Place, options: &Options, opener: &Opener<'_>) -> Result<()> {
    let open = |place: &Place| -> Result<Side> {
        let mut image = opener.open(place, &options.platform.of_image())?.image()?;
        // Before layers are unpacked, which changes their sizes.
        let summary = ImageSummary::of(&image)?;
        make_plain(&mut image, opener.limits, opener.report)?;
        Ok(Side { image: summary, store_paths: store_paths_of(&image, &options.store)? })
    };
    let (old, new) = (open(old)?, open(new)?);
    let answer = answer(&old, &new);
    if options.json {
        return print_json(&answer);
    }
    print(text(&answer, &new))
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

fn text(answer: &Answer, new: &Side) -> String {
    let mut layers = Table::new(&["layer", "size", "", "holds"], &[0, 1]);
    for (index, layer) in answer.layers.iter().enumerate() {
        let state = if layer.state == State::Present { "there" } else { "sent" };
        layers.row(vec![index.to_string(), size(layer.size), state.to_owned(), holds(index, new)]);
    }
    let mut sums = Table::new(&["", "layers", "size", ""], &[1, 2, 3]);
    let all = answer.present.size.saturating_add(answer.sent.size);
    for (what, sum) in [("there", &answer.present), ("sent", &answer.sent)] {
        sums.row(vec![what.to_owned(), sum.layers.to_string(), size(sum.size), percent(sum.size, all)]);
    }
    let head = |what: &str, image: &Image| format!("{what}  {}  {}\n", image.image_id, image.repo_tags.join(", "));
    format!(
        "{}{}\n{layers}\n{sums}\n{}",
        head("old", &answer.old),
        head("new", &answer.new),
        difference_text(&answer.store_paths)
    )
}

/// The store paths of a layer, the largest first, or else what the history says about it.
fn holds(index: usize, new: &Side) -> String {
    let mut paths: Vec<(&StorePath, &u64)> = new.store_paths.layers[index].iter().collect();
    if paths.is_empty() {
        return new.image.layers[index].comment.as_deref().map(shortened).unwrap_or_default();
    }
    paths.sort_by_key(|&(path, size)| (Reverse(size), path.name(), path));
    some_of(paths.iter().map(|(path, _)| path.name()), paths.len(), NAMES)
}
