//! The static program of a target, the same bytes in any directory.

use super::target::Target;
use crate::{elf, process};
use anyhow::{Context, Result, ensure};
use std::path::{Path, PathBuf};

/// Compiles it in these sources, and returns where it is.
///
/// Panics and C code name source files, so the directories of the sources and of cargo are replaced by names that are the
/// same everywhere (`rustc --remap-path-prefix`; gcc(1), `-ffile-prefix-map`). The target is named even if it is this machine,
/// as flags are for the program then, and not for build scripts and procedural macros, which cannot be static.
pub fn build(source: &Path, target: Target, profile: &str) -> Result<PathBuf> {
    let home = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = home.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cargo")));
    let home = home.context("neither CARGO_HOME nor HOME is set")?;
    let (home, source_name) = (utf8(&home)?, utf8(source)?);
    let rust = [
        "-Ctarget-feature=+crt-static".to_owned(),
        format!("--remap-path-prefix={source_name}=/layerstone"),
        format!("--remap-path-prefix={home}=/cargo"),
    ];
    let c = format!("-g0 -ffile-prefix-map={source_name}=/layerstone -ffile-prefix-map={home}=/cargo");
    let mut cargo = xtask::cargo();
    cargo
        .args(["build", "--locked", "--package", "layerstone", "--bin", "layerstone", "--profile", profile])
        .args(["--target", target.triple(), "--message-format", "json-render-diagnostics"])
        .env("CARGO_TARGET_DIR", source.join("target"))
        .env_remove("RUSTFLAGS")
        .env("CARGO_ENCODED_RUSTFLAGS", rust.join("\u{1f}"))
        .env(format!("CFLAGS_{}", target.triple().replace('-', "_")), c)
        .envs(target.tools())
        .current_dir(source);
    let binary = process::executable(&process::output(&mut cargo)?).context("cargo build names no executable")?;
    let linked = elf::read(&binary)?.with_context(|| format!("no 64-bit ELF program: {}", binary.display()))?;
    ensure!(linked.interpreter.is_none(), "not static: {}: it asks for {:?}", binary.display(), linked.interpreter);
    Ok(binary)
}

fn utf8(path: &Path) -> Result<&str> {
    path.to_str().with_context(|| format!("not UTF-8: {}", path.display()))
}
