//! apt: which packages a wish leads to on an empty machine, and their files.

use crate::process;
use anyhow::Result;
use std::path::Path;
use std::process::Command;

/// Debian's own list of sources; others that a machine may have would change the closure.
const SOURCES: &str = "/etc/apt/sources.list.d/debian.sources";

/// A binary package of a certain version.
pub struct Package {
    pub name: String,
    pub version: String,
    /// Name of its .deb as apt downloads it.
    pub file: String,
}

/// What apt's solver would install for these packages on a machine where nothing is installed, recommendations left
/// out.
pub fn resolve(requested: &[String]) -> Result<Vec<Package>> {
    let mut command = apt_get();
    command.args(["-o", "Dir::State::status=/dev/null", "--no-install-recommends", "-y", "--print-uris", "-qq"]);
    let listing = process::output(command.arg("install").args(requested))?;
    Ok(listing.lines().filter_map(parse_uri).collect())
}

/// Downloads the packages' files that are not in the folder yet.
pub fn download(packages: &[Package], folder: &Path) -> Result<()> {
    let missing = packages.iter().filter(|package| !folder.join(&package.file).exists());
    let missing: Vec<String> = missing.map(|package| format!("{}={}", package.name, package.version)).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let mut command = apt_get();
    // The folder belongs to root; apt's own user could not write there.
    command.args(["-o", "APT::Sandbox::User=root", "-qq", "download"]);
    process::run(command.args(missing).current_dir(folder))
}

fn apt_get() -> Command {
    let mut command = Command::new("apt-get");
    command.env("LC_ALL", "C");
    if Path::new(SOURCES).exists() {
        command.args(["-o", &format!("Dir::Etc::sourcelist={SOURCES}"), "-o", "Dir::Etc::sourceparts=/nonexistent"]);
    }
    // Several may run at once, and the machine's own caches, made for all its sources, are neither read nor changed.
    command.args(["-o", "Debug::NoLocking=1", "-o", "Dir::Cache::pkgcache=", "-o", "Dir::Cache::srcpkgcache="]);
    command
}

/// A line of `--print-uris`: `'URI' NAME_VERSION_ARCH.deb SIZE HASH`, where a colon is written `%3a`.
fn parse_uri(line: &str) -> Option<Package> {
    let file = line.strip_prefix('\'')?.split_once("' ")?.1.split(' ').next()?;
    let mut parts = file.strip_suffix(".deb")?.split('_');
    let (name, version) = (parts.next()?, parts.next()?);
    Some(Package { name: name.to_owned(), version: version.replace("%3a", ":"), file: file.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::Context;

    #[test]
    fn a_line_of_print_uris() -> Result<()> {
        let line = "'http://deb.debian.org/debian/pool/main/g/git/git_2.39.5-0%2bdeb12u3_amd64.deb' \
                    git_1%3a2.39.5-0+deb12u3_amd64.deb 7264380 SHA256:00";
        let package = parse_uri(line).context("a package")?;
        assert_eq!((package.name.as_str(), package.version.as_str()), ("git", "1:2.39.5-0+deb12u3"));
        assert_eq!(package.file, "git_1%3a2.39.5-0+deb12u3_amd64.deb");
        assert!(parse_uri("Reading package lists...").is_none());
        Ok(())
    }
}
