//! The layers of an image: of store paths, made or known; of the root, of a root script, of Nix's database; or one of all.

use super::Job;
use crate::args::Common;
use crate::base::Base;
use crate::command::image::{ImageLayer, LayerBlob};
use crate::command::layer::behind;
use crate::command::{layer, nix_db, overlay, root};
use crate::mention::Mentions;
use crate::root_script;
use crate::source::Source;
use anyhow::Result;
use layerstone_closure::{Closure, measure};
use layerstone_layer::{LayerFile, Recipe, Source as LayerSource};
use layerstone_layering::{Plan, plan};
use layerstone_overlay::Hooks;
use layerstone_root::NixDbPlace;
use layerstone_spec::{Kind, RootMode, Script, Spec};
use layerstone_store::{Scratch, StorePath};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Makes the layers of an image, bottom first, those of a base left out; blobs of some are in the work folder.
pub fn make(job: &Job<'_>, scratch: &Scratch, common: &Common) -> Result<Vec<ImageLayer>> {
    let blob = scratch.path().join("root.tar");
    let ran = job.spec.run_as_root.as_ref().map(|script| run_as_root(job, script, scratch, common)).transpose()?;
    Ok(match (job.spec.kind, ran) {
        (Kind::Layered, ran) => {
            let below = ran.as_ref().map(|ran| ran.blob.clone());
            let root = root::root_spec(job.spec, job.store, root::tree_below(job.base, below)?)?;
            let custom = root::make(&root, &blob, common)?;
            layers(job, scratch, &blob, custom, ran, common)?
        }
        (Kind::Single, Some(ran)) => vec![single(job, scratch, ran.blob, ran.layer, common)?],
        (Kind::Single, None) => {
            let tree = job.base.map(Base::tree).transpose()?;
            let custom = root::make(&root::root_spec(job.spec, job.store, tree)?, &blob, common)?;
            vec![single(job, scratch, blob, custom, common)?]
        }
    })
}

/// The layer that a root script has made.
struct RootLayer {
    layer: LayerFile,
    blob: PathBuf,
}

/// Runs the root script over the base: in a single image with the contents in its layer, and extraCommands after it.
fn run_as_root(job: &Job<'_>, script: &Script, scratch: &Scratch, common: &Common) -> Result<RootLayer> {
    let is_single = job.spec.kind == Kind::Single;
    let extra_commands = job.spec.script.as_ref().filter(|_| is_single).map(root_script::text).transpose()?;
    let contents = match is_single {
        true => overlay::run::contents(job.spec, job.store, job.base)?,
        false => None,
    };
    let script = root_script::text(script)?;
    let texts = [Some(&script), extra_commands.as_ref()];
    let closure = script_closure(job, &texts.into_iter().flatten().collect::<Vec<_>>(), common)?;
    let run = root_script::Job {
        hooks: Hooks { extra_commands, ..Hooks::default() },
        script,
        contents,
        closure: closure.as_ref(),
        base: job.base,
        // They are checked when they are copied into the image, unless something is kept of them before.
        checks_base: job.place.keeps_bases(),
        store: job.store,
        spec: job.spec,
        place: job.place,
    };
    let blob = scratch.path().join("run.tar");
    Ok(RootLayer { layer: root_script::make(run, &blob, common)?, blob })
}

/// What root scripts see of the store: all that contents, config and the scripts themselves refer to. None if that is
/// nothing.
fn script_closure(job: &Job<'_>, texts: &[&Vec<u8>], common: &Common) -> Result<Option<Closure>> {
    let source = Source::of_spec(job.spec, job.store)?;
    let linked = Spec { root_mode: RootMode::Links, ..job.spec.clone() };
    let mut roots = source.roots(&linked, job.store)?;
    for text in texts {
        roots.extend(source.mentioned(text, job.store)?);
    }
    match roots.is_empty() {
        true => Ok(None),
        false => source.closure(&roots, job.store, false, common).map(Some),
    }
}

/// Layers of store paths, the customisation layer on top, and above it the database of Nix if there is to be one.
fn layers(
    job: &Job<'_>,
    scratch: &Scratch,
    blob: &Path,
    custom: LayerFile,
    ran: Option<RootLayer>,
    common: &Common,
) -> Result<Vec<ImageLayer>> {
    let mut mentions = Mentions::default().with(custom.references, blob);
    if let Some(RootLayer { layer, blob }) = &ran {
        mentions = mentions.with(layer.references.iter().cloned(), blob);
    }
    let closure = measured_closure(job, mentions, common)?;
    job.memory.tell_hashes(closure.graph.iter().filter_map(|info| Some((info.path.clone(), info.nar_hash?))));
    let plan = plan(&closure, &job.settings)?;
    if let Some(base) = job.base.filter(|_| !plan.layers.is_empty()) {
        base.check_store(job.store)?;
    }
    let recipes = recipes(job, &plan)?;
    let mut layers = store_layers(job, recipes)?;
    if let Some(RootLayer { layer, blob }) = ran {
        let source = LayerSource::blob(&blob)?;
        let comment = Some(overlay::run::COMMENT.to_owned());
        layers.push(ImageLayer { comment, ..ImageLayer::new(source, Some(layer.diff_id), "layer of the root script") });
    }
    let source = LayerSource::blob(blob)?;
    layers.push(ImageLayer::new(source, Some(custom.diff_id), "customisation layer"));
    if job.spec.include_nix_db {
        let root = Some(blob.to_owned());
        let place = NixDbPlace::OnTop { root, store_owner: job.spec.owner.clone() };
        let blob = scratch.path().join("nix-db.tar");
        let layer = nix_db(job, place, closure, &blob)?;
        let source = LayerSource::blob(&blob)?;
        layers.push(ImageLayer {
            comment: layer.comment,
            ..ImageLayer::new(source, Some(layer.diff_id), nix_db::COMMENT)
        });
    }
    Ok(layers)
}

