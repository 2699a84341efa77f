//! Attaches files to an image: as a manifest that names the image as its subject, beside it in a registry or a layout.

use crate::error::Context;
use crate::oci_destination::OciDestination;
use crate::{CompressionChoice, Error, ImageTarget, Opener, Result, find_manifest};
use layerstone_layer::{Content, DigestWriter};
use layerstone_oci::{
    CREATED, Descriptor, EMPTY_CONFIG, IN_TOTO, Manifest, OciLayout, PREDICATE_TYPE, Place, Referrer, StoredManifest,
    Time, Wanted, empty_config, file_layer,
};
use layerstone_store::{Limit, Limits, open_regular};
use layerstone_tar::Part;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What is attached.
pub struct Attachment {
    /// The files, each a layer.
    pub files: Vec<PathBuf>,
    /// The media type of each.
    pub media_type: String,
    /// What all of them are together.
    pub artifact_type: String,
    /// What is said of them.
    pub annotations: BTreeMap<String, String>,
    /// When they were made, if that is to be said.
    pub created: Option<Time>,
}

/// What was attached, and to what.
pub struct Attached {
    /// The image's manifest or index.
    pub subject: Descriptor,
    /// The manifest of the artifact, as lists of referrers have it.
    pub referrer: Descriptor,
}

/// A file to attach.
pub(crate) struct AttachedFile {
    pub layer: Descriptor,
    pub content: Arc<dyn Content>,
}

/// A statement of in-toto, as far as it is looked at.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Statement {
    predicate_type: String,
}

/// Attaches files to what a name leads to, an index too, or to the image in it for a platform that is named.
///
/// # Errors
///
/// The image is not there, or keeps no referrers where it is; a file cannot be read; the place refuses.
pub fn attach(place: &Place, wanted: &Wanted, attachment: &Attachment, opener: &Opener<'_>) -> Result<Attached> {
    let target = target_of(place)?;
    let files: Vec<AttachedFile> = attachment
        .files
        .iter()
        .map(|path| open(path, &attachment.media_type, &opener.limits))
        .collect::<Result<_>>()?;
    let subject = subject(place, wanted, opener)?;
    let annotations = annotations(attachment, &files)?;
    let referrer = put_artifact(&target, &subject, &attachment.artifact_type, &files, annotations, opener)?;
    Ok(Attached { subject, referrer })
}

/// Puts an artifact of these files whose subject is this; its entry in the list of that one's referrers.
pub(crate) fn put_artifact(
    target: &ImageTarget,
    subject: &Descriptor,
    artifact_type: &str,
    files: &[AttachedFile],
    annotations: BTreeMap<String, String>,
    opener: &Opener<'_>,
) -> Result<Descriptor> {
    let layers = files.iter().map(|file| file.layer.clone()).collect();
    let manifest = StoredManifest::of(Manifest::of_artifact(artifact_type, layers, subject.clone(), annotations));
    let to = OciDestination::open(target, CompressionChoice::default(), opener.registries, &[])?;
    let store = to.store();
    for AttachedFile { layer, content } in files {
        store.put(layer, content)?;
    }
    let config: Arc<dyn Content> = Arc::new(EMPTY_CONFIG.to_vec());
    store.put(&empty_config(), &config)?;
    store.put_referrer(&manifest.descriptor, &manifest.bytes)?;
    store.finish_referrers()?;
    Ok(Referrer::of(&manifest.descriptor, &manifest.bytes).map_or(manifest.descriptor, |it| it.entry))
}

/// The manifest or index that a name leads to, without what is said of it there. A layout must have it as it is.
pub(crate) fn subject(place: &Place, wanted: &Wanted, opener: &Opener<'_>) -> Result<Descriptor> {
    let (found, _) = find_manifest(place, wanted, opener)?;
    if let Place::File(location) = place
        && location.path.is_dir()
        && !OciLayout::holds(&location.path, &found)
    {
        let message = format!("no index: {location}: found several images, each listed by itself");
        return Err(Error::advised(message, "--platform OS/ARCH takes one of them"));
    }
    Ok(Descriptor::new(&found.media_type, found.digest, found.size))
}

/// A place as one that is written to.
pub(crate) fn target_of(place: &Place) -> Result<ImageTarget> {
    let (found, hint) = match place {
        Place::Registry(reference) => return Ok(ImageTarget::Registry(reference.tagged())),
        Place::File(location) if location.path.join("oci-layout").is_file() => {
            return Ok(ImageTarget::OciLayout(location.path.clone()));
        }
        Place::File(location) if !location.path.exists() => {
            let source = io::Error::from(io::ErrorKind::NotFound);
            return Err(layerstone_store::Error::io("read", &location.path)(source).into());
        }
        Place::File(location) => {
            ("a file", format!("`layerstone copy {location} oci:DIR` makes a directory of it, which can be changed"))
        }
        Place::Engine(..) => ("an engine", format!("`layerstone copy {place} oci:DIR` makes a layout of it")),
    };
    let message =
        format!("cannot change: {place}: found {found}, expected the directory of an OCI layout or a registry");
    Err(Error::advised(message, hint))
}

/// Opens a file, and hashes it.
pub(crate) fn open(path: &Path, media_type: &str, limits: &Limits) -> Result<AttachedFile> {
    let doing = || format!("cannot read: {}", path.display());
    if path.is_dir() {
        let hint = format!("`tar -cf NAME.tar -C {} .` makes a file of it", path.display());
        return Err(Error::advised(
            format!("cannot attach: {}: found a directory, expected a file", path.display()),
            hint,
        ));
    }
    let file = open_regular(path).with_context(doing)?;
    let name = path.file_name().and_then(|name| name.to_str());
    let name = name.with_context(|| format!("not UTF-8: {}: expected a file whose name is a text", path.display()))?;
    let mut sink = io::sink();
    let mut hashed = DigestWriter::new(&mut sink);
    io::copy(&mut &file, &mut hashed).with_context(doing)?;
    let (digest, size) = hashed.finish();
    let mut layer = file_layer(media_type, digest, size, name);
    let part = Part::new(Arc::new(file), path.to_owned(), 0, size);
    if media_type == IN_TOTO && limits.check(Limit::Json, size).is_ok() {
        let mut bytes = Vec::new();
        part.reader().read_to_end(&mut bytes).with_context(doing)?;
        let statement = serde_json::from_slice::<Statement>(&bytes).ok();
        layer.annotations.extend(statement.map(|it| (PREDICATE_TYPE.to_owned(), it.predicate_type)));
    }
    Ok(AttachedFile { layer, content: Arc::new(part) })
}

/// What is said of an artifact: the type of its statement too, if it has one, so that lists tell it.
fn annotations(attachment: &Attachment, files: &[AttachedFile]) -> Result<BTreeMap<String, String>> {
    let mut annotations = BTreeMap::new();
    if let [AttachedFile { layer, .. }] = files {
        let predicate = layer.annotations.get_key_value(PREDICATE_TYPE);
        annotations.extend(predicate.map(|(key, text)| (key.clone(), text.clone())));
    }
    if let Some(created) = attachment.created {
        annotations.insert(CREATED.to_owned(), created.rfc3339()?);
    }
    annotations.extend(attachment.annotations.clone());
    Ok(annotations)
}
