//! Copies of images under their names: one image, one with all that its index lists, several as one index.

use crate::companion::{Companion, index_of_one, put_companions};
use crate::copy_index::put_all;
use crate::copy_referrers::Along;
use crate::destination::WriteOptions;
use crate::error::Context;
use crate::error::Refused;
use crate::oci_destination::{OciDestination, PutManifest};
use crate::{
    BuildOptions, Builder, Built, Copier, Destination, Error, ImageSource, ImageTarget, Result, Tally, remote,
};
use layerstone_layering::Strategy;
use layerstone_oci::{Descriptor, Index, Reference, media_type};
use layerstone_spec::Spec;
use layerstone_store::Digest;
use std::collections::BTreeMap;

/// What was published.
pub enum Published {
    /// An image or an index: what it is called there, and its manifest.
    Manifest {
        /// The name, if it has one.
        name: Option<String>,
        /// What describes the manifest or index.
        descriptor: Box<Descriptor>,
        /// The digest of the config; an index has none.
        config: Option<Digest>,
        /// The manifests that an index lists which was made.
        listed: Vec<Descriptor>,
        /// What became of the layers.
        tally: Tally,
        /// What was made of it besides, bills of materials and provenance.
        companions: Vec<Companion>,
    },
    /// An image where there are no manifests: what it is called there, and its ID.
    Image {
        /// The name, if it has one.
        name: Option<Reference>,
        /// The ID.
        image_id: Digest,
        /// What became of the layers.
        tally: Tally,
    },
}

impl Published {
    /// The digest of the manifest or index, or the ID of an image where there are none.
    pub fn digest(&self) -> Digest {
        match self {
            Published::Manifest { descriptor, .. } => descriptor.digest,
            Published::Image { image_id, .. } => *image_id,
        }
    }

    /// What it is called there, if it has a name.
    pub fn name(&self) -> Option<String> {
        match self {
            Published::Manifest { name, .. } => name.clone(),
            Published::Image { name, .. } => name.as_ref().map(Reference::to_string),
        }
    }

    /// What became of the layers.
    pub fn tally(&self) -> &Tally {
        match self {
            Published::Manifest { tally, .. } | Published::Image { tally, .. } => tally,
        }
    }
}

impl From<&Built> for Published {
    fn from(Built { reference, image, tally }: &Built) -> Published {
        let (image_id, tally) = (image.image_id, tally.clone());
        match &image.manifest {
            Some((manifest, _)) => Published::Manifest {
                name: Some(reference.clone()),
                descriptor: Box::new(manifest.descriptor.clone()),
                config: Some(image_id),
                listed: Vec::new(),
                tally,
                companions: Vec::new(),
            },
            None => Published::Image { name: image.name.clone(), image_id, tally },
        }
    }
}

