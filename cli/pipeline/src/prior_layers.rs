//! What earlier runs found out about layers: their layer files, found by what the layers are made of.
//!
//! A store path never changes under its name, so a layer of the same recipe has the same bytes. Whoever names a directory of
//! layer files says that this holds for them.

use crate::Result;
use crate::error::Context;
use layerstone_layer::{CompressionParams, LayerFile, LayerLookup, Recipe};
use layerstone_store::{Directory, Error};
use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

/// How the name of a layer file ends.
const ENDING: &str = ".layer.json";
/// Bytes of a stage file that is found in a directory: one of a hundred thousand store paths has a tenth of that.
pub(crate) const MOST: u64 = 64 << 20;

/// Layer files with recipes, by their recipes and compression.
#[derive(Default)]
pub struct PriorLayers {
    layers: BTreeMap<(String, Option<CompressionParams>), LayerFile>,
}

impl PriorLayers {
    /// Reads the layer files of a directory, those without a recipe passed over.
    pub fn read(path: &Path) -> Result<PriorLayers> {
        PriorLayers::read_in(&open(path)?, path)
    }

    /// [`PriorLayers::read`] for an open directory, which this path leads to.
    pub fn read_in(directory: &Directory, path: &Path) -> Result<PriorLayers> {
        let mut layers = BTreeMap::new();
        for name in layer_names(directory, path)? {
            let layer = read_layer_file(directory, &name, &path.join(&name))?;
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
    Ok(layer_names(&open(directory)?, directory)?.iter().map(|name| directory.join(name)).collect())
}

/// The names of the layer files of an open directory, which this path leads to.
pub(crate) fn layer_names(directory: &Directory, path: &Path) -> Result<Vec<OsString>> {
    let mut names = directory.names().with_context(|| format!("cannot read: {}", path.display()))?;
    names.retain(|name| name.as_encoded_bytes().ends_with(ENDING.as_bytes()));
    // 1000 comes behind 999.
    names.sort_by_key(|name| (name.len(), name.clone()));
    Ok(names)
}

/// Reads a layer file of an open directory; `path` leads to it.
pub(crate) fn read_layer_file(directory: &Directory, name: &OsStr, path: &Path) -> Result<LayerFile> {
    let bytes = directory.read_below(Path::new(name), MOST).map_err(Error::io("read", path))?;
    Ok(LayerFile::parse(&bytes, &path.display().to_string())?)
}

fn open(directory: &Path) -> Result<Directory> {
    Directory::open(directory).with_context(|| format!("cannot read: {}", directory.display()))
}

fn key(recipe: &Recipe) -> String {
    serde_json::to_string(recipe).expect("a recipe is text and numbers")
}
