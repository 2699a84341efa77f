//! Gathers what a report on an image shows: layers, what is in them, who refers to whom, what updates cost. Does not know
//! what it looks like.

mod contents;
mod data;
mod graph;
mod prices;

pub use data::{
    ImageReport, LayerState, PathKind, Prices, ReferencesFrom, ReportedImage, ReportedLayer, ReportedPath,
    StrategyPrice,
};

use crate::{Report, Result, make_plain};
use contents::{Contents, read_contents};
use layerstone_closure::ReferencesGraph;
use layerstone_image::{ImageStorePaths, ImageSummary, StoredImage, store_paths_of};
use layerstone_store::{Digest, StorePath};
use prices::{Priced, price};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet, HashSet};

/// Reports on an image, compared with an old one if there is one. Without a graph the layers' contents are searched for
/// references.
///
/// # Errors
///
/// A layer is damaged, or the graph has none of the image's store paths.
pub fn image_report(
    mut image: StoredImage,
    old: Option<StoredImage>,
    store_dir: &str,
    graph: Option<&ReferencesGraph>,
    report: &dyn Report,
) -> Result<ImageReport> {
    let (summary, limits) = (ImageSummary::of(&image)?, image.limits());
    make_plain(&mut image, limits, report)?;
    let store_paths = store_paths_of(&image, store_dir)?;
    let old = old.map(|old| OldImage::of(old, store_dir, report)).transpose()?;
    let contents = read_contents(&image, store_dir, &store_paths.layers, graph.is_none(), report)?;
    let references = match graph {
        Some(graph) => of_graph(graph, &store_paths, report)?,
        None => contents.references.clone(),
    };
    let priced = price(&store_paths.layers, &references, graph, report);
    let states = states(&summary, old.as_ref());
    let paths = paths(&store_paths, &contents, &references, priced.as_ref(), old.as_ref());
    let layers = layers(&summary, &image, &paths, states.as_deref(), priced.as_ref());
    let from = if graph.is_some() { ReferencesFrom::Graph } else { ReferencesFrom::Scan };
    Ok(ImageReport {
        image: ReportedImage::of(&summary, &image),
        old: old.map(|old| old.image),
        references: store_paths.layers.iter().any(|paths| !paths.is_empty()).then_some(from),
        prices: priced.map(|priced| priced.prices),
        layers,
        paths,
    })
}

/// Store paths and those that each refers to.
pub(crate) type References = BTreeMap<StorePath, BTreeSet<StorePath>>;

/// What a graph says of the store paths of an image, those that the image does not have left out.
pub(crate) fn of_graph(graph: &ReferencesGraph, image: &ImageStorePaths, report: &dyn Report) -> Result<References> {
    let paths: BTreeSet<&StorePath> = image.layers.iter().flat_map(BTreeMap::keys).collect();
    let known = graph.entries().iter().filter(|entry| paths.contains(&entry.path));
    let references: References = known
        .map(|entry| {
            let others = entry.references.iter().filter(|path| **path != entry.path && paths.contains(path));
            (entry.path.clone(), others.cloned().collect())
        })
        .collect();
    let unknown: Vec<&&StorePath> = paths.iter().filter(|path| !references.contains_key(**path)).collect();
    match unknown.first() {
        Some(path) if references.is_empty() => {
            bail!("wrong references graph: {}: found none of the image's store paths, expected {path}", graph.name())
        }
        Some(path) => {
            let (count, name) = (unknown.len(), graph.name());
            report.warn(format_args!("no references known: {name}: it lacks {path}, and {count} store paths in all"));
        }
        None => {}
    }
    Ok(references)
}

/// What is kept of the old image.
struct OldImage {
    image: ReportedImage,
    layers: HashSet<Digest>,
    store_paths: BTreeSet<StorePath>,
}

impl OldImage {
    fn of(mut image: StoredImage, store_dir: &str, report: &dyn Report) -> Result<OldImage> {
        let (summary, limits) = (ImageSummary::of(&image)?, image.limits());
        make_plain(&mut image, limits, report)?;
        let store_paths = store_paths_of(&image, store_dir)?.paths.into_keys().collect();
        let layers = summary.layers.iter().map(|layer| layer.diff_id).collect();
        Ok(OldImage { image: ReportedImage::of(&summary, &image), layers, store_paths })
    }
}

