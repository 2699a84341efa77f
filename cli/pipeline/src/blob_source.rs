//! Reads manifests and blobs where an image is, in a registry or in a file, with all that is below them and all that refers
//! to them. Does not know where they go.

use crate::{Error, Opener, Result, chain_text};
use layerstone_image::{Artifact, ImageFile, UnreadEntry};
use layerstone_layer::{Content, Layer};
use layerstone_oci::{Descriptor, Error as OciError, Index, Manifest, Place, Reference, Referrer, Wanted, media_type};
use layerstone_registry::{Error as RegistryError, Repository};
use layerstone_store::{Digest, Limit, Limits};
use std::collections::HashSet;
use std::fmt::Display;
use std::sync::Arc;

/// Where manifests and blobs are read.
pub enum BlobSource<'a> {
    /// A repository.
    Registry(Repository),
    /// A layout or an archive of one.
    File(&'a ImageFile),
}

/// What is below an index.
pub struct Found {
    limits: Limits,
    /// All blobs, each once.
    pub layers: Vec<Layer>,
    /// All manifests and indexes, those that others list first.
    pub manifests: Vec<(Descriptor, Vec<u8>)>,
    /// All that refers to a manifest, subjects first.
    pub referrers: Vec<(Descriptor, Vec<u8>)>,
    /// Entries of a layout that may refer to these manifests and cannot be read.
    pub unread: Vec<UnreadEntry>,
    /// Whether referrers that cannot be taken along are left out.
    pub is_lenient: bool,
    /// Why each of them was left out.
    pub failed: Vec<String>,
    /// What is in either.
    seen: HashSet<Digest>,
    /// Bytes of the manifests.
    kept: u64,
}

impl Found {
    pub fn new(limits: Limits) -> Found {
        Found {
            limits,
            layers: Vec::new(),
            manifests: Vec::new(),
            referrers: Vec::new(),
            unread: Vec::new(),
            is_lenient: false,
            failed: Vec::new(),
            seen: HashSet::new(),
            kept: 0,
        }
    }

    fn check(&self, limit: Limit, found: u64, name: &str) -> Result<()> {
        self.limits.check(limit, found).map_err(|exceeded| invalid!("{exceeded}: {name}"))
    }
}

