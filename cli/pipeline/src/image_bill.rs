//! Gathers the bill of materials of an image: store paths and their layers, references from a graph, from Nix's database in
//! the image, or from the files; packages of a base from its databases.

use crate::error::Context;
use crate::image_report::{References, of_graph};
use crate::oci_destination::PutManifest;
use crate::os_packages::{PackageFiles, base_of, copied};
use crate::runnable::ImageFiles;
use crate::{Builder, ReferenceSource, Report, Result, image_report, make_plain};
use layerstone_closure::{Closure, Database, PathInfo, ReferencesGraph, nar_sha512};
use layerstone_image::{ImageStorePaths, ImageSummary, PathSizes, StoredImage, store_paths_of};
use layerstone_layer::{Layer, Progress};
use layerstone_oci::{Manifest, Reference, Time};
use layerstone_sbom::{Bill, Component, LayerOf, Subject};
use layerstone_store::{Digest, Limits, Scratch, Store, StorePath};
use layerstone_tar::{Kind, Node, Tree};
use rayon::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use std::env::var_os;
use std::io::Write;

/// Nix's database in an image, from the directory of its state.
const DATABASE: &str = "db/db.sqlite";
/// When an image was made that does not say it.
const UNKNOWN_TIME: &str = "1970-01-01T00:00:01Z";
/// The variable that stands in for the clock (reproducible-builds.org, "SOURCE_DATE_EPOCH specification").
const EPOCH_VARIABLE: &str = "SOURCE_DATE_EPOCH";

/// What is known of store paths besides what is in an image.
#[derive(Clone, Copy, Debug, Default)]
pub struct BillSources<'a> {
    /// References and hashes; without it references are those of Nix's database in the image, or of its files.
    pub graph: Option<&'a ReferencesGraph>,
    /// The database of a store, which knows derivations and signatures.
    pub database: Option<&'a Database>,
}

/// The bill of an image that is called so.
///
/// # Errors
///
/// A layer or the database is damaged, or the graph has none of the image's store paths.
pub fn image_bill(
    image: StoredImage,
    name: &str,
    store_dir: &str,
    sources: BillSources<'_>,
    report: &dyn Report,
) -> Result<Bill> {
    ImageContents::read(image, store_dir, report)?.bill(name, store_dir, sources, report)
}

/// An image that was read: its files, and its store paths.
pub(crate) struct ImageContents {
    summary: ImageSummary,
    /// The image, unpacked.
    image: StoredImage,
    /// The files that a container sees.
    pub(crate) tree: Tree,
    /// Its store paths.
    pub(crate) store_paths: ImageStorePaths,
}

impl ImageContents {
    /// Unpacks an image and reads its layers.
    pub(crate) fn read(mut image: StoredImage, store_dir: &str, report: &dyn Report) -> Result<ImageContents> {
        let (summary, limits) = (ImageSummary::of(&image)?, image.limits());
        make_plain(&mut image, limits, report)?;
        let (tree, store_paths) = (image.tree()?, store_paths_of(&image, store_dir)?);
        Ok(ImageContents { summary, image, tree, store_paths })
    }

    /// Its bill.
    pub(crate) fn bill(
        &self,
        name: &str,
        store_dir: &str,
        sources: BillSources<'_>,
        report: &dyn Report,
    ) -> Result<Bill> {
        let files = Files { image: &self.image, tree: &self.tree };
        let database = files.database(store_dir)?;
        let database = database.as_ref().map(|(_, database)| database);
        let recorded = database.map(recorded).transpose()?;
        let closure = match sources.graph.or(recorded.as_ref()) {
            Some(graph) => {
                let references = of_graph(graph, &self.store_paths, report)?;
                known(graph, references, self.store_paths.paths.keys())
            }
            None => scanned(&self.image, store_dir, report)?,
        };
        let mut bill = Bill::of(subject(&self.summary, name), &closure, created(&self.summary));
        bill.set_layers(&layers(&self.image, &self.store_paths.layers));
        for database in [database, sources.database].into_iter().flatten() {
            bill.set_origins(database.origins(&bill.paths())?);
        }
        let manifest = self.image.manifest.as_ref().map(|stored| &stored.manifest);
        bill.base = base_of(&files, manifest.map(|manifest| &manifest.annotations))?;
        Ok(bill)
    }
}

/// The bill of an image that was put, in a place where its digests are these.
pub(crate) fn image_bill_as(
    image: StoredImage,
    name: &str,
    put: &PutManifest,
    store_dir: &str,
    sources: BillSources<'_>,
    report: &dyn Report,
) -> Result<Bill> {
    let limits = image.limits();
    let mut bill = image_bill(image, name, store_dir, sources, report)?;
    let digest = put.descriptor.digest;
    let manifest = Manifest::parse(&put.bytes, &digest.to_string(), &limits)?;
    bill.subject.digest = Some(digest);
    for component in &mut bill.components {
        if let Some(layer) = &mut component.layer {
            layer.digest = manifest.layers.get(layer.number).map(|layer| layer.digest);
        }
    }
    bill.created = time_of_bill(None, &bill.created)?;
    Ok(bill)
}

