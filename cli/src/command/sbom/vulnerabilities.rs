//! Shows which packages of a bill are vulnerable, in which layer they are, and what brings them in.

use crate::args::Common;
use crate::screen::answer::print_answer;
use crate::screen::fit::clean;
use crate::screen::out::print;
use crate::screen::table::counted;
use anyhow::{Result, bail};
use layerstone_closure::{Closure, chains};
use layerstone_sbom::{Advisories, Bill, Component, Finding};
use layerstone_store::{StorePath, read_input};
use serde_json::{Value, json};
use std::path::PathBuf;

/// A finding, and how its path comes in: the shortest chain of references, from a path that nothing refers to.
struct Found<'a> {
    finding: Finding,
    component: Option<&'a Component>,
    chain: Vec<&'a StorePath>,
}

/// Shows them.
///
/// # Errors
///
/// A file cannot be read; or there are any, which is all that the error says.
pub fn show(bill: &Bill, files: &[PathBuf], json: bool, common: &Common) -> Result<()> {
    let mut advisories = Advisories::default();
    for path in files {
        advisories.merge(Advisories::parse(&read_input(path)?, &path.display().to_string())?);
    }
    let closure = bill.closure();
    let found: Vec<Found<'_>> =
        advisories.find(bill).into_iter().map(|finding| Found::of(finding, bill, &closure)).collect::<Result<_>>()?;
    if json {
        print_answer("sbom-vulnerabilities", &json!({"findings": found.iter().map(Found::json).collect::<Vec<_>>()}))?;
    } else {
        let texts: Vec<String> = found.iter().map(|found| found.text(common)).collect();
        print(texts.join("\n"))?;
    }
    match found.len() {
        0 if json => Ok(()),
        0 => print("no package is vulnerable by these advisories\n".to_owned()),
        count => bail!("vulnerable: {}: {}", bill.subject.name, counted(count, "package")),
    }
}

impl<'a> Found<'a> {
    fn of(finding: Finding, bill: &'a Bill, closure: &'a Closure) -> Result<Found<'a>> {
        let Some(path) = &finding.path else { return Ok(Found { finding, component: None, chain: Vec::new() }) };
        let component = bill.components.iter().find(|component| component.path() == path);
        let chain = chains(closure, &[], path)?.take(1).collect::<Vec<_>>().pop().unwrap_or_default();
        Ok(Found { finding, component, chain })
    }

    fn layer(&self) -> Option<usize> {
        self.component.and_then(|component| component.layer).map(|layer| layer.number)
    }

    fn text(&self, common: &Common) -> String {
        let (finding, paint) = (&self.finding, common.color.of_stdout());
        let mut text = format!("{}  {}", paint.gone(clean(&finding.id)), paint.bold(clean(&finding.name)));
        if !finding.version.is_empty() {
            text += &format!(" {}", clean(&finding.version));
        }
        text += &self.layer().map(|layer| format!(", in layer {layer}")).unwrap_or_default();
        if self.finding.path.is_none() {
            text += ", of the base";
        }
        if !finding.fixed.is_empty() {
            text += &format!(", fixed in {}", clean(&finding.fixed.join(", ")));
        }
        text.push('\n');
        if !finding.summary.is_empty() {
            text += &format!("  {}\n", clean(&finding.summary));
        }
        for (depth, path) in self.chain.iter().enumerate() {
            let branch = if depth == 0 { String::new() } else { " ".repeat(3 * (depth - 1)) + "└─ " };
            text += &format!("  {}{}\n", paint.dim(branch), clean(path.name()));
        }
        text
    }

    fn json(&self) -> Value {
        let finding = &self.finding;
        json!({
            "id": finding.id, "name": finding.name, "version": finding.version, "path": finding.path,
            "layer": self.layer(), "fixed": finding.fixed, "summary": finding.summary, "chain": self.chain,
        })
    }
}
