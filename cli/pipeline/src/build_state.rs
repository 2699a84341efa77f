//! What a build remembers for the next one of the same image: the plan, so that layers stay as they are; how often paths
//! changed from build to build; and the layer files, so that layers which stay need not be read.

use crate::Result;
use crate::new_directory::{make_directory, named};
use crate::prior_layers::{MOST, PriorLayers, layer_files};
use crate::record::{self, Record, Written};
use layerstone_closure::Closure;
use layerstone_layer::{CompressedBlob, CompressionParams, Layer, LayerFile, LayerLookup, Recipe};
use layerstone_layering::{ChangeCount, Contents, Plan, Previous, Rates};
use layerstone_oci::{Descriptor, PutImage};
use layerstone_spec::Spec;
use layerstone_store::{Error, NewDirectory, Output};
use std::cell::OnceCell;
use std::collections::{BTreeMap, BTreeSet};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// Name of the plan.
const PLAN: &str = "image.layers.json";

/// Name of the file of rates.
const RATES: &str = "rates.json";

/// A directory that remembers.
pub struct BuildState {
    layers: PriorLayers,
    /// What the image holds that is built now.
    contents: OnceCell<Contents>,
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
            contents: OnceCell::new(),
            directory,
            _parent: parent,
        })
    }

    /// The plan of the build before.
    pub fn previous(&self) -> Result<Option<Previous>> {
        Ok(self.plan()?.map(|plan| Previous::new(&self.path(PLAN).display().to_string(), plan)))
    }

    /// How often paths changed in builds before.
    pub fn rates(&self) -> Result<Option<Rates>> {
        let Some(bytes) = self.read(RATES)? else { return Ok(None) };
        Ok(Some(Rates::parse(&bytes, &self.path(RATES).display().to_string())?))
    }

    /// Notes what is built, for the sake of what has changed since the build before.
    pub(crate) fn note(&self, closure: &Closure) {
        // A build has one closure.
        let _ = self.contents.set(Contents::from(closure));
    }

    fn plan(&self) -> Result<Option<Plan>> {
        let Some(bytes) = self.read(PLAN)? else { return Ok(None) };
        Ok(Some(Plan::parse(&bytes, &self.path(PLAN).display().to_string())?))
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// A file of the directory, if it is there.
    fn read(&self, name: &str) -> Result<Option<Vec<u8>>> {
        match self.directory.directory().read_below(Path::new(name), MOST) {
            Err(e) if e.kind() == ErrorKind::NotFound => Ok(None),
            read => Ok(Some(read.map_err(Error::io("read", &self.path(name)))?)),
        }
    }

    /// How often paths have changed, this build included, which has these layers.
    fn count(&self, plan: &Plan) -> Result<ChangeCount> {
        let name = self.path(RATES).display().to_string();
        let mut count = match self.read(RATES)? {
            Some(bytes) => ChangeCount::parse(&bytes, &name)?,
            None => ChangeCount::default(),
        };
        if let (Some(before), Some(contents)) = (self.plan()?, self.contents.get()) {
            // What a base holds is in no layer of ours, before or now.
            let own = plan.layers.iter().flatten().collect();
            count.count(&Contents::from(&before), &contents.clone().only(&own));
        }
        Ok(count)
    }

    /// Remembers the layers that an image was built of, instead of those of the build before: all of it, or nothing.
    pub fn remember(&self, layers: Vec<LayerFile>) -> Result<()> {
        let plan = Plan::new(layers.iter().map(|layer| layer.store_paths.clone()).collect());
        let numbers = (0..layers.len()).map(|index| format!("{index:03}.layer.json"));
        let names: Vec<String> = [PLAN, RATES].map(str::to_owned).into_iter().chain(numbers).collect();
        let paths: Vec<PathBuf> = names.iter().map(|name| self.path(name)).collect();
        let count = self.count(&plan)?;
        let mut outputs = Output::create_all_below(self.directory.directory(), &paths)?;
        plan.fill(&mut outputs[0])?;
        count.fill(&mut outputs[1])?;
        let mut written = BTreeMap::new();
        for ((name, output), layer) in names.into_iter().zip(&mut outputs).skip(2).zip(&layers) {
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
    files.extend([PLAN, RATES, "000.layer.json", record::NAME].map(|name| directory.join(name)));
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
        let described = &outcomes[index].descriptor;
        // Without what is said of the layer; where its table is belongs to the bytes.
        let blob = CompressedBlob::of(file.diff_id, described).descriptor(params);
        file.descriptor = Descriptor { media_type: described.media_type.clone(), ..blob };
        file.compression = params;
    }
    Ok(LayerFile { store_paths: layer.store_paths.clone(), recipe: layer.recipe.clone(), ..file })
}
