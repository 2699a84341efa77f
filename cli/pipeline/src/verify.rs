//! Verifies who signed an image, and what is stated about it, with keys that are given. Asks no log and no authority.

use crate::blob_source::BlobSource;
use crate::evidence::{FoundEvidence, find_evidence};
use crate::find_manifest::no_manifest;
use crate::opener::{OpenedFile, origin};
use crate::{Error, Opener, Result, find_manifest};
use layerstone_attestation::{Doubt, Form, PublicKey, Said, SignedImage};
use layerstone_oci::{Descriptor, Index, Location, Place, Wanted, media_type};
use layerstone_store::{Digest, Limits, counted};
use serde::Serialize;

/// What is signed about an image.
#[derive(Debug)]
pub struct VerifiedImage {
    /// The image's manifest or index.
    pub subject: Descriptor,
    /// The index that the name leads to, if the image is one of it.
    pub index: Option<Digest>,
    /// What is signed by one of the keys.
    pub proofs: Vec<VerifiedProof>,
    /// What proves nothing, and why.
    pub doubts: Vec<DoubtfulSignature>,
}

/// Something that is signed by one of the keys.
#[derive(Debug)]
pub struct VerifiedProof {
    /// The digest of the manifest that has the signature.
    pub manifest: Digest,
    /// How it is signed.
    pub form: Form,
    /// Which of the keys signed it.
    pub keys: Vec<usize>,
    /// What it says.
    pub said: Said,
    /// The manifest or index that it is about.
    pub about: Digest,
}

/// Something signed that proves nothing.
#[derive(Debug, Serialize)]
pub struct DoubtfulSignature {
    /// The digest of the manifest that has the signature.
    pub manifest: Digest,
    /// Why it proves nothing.
    pub cause: String,
    /// Whether nothing is wrong with it but that it is somebody else's.
    #[serde(skip)]
    pub is_of_other_key: bool,
}

impl VerifiedImage {
    /// The keys that signed the image itself.
    pub fn signers(&self) -> Vec<usize> {
        let mut signers: Vec<usize> =
            self.proofs.iter().filter(|it| it.said == Said::Image).flat_map(|it| it.keys.clone()).collect();
        signers.sort_unstable();
        signers.dedup();
        signers
    }

    /// Why nobody signed it, for messages.
    pub fn why_not(&self) -> String {
        let wrong = self.doubts.iter().filter(|it| !it.is_of_other_key);
        let mut causes: Vec<String> = wrong.map(|it| format!("{}: {}", it.manifest, it.cause)).collect();
        match self.doubts.iter().filter(|it| it.is_of_other_key).count() as u64 {
            0 => {}
            count => causes.push(format!("{} by another key", counted(count, "signature"))),
        }
        let stated = self.proofs.iter().filter_map(|it| it.said.predicate_type()).map(|kind| kind.escape_debug());
        let stated: Vec<String> = stated.map(|kind| format!("a signed statement of the type {kind}")).collect();
        let found = [stated, causes].concat();
        if found.is_empty() { "found no signature".to_owned() } else { format!("found {}", found.join("; ")) }
    }
}

/// Verifies what a name leads to, an index too, or the image in it for a platform that is named. What is signed about the
/// index counts for that image, as the index names it by its digest.
///
/// # Errors
///
/// The image is not there, or has no manifest; the place cannot be read. That nobody signed it is no error.
pub fn verify(place: &Place, wanted: &Wanted, keys: &[PublicKey], opener: &Opener<'_>) -> Result<VerifiedImage> {
    let mut subjects = vec![find_manifest(place, &Wanted::any(), opener)?];
    if wanted.is_named {
        add_image(&mut subjects, find_manifest(place, wanted, opener)?, &opener.limits)?;
    }
    let mut file = None;
    let source = BlobSource::open(place, wanted, opener, &mut file, |it| Ok(opener.registries.fetch(it)?.0))?;
    verify_subjects(&source, &subjects, keys, opener)
}

/// Verifies the first of these manifests; what is signed about the others, which name it, counts for it.
pub(crate) fn verify_subjects(
    source: &BlobSource<'_>,
    subjects: &[(Descriptor, Vec<u8>)],
    keys: &[PublicKey],
    opener: &Opener<'_>,
) -> Result<VerifiedImage> {
    let (mut proofs, mut doubts) = (Vec::new(), Vec::new());
    for (subject, bytes) in subjects {
        let image = SignedImage { digest: subject.digest, bytes };
        let FoundEvidence { evidence, unread } = find_evidence(source, &subject.digest, &opener.limits)?;
        doubts.extend(unread.into_iter().map(|(manifest, cause)| DoubtfulSignature {
            manifest,
            cause,
            is_of_other_key: false,
        }));
        for it in evidence {
            let (manifest, form) = (it.manifest, it.form());
            match it.verify(image, keys, &opener.limits) {
                Ok(proof) => proofs.push(VerifiedProof {
                    manifest,
                    form,
                    keys: proof.keys,
                    said: proof.said,
                    about: subject.digest,
                }),
                Err(doubt) => doubts.push(DoubtfulSignature {
                    manifest,
                    cause: doubt.to_string(),
                    is_of_other_key: doubt == Doubt::OtherKey,
                }),
            }
        }
    }
    let (first, _) = &subjects[0];
    let subject = Descriptor::new(&first.media_type, first.digest, first.size);
    let index = subjects.get(1).map(|(index, _)| index.digest);
    Ok(VerifiedImage { subject, index, proofs, doubts })
}

