//! The stages of a build that make layers: of store paths, made or cached; of the root, of a root script, of Nix's
//! database; or one layer of all of it.

use crate::copies::{self, Below, libraries, report_libraries, spec_of_copy_layer};
use crate::make_layers::{layouts, recipes};
use crate::nix_db::{self, NixDbLayer};
use crate::root_script::{self, RootScript};
use crate::single_layer::plain_blob;
use crate::tar_layer::{self, TarLayer};
use crate::{Builder, Checks, Mentions, ReferenceSource, Result, plan_or_made, root_layer, single_layer};
use layerstone_closure::{Closure, measure};
use layerstone_layer::{Blob, CompressionParams, History, Layer, LayerFile, LayerLookup, Recipe, Source};
use layerstone_layering::Plan;
use layerstone_overlay::Hooks;
use layerstone_root::{NixDbPlace, RootConfig};
use layerstone_spec::{ImageKind, RootMode, Script, Spec};
use layerstone_store::{Scratch, StorePath};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// What messages call the customisation layer.
const ROOT_COMMENT: &str = "customisation layer";

/// A layer that is no store layer: of a root script, of copied files, of the root.
struct FileLayer {
    layer: LayerFile,
    blob: PathBuf,
    /// What messages call it.
    label: String,
}

impl FileLayer {
    /// One of which the history says what messages call it.
    fn named(layer: LayerFile, blob: PathBuf, label: &str) -> FileLayer {
        let layer = LayerFile { history: History::comment(label), ..layer };
        FileLayer { layer, blob, label: label.to_owned() }
    }

    /// The customisation layer, made already.
    fn read(file: &Path) -> Result<FileLayer> {
        let layer = LayerFile::read(file)?;
        let blob = plain_blob(&layer, file)?;
        Ok(FileLayer { layer, blob, label: ROOT_COMMENT.to_owned() })
    }
}

