//! manifest.json of a docker archive, read: the images that it lists, whoever wrote it, `docker save` in its old style
//! with `ID/layer.tar` or in its new one with `blobs/sha256/HEX`.

use crate::blobs::{parse_json, read_json};
use crate::listed::{Blob, Listed};
use crate::manifest::MANIFEST_NAME;
use crate::stored::Kept;
use crate::{Result, TarFile};
use layerstone_store::Digest;
use serde::Deserialize;
use serde_json::Value;

/// One image in manifest.json (moby, image/spec/v1.2.md).
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", expecting = "an object")]
struct ManifestEntry {
    config: String,
    #[serde(default)]
    repo_tags: Option<Vec<String>>,
    #[serde(default)]
    layers: Option<Vec<String>>,
}

/// The first image that a docker archive lists, as its manifest and its config tell it: its layers were not looked at.
#[derive(Debug)]
pub struct FirstImage {
    /// The config.
    pub config: Value,
    /// Names of the layers' members, bottom first, and the diff IDs that the config has for them.
    pub layers: Vec<(String, Digest)>,
}

impl TarFile {
    /// The first image of a docker archive.
    ///
    /// # Errors
    ///
    /// The tar is no docker archive, or manifest and config disagree.
    pub fn first_image(&self) -> Result<FirstImage> {
        let read = |name: &str| read_json(&self.part(name)?, name, &self.path, &self.limits);
        let json = |name: &str| parse_json(&read(name)?, name, &self.path);
        let wrong = |cause| self.error(cause);
        let images = images(json(MANIFEST_NAME)?).map_err(wrong)?;
        let config = json(&images[0].config.name)?;
        let layers = images[0].with_diff_ids(&config).map_err(wrong)?;
        Kept::new(self.limits).add(0, layers.len()).map_err(wrong)?;
        let layers = layers.into_iter().map(|(blob, diff_id)| (blob.name.clone(), diff_id)).collect();
        Ok(FirstImage { config, layers })
    }
}

/// The images of a manifest, in its order; one at least.
pub(crate) fn images(manifest: Value) -> Result<Vec<Listed>, String> {
    let entries: Vec<ManifestEntry> = serde_json::from_value(manifest).map_err(|e| format!("{MANIFEST_NAME}: {e}"))?;
    match entries.is_empty() {
        true => Err(format!("{MANIFEST_NAME}: found no image")),
        false => Ok(entries.into_iter().map(listed).collect()),
    }
}

fn listed(entry: ManifestEntry) -> Listed {
    let layer = |name: String| Blob { name, digest: None, size: None };
    Listed {
        references: entry.repo_tags.unwrap_or_default(),
        platform: None,
        index: None,
        is_present: true,
        config: Blob { digest: digest_of(&entry.config), name: entry.config, size: None },
        layers: entry.layers.unwrap_or_default().into_iter().map(layer).collect(),
        manifest: None,
    }
}

/// The digest that a config's name tells: `HEX.json`, or `blobs/sha256/HEX`.
fn digest_of(name: &str) -> Option<Digest> {
    let hex = name.strip_suffix(".json").or(name.strip_prefix("blobs/sha256/"))?;
    format!("sha256:{hex}").parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_tell_a_digest() {
        let hex = Digest::of(b"x").hex();
        for name in [format!("{hex}.json"), format!("blobs/sha256/{hex}")] {
            assert_eq!(digest_of(&name), Some(Digest::of(b"x")));
        }
        for name in ["config.json".to_owned(), hex.clone(), format!("x/{hex}.json"), format!("{}.json", &hex[1..])] {
            assert_eq!(digest_of(&name), None, "{name}");
        }
    }
}
