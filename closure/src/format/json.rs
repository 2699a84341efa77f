//! Parses references graphs in JSON: exportReferencesGraph, `nix path-info --json` of all ages, the closure file.
//!
//! One pass over the text without a tree of values in between: a graph may have millions of references. What is
//! around the entries decides the form:
//!
//! - an array of entries: exportReferencesGraph alone, or `nix path-info --json` before Nix 2.19;
//! - an object with `graph`, an array of entries: exportReferencesGraph as a builder gets it; with `format` and
//!   `version` it is the closure file;
//! - an object whose keys are absolute store paths: `nix path-info --json` since Nix 2.19;
//! - an object with `info`, an object whose keys are base names, and `storeDir`: `nix path-info --json` with
//!   `--json-format 2` and later;
//! - an object without any key: `nix path-info --json` since Nix 2.19 for no paths.
//!
//! A path that its store does not have is `null`, or before Nix 2.19 an entry with `"valid": false`; both are errors.
//! Of an entry, `path` (where it is no key), `references`, `narSize` and `narHash` are read, other keys are skipped.

use super::malformed;
use crate::PathInfo;
use crate::file::{CLOSURE_FORMAT, CLOSURE_VERSION};
use layerstone_store::{Error, NarHash, StorePath, check_format};
use serde::Deserialize;
use serde::de::value::SeqAccessDeserializer;
use serde::de::{Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::Value;
use std::borrow::Cow;
use std::fmt;

/// The command that writes closure files, named when a file is of another format or version.
const RERUN: &str = "layerstone closure";

/// The entries of a graph in JSON; `name` stands in messages.
pub(super) fn parse(bytes: &[u8], name: &str) -> Result<Vec<PathInfo>, Error> {
    let document: Document = serde_json::from_slice(bytes).map_err(|source| match source.is_data() {
        true => malformed(name, source.to_string()),
        false => Error::Json { name: name.to_owned(), source },
    })?;
    if let Some(format) = &document.format {
        check_format((format, document.version.as_ref()), (CLOSURE_FORMAT, CLOSURE_VERSION), name, RERUN)?;
    }
    let Some(entries) = document.entries else {
        return Err(malformed(name, "found no graph, expected an array of entries or one under \"graph\"".to_owned()));
    };
    let store_dir = document.store_dir.as_deref();
    let convert = |(position, entry): (Position, Option<Entry>)| {
        path_info(&position, entry, store_dir).map_err(|cause| malformed(name, format!("entry {position}: {cause}")))
    };
    entries.into_iter().map(convert).collect()
}

/// What a JSON text holds before anything is checked.
#[derive(Default)]
struct Document<'a> {
    format: Option<Value>,
    version: Option<Value>,
    store_dir: Option<Cow<'a, str>>,
    /// The entries; null stands for a path that its store does not have. None if nothing that holds entries was found.
    entries: Option<Vec<(Position<'a>, Option<Entry<'a>>)>>,
}

/// Where an entry stands.
enum Position<'a> {
    /// In an array, the first is 0.
    Index(usize),
    /// Under a key, a path or a base name.
    Key(Cow<'a, str>),
}

/// An entry as it stands.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Entry<'a> {
    #[serde(borrow)]
    path: Option<Text<'a>>,
    #[serde(borrow)]
    references: Option<Vec<Text<'a>>>,
    #[serde(borrow)]
    nar_hash: Option<HashForm<'a>>,
    nar_size: Option<u64>,
    valid: Option<bool>,
}

/// A NAR hash: text in any form that [`NarHash`] reads, or in parts (`--json-format 2`).
#[derive(Deserialize)]
#[serde(untagged, expecting = "expected a NAR hash, a text or an object of algorithm, format and hash")]
enum HashForm<'a> {
    #[serde(borrow)]
    Whole(Text<'a>),
    Parts {
        algorithm: String,
        format: String,
        hash: String,
    },
}

/// Text that is borrowed from the input where no escape stands in it, also within options and lists.
#[derive(Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

fn path_info(position: &Position, entry: Option<Entry>, store_dir: Option<&str>) -> Result<PathInfo, String> {
    let entry = entry.ok_or("found null, expected a path that is valid in its store")?;
    let path = match (&entry.path, position) {
        (Some(path), _) => &path.0,
        (None, Position::Key(key)) => key,
        (None, Position::Index(_)) => return Err("found no path".to_owned()),
    };
    if entry.valid == Some(false) {
        return Err(format!("found {path:?} with \"valid\": false, expected a path that is valid in its store"));
    }
    let path = store_path(path, store_dir)?;
    let references = entry.references.ok_or_else(|| format!("found no references of {path}"))?;
    let references = references.iter().map(|text| store_path(&text.0, store_dir)).collect::<Result<_, _>>()?;
    let nar_hash = entry.nar_hash.map(nar_hash).transpose()?;
    Ok(PathInfo { path, nar_hash, nar_size: entry.nar_size, references })
}