impl Builder<'_> {
    /// Makes the layers of the image, bottom first, those of a base left out; blobs of some are files of the work
    /// directory.
    ///
    /// # Errors
    ///
    /// A stage fails.
    pub fn layers(&self, scratch: &Scratch) -> Result<Vec<Layer>> {
        self.options.report.cancel().check()?;
        let blob = scratch.path().join("root.tar");
        let ran = self.spec.run_as_root.as_ref().map(|script| self.run_as_root(script, scratch)).transpose()?;
        let is_single = self.spec.kind == ImageKind::Single;
        let ran = match ran {
            Some(ran) if is_single => return Ok(vec![self.single(scratch, ran.blob, ran.layer)?]),
            ran => ran,
        };
        let mut below: Vec<FileLayer> = ran.into_iter().collect();
        for (index, tar) in self.spec.tar_layers.iter().enumerate() {
            let history = History::default();
            let tar = TarLayer { tar, limits: self.options.limits, tarsum: false, history: &history };
            let (layer, blob) = tar.plain(scratch.path().join(format!("tar-{index}.tar")), self.options.report)?;
            below.push(FileLayer::named(layer, blob, tar_layer::COMMENT));
        }
        for (index, name) in self.spec.copy_layers().into_iter().enumerate() {
            let blob = scratch.path().join(format!("copy-{index}.tar"));
            below.push(self.root_layer(Some(&name), &below, blob)?);
        }
        let custom = match &self.spec.root_layer {
            Some(file) => FileLayer::read(file)?,
            None => self.root_layer(None, &below, blob)?,
        };
        if is_single {
            Ok(vec![self.single(scratch, custom.blob, custom.layer)?])
        } else {
            self.layered(scratch, below, custom)
        }
    }

    /// The layer of what the spec merges, copies and lets scripts write, over these layers of the image; with a name the layer
    /// of copied files that is called so.
    fn root_layer(&self, name: Option<&str>, below: &[FileLayer], blob: PathBuf) -> Result<FileLayer> {
        let spec = &match name {
            Some(name) => spec_of_copy_layer(self.spec, name)?,
            None => self.spec.clone(),
        };
        let report = self.options.report;
        let tars = self.below.tars()?.into_iter().chain(below.iter().map(|layer| layer.blob.clone()));
        let tars: Vec<PathBuf> = tars.collect();
        let stage = name.map_or_else(|| ROOT_COMMENT.to_owned(), |name| format!("copying {name}"));
        let tree = report.stage("files of lower layers", || root_layer::tree_below(self.base.as_ref(), &tars))?;
        let below = Below { base: self.base.as_ref(), tree: tree.as_deref() };
        let found = libraries(self.spec, name, below, self.options.store, self.options.limits)?;
        let config = root_layer::root_config(spec, self.options.store, tree.clone(), self.options.limits)?;
        let config = RootConfig { libraries: report_libraries(found, report)?, ..config };
        let config =
            RootConfig { sandbox: self.options.sandbox, strict: self.options.checks == Checks::Strict, ..config };
        let layer = report.stage(&stage, || root_layer::make(spec, &config, &blob, report))?;
        Ok(match name {
            Some(name) => FileLayer::named(layer, blob, &copies::comment(name)),
            None => FileLayer { layer, blob, label: ROOT_COMMENT.to_owned() },
        })
    }

    /// Decides which store paths of a closure share a layer.
    ///
    /// # Errors
    ///
    /// The strategy, or the previous plan, does not fit the closure, or the spec's own plan is another closure's.
    pub fn plan(&self, closure: &Closure) -> Result<Plan> {
        plan_or_made(self.spec.plan.as_deref(), closure, &self.settings)
    }

    /// What makes the layers of a plan.
    ///
    /// # Errors
    ///
    /// A path is none of the store.
    pub fn recipes(&self, plan: &Plan) -> Result<Vec<Recipe>> {
        recipes(&plan.layers, self.options.store, self.spec.mtime.seconds()?, &self.spec.owner, self.spec.xattrs)
    }

    /// All that the spec and the customisation layer refer to, with NAR sizes.
    ///
    /// # Errors
    ///
    /// What tells the references cannot be read, or lacks a path.
    pub fn measured_closure(&self, mentions: Mentions) -> Result<Closure> {
        let mut closure = self.closure(mentions)?;
        measure(&mut closure, self.options.store)?;
        Ok(closure)
    }

    /// All that the spec and the customisation layer refer to.
    ///
    /// # Errors
    ///
    /// What tells the references cannot be read, or lacks a path.
    pub fn closure(&self, mentions: Mentions) -> Result<Closure> {
        self.options.report.cancel().check()?;
        if !self.spec.include_store_paths {
            return Ok(Closure::default());
        }
        let source = ReferenceSource::of_spec(self.spec, self.options.store)?;
        let mut roots = source.roots(self.spec, self.options.store)?;
        roots.extend(self.below.store_paths().cloned());
        let mentions = self.below.mentions(mentions);
        roots.extend(mentions.kept(&source, Some(self.spec), self.options.store, self.options.report));
        if self.options.companions.is_wanted() {
            let _ = self.made.roots.set(roots.clone());
        }
        if roots.is_empty() {
            return Ok(Closure::default());
        }
        source.closure(&roots, self.options.store, false, self.options.report)
    }

    /// Runs the root script over the base: in a single image with the contents in its layer, and extraCommands after it.
    fn run_as_root(&self, script: &Script, scratch: &Scratch) -> Result<FileLayer> {
        let is_single = self.spec.kind == ImageKind::Single;
        let extra_commands = self.spec.script.as_ref().filter(|_| is_single).map(root_script::text).transpose()?;
        let contents = if is_single {
            let (store, limits, report) = (self.options.store, self.options.limits, self.options.report);
            root_script::contents(self.spec, store, self.base.as_ref(), limits, report)?
        } else {
            None
        };
        let script = root_script::text(script)?;
        let closure = self.script_closure([&script].into_iter().chain(&extra_commands))?;
        let run = RootScript {
            hooks: Hooks { extra_commands, ..Hooks::default() },
            script,
            contents,
            closure: closure.as_ref(),
            base: self.base.as_ref(),
            // They are checked when they are copied into the image, unless something is kept of them before.
            checks_base: self.options.scripts.base_cache.is_some(),
            store: self.options.store,
            spec: self.spec,
            options: &self.options.scripts,
            limits: self.options.limits,
        };
        let blob = scratch.path().join("run.tar");
        let layer = root_script::make(run, &blob, self.options.report)?;
        // A single image's one layer says what it is when store paths are behind it.
        Ok(if is_single {
            FileLayer { layer, blob, label: root_script::COMMENT.to_owned() }
        } else {
            FileLayer::named(layer, blob, root_script::COMMENT)
        })
    }

    /// What root scripts see of the store: all that contents, config and the scripts themselves refer to. None if that is
    /// nothing.
    fn script_closure<'t>(&self, texts: impl Iterator<Item = &'t Vec<u8>>) -> Result<Option<Closure>> {
        let source = ReferenceSource::of_spec(self.spec, self.options.store)?;
        let linked = Spec { root_mode: RootMode::Links, ..self.spec.clone() };
        let mut roots = source.roots(&linked, self.options.store)?;
        for text in texts {
            roots.extend(source.mentioned(text, self.options.store)?);
        }
        if roots.is_empty() {
            return Ok(None);
        }
        source.closure(&roots, self.options.store, false, self.options.report).map(Some)
    }

    /// Layers of store paths, the customisation layer on top, and above it the database of Nix if there is to be one.
    fn layered(&self, scratch: &Scratch, below: Vec<FileLayer>, custom: FileLayer) -> Result<Vec<Layer>> {
        let root = custom.blob.clone();
        let files: Vec<FileLayer> = below.into_iter().chain([custom]).collect();
        let mentions = files.iter().rev().fold(Mentions::default(), |mentions, FileLayer { layer, blob, .. }| {
            mentions.with(layer.references.iter().cloned(), blob)
        });
        let report = self.options.report;
        let closure = report.stage("closure", || self.measured_closure(mentions))?;
        self.cache.set_nar_hashes(closure.graph.iter().filter_map(|info| Some((info.path.clone(), info.nar_hash?))));
        if let Some(state) = &self.state {
            state.note(&closure);
        }
        let plan = report.stage("plan", || self.plan(&closure))?;
        if self.options.companions.is_wanted() {
            let _ = (self.made.closure.set(closure.clone()), self.made.plan.set(plan.clone()));
        }
        if let Some(base) = self.base.as_ref().filter(|_| !plan.layers.is_empty()) {
            base.check_store(self.options.store)?;
        }
        let recipes = self.recipes(&plan)?;
        let mut layers = self.below.layers(self.options.store, &self.cache, self.options.limits)?;
        layers.extend(report.stage("sizes of layers", || self.store_layers(recipes))?);
        for FileLayer { layer, blob, label } in files {
            layers.push(Layer::of_file(&layer, &blob, &label)?);
        }
        if self.spec.include_nix_db {
            let place = NixDbPlace::OnTop { root: Some(root), store_owner: self.spec.owner.clone() };
            let blob = scratch.path().join("nix-db.tar");
            let layer = self.nix_db(place, closure, &blob)?;
            layers.push(Layer::of_file(&layer, &blob, nix_db::COMMENT)?);
        }
        Ok(layers)
    }

    /// The layer of the database of Nix.
    fn nix_db(&self, place: NixDbPlace, closure: Closure, blob: &Path) -> Result<LayerFile> {
        let mtime = self.spec.mtime.seconds()?;
        NixDbLayer { spec: self.spec, mtime, place, base: self.base.as_ref(), store: self.options.store }
            .make(closure, blob)
    }

    /// The layers of these recipes; the files of those that are cached are not looked at.
    fn store_layers(&self, recipes: Vec<Recipe>) -> Result<Vec<Layer>> {
        let cached: Vec<Option<LayerFile>> = recipes.iter().map(|recipe| self.cached(recipe)).collect();
        let new = recipes.iter().zip(&cached).filter(|(_, cached)| cached.is_none());
        let new: Vec<&Recipe> = new.map(|(recipe, _)| recipe).collect();
        let mut sources = layouts(&new, &self.cache, self.options.store)?.into_iter();
        let mut layers = Vec::new();
        for (index, (recipe, cached)) in recipes.iter().zip(&cached).enumerate() {
            let source = match cached {
                Some(cached) => Source::lazy(self.options.store, recipe, cached.size),
                None => sources.next().expect("every layer that is not cached was laid out"),
            };
            let made = |cached: &LayerFile| Some(Blob::Made(cached.compression?, cached.descriptor.clone()));
            layers.push(Layer {
                store_paths: recipe.paths.clone(),
                blob: cached.as_ref().and_then(made),
                recipe: Some(recipe.clone()),
                key: self.known.as_ref().and_then(|_| self.cache.made_key(recipe, self.params())),
                blobs: self.cache.blobs.clone(),
                ..Layer::of_tar(source, cached.as_ref().map(|cached| cached.diff_id), format!("layer {index}"))
            });
        }
        Ok(layers)
    }

    /// One layer: the root, the database of Nix if there is to be one, and behind it the store paths that the base does
    /// not hold.
    fn single(&self, scratch: &Scratch, mut blob: PathBuf, custom: LayerFile) -> Result<Layer> {
        let closure = self.closure(Mentions::default().with(custom.references.iter().cloned(), &blob))?;
        if self.options.companions.is_wanted() {
            let _ = self.made.closure.set(closure.clone());
        }
        if self.spec.include_nix_db {
            let root = std::mem::replace(&mut blob, scratch.path().join("nix-db.tar"));
            self.nix_db(NixDbPlace::Behind { root }, closure.clone(), &blob)?;
        }
        let of_base = &self.settings.base.paths;
        let paths = closure.graph.into_iter().map(|info| info.path).filter(|path| !of_base.contains(path));
        let paths: Vec<StorePath> = paths.collect::<BTreeSet<_>>().into_iter().collect();
        let (mtime, base) = (self.spec.mtime.seconds()?, self.base.as_ref());
        let source = single_layer::layout(&blob, &paths, mtime, base, self.options.store, self.spec.xattrs)?;
        let history = custom.history.over(History::comment(single_layer::comment(&paths)));
        Ok(Layer { history, store_paths: paths, ..Layer::of_tar(source, None, "layer") })
    }

    /// How layers are compressed.
    fn params(&self) -> Option<CompressionParams> {
        self.options.compression.of_layers(None, self.spec.compression)
    }

    /// What an earlier build found out about a layer, compressed or not.
    fn cached(&self, recipe: &Recipe) -> Option<LayerFile> {
        let state = self.state.as_ref().filter(|_| !self.cache.verifies);
        let params = self.params();
        let of_state = state.and_then(|state| state.get(recipe, params));
        let of_image = || {
            let known = self.known.as_ref().filter(|_| !self.cache.verifies)?;
            known.get(&self.cache.made_key(recipe, params)?, recipe, params, self.options.store)
        };
        let cached = || self.cache.get(recipe, params);
        let known = of_state.or_else(cached).or_else(of_image).or_else(|| self.cache.get(recipe, None));
        self.cache.log(recipe, None, known.as_ref());
        known
    }
}
