//! Copies of images under their names: one image, one with all that its index lists, several as one index.

use crate::builder::Brought;
use crate::copy_index::{self, Whole};
use crate::error::Context;
use crate::{BuildOptions, Builder, Copier, ImageSource, ImageTarget, OpenTarget, Registries, Result, remote};
use layerstone_layering::Strategy;
use layerstone_oci::{Descriptor, Index, Reference, media_type};
use layerstone_spec::Spec;
use layerstone_store::Digest;
use std::collections::BTreeMap;

/// What was published.
pub enum Published {
    /// An image, or an index that was copied as it is: what it is called there, and its manifest.
    Manifest {
        /// The name, if it has one.
        name: Option<String>,
        /// The manifest or index.
        manifest: Descriptor,
    },
    /// An index of several images, which was made.
    Index {
        /// The name.
        name: String,
        /// The index.
        index: Descriptor,
        /// The manifests that it lists.
        manifests: Vec<Descriptor>,
    },
    /// An image where there are no manifests: what it is called there, and its ID.
    Image {
        /// The name, if it has one.
        name: Option<Reference>,
        /// The ID.
        image_id: Digest,
    },
}

impl Copier<'_> {
    /// Copies an image, or makes those of a spec; `name` is what it is to be called.
    ///
    /// # Errors
    ///
    /// The source is not there or damaged, or the target cannot be written or does not fit it.
    pub fn copy(&self, source: &ImageSource, target: &ImageTarget, name: Option<Reference>) -> Result<Published> {
        if !target.keeps_oci_images() {
            if let ImageSource::Spec(path) = source {
                bail!(
                    "found the spec {}, expected an image: `layerstone build` makes archives of specs",
                    path.display()
                );
            }
            let (name, image_id) = self.archive_to(source, name.as_ref(), target)?;
            return Ok(Published::Image { name, image_id });
        }
        let open = OpenTarget::open(target, self.registries, &mounts([source], target))?;
        let destination = open.destination();
        let brought = match source {
            ImageSource::Spec(path) => {
                let specs = self.specs(path)?;
                let [spec] = &specs[..] else { return self.index_of_specs(&specs, path, &open, name) };
                self.bring_spec(spec, path, false, destination)?
            }
            source => self.bring(source, destination)?,
        };
        let name = name.or(brought.name).or(name_in(target));
        destination.finish(&brought.arrived.manifest, &brought.arrived.bytes, name.as_ref())?;
        open.report_sent(self.report());
        Ok(Published::Manifest { name: name.map(|name| open.called(&name)), manifest: brought.arrived.manifest })
    }

    /// Copies an image with all that its index lists.
    ///
    /// # Errors
    ///
    /// Those of [`Copier::copy`].
    pub fn copy_all(&self, source: &ImageSource, target: &ImageTarget, name: Option<Reference>) -> Result<Published> {
        let open = OpenTarget::open(target, self.registries, &mounts([source], target))?;
        let (max, destination) = (self.options.max_unpacked, open.destination());
        let Whole { descriptor, bytes, name: own } =
            copy_index::bring(source, destination, max, self.registries, self.report())?;
        let name = name.or(own).or(name_in(target));
        destination.finish(&descriptor, &bytes, name.as_ref())?;
        open.report_sent(self.report());
        Ok(Published::Manifest { name: name.map(|name| open.called(&name)), manifest: descriptor })
    }

    /// Puts images for one platform each together into one index; each keeps its manifest. The texts name them in messages.
    ///
    /// # Errors
    ///
    /// Those of [`Copier::copy`]; an image names no platform, or two name the same.
    pub fn index(
        &self,
        sources: &[(ImageSource, String)],
        target: &ImageTarget,
        mut name: Option<Reference>,
    ) -> Result<Published> {
        let open = open_for_index(target, self.registries, &mounts(sources.iter().map(|(source, _)| source), target))?;
        let destination = open.destination();
        let mut manifests = Vec::new();
        for (source, text) in sources {
            let mut add = |brought: Brought| -> Result<()> {
                if brought.arrived.manifest.platform.is_none() {
                    bail!("no platform: {text}: found no architecture and os in its config");
                }
                destination.put_manifest(&brought.arrived.manifest, &brought.arrived.bytes)?;
                manifests.push(brought.arrived.manifest);
                name = name.take().or(brought.name);
                Ok(())
            };
            let ImageSource::Spec(path) = source else {
                add(self.bring(source, destination)?)?;
                continue;
            };
            let specs = self.specs(path)?;
            let several = sources.len() > 1 || specs.len() > 1;
            for spec in &specs {
                add(self.bring_spec(spec, path, several, destination)?)?;
            }
        }
        self.finish_index(&open, manifests, name)
    }

    fn index_of_specs(
        &self,
        specs: &[Spec],
        path: &std::path::Path,
        open: &OpenTarget,
        mut name: Option<Reference>,
    ) -> Result<Published> {
        let mut manifests = Vec::new();
        for spec in specs {
            let brought = self.bring_spec(spec, path, true, open.destination())?;
            open.destination().put_manifest(&brought.arrived.manifest, &brought.arrived.bytes)?;
            manifests.push(brought.arrived.manifest);
            name = name.or(brought.name);
        }
        self.finish_index(open, manifests, name)
    }

    fn finish_index(
        &self,
        open: &OpenTarget,
        manifests: Vec<Descriptor>,
        name: Option<Reference>,
    ) -> Result<Published> {
        let name = name.context("no name: expected --as NAME:TAG")?;
        let published = finish_index(open, manifests, &name)?;
        open.report_sent(self.report());
        Ok(published)
    }
}

