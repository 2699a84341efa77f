//! Reads and writes descriptors of blobs (OCI image-spec, descriptor.md).

use crate::{CompressionParams, Platform, media_type};
use layerstone_store::Digest;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// Media type, digest and size of a blob, and what is said of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", expecting = "an object")]
pub struct Descriptor {
    /// What it is; docker leaves it out in places.
    #[serde(default)]
    pub media_type: String,
    /// sha256 of its bytes.
    pub digest: Digest,
    /// How many bytes it has.
    pub size: u64,
    /// Where else its bytes may be had, for layers that registries may not give away.
    #[serde(default, deserialize_with = "or_null", skip_serializing_if = "Vec::is_empty")]
    pub urls: Vec<String>,
    /// What is said of it.
    #[serde(default, deserialize_with = "or_null", skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    /// What the image runs on, in an index.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<Platform>,
    /// All else that is said of it, as it was said: `artifactType`, `data`, and what nobody knows yet.
    #[serde(flatten)]
    pub more: Map<String, Value>,
}

impl Descriptor {
    /// A descriptor of these bytes.
    pub fn of(media_type: &str, bytes: &[u8]) -> Descriptor {
        Descriptor::new(media_type, Digest::of(bytes), bytes.len() as u64)
    }

    /// A descriptor without annotations.
    pub fn new(media_type: &str, digest: Digest, size: u64) -> Descriptor {
        let media_type = media_type.to_owned();
        Descriptor {
            media_type,
            digest,
            size,
            urls: Vec::new(),
            annotations: BTreeMap::new(),
            platform: None,
            more: Map::new(),
        }
    }

    /// A descriptor of a layer that is compressed so, or not at all.
    pub fn layer(params: Option<CompressionParams>, digest: Digest, size: u64) -> Descriptor {
        Descriptor::new(media_type::layer(params), digest, size)
    }

    /// What kind of artifact it leads to, if that is stated.
    pub fn artifact_type(&self) -> Option<&str> {
        self.more.get("artifactType").and_then(Value::as_str).filter(|text| !text.is_empty())
    }
}

/// Go's programs write null for a list or a map that is empty.
///
/// # Errors
///
/// It is neither null nor a value.
pub fn or_null<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: serde::Deserializer<'de>,
    T: Deserialize<'de> + Default,
{
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What others say of a blob comes out as it went in.
    #[test]
    fn unknown_keys_stay() {
        let hex = "0".repeat(64);
        let text = format!(
            r#"{{"mediaType":"a/b","digest":"sha256:{hex}","size":1,"annotations":{{"k":"v"}},"platform":{{"architecture":"amd64","os":"windows","os.version":"10","os.features":["win32k"],"features":["sse4"]}},"artifactType":"c/d","data":"eA==","x":{{"y":[null,1.5]}}}}"#
        );
        let descriptor: Descriptor = serde_json::from_str(&text).unwrap();
        assert_eq!(serde_json::to_string(&descriptor).unwrap(), text);
        assert_eq!(descriptor.artifact_type(), Some("c/d"));
    }
}