/// A store path, or a base name in the store that the document names.
fn store_path(text: &str, store_dir: Option<&str>) -> Result<StorePath, String> {
    let path = match store_dir {
        Some(store_dir) if !text.contains('/') => StorePath::parse(&format!("{store_dir}/{text}")),
        _ => StorePath::parse(text),
    };
    path.map_err(|e| e.to_string())
}

fn nar_hash(form: HashForm) -> Result<NarHash, String> {
    let parsed = match form {
        HashForm::Whole(text) => text.0.parse(),
        HashForm::Parts { algorithm, format, hash } => match format.as_str() {
            "base64" => format!("{algorithm}-{hash}").parse(),
            "sri" => hash.parse(),
            _ => format!("{algorithm}:{hash}").parse(),
        },
    };
    parsed.map_err(|e: Error| e.to_string())
}

impl fmt::Display for Position<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Position::Index(position) => write!(f, "[{position}]"),
            Position::Key(key) => write!(f, "{key:?}"),
        }
    }
}

impl<'de> Deserialize<'de> for Document<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(DocumentVisitor)
    }
}

/// Takes in either an array of entries or an object around entries.
struct DocumentVisitor;

impl<'de> Visitor<'de> for DocumentVisitor {
    type Value = Document<'de>;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("a references graph, an array or an object")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<Self::Value, A::Error> {
        let List(entries) = List::deserialize(SeqAccessDeserializer::new(seq))?;
        Ok(Document { entries: Some(entries), ..Document::default() })
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut document = Document::default();
        let mut is_empty = true;
        while let Some(Text(key)) = map.next_key()? {
            is_empty = false;
            match key.as_ref() {
                "format" => document.format = Some(map.next_value()?),
                "version" => document.version = Some(map.next_value()?),
                "storeDir" => document.store_dir = Some(map.next_value::<Text>()?.0),
                "graph" | "info" if document.entries.is_some() => {
                    return Err(A::Error::custom(format!("found {key:?} after other entries")));
                }
                "graph" => document.entries = Some(map.next_value::<List>()?.0),
                "info" => document.entries = Some(map.next_value::<Table>()?.0),
                _ if key.starts_with('/') => {
                    document.entries.get_or_insert_default().push((Position::Key(key), map.next_value()?));
                }
                _ => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        if is_empty {
            document.entries = Some(Vec::new());
        }
        Ok(document)
    }
}

/// Entries in an array.
struct List<'a>(Vec<(Position<'a>, Option<Entry<'a>>)>);

impl<'de> Deserialize<'de> for List<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let entries = Vec::deserialize(deserializer)?.into_iter().enumerate();
        Ok(List(entries.map(|(position, entry)| (Position::Index(position), entry)).collect()))
    }
}

/// Entries under keys. A map type would drop a key that stands twice, which is an error.
struct Table<'a>(Vec<(Position<'a>, Option<Entry<'a>>)>);

impl<'de> Deserialize<'de> for Table<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(TableVisitor)
    }
}

/// Takes in an object as a list of keys and entries.
struct TableVisitor;

impl<'de> Visitor<'de> for TableVisitor {
    type Value = Table<'de>;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("an object of entries")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut entries = Vec::new();
        while let Some((Text(key), entry)) = map.next_entry()? {
            entries.push((Position::Key(key), entry));
        }
        Ok(Table(entries))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HASH: &str = "sha256:0mdqa9w1p6cmli6976v4wi0sw9r4p5prkj7lzfd1877wk11c9c73";

    /// The form's entries are one path `/s/a` with a size, a hash and a reference to itself.
    #[track_caller]
    fn check(text: &str) {
        let path = StorePath::parse("/s/a").unwrap();
        let info = PathInfo {
            path: path.clone(),
            nar_hash: Some(HASH.parse().unwrap()),
            nar_size: Some(7),
            references: vec![path],
        };
        assert_eq!(parse(text.as_bytes(), "x.json").unwrap(), [info]);
    }

    #[track_caller]
    fn check_error(text: &str, expected: &str) {
        assert_eq!(parse(text.as_bytes(), "x.json").unwrap_err().to_string(), expected);
    }

