//! The plan that rules are written for, if it has been made already.

use super::rules_args::RulesArgs;
use crate::args::Common;
use anyhow::{Context, Result, anyhow, bail};
use layerstone_layering::Plan;
use layerstone_pipeline::build_graph::plan_in;
use layerstone_spec::{ImageKind, Spec};
use layerstone_store::{Error, open_regular, write_whole};
use std::fs;
use std::io::{ErrorKind, Read};

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
        let mut opened = match open_regular(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound && self.planned => {
                bail!("no plan: {file}: expected the one of the stage layers ({command})")
            }
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) if error.kind() == ErrorKind::InvalidInput => {
                bail!("wrong plan of the stage layers ({command}): {file}: found no regular file")
            }
            opened => opened.with_context(|| format!("cannot read: {file}"))?,
        };
        let mut bytes = Vec::new();
        opened.read_to_end(&mut bytes).with_context(|| format!("cannot read: {file}"))?;
        match Plan::parse(&bytes, &file.to_string()) {
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
