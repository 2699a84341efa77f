//! Closures like those of a Nix store out of Debian's package index: a package becomes a store path with its installed
//! size, its dependencies become references.
//!
//! Nothing is downloaded or unpacked. Of alternatives the first one that the index has is taken, conflicts are not
//! looked at, and where dependencies are a cycle, the one that closes it is left out: a store has none.

use crate::bench::layering::closure::{Closure, StorePath};
use crate::bench::random::Random;
use crate::{lab, process};
use anyhow::{Context, Result};
use std::collections::{BTreeSet, HashMap};
use std::process::Command;

/// Packages by name, and what others stand for a name.
pub struct Index {
    packages: HashMap<String, Package>,
    providers: HashMap<String, String>,
}

struct Package {
    version: String,
    /// Bytes.
    size: u64,
    /// Clauses with their alternatives.
    depends: Vec<Vec<String>>,
}

impl Index {
    /// What apt knows on this machine.
    pub fn read() -> Result<Index> {
        let mut command = Command::new("apt-cache");
        Ok(Index::parse(&process::output(command.arg("dumpavail").env("LC_ALL", "C"))?))
    }

    /// Stanzas of fields, separated by empty lines (Debian Policy, 5.1). Of several versions the first one counts.
    fn parse(text: &str) -> Index {
        let mut index = Index { packages: HashMap::new(), providers: HashMap::new() };
        for stanza in text.split("\n\n") {
            let field = |name: &str| stanza.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
            let (Some(name), Some(version)) = (field("Package"), field("Version")) else { continue };
            if index.packages.contains_key(name) {
                continue;
            }
            let facts = lab::parse_control(stanza);
            for provided in facts.provides {
                index.providers.entry(provided).or_insert_with(|| name.to_owned());
            }
            // The field's unit is KiB (Debian Policy, 5.6.20).
            let size = 1024 * field("Installed-Size").and_then(|size| size.parse().ok()).unwrap_or(1);
            let version = store_version(version).to_owned();
            index.packages.insert(name.to_owned(), Package { version, size, depends: facts.depends });
        }
        index
    }

    /// The closure of these packages, what a path refers to before it.
    pub fn closure(&self, roots: &[String]) -> Result<Closure> {
        let mut walk = Walk { index: self, met: HashMap::new(), paths: Vec::new() };
        for root in roots {
            let (root, _) = self.packages.get_key_value(root).with_context(|| format!("no such package: {root}"))?;
            walk.enter(root);
        }
        Ok(Closure { paths: walk.paths })
    }

    /// These packages and what they depend on.
    pub fn names(&self, roots: &[String]) -> Result<BTreeSet<String>> {
        let closure = self.closure(roots)?;
        Ok(closure.paths.iter().filter_map(|of| self.name_of(&of.path)).collect())
    }

    /// The package of a store path that was made of one.
    pub fn name_of(&self, path: &str) -> Option<String> {
        let full_name = path.rsplit('/').next()?.split_once('-')?.1;
        let mut ends = full_name.match_indices('-').map(|(at, _)| &full_name[..at]);
        ends.rfind(|name| self.packages.contains_key(*name)).map(str::to_owned)
    }

    fn find<'a>(&'a self, clause: &'a [String]) -> Option<&'a str> {
        let known = |name: &&String| self.packages.contains_key(*name);
        let provider = |name: &String| self.providers.get(name);
        clause.iter().find(known).or_else(|| clause.iter().find_map(provider)).map(String::as_str)
    }
}

/// A version as the name of a store path has it: without epoch, and without what follows a `+` or `~`, which tells
/// one build from another.
fn store_version(version: &str) -> &str {
    let version = version.split_once(':').map_or(version, |(_, rest)| rest);
    version.split(['+', '~']).next().unwrap_or(version)
}

/// A search in depth.
struct Walk<'a> {
    index: &'a Index,
    /// For every package that was met its path's position, or none while its dependencies are being looked at.
    met: HashMap<&'a str, Option<usize>>,
    paths: Vec<StorePath>,
}

impl<'a> Walk<'a> {
    /// The position of a package, or none where it closes a cycle.
    fn enter(&mut self, name: &'a str) -> Option<usize> {
        if let Some(position) = self.met.get(name) {
            return *position;
        }
        self.met.insert(name, None);
        let package = &self.index.packages[name];
        let mut references: Vec<usize> = Vec::new();
        for clause in &package.depends {
            references.extend(self.index.find(clause).and_then(|depend| self.enter(depend)));
        }
        references.sort_unstable();
        references.dedup();
        let full_name = format!("{name}-{}", package.version);
        let path = format!("/nix/store/{}-{full_name}", hash_part(&full_name));
        self.met.insert(name, Some(self.paths.len()));
        self.paths.push(StorePath { path, size: package.size, references });
        Some(self.paths.len() - 1)
    }
}

/// The hash part of a store path of this name: the same for the same name (FNV-1a as the seed).
pub fn hash_part(name: &str) -> String {
    let mix = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    Random::new(name.bytes().fold(0xcbf2_9ce4_8422_2325, mix)).hash_part()
}

#[cfg(test)]
mod tests {
    use super::*;

    const INDEX: &str = "Package: app\nVersion: 2:1.5+dfsg-1\nInstalled-Size: 3\nDepends: none | lib:any (>= 1), mta\n\
                         Description: app\n\n\
                         Package: lib\nVersion: 1-2~deb12u1\nInstalled-Size: 5\nDepends: libc, lib\nPre-Depends: absent\n\n\
                         Package: libc\nVersion: 2.36\nInstalled-Size: 7\nDepends: libgcc\n\n\
                         Package: libgcc\nVersion: 12\nDepends: libc\n\n\
                         Package: postfix\nVersion: 3\nInstalled-Size: 9\nProvides: mta (= 3)\nDepends: libc\n\n\
                         Package: libc\nVersion: 2.35\nInstalled-Size: 700\n\n";

    /// Lines of `name size: positions`.
    fn closure(roots: &[&str]) -> Result<Vec<String>> {
        let roots: Vec<String> = roots.iter().map(|&root| root.to_owned()).collect();
        let name = |path: &str| path["/nix/store/".len() + 33..].to_owned();
        let paths = Index::parse(INDEX).closure(&roots)?.paths;
        Ok(paths.iter().map(|of| format!("{} {}: {:?}", name(&of.path), of.size, of.references)).collect())
    }

    #[test]
    fn packages_become_paths() {
        let expected = [
            "libgcc-12 1024: []",
            "libc-2.36 7168: [0]",
            "lib-1-2 5120: [1]",
            "postfix-3 9216: [1]",
            "app-1.5 3072: [2, 3]",
        ];
        assert_eq!(closure(&["app"]).unwrap(), expected);
        assert_eq!(closure(&["libc", "app", "lib"]).unwrap(), expected);
        assert_eq!(closure(&["absent"]).unwrap_err().to_string(), "no such package: absent");
    }

    #[test]
    fn a_path_follows_from_its_name() {
        let path = |index: &str| Index::parse(index).closure(&["lib".to_owned()]).unwrap().paths.pop().unwrap().path;
        assert_eq!(path("Package: lib\nVersion: 1\n"), path("Package: lib\nVersion: 2:1+b1\nInstalled-Size: 8\n"));
        assert_ne!(path("Package: lib\nVersion: 1\n"), path("Package: lib\nVersion: 2\n"));
    }
}
