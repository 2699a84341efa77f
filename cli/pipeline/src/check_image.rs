//! Finds what keeps an image from being read or from running: that of a spec, with all that a build checks, or one that is
//! there, down to its bytes. Writes nothing.

use crate::base_image::make_plain;
use crate::copy_referrers::told;
use crate::runnable::{ImageFiles, doubts};
use crate::{BuildOptions, Builder, Copier, Error, ImageSource, PolicyCheck, Result};
use layerstone_image::StoredImage;
use layerstone_layer::{Layer, Progress};
use layerstone_oci::{Config, Image, Place, Platform, host_architecture};
use layerstone_policy::Finding;
use layerstone_spec::{Spec, config_faults};
use layerstone_store::{Digest, Scratch};
use serde_json::Value;
use std::path::Path;

/// An image that was looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckedImage {
    /// What it is called.
    pub name: String,
    /// What it runs on, if it says so.
    pub platform: Option<String>,
    /// How many layers it has.
    pub layers: usize,
    /// What is wrong with it.
    pub faults: Vec<String>,
    /// What a policy finds wrong.
    pub findings: Vec<Finding>,
}

impl Copier<'_> {
    /// Checks the images of a spec, for all its architectures; those of a file, or the one that is named there; the one for
    /// this machine, or for the platform that is wanted, of a registry.
    ///
    /// # Errors
    ///
    /// A spec or an image cannot be read, a layer has other bytes than it must, a stage of a build fails, or a policy is to be
    /// compared with a spec.
    pub fn check(&self, source: &ImageSource, policy: Option<&PolicyCheck>) -> Result<Vec<CheckedImage>> {
        match source {
            ImageSource::Spec(path) if policy.is_some() => {
                let message = format!(
                    "found the spec of an image: {}: expected an image, as --policy is about what is in it",
                    path.display()
                );
                Err(Error::advised(message, format!("`layerstone build {} -o oci:DIR` makes it", path.display())))
            }
            ImageSource::Spec(path) => {
                let specs = self.specs(path)?;
                specs.iter().map(|spec| self.check_spec(spec, path, specs.len() > 1)).collect()
            }
            ImageSource::Image(place) => {
                let opened = self.options.opener().open(place, &self.wanted)?;
                if let Place::File(_) = place {
                    let unread = opened.file.unread().unwrap_or_default().iter().filter(|it| it.names.is_empty());
                    unread.for_each(|entry| self.report().warn(told(entry)));
                }
                let is_all = matches!(place, Place::File(location) if location.reference().is_none());
                let images = match is_all && !self.wanted.is_named {
                    true => opened.file.images()?,
                    false => vec![opened.image()?],
                };
                let trust = policy.map(|policy| &policy.trust);
                let checked = |image: StoredImage| {
                    let opener = self.options.opener();
                    let trusted = trust.map(|trust| trust.check_image(place, &opened, &image, &opener)).transpose()?;
                    let mut checked = self.check_stored(image, policy)?;
                    checked.findings.extend(trusted.into_iter().flatten());
                    Ok(checked)
                };
                images.into_iter().map(checked).collect()
            }
        }
    }

    fn check_spec(&self, spec: &Spec, path: &Path, several: bool) -> Result<CheckedImage> {
        // The files of a base are looked at.
        let options = BuildOptions { takes_blobs: false, ..self.options.clone() };
        let builder = Builder::of_spec(spec, path, several, &options)?;
        let scratch = Scratch::create(&std::env::temp_dir())?;
        let layers = builder.layers(&scratch)?;
        let image = builder.image(layers)?;
        let name = image.name.as_ref().map(ToString::to_string).unwrap_or_default();
        let Config::Made(config) = &image.config else { bail!("no config: {name}") };
        // What the config says of diff IDs does not matter here.
        let diff_ids = vec![Digest::of(b""); image.layers.len()];
        self.checked(name, &config(&diff_ids), &image.layers)
    }

    fn check_stored(&self, mut image: StoredImage, policy: Option<&PolicyCheck>) -> Result<CheckedImage> {
        make_plain(&mut image, self.options.limits, self.report())?;
        let check = |meter: &Progress| image.check(meter);
        let bytes = image.unchecked().map(|layer| layer.part.size()).fold(0, u64::saturating_add);
        let titles = image.unchecked().map(|layer| layer.name.clone()).collect();
        self.report().during("checking", Some(bytes), titles, check)?;
        let Image { layers, .. } = image.plain(None);
        let name = image.references.first().cloned().unwrap_or_else(|| image.name.clone());
        let mut checked = self.checked(name, &image.config_bytes, &layers)?;
        // Who knows no tables reads the layer all the same.
        checked.faults.extend(image.check_tables().err().map(|error| error.to_string()));
        if let Some(policy) = policy {
            checked.findings = policy.findings(&image, self.report())?;
        }
        Ok(checked)
    }

    fn checked(&self, name: String, config: &[u8], layers: &[Layer]) -> Result<CheckedImage> {
        let config: Value = serde_json::from_slice(config)?;
        let platform = Platform::of_config(&config);
        let mut faults = config["config"].as_object().map(config_faults).unwrap_or_default();
        // An error if the layers do not fit over each other.
        let files = ImageFiles::of_layers(layers, self.options.store, self.options.limits)?;
        if platform.is_none() {
            faults.push("found no architecture and os in its config".to_owned());
        }
        let architecture = platform.as_ref().map_or(host_architecture(), |platform| &platform.architecture);
        faults.extend(doubts(&config["config"], architecture, &files)?.iter().map(ToString::to_string));
        let platform = platform.map(|platform| platform.to_string());
        Ok(CheckedImage { name, platform, layers: layers.len(), faults, findings: Vec::new() })
    }
}
