//! One static release binary of layerstone, which runs without a libc of the machine: in an empty root, as a Nix
//! builder, as a VM's guest.

use crate::{elf, process};
use anyhow::{Context, Result, ensure};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Builds it, checks that it is static, and puts it into `folder` as `layerstone-VERSION-TARGET`.
pub fn build(folder: &Path) -> Result<PathBuf> {
    let target = host()?;
    let binary = compile(&target)?;
    let linked = elf::read(&binary).with_context(|| format!("cannot read: {}", binary.display()))?;
    let linked = linked.with_context(|| format!("no 64-bit ELF program: {}", binary.display()))?;
    ensure!(linked.interpreter.is_none(), "not static: {}: it asks for {:?}", binary.display(), linked.interpreter);
    fs::create_dir_all(folder).with_context(|| format!("cannot create: {}", folder.display()))?;
    let copy = folder.join(format!("layerstone-{}-{target}", env!("CARGO_PKG_VERSION")));
    fs::copy(&binary, &copy).with_context(|| format!("cannot write: {}", copy.display()))?;
    Ok(copy)
}

/// The target triple of this machine's compiler.
fn host() -> Result<String> {
    let version = process::output(Command::new("rustc").arg("-vV"))?;
    let host = version.lines().find_map(|line| line.strip_prefix("host: "));
    Ok(host.context("rustc -vV names no host")?.to_owned())
}

/// Naming the target, although it is the host, keeps the flag away from build scripts and procedural macros, which
/// cannot be static.
fn compile(target: &str) -> Result<PathBuf> {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or("cargo".into()));
    command
        .args(["build", "--release", "--package", "layerstone", "--bin", "layerstone", "--target", target])
        .args(["--message-format", "json-render-diagnostics"])
        .env_remove("CARGO_ENCODED_RUSTFLAGS")
        .env("RUSTFLAGS", "-C target-feature=+crt-static")
        .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."));
    process::executable(&process::output(&mut command)?).context("cargo build names no executable")
}