/// The error of an image that none of the keys signed.
pub fn not_signed(place: &Place, verified: &VerifiedImage) -> Error {
    let message = format!("not signed by the key: {place}: {}", verified.why_not());
    Error::advised(message, format!("`layerstone discover {place}` lists what is attached, `layerstone sign` signs"))
}

/// Puts the image of an index before it, and takes the index away if it does not list that image.
pub(crate) fn add_image(
    subjects: &mut Vec<(Descriptor, Vec<u8>)>,
    image: (Descriptor, Vec<u8>),
    limits: &Limits,
) -> Result<()> {
    let names = |top: &Descriptor, bytes: &[u8]| {
        if !media_type::is_index(&top.media_type) {
            return Ok(top.digest == image.0.digest);
        }
        let index = Index::parse(bytes, &top.digest.to_string(), limits)?;
        Ok::<_, Error>(index.manifests.iter().any(|it| it.digest == image.0.digest))
    };
    if !names(&subjects[0].0, &subjects[0].1)? {
        subjects.clear();
    }
    subjects.retain(|(top, _)| top.digest != image.0.digest);
    subjects.insert(0, image);
    Ok(())
}

/// Refuses an image that none of the keys of the opener signed, if it has any: the image itself or the index that lists it;
/// where `all` of an index is taken, the index. What is returned is the very image: that of a registry is named by its digest
/// from here on.
///
/// # Errors
///
/// None of the keys signed it, or nobody can tell.
pub fn require_signed(place: &Place, wanted: &Wanted, all: bool, opener: &Opener<'_>) -> Result<Place> {
    if opener.verify_keys.is_empty() {
        return Ok(place.clone());
    }
    let Place::Registry(reference) = place else {
        let verified = match place {
            Place::File(location) if !all => {
                let opened = opener.open(place, wanted)?;
                return check_opened(&opened, location, opener).map(|()| place.clone());
            }
            _ => verify(place, &Wanted::any(), &opener.verify_keys, opener)?,
        };
        return tell_signed(place, &verified, opener).map(|()| place.clone());
    };
    let digest = opener.registries.fetch(reference)?.1.descriptor.digest;
    let pinned = Place::Registry(origin(reference, digest));
    // Most sign what the name leads to; others each image of it.
    let mut verified = verify(&pinned, &Wanted::any(), &opener.verify_keys, opener)?;
    if verified.signers().is_empty() && !all && media_type::is_index(&verified.subject.media_type) {
        let mut named = wanted.clone();
        named.is_named = true;
        verified = verify(&pinned, &named, &opener.verify_keys, opener)?;
    }
    tell_signed(place, &verified, opener).map(|()| pinned)
}

/// Refuses the image of a file that is open, if none of the keys of the opener signed it or the index that lists it.
pub(crate) fn check_opened(opened: &OpenedFile, location: &Location, opener: &Opener<'_>) -> Result<()> {
    if opener.verify_keys.is_empty() {
        return Ok(());
    }
    let place = Place::File(location.clone());
    let Some(manifest) = opened.image()?.manifest.filter(|_| opened.file.has_manifests()) else {
        return Err(no_manifest(&place, "a docker archive"));
    };
    let image = (manifest.descriptor, manifest.bytes);
    let mut subjects = match opened.file.listed(location) {
        Ok((top, bytes, _)) => vec![(top, bytes)],
        Err(_) => vec![image.clone()],
    };
    add_image(&mut subjects, image, &opener.limits)?;
    let source = BlobSource::File(&opened.file);
    let verified = verify_subjects(&source, &subjects, &opener.verify_keys, opener)?;
    tell_signed(&place, &verified, opener)
}

/// Says who signed an image, or that nobody did.
fn tell_signed(place: &Place, verified: &VerifiedImage, opener: &Opener<'_>) -> Result<()> {
    let signers = verified.signers();
    let Some(key) = signers.first() else { return Err(not_signed(place, verified)) };
    let (digest, key) = (verified.subject.digest, &opener.verify_keys[*key].name);
    opener.report.notice(&format!("{place}: {digest} is signed by {key}"));
    Ok(())
}