/// The layer of the database of Nix.
fn nix_db(job: &Job<'_>, place: NixDbPlace, closure: Closure, blob: &Path) -> Result<LayerFile> {
    let mtime = job.spec.mtime.seconds()?;
    nix_db::Job { spec: job.spec, mtime, place, base: job.base, store: job.store }.make(closure, blob)
}

/// The layers of these recipes; the files of those that are known are not looked at.
fn store_layers(job: &Job<'_>, recipes: Vec<Recipe>) -> Result<Vec<ImageLayer>> {
    let known: Vec<Option<LayerFile>> = recipes.iter().map(|recipe| job.known(recipe)).collect();
    let unknown = recipes.iter().zip(&known).filter(|(_, known)| known.is_none());
    let unknown: Vec<&Recipe> = unknown.map(|(recipe, _)| recipe).collect();
    let mut sources = layer::layouts(&unknown, job.memory, job.store)?.into_iter();
    let mut layers = Vec::new();
    for (index, (recipe, known)) in recipes.iter().zip(&known).enumerate() {
        let source = match known {
            Some(known) => LayerSource::lazy(job.store, recipe, known.size),
            None => sources.next().expect("every layer that is not known was laid out"),
        };
        let blob =
            known.as_ref().and_then(|known| Some(LayerBlob::Packed(known.compression?, known.descriptor.clone())));
        layers.push(ImageLayer {
            store_paths: recipe.paths.clone(),
            blob,
            recipe: Some(recipe.clone()),
            blobs: job.memory.blobs(),
            ..ImageLayer::new(source, known.as_ref().map(|known| known.diff_id), format!("layer {index}"))
        });
    }
    Ok(layers)
}

/// One layer: the root, the database of Nix if there is to be one, and behind it the store paths that the base does not
/// hold.
fn single(
    job: &Job<'_>,
    scratch: &Scratch,
    mut blob: PathBuf,
    custom: LayerFile,
    common: &Common,
) -> Result<ImageLayer> {
    let closure = closure_of(job, Mentions::default().with(custom.references, &blob), common)?;
    if job.spec.include_nix_db {
        let root = std::mem::replace(&mut blob, scratch.path().join("nix-db.tar"));
        nix_db(job, NixDbPlace::Behind { root }, closure.clone(), &blob)?;
    }
    let held = &job.settings.base.paths;
    let paths = closure.graph.into_iter().map(|info| info.path).filter(|path| !held.contains(path));
    let paths: Vec<StorePath> = paths.collect::<BTreeSet<_>>().into_iter().collect();
    let source = behind::layout(&blob, &paths, job.spec.mtime.seconds()?, job.base, job.store, job.spec.xattrs)?;
    let comment = Some(behind::comment(&paths));
    Ok(ImageLayer { comment, store_paths: paths, ..ImageLayer::new(source, None, "layer") })
}

impl Job<'_> {
    /// What is known of a layer, compressed or not.
    fn known(&self, recipe: &Recipe) -> Option<LayerFile> {
        let state = self.state.filter(|_| !self.memory.verifies());
        let of_state = state.and_then(|state| state.known(recipe, self.packing)).cloned();
        of_state.or_else(|| self.memory.get(recipe, self.packing)).or_else(|| self.memory.get(recipe, None))
    }
}

pub fn recipes(job: &Job<'_>, plan: &Plan) -> Result<Vec<Recipe>> {
    layer::recipes(&plan.layers, job.store, job.spec.mtime.seconds()?, &job.spec.owner, job.spec.xattrs)
}

/// All that the spec and the customisation layer refer to, with NAR sizes.
pub fn measured_closure(job: &Job<'_>, mentions: Mentions, common: &Common) -> Result<Closure> {
    let mut closure = closure_of(job, mentions, common)?;
    measure(&mut closure, job.store)?;
    Ok(closure)
}

/// All that the spec and the customisation layer refer to.
fn closure_of(job: &Job<'_>, mentions: Mentions, common: &Common) -> Result<Closure> {
    if !job.spec.include_store_paths {
        return Ok(Closure::default());
    }
    let source = Source::of_spec(job.spec, job.store)?;
    let mut roots = source.roots(job.spec, job.store)?;
    roots.extend(mentions.kept(&source, Some(job.spec), job.store, common));
    match roots.is_empty() {
        true => Ok(Closure::default()),
        false => source.closure(&roots, job.store, false, common),
    }
}