/// Builds an image for each spec, and puts the index of them all.
///
/// # Errors
///
/// A stage fails, the target keeps no index, or two specs are for one platform.
pub fn build_index(
    specs: &[(Spec, Strategy)],
    target: &ImageTarget,
    registries: &Registries,
    options: &BuildOptions<'_>,
) -> Result<Published> {
    let open = open_for_index(target, registries, &[])?;
    let (mut manifests, mut name) = (Vec::new(), None);
    for (spec, strategy) in specs {
        let builder = Builder::open(spec, strategy.clone(), true, options)?;
        let brought = builder.put(open.destination(), registries.uploads)?;
        open.destination().put_manifest(&brought.arrived.manifest, &brought.arrived.bytes)?;
        manifests.push(brought.arrived.manifest);
        name = name.or(brought.name);
    }
    let published = finish_index(&open, manifests, &name.context("no spec")?)?;
    open.report_sent(options.report);
    Ok(published)
}

/// Opens what can keep an index.
fn open_for_index(target: &ImageTarget, registries: &Registries, mounts: &[String]) -> Result<OpenTarget> {
    if !target.keeps_oci_images() {
        bail!("several architectures: found {target}, expected oci:DIR, oci-archive:FILE or registry:HOST/NAME:TAG");
    }
    OpenTarget::open(target, registries, mounts)
}

/// Puts the index of images that are there.
fn finish_index(open: &OpenTarget, manifests: Vec<Descriptor>, name: &Reference) -> Result<Published> {
    let mut platforms = BTreeMap::new();
    for (number, manifest) in (1..).zip(&manifests) {
        let Some(platform) = &manifest.platform else { continue };
        if let Some(first) = platforms.insert(platform.to_string(), number) {
            bail!("two images for {platform}: number {first} and number {number}, expected one");
        }
    }
    let index = Index::new(manifests, BTreeMap::new());
    let bytes = index.to_bytes();
    let descriptor = Descriptor::of(media_type::INDEX, &bytes);
    open.destination().finish(&descriptor, &bytes, Some(name))?;
    Ok(Published::Index { name: open.called(name), index: descriptor, manifests: index.manifests })
}

/// Repositories of the registry that images go to, which they may be in.
fn mounts<'a>(sources: impl IntoIterator<Item = &'a ImageSource>, target: &ImageTarget) -> Vec<String> {
    let in_target = |source: &'a ImageSource| match (source, target) {
        (ImageSource::Registry(from), ImageTarget::Registry(to)) if from.host() == to.host() => Some(from.repository()),
        _ => None,
    };
    sources.into_iter().filter_map(in_target).collect()
}

/// What a registry calls an image that has no name.
fn name_in(target: &ImageTarget) -> Option<Reference> {
    match target {
        ImageTarget::Registry(reference) => Some(remote::name_of(reference)),
        _ => None,
    }
}
