//! `layerstone verify`: who signed an image, and what is stated about it.

use super::check::{finding_text, read_policies};
use crate::args::Common;
use crate::args::key::public_keys;
use crate::args::platform::PlatformArgs;
use crate::args::read::{ReadArgs, parse_name};
use crate::screen::answer::AnswerArgs;
use crate::screen::fit::clean;
use anyhow::{Result, bail};
use clap::Args;
use layerstone_attestation::{Form, PublicKey, Said, parse_predicate_type};
use layerstone_oci::Place;
use layerstone_pipeline::{Error, VerifiedImage, VerifiedProof, not_signed, verify};
use layerstone_store::counted;
use serde_json::{Value, json};
use std::ffi::OsString;
use std::path::PathBuf;

/// Verify who signed an image, with keys that you trust
///
/// Finds Sigstore bundles that refer to the image, and signatures of cosign's older form under its tag, and says which of them a
/// key has signed. No log is asked and no authority. Status 1 if none has signed the image, or with --type no statement of
/// that type. What is signed about an index counts for the images that it lists.
#[derive(Args)]
pub struct Options {
    /// The image: HOST/NAME:TAG or HOST/NAME@sha256:HEX in a registry, or an OCI layout: oci:DIR or FILE[#NAME:TAG]
    #[arg(value_name = "IMAGE")]
    image: OsString,
    /// A public key in PEM, ECDSA P-256 or Ed25519; one of several will do
    #[arg(long, value_name = "FILE", required_unless_present = "policy")]
    key: Vec<PathBuf>,
    /// Compare with the trust part of a policy instead: who must have signed which images, and stated what; may be given more
    /// than once
    #[arg(long, value_name = "FILE", conflicts_with_all = ["key", "predicate"])]
    policy: Vec<PathBuf>,
    /// A type of statement that one of the keys must have signed about the image, as `layerstone sign --type` has it
    #[arg(long = "type", value_name = "TYPE", value_parser = parse_predicate_type)]
    predicate: Option<String>,
    /// Print the predicate of the statement of --type, the first that is signed
    #[arg(long, requires = "predicate", conflicts_with = "json")]
    predicate_only: bool,
    #[command(flatten)]
    platform: PlatformArgs,
    #[command(flatten)]
    read: ReadArgs,
    #[command(flatten)]
    answer: AnswerArgs,
}

pub fn run(options: &Options, common: &Common) -> Result<()> {
    let place = parse_name(&options.image)?;
    if !options.policy.is_empty() {
        return by_policy(options, &place, common);
    }
    let keys = public_keys(&options.key)?;
    let registries = options.read.registries(common);
    let opener = options.read.opener(&registries, common);
    let verified = verify(&place, &options.platform.wanted(), &keys, &opener)?;
    let is_meant = |it: &&VerifiedProof| it.said.predicate_type() == options.predicate.as_deref();
    let meant: Vec<&VerifiedProof> = verified.proofs.iter().filter(is_meant).collect();
    for doubt in verified.doubts.iter().filter(|it| !it.is_of_other_key && !meant.is_empty()) {
        common.report().notice(&format!("{} is {}", doubt.manifest, clean(&doubt.cause)));
    }
    if options.predicate_only
        && let Some(Said::Statement(statement)) = meant.first().map(|it| &it.said)
    {
        return crate::screen::out::print(serde_json::to_string_pretty(&statement.predicate)? + "\n");
    }
    let text = || if common.quiet { String::new() } else { verified.proofs.iter().map(|it| line(it, &keys)).collect() };
    if !meant.is_empty() || options.answer.is_json() {
        options.answer.print("verified", || value(&verified, &keys, !meant.is_empty()), text)?;
    }
    if meant.is_empty() {
        return Err(refused(&place, &verified, options.predicate.as_deref()));
    }
    Ok(())
}

/// Compares the image with policies.
fn by_policy(options: &Options, place: &Place, common: &Common) -> Result<()> {
    let (_, trust) = read_policies(&options.policy)?;
    if trust.is_empty() {
        let names: Vec<String> = options.policy.iter().map(|path| path.display().to_string()).collect();
        let message = format!("no trust in the policy: {}: expected trust.images", names.join(", "));
        let hint =
            "{\"trust\": {\"keys\": {\"release\": \"release.pub\"}, \"images\": [{\"signedBy\": [\"release\"]}]}}";
        return Err(Error::advised(message, hint).into());
    }
    let registries = options.read.registries(common);
    let opener = options.read.opener(&registries, common);
    let (subject, findings) = trust.check(place, &options.platform.wanted(), &opener)?;
    let value = || json!({"subject": subject, "verified": findings.is_empty(), "findings": findings});
    let text = || match findings.is_empty() {
        _ if common.quiet => String::new(),
        true => format!("{}  trusted by the policy\n", subject.digest),
        false => format!("{}\n{}", subject.digest, findings.iter().map(finding_text).collect::<String>()),
    };
    options.answer.print("verified", value, text)?;
    match findings.len() as u64 {
        0 => Ok(()),
        count => bail!("not trusted by the policy: found {}: {place}", counted(count, "fault")),
    }
}

fn refused(place: &Place, verified: &VerifiedImage, predicate: Option<&str>) -> anyhow::Error {
    let Some(predicate) = predicate else { return not_signed(place, verified).into() };
    let why = verified.why_not();
    let message = format!("no signed statement of the type {predicate}: {place}: {why}");
    let hint = "`layerstone sign IMAGE --key FILE --attest FILE --type TYPE` signs one";
    Error::advised(message, hint).into()
}

/// What is signed, by whom, and where the signature is.
fn line(proof: &VerifiedProof, keys: &[PublicKey]) -> String {
    let said = proof.said.predicate_type().unwrap_or("signature");
    let names: Vec<&str> = proof.keys.iter().map(|key| &*keys[*key].name).collect();
    format!("{}  {}  {}  {}\n", proof.about, clean(said), clean(&names.join(", ")), word(proof.form))
}

fn word(form: Form) -> &'static str {
    match form {
        Form::Bundle => "bundle",
        Form::Simple | Form::Envelope => "tag",
    }
}

fn value(verified: &VerifiedImage, keys: &[PublicKey], is_verified: bool) -> Value {
    let proof = |it: &VerifiedProof| {
        let names: Vec<&str> = it.keys.iter().map(|key| &*keys[*key].name).collect();
        let mut value = json!({"manifest": it.manifest, "about": it.about, "keys": names, "form": word(it.form)});
        if let Said::Statement(statement) = &it.said {
            value["predicateType"] = json!(statement.predicate_type);
            value["predicate"] = statement.predicate.clone();
        }
        value
    };
    let proofs: Vec<Value> = verified.proofs.iter().map(proof).collect();
    json!({
        "subject": verified.subject, "index": verified.index, "verified": is_verified, "signatures": proofs,
        "doubts": verified.doubts,
    })
}