impl Copier<'_> {
    /// Copies an image, or makes those of a spec; `name` is what it is to be called.
    ///
    /// # Errors
    ///
    /// The source is missing or damaged, or the target cannot be written or does not fit it.
    pub fn copy(&self, source: &ImageSource, target: &ImageTarget, name: Option<Reference>) -> Result<Published> {
        self.check_referrers(source, target)?;
        self.options.companions.check_copy(source, target)?;
        if !target.keeps_oci_images() {
            return self.copy_plain(source, target, name);
        }
        let open = self.open(target, [source])?;
        let put = match source {
            ImageSource::Spec(path) => {
                let specs = self.specs(path)?;
                let [spec] = &specs[..] else {
                    let put = specs.iter().map(|spec| Ok(vec![self.put_spec(spec, path, true, open.store())?]));
                    return finish_index(&open, put, name, &self.options);
                };
                self.put_spec(spec, path, false, open.store())?
            }
            source => self.with_companions(source, self.put(source, open.store())?)?,
        };
        if self.referrers {
            self.put_referrers_of(source, &put, open.store())?;
        }
        self.finish(&open, put, name, target)
    }

    /// Copies an image with all that its index lists.
    ///
    /// # Errors
    ///
    /// Those of [`Copier::copy`].
    pub fn copy_all(&self, source: &ImageSource, target: &ImageTarget, name: Option<Reference>) -> Result<Published> {
        if let ImageSource::Spec(_) = source {
            // Those of all its architectures are made anyway.
            return self.copy(source, target, name);
        }
        self.check_referrers(source, target)?;
        self.options
            .companions
            .refuse("--all", "`layerstone push` and `attach --platform` take one image at a time")?;
        let open = self.open(target, [source])?;
        let (limits, registries) = (self.options.limits, self.options.registries);
        let along = if self.referrers { Along::All } else { Along::Nothing };
        let put = put_all(source, open.store(), limits, registries, along, self.report())?;
        self.finish(&open, put, name, target)
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
        name: Option<Reference>,
    ) -> Result<Published> {
        check_index(target)?;
        self.options.companions.refuse("index", "`layerstone push` of a spec of several architectures makes them")?;
        let open = self.open(target, sources.iter().map(|(source, _)| source))?;
        let put = sources.iter().map(|(source, text)| {
            let put = match source {
                ImageSource::Spec(path) => {
                    let specs = self.specs(path)?;
                    let several = sources.len() > 1 || specs.len() > 1;
                    let put = specs.iter().map(|spec| self.put_spec(spec, path, several, open.store()));
                    put.collect::<Result<Vec<_>>>()?
                }
                source => vec![self.put(source, open.store())?],
            };
            if put.iter().any(|put| put.descriptor.platform.is_none()) {
                bail!("no platform: {text}: found no architecture and os in its config");
            }
            Ok(put)
        });
        finish_index(&open, put, name, &self.options)
    }

    /// Copies an image to a docker archive or an engine.
    fn copy_plain(&self, source: &ImageSource, target: &ImageTarget, name: Option<Reference>) -> Result<Published> {
        if let ImageSource::Spec(path) = source {
            let message = format!("found the spec {}, expected an image", path.display());
            return Err(Error::advised(message, "`layerstone build IMAGE.JSON -o PLACE` makes archives of specs"));
        }
        let image = self.plain(source, name)?;
        if let Some(rehearsal) = &self.rehearsal {
            let image_id = rehearsal.plain(&image)?;
            let (name, tally) = (image.name_for(&image_id), Tally::default());
            return Ok(Published::Image { name, image_id, tally });
        }
        self.add_file_systems(&image)?;
        let to = WriteOptions {
            compression: self.options.compression,
            ..WriteOptions::new(target, self.options.registries)
        };
        let put = to.open(&[], None)?.write(&image, self.report())?;
        let tally = Tally::of(&image.layers, &put);
        Ok(Published::Image { name: put.name, image_id: put.image_id, tally })
    }

    /// Opens a target that keeps OCI images. What is in its registry already, the sources or what they are built on, is
    /// mounted there.
    fn open<'s>(
        &self,
        target: &ImageTarget,
        sources: impl IntoIterator<Item = &'s ImageSource>,
    ) -> Result<OciDestination> {
        let mut places = Vec::new();
        for source in sources {
            match source {
                ImageSource::Image(place) => places.push(place.clone()),
                ImageSource::Spec(path) => {
                    places.extend(self.specs(path)?.into_iter().filter_map(|spec| spec.from_image));
                }
            }
        }
        let (compression, registries, mounts) =
            (self.options.compression, self.options.registries, target.mounts(&places));
        match &self.rehearsal {
            Some(rehearsal) => OciDestination::rehearse(target, compression, registries, &mounts, rehearsal),
            None => OciDestination::open(target, compression, registries, &mounts),
        }
    }

    /// Names what was put.
    fn finish(
        &self,
        open: &OciDestination,
        put: PutManifest,
        name: Option<Reference>,
        target: &ImageTarget,
    ) -> Result<Published> {
        finish_image(open, put, name, target, &self.options)
    }
}

/// Names what was put, and its companions before it.
fn finish_image(
    open: &OciDestination,
    put: PutManifest,
    name: Option<Reference>,
    target: &ImageTarget,
    options: &BuildOptions<'_>,
) -> Result<Published> {
    let entry = put_companions(&put, options.companions.in_index, open.store(), options.report)?;
    let (put, listed) = match entry {
        Some(entry) => index_of_one(put, entry),
        None => (put, Vec::new()),
    };
    let name = name.or(put.name).or(name_in(target));
    open.finish(&put.descriptor, &put.bytes, name.as_ref())?;
    let name = name.map(|name| open.called(&name));
    let descriptor = Box::new(put.descriptor);
    let tally = Tally { pushed: open.pushed(), ..put.tally };
    Ok(Published::Manifest { name, descriptor, config: put.config, listed, tally, companions: put.companions })
}

