//! `layerstone sign`: an image, or a statement about it, with a key or by a program.

use crate::args::Common;
use crate::args::key::PasswordArgs;
use crate::args::platform::PlatformArgs;
use crate::args::read::{ReadArgs, parse_name};
use crate::args::time::parse_time;
use crate::overwrite::Files;
use crate::screen::answer::AnswerArgs;
use anyhow::Result;
use clap::{Args, ValueEnum};
use layerstone_attestation::{Form, parse_predicate_type};
use layerstone_oci::{Descriptor, Time};
use layerstone_pipeline::{SignerProgram, Signing, sign, sign_with};
use layerstone_store::Digest;
use serde_json::json;
use std::env::var_os;
use std::ffi::OsString;
use std::path::PathBuf;

/// Sign an image, or a statement about it, and attach the signature
///
/// The signature lies beside the image as a Sigstore bundle, as `cosign sign` of cosign 3 has it, and is found by the image's digest.
/// Nothing goes to a log, and no authority is asked. An image for several platforms is its index, unless --platform picks one of it.
/// What the key has signed already is not signed again.
#[derive(Args)]
pub struct Options {
    /// The image: HOST/NAME:TAG or HOST/NAME@sha256:HEX in a registry, or the directory of an OCI layout
    #[arg(value_name = "IMAGE")]
    image: OsString,
    /// The private key, in PEM: ECDSA P-256 or Ed25519, as PKCS #8 or encrypted as `cosign generate-key-pair` writes it
    #[arg(long, value_name = "FILE", required_unless_present = "with")]
    key: Option<PathBuf>,
    #[command(flatten)]
    password: PasswordArgs,
    /// Have a program sign, so that no key is read here: it gets the descriptor of the image on stdin and prints the tar of an
    /// OCI layout, or a bundle; WORDs behind -- are given to it
    #[arg(long, value_name = "PROGRAM", conflicts_with_all = ["key", "attest", "form", "created"])]
    with: Option<PathBuf>,
    /// Sign this instead, as said of the image: a statement of in-toto, or with --type what becomes the predicate of one
    #[arg(long, value_name = "FILE")]
    attest: Option<PathBuf>,
    /// What the file of --attest is: spdx, cyclonedx, provenance, vex, another word of `cosign attest --type`, or the address
    /// of a type of predicate
    #[arg(long = "type", value_name = "TYPE", requires = "attest", value_parser = parse_predicate_type)]
    predicate: Option<String>,
    /// How the signature lies beside the image: a bundle that refers to it, for cosign 3; under a tag, for cosign 2, skopeo and
    /// podman; or both
    #[arg(long, value_name = "FORM", value_enum, default_value_t = FormChoice::Bundle)]
    form: FormChoice,
    /// When it was signed [default: $SOURCE_DATE_EPOCH, or not said]
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    created: Option<Time>,
    /// Words for the program of --with
    #[arg(last = true, value_name = "WORD", requires = "with")]
    words: Vec<OsString>,
    #[command(flatten)]
    platform: PlatformArgs,
    #[command(flatten)]
    read: ReadArgs,
    #[command(flatten)]
    answer: AnswerArgs,
}

/// How signatures lie beside an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum FormChoice {
    Bundle,
    Tag,
    Both,
}

impl FormChoice {
    fn forms(self) -> &'static [Form] {
        match self {
            FormChoice::Bundle => &[Form::Bundle],
            FormChoice::Tag => &[Form::Simple],
            FormChoice::Both => &[Form::Bundle, Form::Simple],
        }
    }
}

pub fn run(options: &Options, common: &Common) -> Result<()> {
    Files::default().reads(options.files()).check()?;
    let place = parse_name(&options.image)?;
    let registries = options.read.registries(common);
    let opener = options.read.opener(&registries, common);
    let wanted = options.platform.wanted();
    if let Some(program) = &options.with {
        let signer = SignerProgram { program: program.clone(), args: options.words.clone() };
        let (subject, manifests) = sign_with(&place, &wanted, &signer, &opener)?;
        return options.print(&subject, &manifests);
    }
    let path = options.key.as_deref().expect("one of both is required");
    let key = options.password.private_key(path)?;
    let created = options.created.or(var_os("SOURCE_DATE_EPOCH").map(|_| Time::Now));
    let (mut manifests, mut subject) = (Vec::new(), None);
    for form in options.form.forms() {
        let attest = options.attest.as_ref().map(|path| (path.clone(), options.predicate.clone()));
        let signing = Signing { key: &key, form: *form, attest, created };
        let signature = sign(&place, &wanted, &signing, &opener)?;
        if signature.was_there {
            common.report().notice(&format!("signed by this key already: {}", signature.subject.digest));
        }
        manifests.push(signature.manifest);
        subject = Some(signature.subject);
    }
    options.print(&subject.expect("there is a form"), &manifests)
}

impl Options {
    fn files(&self) -> impl Iterator<Item = &PathBuf> {
        self.key.iter().chain(&self.attest).chain(self.password.files()).chain(self.read.files())
    }

    fn print(&self, subject: &Descriptor, manifests: &[Digest]) -> Result<()> {
        let value = || json!({"subject": subject, "signatures": manifests});
        self.answer.print("signed", value, || manifests.iter().map(|it| format!("{it}\n")).collect())
    }
}
