//! Release notes: what CHANGELOG.md says of the version.

use super::Release;
use anyhow::{Context, Result};
use std::fs;
use std::path::PathBuf;

/// `NOTES.md`, with how the files are checked.
pub fn write(release: &Release<'_>) -> Result<PathBuf> {
    let changelog = fs::read_to_string(release.source.join("CHANGELOG.md"))?;
    let version = env!("CARGO_PKG_VERSION");
    let changes = section(&changelog, version).with_context(|| format!("CHANGELOG.md has no section [{version}]"))?;
    let source = release.repository.map(|url| format!("\nSources: {url}\n")).unwrap_or_default();
    let text = format!(
        "# layerstone {version}\n{source}\n## Check what you have\n\n```sh\nsha256sum --check --ignore-missing SHA256SUMS\n\
         openssl dgst -sha256 -verify layerstone.pub -signature SHA256SUMS.sig SHA256SUMS\n```\n\n{}\n",
        changes.trim_end()
    );
    let path = release.output.join("NOTES.md");
    fs::write(&path, text).with_context(|| format!("cannot write: {}", path.display()))?;
    Ok(path)
}

/// What stands below the heading of a version.
fn section<'a>(changelog: &'a str, version: &str) -> Option<&'a str> {
    let (_, rest) = changelog.split_once(&format!("\n## [{version}]"))?;
    let (_, rest) = rest.split_once('\n')?;
    Some(rest.split("\n## [").next().unwrap_or(rest).trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_version_alone() {
        let text = "# Changelog\n\n## [Unreleased]\n\nx\n\n## [0.2.0] - 2026-12-01\n\n- a\n- b\n\n## [0.1.0]\n\n- c\n";
        assert_eq!(section(text, "0.2.0"), Some("- a\n- b"));
        assert_eq!(section(text, "0.1.0"), Some("- c"));
        assert_eq!(section(text, "0.3.0"), None);
    }
}
