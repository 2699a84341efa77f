//! `closure --why`: the chains of references that bring a path in.

use crate::closure_source::matching;
use crate::screen::fit::clean;
use anyhow::{Context, Result, bail};
use layerstone_closure::{Chains, Closure, chains};
use layerstone_store::{Store, StorePath};
use serde_json::json;
use std::io::{BufWriter, Write, stdout};
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// How many chains are shown.
#[derive(Clone, Copy)]
pub struct Limit(usize);

impl Limit {
    /// The number.
    pub fn number(self) -> usize {
        self.0
    }
}

impl FromStr for Limit {
    type Err = String;

    fn from_str(text: &str) -> Result<Limit, String> {
        match text {
            "all" => Ok(Limit(usize::MAX)),
            _ => text.parse().map(Limit).map_err(|_| "expected a number or all".to_owned()),
        }
    }
}

/// Prints the chains; none is an error.
pub fn run(path: &Path, file: &Path, roots: &[PathBuf], limit: Limit, as_json: bool, store: &Store) -> Result<()> {
    let closure = Closure::read(file)?;
    let find = |path: &Path| find(path, file, &closure, store);
    let path = &find(path)?;
    let roots = &roots.iter().map(|root| find(root)).collect::<Result<Vec<_>>>()?[..];
    let chains = chains(&closure, roots, path).with_context(|| file.display().to_string())?;
    if chains.total() == 0 {
        let roots: Vec<&str> = roots.iter().map(StorePath::as_str).collect();
        bail!("no chain of references: {}: {path} is not needed by {}", file.display(), roots.join(", "));
    }
    let mut out = BufWriter::new(stdout().lock());
    let written =
        if as_json { write_json(&mut out, path, chains, limit) } else { write_text(&mut out, path, chains, limit) };
    written.and_then(|()| out.flush()).context("cannot write: standard output")
}

/// The store path that a word means: a path or what leads to one, or else the only one of the closure with that name.
fn find(word: &Path, file: &Path, closure: &Closure, store: &Store) -> Result<StorePath> {
    if word.as_os_str().as_encoded_bytes().contains(&b'/') || word.exists() {
        return Ok(store.resolve(word)?);
    }
    match &matching(closure, &file.display().to_string(), word.as_os_str())?[..] {
        [path] => Ok((*path).clone()),
        several => {
            let names: Vec<&str> = several.iter().map(|path| path.as_str()).collect();
            bail!("several paths are called {}: found {}, expected one", word.display(), names.join(", "))
        }
    }
}

/// Each chain as a block of lines, each path below the one that refers to it.
fn write_text(out: &mut impl Write, path: &StorePath, chains: Chains, limit: Limit) -> std::io::Result<()> {
    let total = chains.total();
    let count = if total == u64::MAX { format!("{total} or more") } else { total.to_string() };
    let plural = if total == 1 { " of references leads" } else { "s of references lead" };
    write!(out, "{count} chain{plural} to {}", clean(path.as_str()))?;
    if total > limit.0 as u64 {
        write!(out, ", the shortest {}", limit.0)?;
    }
    writeln!(out)?;
    for chain in chains.take(limit.0) {
        writeln!(out)?;
        for (depth, path) in chain.iter().enumerate() {
            writeln!(out, "{:1$}{2}", "", 2 * depth, clean(path.as_str()))?;
        }
    }
    Ok(())
}

/// The chains one a line, written as they are found: there may be more than memory holds.
fn write_json(out: &mut impl Write, path: &StorePath, chains: Chains, limit: Limit) -> std::io::Result<()> {
    // Chains may be many: each is written when it is found.
    write!(out, "{{\n  \"format\": \"layerstone/closure-why\",\n  \"version\": 1,\n  \"chains\": [")?;
    let total = chains.total();
    for (index, chain) in chains.take(limit.0).enumerate() {
        write!(out, "{}\n    {}", if index == 0 { "" } else { "," }, json!(chain))?;
    }
    writeln!(out, "\n  ],\n  \"path\": {},\n  \"total\": {total}\n}}", json!(path))
}
