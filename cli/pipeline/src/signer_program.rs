//! Has a program sign an image: it is given the descriptor of the manifest on stdin, and prints what is attached. No key comes
//! near us.
//!
//! The protocol is that of rules_img (docs/image-signing.md): the first word is `sign-oci-artifact`, stdout is the tar of an
//! OCI layout whose manifests have the descriptor as their subject, and status 0 means success. What begins with `{` is taken
//! for a bundle of Sigstore, so that a script of few lines around a program that writes one will do.

use crate::attach::{subject, target_of};
use crate::blob_source::{BlobSource, Found};
use crate::engine::start;
use crate::error::Context;
use crate::oci_destination::OciDestination;
use crate::report::titles;
use crate::sign::{attach_bundle, bundle_annotations};
use crate::{CompressionChoice, Error, ImageTarget, Opener, Result};
use layerstone_attestation::{Bundle, BundleContent, IN_TOTO_PAYLOAD, ReadBundle};
use layerstone_image::ImageFile;
use layerstone_layer::Progress;
use layerstone_oci::{Descriptor, Place, Wanted, put_layers};
use layerstone_store::{Digest, Scratch};
use serde_json::Value;
use std::env::temp_dir;
use std::ffi::OsString;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{ChildStdin, Command, Stdio};
use std::{fs, thread};

/// The first word that a program is given.
const VERB: &str = "sign-oci-artifact";
/// Variable of its environment: what is signed, `HOST/NAME@sha256:HEX` or the place of a layout.
const IMAGE: &str = "LAYERSTONE_IMAGE";
/// Bytes that it may print, as rules_img has it: signatures have some kilobytes.
const MOST: u64 = 64 << 20;

/// A program that signs.
#[derive(Clone, Debug)]
pub struct SignerProgram {
    /// Its name in PATH, or where it is.
    pub program: PathBuf,
    /// Words that it is given besides.
    pub args: Vec<OsString>,
}

/// Has a program sign what a name leads to, or the image in it for a platform that is named, and attaches what it returns:
/// the image, and the digests of what was attached.
///
/// # Errors
///
/// The image is not there, or keeps no referrers where it is; the program cannot be run, fails, or returns what refers to
/// something else or is no signature; the place refuses.
pub fn sign_with(
    place: &Place,
    wanted: &Wanted,
    signer: &SignerProgram,
    opener: &Opener<'_>,
) -> Result<(Descriptor, Vec<Digest>)> {
    let target = target_of(place)?;
    let subject = subject(place, wanted, opener)?;
    let name = match place {
        Place::Registry(reference) => format!("{}@{}", reference.name(), subject.digest),
        other => other.to_string(),
    };
    let printed = signer.run(&subject, &name)?;
    let digests = if printed.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'{') {
        vec![put_bundle(&target, &subject, printed, signer, opener)?]
    } else {
        put_layout(&target, &subject, &printed, signer, opener)?
    };
    Ok((subject, digests))
}

impl SignerProgram {
    fn name(&self) -> String {
        self.program.display().to_string()
    }

    /// Runs it: what it prints. What it says on stderr is for the user, as it may ask for a finger on a key.
    fn run(&self, subject: &Descriptor, image: &str) -> Result<Vec<u8>> {
        let doing = || format!("cannot run: {} {VERB}", self.name());
        let mut command = Command::new(&self.program);
        command.arg(VERB).args(&self.args).env(IMAGE, image);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::inherit());
        let (mut child, _leftover) = start(&mut command).with_context(doing)?;
        let (stdin, stdout) = (child.stdin.take().expect("it is piped"), child.stdout.take().expect("it is piped"));
        let descriptor = serde_json::to_vec(subject)?;
        let given = thread::Builder::new().spawn(move || give(stdin, &descriptor)).with_context(doing)?;
        let mut printed = Vec::new();
        let read = stdout.take(MOST + 1).read_to_end(&mut printed);
        let is_much = printed.len() as u64 > MOST;
        if is_much || read.is_err() {
            // It has ended if it cannot be ended.
            let _ = child.kill();
        }
        let status = child.wait().with_context(doing)?;
        // A program that needs no descriptor may have closed its stdin.
        let _ = given.join();
        read.with_context(|| format!("cannot read what {} prints", self.name()))?;
        match (is_much, status.success()) {
            (true, _) => bail!("signer failed: {}: printed more than {MOST} bytes", self.name()),
            (_, false) => bail!("signer failed: {}: found {status}", self.name()),
            _ if printed.is_empty() => {
                let message =
                    format!("signer failed: {}: printed nothing, expected the tar of an OCI layout", self.name());
                Err(Error::advised(message, "what it prints is attached to the image; docs/signing.md shows programs"))
            }
            _ => Ok(printed),
        }
    }

    fn wrong(&self, cause: impl std::fmt::Display) -> Error {
        let message = format!("not a signature: what {} printed: {cause}", self.name());
        Error::advised(
            message,
            "expected is the tar of an OCI layout, or a Sigstore bundle; docs/signing.md shows programs",
        )
    }
}

