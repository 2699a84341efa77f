//! Finds what refers to an image, and takes it away again.

use crate::attach::{subject, target_of};
use crate::blob_source::BlobSource;
use crate::copy_referrers::told;
use crate::{Error, ImageTarget, Opener, Result, find_manifest};
use layerstone_image::UnreadEntry;
use layerstone_oci::{Descriptor, Index, OciLayout, Place, Wanted, media_type};
use layerstone_store::{Digest, Limit};
use serde_json::{Value, json};
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
    /// What a layout lists that may refer to it and cannot be read.
    pub unread: Vec<UnreadEntry>,
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
    /// The one of this digest, as it is listed.
    Digest(String),
    /// All of this type.
    Type(String),
}

/// Finds what refers to what a name leads to, or to the image in it for a platform that is named: all, or what is of a type;
/// with all that refers to these in turn if it is to be a `tree`. Warns of what cannot be read.
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
    let may_be_wanted = |kind: &str| artifact_type.is_none_or(|wanted| kind == wanted);
    let mut unread: Vec<UnreadEntry> = source.unread(&subject.digest)?.into_iter().cloned().collect();
    unread.retain(|it| it.artifact_type.as_deref().is_none_or(may_be_wanted));
    for entry in &unread {
        opener.report.warn(format!("{}; `layerstone detach` takes it off the list", told(entry)));
    }
    Ok(Discovered { subject, referrers, attestations, unread })
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

/// A referrer that was taken away.
pub struct Detached {
    /// Its digest as it was listed.
    pub digest: String,
    /// Its entry.
    pub entry: Value,
    /// Whether its manifest was deleted too.
    pub is_deleted: bool,
}

/// Takes referrers of an image away: the one that is meant, or all of a type. Of a layout also those that cannot be read.
///
/// # Errors
///
/// None is meant, or the place allows no change.
pub fn detach(
    place: &Place,
    wanted: &Wanted,
    meant: &Meant,
    opener: &Opener<'_>,
) -> Result<(Descriptor, Vec<Detached>)> {
    let target = target_of(place)?;
    let subject = subject(place, wanted, opener)?;
    let mut file = None;
    let source = BlobSource::open(place, wanted, opener, &mut file, |it| opener.registries.repository(it))?;
    let listed = source.referrers(&subject.digest)?;
    let unread = unread_in(&source, &subject.digest, meant)?;
    let is_meant = |digest: &str, kind: Option<&str>| match meant {
        Meant::Digest(wanted) => digest == wanted,
        Meant::Type(wanted) => kind == Some(wanted),
    };
    let chosen: Vec<&Descriptor> =
        listed.iter().filter(|it| is_meant(&it.digest.to_string(), it.artifact_type())).collect();
    let chosen_unread: Vec<&UnreadEntry> =
        unread.iter().filter(|it| is_meant(&it.digest, it.artifact_type.as_deref())).copied().collect();
    if chosen.is_empty() && chosen_unread.is_empty() {
        return Err(no_referrer(place, meant, &listed, &unread));
    }
    let digests: Vec<Digest> = chosen.iter().map(|it| it.digest).collect();
    let are_deleted = match (&source, target) {
        (BlobSource::Registry(repository), _) => repository.delete_referrers(&subject.digest, &digests)?,
        (BlobSource::File(_), ImageTarget::OciLayout(path)) => {
            let entries: Vec<Value> = chosen_unread.iter().map(|it| it.entry.clone()).collect();
            OciLayout::open(&path, opener.limits)?.unlist(&digests, &entries)?;
            vec![true; digests.len()]
        }
        (BlobSource::File(_), target) => bail!("cannot change: {target}"),
    };
    let read = chosen.into_iter().zip(are_deleted).map(|(it, is_deleted)| Detached {
        digest: it.digest.to_string(),
        entry: json!(it),
        is_deleted,
    });
    let unread = chosen_unread.iter().map(|it| Detached {
        digest: it.digest.clone(),
        entry: it.entry.clone(),
        is_deleted: true,
    });
    let detached = read.chain(unread).collect();
    Ok((subject, detached))
}

/// What cannot be read and may be meant: what may refer to the image, or has this very digest, whatever it is called.
fn unread_in<'a>(source: &'a BlobSource<'_>, subject: &Digest, meant: &Meant) -> Result<Vec<&'a UnreadEntry>> {
    let mut unread = source.unread(subject)?;
    if let (BlobSource::File(file), Meant::Digest(digest)) = (source, meant) {
        let is_called = |it: &&UnreadEntry| !it.names.is_empty() && it.subject.is_none() && it.digest == *digest;
        unread.extend(file.unread()?.iter().filter(is_called));
    }
    Ok(unread)
}

/// The error where nothing that is meant refers to an image.
fn no_referrer(place: &Place, meant: &Meant, listed: &[Descriptor], unread: &[&UnreadEntry]) -> Error {
    let (meant, found): (&str, Vec<String>) = match meant {
        Meant::Digest(digest) => {
            let unread = unread.iter().map(|it| it.digest.clone());
            (digest, listed.iter().map(|it| it.digest.to_string()).chain(unread).collect())
        }
        Meant::Type(kind) => {
            let unread = unread.iter().filter_map(|it| it.artifact_type.as_deref());
            (kind, listed.iter().filter_map(Descriptor::artifact_type).chain(unread).map(str::to_owned).collect())
        }
    };
    let escaped = |text: &str| text.escape_debug().to_string();
    let (meant, found): (String, Vec<String>) = (escaped(meant), found.iter().map(|it| escaped(it)).collect());
    let found = if found.is_empty() { "nothing".to_owned() } else { found.join(", ") };
    let message = format!("no referrer {meant} of {place}: found {found}");
    Error::advised(message, format!("`layerstone discover {place}` lists what is attached"))
}
