//! An image as the table of contents of its file lists it, before anything of it is read, and which of several is meant.

use crate::blobs::Blobs;
use crate::{Error, Result};
use layerstone_oci::{Location, Platform, StoredManifest, Wanted};
use layerstone_store::{Digest, counted};
use serde_json::Value;
use std::path::Path;

/// An image and where its pieces are.
#[derive(Clone, Debug)]
pub(crate) struct Listed {
    /// What it is called, `NAME:TAG`; in an OCI layout a name may be all or a tag.
    pub references: Vec<String>,
    /// What it runs on, if the table says so.
    pub platform: Option<Platform>,
    /// Of an image in an index of several, which entry of the table that index is.
    pub index: Option<usize>,
    /// Whether it is in the file or directory at all. If not, its config is what is missing.
    pub is_present: bool,
    pub config: Blob,
    /// Bottom first.
    pub layers: Vec<Blob>,
    /// The manifest that lists them, if it is one of OCI's or docker's registry.
    pub manifest: Option<StoredManifest>,
}

/// A piece of an image.
#[derive(Clone, Debug)]
pub(crate) struct Blob {
    /// Its name in the file or directory.
    pub name: String,
    /// sha256 that it must have, if that is stated.
    pub digest: Option<Digest>,
    /// Size in bytes that it must have, if that is stated.
    pub size: Option<u64>,
}

impl Listed {
    /// What lists call it.
    pub(crate) fn title(&self) -> String {
        let name = match &self.references[..] {
            [] => "one without a name".to_owned(),
            names => names.join(" "),
        };
        let platform = self.platform.as_ref().map(|platform| {
            let absent = if self.is_present { "" } else { ", not there" };
            format!(" ({platform}{absent})")
        });
        name + &platform.unwrap_or_default()
    }

    /// The layers with the diff IDs that the image's config has for them, bottom first.
    pub(crate) fn with_diff_ids(&self, config: &Value) -> Result<Vec<(&Blob, Digest)>, String> {
        let diff_ids = diff_ids(config).map_err(|cause| format!("{}: {cause}", self.config.name))?;
        let (found, expected) = (self.layers.len(), diff_ids.len());
        match found == expected {
            true => Ok(self.layers.iter().zip(diff_ids).collect()),
            false => Err(format!("found {}, expected {expected} as the config has diff IDs", counted(found, "layer"))),
        }
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

impl Blob {
    /// The bytes of a small piece, checked as far as its size and digest are stated.
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

/// The image that is meant: by name and tag if they are given; of images of one name, or of one index, for several
/// platforms the one for the platform that is wanted. `look` finds the platform of one that the table has none of.
///
/// An image that stands for itself is taken whatever it runs on, unless a platform was named: what it runs on may be unknown,
/// or none of this machine's business.
///
/// # Errors
///
/// None is, or several are; what there is is listed.
pub(crate) fn choose<'a>(
    images: &'a [Listed],
    location: &Location,
    wanted: &Wanted,
    look: &mut dyn FnMut(&Listed) -> Result<Option<Platform>>,
) -> Result<&'a Listed> {
    let meant: Vec<&Listed> = images.iter().filter(|image| location.means(&image.references)).collect();
    if meant.is_empty() {
        return Err(Error::NoSuchImage { wanted: location.to_string(), known: titles(images) });
    }
    let mut chosen: Vec<&Listed> = Vec::new();
    for family in families(&meant) {
        for image in choose_of(&family, wanted, look)? {
            // One image under several names is one image.
            if chosen.iter().all(|other| other.config.name != image.config.name) {
                chosen.push(image);
            }
        }
    }
    match chosen[..] {
        [image] => Ok(image),
        [] => {
            Err(Error::NoSuchImage { wanted: format!("{location} for {wanted}"), known: with_platforms(&meant, look)? })
        }
        _ => Err(Error::SeveralImages { path: location.path.clone(), known: titles(&chosen) }),
    }
}

/// Images that are one for several platforms: those of one index, and those of one name.
fn families<'a>(images: &[&'a Listed]) -> Vec<Vec<&'a Listed>> {
    let is_one = |a: &Listed, b: &Listed| a.index == b.index && (a.index.is_some() || a.references == b.references);
    let mut families: Vec<Vec<&Listed>> = Vec::new();
    for image in images {
        match families.iter_mut().find(|family| is_one(family[0], image)) {
            Some(family) => family.push(image),
            None => families.push(vec![image]),
        }
    }
    families
}

/// Those of a family that are meant: one, unless several of one name are for one platform, or none.
fn choose_of<'a>(
    family: &[&'a Listed],
    wanted: &Wanted,
    look: &mut dyn FnMut(&Listed) -> Result<Option<Platform>>,
) -> Result<Vec<&'a Listed>> {
    let [first, ..] = family else { return Ok(Vec::new()) };
    let is_same = |image: &&Listed| image.config.name == first.config.name;
    if first.index.is_none() && family.iter().all(is_same) && (wanted.is_base || !wanted.is_named) {
        return Ok(vec![first]);
    }
    if first.index.is_some() {
        let best = wanted.best(family, |image| image.platform.as_ref(), look)?;
        let only = || match family {
            [only] if wanted.is_base && !wanted.is_named => Some(*only),
            _ => None,
        };
        return Ok(best.or_else(only).into_iter().collect());
    }
    let looked_at: Vec<(&Listed, Option<Platform>)> =
        family.iter().map(|image| Ok((*image, platform_of(image, look)?))).collect::<Result<_>>()?;
    let nothing = &mut |_: &(&Listed, Option<Platform>)| Ok::<_, Error>(None);
    let best = wanted.best(&looked_at.iter().collect::<Vec<_>>(), |(_, platform)| platform.as_ref(), nothing)?;
    let Some((_, best)) = best else { return Ok(Vec::new()) };
    Ok(looked_at.iter().filter(|(_, platform)| platform == best).map(|(image, _)| *image).collect())
}

