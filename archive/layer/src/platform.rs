//! Describes the platform of an image (OCI image-spec, image-index.md, "platform"; config.md). Does not choose one.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::fmt;

/// What an image runs on, by Go's names.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(expecting = "an object")]
pub struct Platform {
    /// The processor.
    #[serde(default)]
    pub architecture: String,
    /// The system.
    #[serde(default)]
    pub os: String,
    /// The version of a system where that matters.
    #[serde(rename = "os.version", default, skip_serializing_if = "Option::is_none")]
    pub os_version: Option<String>,
    /// The variant of a processor, such as `v7`.
    #[serde(default, deserialize_with = "not_empty", skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
    /// All else that is said of it, as it was said: `os.features`, `features`.
    #[serde(flatten)]
    pub more: Map<String, Value>,
}

impl Platform {
    /// What the config of an image says; none if it names no architecture.
    pub fn of_config(config: &Value) -> Option<Platform> {
        let text = |key: &str| config.get(key).and_then(Value::as_str).filter(|it| !it.is_empty()).map(str::to_owned);
        Some(Platform {
            architecture: text("architecture")?,
            os: text("os").unwrap_or_default(),
            os_version: text("os.version"),
            variant: text("variant"),
            more: Map::new(),
        })
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.os, self.architecture)?;
        self.variant.as_ref().map_or(Ok(()), |variant| write!(f, "/{variant}"))
    }
}

fn not_empty<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    Ok(Option::<String>::deserialize(deserializer)?.filter(|text| !text.is_empty()))
}
