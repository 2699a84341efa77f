//! Builds the image of a spec: opens what it builds on, runs the stages, and remembers what came of them.

use crate::build_cache::StoreLayer;
use crate::build_state::layer_of;
use crate::error::Context;
use crate::image::oci::put_layers_of;
use crate::image::{Built, WriteOptions, write};
use crate::image_layer::ImageLayer;
use crate::open_target::Arrived;
use crate::strategy::strategy_of;
use crate::{BaseImage, BuildCache, BuildState, CacheOptions, CompressionChoice, Report, Result, ScriptOptions};
use layerstone_image::MaxUnpacked;
use layerstone_layer::{CompressionParams, LayerFile, Source};
use layerstone_layering::{Patterns, PlanBase, Previous, Settings, Strategy};
use layerstone_oci::{Destination, Location, Reference};
use layerstone_spec::{ImageKind, Spec};
use layerstone_store::{Scratch, Store};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

/// What images are built with besides their specs.
#[derive(Clone)]
pub struct BuildOptions<'a> {
    /// Where store paths are read.
    pub store: &'a Store,
    /// Directory that keeps the plan and the layer files for the next build.
    pub state: Option<PathBuf>,
    /// What a plan keeps together.
    pub plan: PlanOptions,
    /// The base image; none for the one that the spec names, if any.
    pub base: Option<Location>,
    /// Bytes that a base may have when it is unpacked.
    pub max_unpacked: MaxUnpacked,
    /// Where root scripts run.
    pub scripts: ScriptOptions,
    /// How layers are compressed.
    pub compression: CompressionChoice,
    /// Where layers are cached.
    pub cache: CacheOptions,
    /// Receives warnings, notices and progress.
    pub report: &'a dyn Report,
}

/// What a plan keeps together, besides what its strategy and the spec say.
#[derive(Clone, Debug, Default)]
pub struct PlanOptions {
    /// The plan of the image before, whose layers are kept.
    pub previous: Option<PathBuf>,
    /// Paths that get a layer of their own, for each layer.
    pub pinned: Vec<Patterns>,
    /// Bytes below which layers are joined; none for what the spec says.
    pub min_size: Option<u64>,
}

impl PlanOptions {
    /// Settings with these options over them.
    ///
    /// # Errors
    ///
    /// The previous plan cannot be read.
    pub fn over(&self, settings: Settings) -> Result<Settings> {
        Ok(Settings {
            previous: self.previous.as_deref().map(Previous::read).transpose()?.or(settings.previous),
            pinned: if self.pinned.is_empty() { settings.pinned } else { self.pinned.clone() },
            min_size: self.min_size.unwrap_or(settings.min_size),
            ..settings
        })
    }
}

impl<'a> BuildOptions<'a> {
    /// No base but the spec's, no cache, no state, gzip; reports go to `report`.
    pub fn new(store: &'a Store, report: &'a dyn Report) -> BuildOptions<'a> {
        BuildOptions {
            store,
            state: None,
            plan: PlanOptions::default(),
            base: None,
            max_unpacked: MaxUnpacked::default(),
            scripts: ScriptOptions::default(),
            compression: CompressionChoice::default(),
            cache: CacheOptions::default(),
            report,
        }
    }
}

/// The image of one spec, about to be built: everything that it builds on is open.
pub struct Builder<'a> {
    pub(crate) spec: &'a Spec,
    /// How its store paths are divided; which of them the base holds.
    pub(crate) settings: Settings,
    pub(crate) base: Option<BaseImage>,
    pub(crate) store: &'a Store,
    pub(crate) scripts: &'a ScriptOptions,
    pub(crate) state: Option<BuildState>,
    pub(crate) cache: BuildCache<'a>,
    /// How layers are compressed where an image has layers that are.
    pub(crate) packing: Option<CompressionParams>,
    pub(crate) compression: CompressionChoice,
    pub(crate) report: &'a dyn Report,
}

/// An image that is in a destination, but for its name there.
pub struct Brought {
    /// What it is there.
    pub arrived: Arrived,
    /// What it calls itself; none if it does not.
    pub name: Option<Reference>,
    /// Where the bytes of some of its layers are, for whoever makes them only when they are asked for.
    pub scratch: Option<Scratch>,
}

