//! apt: which packages a wish leads to on an empty machine, and their files.

use crate::process;
use anyhow::{Context, Result};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Debian's own list of sources; others that a machine may have would change the closure.
const SOURCES: &str = "/etc/apt/sources.list.d/debian.sources";

/// Where Debian's packages are, for suites that are asked for by name.
const ARCHIVE: &str = "http://deb.debian.org/debian";

/// An apt that knows some sources.
pub struct Apt {
    options: Vec<String>,
}

/// A binary package of a certain version.
pub struct Package {
    pub name: String,
    pub version: String,
    /// Name of its .deb as apt downloads it.
    pub file: String,
}

impl Apt {
    /// Debian's sources of this machine, as it knows them.
    pub fn of_machine() -> Apt {
        let has_sources = Path::new(SOURCES).exists();
        Apt { options: if has_sources { only_sources(Path::new(SOURCES)) } else { Vec::new() } }
    }

    /// One suite of Debian's archive, whose lists are fetched into a directory: the state of a release without its updates.
    pub fn of_suite(suite: &str, folder: &Path) -> Result<Apt> {
        let (list, lists) = (folder.join("sources.list"), folder.join("lists"));
        fs::create_dir_all(lists.join("partial")).with_context(|| format!("cannot create: {}", lists.display()))?;
        let key = "/usr/share/keyrings/debian-archive-keyring.gpg";
        let line = format!("deb [signed-by={key}] {ARCHIVE} {suite} main\n");
        fs::write(&list, line).with_context(|| format!("cannot write: {}", list.display()))?;
        let mut options = only_sources(&list);
        options.extend(option(&format!("Dir::State::Lists={}", absolute(&lists)?.display())));
        let apt = Apt { options };
        process::run(apt.command().args(["-o", "APT::Sandbox::User=root", "-qq", "update"]))?;
        Ok(apt)
    }

    /// What apt's solver would install for these packages on a machine where nothing is installed, recommendations left
    /// out.
    pub fn resolve(&self, requested: &[String]) -> Result<Vec<Package>> {
        let mut command = self.command();
        command.args(["-o", "Dir::State::status=/dev/null", "--no-install-recommends", "-y", "--print-uris", "-qq"]);
        let listing = process::output(command.arg("install").args(requested))?;
        Ok(listing.lines().filter_map(parse_uri).collect())
    }

    /// Downloads the packages' files that are not in the directory yet.
    pub fn download(&self, packages: &[Package], folder: &Path) -> Result<()> {
        let missing = packages.iter().filter(|package| !folder.join(&package.file).exists());
        let missing: Vec<String> = missing.map(|package| format!("{}={}", package.name, package.version)).collect();
        if missing.is_empty() {
            return Ok(());
        }
        let mut command = self.command();
        // The directory belongs to root; apt's own user could not write there.
        command.args(["-o", "APT::Sandbox::User=root", "-qq", "download"]);
        process::run(command.args(missing).current_dir(folder))
    }

    fn command(&self) -> Command {
        let mut command = Command::new("apt-get");
        command.env("LC_ALL", "C").args(&self.options);
        // Several may run at once, and the machine's own caches, made for all its sources, are neither read nor changed.
        command.args(["-o", "Debug::NoLocking=1", "-o", "Dir::Cache::pkgcache=", "-o", "Dir::Cache::srcpkgcache="]);
        command
    }
}

/// The options that make apt know one list of sources alone.
fn only_sources(list: &Path) -> Vec<String> {
    let list = option(&format!("Dir::Etc::sourcelist={}", list.display()));
    list.into_iter().chain(option("Dir::Etc::sourceparts=/nonexistent")).collect()
}

fn option(text: &str) -> [String; 2] {
    ["-o".to_owned(), text.to_owned()]
}

/// apt takes what is relative for something below its own directories.
fn absolute(path: &Path) -> Result<PathBuf> {
    std::path::absolute(path).with_context(|| format!("cannot find: {}", path.display()))
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
