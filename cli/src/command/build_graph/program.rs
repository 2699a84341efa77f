//! Command lines that rules run: this program again, or others that replace it or its stages.

use layerstone_pipeline::build_graph::quoted;
use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;

/// Stages that a program may replace.
const STAGES: [&str; 7] = ["root", "closure", "layers", "layer", "nix-db", "overlay run", "image"];

/// Reads `STAGE=COMMAND`.
pub fn parse_stage(text: &str) -> Result<(String, OsString), String> {
    let (stage, command) = text.split_once('=').ok_or("expected STAGE=COMMAND")?;
    if !STAGES.contains(&stage) {
        return Err(format!("found the stage {stage:?}, expected {}", STAGES.join(", ")));
    }
    Ok((stage.to_owned(), parse_command(command)?))
}

/// Reads a command line.
pub fn parse_command(text: &str) -> Result<OsString, String> {
    let is_line = !text.is_empty() && !text.contains('\n');
    if is_line { Ok(text.into()) } else { Err("expected a command line of one line".to_owned()) }
}

/// The command line that runs this program again.
pub fn this_program() -> Vec<u8> {
    let called = std::env::args_os().next().unwrap_or_else(|| "layerstone".into());
    let absolute = std::path::absolute(&called).map(OsString::from);
    let is_path = called.as_bytes().contains(&b'/');
    quoted(&absolute.ok().filter(|_| is_path).unwrap_or(called))
}
