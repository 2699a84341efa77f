//! Layers read, hashed, compressed and written; what is known of some is not read again.

use super::layouts;
use crate::args::Common;
use crate::known::Known;
use crate::memory::Memory;
use crate::record::{Record, Written};
use anyhow::Result;
use layerstone_layer::{
    CompressedBlob, CompressionParams, CompressorPool, LayerFile, Recipe, Source, compress_all, digest_all,
};
use layerstone_store::{Digest, Output, Store};
use layerstone_tar::tarsum;
use rayon::prelude::*;
use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// Layers to make, and their files; with blobs, one each.
pub struct Job<'a> {
    pub recipes: Vec<Recipe>,
    pub files: Vec<PathBuf>,
    pub blobs: Vec<PathBuf>,
    pub tarsum: bool,
    pub packing: Option<CompressionParams>,
    pub known: Known,
    pub memory: &'a Memory,
    /// What an earlier run wrote into the folder of all of them, if they have one.
    pub record: Option<Record>,
}

impl Job<'_> {
    /// Reads everything and writes everything under temporary names before anything appears: after an error no output
    /// has changed.
    pub fn run(self, store: &Store, common: &Common) -> Result<()> {
        let stdout = Path::new("-");
        let written: Vec<&PathBuf> = self.files.iter().filter(|file| *file != stdout).collect();
        // First, so that a bad place is told before anything is read.
        let mut outputs = Output::create_all(&written)?;
        let blobs = Output::create_all(&self.blobs)?;
        let known = self.recipes.par_iter().enumerate().map(|(index, recipe)| self.known(recipe, blobs.get(index)));
        let known: Vec<Option<LayerFile>> = known.collect::<Result<_>>()?;
        let unknown: Vec<usize> = (0..known.len()).filter(|index| known[*index].is_none()).collect();
        let recipes: Vec<&Recipe> = unknown.iter().map(|index| &self.recipes[*index]).collect();
        let sources = layouts(&recipes, self.memory, store)?;
        let places: Vec<Option<Place<'_>>> = unknown.iter().map(|index| self.place(*index, &blobs)).collect();
        let made = self.make(&sources, &places, common)?;
        for (((recipe, layer), source), place) in recipes.iter().zip(&made).zip(&sources).zip(&places) {
            self.memory.put(recipe, layer, source)?;
            if let (Some(place), Some(kept)) = (place, self.memory.blobs().filter(|_| self.packing.is_some())) {
                let descriptor = &layer.descriptor;
                kept.copy(place.output.file(), &descriptor.digest, descriptor.size);
            }
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
        let written = self.record.as_ref().map(|_| written_of(&layers, &blobs, &outputs)).transpose()?;
        let all: Vec<Output> = blobs.into_iter().chain(outputs).collect();
        match self.record.zip(written) {
            Some((record, written)) => record.replace(all, written)?,
            None => Output::commit_all(all)?,
        }
        for (layer, file) in told {
            layer.write(file)?;
        }
        Ok(())
    }

    /// Where the blob of a layer goes, if it goes anywhere.
    fn place<'b>(&'b self, index: usize, outputs: &'b [Output]) -> Option<Place<'b>> {
        Some(Place { output: outputs.get(index)?, path: &self.blobs[index] })
    }

    /// What is known of a layer that need not be read; with what is wanted, and without what is not. Its blob, if that is
    /// wanted too, must be kept, and is copied.
    fn known(&self, recipe: &Recipe, blob: Option<&Output>) -> Result<Option<LayerFile>> {
        let remembered = || self.memory.get(recipe, self.packing);
        let known = self.known.get(recipe, self.packing).cloned().or_else(remembered);
        let known = match self.tarsum {
            true => known.filter(|layer| layer.tarsum.is_some()),
            false => known.map(|known| LayerFile { tarsum: None, recipe: None, ..known }),
        };
        let (Some(known), Some(output)) = (&known, blob) else { return Ok(known) };
        let kept = self.memory.blobs().filter(|_| self.packing.is_some());
        let Some(part) = kept.and_then(|kept| kept.find(&known.descriptor.digest)) else { return Ok(None) };
        let copied = io::copy(&mut part.reader(), &mut output.file());
        copied.map_err(layerstone_layer::Error::write(output.destination()))?;
        Ok(Some(LayerFile { recipe: None, ..known.clone() }))
    }

    /// Layer files of layers that are read now, without blob and recipe; the blobs go to `places`, where there are any.
    fn make(&self, sources: &[Source], places: &[Option<Place<'_>>], common: &Common) -> Result<Vec<LayerFile>> {
        let sums = if self.tarsum { tarsums(sources)? } else { vec![None; sources.len()] };
        let references: Vec<&Source> = sources.iter().collect();
        let layers: Vec<LayerFile> = match self.packing {
            None => {
                let digests = digests(&references, places, common)?;
                references.iter().zip(digests).map(|(source, id)| LayerFile::new(id, source.size())).collect()
            }
            Some(packing) => {
                let packed = packed(packing, &references, places, common)?;
                let layers = references.iter().zip(&packed);
                layers.map(|(source, packed)| LayerFile::compressed(packed, source.size(), packing)).collect()
            }
        };
        Ok(layers.into_iter().zip(sums).map(|(layer, tarsum)| LayerFile { tarsum, ..layer }).collect())
    }
}

/// What is about to be written, by name.
fn written_of(layers: &[LayerFile], blobs: &[Output], files: &[Output]) -> Result<BTreeMap<String, Written>> {
    let name = |output: &Output| output.destination().file_name().unwrap_or_default().to_string_lossy().into_owned();
    let blobs = blobs.iter().zip(layers).map(|(output, layer)| {
        let written = Written { digest: layer.descriptor.digest, size: layer.descriptor.size };
        Ok((name(output), written))
    });
    let files = files.iter().map(|output| Ok((name(output), Written::of(output)?)));
    blobs.chain(files).collect()
}

/// Where a blob goes.
struct Place<'a> {
    output: &'a Output,
    path: &'a Path,
}

fn digests(sources: &[&Source], places: &[Option<Place<'_>>], common: &Common) -> Result<Vec<Digest>> {
    let sink = |index: usize, offset: u64, bytes: &[u8]| match &places[index] {
        None => Ok(()),
        Some(Place { output, path }) => {
            output.write_all_at(bytes, offset).map_err(layerstone_layer::Error::write(path))
        }
    };
    let bytes = sources.iter().map(|source| source.size()).sum();
    let digest = |progress: &_| digest_all(sources, &sink, progress);
    Ok(common.progress().during("hashing", Some(bytes), sources.len(), digest)?)
}

fn packed(
    packing: CompressionParams,
    sources: &[&Source],
    places: &[Option<Place<'_>>],
    common: &Common,
) -> Result<Vec<CompressedBlob>> {
    let output = |index: usize| -> (Box<dyn Write + Send + '_>, &Path) {
        match &places[index] {
            None => (Box::new(io::sink()), Path::new("nowhere")),
            Some(Place { output, path }) => (Box::new(output.file()), *path),
        }
    };
    let bytes = sources.iter().map(|source| source.size()).sum();
    let threads = rayon::current_num_threads();
    let pack =
        |progress: &_| CompressorPool::with(packing, threads, |pool| compress_all(sources, pool, &output, progress));
    Ok(common.progress().during("compressing", Some(bytes), sources.len(), pack)?)
}

fn tarsums(sources: &[Source]) -> Result<Vec<Option<String>>> {
    sources.par_iter().map(|source| Ok(Some(tarsum(source.reader()?)?))).collect()
}
