//! Parses what only evaluation knows of store paths, `layerstone/meta`: licences, homepages, CPEs, upstream's package URLs.
//!
//! See FORMAT.md beside this crate.

use crate::{Error, License, Result};
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

impl MetaFile {
    /// Reads a file, which messages call so.
    ///
    /// # Errors
    ///
    /// It is no JSON of this form, or a value in it would make a bill that its schema refuses.
    pub fn parse(bytes: &[u8], name: &str) -> Result<MetaFile> {
        let wrong = |cause: String| Error::Malformed { what: META_FORMAT, name: name.to_owned(), cause };
        let file: MetaFile = serde_json::from_slice(bytes).map_err(|e| wrong(e.to_string()))?;
        if let Some(format) = file.format.as_deref().filter(|format| *format != META_FORMAT) {
            return Err(wrong(format!("format: found {format:?}, expected {META_FORMAT:?}")));
        }
        if let Some(version) = file.version.filter(|version| *version != META_VERSION) {
            return Err(wrong(format!("version: found {version}, expected {META_VERSION}")));
        }
        for (path, meta) in &file.paths {
            meta.validate().map_err(|cause| wrong(format!("{path}: {cause}")))?;
        }
        Ok(file)
    }
}

impl Meta {
    /// Says which key has a value that no bill may have.
    fn validate(&self) -> Result<(), String> {
        let check = |key: &str, value: &Option<String>, is_valid: fn(&str) -> bool, expected: &str| match value {
            Some(text) if !is_valid(text) => Err(format!("{key}: found {text:?}, expected {expected}")),
            _ => Ok(()),
        };
        check("supplier", &self.supplier, |text| !text.trim().is_empty(), "the name of an organization")?;
        check("homepage", &self.homepage, is_address, "an address such as https://example.org")?;
        check("purl", &self.purl, is_package_url, "a package URL, pkg:TYPE/NAME")?;
        self.licenses.iter().try_for_each(License::validate).map_err(|cause| format!("licenses: {cause}"))
    }
}

/// Whether a text is an address with a scheme (RFC 3986, section 3), and has no character that stands in none.
fn is_address(text: &str) -> bool {
    let is_part = |c: char| c.is_ascii_alphanumeric() || "+-.".contains(c);
    let is_excluded = |c: char| c.is_whitespace() || c.is_control() || r#"<>"{}|\^`"#.contains(c);
    text.split_once(':').is_some_and(|(scheme, rest)| {
        let is_scheme = scheme.starts_with(|c: char| c.is_ascii_alphabetic()) && scheme.chars().all(is_part);
        is_scheme && !rest.trim_start_matches('/').is_empty() && !rest.contains(is_excluded)
    })
}

/// Whether a text begins as package URLs do, with a type and a name (purl-spec, "A purl").
fn is_package_url(text: &str) -> bool {
    let rest = text.strip_prefix("pkg:").and_then(|rest| rest.split_once('/'));
    rest.is_some_and(|(kind, name)| !kind.is_empty() && !name.is_empty()) && is_address(text)
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
        let path = format!("/nix/store/{}-x-1", "0".repeat(32));
        for (known, expected) in [
            (r#""supplier": """#, "supplier: found \"\", expected the name of an organization"),
            (
                r#""homepage": "example""#,
                "homepage: found \"example\", expected an address such as https://example.org",
            ),
            (r#""homepage": "https://a b""#, "homepage: found \"https://a b\", expected an address"),
            (r#""homepage": "https://""#, "homepage: found \"https://\", expected an address"),
            (r#""purl": "nix/x@1""#, "purl: found \"nix/x@1\", expected a package URL, pkg:TYPE/NAME"),
            (r#""purl": "pkg:nix""#, "purl: found \"pkg:nix\", expected a package URL"),
            (r#""licenses": [{}]"#, "licenses: found neither spdxId nor name"),
            (r#""licenses": [{"spdxId": ""}]"#, "licenses: spdxId: found an empty string"),
        ] {
            let told = error(&format!(r#"{{"paths": {{"{path}": {{{known}}}}}}}"#));
            assert!(told.starts_with(&format!("malformed layerstone/meta: m.json: {path}: {expected}")), "{told}");
        }
    }
}
