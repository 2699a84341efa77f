//! Layers read, hashed, compressed and written; what is known of some is not read again.

use super::layouts;
use crate::args::Common;
use crate::known::Known;
use crate::memory::Memory;
use anyhow::Result;
use layerstone_layer::{LayerFile, Packed, Packing, Recipe, Source, Team, digest_all, pack_all, tarsum};
use layerstone_stage::{Digest, Output, Store};
use rayon::prelude::*;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// Layers to make, and their files; with blobs, one each.
pub struct Job<'a> {
    pub recipes: Vec<Recipe>,
    pub files: Vec<PathBuf>,
    pub blobs: Vec<PathBuf>,
    pub tarsum: bool,
    pub packing: Option<Packing>,
    pub known: Known,
    pub memory: &'a Memory,
}

impl Job<'_> {
    /// Reads everything and writes everything under temporary names before anything appears: after an error no output
    /// has changed.
    pub fn run(self, store: &Store, common: &Common) -> Result<()> {
        let stdout = Path::new("-");
        let written: Vec<&PathBuf> = self.files.iter().filter(|file| *file != stdout).collect();
        // First, so that a bad place is told before anything is read.
        let mut outputs = Output::create_all(&written)?;
        let known: Vec<Option<LayerFile>> = self.recipes.par_iter().map(|recipe| self.known(recipe)).collect();
        let unknown: Vec<&Recipe> =
            self.recipes.iter().zip(&known).filter(|(_, known)| known.is_none()).map(|(recipe, _)| recipe).collect();
        let sources = layouts(&unknown, self.memory, store)?;
        let blobs = Output::create_all(&self.blobs)?;
        let made = self.make(&sources, &blobs, common)?;
        for ((recipe, layer), source) in unknown.iter().zip(&made).zip(&sources) {
            self.memory.put(recipe, layer, source)?;
        }
        self.memory.finish();
        let mut made = made.into_iter();
        let mut layers = Vec::new();
        for ((index, recipe), known) in self.recipes.iter().enumerate().zip(known) {
            let mut layer = known.or_else(|| made.next()).expect("what is not known was made");
            layer.store_paths.clone_from(&recipe.paths);
            match self.blobs.get(index) {
                Some(blob) => layer.set_blob(&self.files[index], blob)?,
                None => layer.recipe = Some(recipe.clone()),
            }
            layers.push(layer);
        }
        let (told, written): (Vec<_>, Vec<_>) = layers.iter().zip(&self.files).partition(|(_, file)| *file == stdout);
        for ((layer, _), output) in written.iter().zip(&mut outputs) {
            layer.fill(output)?;
        }
        for output in blobs.into_iter().chain(outputs) {
            output.commit()?;
        }
        for (layer, file) in told {
            layer.write(file)?;
        }
        Ok(())
    }

    /// What is known of a layer that need not be read; with what is wanted, and without what is not.
    fn known(&self, recipe: &Recipe) -> Option<LayerFile> {
        // Their bytes are wanted, not only what they are.
        if !self.blobs.is_empty() {
            return None;
        }
        let remembered = || self.memory.get(recipe, self.packing);
        let known = self.known.get(recipe, self.packing).cloned().or_else(remembered)?;
        match self.tarsum {
            true => Some(known).filter(|layer| layer.tarsum.is_some()),
            false => Some(LayerFile { tarsum: None, ..known }),
        }
    }

    /// Layer files of layers that are read now, without blob and recipe; the blobs go into `outputs`, if there are any.
    fn make(&self, sources: &[Source], outputs: &[Output], common: &Common) -> Result<Vec<LayerFile>> {
        let sums = if self.tarsum { tarsums(sources)? } else { vec![None; sources.len()] };
        let references: Vec<&Source> = sources.iter().collect();
        let layers: Vec<LayerFile> = match self.packing {
            None => {
                let digests = self.digests(&references, outputs, common)?;
                references.iter().zip(digests).map(|(source, id)| LayerFile::new(id, source.size())).collect()
            }
            Some(packing) => {
                let packed = self.packed(packing, &references, outputs, common)?;
                let layers = references.iter().zip(&packed);
                layers.map(|(source, packed)| LayerFile::packed(packed, source.size(), packing)).collect()
            }
        };
        Ok(layers.into_iter().zip(sums).map(|(layer, tarsum)| LayerFile { tarsum, ..layer }).collect())
    }

    fn digests(&self, sources: &[&Source], outputs: &[Output], common: &Common) -> Result<Vec<Digest>> {
        let sink = |index: usize, offset: u64, bytes: &[u8]| match outputs.get(index) {
            None => Ok(()),
            Some(output) => {
                let blob = &self.blobs[index];
                output.write_all_at(bytes, offset).map_err(layerstone_layer::Error::write(blob))
            }
        };
        let bytes = sources.iter().map(|source| source.size()).sum();
        let digest = |meter: &_| digest_all(sources, &sink, meter);
        Ok(common.progress().during("hashing", Some(bytes), sources.len(), digest)?)
    }

    fn packed(
        &self,
        packing: Packing,
        sources: &[&Source],
        outputs: &[Output],
        common: &Common,
    ) -> Result<Vec<Packed>> {
        let output = |index: usize| -> (Box<dyn Write + Send + '_>, &Path) {
            match outputs.get(index) {
                None => (Box::new(io::sink()), Path::new("nowhere")),
                Some(output) => (Box::new(output.file()), &self.blobs[index]),
            }
        };
        let bytes = sources.iter().map(|source| source.size()).sum();
        let threads = rayon::current_num_threads();
        let pack = |meter: &_| Team::with(packing, threads, |team| pack_all(sources, team, &output, meter));
        Ok(common.progress().during("compressing", Some(bytes), sources.len(), pack)?)
    }
}

fn tarsums(sources: &[Source]) -> Result<Vec<Option<String>>> {
    sources.par_iter().map(|source| Ok(Some(tarsum(source.reader()?)?))).collect()
}
