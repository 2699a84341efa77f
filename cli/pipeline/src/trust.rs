//! Compares an image with the trust parts of policies: verifies what is signed about it with the keys that they name.

use crate::blob_source::BlobSource;
use crate::error::Context;
use crate::opener::OpenedFile;
use crate::verify::{VerifiedImage, add_image, verify, verify_subjects};
use crate::{Error, Opener, Result};
use layerstone_attestation::PublicKey;
use layerstone_image::StoredImage;
use layerstone_oci::{Descriptor, Place, Reference, Wanted};
use layerstone_policy::{Finding, Policy, SignedFact, TrustFacts, TrustPolicy};
use layerstone_store::read_input;
use std::path::Path;

/// What PEM begins with.
const PEM: &str = "-----BEGIN ";

/// The trust parts of policies that have one, with their keys.
#[derive(Debug, Default)]
pub struct TrustCheck {
    parts: Vec<(TrustPolicy, Vec<PublicKey>)>,
}

impl TrustCheck {
    /// Reads the keys of policies, each of which is in the file of that path.
    ///
    /// # Errors
    ///
    /// A key cannot be read, or is none.
    pub fn read<'a>(policies: impl IntoIterator<Item = (&'a Path, &'a Policy)>) -> Result<TrustCheck> {
        let with_keys = |(path, policy): (&Path, &Policy)| {
            let folder = path.parent().unwrap_or(Path::new(""));
            let keys = policy.trust.keys.iter().map(|(name, text)| key(name, text, folder, path));
            Ok((policy.trust.clone(), keys.collect::<Result<_>>()?))
        };
        let parts = policies.into_iter().filter(|(_, policy)| !policy.trust.is_empty()).map(with_keys);
        Ok(TrustCheck { parts: parts.collect::<Result<_>>()? })
    }

    /// Whether no policy says whom to trust.
    pub fn is_empty(&self) -> bool {
        self.parts.is_empty()
    }

    /// What is wrong with what a name leads to, or with the image in it for a platform that is named, and the digest of that.
    ///
    /// # Errors
    ///
    /// The image is not there, or has no manifest; the place cannot be read.
    pub fn check(&self, place: &Place, wanted: &Wanted, opener: &Opener<'_>) -> Result<(Descriptor, Vec<Finding>)> {
        let name = match place {
            Place::Registry(reference) => reference.full().name().to_owned(),
            Place::File(location) => {
                let names = opener.open(place, wanted)?.file.listed(location)?.2;
                full_name(&names)
            }
            Place::Engine(..) => String::new(),
        };
        let mut findings = Vec::new();
        // Without a key it says what there is; each part has its own.
        let mut subject = verify(place, wanted, &[], opener)?.subject;
        for (policy, keys) in &self.parts {
            let verified = verify(place, wanted, keys, opener)?;
            findings.extend(policy.check(&facts(name.clone(), &verified, keys)));
            subject = verified.subject;
        }
        Ok((subject, findings))
    }

    /// What is wrong with an image of a file that is open, or that was fetched from a registry.
    pub(crate) fn check_image(
        &self,
        place: &Place,
        opened: &OpenedFile,
        image: &StoredImage,
        opener: &Opener<'_>,
    ) -> Result<Vec<Finding>> {
        let Some(manifest) = image.manifest.as_ref().filter(|_| !self.is_empty() && opened.file.has_manifests()) else {
            return Ok(if self.is_empty() { Vec::new() } else { vec![no_manifest()] });
        };
        let own = (manifest.descriptor.clone(), manifest.bytes.clone());
        let (source, top, name) = match (place, &opened.origin) {
            (Place::Registry(reference), Some(origin)) => {
                let (repository, top) = opener.registries.fetch(origin)?;
                let top = Some((top.descriptor, top.bytes));
                (BlobSource::Registry(repository), top, reference.full().name().to_owned())
            }
            _ => {
                let listed = opened.file.listed(&opened.location).ok();
                let top = listed.map(|(top, bytes, _)| (top, bytes));
                (BlobSource::File(&opened.file), top, full_name(&image.references))
            }
        };
        let mut subjects = vec![top.unwrap_or_else(|| own.clone())];
        add_image(&mut subjects, own, &opener.limits)?;
        let mut findings = Vec::new();
        for (policy, keys) in &self.parts {
            let verified = verify_subjects(&source, &subjects, keys, opener)?;
            findings.extend(policy.check(&facts(name.clone(), &verified, keys)));
        }
        Ok(findings)
    }
}

/// A key of a policy, called as it is there.
fn key(name: &str, text: &str, folder: &Path, policy: &Path) -> Result<PublicKey> {
    let of = || format!("trust.keys: {}: {}", name.escape_debug(), policy.display());
    let pem = if text.trim_start().starts_with(PEM) {
        text.as_bytes().to_vec()
    } else {
        read_input(&folder.join(text)).with_context(of)?
    };
    PublicKey::from_pem(&pem, name).map_err(Error::from).with_context(of)
}

/// What names an image in full, without its tag; nothing if it has no name.
fn full_name(names: &[String]) -> String {
    let name = names.iter().find(|name| name.contains(':')).map(|name| Reference::unchecked(name).full());
    name.map(|name| name.name().to_owned()).unwrap_or_default()
}

fn facts(name: String, verified: &VerifiedImage, keys: &[PublicKey]) -> TrustFacts {
    let signed = verified.proofs.iter().map(|proof| SignedFact {
        keys: proof.keys.iter().map(|key| keys[*key].name.clone()).collect(),
        predicate: proof.said.predicate_type().map(str::to_owned),
    });
    let why = verified.why_not();
    let doubts = if verified.doubts.is_empty() { String::new() } else { format!("; {why}") };
    let digests = [verified.subject.digest].into_iter().chain(verified.index).collect();
    TrustFacts { name, digests, signed: signed.collect(), doubts }
}

fn no_manifest() -> Finding {
    Finding {
        rule: "trust.images",
        message: "found a docker archive or an engine, whose images have no manifest that could be signed".to_owned(),
        hint: "check the image in the registry, or in a copy to oci:DIR --referrers".to_owned(),
        path: None,
        layer: None,
        chain: Vec::new(),
    }
}
