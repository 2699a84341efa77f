//! The stages of a build that make layers: of store paths, made or cached; of the root, of a root script, of Nix's
//! database; or one layer of all of it.

use crate::make_layers::{layouts, recipes};
use crate::nix_db::{self, NixDbLayer};
use crate::root_script::{self, RootScript};
use crate::{BaseImage, Builder, Mentions, ReferenceSource, Result, root_layer, single_layer};
use layerstone_closure::{Closure, measure};
use layerstone_layer::{Blob, Layer, LayerFile, LayerLookup, Recipe, Source};
use layerstone_layering::{Plan, plan};
use layerstone_overlay::Hooks;
use layerstone_root::{NixDbPlace, RootConfig};
use layerstone_spec::{ImageKind, RootMode, Script, Spec};
use layerstone_store::{Scratch, StorePath};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// The layer that a root script has made.
struct ScriptLayer {
    layer: LayerFile,
    blob: PathBuf,
}

impl Builder<'_> {
    /// Makes the layers of the image, bottom first, those of a base left out; blobs of some are files of the work
    /// directory.
    ///
    /// # Errors
    ///
    /// A stage fails.
    pub fn layers(&self, scratch: &Scratch) -> Result<Vec<Layer>> {
        self.report.cancel().check()?;
        let blob = scratch.path().join("root.tar");
        let ran = self.spec.run_as_root.as_ref().map(|script| self.run_as_root(script, scratch)).transpose()?;
        Ok(match (self.spec.kind, ran) {
            (ImageKind::Layered, ran) => {
                let below = ran.as_ref().map(|ran| ran.blob.clone());
                let tree = root_layer::tree_below(self.base.as_ref(), below)?;
                let config = RootConfig::new(self.spec, self.store, tree);
                let custom = root_layer::make(self.spec, &config, &blob, self.report)?;
                self.layered(scratch, &blob, custom, ran)?
            }
            (ImageKind::Single, Some(ran)) => vec![self.single(scratch, ran.blob, ran.layer)?],
            (ImageKind::Single, None) => {
                let tree = self.base.as_ref().map(BaseImage::tree).transpose()?;
                let config = RootConfig::new(self.spec, self.store, tree);
                let custom = root_layer::make(self.spec, &config, &blob, self.report)?;
                vec![self.single(scratch, blob, custom)?]
            }
        })
    }

    /// Decides which store paths of a closure share a layer.
    ///
    /// # Errors
    ///
    /// The strategy, or the previous plan, does not fit the closure.
    pub fn plan(&self, closure: &Closure) -> Result<Plan> {
        Ok(plan(closure, &self.settings)?)
    }

    /// What makes the layers of a plan.
    ///
    /// # Errors
    ///
    /// A path is none of the store.
    pub fn recipes(&self, plan: &Plan) -> Result<Vec<Recipe>> {
        recipes(&plan.layers, self.store, self.spec.mtime.seconds()?, &self.spec.owner, self.spec.xattrs)
    }

    /// All that the spec and the customisation layer refer to, with NAR sizes.
    ///
    /// # Errors
    ///
    /// What tells the references cannot be read, or lacks a path.
    pub fn measured_closure(&self, mentions: Mentions) -> Result<Closure> {
        let mut closure = self.closure(mentions)?;
        measure(&mut closure, self.store)?;
        Ok(closure)
    }

    /// All that the spec and the customisation layer refer to.
    ///
    /// # Errors
    ///
    /// What tells the references cannot be read, or lacks a path.
    pub fn closure(&self, mentions: Mentions) -> Result<Closure> {
        self.report.cancel().check()?;
        if !self.spec.include_store_paths {
            return Ok(Closure::default());
        }
        let source = ReferenceSource::of_spec(self.spec, self.store)?;
        let mut roots = source.roots(self.spec, self.store)?;
        roots.extend(mentions.kept(&source, Some(self.spec), self.store, self.report));
        match roots.is_empty() {
            true => Ok(Closure::default()),
            false => source.closure(&roots, self.store, false, self.report),
        }
    }

    /// Runs the root script over the base: in a single image with the contents in its layer, and extraCommands after it.
    fn run_as_root(&self, script: &Script, scratch: &Scratch) -> Result<ScriptLayer> {
        let is_single = self.spec.kind == ImageKind::Single;
        let extra_commands = self.spec.script.as_ref().filter(|_| is_single).map(root_script::text).transpose()?;
        let contents = match is_single {
            true => root_script::contents(self.spec, self.store, self.base.as_ref())?,
            false => None,
        };
        let script = root_script::text(script)?;
        let texts = [Some(&script), extra_commands.as_ref()];
        let closure = self.script_closure(&texts.into_iter().flatten().collect::<Vec<_>>())?;
        let run = RootScript {
            hooks: Hooks { extra_commands, ..Hooks::default() },
            script,
            contents,
            closure: closure.as_ref(),
            base: self.base.as_ref(),
            // They are checked when they are copied into the image, unless something is kept of them before.
            checks_base: self.scripts.base_cache.is_some(),
            store: self.store,
            spec: self.spec,
            options: self.scripts,
        };
        let blob = scratch.path().join("run.tar");
        Ok(ScriptLayer { layer: root_script::make(run, &blob, self.report)?, blob })
    }

    /// What root scripts see of the store: all that contents, config and the scripts themselves refer to. None if that is
    /// nothing.
    fn script_closure(&self, texts: &[&Vec<u8>]) -> Result<Option<Closure>> {
        let source = ReferenceSource::of_spec(self.spec, self.store)?;
        let linked = Spec { root_mode: RootMode::Links, ..self.spec.clone() };
        let mut roots = source.roots(&linked, self.store)?;
        for text in texts {
            roots.extend(source.mentioned(text, self.store)?);
        }
        match roots.is_empty() {
            true => Ok(None),
            false => source.closure(&roots, self.store, false, self.report).map(Some),
        }
    }

    /// Layers of store paths, the customisation layer on top, and above it the database of Nix if there is to be one.
    fn layered(
        &self,
        scratch: &Scratch,
        blob: &Path,
        custom: LayerFile,
        ran: Option<ScriptLayer>,
    ) -> Result<Vec<Layer>> {
        let mut mentions = Mentions::default().with(custom.references.iter().cloned(), blob);
        if let Some(ScriptLayer { layer, blob }) = &ran {
            mentions = mentions.with(layer.references.iter().cloned(), blob);
        }
        let closure = self.measured_closure(mentions)?;
        self.cache.set_nar_hashes(closure.graph.iter().filter_map(|info| Some((info.path.clone(), info.nar_hash?))));
        let plan = self.plan(&closure)?;
        if let Some(base) = self.base.as_ref().filter(|_| !plan.layers.is_empty()) {
            base.check_store(self.store)?;
        }
        let mut layers = self.store_layers(self.recipes(&plan)?)?;
        if let Some(ScriptLayer { layer, blob }) = ran {
            let comment = Some(root_script::COMMENT.to_owned());
            layers.push(Layer { comment, ..Layer::of_file(&layer, &blob, "layer of the root script")? });
        }
        layers.push(Layer::of_file(&custom, blob, "customisation layer")?);
        if self.spec.include_nix_db {
            let root = Some(blob.to_owned());
            let place = NixDbPlace::OnTop { root, store_owner: self.spec.owner.clone() };
            let blob = scratch.path().join("nix-db.tar");
            let layer = self.nix_db(place, closure, &blob)?;
            layers.push(Layer::of_file(&layer, &blob, nix_db::COMMENT)?);
        }
        Ok(layers)
    }

    /// The layer of the database of Nix.
    fn nix_db(&self, place: NixDbPlace, closure: Closure, blob: &Path) -> Result<LayerFile> {
        let mtime = self.spec.mtime.seconds()?;
        NixDbLayer { spec: self.spec, mtime, place, base: self.base.as_ref(), store: self.store }.make(closure, blob)
    }

    /// The layers of these recipes; the files of those that are cached are not looked at.
    fn store_layers(&self, recipes: Vec<Recipe>) -> Result<Vec<Layer>> {
        let cached: Vec<Option<LayerFile>> = recipes.iter().map(|recipe| self.cached(recipe)).collect();
        let new = recipes.iter().zip(&cached).filter(|(_, cached)| cached.is_none());
        let new: Vec<&Recipe> = new.map(|(recipe, _)| recipe).collect();
        let mut sources = layouts(&new, &self.cache, self.store)?.into_iter();
        let mut layers = Vec::new();
        for (index, (recipe, cached)) in recipes.iter().zip(&cached).enumerate() {
            let source = match cached {
                Some(cached) => Source::lazy(self.store, recipe, cached.size),
                None => sources.next().expect("every layer that is not cached was laid out"),
            };
            let packed = cached.as_ref().and_then(|cached| Some((cached.compression?, &cached.descriptor)));
            layers.push(Layer {
                store_paths: recipe.paths.clone(),
                blob: packed.map(|(packing, descriptor)| Blob::Made(packing, descriptor.clone())),
                recipe: Some(recipe.clone()),
                blobs: self.cache.blobs.clone(),
                ..Layer::of_tar(source, cached.as_ref().map(|cached| cached.diff_id), format!("layer {index}"))
            });
        }
        Ok(layers)
    }

    /// One layer: the root, the database of Nix if there is to be one, and behind it the store paths that the base does
    /// not hold.
    fn single(&self, scratch: &Scratch, mut blob: PathBuf, custom: LayerFile) -> Result<Layer> {
        let closure = self.closure(Mentions::default().with(custom.references, &blob))?;
        if self.spec.include_nix_db {
            let root = std::mem::replace(&mut blob, scratch.path().join("nix-db.tar"));
            self.nix_db(NixDbPlace::Behind { root }, closure.clone(), &blob)?;
        }
        let held = &self.settings.base.paths;
        let paths = closure.graph.into_iter().map(|info| info.path).filter(|path| !held.contains(path));
        let paths: Vec<StorePath> = paths.collect::<BTreeSet<_>>().into_iter().collect();
        let (mtime, base) = (self.spec.mtime.seconds()?, self.base.as_ref());
        let source = single_layer::layout(&blob, &paths, mtime, base, self.store, self.spec.xattrs)?;
        let comment = Some(single_layer::comment(&paths));
        Ok(Layer { comment, store_paths: paths, ..Layer::of_tar(source, None, "layer") })
    }

    /// What is known of a layer from an earlier build, compressed or not.
    fn cached(&self, recipe: &Recipe) -> Option<LayerFile> {
        let state = self.state.as_ref().filter(|_| !self.cache.verifies);
        let of_state = state.and_then(|state| state.get(recipe, self.packing));
        of_state.or_else(|| self.cache.get(recipe, self.packing)).or_else(|| self.cache.get(recipe, None))
    }
}
