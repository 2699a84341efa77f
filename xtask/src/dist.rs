//! Builds one static binary of layerstone, which runs without a libc of the machine: in an empty root, as a Nix
//! builder, as a VM's guest.

use crate::{elf, process, top};
use anyhow::{Context, Result, ensure};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use xtask::cargo;

/// The profile of what is handed out, and so of what is measured.
pub const PROFILE: &str = "dist";

/// Builds it with a profile, checks that it is static, and puts it into `folder` as `layerstone-VERSION-TARGET`.
pub fn build(folder: &Path, profile: &str) -> Result<PathBuf> {
    let target = host()?;
    let binary = compile(profile)?;
    let linked = elf::read(&binary).with_context(|| format!("cannot read: {}", binary.display()))?;
    let linked = linked.with_context(|| format!("no 64-bit ELF program: {}", binary.display()))?;
    ensure!(linked.interpreter.is_none(), "not static: {}: it asks for {:?}", binary.display(), linked.interpreter);
    fs::create_dir_all(folder).with_context(|| format!("cannot create: {}", folder.display()))?;
    let copy = folder.join(format!("layerstone-{}-{target}", env!("CARGO_PKG_VERSION")));
    fs::copy(&binary, &copy).with_context(|| format!("cannot write: {}", copy.display()))?;
    Ok(copy)
}

/// The target triple of this machine's compiler.
pub fn host() -> Result<String> {
    let version = process::output(Command::new("rustc").arg("-vV"))?;
    let host = version.lines().find_map(|line| line.strip_prefix("host: "));
    Ok(host.context("rustc -vV names no host")?.to_owned())
}

/// The program alone is linked so: the flag is kept away from build scripts and procedural macros, which cannot be static,
/// and all else is what `cargo build` with this profile makes. The result lies in a directory of its own, `static`, because
/// another build, which may be in use, lies where cargo would put it.
fn compile(profile: &str) -> Result<PathBuf> {
    let mut metadata = cargo();
    metadata.args(["metadata", "--no-deps", "--format-version", "1"]).current_dir(top());
    let metadata: Metadata =
        serde_json::from_str(&process::output(&mut metadata)?).context("cannot read: cargo metadata")?;
    let mut command = cargo();
    command
        .args(["rustc", "--profile", profile, "--package", "layerstone", "--bin", "layerstone"])
        .args(["--message-format", "json-render-diagnostics", "--", "-C", "target-feature=+crt-static"])
        .env("CARGO_TARGET_DIR", metadata.target_directory.join("static"))
        .env("CARGO_BUILD_BUILD_DIR", metadata.build_directory)
        .current_dir(top());
    process::executable(&process::output(&mut command)?).context("cargo rustc names no executable")
}

/// Where cargo puts what it makes, and what it needs for that.
#[derive(serde::Deserialize)]
struct Metadata {
    target_directory: PathBuf,
    build_directory: PathBuf,
}
