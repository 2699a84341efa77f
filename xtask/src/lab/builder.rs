//! What Nix runs to build a lab's derivations: this program, with the derivation's attributes as its environment.

mod component;
mod env;
mod link;
mod patch;
mod unpack;

use super::layout::{DEPENDENCIES, join};
use anyhow::{Context, Result};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// The three kinds of derivations.
#[derive(Clone, Copy, clap::ValueEnum)]
pub enum Builder {
    /// Debian packages as one store path
    Component,
    /// The links over them
    Env,
    /// The references graph as Nix hands it to a builder
    Graph,
}

impl Builder {
    /// The name that the command line takes.
    pub fn name(self) -> &'static str {
        match self {
            Builder::Component => "component",
            Builder::Env => "env",
            Builder::Graph => "graph",
        }
    }

    /// Builds what the environment says.
    pub fn run(self) -> Result<()> {
        match self {
            Builder::Component => component::build(&out()?, &words("debs")?, &paths("deps")?),
            Builder::Env => env::build(&out()?, &paths("deps")?),
            Builder::Graph => graph(),
        }
    }
}

/// Structured attributes come as a JSON file (Nix manual, "Advanced Attributes").
fn graph() -> Result<()> {
    let file = variable("NIX_ATTRS_JSON_FILE")?;
    let attributes: Value = serde_json::from_slice(&fs::read(&file).with_context(|| format!("cannot read: {file}"))?)?;
    let out = attributes["outputs"]["out"].as_str().context("no output is named")?;
    let mut text = serde_json::to_string_pretty(&json!({ "graph": attributes["graph"] }))?;
    text.push('\n');
    fs::write(out, text).with_context(|| format!("cannot write: {out}"))
}

fn out() -> Result<PathBuf> {
    variable("out").map(PathBuf::from)
}

fn paths(name: &str) -> Result<Vec<PathBuf>> {
    Ok(words(name)?.into_iter().map(PathBuf::from).collect())
}

fn words(name: &str) -> Result<Vec<String>> {
    Ok(variable(name)?.split_whitespace().map(str::to_owned).collect())
}

fn variable(name: &str) -> Result<String> {
    std::env::var(name).with_context(|| format!("no derivation's environment: {name}"))
}

/// The store paths among which a component's files look for others: itself first, then what it needs, nearest first.
struct Prefixes {
    out: PathBuf,
    needed: Vec<PathBuf>,
    /// Canonical paths of links that the component has or will have.
    own_links: BTreeSet<PathBuf>,
}

impl Prefixes {
    /// Follows what every component says of its own dependencies, breadth first.
    fn new(out: &Path, depends: &[PathBuf], own_links: BTreeSet<PathBuf>) -> Result<Prefixes> {
        let mut needed = depends.to_vec();
        let mut at = 0;
        while let Some(path) = needed.get(at) {
            let file = path.join(DEPENDENCIES);
            if file.exists() {
                let text = fs::read_to_string(&file).with_context(|| format!("cannot read: {}", file.display()))?;
                let new: Vec<PathBuf> = text.split_whitespace().map(PathBuf::from).collect();
                needed.extend(new.into_iter().filter(|path| !needed.contains(path)).collect::<Vec<_>>());
            }
            at += 1;
        }
        Ok(Prefixes { out: out.to_owned(), needed, own_links })
    }

    /// All of them, in order.
    fn all(&self) -> impl Iterator<Item = &Path> {
        std::iter::once(&self.out).chain(&self.needed).map(PathBuf::as_path)
    }

    /// The first one that has this canonical path.
    fn find(&self, canonical: &Path) -> Option<&Path> {
        if self.own_links.contains(canonical) {
            return Some(&self.out);
        }
        self.all().find(|prefix| is_there(&join(prefix, canonical)))
    }
}

/// Whether a name is there, be it a link that leads nowhere.
fn is_there(path: &Path) -> bool {
    path.symlink_metadata().is_ok()
}

/// Gives the owner the right to write.
fn make_writable(path: &Path) -> std::io::Result<()> {
    let mode = path.metadata()?.permissions().mode();
    fs::set_permissions(path, fs::Permissions::from_mode(mode | 0o200))
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::ValueEnum;

    #[test]
    fn names_are_those_of_the_command_line() {
        for builder in Builder::value_variants() {
            assert_eq!(
                builder.to_possible_value().map(|value| value.get_name().to_owned()),
                Some(builder.name().to_owned())
            );
        }
    }

    #[test]
    fn nearest_first() -> Result<()> {
        let dir = tempfile::tempdir()?;
        let [out, a, b, c] = ["out", "a", "b", "c"].map(|name| dir.path().join(name));
        for (path, needs) in [(&out, ""), (&a, "c"), (&b, "c a"), (&c, "")] {
            fs::create_dir_all(path.join("nix-support"))?;
            let needs: String = needs.split_whitespace().map(|n| format!("{}/{n}\n", dir.path().display())).collect();
            fs::write(path.join(DEPENDENCIES), needs)?;
        }
        fs::write(b.join("x"), "")?;
        fs::write(c.join("x"), "")?;
        let prefixes = Prefixes::new(&out, &[a.clone(), b.clone()], BTreeSet::from([PathBuf::from("y")]))?;
        assert_eq!(prefixes.needed, [a, b.clone(), c]);
        assert_eq!(prefixes.find(Path::new("x")), Some(b.as_path()));
        assert_eq!(prefixes.find(Path::new("y")), Some(out.as_path()));
        assert_eq!(prefixes.find(Path::new("z")), None);
        Ok(())
    }
}