/// An image that was built and put, whose layers are still here.
pub(crate) struct Built<'a> {
    pub builder: &'a Builder<'a>,
    pub put: &'a PutManifest,
    /// Of all layers.
    pub diff_ids: &'a [Digest],
    /// All layers, those of the base at the bottom.
    pub layers: &'a [Layer],
}

/// The bill of an image that was built: the closure is known, and the base is open.
pub(crate) fn bill_of_built(built: &Built<'_>) -> Result<Bill> {
    let Built { builder, put, diff_ids, layers } = *built;
    let (options, limits) = (builder.options, builder.options.limits);
    let manifest = Manifest::parse(&put.bytes, &put.descriptor.digest.to_string(), &limits)?;
    let reference = builder.spec.reference()?;
    let tag = put.name.as_ref().and_then(Reference::tag);
    let subject = Subject::image(reference.name(), tag, Some(put.descriptor.digest), manifest.config.digest);
    let mut closure = builder.made.closure.get().cloned().unwrap_or_default();
    let mut layer_of = BTreeMap::new();
    if let Some(base) = &builder.base {
        let contents = base.store_contents(options.store.dir())?;
        add_paths(&mut closure, contents.paths.keys());
        for (number, paths) in contents.layers.iter().enumerate() {
            layer_of.extend(paths.keys().map(|path| (path.clone(), number)));
        }
    }
    for (number, layer) in layers.iter().enumerate() {
        layer_of.extend(layer.store_paths.iter().map(|path| (path.clone(), number)));
    }
    let found = |(path, number): (StorePath, usize)| {
        let digest = manifest.layers.get(number).map(|layer| layer.digest);
        (path, LayerOf { number, digest, diff_id: diff_ids.get(number).copied() })
    };
    let mut bill = Bill::of(subject, &closure, &time_of_bill(None, &builder.spec.created.rfc3339()?)?);
    bill.set_layers(&layer_of.into_iter().map(found).collect());
    if let ReferenceSource::Database(database) = ReferenceSource::of_spec(builder.spec, options.store)? {
        bill.set_origins(database.origins(&bill.paths())?);
    }
    bill.base = base_of(&ImageFiles::of_layers(layers, options.store, limits)?, Some(&manifest.annotations))?;
    Ok(bill)
}

/// Adds paths of which nothing but their names is known.
pub(crate) fn add_paths<'a>(closure: &mut Closure, paths: impl Iterator<Item = &'a StorePath>) {
    let known: BTreeSet<StorePath> = closure.graph.iter().map(|info| info.path.clone()).collect();
    let new = paths.filter(|path| !known.contains(path));
    let info =
        |path: &StorePath| PathInfo { path: path.clone(), nar_hash: None, nar_size: None, references: Vec::new() };
    closure.graph.extend(new.map(info));
    closure.graph.sort_by(|a, b| a.path.cmp(&b.path));
}

/// Adds the sha512 of the NAR of each path, which is read in the store for it; and its NAR hash and size where they lack.
///
/// # Errors
///
/// A path cannot be read, or is not the one whose NAR hash is known; of several, the first one is named.
pub fn add_sha512(bill: &mut Bill, store: &Store, report: &dyn Report) -> Result<()> {
    let sizes = bill.components.iter().map(|component| component.info.nar_size.unwrap_or(0)).sum();
    report.during("hashing", Some(sizes), Vec::new(), |meter: &Progress| {
        let add = |component: &mut Component| -> Result<()> {
            let (path, info) = (store.locate(component.path().as_str()), &mut component.info);
            let (hash, size, sha512) = nar_sha512(&path)?;
            if let Some(expected) = info.nar_hash.filter(|expected| *expected != hash) {
                bail!("wrong NAR hash: {}: found {hash}, expected {expected}", path.display());
            }
            (info.nar_hash, info.nar_size, component.sha512) = (Some(hash), Some(size), Some(sha512));
            Ok(meter.count(usize::try_from(size).unwrap_or(usize::MAX))?)
        };
        let added: Vec<Result<()>> = bill.components.par_iter_mut().map(add).collect();
        added.into_iter().collect()
    })
}

