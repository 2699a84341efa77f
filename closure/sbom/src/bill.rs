//! Gathers what a bill of materials says, whatever its format: an image or a closure, store paths, a base.

use crate::{Meta, MetaFile, OsPackage, OsRelease, package_url};
use layerstone_closure::{Closure, Origin, Package, PathInfo};
use layerstone_store::{Digest, StorePath};
use std::collections::BTreeMap;

/// A bill of materials.
#[derive(Clone, Debug)]
pub struct Bill {
    /// What it is of.
    pub subject: Subject,
    /// When that was made, in the form of RFC 3339, in UTC and whole seconds, as SPDX wants it.
    pub created: String,
    /// The store paths, sorted by path.
    pub components: Vec<Component>,
    /// The image below, or what an image has besides store paths.
    pub base: Option<Base>,
    /// The version of the program that writes it.
    pub tool_version: String,
    /// Who supplies what no meta says another supplier of.
    pub supplier: Option<String>,
}

/// What a bill is of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subject {
    /// What it is called.
    pub name: String,
    /// Its tag; none for a closure.
    pub tag: Option<String>,
    /// The digest of its manifest; none for a closure, and in a docker archive.
    pub digest: Option<Digest>,
    /// The digest of its config; none for a closure, and for an image that is not made yet.
    pub image_id: Option<Digest>,
    /// Whether it is an image, made or not.
    pub is_image: bool,
    /// The store paths that nothing else in the closure refers to, sorted.
    pub roots: Vec<StorePath>,
}

/// A store path.
#[derive(Clone, Debug)]
pub struct Component {
    /// Path, NAR hash and size, references.
    pub info: PathInfo,
    /// sha512 of its NAR in hexadecimal digits.
    pub sha512: Option<String>,
    /// The derivation that made it, as the database of a store says.
    pub deriver: Option<StorePath>,
    /// Nix's signatures, `KEY-NAME:BASE64`, as the database of a store says.
    pub signatures: Vec<String>,
    /// The layer that holds it.
    pub layer: Option<LayerOf>,
    /// What only evaluation knows.
    pub meta: Option<Meta>,
}

/// The layer that holds a store path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LayerOf {
    /// Its number in the image, 0 being the bottom one.
    pub number: usize,
    /// sha256 of its blob; none where layers are plain tars in an archive.
    pub digest: Option<Digest>,
    /// sha256 of its tar; none of a layer that is planned and not made.
    pub diff_id: Option<Digest>,
}

/// What an image has that is in no store path.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Base {
    /// What the image below is called, where that is known.
    pub name: Option<String>,
    /// The digest of its manifest, where that is known.
    pub digest: Option<Digest>,
    /// The system that is in it.
    pub os: Option<OsRelease>,
    /// What its databases of packages list, sorted.
    pub packages: Vec<OsPackage>,
}

impl Subject {
    /// A closure that is called so.
    pub fn closure(name: &str) -> Subject {
        Subject { name: name.to_owned(), tag: None, digest: None, image_id: None, is_image: false, roots: Vec::new() }
    }

    /// An image that is called so and is not made yet.
    pub fn planned(name: &str, tag: Option<&str>) -> Subject {
        Subject { tag: tag.map(str::to_owned), is_image: true, ..Subject::closure(name) }
    }

    /// An image that is called so.
    pub fn image(name: &str, tag: Option<&str>, digest: Option<Digest>, image_id: Digest) -> Subject {
        Subject { digest, image_id: Some(image_id), ..Subject::planned(name, tag) }
    }

    /// Its package URL; none without a manifest.
    pub fn package_url(&self) -> Option<String> {
        package_url::of_image(self)
    }

    /// The digest that alone says which image it is.
    pub(crate) fn identity(&self) -> Option<Digest> {
        self.digest.or(self.image_id)
    }

    /// What its version is: that digest.
    pub(crate) fn version(&self) -> Option<String> {
        self.identity().map(|digest| digest.to_string())
    }
}

impl Base {
    /// What it is called, by its name or by the system in it.
    pub(crate) fn told(&self) -> &str {
        self.name.as_deref().or(self.os.as_ref().map(|os| &*os.id)).unwrap_or("base")
    }

    /// Its digest, or the version of the system in it; empty if neither is known.
    pub(crate) fn version(&self) -> String {
        let digest = self.digest.map(|digest| digest.to_string());
        digest.or(self.os.as_ref().map(|os| os.version.clone())).unwrap_or_default()
    }
}

