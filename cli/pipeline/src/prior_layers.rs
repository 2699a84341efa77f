//! What earlier runs found out about layers: their layer files, found by what the layers are made of.
//!
//! A store path never changes under its name, so a layer of the same recipe has the same bytes. Whoever names a directory of
//! layer files says that this holds for them.

use crate::Result;
use crate::error::Context;
use layerstone_layer::{CompressionParams, LayerFile, LayerLookup, Recipe};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// How the name of a layer file ends.
const ENDING: &str = ".layer.json";

/// Layer files with recipes, by their recipes and compression.
#[derive(Default)]
pub struct PriorLayers {
    layers: BTreeMap<(String, Option<CompressionParams>), LayerFile>,
}

impl PriorLayers {
    /// Reads the layer files of a directory, those without a recipe passed over.
    pub fn read(directory: &Path) -> Result<PriorLayers> {
        let mut layers = BTreeMap::new();
        for path in layer_files(directory)? {
            let layer = LayerFile::read(&path)?;
            if let Some(recipe) = &layer.recipe {
                // Of two that contradict each other, the same one wins each time.
                layers.insert((key(recipe), layer.compression), layer);
            }
        }
        Ok(PriorLayers { layers })
    }
}

impl LayerLookup for PriorLayers {
    fn get(&self, recipe: &Recipe, params: Option<CompressionParams>) -> Option<LayerFile> {
        self.layers.get(&(key(recipe), params)).cloned()
    }
}

/// The layer files of a directory in the order of their names, which is that of the layers where names are numbers.
pub fn layer_files(directory: &Path) -> Result<Vec<PathBuf>> {
    let context = || format!("cannot read: {}", directory.display());
    let mut paths = Vec::new();
    for entry in directory.read_dir().with_context(context)? {
        let path = entry.with_context(context)?.path();
        if path.as_os_str().as_encoded_bytes().ends_with(ENDING.as_bytes()) {
            paths.push(path);
        }
    }
    // 1000 comes behind 999.
    paths.sort_by_key(|path| (path.as_os_str().len(), path.clone()));
    Ok(paths)
}

fn key(recipe: &Recipe) -> String {
    serde_json::to_string(recipe).expect("a recipe is text and numbers")
}
