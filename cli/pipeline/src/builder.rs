//! Builds the image of a spec: opens what it builds on, runs the stages, and remembers what came of them.

use crate::base_image::wanted_for;
use crate::build_state::layer_of;
use crate::companion::Companions;
use crate::destination::WriteOptions;
use crate::error::{Context, chain_text};
use crate::image::{Built, Checks, check_architecture, image_of, write, write_to};
use crate::known_layers::KnownLayers;
use crate::oci_destination::{PutManifest, Unnamed};
use crate::provenance::MadeStages;
use crate::strategy::strategy_of;
use crate::{
    BaseImage, BaseNeeds, BuildCache, BuildState, CacheOptions, CompressionChoice, ErofsCache, ImageTarget,
    LayersBelow, Opener, Origin, PlanOptions, PreviousImages, PreviousPlan, Registries, Report, Result, ScriptOptions,
};
use layerstone_attestation::PublicKey;
use layerstone_layer::{Layer, LayerFile, Source};
use layerstone_layering::{PlanBase, Settings, Strategy};
use layerstone_oci::{BlobStore, Image, Place, PutImage, Reference};
use layerstone_root::SandboxOptions;
use layerstone_spec::{ImageKind, Spec};
use layerstone_store::{Limits, Scratch, Store};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

/// What images are built with besides their specs.
#[derive(Clone)]
pub struct BuildOptions<'a> {
    /// Where store paths are read.
    pub store: &'a Store,
    /// Directory that keeps the plan and the layer files for the next build.
    pub state: Option<PathBuf>,
    /// Whether that directory stays as it is.
    pub keeps_state: bool,
    /// What a plan keeps together.
    pub plan: PlanOptions,
    /// Whether layers of a base go as they are to where the image goes.
    pub takes_blobs: bool,
    /// Where the image goes and what it is called there, if not as its spec says: a previous plan may be that of the image
    /// that it replaces.
    pub replaces: Option<(ImageTarget, Option<Reference>)>,
    /// The base image; none for the one that the spec names, if any.
    pub base: Option<Place>,
    /// How registries are talked to in which bases are.
    pub registries: &'a Registries,
    /// Bytes that a base may have when it is unpacked.
    pub limits: Limits,
    /// Where root scripts run.
    pub scripts: ScriptOptions,
    /// What other scripts are given of the machine.
    pub sandbox: SandboxOptions,
    /// How layers are compressed.
    pub compression: CompressionChoice,
    /// Where layers are cached.
    pub cache: CacheOptions,
    /// The image whose layers are taken as they are where they were made the same way.
    pub known: Option<PreviousPlan>,
    /// Directory that keeps the layers as file systems, for containerd.
    pub erofs_cache: Option<PathBuf>,
    /// Whether the image is checked before it is written.
    pub checks: Checks,
    /// What it is published with.
    pub companions: Companions,
    /// One of these keys must have signed the base, and what is copied; none if nobody need.
    pub verify_keys: Vec<PublicKey>,
    /// Receives warnings, notices and progress.
    pub report: &'a dyn Report,
}

impl<'a> BuildOptions<'a> {
    /// No base but the spec's, no cache, no state, gzip; reports go to `report`.
    pub fn new(store: &'a Store, registries: &'a Registries, report: &'a dyn Report) -> BuildOptions<'a> {
        BuildOptions {
            store,
            registries,
            state: None,
            keeps_state: false,
            takes_blobs: false,
            plan: PlanOptions::default(),
            replaces: None,
            base: None,
            limits: Limits::default(),
            scripts: ScriptOptions::default(),
            sandbox: SandboxOptions::default(),
            compression: CompressionChoice::default(),
            cache: CacheOptions::default(),
            known: None,
            erofs_cache: None,
            checks: Checks::default(),
            companions: Companions::default(),
            verify_keys: Vec::new(),
            report,
        }
    }

    /// How the image before that of a spec is found and read.
    fn previous_images(&self, spec: &Spec) -> Result<PreviousImages<'a>> {
        let flags = [("--previous", &self.plan.previous), ("--known", &self.known)];
        let flag = flags.into_iter().find(|(_, image)| **image == Some(PreviousPlan::Replaced));
        let replaced = match (&self.replaces, flag) {
            (Some((target, name)), Some((flag, _))) => {
                target.replaced(name.as_ref().or(spec.reference().ok().as_ref()), flag)?
            }
            _ => None,
        };
        let wanted = wanted_for(Some(spec));
        Ok(PreviousImages { replaced, store_dir: self.store.dir(), wanted, opener: self.opener() })
    }

