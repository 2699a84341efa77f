//! What a build remembers for the next one of the same image: the plan, so that layers stay as they are, and the layer
//! files, so that layers which stay need not be read.

use crate::Result;
use crate::new_directory::{make_directory, named};
use crate::prior_layers::{MOST, PriorLayers, layer_files};
use crate::record::{self, Record, Written};
use layerstone_layer::{CompressionParams, Layer, LayerFile, LayerLookup, Recipe};
use layerstone_layering::{Plan, Previous};
use layerstone_oci::{Descriptor, PutImage};
use layerstone_spec::Spec;
use layerstone_store::{Error, NewDirectory, Output};
use std::collections::{BTreeMap, BTreeSet};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// Name of the plan.
const PLAN: &str = "image.layers.json";

/// A directory that remembers.
pub struct BuildState {
    layers: PriorLayers,
    record: Record,
    directory: NewDirectory,
    /// The directory that it is in, if the image has several architectures. It goes after it.
    _parent: Option<NewDirectory>,
}

impl BuildState {
    /// Opens a directory, made if its parent exists; the one of an architecture, if the image has several.
    pub fn open(directory: &Path, architecture: Option<&Spec>) -> Result<BuildState> {
        let parent = make_directory(directory)?;
        let name = architecture.and_then(|spec| {
            Some(format!("{}{}", spec.architecture.as_ref()?, spec.variant.as_deref().unwrap_or_default()))
        });
        let (directory, parent) = match name {
            Some(name) => (named(NewDirectory::make_in(&parent, &name), &directory.join(&name))?, Some(parent)),
            None => (parent, None),
        };
        Ok(BuildState {
            layers: PriorLayers::read_in(directory.directory(), directory.path())?,
            record: Record::read(&directory)?,
            directory,
            _parent: parent,
        })
    }

    /// The plan of the build before.
    pub fn previous(&self) -> Result<Option<Previous>> {
        let path = self.directory.path().join(PLAN);
        let name = path.display().to_string();
        match self.directory.directory().read_below(Path::new(PLAN), MOST) {
            Err(e) if e.kind() == ErrorKind::NotFound => Ok(None),
            read => {
                let plan = Plan::parse(&read.map_err(Error::io("read", &path))?, &name)?;
                Ok(Some(Previous::new(&name, plan)))
            }
        }
    }

    /// Remembers the layers that an image was built of, instead of those of the build before: all of it, or nothing.
    pub fn remember(&self, layers: Vec<LayerFile>) -> Result<()> {
        let plan = Plan::new(layers.iter().map(|layer| layer.store_paths.clone()).collect());
        let numbers = (0..layers.len()).map(|index| format!("{index:03}.layer.json"));
        let names: Vec<String> = std::iter::once(PLAN.to_owned()).chain(numbers).collect();
        let paths: Vec<PathBuf> = names.iter().map(|name| self.directory.path().join(name)).collect();
        let mut outputs = Output::create_all_below(self.directory.directory(), &paths)?;
        plan.fill(&mut outputs[0])?;
        let mut written = BTreeMap::new();
        for ((name, output), layer) in names.into_iter().zip(&mut outputs).skip(1).zip(&layers) {
            layer.fill(output)?;
            written.insert(name, Written::of(output)?);
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
