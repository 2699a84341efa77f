//! Finds what refers to an image, and takes it away again.

use crate::attach::{subject, target_of};
use crate::blob_source::BlobSource;
use crate::{Error, ImageTarget, Opener, Result, find_manifest};
use layerstone_oci::{Descriptor, Index, OciLayout, Place, Wanted, media_type};
use layerstone_store::{Digest, Limit};
use std::collections::BTreeSet;

/// Annotation of an entry of an index that is a statement about another one, and its value (BuildKit,
/// attestation-storage.md).
pub(crate) const REFERENCE_TYPE: (&str, &str) = ("vnd.docker.reference.type", "attestation-manifest");
/// Annotation of such an entry: the digest of the other one.
pub(crate) const REFERENCE_DIGEST: &str = "vnd.docker.reference.digest";

/// What refers to an image.
pub struct Discovered {
    /// The image's manifest or index.
    pub subject: Descriptor,
    /// What names it as its subject.
    pub referrers: Vec<FoundReferrer>,
    /// What its index lists as statements about its images, in BuildKit's form.
    pub attestations: Vec<Descriptor>,
}

/// A referrer.
pub struct FoundReferrer {
    /// What is said of it where it is listed.
    pub entry: Descriptor,
    /// What refers to it, if that was looked for.
    pub referrers: Vec<FoundReferrer>,
}

/// Which referrers are meant.
pub enum Meant {
    /// The one of this digest.
    Digest(Digest),
    /// All of this type.
    Type(String),
}

/// Finds what refers to what a name leads to, or to the image in it for a platform that is named: all, or what is of a type;
/// with all that refers to these in turn if it is to be a `tree`.
///
/// # Errors
///
/// The image is not there, or has no manifest; the place cannot be read.
pub fn discover(
    place: &Place,
    wanted: &Wanted,
    artifact_type: Option<&str>,
    tree: bool,
    opener: &Opener<'_>,
) -> Result<Discovered> {
    let (found, bytes) = find_manifest(place, wanted, opener)?;
    let subject = Descriptor::new(&found.media_type, found.digest, found.size);
    let attestations = if media_type::is_index(&subject.media_type) {
        let index = Index::parse(&bytes, &subject.digest.to_string(), &opener.limits)?;
        index.manifests.into_iter().filter(|it| is_attestation(it) && artifact_type.is_none()).collect()
    } else {
        Vec::new()
    };
    let mut file = None;
    let source = BlobSource::open(place, wanted, opener, &mut file, |it| Ok(opener.registries.fetch(it)?.0))?;
    let mut seen = BTreeSet::from([subject.digest]);
    let mut referrers = find(&source, &subject.digest, tree, 0, &mut seen, opener)?;
    referrers.retain(|it| artifact_type.is_none_or(|wanted| it.entry.artifact_type() == Some(wanted)));
    Ok(Discovered { subject, referrers, attestations })
}

/// What refers to an image of a registry, and to the index that its name leads to.
///
/// # Errors
///
/// The registry cannot be asked.
pub fn referrers(place: &Place, image: &Digest, opener: &Opener<'_>) -> Result<Vec<Descriptor>> {
    let Place::Registry(reference) = place else { return Ok(Vec::new()) };
    let (repository, named) = opener.registries.fetch(reference)?;
    let named = Some(named.descriptor.digest).filter(|named| named != image);
    let mut found = repository.referrers(image, None)?;
    found.extend(named.map(|named| repository.referrers(&named, None)).transpose()?.unwrap_or_default());
    Ok(found)
}

/// Whether an entry of an index is a statement about another one.
pub(crate) fn is_attestation(entry: &Descriptor) -> bool {
    entry.annotations.get(REFERENCE_TYPE.0).is_some_and(|kind| kind == REFERENCE_TYPE.1)
}

fn find(
    source: &BlobSource<'_>,
    subject: &Digest,
    tree: bool,
    depth: u64,
    seen: &mut BTreeSet<Digest>,
    opener: &Opener<'_>,
) -> Result<Vec<FoundReferrer>> {
    let entries = source.referrers(subject)?;
    let checked =
        |limit, found| opener.limits.check(limit, found).map_err(|exceeded| invalid!("{exceeded}: {subject}"));
    if !entries.is_empty() {
        checked(Limit::IndexDepth, depth)?;
    }
    let mut found = Vec::new();
    for entry in entries.into_iter() {
        let is_new = seen.insert(entry.digest);
        checked(Limit::Manifests, seen.len() as u64)?;
        let referrers =
            if tree && is_new { find(source, &entry.digest, tree, depth + 1, seen, opener)? } else { Vec::new() };
        found.push(FoundReferrer { entry, referrers });
    }
    Ok(found)
}

/// Takes referrers of an image away: the one that is meant, or all of a type. For each, its entry, and whether its manifest
/// was deleted.
///
/// # Errors
///
/// None is meant, or the place allows no change.
pub fn detach(
    place: &Place,
    wanted: &Wanted,
    meant: &Meant,
    opener: &Opener<'_>,
) -> Result<(Descriptor, Vec<(Descriptor, bool)>)> {
    let target = target_of(place)?;
    let subject = subject(place, wanted, opener)?;
    let mut file = None;
    let source = BlobSource::open(place, wanted, opener, &mut file, |it| opener.registries.repository(it))?;
    let listed = source.referrers(&subject.digest)?;
    let is_meant = |it: &&Descriptor| match meant {
        Meant::Digest(digest) => it.digest == *digest,
        Meant::Type(kind) => it.artifact_type() == Some(kind),
    };
    let chosen: Vec<Descriptor> = listed.iter().filter(is_meant).cloned().collect();
    if chosen.is_empty() {
        return Err(no_referrer(place, meant, &listed));
    }
    let digests: Vec<Digest> = chosen.iter().map(|it| it.digest).collect();
    let are_deleted = match (&source, target) {
        (BlobSource::Registry(repository), _) => repository.delete_referrers(&subject.digest, &digests)?,
        (BlobSource::File(_), ImageTarget::OciLayout(path)) => {
            OciLayout::open(&path, opener.limits)?.unlist(&digests)?;
            vec![true; digests.len()]
        }
        (BlobSource::File(_), target) => bail!("cannot change: {target}"),
    };
    Ok((subject, chosen.into_iter().zip(are_deleted).collect()))
}

/// The error where nothing that is meant refers to an image.
fn no_referrer(place: &Place, meant: &Meant, listed: &[Descriptor]) -> Error {
    let (meant, found): (String, Vec<String>) = match meant {
        Meant::Digest(digest) => (digest.to_string(), listed.iter().map(|it| it.digest.to_string()).collect()),
        Meant::Type(kind) => {
            let kind = kind.escape_debug().to_string();
            (kind, listed.iter().filter_map(|it| Some(it.artifact_type()?.escape_debug().to_string())).collect())
        }
    };
    let found = if found.is_empty() { "nothing".to_owned() } else { found.join(", ") };
    let message = format!("no referrer {meant} of {place}: found {found}");
    Error::advised(message, format!("`layerstone discover {place}` lists what is attached"))
}
