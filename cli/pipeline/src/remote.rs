//! Images in registries: found by tag or digest, the one for a platform chosen among several.

use crate::error::Context;
use crate::{Registries, Result};
use layerstone_layer::Layer;
use layerstone_oci::{
    Config, Descriptor, Image, Index, Manifest, Platform, Reference, StoredManifest, Wanted, host_architecture,
    media_type,
};
use layerstone_registry::{FetchedManifest, Repository};
use layerstone_spec::Spec;
use layerstone_store::{Digest, Limit, Limits};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

/// What an index of a registry lists, on the way to the one image that is meant.
struct Search<'a> {
    repository: &'a Repository,
    wanted: &'a Wanted,
    name: &'a str,
    limits: &'a Limits,
    /// What images were found to run on, for messages.
    found: Vec<String>,
    /// What was fetched.
    fetched: BTreeSet<Digest>,
}

impl Search<'_> {
    /// The image of an index, or of one that it lists, for the platform that is wanted.
    fn image(&mut self, index: &Index, depth: u64) -> Result<Option<Descriptor>> {
        let images = index.manifests.iter().filter(|it| media_type::is_image(&it.media_type));
        let images: Vec<&Descriptor> = images.filter(|it| !is_unknown(it) && it.artifact_type().is_none()).collect();
        self.found.extend(images.iter().filter_map(|it| it.platform.as_ref()).map(ToString::to_string));
        let wanted = self.wanted;
        if let Some(best) = wanted.best(&images, |it| it.platform.as_ref(), &mut |it| self.look(it))? {
            return Ok(Some(best.clone()));
        }
        for inner in index.manifests.iter().filter(|it| media_type::is_index(&it.media_type)) {
            self.check(Limit::IndexDepth, depth + 1)?;
            if let Some(fetched) = self.fetch(inner)?
                && let Some(found) = self.image(&Index::parse(&fetched.bytes, self.name, self.limits)?, depth + 1)?
            {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    /// What an image runs on, by its config, where the index does not tell; none for an artifact.
    fn look(&mut self, image: &Descriptor) -> Result<Option<Platform>> {
        let Some(fetched) = self.fetch(image)? else { return Ok(Some(Platform::default())) };
        let manifest = Manifest::parse(&fetched.bytes, &format!("{}@{}", self.name, image.digest), self.limits)?;
        if manifest.artifact().is_some() {
            return Ok(Some(Platform::default()));
        }
        let config = self.repository.small_blob(&manifest.config).context("cannot read the config")?;
        let platform = serde_json::from_slice(&config).ok().as_ref().and_then(Platform::of_config);
        self.found.push(platform.as_ref().map_or_else(|| NO_PLATFORM.to_owned(), ToString::to_string));
        Ok(platform)
    }

    /// A manifest or index, once; none if it was fetched before.
    fn fetch(&mut self, descriptor: &Descriptor) -> Result<Option<FetchedManifest>> {
        if !self.fetched.insert(descriptor.digest) {
            return Ok(None);
        }
        self.check(Limit::Fetched, self.fetched.len() as u64)?;
        Ok(Some(self.repository.manifest(&descriptor.digest.to_string())?))
    }

    fn check(&self, limit: Limit, found: u64) -> Result<()> {
        self.limits.check(limit, found).map_err(|exceeded| invalid!("{exceeded}: {}", self.name))
    }

    fn nothing(mut self) -> crate::Error {
        if self.found.is_empty() {
            self.found.push("no image".to_owned());
        }
        no_image(self.wanted, self.name, &self.found.join(", "))
    }
}

/// What an image runs on whose config does not say so.
const NO_PLATFORM: &str = "an image that tells no platform";

/// Of the specs of one image.json, the one for a platform that is named, or all. A spec that does not say what its image
/// runs on is for this machine.
pub fn specs_for(wanted: &Wanted, specs: Vec<Spec>, path: &Path) -> Result<Vec<Spec>> {
    if !wanted.is_named {
        return Ok(specs);
    }
    let platform = |spec: &Spec| Platform {
        architecture: spec.architecture.clone().unwrap_or_else(|| host_architecture().to_owned()),
        os: "linux".to_owned(),
        variant: spec.variant.clone(),
        ..Platform::default()
    };
    let listed: Vec<(Platform, Spec)> = specs.into_iter().map(|spec| (platform(&spec), spec)).collect();
    let nothing = &mut |_: &(Platform, Spec)| Ok::<_, crate::Error>(None);
    let best = wanted.best(&listed.iter().collect::<Vec<_>>(), |(platform, _)| Some(platform), nothing)?;
    let found = || listed.iter().map(|(platform, _)| platform.to_string()).collect::<Vec<_>>().join(", ");
    let (_, spec) = best.ok_or_else(|| no_image(wanted, &path.display().to_string(), &found()))?;
    Ok(vec![spec.clone()])
}

/// The error where nothing is for the platform that is wanted.
fn no_image(wanted: &Wanted, name: &str, found: &str) -> crate::Error {
    crate::Error::NoImage { wanted: wanted.to_string(), name: name.to_owned(), found: found.to_owned() }
}

/// Whether an entry of an index is a statement about an image (BuildKit, attestation-storage.md).
fn is_unknown(descriptor: &Descriptor) -> bool {
    descriptor.platform.as_ref().is_some_and(|platform| platform.os == "unknown")
}

/// An image in a registry, its layers not yet read.
pub struct RemoteImage {
    /// What it was asked for by.
    pub reference: Reference,
    /// Where its blobs are.
    pub repository: Repository,
    /// Its manifest.
    pub manifest: StoredManifest,
    /// The bytes of its config.
    pub config: Vec<u8>,
    /// The digest of what the name leads to: the manifest, or the index that it was chosen from.
    pub digest: Digest,
    /// Whether the name leads to it and not to an index.
    pub is_alone: bool,
    /// The platforms of the images of that index, as far as they were looked at.
    pub platforms: Vec<String>,
}

impl RemoteImage {
    /// What it runs on, as its config says.
    pub fn platform(&self) -> Option<Platform> {
        serde_json::from_slice(&self.config).ok().as_ref().and_then(Platform::of_config)
    }

    /// What it is called, as short as can be.
    pub fn name(&self) -> Reference {
        name_of(&self.reference)
    }

    /// The image as it goes, byte for byte.
    pub fn as_stored(&self) -> Image<'static> {
        let blob = |it: &Descriptor| Layer::of_blob(it.clone(), Arc::new(self.repository.blob(it)));
        Image {
            name: Some(self.name()),
            layers: self.manifest.manifest.layers.iter().map(blob).collect(),
            config: Config::Bytes(self.config.clone()),
            manifest: Some(self.manifest.clone()),
            annotations: BTreeMap::new(),
            mtime: 1,
            compression: None,
        }
    }
}

/// What an image of a registry is called, as short as can be.
pub fn name_of(reference: &Reference) -> Reference {
    reference.familiar().tagged()
}

/// The digest of what a name leads to: an image, or the index of several.
///
/// # Errors
///
/// The registry does not have it, or cannot be asked.
pub fn digest(reference: &Reference, registries: &Registries) -> Result<Digest> {
    Ok(registries.fetch(reference)?.1.descriptor.digest)
}

/// Finds an image. One that stands for itself is taken whatever it runs on, unless a platform was named.
pub fn image(reference: &Reference, wanted: &Wanted, registries: &Registries) -> Result<RemoteImage> {
    let (repository, named) = registries.fetch(reference)?;
    let (digest, limits) = (named.descriptor.digest, &registries.options.limits);
    let is_alone = !media_type::is_index(&named.descriptor.media_type);
    let mut platforms = Vec::new();
    let FetchedManifest { descriptor, bytes } = if is_alone {
        named
    } else {
        let name = reference.to_string();
        let index = Index::parse(&named.bytes, &name, limits)?;
        let (found, fetched) = Default::default();
        let mut search = Search { repository: &repository, wanted, name: &name, limits, found, fetched };
        match search.image(&index, 0)? {
            Some(chosen) => {
                platforms = search.found;
                repository.manifest(&chosen.digest.to_string())?
            }
            None => return Err(search.nothing()),
        }
    };
    let manifest = Manifest::parse(&bytes, &format!("{}@{}", reference.name(), descriptor.digest), limits)?;
    let config = repository.small_blob(&manifest.config).context("cannot read the config")?;
    let manifest = StoredManifest { descriptor, bytes, manifest };
    let image = RemoteImage { reference: reference.clone(), repository, manifest, config, digest, is_alone, platforms };
    if is_alone && wanted.is_named && image.manifest.manifest.artifact().is_none() {
        let found = image.platform();
        if found.as_ref().is_none_or(|found| wanted.rank(found).is_none()) {
            let found = found.map_or_else(|| NO_PLATFORM.to_owned(), |found| found.to_string());
            return Err(no_image(wanted, &reference.to_string(), &found));
        }
    }
    Ok(image)
}
