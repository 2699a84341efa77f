//! What is known of layers before they are read: layer files of an earlier run, found by what the layers are made of.
//!
//! A store path never changes under its name, so a layer of the same recipe has the same bytes. Whoever names a folder of
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
    /// Reads the layer files of a folder, those without a recipe passed over.
    pub fn read(folder: &Path) -> Result<PriorLayers> {
        let mut known = PriorLayers::default();
        // Of two that contradict each other, the same one wins each time.
        let paths = layer_files(folder)?;
        for path in paths {
            known.add(LayerFile::read(&path)?);
        }
        Ok(known)
    }

    fn add(&mut self, layer: LayerFile) {
        if let Some(recipe) = &layer.recipe {
            self.layers.insert((key(recipe), layer.compression), layer);
        }
    }
}

impl LayerLookup for PriorLayers {
    fn get(&self, recipe: &Recipe, params: Option<CompressionParams>) -> Option<LayerFile> {
        self.layers.get(&(key(recipe), params)).cloned()
    }
}

/// The layer files of a folder in the order of their names, which is that of the layers where names are numbers.
pub fn layer_files(folder: &Path) -> Result<Vec<PathBuf>> {
    let context = || format!("cannot read: {}", folder.display());
    let mut paths = Vec::new();
    for entry in folder.read_dir().with_context(context)? {
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
