//! What a report on an image is: its JSON, key by key; docs/report.md lists the keys.

use layerstone_image::Compression;
use layerstone_store::Digest;
use serde::Serialize;

/// A report on an image.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ImageReport {
    /// The image.
    pub image: ReportedImage,
    /// The image that it is compared with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub old: Option<ReportedImage>,
    /// Its layers, bottom first.
    pub layers: Vec<ReportedLayer>,
    /// What is in them: layer by layer, store paths by path, then directories by name.
    pub paths: Vec<ReportedPath>,
    /// Where references come from; none if there is no store path.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub references: Option<ReferencesFrom>,
    /// What updates cost, if it has store paths and they make a graph.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prices: Option<Prices>,
}

/// An image as a whole.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ReportedImage {
    /// sha256 of the config.
    pub image_id: Digest,
    /// What it is called.
    pub repo_tags: Vec<String>,
    /// Bytes of all layers as they are stored.
    pub size: u64,
    /// Bytes of their tars.
    pub plain_size: u64,
    /// `OS/ARCH[/VARIANT]`.
    pub platform: String,
    /// When it was made, as the config says it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub created: Option<String>,
    /// Entrypoint and command, word by word.
    pub command: Vec<String>,
}

/// A layer.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ReportedLayer {
    /// sha256 of its tar.
    pub diff_id: Digest,
    /// Bytes as it is stored.
    pub size: u64,
    /// Bytes of its tar.
    pub plain_size: u64,
    /// How it is stored.
    pub compression: Compression,
    /// What the history says about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
    /// Whether the old image has it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<LayerState>,
    /// Where its entries stand in `paths`.
    pub paths: Vec<usize>,
    /// Paths whose change sends it again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub changes: Option<usize>,
    /// Its size times these changes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytes_per_update: Option<u128>,
}

/// Whether whoever has the old image has a layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum LayerState {
    /// The old image has it, or a lower layer is the same.
    There,
    /// It must be sent.
    Sent,
}

/// What a layer has of a store path or of a directory.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ReportedPath {
    /// What it is.
    pub kind: PathKind,
    /// The whole path; bytes that are not UTF-8 are escaped.
    pub path: String,
    /// A store path's name without its hash, a directory's whole path.
    pub name: String,
    /// Its layer, 0 being the bottom one.
    pub layer: usize,
    /// Bytes of its files' contents; a hard link counts nothing.
    pub size: u64,
    /// Where the store paths stand in `paths` that it refers to, itself left out.
    pub references: Vec<usize>,
    /// An upper layer holds the path too: where that entry stands.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub copy_of: Option<usize>,
    /// Bytes that one change of it sends.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sent_by_change: Option<u64>,
    /// Whether the old image has this store path.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub in_old: Option<bool>,
}

/// What a layer's files are counted by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum PathKind {
    /// A store path.
    StorePath,
    /// A directory that is in no store path: at most two components of a file's.
    Directory,
}

/// Where references come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ReferencesFrom {
    /// A references graph or a closure file.
    Graph,
    /// The contents of the layers.
    Scan,
}

/// What updates of store paths cost, as `layers --explain` tells it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Prices {
    /// Bytes that are sent if each path changes once, one after the other.
    pub bytes_per_update: u128,
    /// The same with a layer for each path.
    pub lower_bound: u128,
    /// How many paths may change.
    pub changes: u64,
    /// Bytes of all store paths.
    pub size: u64,
    /// Layers with store paths.
    pub layers: usize,
    /// What as many layers would cost by each strategy.
    pub strategies: Vec<StrategyPrice>,
}

/// What a strategy's plan costs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct StrategyPrice {
    /// The strategy.
    pub strategy: &'static str,
    /// Layers of its plan.
    pub layers: usize,
    /// What it costs.
    pub bytes_per_update: u128,
}
