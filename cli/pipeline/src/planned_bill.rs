//! Gathers the bill of materials of an image that is not made yet: of a spec, whose closure the build would have, or of a plan.
//! Layers have numbers and no digests.

use crate::image_bill::{add_paths, known};
use crate::os_packages::base_of;
use crate::runnable::ImageFiles;
use crate::{BuildOptions, Builder, Error, Mentions, ReferenceSource, Result};
use layerstone_closure::ReferencesGraph;
use layerstone_layering::Plan;
use layerstone_sbom::{Bill, LayerOf, Subject};
use layerstone_spec::{Helper, ImageKind, Spec};
use layerstone_store::StorePath;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// The bill of the image that a spec would become; `path` is the spec's file. What scripts will write is not known.
///
/// # Errors
///
/// The closure or the plan cannot be made, or the base cannot be read.
pub fn bill_of_spec(spec: &Spec, path: &Path, options: &BuildOptions<'_>) -> Result<Bill> {
    let builder = Builder::of_spec(spec, path, false, options)?;
    let packages = spec.helpers.iter().filter_map(Helper::package);
    let packages = packages.map(|path| options.store.resolve(path)).collect::<Result<Vec<_>, _>>()?;
    let mentions = Mentions::default().with(packages, Path::new("the ready contents"));
    let mut closure = builder.measured_closure(mentions)?;
    let mut numbers = BTreeMap::new();
    let mut below = Vec::new();
    if let Some(base) = &builder.base {
        let contents = base.store_contents(options.store.dir())?;
        for (number, paths) in contents.layers.iter().enumerate() {
            numbers.extend(paths.keys().map(|path| (path.clone(), number)));
        }
        below = base.layers_below();
    }
    let first = below.len() + builder.below.count();
    match spec.kind {
        ImageKind::Layered => add_numbers(&mut numbers, &builder.plan(&closure)?, first),
        ImageKind::Single => {
            for info in &closure.graph {
                numbers.entry(info.path.clone()).or_insert(first);
            }
        }
    }
    add_paths(&mut closure, numbers.keys().cloned().collect::<Vec<_>>().iter());
    let reference = spec.reference()?;
    let subject = Subject::planned(reference.name(), reference.tag());
    let mut bill = Bill::of(subject, &closure, &spec.created.rfc3339()?);
    bill.set_layers(&planned(numbers));
    if let ReferenceSource::Database(database) = ReferenceSource::of_spec(spec, options.store)? {
        bill.set_origins(database.origins(&bill.paths())?);
    }
    let origin = builder.base.as_ref().and_then(|base| base.origin.clone());
    let mut base = base_of(&ImageFiles::of_layers(&below, options.store, options.limits)?, None)?;
    if let Some(origin) = origin {
        let base = base.get_or_insert_default();
        base.name = Some(if origin.tag().is_some() { origin.tagged() } else { origin.clone() }.to_string());
        base.digest = origin.digest();
    }
    bill.base = base;
    Ok(bill)
}

/// The bill of a plan that is called so, by its `file` in messages. It tells no references, so that a graph must.
///
/// # Errors
///
/// The graph has none of its paths.
pub fn bill_of_plan(plan: &Plan, name: &str, file: &Path, graph: Option<&ReferencesGraph>) -> Result<Bill> {
    let Some(graph) = graph else {
        let message =
            format!("found a plan, which tells no references: {}: expected the closure beside it", file.display());
        return Err(Error::advised(message, "--graph NAME.closure.json is the closure that the plan was made of"));
    };
    let paths: BTreeSet<&StorePath> = plan.layers.iter().flatten().collect();
    let entries = graph.entries().iter().filter(|info| paths.contains(&info.path));
    let kept = |info: &layerstone_closure::PathInfo| {
        let references = info.references.iter().filter(|path| paths.contains(path)).cloned();
        (info.path.clone(), references.collect::<BTreeSet<_>>())
    };
    let references: BTreeMap<StorePath, BTreeSet<StorePath>> = entries.map(kept).collect();
    if let Some(path) = paths.iter().find(|path| !references.contains_key(**path)) {
        let message = format!("not in the references graph: {path}, which is in the plan {}", file.display());
        return Err(Error::advised(message, "--graph NAME.closure.json is the closure that the plan was made of"));
    }
    let mut bill = Bill::of(Subject::planned(name, None), &known(graph, references, paths.iter().copied()), "");
    let mut numbers = BTreeMap::new();
    add_numbers(&mut numbers, plan, 0);
    bill.set_layers(&planned(numbers));
    Ok(bill)
}

fn add_numbers(numbers: &mut BTreeMap<StorePath, usize>, plan: &Plan, first: usize) {
    for (number, paths) in plan.layers.iter().enumerate() {
        numbers.extend(paths.iter().map(|path| (path.clone(), first + number)));
    }
}

fn planned(numbers: BTreeMap<StorePath, usize>) -> BTreeMap<StorePath, LayerOf> {
    let layer = |number| LayerOf { number, digest: None, diff_id: None };
    numbers.into_iter().map(|(path, number)| (path, layer(number))).collect()
}