impl<'a> BlobSource<'a> {
    /// Where a place is read: the repository that `registry` gives, or the file, which is kept in `file`.
    pub fn open(
        place: &Place,
        wanted: &Wanted,
        opener: &Opener<'_>,
        file: &'a mut Option<ImageFile>,
        registry: impl FnOnce(&Reference) -> Result<Repository>,
    ) -> Result<BlobSource<'a>> {
        Ok(match place {
            Place::Registry(reference) => BlobSource::Registry(registry(reference)?),
            _ => BlobSource::File(file.insert(opener.open(place, wanted)?.file)),
        })
    }

    /// Adds what is below a manifest or an index.
    pub fn collect(&self, descriptor: &Descriptor, bytes: &[u8], found: &mut Found, depth: u64) -> Result<()> {
        let name = descriptor.digest.to_string();
        if media_type::is_image(&descriptor.media_type) {
            let manifest = Manifest::parse(bytes, &name, &found.limits)?;
            for blob in manifest.layers.iter().chain([&manifest.config]) {
                if found.seen.insert(blob.digest) {
                    found.layers.push(Layer::of_blob(blob.clone(), self.blob(blob)?));
                }
            }
            return Ok(());
        }
        found.check(Limit::IndexDepth, depth, &name)?;
        for child in Index::parse(bytes, &name, &found.limits)?.manifests {
            if !found.seen.insert(child.digest) {
                continue;
            }
            let bytes = self.next(&child, found, &name)?;
            self.collect(&child, &bytes, found, depth + 1)?;
            found.manifests.push((child, bytes));
        }
        Ok(())
    }

    /// Adds all that refers to a manifest, and to what refers to it.
    pub fn collect_referrers(&self, subject: &Digest, found: &mut Found, depth: u64) -> Result<()> {
        let name = subject.to_string();
        for unread in self.unread(subject)? {
            if !found.unread.contains(unread) {
                found.unread.push(unread.clone());
            }
        }
        let listed = self.referrers(subject)?;
        if !listed.is_empty() {
            found.check(Limit::IndexDepth, depth, &name)?;
        }
        for entry in listed {
            if !found.seen.insert(entry.digest) {
                continue;
            }
            match self.add_referrer(&entry, subject, found, depth) {
                Err(error) if found.is_lenient => found.failed.push(chain_text(&error)),
                added => added?,
            }
        }
        Ok(())
    }

    /// Adds a referrer, and all that refers to it.
    fn add_referrer(&self, entry: &Descriptor, subject: &Digest, found: &mut Found, depth: u64) -> Result<()> {
        let bytes = self.next(entry, found, &subject.to_string())?;
        check_subject(entry, &bytes, subject)?;
        self.collect(entry, &bytes, found, 0).map_err(|error| advise(error, &entry.digest))?;
        let descriptor = Descriptor::new(&entry.media_type, entry.digest, bytes.len() as u64);
        found.referrers.push((descriptor, bytes));
        self.collect_referrers(&entry.digest, found, depth + 1)
    }

    /// What refers to a manifest, as it is listed.
    pub fn referrers(&self, subject: &Digest) -> Result<Vec<Descriptor>> {
        Ok(match self {
            BlobSource::Registry(repository) => repository.referrers(subject, None)?,
            BlobSource::File(file) => file.referrers(subject)?,
        })
    }

    /// What a layout lists that may refer to a manifest and cannot be read.
    pub fn unread(&self, subject: &Digest) -> Result<Vec<&UnreadEntry>> {
        let all = match self {
            BlobSource::Registry(_) => &[],
            BlobSource::File(file) => file.unread()?,
        };
        Ok(all.iter().filter(|it| it.may_refer_to(subject)).collect())
    }

    /// What a tag of the repository leads to, or what a layout calls so; none if nothing is.
    pub fn tagged(&self, tag: &str) -> Result<Option<(Descriptor, Vec<u8>)>> {
        match self {
            BlobSource::Registry(repository) => match repository.manifest(tag) {
                Ok(fetched) => Ok(Some((fetched.descriptor, fetched.bytes))),
                Err(RegistryError::NotFound { .. }) => Ok(None),
                Err(error) => Err(error.into()),
            },
            BlobSource::File(file) => {
                let is_meant =
                    |name: &String| name == tag || name.strip_suffix(tag).is_some_and(|it| it.ends_with(':'));
                let artifact = file.artifacts().iter().find(|it| it.repo_tags.iter().any(is_meant));
                let read = |it: &Artifact| Ok((it.entry.clone(), file.manifest(&it.digest)?));
                artifact.map(read).transpose()
            }
        }
    }

    /// The bytes of a manifest or an index that is listed, if there may be one more.
    fn next(&self, listed: &Descriptor, found: &mut Found, name: &str) -> Result<Vec<u8>> {
        found.check(Limit::Manifests, found.seen.len() as u64, name)?;
        let is_known = media_type::MANIFESTS.contains(&listed.media_type.as_str());
        if !is_known {
            bail!("found media type {:?} in the index {name}, expected a manifest or an index", listed.media_type);
        }
        let bytes = self.manifest(listed)?;
        found.kept = found.kept.saturating_add(bytes.len() as u64);
        found.check(Limit::Descriptions, found.kept, name)?;
        Ok(bytes)
    }

    /// The bytes of a manifest or an index.
    pub fn manifest(&self, descriptor: &Descriptor) -> Result<Vec<u8>> {
        let file = match self {
            BlobSource::Registry(repository) => return Ok(repository.manifest(&descriptor.digest.to_string())?.bytes),
            BlobSource::File(file) => file,
        };
        Ok(file.manifest(&descriptor.digest)?)
    }

    /// The bytes of a blob that is small, such as a config.
    pub fn small_blob(&self, descriptor: &Descriptor) -> Result<Vec<u8>> {
        let file = match self {
            BlobSource::Registry(repository) => return Ok(repository.small_blob(descriptor)?),
            BlobSource::File(file) => file,
        };
        let name = descriptor.digest.to_string();
        file.limits().check(Limit::Json, descriptor.size).map_err(|exceeded| invalid!("{exceeded}: {name}"))?;
        let mut bytes = Vec::new();
        file.blob(&descriptor.digest)?.write_to(0, &mut bytes)?;
        match Digest::of(&bytes) {
            found if found == descriptor.digest => Ok(bytes),
            found => bail!("wrong digest: {name}: found {found}"),
        }
    }

    fn blob(&self, descriptor: &Descriptor) -> Result<Arc<dyn Content>> {
        Ok(match self {
            BlobSource::Registry(repository) => Arc::new(repository.blob(descriptor)),
            BlobSource::File(file) => Arc::new(file.blob(&descriptor.digest)?),
        })
    }
}

/// Refuses what is listed as a referrer and has another subject, or none.
fn check_subject(entry: &Descriptor, bytes: &[u8], subject: &Digest) -> Result<()> {
    let found = match Referrer::of(entry, bytes) {
        Some(referrer) if referrer.subject == *subject => return Ok(()),
        Some(referrer) => format!("found the subject {}", referrer.subject),
        None => "found no subject".to_owned(),
    };
    let message = format!("not a referrer of {subject}: {}: {found}", entry.digest);
    let hint = format!("somebody listed it wrongly: {}", detach_hint(&entry.digest));
    Err(Error::advised(message, hint))
}

/// What to do about a referrer that cannot be copied.
pub fn detach_hint(digest: &impl Display) -> String {
    format!("`layerstone detach IMAGE {digest}` takes it off the list")
}

/// The error of a referrer that cannot be understood, with what to do.
fn advise(error: Error, digest: &Digest) -> Error {
    match error {
        Error::Oci(OciError::Manifest { .. }) => Error::advised(&error, detach_hint(digest)),
        other => other,
    }
}
