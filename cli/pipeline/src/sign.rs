//! Signs images, and statements about them, with a key: a bundle that refers to the image, as cosign 3 has it, or a signature
//! under a tag, as cosign 2, skopeo and podman look for it.

use crate::attach::{AttachedFile, put_artifact, subject, target_of};
use crate::attest::check_subject;
use crate::blob_source::BlobSource;
use crate::cosign_tag::{TagLayer, put_tagged};
use crate::error::Context;
use crate::evidence::{ENVELOPE, find_evidence};
use crate::find_manifest;
use crate::shared_change::turn;
use crate::{Error, ImageTarget, Opener, Result};
use layerstone_attestation::{
    BUNDLE, BUNDLE_CONTENT, BUNDLE_PREDICATE, Bundle, BundleContent, COSIGN_SIGN, Envelope, Form, IN_TOTO_PAYLOAD,
    PrivateKey, SIGNATURE_ANNOTATION, SIMPLE_SIGNING, Said, SignedImage, SimpleSigning, Statement, Subject, pae,
};
use layerstone_oci::{CREATED, Descriptor, Place, Reference, Time, Wanted};
use layerstone_store::{Digest, Limits, read_input};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What is signed, and how.
#[derive(Debug)]
pub struct Signing<'a> {
    /// The key.
    pub key: &'a PrivateKey,
    /// How it lies beside the image: [`Form::Bundle`], or under a tag.
    pub form: Form,
    /// A file that is stated of the image, or the predicate of a statement of this type; none to sign the image itself.
    pub attest: Option<(PathBuf, Option<String>)>,
    /// When it was signed, if that is to be said.
    pub created: Option<Time>,
}

/// What was signed.
#[derive(Debug)]
pub struct Signature {
    /// The image's manifest or index.
    pub subject: Descriptor,
    /// The digest of the manifest that has the signature.
    pub manifest: Digest,
    /// Whether the key had signed it before, so that nothing was added.
    pub was_there: bool,
}

/// What a key is to sign: a statement as bytes, and what it says.
struct Payload {
    bytes: Vec<u8>,
    said: Said,
    predicate: String,
}

/// Signs what a name leads to, an index too, or the image in it for a platform that is named.
///
/// # Errors
///
/// The image is not there, or keeps no referrers where it is; a file cannot be read, or is a statement about another image;
/// the place refuses.
pub fn sign(place: &Place, wanted: &Wanted, signing: &Signing<'_>, opener: &Opener<'_>) -> Result<Signature> {
    let target = target_of(place)?;
    let _turn = turn(&target)?;
    let subject = subject(place, wanted, opener)?;
    let payload = match &signing.attest {
        Some((path, predicate)) => stated(path, predicate.as_deref(), &subject.digest, &opener.limits)?,
        None => signed_image(&subject.digest),
    };
    let mut file = None;
    let source = BlobSource::open(place, wanted, opener, &mut file, |it| opener.registries.repository(it))?;
    if let Some(manifest) = earlier(&source, place, wanted, &subject, &payload.said, signing, opener)? {
        return Ok(Signature { subject, manifest, was_there: true });
    }
    let manifest = match signing.form {
        Form::Bundle => put_bundle(&target, &subject, &payload, signing, opener)?,
        Form::Simple | Form::Envelope => put_under_tag(place, &target, &source, &subject, &payload, signing, opener)?,
    };
    Ok(Signature { subject, manifest, was_there: false })
}

/// The manifest of a signature of the same by the same key, in the same form.
fn earlier(
    source: &BlobSource<'_>,
    place: &Place,
    wanted: &Wanted,
    subject: &Descriptor,
    said: &Said,
    signing: &Signing<'_>,
    opener: &Opener<'_>,
) -> Result<Option<Digest>> {
    let found = find_evidence(source, &subject.digest, &opener.limits)?;
    let (_, bytes) = find_manifest(place, wanted, opener)?;
    let image = SignedImage { digest: subject.digest, bytes: &bytes };
    let key = std::slice::from_ref(signing.key.public());
    let is_bundle = signing.form == Form::Bundle;
    let mut same = found.evidence.iter().filter(|it| (it.form() == Form::Bundle) == is_bundle);
    let is_it = |proof: layerstone_attestation::Proof| proof.said == *said;
    Ok(same.find(|it| it.verify(image, key, &opener.limits).is_ok_and(is_it)).map(|it| it.manifest))
}

/// The statement that signs an image and says no more.
fn signed_image(image: &Digest) -> Payload {
    let statement = Statement::new(vec![Subject::image("", image)], COSIGN_SIGN, json!({}));
    Payload { bytes: statement.to_bytes(), said: Said::Image, predicate: COSIGN_SIGN.to_owned() }
}