    /// What the image of a spec needs of its base. Where its layers are blobs, and nothing is put over its files or looked for
    /// among them, they need not be here.
    fn needs_of_base(&self, spec: &Spec) -> BaseNeeds {
        let is_bare =
            spec.contents.is_empty() && spec.copy.is_empty() && spec.helpers.is_empty() && spec.perms.is_empty();
        let has_script = [&spec.script, &spec.fake_root_commands, &spec.run_as_root].into_iter().any(Option::is_some);
        // A bill lists the packages of the base.
        let reads_files = self.checks == Checks::Strict || self.companions.sbom.is_some();
        let takes_blobs = self.takes_blobs && !reads_files && self.erofs_cache.is_none();
        match takes_blobs && is_bare && !has_script && !spec.include_nix_db && spec.kind == ImageKind::Layered {
            true => BaseNeeds::Description,
            false => BaseNeeds::Files,
        }
    }

    /// How images are opened that are built on, or copied.
    pub(crate) fn opener(&self) -> Opener<'a> {
        Opener {
            registries: self.registries,
            limits: self.limits,
            cache: self.cache.clone(),
            verify_keys: self.verify_keys.clone(),
            report: self.report,
        }
    }
}

/// The image of one spec, about to be built: everything that it builds on is open.
pub struct Builder<'a> {
    pub(crate) spec: &'a Spec,
    /// How its store paths are divided; which of them the base has.
    pub(crate) settings: Settings,
    pub(crate) base: Option<BaseImage>,
    /// Layers that are made already, over the base.
    pub(crate) below: LayersBelow,
    pub(crate) state: Option<BuildState>,
    /// Layers of an image that is there already.
    pub(crate) known: Option<KnownLayers>,
    pub(crate) cache: BuildCache<'a>,
    erofs_cache: Option<ErofsCache>,
    /// What the stages made that is no layer, if that is to be told.
    pub(crate) made: MadeStages,
    pub(crate) options: &'a BuildOptions<'a>,
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
        let BuildOptions { store, report, .. } = *options;
        let state = options.state.as_deref().map(|directory| BuildState::open(directory, several.then_some(spec)));
        let state = state.transpose()?;
        let base = options.base.as_ref().or(spec.from_image.as_ref());
        let base = base
            .map(|base| BaseImage::open(base, Some(spec), options.needs_of_base(spec), &options.opener()))
            .transpose()?;
        if let Some(base) = &base {
            check_architecture(spec, base, options.checks, report)?;
        }
        let cache = options.cache.open(store, report)?;
        let below = LayersBelow::read(&spec.layers)?;
        below.warn_of_twins(report);
        let mut settings = settings(spec, strategy, base.as_ref(), &below, store)?;
        if let Some(state) = &state {
            settings.previous = state.previous()?;
            settings.rates = state.rates()?.unwrap_or_default();
        }
        let images = options.previous_images(spec)?;
        let settings = options.plan.over(settings, &images)?;
        let known = options.known.as_ref().map(|known| known.layers(&images)).transpose()?;
        let erofs_cache =
            options.erofs_cache.as_deref().map(|path| ErofsCache::open(path, options.limits)).transpose()?;
        Ok(Builder {
            spec,
            settings,
            base,
            below,
            state,
            known,
            cache,
            erofs_cache,
            made: MadeStages::default(),
            options,
        })
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
    /// A stage fails. The target is what it was before then, but for blobs of a registry or a layout.
    pub fn build(&self, to: &WriteOptions<'_>) -> Result<Built> {
        let scratch = Scratch::create(&std::env::temp_dir())?;
        self.write(self.layers(&scratch)?, to)
    }

    /// Writes the image of these layers, which [`Builder::layers`] made.
    ///
    /// # Errors
    ///
    /// A layer is not what it was, or the image cannot be written.
    pub fn write(&self, layers: Vec<Layer>, to: &WriteOptions<'_>) -> Result<Built> {
        self.finish(layers, |layers| {
            write(self.spec, self.base.as_ref(), layers, to, self.checked(), &self.cache, self.options.report)
        })
    }

    /// Builds the image and puts all of it but its name into a store of blobs.
    ///
    /// # Errors
    ///
    /// A stage fails, or the store refuses.
    pub fn put(&self, store: &dyn BlobStore, uploads: usize) -> Result<PutManifest> {
        let scratch = Scratch::create(&std::env::temp_dir())?;
        let to = Unnamed { store, compression: self.options.compression, uploads };
        let mut all = Vec::new();
        let built = self.finish(self.layers(&scratch)?, |layers| {
            let image = image_of(self.spec, self.base.as_ref(), layers, self.checked(), self.options.report)?;
            all.clone_from(&image.layers);
            write_to(image, &to, &self.cache, self.options.report)
        })?;
        let diff_ids = built.image.diff_ids.clone();
        let put = PutManifest::of(built.image, built.tally, Some(scratch));
        let companions = self.companions(&put, &diff_ids, &all)?;
        Ok(PutManifest { companions, ..put })
    }

    /// The image of these layers, which nobody has checked.
    pub(crate) fn image(&self, layers: Vec<Layer>) -> Result<Image<'_>> {
        let unchecked = (self.options.store, Checks::None);
        image_of(self.spec, self.base.as_ref(), layers, unchecked, self.options.report)
    }

    fn checked(&self) -> (&Store, Checks) {
        (self.options.store, self.options.checks)
    }

    /// Passes layers to `write`, and stores the result in cache and state.
    fn finish(&self, mut layers: Vec<Layer>, write: impl FnOnce(Vec<Layer>) -> Result<Built>) -> Result<Built> {
        // Those that were made before are nobody's to remember.
        let own = layers.iter().skip(self.below.count());
        let of_store: Vec<Layer> = own.filter(|layer| layer.recipe.is_some()).cloned().collect();
        let origins: Vec<Origin> = layers.iter().map(Origin::of_own).collect();
        let kept = self.add_file_systems(&mut layers);
        let built = kept.and_then(|()| write(layers)).map_err(|error| self.cache.explain(error, &of_store))?;
        self.remember(&of_store, &built.image)?;
        let below = self.base.as_ref().map_or(0, |base| base.layer_count());
        Ok(Built { tally: built.tally.built(below, &origins), ..built })
    }

    /// Keeps the layers as file systems, those of the base too.
    fn add_file_systems(&self, layers: &mut [Layer]) -> Result<()> {
        let Some(cache) = &self.erofs_cache else { return Ok(()) };
        let mut below = self.base.as_ref().map_or_else(Vec::new, BaseImage::layers_below);
        cache.add(&mut below, self.options.report)?;
        cache.add(layers, self.options.report)
    }

    /// Remembers the layers of the store that an image was built of.
    fn remember(&self, layers: &[Layer], image: &PutImage) -> Result<()> {
        // They lie above those of the base and those that are made already, and below all others.
        let below = self.base.as_ref().map_or(0, |base| base.layer_count()) + self.below.count();
        let params = self.options.compression.of_layers(None, self.spec.compression);
        let files = (below..).zip(layers).map(|(index, layer)| layer_of(image, index, layer, params));
        let files: Vec<LayerFile> = files.collect::<Result<_>>()?;
        for (layer, file) in layers.iter().zip(&files) {
            if let (Some(recipe), Some(tar @ Source::Layout(_))) = (&layer.recipe, &layer.tar) {
                self.cache.put(recipe, file, tar)?;
            }
        }
        self.cache.finish();
        if let Some(state) = self.state.as_ref().filter(|_| image.manifest.is_some() && !self.options.keeps_state)
            && let Err(error) = state.remember(files)
        {
            // The image is where it should be.
            self.options.report.warn(format_args!("not remembered for the next build: {}", chain_text(&error)));
        }
        Ok(())
    }
}