impl Bill {
    /// That of a closure; its roots become those of the subject.
    pub fn of(subject: Subject, closure: &Closure, created: &str) -> Bill {
        let components = closure.graph.iter().map(|info| Component {
            info: info.clone(),
            sha512: None,
            deriver: None,
            signatures: Vec::new(),
            layer: None,
            meta: None,
        });
        Bill {
            subject: Subject { roots: closure.roots(), ..subject },
            created: created.to_owned(),
            components: components.collect(),
            base: None,
            tool_version: env!("CARGO_PKG_VERSION").to_owned(),
            supplier: None,
        }
    }

    /// Who supplies a store path.
    pub(crate) fn supplier_of<'a>(&'a self, component: &'a Component) -> Option<&'a str> {
        component.meta.as_ref().and_then(|meta| meta.supplier.as_deref()).or(self.supplier.as_deref())
    }

    /// The store paths as a closure.
    pub fn closure(&self) -> Closure {
        Closure { graph: self.components.iter().map(|component| component.info.clone()).collect() }
    }

    /// Names and versions of all packages: of store paths, then of the base.
    pub fn packages(&self) -> impl Iterator<Item = (&str, &str)> {
        let of_base = self.base.iter().flat_map(|base| &base.packages);
        let components = self.components.iter().map(|component| (component.name(), component.version()));
        components.chain(of_base.map(|package| (&*package.name, &*package.version)))
    }

    /// Says what the database of a store says of paths; hashes and sizes that are known already stay.
    pub fn set_origins(&mut self, mut origins: BTreeMap<StorePath, Origin>) {
        for component in &mut self.components {
            let Some(origin) = origins.remove(&component.info.path) else { continue };
            (component.deriver, component.signatures) = (origin.deriver, origin.signatures);
            component.info.nar_hash = component.info.nar_hash.or(origin.nar_hash);
            component.info.nar_size = component.info.nar_size.or(origin.nar_size);
        }
    }

    /// All store paths.
    pub fn paths(&self) -> Vec<StorePath> {
        self.components.iter().map(|component| component.info.path.clone()).collect()
    }

    /// Says what evaluation knows of paths; of some of them, or of others, is fine.
    pub fn set_meta(&mut self, file: &MetaFile) {
        for component in &mut self.components {
            component.meta = file.paths.get(&component.info.path).cloned().or(component.meta.take());
        }
    }

    /// Says which layer holds which path.
    pub fn set_layers(&mut self, layers: &BTreeMap<StorePath, LayerOf>) {
        for component in &mut self.components {
            component.layer = layers.get(&component.info.path).copied();
        }
    }
}

impl Component {
    /// Its path.
    pub fn path(&self) -> &StorePath {
        &self.info.path
    }

    /// The name of its package, as evaluation or the path says it.
    pub fn name(&self) -> &str {
        let known = self.meta.as_ref().and_then(|meta| meta.name.as_deref());
        known.unwrap_or(Package::of(&self.info.path).name)
    }

    /// The version of its package, as evaluation or the path says it; empty if there is none.
    pub fn version(&self) -> &str {
        let known = self.meta.as_ref().and_then(|meta| meta.version.as_deref());
        known.unwrap_or(Package::of(&self.info.path).version)
    }

    /// What formats have no field for, under the names that sbomnix uses for some of it.
    pub(crate) fn facts(&self) -> Vec<(&'static str, String)> {
        let (info, output) = (&self.info, Package::of(&self.info.path).output);
        let mut facts = Vec::new();
        facts.extend(self.deriver.iter().map(|deriver| ("nix:drv_path", deriver.to_string())));
        facts.extend((!output.is_empty()).then(|| ("nix:output", output.to_owned())));
        facts.extend(info.nar_hash.map(|hash| ("nix:nar_hash", hash.to_string())));
        facts.extend(info.nar_size.map(|size| ("nix:nar_size", size.to_string())));
        facts.extend(self.signatures.iter().map(|signature| ("nix:signature", signature.clone())));
        if let Some(layer) = &self.layer {
            facts.extend(layer.digest.map(|digest| ("oci:layer:digest", digest.to_string())));
            facts.push(match layer.diff_id {
                Some(diff_id) => ("oci:layer:diff_id", diff_id.to_string()),
                None => ("oci:layer:number", layer.number.to_string()),
            });
        }
        facts
    }

    /// The other paths that it refers to.
    pub(crate) fn references(&self) -> impl Iterator<Item = &StorePath> {
        self.info.references.iter().filter(|path| **path != self.info.path)
    }
}
