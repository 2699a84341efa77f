//! An image as the table of contents of its file lists it, before anything of it is read.

use crate::blobs::Blobs;
use crate::{Error, Location, Result};
use layerstone_oci::{Descriptor, Manifest};
use layerstone_stage::Digest;
use serde_json::Value;
use std::path::Path;

/// The system that an image must be for where there are several; indexes of others list Windows too.
const OS: &str = "linux";

/// An image and where its pieces are.
#[derive(Clone, Debug)]
pub(crate) struct Listed {
    /// What it is called, `NAME:TAG`; in an OCI layout a name may be all or a tag.
    pub references: Vec<String>,
    /// What it runs on, if the table tells.
    pub platform: Option<Platform>,
    /// Whether it is in the file or folder at all. If not, its config is what is missing.
    pub is_there: bool,
    pub config: Blob,
    /// Bottom first.
    pub layers: Vec<Blob>,
    /// The manifest that lists them, if it is one of OCI's or docker's registry.
    pub manifest: Option<StoredManifest>,
}

/// The manifest of an image, as it is kept.
#[derive(Clone, Debug)]
pub struct StoredManifest {
    /// What names it.
    pub descriptor: Descriptor,
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// What they say.
    pub manifest: Manifest,
}

/// What an image runs on, by Go's names (OCI image-spec, image-index.md, "platform").
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Platform {
    pub os: String,
    pub architecture: String,
    pub variant: Option<String>,
}

/// A piece of an image.
#[derive(Clone, Debug)]
pub(crate) struct Blob {
    /// Its name in the file or folder.
    pub name: String,
    /// sha256 that it must have, if that is told.
    pub digest: Option<Digest>,
    /// Size in bytes that it must have, if that is told.
    pub size: Option<u64>,
}

impl Listed {
    fn variant(&self) -> Option<&str> {
        self.platform.as_ref()?.variant.as_deref()
    }

    /// What lists call it.
    pub(crate) fn title(&self) -> String {
        let name = match &self.references[..] {
            [] => "one without a name".to_owned(),
            names => names.join(" "),
        };
        let platform = self.platform.as_ref().map(|Platform { os, architecture, variant }| {
            let variant = variant.as_ref().map(|variant| format!("/{variant}")).unwrap_or_default();
            let absent = if self.is_there { "" } else { ", not there" };
            format!(" ({os}/{architecture}{variant}{absent})")
        });
        name + &platform.unwrap_or_default()
    }
}

impl Listed {
    /// The layers with the diff IDs that the image's config has for them, bottom first.
    pub(crate) fn with_diff_ids(&self, config: &Value, blobs: &Blobs) -> Result<Vec<(&Blob, Digest)>> {
        let diff_ids = diff_ids(config).map_err(|cause| blobs.error(format!("{}: {cause}", self.config.name)))?;
        if diff_ids.len() != self.layers.len() {
            let (found, expected) = (self.layers.len(), diff_ids.len());
            let cause = format!("found {found} layers, expected {expected} as the config has diff IDs");
            return Err(blobs.error(cause));
        }
        Ok(self.layers.iter().zip(diff_ids).collect())
    }
}

/// The diff IDs of a config (OCI image-spec, config.md, "rootfs"); null counts as none.
fn diff_ids(config: &Value) -> Result<Vec<Digest>, String> {
    match config.pointer("/rootfs/diff_ids") {
        None => Err("found no rootfs.diff_ids".to_owned()),
        Some(Value::Null) => Ok(Vec::new()),
        Some(list) => serde_json::from_value(list.clone()).map_err(|e| format!("rootfs.diff_ids: {e}")),
    }
}

impl Platform {
    /// Whether it is Linux on this architecture.
    fn runs(&self, architecture: &str) -> bool {
        self.architecture == architecture && self.os == OS
    }
}

impl Blob {
    /// The bytes of a small piece, checked as far as its size and digest are told.
    pub(crate) fn read(&self, blobs: &Blobs) -> Result<Vec<u8>> {
        let bytes = blobs.bytes(&self.name)?;
        self.check_size(bytes.len() as u64, blobs)?;
        self.check_digest(Digest::of(&bytes), blobs)?;
        Ok(bytes)
    }

    pub(crate) fn check_size(&self, found: u64, blobs: &Blobs) -> Result<()> {
        match self.size {
            Some(expected) if expected != found => {
                Err(blobs.error(format!("{}: found {found} bytes, expected {expected}", self.name)))
            }
            _ => Ok(()),
        }
    }

    pub(crate) fn check_digest(&self, found: Digest, blobs: &Blobs) -> Result<()> {
        match self.digest {
            Some(expected) if expected != found => {
                Err(Error::Digest { path: label(blobs.path(), &self.name).into(), found, expected })
            }
            _ => Ok(()),
        }
    }
}

