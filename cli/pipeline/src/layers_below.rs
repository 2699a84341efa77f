//! Layers that are made already and lie below all others of an image: their layer files, what they hold, their tars.
//!
//! They are taken as they are, so that a set of store paths which several images have is the same layer in each of them,
//! whatever else these hold.

use crate::image::{FoundLayer, layer_files_of, read_layer};
use crate::single_layer::plain_blob;
use crate::{BuildCache, Mentions, Report, Result};
use layerstone_layer::{Layer, LayerFile};
use layerstone_layering::PlanBase;
use layerstone_store::{Limits, Store, StorePath};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Such layers, bottom first.
#[derive(Default)]
pub struct LayersBelow(Vec<(FoundLayer, LayerFile)>);

impl LayersBelow {
    /// Reads layer files; a directory stands for those in it.
    ///
    /// # Errors
    ///
    /// One cannot be read, or is none.
    pub fn read(named: &[PathBuf]) -> Result<LayersBelow> {
        let read = layer_files_of(named)?.into_iter().map(|file| {
            let layer = file.read()?;
            Ok((file, layer))
        });
        Ok(LayersBelow(read.collect::<Result<_>>()?))
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// The layer files.
    pub fn files(&self) -> impl Iterator<Item = &Path> {
        self.0.iter().map(|(file, _)| &*file.path)
    }

    /// The store paths that they hold.
    pub fn store_paths(&self) -> impl Iterator<Item = &StorePath> {
        self.0.iter().flat_map(|(_, layer)| &layer.store_paths)
    }

    /// What a plan lies on that lies on these, over a base.
    #[must_use]
    pub fn over(&self, base: PlanBase) -> PlanBase {
        let PlanBase { layers, mut paths } = base;
        paths.extend(self.store_paths().cloned());
        PlanBase { layers: layers + self.count(), paths }
    }

    /// What their files refer to, besides what those of other layers do.
    #[must_use]
    pub fn mentions(&self, others: Mentions) -> Mentions {
        self.0.iter().fold(others, |mentions, (file, layer)| {
            let tar = layer.blob_path(&file.path).filter(|_| layer.is_plain());
            mentions.of_layer(layer.references.iter().cloned(), &file.path, tar)
        })
    }

    /// The tars of those that are no layers of store paths.
    ///
    /// # Errors
    ///
    /// One is compressed.
    pub fn tars(&self) -> Result<Vec<PathBuf>> {
        let files = self.0.iter().filter(|(_, layer)| layer.recipe.is_none() && layer.store_paths.is_empty());
        files.map(|(file, layer)| plain_blob(layer, &file.path)).collect()
    }

    /// Warns of store paths that several of them hold, since an image has them as often.
    pub fn warn_of_twins(&self, report: &dyn Report) {
        let mut held: BTreeMap<&StorePath, &Path> = BTreeMap::new();
        let mut twins = Vec::new();
        for (file, layer) in &self.0 {
            for path in &layer.store_paths {
                twins.extend(held.insert(path, &file.path).map(|other| (path, other, &*file.path)));
            }
        }
        if let [(path, first, second), others @ ..] = &twins[..] {
            let more = match others.len() {
                0 => String::new(),
                count => format!(", and {count} more paths"),
            };
            let (first, second) = (first.display(), second.display());
            report.warn(format_args!(
                "stored twice: {path}: found it in {first} and in {second}{more}; a layer that is made over another one \
                 (`layers --below`) does not repeat what that holds"
            ));
        }
    }

    /// The layers themselves.
    ///
    /// # Errors
    ///
    /// What one is made of is not there, or is another size.
    pub fn layers(&self, store: &Store, cache: &BuildCache<'_>, limits: Limits) -> Result<Vec<Layer>> {
        self.0.iter().map(|(file, layer)| read_layer(file, layer.clone(), store, cache, limits)).collect()
    }
}