/// When a bill was made, in whole seconds, as SPDX wants it: what is given, SOURCE_DATE_EPOCH, what the image says, or one
/// second after the epoch.
///
/// # Errors
///
/// SOURCE_DATE_EPOCH is no time.
pub fn time_of_bill(given: Option<Time>, of_image: &str) -> Result<String> {
    let epoch = var_os(EPOCH_VARIABLE).map(|_| Time::Now);
    let time = given.or(epoch).or_else(|| of_image.parse().ok()).unwrap_or_else(Time::one_second);
    Ok(Time::from_seconds(time.seconds()?)?.rfc3339()?)
}

/// What an image is called, and its digests.
fn subject(summary: &ImageSummary, name: &str) -> Subject {
    let reference = Reference::unchecked(summary.repo_tags.first().map_or(name, String::as_str));
    Subject::image(reference.name(), reference.tag(), summary.digest, summary.image_id)
}

/// When the image was made, by its config.
fn created(summary: &ImageSummary) -> &str {
    summary.config.get("created").and_then(serde_json::Value::as_str).unwrap_or(UNKNOWN_TIME)
}

/// The references that a database has, all of them.
fn recorded(database: &Database) -> Result<ReferencesGraph> {
    Ok(ReferencesGraph::new(&database.name(), database.closure(&[])?.graph)?)
}

/// The paths of an image, with what a graph says of those that it has.
pub(crate) fn known<'a>(
    graph: &ReferencesGraph,
    mut references: References,
    paths: impl Iterator<Item = &'a StorePath>,
) -> Closure {
    let entries: BTreeMap<&StorePath, &PathInfo> = graph.entries().iter().map(|entry| (&entry.path, entry)).collect();
    let info = |path: &StorePath| PathInfo {
        path: path.clone(),
        nar_hash: entries.get(path).and_then(|entry| entry.nar_hash),
        nar_size: entries.get(path).and_then(|entry| entry.nar_size),
        references: references.remove(path).into_iter().flatten().collect(),
    };
    Closure { graph: paths.map(info).collect() }
}

/// The paths of an image, with the references that are found in their files; nothing is known of their NARs.
fn scanned(image: &StoredImage, store_dir: &str, report: &dyn Report) -> Result<Closure> {
    let (mut closure, ..) = image_report(image.clone(), None, store_dir, None, report)?.closure()?;
    closure.graph.iter_mut().for_each(|info| info.nar_size = None);
    Ok(closure)
}

/// The uppermost layer that holds a path.
fn layers(image: &StoredImage, store_paths: &[PathSizes]) -> BTreeMap<StorePath, LayerOf> {
    let descriptors = image.manifest.iter().flat_map(|stored| &stored.manifest.layers);
    let digests = descriptors.map(|descriptor| Some(descriptor.digest)).chain(std::iter::repeat(None));
    let mut found = BTreeMap::new();
    for (number, ((layer, digest), paths)) in image.layers.iter().zip(digests).zip(store_paths).enumerate() {
        let layer = LayerOf { number, digest, diff_id: Some(layer.diff_id) };
        found.extend(paths.keys().map(|path| (path.clone(), layer)));
    }
    found
}

/// The files of an image.
struct Files<'a> {
    image: &'a StoredImage,
    tree: &'a Tree,
}

impl Files<'_> {
    /// Nix's database in the image, copied into a directory that lives as long as this.
    fn database(&self, store_dir: &str) -> Result<Option<(Scratch, Database)>> {
        let state = Database::state_of_nix(store_dir);
        let name = state.join(DATABASE);
        let name = name.strip_prefix("/").unwrap_or(&name);
        let Some((scratch, path)) = copied(self, &name.to_string_lossy())? else { return Ok(None) };
        let database = Database::open(&path, &Store::new(store_dir, "/")?)?;
        Ok(Some((scratch, database)))
    }

    fn file(&self, name: &[u8]) -> Option<&Node> {
        let node = self.tree.resolve(name).ok()?.node?;
        Some(node).filter(|node| matches!(node.kind, Kind::File { .. }))
    }
}

impl PackageFiles for Files<'_> {
    fn image(&self) -> String {
        self.image.name.clone()
    }

    fn size(&self, name: &str) -> Option<u64> {
        let node = self.file(name.as_bytes())?;
        if let Kind::File { size } = node.kind { Some(size) } else { None }
    }

    fn write(&self, name: &str, out: &mut dyn Write) -> Result<()> {
        let node = self.file(name.as_bytes()).with_context(|| format!("no such file: {name}"))?;
        Ok(self.image.copy_file(node, out)?)
    }

    fn names_in(&self, directory: &str) -> Vec<String> {
        let node = self.tree.get(directory.as_bytes());
        node.into_iter().flat_map(Node::children).map(|(name, _)| String::from_utf8_lossy(name).into_owned()).collect()
    }

    fn limits(&self) -> Limits {
        self.image.limits()
    }
}