fn platform_of(image: &Listed, look: &mut dyn FnMut(&Listed) -> Result<Option<Platform>>) -> Result<Option<Platform>> {
    if image.platform.is_some() { Ok(image.platform.clone()) } else { look(image) }
}

/// Images with what they run on, for messages.
fn with_platforms(
    images: &[&Listed],
    look: &mut dyn FnMut(&Listed) -> Result<Option<Platform>>,
) -> Result<Vec<String>> {
    let title = |image: &&Listed| Ok(Listed { platform: platform_of(image, look)?, ..(*image).clone() }.title());
    images.iter().map(title).collect()
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

    fn image(references: &[&str], platform: Option<&str>, config: &str) -> Listed {
        let platform = platform.map(|text| {
            let mut parts = text.split('/').map(str::to_owned);
            let architecture = parts.next().unwrap();
            Platform { os: "linux".to_owned(), architecture, variant: parts.next(), ..Platform::default() }
        });
        let references = references.iter().map(|text| (*text).to_owned()).collect();
        Listed {
            references,
            platform,
            index: None,
            is_present: true,
            config: Blob { name: config.to_owned(), digest: None, size: None },
            layers: vec![],
            manifest: None,
        }
    }

    /// Whatever is looked at is for amd64.
    #[track_caller]
    fn check_for(wanted: &Wanted, images: &[Listed], text: &str, expected: Result<&str, &str>) {
        let location: Location = text.parse().unwrap();
        let amd64 = Platform { os: "linux".to_owned(), architecture: "amd64".to_owned(), ..Platform::default() };
        let found = choose(images, &location, wanted, &mut |_| Ok(Some(amd64.clone())));
        let found = found.map(|image| image.config.name.as_str());
        assert_eq!(found.map_err(|e| e.to_string()), expected.map_err(str::to_owned), "{text}");
    }

    /// For an image to build on.
    #[track_caller]
    fn check(images: &[Listed], text: &str, expected: Result<&str, &str>) {
        check_for(&Wanted::new(None, Some("arm64"), None).of_base(), images, text, expected);
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
        let none = "no such image: f#a:1 for linux/arm64: found a:1 (linux/arm), a:1 (linux/amd64)";
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
        let images = [image(&["a:1"], Some("arm/v5"), "x"), image(&["a:1"], Some("arm/v7"), "y")];
        for (variant, expected) in [(Some("v7"), "y"), (Some("v6"), "x"), (Some("v5"), "x"), (None, "y")] {
            check_for(&Wanted::new(None, Some("arm"), variant), &images, "f", Ok(expected));
        }
    }

    /// What stands alone is taken unless another platform is named; what an index lists is for a platform.
    #[test]
    fn one_image() {
        let [none, arm64, amd64, s390x] = [None, Some("arm64"), Some("amd64"), Some("s390x")]
            .map(|architecture| Wanted::new(None, architecture, None));
        let told = [image(&["a:1"], Some("s390x"), "x")];
        let untold = [image(&["a:1"], None, "x")];
        let mut nested = told.clone();
        nested[0].index = Some(0);
        for images in [&told, &untold] {
            check_for(&none, images, "f", Ok("x"));
            check_for(&arm64.clone().of_base(), images, "f", Ok("x"));
        }
        check_for(&s390x, &told, "f", Ok("x"));
        check_for(&amd64, &untold, "f", Ok("x"));
        let refused = "no such image: f for linux/arm64: found a:1 (linux/s390x)";
        check_for(&arm64, &told, "f", Err(refused));
        check_for(&arm64, &untold, "f", Err("no such image: f for linux/arm64: found a:1 (linux/amd64)"));
        check_for(&arm64, &nested, "f", Err(refused));
        check_for(&arm64.of_base(), &nested, "f", Err(refused));
        check_for(&none.clone().of_base(), &nested, "f", Ok("x"));
        let here = format!("no such image: f for {none}: found a:1 (linux/s390x)");
        check_for(&none, &nested, "f", Err(&here));
    }

    /// Names tell images apart before platforms do, unless one is named.
    #[test]
    fn platforms_of_several_images() {
        let here = layerstone_oci::host_architecture();
        let images = [image(&["a:1"], Some(here), "x"), image(&["b:1"], Some("s390x"), "y")];
        let several = format!("several images: f: expected f#NAME:TAG, found a:1 (linux/{here}), b:1 (linux/s390x)");
        check_for(&Wanted::new(None, None, None), &images, "f", Err(&several));
        check_for(&Wanted::new(None, Some("s390x"), None), &images, "f", Ok("y"));
        check_for(&Wanted::new(None, None, None), &images, "f#b", Ok("y"));
    }
}
