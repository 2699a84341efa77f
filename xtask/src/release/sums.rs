//! SHA256SUMS, and a signature of it.

use super::Release;
use crate::process;
use anyhow::{Context, Result};
use sha2::{Digest, Sha256};
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Writes it as sha256sum(1) does, of files that lie beside it, and signs it with a key, if there is one, so that
/// `openssl dgst -verify` takes it.
pub fn write(release: &Release<'_>, files: &[PathBuf], key: Option<&Path>) -> Result<Vec<PathBuf>> {
    let path = release.output.join("SHA256SUMS");
    fs::write(&path, sums(files)?).with_context(|| format!("cannot write: {}", path.display()))?;
    let mut made = vec![path.clone()];
    if let Some(key) = key {
        let signature = release.output.join("SHA256SUMS.sig");
        let mut openssl = Command::new("openssl");
        openssl.args(["dgst", "-sha256", "-sign"]).arg(key).arg("-out").arg(&signature).arg(&path);
        process::run(&mut openssl)?;
        made.push(signature);
    }
    Ok(made)
}

fn sums(files: &[PathBuf]) -> Result<String> {
    let mut files: Vec<&PathBuf> = files.iter().collect();
    files.sort();
    let mut text = String::new();
    for file in files {
        let bytes = fs::read(file).with_context(|| format!("cannot read: {}", file.display()))?;
        for byte in Sha256::digest(&bytes) {
            write!(text, "{byte:02x}")?;
        }
        writeln!(text, "  {}", file.file_name().unwrap_or_default().display())?;
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sha256sum_takes_it() -> Result<()> {
        let folder = tempfile::tempdir()?;
        let files = ["b", "a"].map(|name| folder.path().join(name));
        for file in &files {
            fs::write(file, "x")?;
        }
        fs::write(folder.path().join("SHA256SUMS"), sums(&files)?)?;
        let mut check = Command::new("sha256sum");
        let said = process::output(check.args(["--check", "SHA256SUMS"]).current_dir(&folder))?;
        assert_eq!(said, "a: OK\nb: OK\n");
        Ok(())
    }
}
