//! Whether a plan holds each path of a closure once.

use super::Options;
use crate::args::Common;
use crate::args::base::StageBaseArgs;
use anyhow::{Result, bail};
use layerstone_closure::Closure;
use layerstone_layering::{Draft, Finding, check};
use layerstone_spec::Spec;
use std::path::Path;

impl Options {
    pub fn plan(&self, output: &Path, common: &Common) -> Result<()> {
        let draft = Draft::read(output)?;
        let mut faults = draft.findings(None);
        if let (true, Some(closure)) = (faults.is_empty(), &self.closure) {
            let closure = Closure::read(closure)?;
            let spec = self.spec.as_deref().map(Spec::read).transpose()?;
            let base = StageBaseArgs::default().open(spec.as_ref(), common)?;
            let dir = closure.graph.first().map_or("/nix/store", |info| info.path.store_dir());
            let of_base =
                base.map(|base| base.store_contents(dir)).transpose()?.map(|of_base| of_base.paths).unwrap_or_default();
            // Paths of the base may be left out, and need not be.
            let paths = closure.graph.iter().map(|info| &info.path).filter(|path| of_base.contains_key(*path));
            faults = check(&draft, &closure, &paths.cloned().collect(), None)?;
            faults.retain(|fault| !matches!(fault, Finding::Excluded { .. }));
        }
        match &faults[..] {
            [] => Ok(()),
            [fault] => bail!("wrong plan: {}: {fault}", output.display()),
            [fault, rest @ ..] => bail!("wrong plan: {}: {fault}, and {} more faults", output.display(), rest.len()),
        }
    }
}