    #[test]
    fn every_form_reads_the_same() {
        let sri = "sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=";
        let rest = format!(r#""narHash": "{HASH}", "narSize": 7, "references": ["/s/a"], "new": {{"a": [1]}}"#);
        check(&format!(r#" [{{"path": "/s/a", {rest}}}]"#));
        check(&format!(r#"{{"outputs": {{"out": "/s/b"}}, "graph": [{{"path": "\u002fs/a", {rest}}}]}}"#));
        check(&format!(r#"{{"/s/a": {{{rest}}}}}"#));
        check(&format!(r#"{{"format": "layerstone/closure", "version": 1, "graph": [{{"path": "/s/a", {rest}}}]}}"#));
        for hash in [
            format!(r#""{sri}""#),
            format!(r#"{{"algorithm": "sha256", "format": "base64", "hash": "{}"}}"#, &sri[7..]),
            format!(r#"{{"algorithm": "sha256", "format": "sri", "hash": "{sri}"}}"#),
            format!(r#"{{"algorithm": "sha256", "format": "nix32", "hash": "{}"}}"#, &HASH[7..]),
        ] {
            check(&format!(
                r#"{{"info": {{"a": {{"narHash": {hash}, "narSize": 7, "references": ["a"]}}}},
                    "storeDir": "/s", "version": 2}}"#
            ));
        }
    }

    #[test]
    fn no_paths() {
        for text in ["{}", " { }\n", "[]", r#"{"graph": []}"#, r#"{"info": {}, "storeDir": "/s", "version": 2}"#] {
            assert_eq!(parse(text.as_bytes(), "x.json").unwrap(), [], "{text}");
        }
    }

    #[test]
    fn size_and_hash_may_be_missing_or_null() {
        for entry in [r#""narSize": null, "narHash": null,"#, ""] {
            let entries = parse(format!(r#"[{{{entry} "path": "/s/a", "references": []}}]"#).as_bytes(), "x").unwrap();
            assert_eq!((entries[0].nar_size, entries[0].nar_hash), (None, None));
        }
    }

    #[test]
    fn entries_are_named_in_errors() {
        let ok = r#"{"path": "/s/a", "references": []}"#;
        check_error(&format!("[{ok}, {{}}]"), "malformed references graph: x.json: entry [1]: found no path");
        check_error(
            &format!(r#"{{"graph": [{ok}, {ok}, {{"path": "/s/b"}}]}}"#),
            "malformed references graph: x.json: entry [2]: found no references of /s/b",
        );
        check_error(
            r#"{"/s/a": null}"#,
            "malformed references graph: x.json: entry \"/s/a\": found null, expected a path that is valid in its store",
        );
        // Before Nix 2.19, with nothing but the path, and since then where somebody writes it all the same.
        for text in [r#"[{"path": "/s/a", "valid": false}]"#, r#"{"/s/a": {"references": [], "valid": false}}"#] {
            let error = parse(text.as_bytes(), "x.json").unwrap_err().to_string();
            let expected = r#"found "/s/a" with "valid": false, expected a path that is valid in its store"#;
            assert!(error.ends_with(expected), "{error}");
        }
        assert!(parse(br#"[{"path": "/s/a", "references": [], "valid": true}]"#, "x.json").is_ok());
        check_error(
            r#"[{"path": "/s/a", "references": ["b"]}]"#,
            "malformed references graph: x.json: entry [0]: not a store path: \"b\": it is not absolute",
        );
        check_error(
            r#"[{"path": "/s/a", "references": [], "narHash": "md5:0"}]"#,
            "malformed references graph: x.json: entry [0]: not a sha256 NAR hash: \"md5:0\"",
        );
    }

    #[test]
    fn what_is_no_graph() {
        check_error(
            r#"{"layers": []}"#,
            "malformed references graph: x.json: found no graph, expected an array of entries or one under \"graph\"",
        );
        check_error(
            "7",
            "malformed references graph: x.json: invalid type: integer `7`, expected a references graph, an array or an object at line 1 column 1",
        );
        check_error("[", "not JSON: x.json: EOF while parsing a list at line 1 column 1");
        check_error("[] []", "not JSON: x.json: trailing characters at line 1 column 4");
        check_error(
            r#"{"format": "layerstone/layers", "version": 1, "layers": []}"#,
            "wrong format: x.json: found layerstone/layers version 1, expected layerstone/closure version 1",
        );
        assert!(parse(br#"{"graph": {"a": {}}}"#, "x").is_err());
        assert!(parse(br#"{"graph": [], "info": {}}"#, "x").is_err());
        assert!(parse(br#"[{"path": "/s/a", "path": "/s/b", "references": []}]"#, "x").is_err());
        assert!(parse(br#"[{"path": "/s/a", "references": [], "narSize": -1}]"#, "x").is_err());
    }
}
