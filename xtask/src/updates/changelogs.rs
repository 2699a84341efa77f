//! Finds the changelogs of source packages: in the documentation of installed packages that are up to date, or in packages
//! that apt downloads.

use super::changelog;
use super::source::Source;
use crate::process;
use anyhow::{Context, Result};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// How many packages apt is asked for at a time.
const AT_A_TIME: usize = 40;
/// Where installed packages have their documentation.
const DOCUMENTATION: &str = "/usr/share/doc";

/// Where changelogs are.
pub struct Changelogs {
    /// The directory with packages that were downloaded.
    folder: PathBuf,
    /// Installed packages that are not the last version.
    outdated: BTreeSet<String>,
}

impl Changelogs {
    /// Those of this machine and of a directory, which is made.
    pub fn new(folder: &Path) -> Result<Changelogs> {
        fs::create_dir_all(folder).with_context(|| format!("cannot create: {}", folder.display()))?;
        let mut command = Command::new("apt");
        let list = process::output(command.args(["list", "--upgradable"]).env("LC_ALL", "C").stderr(Stdio::null()))?;
        let outdated = list.lines().filter_map(|line| line.split_once('/')).map(|(name, _)| name.to_owned()).collect();
        Ok(Changelogs { folder: folder.to_owned(), outdated })
    }

    /// Downloads, of each source that may have been updated and has no changelog yet, the smallest package, at the next
    /// attempt the largest one that was asked about, and so on: small ones often have a link instead of a changelog.
    pub fn download(&self, sources: &BTreeMap<String, Source>, attempt: usize) -> Result<()> {
        let mut missing = Vec::new();
        for (name, source) in sources.iter().filter(|(_, source)| source.may_be_updated) {
            if self.of(name, source)?.is_none()
                && let Some(package) = candidate(source, attempt)
            {
                missing.push(package);
            }
        }
        eprintln!("{} packages to download", missing.len());
        for some in missing.chunks(AT_A_TIME) {
            let mut command = Command::new("apt-get");
            command.args(["-o", "APT::Sandbox::User=root", "-qq", "download"]);
            process::run(command.args(some).current_dir(&self.folder).stdout(Stdio::null()))?;
        }
        Ok(())
    }

    /// The changelog of a source, from whatever package of it has one.
    pub fn of(&self, name: &str, source: &Source) -> Result<Option<String>> {
        let is_of_source = |text: &String| changelog::entries(text).iter().any(|entry| entry.source == name);
        for (_, package) in source.all.iter().filter(|(_, package)| !self.outdated.contains(package)) {
            let folder = Path::new(DOCUMENTATION).join(package);
            if let Some(text) = folder.exists().then(|| of_folder(&folder)).transpose()?.filter(is_of_source) {
                return Ok(Some(text));
            }
        }
        for file in fs::read_dir(&self.folder).with_context(|| format!("cannot read: {}", self.folder.display()))? {
            let file = file?;
            let package = file.file_name().to_string_lossy().split('_').next().unwrap_or_default().to_owned();
            if source.all.iter().any(|(_, other)| *other == package)
                && let Some(text) = Some(of_package(&file.path())?).filter(is_of_source)
            {
                return Ok(Some(text));
            }
        }
        Ok(None)
    }
}

fn candidate(source: &Source, attempt: usize) -> Option<&str> {
    let asked = source.all.iter().rev().filter(|(_, package)| source.packages.contains(package));
    let candidates = source.all.iter().take(1).chain(asked);
    candidates.map(|(_, package)| package.as_str()).nth(attempt)
}

/// The changelogs in a directory of documentation, one after the other.
fn of_folder(folder: &Path) -> Result<String> {
    shell("cat \"$1\"/changelog*.gz 2>/dev/null | zcat 2>/dev/null || true", folder)
}

/// The changelogs in a .deb, one after the other.
fn of_package(file: &Path) -> Result<String> {
    let tar = "tar -xO --wildcards './usr/share/doc/*/changelog*gz' 2>/dev/null";
    shell(&format!("dpkg-deb --fsys-tarfile \"$1\" | {tar} | zcat 2>/dev/null || true"), file)
}

fn shell(line: &str, argument: &Path) -> Result<String> {
    let mut command = Command::new("sh");
    let output =
        command.args(["-c", line, "sh"]).arg(argument).stderr(Stdio::null()).output().context("cannot run: sh")?;
    // Old entries of some are not UTF-8.
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
