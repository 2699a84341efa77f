//! Layers read, hashed, compressed and written; what is cached is not read again.

use crate::record::{Record, Written};
use crate::report::title_of_paths;
use crate::{BuildCache, ErofsCache, PriorLayers, Report, Result};
use layerstone_layer::{
    BlobCache, CompressedBlob, CompressionParams, CompressorPool, History, Layer, LayerFile, LayerLookup, Recipe,
    Source, compress_all, digest_all, store_layout,
};
use layerstone_store::{Digest, Output, Store, StorePath};
use layerstone_tar::{Owner, tarsum};
use rayon::prelude::*;
use std::borrow::Borrow;
use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// Layers to make, and their files; with blobs, one each.
pub struct LayersToMake<'a> {
    /// What makes them.
    pub recipes: Vec<Recipe>,
    /// Layer files, one a recipe; `-` is stdout.
    pub files: Vec<PathBuf>,
    /// Blobs, one a recipe or none at all.
    pub blobs: Vec<PathBuf>,
    /// Whether docker's tarsums are computed.
    pub tarsum: bool,
    /// What the history says of each of them.
    pub history: History,
    /// How blobs are compressed.
    pub compression: Option<CompressionParams>,
    /// Layer files of an earlier run.
    pub prior: PriorLayers,
    /// The cache.
    pub cache: &'a BuildCache<'a>,
    /// Where the layers are kept as file systems.
    pub erofs_cache: Option<&'a ErofsCache>,
    /// What an earlier run wrote into the directory of all of them, if they have one.
    pub record: Option<Record>,
}

impl LayersToMake<'_> {
    /// Reads everything and writes everything under temporary names before anything appears: after an error no output
    /// has changed.
    pub fn run(self, store: &Store, report: &dyn Report) -> Result<()> {
        let stdout = Path::new("-");
        let written: Vec<PathBuf> = self.files.iter().filter(|file| *file != stdout).cloned().collect();
        let create_all = |paths: &[PathBuf]| match &self.record {
            Some(record) => record.create_all(paths),
            None => Ok(Output::create_all(paths)?),
        };
        // First, so that a bad path is an error before anything is read.
        let mut outputs = create_all(&written)?;
        let blobs = create_all(&self.blobs)?;
        let cached = self.recipes.par_iter().enumerate().map(|(index, recipe)| self.cached(recipe, blobs.get(index)));
        let cached: Vec<Option<LayerFile>> = cached.collect::<Result<_>>()?;
        for (recipe, known) in self.recipes.iter().zip(&cached) {
            self.cache.log(recipe, self.compression, known.as_ref());
        }
        let new: Vec<usize> = (0..cached.len()).filter(|index| cached[*index].is_none()).collect();
        let recipes: Vec<&Recipe> = new.iter().map(|index| &self.recipes[*index]).collect();
        let sources = report.stage("sizes of layers", || layouts(&recipes, self.cache, store))?;
        let blob_of = |index: &usize| Some(BlobFile { output: blobs.get(*index)?, path: &self.blobs[*index] });
        let blob_files: Vec<Option<BlobFile<'_>>> = new.iter().map(blob_of).collect();
        let titles = recipes.iter().map(|recipe| title_of_paths(&recipe.paths)).collect();
        let made = self.make(&sources, titles, &blob_files, report)?;
        for (((recipe, layer), source), file) in recipes.iter().zip(&made).zip(&sources).zip(&blob_files) {
            self.cache.put(recipe, layer, source)?;
            if let (Some(file), Some(blobs)) = (file, self.blob_cache()) {
                blobs.copy(file.output.file(), &layer.descriptor.digest, layer.descriptor.size);
            }
        }
        self.cache.finish();
        let mut made = made.into_iter();
        let mut layers = Vec::new();
        for ((index, recipe), cached) in self.recipes.iter().enumerate().zip(cached) {
            let mut layer = cached.or_else(|| made.next()).expect("what is not cached was made");
            layer.store_paths.clone_from(&recipe.paths);
            layer.history = self.history.clone();
            match self.blobs.get(index) {
                Some(blob) => layer.set_blob(&self.files[index], blob)?,
                None => layer.recipe = Some(recipe.clone()),
            }
            layers.push(layer);
        }
        if let Some(erofs_cache) = self.erofs_cache {
            erofs_cache.add(&mut self.tars(&layers, store), report)?;
        }
        let (printed, written): (Vec<_>, Vec<_>) =
            layers.iter().zip(&self.files).partition(|(_, file)| *file == stdout);
        for ((layer, _), output) in written.iter().zip(&mut outputs) {
            layer.fill(output)?;
        }
        let written = self.record.as_ref().map(|_| written_of(&layers, &blobs, &outputs)).transpose()?;
        let all: Vec<Output> = blobs.into_iter().chain(outputs).collect();
        match self.record.zip(written) {
            Some((record, written)) => record.replace(all, written)?,
            None => Output::commit_all(all)?,
        }
        for (layer, file) in printed {
            layer.write(file)?;
        }
        Ok(())
    }

    /// The layers of these layer files as tars, which are laid out when they are read.
    fn tars(&self, layers: &[LayerFile], store: &Store) -> Vec<Layer> {
        let tar = |(recipe, layer): (&Recipe, &LayerFile)| {
            let source = Source::lazy(store, recipe, layer.size);
            Layer::of_tar(source, Some(layer.diff_id), title_of_paths(&recipe.paths))
        };
        self.recipes.iter().zip(layers).map(tar).collect()
    }

    /// Where compressed layers are kept, if the blobs are compressed.
    fn blob_cache(&self) -> Option<&BlobCache> {
        self.cache.blobs.as_ref().filter(|_| self.compression.is_some())
    }

    /// The layer file of a layer that need not be read; with what is wanted, and without what is not. Its blob, if that is
    /// wanted too, must be cached, and is copied.
    fn cached(&self, recipe: &Recipe, blob: Option<&Output>) -> Result<Option<LayerFile>> {
        let prior = self.prior.get(recipe, self.compression);
        let Some(mut layer) = prior.or_else(|| self.cache.get(recipe, self.compression)) else { return Ok(None) };
        if self.tarsum && layer.tarsum.is_none() {
            return Ok(None);
        }
        if !self.tarsum {
            (layer.tarsum, layer.recipe) = (None, None);
        }
        if let Some(output) = blob {
            let blobs = self.blob_cache();
            let Some(part) = blobs.and_then(|blobs| blobs.find(&layer.descriptor.digest)) else { return Ok(None) };
            let copied = io::copy(&mut part.reader(), &mut output.file());
            copied.map_err(layerstone_layer::Error::write(output.destination()))?;
            layer.recipe = None;
        }
        Ok(Some(layer))
    }

    /// Layer files of layers that are read now, without blob and recipe; the blobs go to `blob_files`, if there are any.
    fn make(
        &self,
        sources: &[Source],
        titles: Vec<String>,
        blob_files: &[Option<BlobFile<'_>>],
        report: &dyn Report,
    ) -> Result<Vec<LayerFile>> {
        let sums = if self.tarsum { tarsums(sources)? } else { vec![None; sources.len()] };
        let references: Vec<&Source> = sources.iter().collect();
        let layers: Vec<LayerFile> = match self.compression {
            None => {
                let digests = digests(&references, titles, blob_files, report)?;
                references.iter().zip(digests).map(|(source, id)| LayerFile::new(id, source.size())).collect()
            }
            Some(compression) => {
                let blobs = compressed(compression, &references, titles, blob_files, report)?;
                let layers = references.iter().zip(&blobs);
                layers.map(|(source, blob)| LayerFile::compressed(blob, source.size(), compression)).collect()
            }
        };
        Ok(layers.into_iter().zip(sums).map(|(layer, tarsum)| LayerFile { tarsum, ..layer }).collect())
    }
}