fn give(mut stdin: ChildStdin, descriptor: &[u8]) -> io::Result<()> {
    stdin.write_all(descriptor)
}

/// Attaches a bundle that a program printed.
fn put_bundle(
    target: &ImageTarget,
    subject: &Descriptor,
    bytes: Vec<u8>,
    signer: &SignerProgram,
    opener: &Opener<'_>,
) -> Result<Digest> {
    let bytes = bytes.trim_ascii().to_vec();
    let read = Bundle::parse(&bytes, "stdout", &opener.limits).map_err(|error| signer.wrong(error))?;
    let content = match &read {
        ReadBundle::Keyed(Bundle { content: BundleContent::Message { .. }, .. }) => "message-signature",
        _ => "dsse-envelope",
    };
    let annotations = bundle_annotations(content, predicate_of(&bytes).as_deref());
    Ok(attach_bundle(target, subject, bytes, annotations, opener)?.digest)
}

/// The type of the predicate of the statement in a bundle, if it has one: for lists, as nobody believes it without the key.
fn predicate_of(bundle: &[u8]) -> Option<String> {
    let ReadBundle::Keyed(Bundle { content: BundleContent::Envelope(envelope), .. }) =
        Bundle::parse(bundle, "stdout", &layerstone_store::Limits::default()).ok()?
    else {
        return None;
    };
    let payload = envelope.payload().filter(|_| envelope.payload_type == IN_TOTO_PAYLOAD)?;
    let statement: Value = serde_json::from_slice(&payload).ok()?;
    Some(statement["predicateType"].as_str()?.to_owned())
}

/// Attaches what the tar of a layout lists, each manifest with all that it describes, once all of it is looked at.
fn put_layout(
    target: &ImageTarget,
    subject: &Descriptor,
    tar: &[u8],
    signer: &SignerProgram,
    opener: &Opener<'_>,
) -> Result<Vec<Digest>> {
    let scratch = Scratch::create(&temp_dir())?;
    let path = scratch.path().join("signature.tar");
    fs::write(&path, tar).with_context(|| format!("cannot write: {}", path.display()))?;
    // Nobody knows the name of a temporary file.
    let wrong =
        |error: layerstone_image::Error| signer.wrong(error.to_string().replace(&path.display().to_string(), "stdout"));
    let file = ImageFile::open_artifacts(&path, Path::new("stdout"), opener.limits).map_err(wrong)?;
    let source = BlobSource::File(&file);
    let artifacts = file.artifacts();
    if artifacts.is_empty() {
        return Err(signer.wrong("found a layout without an artifact"));
    }
    if let Some(other) = artifacts.iter().find(|it| it.subject != Some(subject.digest)) {
        let found = other.subject.map_or("no subject".to_owned(), |found| format!("the subject {found}"));
        return Err(signer.wrong(format!("{}: found {found}, expected {}", other.digest, subject.digest)));
    }
    let to = OciDestination::open(target, CompressionChoice::default(), opener.registries, &[])?;
    let store = to.store();
    let mut digests = Vec::new();
    for artifact in artifacts {
        let bytes = file.manifest(&artifact.digest)?;
        let mut found = Found::new(opener.limits);
        source.collect(&artifact.entry, &bytes, &mut found, 0).map_err(|error| signer.wrong(error))?;
        let put = |meter: &Progress| put_layers(&found.layers, None, store, opener.registries.uploads, meter);
        opener.report.during(store.verb(), None, titles(&found.layers), put)?;
        for (descriptor, bytes) in &found.manifests {
            store.put_manifest(descriptor, bytes)?;
        }
        store.put_referrer(&artifact.entry, &bytes)?;
        digests.push(artifact.digest);
    }
    store.finish_referrers()?;
    Ok(digests)
}
