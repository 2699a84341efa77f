//! `layerstone check`: what keeps an image from being read or from running.

use crate::args::Common;
use crate::args::bill::BillArgs;
use crate::args::transfer::TransferArgs;
use crate::screen::answer::AnswerArgs;
use crate::screen::fit::clean;
use crate::screen::out::print;
use crate::screen::table::counted;
use anyhow::{Result, bail, ensure};
use clap::Args;
use layerstone_pipeline::{CheckedImage, ImageSource, PolicyCheck, TrustCheck};
use layerstone_policy::{Finding, Policy, sarif};
use layerstone_store::{Store, read_input};
use serde_json::json;
use std::ffi::OsString;
use std::path::PathBuf;

/// Check what keeps an image from being read or from running
///
/// Of an image.json all is done that a build does, but nothing is written. Of an image every layer is read and compared
/// with its diff ID. Then the config is checked: keys and types, a command that no layer holds, an interpreter or a library
/// that is missing, programs of another architecture, users that no passwd has. Status 1 if something is found.
#[derive(Args)]
pub struct Options {
    /// The image: an image.json, a file or directory of images, registry:REF, docker:NAME or podman:NAME
    #[arg(value_name = "IMAGE")]
    image: OsString,
    /// Compare the image with a policy (layerstone/policy): sizes, packages, files, config, licences, signatures, whom to trust;
    /// may be given more than once
    #[arg(long, value_name = "FILE")]
    policy: Vec<PathBuf>,
    /// Print what --policy finds as SARIF 2.1.0, which code hosts show
    #[arg(long, requires = "policy", conflicts_with = "json")]
    sarif: bool,
    #[command(flatten)]
    bill: BillArgs,
    #[command(flatten)]
    answer: AnswerArgs,
    #[command(flatten)]
    transfer: TransferArgs,
}

pub fn run(options: &Options, common: &Common) -> Result<()> {
    let transfer = &options.transfer;
    let (store, registries) = (transfer.store.store()?, transfer.registries(common));
    let copier = transfer.copier(&store, &registries, common)?;
    let source = ImageSource::parse(&options.image)?;
    transfer.check_sources([&source])?;
    let policy = options.policy_check(&store)?;
    let images = copier.check(&source, policy.as_ref())?;
    if options.sarif {
        let findings = images.iter().flat_map(|image| image.findings.iter().map(|finding| (&*image.name, finding)));
        print(serde_json::to_string_pretty(&sarif(findings, env!("CARGO_PKG_VERSION")))? + "\n")?;
    } else {
        let text = || if common.quiet { String::new() } else { images.iter().map(text).collect() };
        options.answer.print("check", || json!({"images": images.iter().map(value).collect::<Vec<_>>()}), text)?;
    }
    match images.iter().map(|image| image.faults.len() + image.findings.len()).sum() {
        0 => Ok(()),
        count => bail!("not as it should be: found {}: {}", counted(count, "fault"), options.image.display()),
    }
}

impl Options {
    /// The policies of --policy; none without any.
    fn policy_check(&self, store: &Store) -> Result<Option<PolicyCheck>> {
        if self.policy.is_empty() {
            ensure!(self.bill.files().next().is_none(), "--graph, --db, --meta: expected --policy, which they are for");
            return Ok(None);
        }
        let (policies, trust) = read_policies(&self.policy)?;
        Ok(Some(PolicyCheck {
            policies,
            trust,
            graph: self.bill.graph()?,
            database: self.bill.database(store)?,
            meta: self.bill.meta()?,
            store_dir: store.dir().to_owned(),
        }))
    }
}

/// Policies, and whom they trust.
pub fn read_policies(paths: &[PathBuf]) -> Result<(Vec<Policy>, TrustCheck)> {
    let read = |path: &PathBuf| Ok(Policy::parse(&read_input(path)?, &path.display().to_string())?);
    let policies: Vec<Policy> = paths.iter().map(read).collect::<Result<_>>()?;
    let trust = TrustCheck::read(paths.iter().map(PathBuf::as_path).zip(&policies))?;
    Ok((policies, trust))
}

fn value(CheckedImage { name, platform, layers, faults, findings }: &CheckedImage) -> serde_json::Value {
    json!({"name": name, "platform": platform, "layers": layers, "faults": faults, "findings": findings})
}

fn text(CheckedImage { name, platform, layers, faults, findings }: &CheckedImage) -> String {
    let platform = platform.as_ref().map(|platform| format!(" ({platform})")).unwrap_or_default();
    let layers = counted(*layers, "layer");
    let faults: Vec<String> = faults.iter().map(|fault| format!("  {}\n", clean(fault))).collect();
    let policy: Vec<String> = findings.iter().map(finding_text).collect();
    let outcome = if faults.is_empty() && policy.is_empty() { "no fault found" } else { "found" };
    format!("{}{platform}: {layers}, {outcome}\n{}{}", clean(name), faults.concat(), policy.concat())
}

/// What is wrong, which chain of references brings it in, and what to do.
pub fn finding_text(finding: &Finding) -> String {
    let layer = finding.layer.map(|layer| format!(", in layer {layer}")).unwrap_or_default();
    let mut text = format!("  {}: {}{layer}\n", finding.rule, clean(&finding.message));
    if finding.chain.len() > 1 {
        text += &format!("    by {}\n", clean(&finding.chain.join(" -> ")));
    }
    text + &format!("    {}\n", clean(&finding.hint))
}