/// How a spec wants its store paths to be divided, by this strategy, over a base and layers that are made already.
///
/// # Errors
///
/// The base cannot be read, or leaves no layer for store paths.
pub fn settings(
    spec: &Spec,
    strategy: Strategy,
    base: Option<&BaseImage>,
    below: &LayersBelow,
    store: &Store,
) -> Result<Settings> {
    let base = match base {
        None => PlanBase::default(),
        Some(base) => {
            let paths = base.store_paths(store.dir())?;
            PlanBase { layers: base.layer_count(), paths }
        }
    };
    let left = match spec.kind {
        ImageKind::Layered => {
            spec.store_layers(base.layers + usize::from(spec.run_as_root.is_some()), below.count())?
        }
        ImageKind::Single => 1,
    };
    let base = below.over(base);
    let limit = NonZeroUsize::new(left + base.layers).context("no layer left for store paths")?;
    Ok(Settings { strategy, base, min_size: spec.min_layer_size, ..Settings::new(limit) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ImageTarget, Registries};
    use layerstone_registry::Options;
    use layerstone_store::Cancel;
    use std::sync::atomic::{AtomicUsize, Ordering};

    /// Cancels the build when it is asked for the so manieth time.
    struct CancelAt(Cancel);

    impl CancelAt {
        fn new(count: usize) -> CancelAt {
            let asked = AtomicUsize::new(0);
            CancelAt(Cancel::when(move || asked.fetch_add(1, Ordering::Relaxed) >= count))
        }
    }

    impl Report for CancelAt {
        fn cancel(&self) -> Cancel {
            self.0.clone()
        }
    }

    #[test]
    fn cancelled_anywhere_nothing_is_left() {
        let dir = tempfile::tempdir().unwrap();
        let path = "/nix/store/xr2yc61k4shzhlyhz13n4pgbqyy4wvxr-hello";
        let directory = dir.path().join(&path[1..]);
        std::fs::create_dir_all(&directory).unwrap();
        std::fs::write(directory.join("file"), vec![7; 1 << 20]).unwrap();
        let out = dir.path().join("out");
        let store = Store::new("/nix/store", dir.path()).unwrap();
        let spec = Spec { contents: vec![path.into()], ..Spec::new("hello") };
        let registries = Registries::new(Options::default(), Vec::new(), 2);
        let targets: [fn(PathBuf) -> ImageTarget; 3] =
            [ImageTarget::DockerArchive, ImageTarget::OciArchive, ImageTarget::OciLayout];
        for target in targets {
            let _ = std::fs::remove_dir_all(&out);
            std::fs::create_dir(&out).unwrap();
            let target = target(out.join("image"));
            let build = |count| {
                let report = CancelAt::new(count);
                let options = BuildOptions::new(&store, &registries, &report);
                let to = WriteOptions::new(&target, &registries);
                Builder::of_spec(&spec, "hello".as_ref(), false, &options)?.build(&to)
            };
            let mut count = 0;
            while let Err(error) = build(count) {
                assert!(error.is_cancelled(), "{target} {count}: {}", chain_text(&error));
                assert!(!out.join("image/index.json").exists() && !out.join("image").is_file(), "{target} {count}");
                count += 1;
            }
            assert!(count > 4, "{target}: asked {count} times");
            assert!(out.join("image").exists(), "{target}");
        }
    }
}
