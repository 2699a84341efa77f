//! Gathers the bill of materials of an image: store paths and their layers, references from a graph, from Nix's database in
//! the image, or from the files; packages of a base from its databases.

use crate::error::Context;
use crate::image_report::{References, of_graph};
use crate::rpm_database::read_rpm_database;
use crate::{Report, Result, image_report, make_plain};
use layerstone_closure::{Closure, Database, PathInfo, ReferencesGraph, nar_sha512};
use layerstone_image::{ImageStorePaths, ImageSummary, PathSizes, StoredImage, store_paths_of};
use layerstone_layer::Progress;
use layerstone_oci::Reference;
use layerstone_sbom::{Base, Bill, Component, LayerOf, OsPackage, OsRelease, Subject, parse_apk, parse_dpkg};
use layerstone_store::{Limit, Scratch, Store, StorePath};
use layerstone_tar::{Kind, Node, Tree};
use rayon::prelude::*;
use std::collections::BTreeMap;
use std::fs::File;
use std::path::PathBuf;

/// Nix's database in an image, from the directory of its state.
const DATABASE: &str = "db/db.sqlite";
/// Parses a database of packages.
type ParsePackages = fn(&[u8]) -> Vec<OsPackage>;

/// Databases of packages, and who reads them.
const DATABASES: [(&str, ParsePackages); 3] =
    [("var/lib/dpkg/status", parse_dpkg), ("lib/apk/db/installed", parse_apk), ("usr/lib/apk/db/installed", parse_apk)];
/// Files like dpkg's database, one for each package, in images without dpkg.
const DPKG_PARTS: &str = "var/lib/dpkg/status.d";
/// rpm's database, where Red Hat and Fedora have it, and where SUSE and newer Fedoras do (rpm 4.16 on).
const RPM: [&str; 2] = ["var/lib/rpm/rpmdb.sqlite", "usr/lib/sysimage/rpm/rpmdb.sqlite"];
/// Names of the system, the first that is there.
const OS_RELEASE: [&str; 2] = ["etc/os-release", "usr/lib/os-release"];
/// Annotations that name the image below (OCI image-spec, annotations.md).
const BASE_NAME: &str = "org.opencontainers.image.base.name";
const BASE_DIGEST: &str = "org.opencontainers.image.base.digest";
/// When an image was made that does not say it.
const UNKNOWN_TIME: &str = "1970-01-01T00:00:01Z";

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
        bill.base = files.base()?;
        Ok(bill)
    }
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
fn known<'a>(
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
        let layer = LayerOf { number, digest, diff_id: layer.diff_id };
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
        let Some((scratch, path)) =
            self.copy(name.strip_prefix("/").unwrap_or(&name).as_os_str().as_encoded_bytes())?
        else {
            return Ok(None);
        };
        let database = Database::open(&path, &Store::new(store_dir, "/")?)?;
        Ok(Some((scratch, database)))
    }

    /// A copy of a regular file, and the directory that it lies in, which lives as long as this.
    fn copy(&self, name: &[u8]) -> Result<Option<(Scratch, PathBuf)>> {
        let Some(node) = self.file(name) else { return Ok(None) };
        let scratch = Scratch::create(&std::env::temp_dir())?;
        let path = scratch.path().join("db.sqlite");
        let mut file = File::create(&path).with_context(|| format!("cannot write: {}", path.display()))?;
        self.image.copy_file(node, &mut file)?;
        Ok(Some((scratch, path)))
    }

    /// What is in the image besides store paths: the system, and the packages that its databases list; none without either.
    fn base(&self) -> Result<Option<Base>> {
        let manifest = self.image.manifest.as_ref().map(|stored| &stored.manifest);
        let annotation = |key: &str| manifest.and_then(|manifest| manifest.annotations.get(key)).cloned();
        let mut base = Base {
            name: annotation(BASE_NAME),
            digest: annotation(BASE_DIGEST).and_then(|digest| digest.parse().ok()),
            ..Base::default()
        };
        for name in OS_RELEASE {
            if base.os.is_none()
                && let Some(text) = self.text(name)?
            {
                base.os = OsRelease::parse(&text);
            }
        }
        for (name, parse) in DATABASES {
            base.packages.extend(self.text(name)?.map(|text| parse(&text)).unwrap_or_default());
        }
        for part in self.names_in(DPKG_PARTS) {
            base.packages.extend(self.text(&part)?.map(|text| parse_dpkg(&text)).unwrap_or_default());
        }
        for name in RPM {
            if let Some((_scratch, path)) = self.copy(name.as_bytes())? {
                base.packages.extend(read_rpm_database(&path, &format!("{}: {name}", self.image.name))?);
            }
        }
        base.packages.sort();
        base.packages.dedup();
        // The name of a system without packages may be that of a store path, as base-files of Debian is.
        Ok(Some(base).filter(|base| base.name.is_some() || base.digest.is_some() || !base.packages.is_empty()))
    }

    /// The contents of a regular file, by its name and whatever links lead to it.
    fn text(&self, name: &str) -> Result<Option<Vec<u8>>> {
        let Some(node) = self.file(name.as_bytes()) else { return Ok(None) };
        if let Kind::File { size } = node.kind {
            self.image
                .limits()
                .check(Limit::Descriptions, size)
                .map_err(|e| invalid!("{}: {name}: {e}", self.image.name))?;
        }
        let mut text = Vec::new();
        self.image.copy_file(node, &mut text)?;
        Ok(Some(text))
    }

    fn names_in(&self, directory: &str) -> Vec<String> {
        let node = self.tree.get(directory.as_bytes());
        let names =
            node.into_iter().flat_map(Node::children).map(|(name, _)| String::from_utf8_lossy(name).into_owned());
        names.map(|name| format!("{directory}/{name}")).collect()
    }

    fn file(&self, name: &[u8]) -> Option<&Node> {
        let node = self.tree.resolve(name).ok()?.node?;
        Some(node).filter(|node| matches!(node.kind, Kind::File { .. }))
    }
}