/// Builds the images of specs for one platform each, and puts them together into one index.
///
/// # Errors
///
/// A stage fails, the target keeps no index, or two images are for the same platform.
pub fn build_index(specs: &[(Spec, Strategy)], target: &ImageTarget, options: &BuildOptions<'_>) -> Result<Published> {
    check_index(target)?;
    let registries = options.registries;
    let bases = specs.iter().filter_map(|(spec, _)| options.base.as_ref().or(spec.from_image.as_ref()));
    let open = OciDestination::open(target, options.compression, registries, &target.mounts(bases))?;
    let put = specs.iter().map(|(spec, strategy)| {
        Ok(vec![Builder::open(spec, strategy.clone(), true, options)?.put(open.store(), registries.uploads)?])
    });
    finish_index(&open, put, None, options)
}

/// Builds the image of a spec, and publishes it with its companions.
///
/// # Errors
///
/// A stage fails, or the target keeps no manifests.
pub fn publish_image(
    spec: &Spec,
    strategy: &Strategy,
    target: &ImageTarget,
    options: &BuildOptions<'_>,
) -> Result<Published> {
    options.companions.check(target)?;
    let bases = options.base.as_ref().or(spec.from_image.as_ref());
    let open = OciDestination::open(target, options.compression, options.registries, &target.mounts(bases))?;
    let builder = Builder::open(spec, strategy.clone(), false, options)?;
    finish_image(&open, builder.put(open.store(), options.registries.uploads)?, None, target, options)
}

/// Refuses a target that keeps no index.
fn check_index(target: &ImageTarget) -> Result<()> {
    if !target.keeps_oci_images() {
        let message = format!(
            "several architectures: found {target}, expected oci:DIR, oci-archive:FILE or registry:HOST/NAME:TAG"
        );
        return Err(Error::advised(message, "docker archives and engines hold one architecture: --arch picks it"));
    }
    Ok(())
}

/// Puts images, one after the other, and the index of all. It has this name, or that of the first image with one.
fn finish_index(
    open: &OciDestination,
    images: impl IntoIterator<Item = Result<Vec<PutManifest>>>,
    mut name: Option<Reference>,
    options: &BuildOptions<'_>,
) -> Result<Published> {
    let (mut entries, mut companions) = (Vec::new(), Vec::new());
    let (mut manifests, mut scratches, mut tally) = (Vec::new(), Vec::new(), Tally::default());
    for images in images {
        for put in images? {
            open.store().put_manifest(&put.descriptor, &put.bytes)?;
            entries.extend(put_companions(&put, options.companions.in_index, open.store(), options.report)?);
            companions.extend(put.companions);
            manifests.push(put.descriptor);
            scratches.extend(put.scratch);
            name = name.or(put.name);
            tally = tally.and(put.tally);
        }
    }
    let name = name.context("no name: expected --as NAME:TAG")?;
    let mut platforms = BTreeMap::new();
    for (number, manifest) in (1..).zip(&manifests) {
        let Some(platform) = &manifest.platform else { continue };
        if let Some(first) = platforms.insert(platform.to_string(), number) {
            let message = format!("two images for {platform}: number {first} and number {number}, expected one");
            let hint =
                "each image of an index is for another platform; `layerstone merge` keeps several in one archive";
            return Err(Refused { message, hint: Some(hint.to_owned()) }.into());
        }
    }
    manifests.extend(entries);
    let index = Index::new(manifests, BTreeMap::new());
    let bytes = index.to_bytes();
    let descriptor = Descriptor::of(media_type::INDEX, &bytes);
    open.finish(&descriptor, &bytes, Some(&name))?;
    let name = Some(open.called(&name));
    let tally = Tally { pushed: open.pushed(), ..tally };
    let (descriptor, listed) = (Box::new(descriptor), index.manifests);
    Ok(Published::Manifest { name, descriptor, config: None, listed, tally, companions })
}

/// What a registry calls an image that has no name.
fn name_in(target: &ImageTarget) -> Option<Reference> {
    if let ImageTarget::Registry(reference) = target { Some(remote::name_of(reference)) } else { None }
}
