//! Whether a closure file holds each path once, with all that it refers to and all that the spec names.

use super::Options;
use anyhow::{Result, bail};
use layerstone_closure::Closure;
use layerstone_spec::{RootMode, Spec};
use layerstone_store::StorePath;
use std::collections::BTreeSet;
use std::path::Path;

impl Options {
    pub fn closure(&self, output: &Path) -> Result<()> {
        let closure = Closure::read(output)?;
        let paths: BTreeSet<&StorePath> = closure.graph.iter().map(|info| &info.path).collect();
        let mut wanted: Vec<StorePath> = self.path.clone();
        if let Some(spec) = self.spec.as_deref().map(Spec::read).transpose()?
            && spec.include_store_paths
            && spec.root_mode == RootMode::Links
        {
            let store = self.store.store()?;
            for path in &spec.contents {
                wanted.push(store.resolve(path)?);
            }
        }
        let references = closure.graph.iter().flat_map(|info| &info.references);
        match wanted.iter().chain(references).find(|path| !paths.contains(path)) {
            Some(path) => bail!("wrong closure: {}: found no {path}, expected it there", output.display()),
            None if paths.len() < closure.graph.len() => {
                bail!("wrong closure: {}: found a path twice, expected each once", output.display())
            }
            None => Ok(()),
        }
    }
}
