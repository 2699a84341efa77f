//! Parses what only evaluation knows of store paths, `layerstone/meta`: licences, homepages, CPEs, upstream's package URLs.
//!
//! See FORMAT.md beside this crate.

use crate::{Error, Result};
use layerstone_store::StorePath;
use serde::Deserialize;
use std::collections::BTreeMap;

/// Format name of such a file.
pub const META_FORMAT: &str = "layerstone/meta";
/// Version of the format.
pub const META_VERSION: u64 = 1;

/// What is known of the paths of a store.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MetaFile {
    format: Option<String>,
    version: Option<u64>,
    /// By store path.
    #[serde(default)]
    pub paths: BTreeMap<StorePath, Meta>,
}

/// What is known of a store path.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Meta {
    /// The name, where the path's own is not the package's.
    pub name: Option<String>,
    /// The version, where the path's own is not the package's.
    pub version: Option<String>,
    /// The organization that supplies it.
    pub supplier: Option<String>,
    /// What it is, in a sentence.
    pub description: Option<String>,
    /// Where it comes from.
    pub homepage: Option<String>,
    /// Its licences, all of which hold.
    pub licenses: Vec<License>,
    /// Its names in the Common Platform Enumeration, version 2.3.
    pub cpes: Vec<String>,
    /// Upstream's package URL.
    pub purl: Option<String>,
    /// Names or addresses of patches that were applied.
    pub patches: Vec<String>,
}

/// A licence.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct License {
    /// Its identifier in SPDX' list.
    pub spdx_id: Option<String>,
    /// What it is called; needed if it has no identifier.
    pub name: Option<String>,
}

impl License {
    /// The identifier, if it has one that may stand in an SPDX expression (SPDX 2.3, annex D: `idstring`).
    pub fn id(&self) -> Option<&str> {
        let is_id =
            |id: &&str| !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-".contains(&byte));
        self.spdx_id.as_deref().filter(is_id)
    }
}

impl License {
    /// What an SPDX expression calls it: the identifier of SPDX' list, or one of the document's own made of its name (SPDX
    /// 2.3, annex D).
    pub(crate) fn expression(&self) -> String {
        let plain = |c: char| if c.is_ascii_alphanumeric() || c == '.' { c } else { '-' };
        let own = || self.told().chars().map(plain).collect::<String>();
        self.id().map_or_else(|| format!("LicenseRef-{}", own()), str::to_owned)
    }

    /// What people call it.
    pub(crate) fn told(&self) -> &str {
        self.name.as_deref().or(self.spdx_id.as_deref()).unwrap_or("unknown")
    }
}

impl MetaFile {
    /// Reads a file, which messages call so.
    ///
    /// # Errors
    ///
    /// It is no JSON of this form.
    pub fn parse(bytes: &[u8], name: &str) -> Result<MetaFile> {
        let wrong = |cause: String| Error::Malformed { what: META_FORMAT, name: name.to_owned(), cause };
        let file: MetaFile = serde_json::from_slice(bytes).map_err(|e| wrong(e.to_string()))?;
        if let Some(format) = file.format.as_deref().filter(|format| *format != META_FORMAT) {
            return Err(wrong(format!("format: found {format:?}, expected {META_FORMAT:?}")));
        }
        if let Some(version) = file.version.filter(|version| *version != META_VERSION) {
            return Err(wrong(format!("version: found {version}, expected {META_VERSION}")));
        }
        Ok(file)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_nix_writes() {
        let path = format!("/nix/store/{}-x-1", "0".repeat(32));
        let text = format!(
            r#"{{"format": "layerstone/meta", "version": 1, "paths": {{"{path}": {{"homepage": "https://x.example",
            "licenses": [{{"spdxId": "MIT"}}, {{"name": "own"}}], "cpes": [], "purl": "pkg:generic/x@1"}}}}}}"#
        );
        let file = MetaFile::parse(text.as_bytes(), "m.json").unwrap();
        let meta = &file.paths[&path.parse::<StorePath>().unwrap()];
        assert_eq!(meta.licenses.iter().map(License::id).collect::<Vec<_>>(), [Some("MIT"), None]);
        assert_eq!(meta.purl.as_deref(), Some("pkg:generic/x@1"));
    }

    /// The example of FORMAT.md is read whole.
    #[test]
    fn the_example() {
        let text = include_str!("../FORMAT.md");
        let example = text.split("```json\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
        let file = MetaFile::parse(example.as_bytes(), "FORMAT.md").unwrap();
        let meta = file.paths.values().next().unwrap();
        assert!(meta.homepage.is_some() && meta.licenses[0].id() == Some("Apache-2.0") && meta.cpes.len() == 1);
        assert!(meta.purl.is_some());
    }

    #[test]
    fn what_is_wrong_is_named() {
        let error = |text: &str| MetaFile::parse(text.as_bytes(), "m.json").unwrap_err().to_string();
        assert_eq!(
            error(r#"{"format": "x"}"#),
            r#"malformed layerstone/meta: m.json: format: found "x", expected "layerstone/meta""#
        );
        assert!(error(r#"{"version": 2}"#).contains("found 2, expected 1"));
        assert!(error(r#"{"paths": {"/nix/store/x": {"licence": []}}}"#).contains("licence"));
        assert!(error("[").starts_with("malformed layerstone/meta: m.json: "));
    }
}
