//! `layerstone derivation`: a command as the builder of a Nix derivation, its attributes given to it as files.

mod attributes;

use crate::args::cache::CACHE;
use crate::itself::become_ourselves;
use anyhow::{Context, Result};
use attributes::Attributes;
use clap::Args;
use serde_json::{Map, Value};
use std::ffi::{OsStr, OsString};
use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

/// Run a command as the builder of a Nix derivation
///
/// For derivations with __structuredAttrs whose builder is layerstone: every attribute whose name ends in .json becomes a
/// file of that name in the build's directory, references graphs of exportReferencesGraph among them, and so does
/// every text whose name ends in .sh. Directories of outputs that the command names files in are made. Then the
/// command runs as if layerstone had been called with it, with what the attribute `env` says in its environment.
#[derive(Args)]
pub struct Options {
    /// Set the tag of the image spec in this file to the hash in the output's name
    #[arg(long, value_name = "IMAGE.JSON")]
    tag: Option<PathBuf>,
    /// Put a file somewhere, such as into the output; a script becomes a program
    #[arg(long, num_args = 2, value_names = ["FILE", "PATH"])]
    put: Vec<PathBuf>,
    /// Make a symlink to a path, such as one of the store, somewhere
    #[arg(long, num_args = 2, value_names = ["TARGET", "PATH"])]
    link: Vec<PathBuf>,
    /// The command: a subcommand of layerstone and its flags
    #[arg(value_name = "COMMAND", trailing_var_arg = true, allow_hyphen_values = true)]
    command: Vec<OsString>,
}

pub fn run(options: &Options) -> Result<()> {
    let attributes = Attributes::read()?;
    attributes.write_files()?;
    let outputs = attributes.outputs()?;
    if let Some(file) = &options.tag {
        let missing = "no output: found none among the attributes of the derivation, expected out";
        tag(file, outputs.first().context(missing)?)?;
    }
    let made = options.put.chunks_exact(2).chain(options.link.chunks_exact(2)).map(|pair| pair[1].as_path());
    for path in options.command.iter().map(Path::new).chain(made) {
        make_parent(path, &outputs)?;
    }
    for pair in options.put.chunks_exact(2) {
        put(&pair[0], &pair[1])?;
    }
    for pair in options.link.chunks_exact(2) {
        symlink(&pair[0], &pair[1]).with_context(|| format!("cannot make the link: {}", pair[1].display()))?;
    }
    if options.command.is_empty() {
        return Ok(());
    }
    // What a build says is kept in a log.
    let quiet = ["--progress", "never"].map(OsStr::new).into_iter();
    let words: Vec<&OsStr> = quiet.chain(options.command.iter().map(OsString::as_os_str)).collect();
    // A build depends on its inputs alone, not on a cache.
    let environment = attributes.environment()?.into_iter().chain([(CACHE, "")]).collect();
    become_ourselves(&words, environment)
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

/// Makes the directory that a path in an output is in.
fn make_parent(path: &Path, outputs: &[PathBuf]) -> Result<()> {
    let parent = path.parent().filter(|parent| outputs.iter().any(|output| parent.starts_with(output)));
    let Some(parent) = parent else { return Ok(()) };
    fs::create_dir_all(parent).with_context(|| format!("cannot make the directory: {}", parent.display()))
}

fn put(file: &Path, path: &Path) -> Result<()> {
    let context = || format!("cannot write: {}", path.display());
    let bytes = fs::read(file).with_context(|| format!("cannot read: {}", file.display()))?;
    fs::write(path, bytes).with_context(context)?;
    let is_script = file.extension() == Some(OsStr::new("sh"));
    fs::set_permissions(path, Permissions::from_mode(if is_script { 0o755 } else { 0o644 })).with_context(context)
}