impl ReportedImage {
    /// Of a summary that was made before its layers were unpacked.
    fn of(summary: &ImageSummary, plain: &StoredImage) -> ReportedImage {
        let text = |pointer: &str| summary.config.pointer(pointer).and_then(Value::as_str).filter(|it| !it.is_empty());
        let words = |pointer: &str| {
            let words = summary.config.pointer(pointer).and_then(Value::as_array);
            words.into_iter().flatten().filter_map(Value::as_str).map(str::to_owned)
        };
        let platform = ["/os", "/architecture", "/variant"].into_iter().filter_map(text).collect::<Vec<_>>().join("/");
        let sum = |sizes: &mut dyn Iterator<Item = u64>| sizes.fold(0, u64::saturating_add);
        ReportedImage {
            image_id: summary.image_id,
            repo_tags: summary.repo_tags.clone(),
            size: sum(&mut summary.layers.iter().map(|layer| layer.size)),
            plain_size: sum(&mut plain.layers.iter().map(|layer| layer.part.size())),
            platform,
            created: text("/created").map(str::to_owned),
            command: words("/config/Entrypoint").chain(words("/config/Cmd")).collect(),
        }
    }
}

/// What an image has twice is sent once.
fn states(summary: &ImageSummary, old: Option<&OldImage>) -> Option<Vec<LayerState>> {
    let mut present = old?.layers.clone();
    let state = |new| if new { LayerState::Sent } else { LayerState::There };
    Some(summary.layers.iter().map(|layer| state(present.insert(layer.diff_id))).collect())
}

fn paths(
    store_paths: &ImageStorePaths,
    contents: &Contents,
    references: &References,
    priced: Option<&Priced>,
    old: Option<&OldImage>,
) -> Vec<ReportedPath> {
    let mut found = Vec::new();
    // Of several layers that hold a path, the uppermost one counts.
    let mut places: BTreeMap<&StorePath, usize> = BTreeMap::new();
    let mut named: Vec<Option<&StorePath>> = Vec::new();
    for (layer, (paths, directories)) in store_paths.layers.iter().zip(&contents.directories).enumerate() {
        for (path, &size) in paths {
            places.insert(path, found.len());
            named.push(Some(path));
            found.push(ReportedPath {
                kind: PathKind::StorePath,
                path: path.to_string(),
                name: path.name().to_owned(),
                sent_by_change: priced.and_then(|priced| priced.sent_by_change.get(path).copied()),
                in_old: old.map(|old| old.store_paths.contains(path)),
                ..ReportedPath::empty(layer, size)
            });
        }
        for (name, &size) in directories {
            named.push(None);
            let name = String::from_utf8(name.clone()).unwrap_or_else(|_| name.escape_ascii().to_string());
            found.push(ReportedPath { path: name.clone(), name, ..ReportedPath::empty(layer, size) });
        }
    }
    for (index, path) in named.into_iter().enumerate() {
        let Some(path) = path else { continue };
        found[index].references =
            references.get(path).into_iter().flatten().filter_map(|path| places.get(path).copied()).collect();
        found[index].copy_of = places.get(path).copied().filter(|&place| place != index);
    }
    found
}

impl ReportedPath {
    fn empty(layer: usize, size: u64) -> ReportedPath {
        ReportedPath {
            kind: PathKind::Directory,
            path: String::new(),
            name: String::new(),
            layer,
            size,
            references: Vec::new(),
            copy_of: None,
            sent_by_change: None,
            in_old: None,
        }
    }
}

fn layers(
    summary: &ImageSummary,
    plain: &StoredImage,
    paths: &[ReportedPath],
    states: Option<&[LayerState]>,
    priced: Option<&Priced>,
) -> Vec<ReportedLayer> {
    let mut indexes: Vec<Vec<usize>> = vec![Vec::new(); summary.layers.len()];
    paths.iter().enumerate().for_each(|(index, path)| indexes[path.layer].push(index));
    let layer = |(index, paths): (usize, Vec<usize>)| {
        let (layer, cost) = (&summary.layers[index], priced.and_then(|priced| priced.layers[index]));
        ReportedLayer {
            diff_id: layer.diff_id,
            size: layer.size,
            plain_size: plain.layers[index].part.size(),
            compression: layer.compression,
            comment: layer.comment.clone(),
            state: states.map(|states| states[index]),
            paths,
            changes: cost.map(|(changes, _)| changes),
            bytes_per_update: cost.map(|(_, bytes)| bytes),
        }
    };
    indexes.into_iter().enumerate().map(layer).collect()
}
