//! `layerstone derivation`: a command as the builder of a Nix derivation, what its attributes hold lying there as files.

use crate::cache_args::CACHE;
use crate::itself::become_ourselves;
use anyhow::{Context, Result, bail};
use clap::Args;
use layerstone_pipeline::attributes_file;
use serde_json::{Map, Value};
use std::ffi::{OsStr, OsString};
use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// Run a command as the builder of a Nix derivation
///
/// For derivations with __structuredAttrs whose builder is layerstone: every attribute whose name ends in .json becomes a
/// file of that name in the build's folder, references graphs of exportReferencesGraph among them, and so does every text
/// whose name ends in .sh. Folders of outputs that the command names files in are made. Then the command runs as if
/// layerstone had been called with it, with what the attribute `env` says in its environment.
#[derive(Args)]
pub struct Options {
    /// Give the image spec in this file the hash in the output's name as its tag
    #[arg(long, value_name = "IMAGE.JSON")]
    tag: Option<PathBuf>,
    /// Put a file somewhere, such as into the output; a script becomes a program
    #[arg(long, num_args = 2, value_names = ["FILE", "PATH"])]
    put: Vec<PathBuf>,
    /// The command: a subcommand of layerstone and its flags
    #[arg(value_name = "COMMAND", trailing_var_arg = true, allow_hyphen_values = true)]
    command: Vec<OsString>,
}

pub fn run(options: &Options) -> Result<()> {
    let attributes = Attributes::read()?;
    attributes.write_files()?;
    let outputs = attributes.outputs()?;
    if let Some(file) = &options.tag {
        let out =
            outputs.first().context("no output: found none among the attributes of the derivation, expected out")?;
        tag(file, out)?;
    }
    let puts: Vec<&Path> = options.put.iter().skip(1).step_by(2).map(PathBuf::as_path).collect();
    for path in options.command.iter().map(Path::new).chain(puts) {
        make_folder(path, &outputs)?;
    }
    for pair in options.put.chunks_exact(2) {
        put(&pair[0], &pair[1])?;
    }
    match options.command.is_empty() {
        true => Ok(()),
        false => {
            // What a build says is kept in a log.
            let quiet = ["--progress", "never"].map(OsStr::new).into_iter();
            // What a build may know is what it depends on.
            let environment = attributes.environment()?.into_iter().chain([(CACHE, "")]).collect();
            let words: Vec<&OsStr> = quiet.chain(options.command.iter().map(OsString::as_os_str)).collect();
            become_ourselves(&words, environment)
        }
    }
}

/// The attributes of the derivation that is being built.
struct Attributes {
    file: PathBuf,
    map: Map<String, Value>,
}

impl Attributes {
    fn read() -> Result<Attributes> {
        let file = attributes_file();
        let bytes = match fs::read(&file) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => bail!(
                "no attributes of a derivation: {}: found no file, expected the one that Nix writes with __structuredAttrs",
                file.display()
            ),
            read => read.with_context(|| format!("cannot read: {}", file.display()))?,
        };
        let map = serde_json::from_slice(&bytes)
            .with_context(|| format!("not the attributes of a derivation: {}", file.display()))?;
        Ok(Attributes { file, map })
    }

    /// Writes what is to be a file into the build's folder.
    fn write_files(&self) -> Result<()> {
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
    fn outputs(&self) -> Result<Vec<PathBuf>> {
        let Some(value) = self.map.get("outputs") else { return Ok(Vec::new()) };
        let outputs = texts(value).ok_or_else(|| self.wrong("outputs", value, "an object of store paths"))?;
        let (out, others): (Vec<_>, Vec<_>) = outputs.into_iter().partition(|(name, _)| *name == "out");
        Ok(out.into_iter().chain(others).map(|(_, path)| PathBuf::from(path)).collect())
    }

    /// What the command finds in its environment besides what Nix sets.
    fn environment(&self) -> Result<Vec<(&str, &str)>> {
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

/// Puts the hash in a store path's name (`/nix/store/HASH-NAME`) into a spec.
fn tag(file: &Path, out: &Path) -> Result<()> {
    let name = out.file_name().and_then(OsStr::to_str).unwrap_or_default();
    let (hash, _) = name.split_once('-').with_context(|| format!("not a store path: {}", out.display()))?;
    let text = fs::read(file).with_context(|| format!("cannot read: {}", file.display()))?;
    let mut spec: Map<String, Value> =
        serde_json::from_slice(&text).with_context(|| format!("not an image spec: {}", file.display()))?;
    spec.insert("tag".to_owned(), hash.into());
    fs::write(file, format!("{}\n", Value::Object(spec))).with_context(|| format!("cannot write: {}", file.display()))
}

/// Makes the folder of a path in an output.
fn make_folder(path: &Path, outputs: &[PathBuf]) -> Result<()> {
    match path.parent().filter(|parent| outputs.iter().any(|output| parent.starts_with(output))) {
        Some(parent) => {
            fs::create_dir_all(parent).with_context(|| format!("cannot make the folder: {}", parent.display()))
        }
        None => Ok(()),
    }
}

fn put(file: &Path, path: &Path) -> Result<()> {
    let context = || format!("cannot write: {}", path.display());
    let bytes = fs::read(file).with_context(|| format!("cannot read: {}", file.display()))?;
    fs::write(path, bytes).with_context(context)?;
    let is_script = file.extension() == Some(OsStr::new("sh"));
    fs::set_permissions(path, Permissions::from_mode(if is_script { 0o755 } else { 0o644 })).with_context(context)
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