/// One recipe a layer.
pub fn recipes(
    layers: &[Vec<StorePath>],
    store: &Store,
    mtime: i64,
    owner: &Owner,
    xattrs: bool,
) -> Result<Vec<Recipe>> {
    for path in layers.iter().flatten() {
        store.parse(path.as_str())?;
    }
    let recipe = |paths: &Vec<StorePath>| Recipe {
        store: store.dir().to_owned(),
        paths: paths.clone(),
        mtime,
        owner: owner.clone(),
        xattrs,
    };
    Ok(layers.iter().map(recipe).collect())
}

/// Layouts of recipes; noting what files are, if it is to be remembered.
pub fn layouts<R: Borrow<Recipe> + Sync>(recipes: &[R], cache: &BuildCache<'_>, store: &Store) -> Result<Vec<Source>> {
    let layouts = recipes.par_iter().map(|recipe| {
        let layout = store_layout(store, recipe.borrow())?;
        Ok(Source::from(if cache.layers.is_some() { layout.with_content_sums() } else { layout }))
    });
    layouts.collect()
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
struct BlobFile<'a> {
    output: &'a Output,
    path: &'a Path,
}

fn digests(
    sources: &[&Source],
    titles: Vec<String>,
    blob_files: &[Option<BlobFile<'_>>],
    report: &dyn Report,
) -> Result<Vec<Digest>> {
    let sink = |index: usize, offset: u64, bytes: &[u8]| match &blob_files[index] {
        None => Ok(()),
        Some(BlobFile { output, path }) => {
            output.write_all_at(bytes, offset).map_err(layerstone_layer::Error::write(path))
        }
    };
    let bytes = sources.iter().map(|source| source.size()).sum();
    let digest = |meter: &_| digest_all(sources, &sink, meter);
    Ok(report.during("hashing", Some(bytes), titles, digest)?)
}

fn compressed(
    compression: CompressionParams,
    sources: &[&Source],
    titles: Vec<String>,
    blob_files: &[Option<BlobFile<'_>>],
    report: &dyn Report,
) -> Result<Vec<CompressedBlob>> {
    let output = |index: usize| -> (Box<dyn Write + Send + '_>, &Path) {
        match &blob_files[index] {
            None => (Box::new(io::sink()), Path::new("nowhere")),
            Some(BlobFile { output, path }) => (Box::new(output.file()), *path),
        }
    };
    let bytes = sources.iter().map(|source| source.size()).sum();
    let threads = rayon::current_num_threads();
    let compress =
        |meter: &_| CompressorPool::with(compression, threads, |pool| compress_all(sources, pool, &output, meter));
    Ok(report.during("compressing", Some(bytes), titles, compress)?)
}

fn tarsums(sources: &[Source]) -> Result<Vec<Option<String>>> {
    sources.par_iter().map(|source| Ok(Some(tarsum(source.reader()?)?))).collect()
}
