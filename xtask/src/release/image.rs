//! An image of ourselves, made by ourselves: an OCI archive with an image for each target, its bill of materials and its
//! provenance, and a signature.

use super::Release;
use super::target::Target;
use crate::process;
use anyhow::{Context, Result};
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What the image is called.
const NAME: &str = concat!("layerstone:", env!("CARGO_PKG_VERSION"));

/// `layerstone-VERSION.oci.tar`, signed with a key if there is one; `host` is a program that runs here.
pub fn make(release: &Release<'_>, binaries: &[(Target, PathBuf)], host: &Path, key: Option<&Path>) -> Result<PathBuf> {
    let layout = release.work.join("image");
    if layout.exists() {
        fs::remove_dir_all(&layout).with_context(|| format!("cannot remove: {}", layout.display()))?;
    }
    let place = |name: &str| -> OsString { format!("oci:{}{name}", layout.display()).into() };
    let mut images = Vec::new();
    for (target, binary) in binaries {
        let tag = format!("{}-{}", env!("CARGO_PKG_VERSION"), target.architecture());
        let mut build = Command::new(host);
        build
            .args(["build", "--quiet", "--name", "layerstone", "--tag", &tag])
            .args(["--architecture", target.architecture(), "--created", &format!("@{}", release.epoch)])
            .args(["--helper", "tmp", "--entrypoint", "/bin/layerstone", "--cmd", "--help"])
            .args(["--sbom", "cyclonedx", "--provenance", "--copy"])
            .arg(format!("{}:/bin/layerstone", binary.display()))
            .arg("-o")
            .arg(place(""));
        if let Some(url) = release.repository {
            build.args(["--label", &format!("org.opencontainers.image.source={url}")]);
        }
        process::output(&mut build)?;
        images.push(place(&format!("#layerstone:{tag}")));
    }
    let run = |words: &[OsString]| process::output(Command::new(host).args(words)).map(drop);
    let words = |words: &[&str]| words.iter().map(OsString::from).collect::<Vec<_>>();
    run(&[words(&["index", "--quiet"]), images, words(&["--as", NAME, "-o"]), vec![place("")]].concat())?;
    let named = place(&format!("#{NAME}"));
    if let Some(key) = key {
        run(&[vec!["sign".into(), named.clone(), "--key".into()], vec![key.into()]].concat())?;
    }
    let path = release.output.join(format!("layerstone-{}.oci.tar", env!("CARGO_PKG_VERSION")));
    let archive: OsString = format!("oci-archive:{}", path.display()).into();
    run(&[vec!["copy".into(), named, archive], words(&["--all", "--referrers", "--quiet"])].concat())?;
    Ok(path)
}
