//! The Nix build that runs this program, if one does: which outputs it makes.

use serde_json::Value;
use std::env::{var, var_os};
use std::path::{Path, PathBuf};

/// The variable in which Nix says where the attributes are (Nix manual, "Advanced Attributes", since Nix 2.4).
pub const ATTRIBUTES: &str = "NIX_ATTRS_JSON_FILE";
/// Where they are in the build's directory.
pub const ATTRIBUTES_FILE: &str = ".attrs.json";

/// Where the attributes of a derivation with __structuredAttrs are: in a sandbox, Nix 2.8 tells where they are outside
/// of it.
pub fn attributes_file() -> PathBuf {
    let named = var_os(ATTRIBUTES).map(PathBuf::from).filter(|file| file.exists());
    named.unwrap_or_else(|| PathBuf::from(ATTRIBUTES_FILE))
}

/// Store paths that are being made: Nix and Guix name them in the variables that `outputs` lists, `out` where it lists
/// none, and in the attributes.
pub fn outputs() -> Vec<PathBuf> {
    let names = var("outputs").unwrap_or_else(|_| "out".to_owned());
    let mut outputs: Vec<PathBuf> = names.split_whitespace().filter_map(var_os).map(PathBuf::from).collect();
    if var_os(ATTRIBUTES).is_some() {
        outputs.extend(outputs_in(&attributes_file()));
    }
    // An empty variable names nothing.
    outputs.retain(|path| path.is_absolute());
    outputs
}

fn outputs_in(file: &Path) -> Vec<PathBuf> {
    let attributes: Option<Value> = std::fs::read(file).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok());
    let outputs = attributes.as_ref().and_then(|attributes| attributes.get("outputs")?.as_object());
    outputs.into_iter().flat_map(|outputs| outputs.values()).filter_map(Value::as_str).map(PathBuf::from).collect()
}
