//! What a build remembers for the next one of the same image: the plan, so that layers stay as they are, and the layer
//! files, so that layers which stay need not be read.

use crate::prior_layers::{PriorLayers, layer_files};
use crate::record::{self, Record, Written};
use crate::{NewDirectory, Result};
use layerstone_layer::{CompressionParams, Layer, LayerFile, LayerLookup, Recipe};
use layerstone_layering::{Plan, Previous};
use layerstone_oci::{Descriptor, PutImage};
use layerstone_spec::Spec;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// Name of the plan.
const PLAN: &str = "image.layers.json";

/// A directory that remembers.
pub struct BuildState {
    directory: PathBuf,
    layers: PriorLayers,
    record: Record,
    /// The directories that were made for it, the inner one first.
    _made: Vec<NewDirectory>,
}

impl BuildState {
    /// Opens a directory, made if its parent exists; the one of an architecture, if the image has several.
    pub fn open(directory: &Path, architecture: Option<&Spec>) -> Result<BuildState> {
        let mut made = vec![NewDirectory::make(directory)?];
        let directory = match architecture.and_then(|spec| Some((spec.architecture.as_ref()?, &spec.variant))) {
            Some((architecture, variant)) => {
                let directory = directory.join(format!("{architecture}{}", variant.as_deref().unwrap_or_default()));
                made.insert(0, NewDirectory::make(&directory)?);
                directory
            }
            None => directory.to_owned(),
        };
        Ok(BuildState {
            layers: PriorLayers::read(&directory)?,
            record: Record::read(&directory)?,
            directory,
            _made: made,
        })
    }

    /// The plan of the build before.
    pub fn previous(&self) -> Result<Option<Previous>> {
        let path = self.directory.join(PLAN);
        Ok(if path.exists() { Some(Previous::read(&path)?) } else { None })
    }

    /// Remembers the layers that an image was built of, instead of those of the build before: all of it, or nothing.
    pub fn remember(&self, layers: Vec<LayerFile>) -> Result<()> {
        let plan = Plan::new(layers.iter().map(|layer| layer.store_paths.clone()).collect());
        let mut outputs = vec![plan.prepare(&self.directory.join(PLAN))?];
        let mut written = BTreeMap::new();
        for (index, layer) in layers.iter().enumerate() {
            let name = format!("{index:03}.layer.json");
            let output = layer.prepare(&self.directory.join(&name))?;
            written.insert(name, Written::of(&output)?);
            outputs.push(output);
        }
        self.record.replace(outputs, written)
    }
}

/// The files that a directory will have, as far as they can be named before a build.
pub fn files(directory: &Path) -> Vec<PathBuf> {
    // A directory that does not exist has none.
    let mut files = BTreeSet::from_iter(layer_files(directory).unwrap_or_default());
    files.extend([PLAN, "000.layer.json", record::NAME].map(|name| directory.join(name)));
    files.into_iter().collect()
}

impl LayerLookup for BuildState {
    fn get(&self, recipe: &Recipe, params: Option<CompressionParams>) -> Option<LayerFile> {
        self.layers.get(recipe, params)
    }
}

/// The layer file of a layer of the store that is this one of an image; compressed as it is in the image.
pub(crate) fn layer_of(
    image: &PutImage,
    index: usize,
    layer: &Layer,
    params: Option<CompressionParams>,
) -> Result<LayerFile> {
    let mut file = LayerFile::new(image.diff_ids[index], layer.tar()?.size());
    if let Some((_, outcomes)) = &image.manifest {
        let Descriptor { digest, size, media_type, .. } = &outcomes[index].descriptor;
        file.descriptor = Descriptor::new(media_type, *digest, *size);
        file.compression = params;
    }
    Ok(LayerFile { store_paths: layer.store_paths.clone(), recipe: layer.recipe.clone(), ..file })
}
