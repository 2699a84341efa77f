//! Reads and writes stage files: JSON objects that say their format and version, and bare JSON as other tools write it.

use crate::{Error, Output, Result, write_whole};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::io::{Read, Write};
use std::path::Path;

/// A JSON file as read: one of ours, its format and version checked, or bare JSON of another tool.
#[derive(Debug)]
pub enum Document {
    /// An object with `"format"`: a stage file of ours.
    Ours(Value),
    /// Anything else.
    Bare(Value),
}

/// Reads all of an input: a file, or standard input for `-`.
pub fn read_input(path: &Path) -> Result<Vec<u8>> {
    if path != Path::new("-") {
        return std::fs::read(path).map_err(Error::io("read", path));
    }
    let mut bytes = Vec::new();
    std::io::stdin().lock().read_to_end(&mut bytes).map_err(Error::io("read", Path::new("standard input")))?;
    Ok(bytes)
}

/// Reads a JSON file and, if it is one of ours, checks that it is `format` in `version`; `rerun` names the command
/// that makes such a file.
pub fn read_document(path: &Path, format: &'static str, version: u64, rerun: &'static str) -> Result<Document> {
    parse_document(&read_input(path)?, &path.display().to_string(), format, version, rerun)
}

/// [`read_document`] on bytes in memory; `name` stands in messages.
pub fn parse_document(
    bytes: &[u8],
    name: &str,
    format: &'static str,
    version: u64,
    rerun: &'static str,
) -> Result<Document> {
    let value: Value = serde_json::from_slice(bytes).map_err(|source| Error::Json { name: name.to_owned(), source })?;
    let Some(found) = value.get("format").filter(|_| value.is_object()) else { return Ok(Document::Bare(value)) };
    check_format((found, value.get("version")), (format, version), name, rerun)?;
    Ok(Document::Ours(value))
}

/// Checks the format and the version that a file says.
pub fn check_format(
    found: (&Value, Option<&Value>),
    (format, version): (&str, u64),
    name: &str,
    rerun: &'static str,
) -> Result<()> {
    let (found, found_version) = (found.0, found.1.unwrap_or(&Value::Null));
    if found == format && *found_version == version {
        return Ok(());
    }
    Err(Error::WrongFormat {
        name: name.to_owned(),
        found: format!("{} version {found_version}", found.as_str().unwrap_or("an unknown format")),
        expected: format!("{format} version {version}"),
        rerun,
    })
}

/// Turns JSON into a type; an error names the format and the file.
pub fn from_value<T: DeserializeOwned>(value: Value, format: &'static str, name: &str) -> Result<T> {
    serde_json::from_value(value).map_err(|e| Error::Malformed { format, name: name.to_owned(), cause: e.to_string() })
}

/// The text of a stage file: `format` and `version` added, keys sorted, indented by two, newline at the end.
pub fn to_text<T: Serialize>(format: &str, version: u64, body: &T) -> String {
    let mut value = serde_json::to_value(body).expect("stage files have string keys and no failing serializer");
    if let Value::Object(map) = &mut value {
        map.insert("format".to_owned(), format.into());
        map.insert("version".to_owned(), version.into());
    }
    value.sort_all_objects();
    let mut text = serde_json::to_string_pretty(&value).expect("a JSON value can be written");
    text.push('\n');
    text
}

/// Starts a stage file, all its text on the disk but not yet under its name: for the caller to commit.
pub fn prepare_stage_file<T: Serialize>(path: &Path, format: &str, version: u64, body: &T) -> Result<Output> {
    let mut output = Output::create(path)?;
    fill_stage_file(&mut output, format, version, body)?;
    Ok(output)
}

/// Writes a stage file into an output that was started.
pub fn fill_stage_file<T: Serialize>(output: &mut Output, format: &str, version: u64, body: &T) -> Result<()> {
    let written = output.write_all(to_text(format, version, body).as_bytes());
    written.map_err(|e| Error::io("write", output.destination())(e))
}

/// Writes a stage file atomically; `-` is standard output.
pub fn write_stage_file<T: Serialize>(path: &Path, format: &str, version: u64, body: &T) -> Result<()> {
    write_text(path, &to_text(format, version, body))
}

/// [`write_stage_file`] for one whose text was made elsewhere.
pub fn write_text(path: &Path, text: &str) -> Result<()> {
    if path != Path::new("-") {
        return write_whole(path, text.as_bytes());
    }
    let mut out = std::io::stdout().lock();
    let written = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    written.map_err(Error::io("write", Path::new("standard output")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Document> {
        parse_document(text.as_bytes(), "x.json", "layerstone/closure", 1, "layerstone closure")
    }

    #[test]
    fn ours_and_bare() {
        assert!(matches!(parse(r#"{"format":"layerstone/closure","version":1}"#), Ok(Document::Ours(_))));
        assert!(matches!(parse("[]"), Ok(Document::Bare(_))));
        assert!(matches!(parse(r#"{"graph":[]}"#), Ok(Document::Bare(_))));
    }

    #[test]
    fn wrong_version_says_both() {
        let error = parse(r#"{"format":"layerstone/closure","version":2}"#).unwrap_err().to_string();
        assert_eq!(
            error,
            "wrong format: x.json: found layerstone/closure version 2, expected layerstone/closure version 1"
        );
    }

    #[test]
    fn text_is_sorted_at_every_depth() {
        let body = serde_json::json!({"z": {"b": 1, "a": 2}, "a": []});
        let text = to_text("f", 1, &body);
        assert_eq!(
            text,
            "{\n  \"a\": [],\n  \"format\": \"f\",\n  \"version\": 1,\n  \"z\": {\n    \"a\": 2,\n    \"b\": 1\n  }\n}\n"
        );
    }
}
