//! Source packages of Debian: which packages are made of them, and in which weeks they were updated.

use super::changelogs::Changelogs;
use super::{RELEASE, SUITES, changelog};
use crate::process;
use anyhow::Result;
use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

/// A source package.
#[derive(Default)]
pub struct Source {
    /// The packages made of it that were asked about, sorted.
    pub packages: Vec<String>,
    /// Weeks since the release in which it was updated, ascending.
    pub weeks: Vec<u32>,
    /// All packages made of it, the smallest first, with the sizes of their files.
    pub all: Vec<(u64, String)>,
    /// Whether its version says that it was updated since the release, or may have been.
    pub may_be_updated: bool,
}

/// The sources of these packages, by name.
pub fn of_packages(wanted: &BTreeSet<String>) -> Result<BTreeMap<String, Source>> {
    let text = process::output(Command::new("apt-cache").arg("dumpavail").env("LC_ALL", "C"))?;
    let mut sources: BTreeMap<String, Source> = BTreeMap::new();
    for stanza in text.split("\n\n") {
        let field = |name: &str| stanza.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
        let (Some(package), Some(version)) = (field("Package"), field("Version")) else { continue };
        let source = field("Source").and_then(|source| source.split(' ').next()).unwrap_or(package);
        let source = sources.entry(source.to_owned()).or_default();
        if wanted.contains(package) && !source.packages.iter().any(|known| known == package) {
            source.packages.push(package.to_owned());
        }
        if let Some(size) = field("Size").and_then(|size| size.parse().ok()) {
            source.all.push((size, package.to_owned()));
        }
        // Updates of a stable release are called so, but for the kernel's, which are new versions.
        source.may_be_updated |= version.contains("deb12u") || package.starts_with("linux-");
    }
    sources.retain(|_, source| !source.packages.is_empty());
    sources.values_mut().for_each(|source| {
        source.packages.sort_unstable();
        source.all.sort_unstable();
        source.all.dedup_by(|a, b| a.1 == b.1);
    });
    Ok(sources)
}

impl Source {
    /// Reads the changelog, and notes the weeks of updates; whether there is one, or none is needed.
    pub fn read(&mut self, name: &str, changelogs: &Changelogs) -> Result<bool> {
        if !self.may_be_updated {
            return Ok(true);
        }
        let Some(text) = changelogs.of(name, self)? else { return Ok(false) };
        let entries =
            changelog::entries(&text).into_iter().filter(|entry| entry.source == name && entry.day >= RELEASE);
        let is_update = |suite: &str| SUITES.iter().any(|prefix| suite.starts_with(prefix));
        let updates = entries.filter(|entry| entry.suites.split(' ').any(is_update));
        let weeks: BTreeSet<u32> =
            updates.map(|entry| u32::try_from((entry.day - RELEASE) / 7)).collect::<Result<_, _>>()?;
        self.weeks = weeks.into_iter().collect();
        Ok(true)
    }
}
