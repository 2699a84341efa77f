//! The plan that rules are written for, if it has been made already.

use super::rules_args::RulesArgs;
use crate::args::Common;
use anyhow::{Context, Result, anyhow, bail};
use layerstone_layering::Plan;
use layerstone_pipeline::build_graph::plan_in;
use layerstone_spec::{ImageKind, Spec};
use layerstone_store::{Error, write_whole};
use std::fs;
use std::io::ErrorKind;

/// The file that exists while rules plan anew. If the new plan is of another version too, they would never end.
const ANEW: &str = "planned-anew";

impl RulesArgs {
    /// The plan, if there is one. One of another version is removed, so that it is made again.
    pub fn plan(&self, spec: &Spec, common: &Common) -> Result<Option<Plan>> {
        if spec.kind == ImageKind::Single {
            return Ok(None);
        }
        let replaced = self.stage.iter().find(|(stage, _)| stage == "layers");
        let command = replaced.map_or("layerstone layers".into(), |(_, command)| command.to_string_lossy());
        let (path, anew) = (plan_in(&self.directory), self.directory.join(ANEW));
        let file = path.display();
        let metadata = match path.metadata() {
            Err(error) if error.kind() == ErrorKind::NotFound && self.planned => {
                bail!("no plan: {file}: expected the one of the stage layers ({command})")
            }
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            metadata => metadata.with_context(|| format!("cannot read: {file}"))?,
        };
        if !metadata.is_file() {
            bail!("wrong plan of the stage layers ({command}): {file}: found no regular file");
        }
        match Plan::read(&path) {
            Ok(plan) => {
                // Most often it does not exist.
                let _ = fs::remove_file(&anew);
                Ok(Some(plan))
            }
            Err(error) if is_of_another_version(&error) && !(self.planned && anew.exists()) => {
                common.warn(format_args!("planning anew: {error}"));
                if self.planned {
                    write_whole(&anew, b"")?;
                }
                fs::remove_file(&path).with_context(|| format!("cannot remove: {file}"))?;
                Ok(None)
            }
            Err(error) => Err(anyhow!(error).context(format!(
                "wrong plan of the stage layers ({command}), to be made again once {file} is removed"
            ))),
        }
    }
}

/// Whether a file is a plan, but not of this version.
fn is_of_another_version(error: &Error) -> bool {
    let kind = |text: &str| text.split_once(" version ").map(|(format, _)| format.to_owned());
    matches!(error, Error::WrongFormat { found, expected, .. } if kind(found) == kind(expected))
}
