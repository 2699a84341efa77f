//! What is known of layers before they are read: layer files of an earlier run, found by what the layers are made of.
//!
//! A store path never changes under its name, so a layer of the same recipe has the same bytes. Whoever names a folder of
//! layer files says that this holds for them.

use anyhow::{Context, Result};
use layerstone_layer::{LayerFile, Packing, Recipe};
use std::collections::BTreeMap;
use std::path::Path;

/// How the name of a layer file ends.
const ENDING: &str = ".layer.json";

/// Layer files with recipes, by their recipes and compression.
#[derive(Default)]
pub struct Known {
    layers: BTreeMap<(String, Option<Packing>), LayerFile>,
}

impl Known {
    /// Reads the layer files of a folder, those without a recipe passed over.
    pub fn read(folder: &Path) -> Result<Known> {
        let mut known = Known::default();
        let entries = folder.read_dir().with_context(|| format!("cannot read: {}", folder.display()))?;
        let mut paths = Vec::new();
        for entry in entries {
            let path = entry.with_context(|| format!("cannot read: {}", folder.display()))?.path();
            if path.as_os_str().as_encoded_bytes().ends_with(ENDING.as_bytes()) {
                paths.push(path);
            }
        }
        // Of two that contradict each other, the same one wins each time.
        paths.sort();
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

    /// The layer file of a layer that is made and compressed so.
    pub fn get(&self, recipe: &Recipe, packing: Option<Packing>) -> Option<&LayerFile> {
        self.layers.get(&(key(recipe), packing))
    }
}

fn key(recipe: &Recipe) -> String {
    serde_json::to_string(recipe).expect("a recipe is text and numbers")
}