/// The statement that a file is, byte for byte, or is the predicate of.
fn stated(path: &Path, predicate: Option<&str>, image: &Digest, limits: &Limits) -> Result<Payload> {
    let (bytes, name) = (read_input(path)?, path.display().to_string());
    let wrong = |cause: String| invalid!("cannot attest: {name}: {cause}");
    limits.check_json(&bytes).map_err(|exceeded| wrong(exceeded.to_string()))?;
    let value: Value = serde_json::from_slice(&bytes).map_err(|e| wrong(format!("not JSON: {e}")))?;
    let is_statement = value["_type"].as_str().is_some_and(|kind| kind.starts_with("https://in-toto.io/Statement/"));
    if !is_statement {
        let Some(predicate) = predicate else {
            let message = wrong("found no statement of in-toto, expected one, or --type".to_owned());
            return Err(Error::advised(message, "--type spdx, cyclonedx, provenance or another says what the file is"));
        };
        let statement = Statement::new(vec![Subject::image("", image)], predicate, value);
        let bytes = statement.to_bytes();
        return Ok(Payload { bytes, said: Said::Statement(statement), predicate: predicate.to_owned() });
    }
    let statement = Statement::parse(&bytes, &name, limits)?;
    if let Some(expected) = predicate.filter(|expected| *expected != statement.predicate_type) {
        let found = statement.predicate_type.escape_debug();
        return Err(wrong(format!("found a statement of the type {found}, expected {expected}")));
    }
    check_subject(&statement, &name, image)?;
    if statement.predicate_type == COSIGN_SIGN {
        return Ok(Payload { bytes, said: Said::Image, predicate: COSIGN_SIGN.to_owned() });
    }
    let predicate = statement.predicate_type.clone();
    Ok(Payload { bytes, said: Said::Statement(statement), predicate })
}

fn envelope(payload: &Payload, key: &PrivateKey) -> Result<Envelope> {
    let signature = key.sign(&pae(IN_TOTO_PAYLOAD, &payload.bytes))?;
    Ok(Envelope::new(IN_TOTO_PAYLOAD, &payload.bytes, &signature))
}

/// Puts a bundle that refers to the image (cosign, specs/BUNDLE_SPEC.md).
fn put_bundle(
    target: &ImageTarget,
    subject: &Descriptor,
    payload: &Payload,
    signing: &Signing<'_>,
    opener: &Opener<'_>,
) -> Result<Digest> {
    let content = BundleContent::Envelope(envelope(payload, signing.key)?);
    let bytes = Bundle { hint: signing.key.public().hint(), content }.to_bytes();
    let mut annotations = bundle_annotations("dsse-envelope", Some(&payload.predicate));
    if let Some(created) = signing.created {
        annotations.insert(CREATED.to_owned(), created.rfc3339()?);
    }
    Ok(attach_bundle(target, subject, bytes, annotations, opener)?.digest)
}

/// What is said of a bundle that is attached.
pub(crate) fn bundle_annotations(content: &str, predicate: Option<&str>) -> BTreeMap<String, String> {
    let predicate = predicate.map(|it| (BUNDLE_PREDICATE.to_owned(), it.to_owned()));
    [(BUNDLE_CONTENT.to_owned(), content.to_owned())].into_iter().chain(predicate).collect()
}

/// Attaches the bytes of a bundle.
pub(crate) fn attach_bundle(
    target: &ImageTarget,
    subject: &Descriptor,
    bytes: Vec<u8>,
    annotations: BTreeMap<String, String>,
    opener: &Opener<'_>,
) -> Result<Descriptor> {
    let layer = Descriptor::of(BUNDLE, &bytes);
    put_artifact(target, subject, BUNDLE, &[AttachedFile { layer, content: Arc::new(bytes) }], annotations, opener)
}

/// Adds a signature to those under a tag: a payload of simple signing of the image itself, an envelope of a statement.
fn put_under_tag(
    place: &Place,
    target: &ImageTarget,
    source: &BlobSource<'_>,
    subject: &Descriptor,
    payload: &Payload,
    signing: &Signing<'_>,
    opener: &Opener<'_>,
) -> Result<Digest> {
    let repository = repository(place, source)?;
    let layer = match &payload.said {
        Said::Image => {
            let simple = SimpleSigning { digest: subject.digest, repository: repository.clone() };
            let (bytes, signature) = simple.sign(signing.key)?;
            let annotations = [(SIGNATURE_ANNOTATION.to_owned(), signature)].into();
            TagLayer { suffix: "sig", media_type: SIMPLE_SIGNING, bytes, annotations }
        }
        Said::Statement(_) => {
            let bytes = serde_json::to_vec(&envelope(payload, signing.key)?)?;
            // cosign wants the first one, and tells the second.
            let annotations = [(SIGNATURE_ANNOTATION, ""), ("predicateType", &*payload.predicate)];
            let annotations = annotations.map(|(key, text)| (key.to_owned(), text.to_owned())).into();
            TagLayer { suffix: "att", media_type: ENVELOPE, bytes, annotations }
        }
    };
    put_tagged(target, source, &repository, &subject.digest, layer, opener)
}

/// The repository of an image, `HOST/NAME`; of a layout that of its name, and nothing without one.
fn repository(place: &Place, source: &BlobSource<'_>) -> Result<String> {
    match (place, source) {
        (Place::Registry(reference), _) => Ok(reference.full().name().to_owned()),
        (Place::File(location), BlobSource::File(file)) => {
            let (_, _, names) = file.listed(location).context("cannot tell what the image is called")?;
            let name = names.iter().find(|name| name.contains(':')).map(|name| Reference::unchecked(name).full());
            Ok(name.map(|name| name.name().to_owned()).unwrap_or_default())
        }
        _ => Ok(String::new()),
    }
}