impl<'a> Builder<'a> {
    /// Opens what the image of a spec is built on. `several` tells that the spec is one of several of an image.json.
    ///
    /// # Errors
    ///
    /// The base, the cache, the state or the strategy cannot be read, or the base leaves no layer.
    pub fn open(
        spec: &'a Spec,
        strategy: Strategy,
        several: bool,
        options: &'a BuildOptions<'a>,
    ) -> Result<Builder<'a>> {
        let BuildOptions { store, report, compression, .. } = *options;
        let state = options.state.as_deref().map(|directory| BuildState::open(directory, several.then_some(spec)));
        let state = state.transpose()?;
        let base = options.base.as_ref().or(spec.from_image.as_ref());
        let base = base.map(|base| BaseImage::open(base, Some(spec), options.max_unpacked, report)).transpose()?;
        let cache = options.cache.open(store, report)?;
        let mut settings = settings(spec, strategy, base.as_ref(), store)?;
        settings.previous = state.as_ref().map(BuildState::previous).transpose()?.flatten();
        let settings = options.plan.over(settings)?;
        let packing = compression.of_layers(None);
        let scripts = &options.scripts;
        Ok(Builder { spec, settings, base, store, scripts, state, cache, packing, compression, report })
    }

    /// The same with the strategy of the spec; `name` is the spec's file, for messages.
    ///
    /// # Errors
    ///
    /// Those of [`Builder::open`].
    pub fn of_spec(spec: &'a Spec, name: &Path, several: bool, options: &'a BuildOptions<'a>) -> Result<Builder<'a>> {
        Builder::open(spec, strategy_of(spec, &name.display().to_string())?, several, options)
    }

    /// Builds the image and writes it: all stages, one after the other.
    ///
    /// # Errors
    ///
    /// A stage fails. What is there then is what was there before, but for blobs of a registry or a layout.
    pub fn build(&self, to: &WriteOptions<'_>) -> Result<Built> {
        let scratch = Scratch::create(&std::env::temp_dir())?;
        self.write(self.layers(&scratch)?, to)
    }

    /// Writes the image of these layers, which [`Builder::layers`] made.
    ///
    /// # Errors
    ///
    /// A layer is not what it was, or the image cannot be written.
    pub fn write(&self, layers: Vec<ImageLayer>, to: &WriteOptions<'_>) -> Result<Built> {
        self.finish(layers, |layers| write(self.spec, self.base.as_ref(), layers, to, &self.cache, self.report))
    }

    /// Builds the image and puts all of it but its name into a destination.
    ///
    /// # Errors
    ///
    /// A stage fails, or the destination refuses.
    pub fn put(&self, destination: &dyn Destination, uploads: usize) -> Result<Brought> {
        let scratch = Scratch::create(&std::env::temp_dir())?;
        let mut arrived = None;
        let built = self.finish(self.layers(&scratch)?, |layers| {
            let how = (self.compression, uploads);
            let base = self.base.as_ref();
            let put = put_layers_of(self.spec, base, layers, destination, how, &self.cache, self.report)?;
            let reference = self.spec.reference()?.for_image(&put.image_id).to_string();
            let built = Built::of(reference, &put, base);
            arrived = Some(put);
            Ok(built)
        })?;
        let arrived = arrived.expect("it was put");
        Ok(Brought { arrived, name: Some(Reference::unchecked(&built.reference)), scratch: Some(scratch) })
    }

    /// Passes layers to `write`, and stores the result in cache and state.
    fn finish(&self, layers: Vec<ImageLayer>, write: impl FnOnce(Vec<ImageLayer>) -> Result<Built>) -> Result<Built> {
        let of_store = StoreLayer::among(&layers);
        let built = write(layers).map_err(|error| self.cache.explain(error, &of_store))?;
        self.remember(&of_store, &built)?;
        Ok(built)
    }

    /// Remembers the layers of the store that an image was built of.
    fn remember(&self, layers: &[StoreLayer], built: &Built) -> Result<()> {
        let files: Vec<LayerFile> =
            (0..).zip(layers).map(|(index, layer)| layer_of(built, index, layer, self.packing)).collect();
        for (layer, file) in layers.iter().zip(&files) {
            if let Source::Layout(_) = layer.source {
                self.cache.put(&layer.recipe, file, &layer.source)?;
            }
        }
        self.cache.finish();
        if let Some(state) = self.state.as_ref().filter(|_| built.manifest.is_some())
            && let Err(error) = state.remember(files)
        {
            // The image is where it should be.
            self.report.warn(format_args!("not remembered for the next build: {}", error.chain_text()));
        }
        Ok(())
    }
}

/// How a spec wants its store paths to be divided, by this strategy, over a base.
///
/// # Errors
///
/// The base cannot be read, or leaves no layer for store paths.
pub fn settings(spec: &Spec, strategy: Strategy, base: Option<&BaseImage>, store: &Store) -> Result<Settings> {
    let base = match base {
        None => PlanBase::default(),
        Some(base) => {
            let paths = base.held(store.dir())?.paths.into_keys().collect();
            PlanBase { layers: base.image.layers.len(), paths }
        }
    };
    let left = match spec.kind {
        ImageKind::Layered => spec.store_layers(base.layers + usize::from(spec.run_as_root.is_some()))?,
        ImageKind::Single => 1,
    };
    let limit = NonZeroUsize::new(left + base.layers).context("no layer left for store paths")?;
    Ok(Settings { strategy, base, min_size: spec.min_layer_size, ..Settings::new(limit) })
}

/// What no single key of a spec tells.
///
/// # Errors
///
/// Two keys contradict each other, or the name is none.
pub fn check_spec(spec: &Spec) -> Result<()> {
    if spec.run_as_root.is_some() && spec.kind == ImageKind::Single && spec.fake_root_commands.is_some() {
        bail!("fakeRootCommands: found runAsRoot too, expected one of them in an image of kind \"single\"");
    }
    spec.reference()?;
    Ok(())
}