/// The image that is meant: by name and tag if they are given, exactly; among images of one name for several platforms,
/// that of Linux on the architecture, and among those of several variants that of the variant.
///
/// # Errors
///
/// None is, or several are; what there is is listed.
pub(crate) fn choose<'a>(
    images: &'a [Listed],
    location: &Location,
    architecture: &str,
    variant: Option<&str>,
) -> Result<&'a Listed> {
    let is_meant = |image: &&Listed| {
        location.reference().is_none() || image.references.iter().any(|known| location.matches(known))
    };
    let mut meant: Vec<&Listed> = images.iter().filter(is_meant).collect();
    if meant.len() > 1 && meant.iter().all(|image| image.platform.is_some()) {
        let known = titles(&meant);
        meant.retain(|image| image.platform.as_ref().is_some_and(|platform| platform.runs(architecture)));
        if meant.is_empty() {
            return Err(Error::NoSuchImage { wanted: format!("{location} for {OS}/{architecture}"), known });
        }
        let is_of_variant = |image: &&Listed| image.variant() == variant;
        if variant.is_some() && meant.iter().any(is_of_variant) {
            meant.retain(is_of_variant);
        }
    }
    // One image under several names is one image.
    meant.dedup_by(|a, b| a.config.name == b.config.name);
    match meant[..] {
        [image] => Ok(image),
        [] => Err(Error::NoSuchImage { wanted: location.to_string(), known: titles(images) }),
        _ => Err(Error::SeveralImages { path: location.path.clone(), known: titles(&meant) }),
    }
}

fn titles<I: std::borrow::Borrow<Listed>>(images: &[I]) -> Vec<String> {
    images.iter().map(|image| image.borrow().title()).collect()
}

/// What messages call a piece: the file, and its name there.
pub(crate) fn label(path: &Path, name: &str) -> String {
    format!("{}: {name}", path.display())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image(references: &[&str], architecture: Option<&str>, config: &str) -> Listed {
        let platform = architecture.map(|architecture| Platform {
            os: "linux".to_owned(),
            architecture: architecture.to_owned(),
            variant: (architecture == "arm").then(|| "v7".to_owned()),
        });
        let references = references.iter().map(|text| (*text).to_owned()).collect();
        Listed {
            references,
            platform,
            is_there: true,
            config: Blob { name: config.to_owned(), digest: None, size: None },
            layers: vec![],
            manifest: None,
        }
    }

    #[track_caller]
    fn check(images: &[Listed], wanted: &str, expected: Result<&str, &str>) {
        let location: Location = wanted.parse().unwrap();
        let found = choose(images, &location, "arm64", None).map(|image| image.config.name.as_str());
        assert_eq!(found.map_err(|e| e.to_string()), expected.map_err(str::to_owned), "{wanted}");
    }

    #[test]
    fn by_name_and_tag() {
        let images = [image(&["a:1", "a:2"], None, "x"), image(&["xa:1"], None, "y"), image(&[], None, "z")];
        check(&images[..1], "f", Ok("x"));
        check(&images, "f#a:1", Ok("x"));
        check(&images, "f#a:2", Ok("x"));
        check(&images, "f#xa", Ok("y"));
        check(&images, "f#:2", Ok("x"));
        check(&images, "f#b", Err("no such image: f#b: found a:1 a:2, xa:1, one without a name"));
        check(&images, "f", Err("several images: f: expected f#NAME:TAG, found a:1 a:2, xa:1, one without a name"));
        check(&images, "f#:1", Err("several images: f: expected f#NAME:TAG, found a:1 a:2, xa:1"));
        check(&[], "f", Err("no such image: f: found no image"));
    }

    #[test]
    fn by_platform_where_the_name_does_not_decide() {
        let images = [image(&["a:1"], Some("arm"), "x"), image(&["a:1"], Some("arm64"), "y")];
        check(&images, "f#a:1", Ok("y"));
        check(&images, "f", Ok("y"));
        check(&images[..1], "f", Ok("x"));
        let others = [image(&["a:1"], Some("arm"), "x"), image(&["a:1"], Some("amd64"), "y")];
        let none = "no such image: f#a:1 for linux/arm64: found a:1 (linux/arm/v7), a:1 (linux/amd64)";
        check(&others, "f#a:1", Err(none));
        let mut windows = image(&["a:1"], Some("arm64"), "z");
        windows.platform.as_mut().unwrap().os = "windows".to_owned();
        check(&[windows.clone(), image(&["a:1"], Some("arm64"), "y")], "f", Ok("y"));
        let twice = [image(&["a:1"], Some("arm64"), "x"), image(&["b:1"], Some("arm64"), "y"), windows];
        check(&twice, "f", Err("several images: f: expected f#NAME:TAG, found a:1 (linux/arm64), b:1 (linux/arm64)"));
        check(&[image(&["a:1"], None, "x"), image(&["b:1"], None, "x")], "f", Ok("x"));
    }

    #[test]
    fn by_variant_where_the_architecture_does_not_decide() {
        let of = |variant: &str, config| {
            let mut image = image(&["a:1"], Some("arm"), config);
            image.platform.as_mut().unwrap().variant = Some(variant.to_owned());
            image
        };
        let images = [of("v5", "x"), of("v7", "y")];
        let location: Location = "f".parse().unwrap();
        let chosen = |variant| choose(&images, &location, "arm", variant).map(|image| &*image.config.name);
        assert_eq!(chosen(Some("v7")).unwrap(), "y");
        let several = "several images: f: expected f#NAME:TAG, found a:1 (linux/arm/v5), a:1 (linux/arm/v7)";
        for variant in [None, Some("v6")] {
            assert_eq!(chosen(variant).unwrap_err().to_string(), several);
        }
    }
}
