//! The attributes of a derivation with __structuredAttrs, as Nix writes them for its builder.

use anyhow::{Context, Result, bail};
use layerstone_pipeline::{Error, attributes_file};
use serde_json::{Map, Value};
use std::ffi::OsStr;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// The attributes of the derivation that is being built.
pub struct Attributes {
    file: PathBuf,
    map: Map<String, Value>,
}

impl Attributes {
    pub fn read() -> Result<Attributes> {
        let file = attributes_file();
        let bytes = match fs::read(&file) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => {
                let expected = "expected the one that Nix writes with __structuredAttrs";
                let message = format!("no attributes of a derivation: {}: found no file, {expected}", file.display());
                let hint = "the builder of a derivation runs it; elsewhere the command runs without `derivation`";
                return Err(Error::advised(message, hint).into());
            }
            read => read.with_context(|| format!("cannot read: {}", file.display()))?,
        };
        let map = serde_json::from_slice(&bytes)
            .with_context(|| format!("not the attributes of a derivation: {}", file.display()))?;
        Ok(Attributes { file, map })
    }

    /// Writes what is to be a file into the directory of the build.
    pub fn write_files(&self) -> Result<()> {
        for (name, value) in &self.map {
            let text = match (Path::new(name).extension().and_then(OsStr::to_str), value) {
                (Some("json"), value) => format!("{value}\n"),
                (Some("sh"), Value::String(text)) => text.clone(),
                (Some("sh"), value) => return Err(self.wrong(name, value, "a text")),
                _ => continue,
            };
            if name.contains('/') {
                bail!("wrong attribute: {}: {name}: found a slash, expected the name of a file", self.file.display());
            }
            fs::write(name, text).with_context(|| format!("cannot write: {name}"))?;
        }
        Ok(())
    }

    /// The outputs' store paths, `out` first.
    pub fn outputs(&self) -> Result<Vec<PathBuf>> {
        let Some(value) = self.map.get("outputs") else { return Ok(Vec::new()) };
        let outputs = texts(value).ok_or_else(|| self.wrong("outputs", value, "an object of store paths"))?;
        let (out, others): (Vec<_>, Vec<_>) = outputs.into_iter().partition(|(name, _)| *name == "out");
        Ok(out.into_iter().chain(others).map(|(_, path)| PathBuf::from(path)).collect())
    }

    /// What the command finds in its environment besides what Nix sets.
    pub fn environment(&self) -> Result<Vec<(&str, &str)>> {
        let Some(value) = self.map.get("env") else { return Ok(Vec::new()) };
        texts(value).ok_or_else(|| self.wrong("env", value, "an object of texts"))
    }

    fn wrong(&self, name: &str, value: &Value, expected: &str) -> anyhow::Error {
        anyhow::anyhow!("wrong attribute: {}: {name}: found {value}, expected {expected}", self.file.display())
    }
}

/// The keys of an object, and its values if all of them are texts.
fn texts(value: &Value) -> Option<Vec<(&str, &str)>> {
    value.as_object()?.iter().map(|(name, value)| Some((&**name, value.as_str()?))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn outputs_begin_with_out() {
        let map = json!({"outputs": {"dev": "/nix/store/b", "out": "/nix/store/a"}});
        let attributes = Attributes { file: PathBuf::new(), map: map.as_object().unwrap().clone() };
        assert_eq!(attributes.outputs().unwrap(), ["/nix/store/a", "/nix/store/b"].map(PathBuf::from));
    }

    #[test]
    fn texts_of_objects() {
        assert_eq!(texts(&json!({"A": "1"})), Some(vec![("A", "1")]));
        assert_eq!(texts(&json!({"A": 1})), None);
        assert_eq!(texts(&json!("A")), None);
    }
}
