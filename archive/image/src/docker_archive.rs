//! manifest.json of a docker archive, read: the images that it lists, whoever wrote it, `docker save` in its old style
//! with `ID/layer.tar` or in its new one with `blobs/sha256/HEX`.

use crate::blobs::Blobs;
use crate::listed::{Blob, Listed};
use crate::manifest::MANIFEST_NAME;
use crate::{Error, Result};
use layerstone_store::Digest;
use serde::Deserialize;

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

/// The images of an archive, in the manifest's order.
pub(crate) fn images(blobs: &Blobs) -> Result<Vec<Listed>> {
    let entries: Vec<ManifestEntry> =
        serde_json::from_value(blobs.json(MANIFEST_NAME)?).map_err(|e| wrong(blobs, e.to_string()))?;
    if entries.is_empty() {
        return Err(wrong(blobs, "found no image".to_owned()));
    }
    Ok(entries.into_iter().map(listed).collect())
}

/// Whether the manifest lists nothing, as where containerd exports images of other platforms alone.
pub(crate) fn is_empty(blobs: &Blobs) -> bool {
    blobs.json(MANIFEST_NAME).is_ok_and(|value| value.as_array().is_some_and(Vec::is_empty))
}

fn listed(entry: ManifestEntry) -> Listed {
    let layer = |name: String| Blob { name, digest: None, size: None };
    Listed {
        references: entry.repo_tags.unwrap_or_default(),
        platform: None,
        index: None,
        is_there: true,
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

fn wrong(blobs: &Blobs, cause: String) -> Error {
    blobs.error(format!("{MANIFEST_NAME}: {cause}"))
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
