//! Puts statements about an image into its index, as BuildKit does (attestation-storage.md): a manifest for the platform
//! `unknown/unknown`, each of whose layers is a statement of in-toto. An image without an index gets one.

use crate::attach::{Attachment, open, target_of};
use crate::blob_source::BlobSource;
use crate::discover::{REFERENCE_DIGEST, REFERENCE_TYPE, is_attestation};
use crate::oci_destination::OciDestination;
use crate::shared_change::{MOST_ROUNDS, pause, turn};
use crate::{CompressionChoice, Error, ImageTarget, Opener, Result, find_manifest};
use layerstone_attestation::Statement;
use layerstone_layer::Content;
use layerstone_oci::{
    ARTIFACT_KINDS, Descriptor, IN_TOTO, Index, Manifest, PREDICATE_TYPE, Place, Platform, Reference, StoredManifest,
    Wanted, media_type,
};
use layerstone_store::{Digest, Limits};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

/// What statements that BuildKit writes say that they are.
const STATEMENT: &str = "https://in-toto.io/Statement/v0.1";
/// The system and the architecture of what no machine runs.
const UNKNOWN: &str = "unknown";

/// What was put into an index.
pub struct Attested {
    /// The image that the statements are about.
    pub subject: Descriptor,
    /// The entry of the index that leads to them.
    pub manifest: Descriptor,
    /// The index that the name leads to now.
    pub index: Descriptor,
}

/// A statement, as a layer.
pub(crate) struct StatementLayer {
    pub layer: Descriptor,
    pub bytes: Vec<u8>,
}

impl StatementLayer {
    /// A statement whose predicate is of this type.
    pub fn of(predicate: &str, bytes: Vec<u8>) -> StatementLayer {
        let layer = Descriptor::of(IN_TOTO, &bytes);
        let annotations = [(PREDICATE_TYPE.to_owned(), predicate.to_owned())].into();
        StatementLayer { layer: Descriptor { annotations, ..layer }, bytes }
    }

    /// The statement about an image that this is the predicate of, a text of JSON.
    pub fn wrapping(text: &[u8], predicate: &str, subject: &Digest) -> StatementLayer {
        StatementLayer::of(predicate, wrapped(text, predicate, subject))
    }
}

/// Puts files into the index of an image, as statements about the image in it for a platform that is named, or the only one.
/// A file that is no statement becomes the predicate of one.
///
/// # Errors
///
/// The image is not there, or there are several; a file is neither a statement nor what a type of predicates is known for,
/// or is a statement about another image; the place refuses.
pub fn attest(place: &Place, wanted: &Wanted, attachment: &Attachment, opener: &Opener<'_>) -> Result<Attested> {
    let target = target_of(place)?;
    let _turn = turn(&target)?;
    for round in 0..MOST_ROUNDS {
        let begin = Instant::now();
        let (attested, is_put) = attest_once(place, &target, wanted, attachment, opener)?;
        // Another client may move the name at the same moment, to an index without these statements.
        if !is_put || !matches!(place, Place::Registry(_)) {
            return Ok(attested);
        }
        pause(begin, &attested.index.digest, round, opener)?;
    }
    let message = format!("not in the index: {place}: found it changed by others {MOST_ROUNDS} times");
    Err(Error::advised(message, "another client writes at the same moment: attach again"))
}

/// Puts the statements, and whether there was something to put.
fn attest_once(
    place: &Place,
    target: &ImageTarget,
    wanted: &Wanted,
    attachment: &Attachment,
    opener: &Opener<'_>,
) -> Result<(Attested, bool)> {
    let (top, bytes) = find_manifest(place, &Wanted::new(None, None, None), opener)?;
    let file;
    let (source, name) = match place {
        Place::File(location) => {
            file = opener.open(place, wanted)?.file;
            let (_, _, names) = file.listed(location)?;
            (BlobSource::File(&file), name_in_layout(place, &names)?)
        }
        Place::Registry(reference) if reference.digest().is_none() => {
            (BlobSource::Registry(opener.registries.repository(reference)?), None)
        }
        other => {
            let message = format!("found a digest: {other}: expected HOST/NAME:TAG, which leads to the new index");
            return Err(Error::advised(message, "without --attest it is attached to what the digest names"));
        }
    };
    let mut index = index_of(place, &top, &bytes, &source, &opener.limits)?;
    let subject = chosen(place, wanted, &index)?;
    let files = attachment.files.iter();
    let statements = files
        .map(|path| statement(path, &attachment.media_type, &subject.digest, &opener.limits))
        .collect::<Result<Vec<_>>>()?;
    let made = manifest(&index, &subject, &statements, &source, &opener.limits)?;
    let manifest = entry(&made.1.descriptor, &subject.digest);
    replace(&mut index, &manifest);
    let bytes = index.to_bytes();
    let descriptor = Descriptor::of(media_type::INDEX, &bytes);
    let attested = Attested { subject, manifest, index: descriptor };
    if attested.index.digest == top.digest {
        return Ok((attested, false));
    }
    if !source.referrers(&top.digest)?.is_empty() {
        opener.report.notice(&format!("what is attached to {} stays with it, and is not of the new index", top.digest));
    }
    put(target, &statements, &made, (&attested.index, &bytes), name.as_ref(), opener)?;
    Ok((attested, true))
}

/// What an image of a layout is called; without a name it would stay beside its index.
fn name_in_layout(place: &Place, names: &[String]) -> Result<Option<Reference>> {
    let name = names.iter().find(|name| name.contains(':')).map(|name| Reference::unchecked(name).tagged());
    if name.is_none() {
        let message = format!("no name: {place}: expected an image called NAME:TAG, which leads to the new index");
        return Err(Error::advised(message, format!("`layerstone copy {place} oci:DIR --as NAME:TAG` names it")));
    }
    Ok(name)
}

/// The index that a name leads to, or one of the image that it leads to.
fn index_of(place: &Place, top: &Descriptor, bytes: &[u8], source: &BlobSource<'_>, limits: &Limits) -> Result<Index> {
    let name = top.digest.to_string();
    if media_type::is_index(&top.media_type) {
        let mut index = Index::parse(bytes, &name, limits)?;
        // docker's list has no entries of OCI.
        media_type::INDEX.clone_into(&mut index.media_type);
        return Ok(index);
    }
    let manifest = Manifest::parse(bytes, &name, limits)?;
    if let Some(kind) = manifest.artifact() {
        bail!("not an image: {place}: found an artifact of type {}", kind.escape_debug());
    }
    let config: Option<Value> = serde_json::from_slice(&source.small_blob(&manifest.config)?).ok();
    let platform = config.as_ref().and_then(Platform::of_config);
    let image = Descriptor { platform, ..Descriptor::new(&top.media_type, top.digest, top.size) };
    Ok(Index::new(vec![image], BTreeMap::new()))
}

/// The image of an index that statements are about.
fn chosen(place: &Place, wanted: &Wanted, index: &Index) -> Result<Descriptor> {
    let is_image = |it: &&Descriptor| {
        let is_unknown = it.platform.as_ref().is_some_and(|platform| platform.os == UNKNOWN);
        media_type::is_image(&it.media_type) && !is_unknown && it.artifact_type().is_none()
    };
    let images: Vec<&Descriptor> = index.manifests.iter().filter(is_image).collect();
    let found = || {
        let platforms =
            images.iter().map(|it| it.platform.as_ref().map_or("no platform".to_owned(), ToString::to_string));
        platforms.collect::<Vec<_>>().join(", ")
    };
    if wanted.is_named {
        let nothing = &mut |_: &Descriptor| Ok::<_, Error>(None);
        let best = wanted.best(&images, |it| it.platform.as_ref(), nothing)?;
        let (wanted, name) = (wanted.to_string(), place.to_string());
        return best.cloned().ok_or_else(|| Error::NoImage { wanted, name, found: found() });
    }
    match images[..] {
        [one] => Ok(one.clone()),
        _ => {
            let message = format!("{} images: {place}: found {}, expected one", images.len(), found());
            Err(Error::advised(message, "--platform OS/ARCH says which of them the statements are about"))
        }
    }
}

/// The statement that a file is, or is the predicate of.
fn statement(path: &Path, media_type: &str, subject: &Digest, limits: &Limits) -> Result<StatementLayer> {
    let file = open(path, media_type, limits)?;
    let mut text = Vec::new();
    file.content.write_to(0, &mut text)?;
    let wrong = |cause: String| invalid!("not a statement: {}: {cause}", path.display());
    limits.check_json(&text).map_err(|exceeded| wrong(exceeded.to_string()))?;
    let value: Value = serde_json::from_slice(&text).map_err(|e| wrong(format!("not JSON: {e}")))?;
    let stated = value["_type"].as_str().filter(|kind| kind.starts_with("https://in-toto.io/Statement/"));
    match (stated, value["predicateType"].as_str()) {
        (Some(_), Some(predicate)) => {
            let name = path.display().to_string();
            check_subject(&Statement::parse(&text, &name, limits)?, &name, subject)?;
            Ok(StatementLayer::of(predicate, text.clone()))
        }
        _ => {
            let known = ARTIFACT_KINDS.iter().find(|kind| kind.media_type == media_type).and_then(|it| it.predicate);
            let Some(predicate) = known else {
                let hint = "--type spdx, cyclonedx, vex and sarif make a statement of what is none";
                return Err(Error::advised(wrong(format!("found none of in-toto, and the type {media_type}")), hint));
            };
            Ok(StatementLayer::wrapping(&text, predicate, subject))
        }
    }
}

/// Checks that a statement, whose file is called so, is about an image.
///
/// # Errors
///
/// It is about another one.
pub(crate) fn check_subject(statement: &Statement, name: &str, image: &Digest) -> Result<()> {
    match statement.is_about(image) {
        true => Ok(()),
        false => bail!("cannot attest: {name}: found a statement about another image, expected one about {image}"),
    }
}

/// A statement about an image, with this predicate as it is written.
fn wrapped(predicate: &[u8], predicate_type: &str, subject: &Digest) -> Vec<u8> {
    let subject = json!([{"name": "_", "digest": {"sha256": subject.hex()}}]);
    let begin = json!({"_type": STATEMENT, "predicateType": predicate_type, "subject": subject}).to_string();
    // Another key before the brace that ends it.
    let begin = begin.strip_suffix('}').unwrap_or_default();
    [begin.as_bytes(), b",\"predicate\":", predicate.trim_ascii(), b"}"].concat()
}

/// The config and the manifest of statements about an image: these, and those that the index has already.
fn manifest(
    index: &Index,
    subject: &Descriptor,
    statements: &[StatementLayer],
    source: &BlobSource<'_>,
    limits: &Limits,
) -> Result<(Vec<u8>, StoredManifest)> {
    let mut layers = Vec::new();
    for there in index.manifests.iter().filter(|it| is_about(it, &subject.digest)) {
        layers.extend(Manifest::parse(&source.manifest(there)?, &there.digest.to_string(), limits)?.layers);
    }
    for StatementLayer { layer, .. } in statements {
        if layers.iter().all(|it: &Descriptor| it.digest != layer.digest) {
            layers.push(layer.clone());
        }
    }
    Ok(self::statements(layers))
}

/// The config and the manifest of these statements.
pub(crate) fn statements(layers: Vec<Descriptor>) -> (Vec<u8>, StoredManifest) {
    let diff_ids: Vec<Digest> = layers.iter().map(|layer| layer.digest).collect();
    let rootfs = json!({"type": "layers", "diff_ids": diff_ids});
    let config = json!({"architecture": UNKNOWN, "os": UNKNOWN, "config": {}, "rootfs": rootfs}).to_string();
    let manifest = Manifest::new(Descriptor::of(media_type::CONFIG, config.as_bytes()), layers, BTreeMap::new());
    (config.into_bytes(), StoredManifest::of(manifest))
}

/// Whether an entry is a statement about an image.
fn is_about(entry: &Descriptor, image: &Digest) -> bool {
    is_attestation(entry) && entry.annotations.get(REFERENCE_DIGEST).is_some_and(|it| *it == image.to_string())
}

/// The entry of statements about an image.
pub(crate) fn entry(manifest: &Descriptor, image: &Digest) -> Descriptor {
    let unknown = UNKNOWN.to_owned();
    let platform = Platform { os: unknown.clone(), architecture: unknown, ..Platform::default() };
    let (kind, word) = REFERENCE_TYPE;
    let annotations =
        [(REFERENCE_DIGEST.to_owned(), image.to_string()), (kind.to_owned(), word.to_owned())].into_iter().collect();
    Descriptor { platform: Some(platform), annotations, ..manifest.clone() }
}

/// Puts an entry where those about the same image are, or else behind all images.
fn replace(index: &mut Index, entry: &Descriptor) {
    let image = entry.annotations[REFERENCE_DIGEST].parse().ok();
    let is_old = |it: &Descriptor| image.is_some_and(|image| is_about(it, &image));
    let at = index.manifests.iter().position(is_old).unwrap_or(index.manifests.len());
    index.manifests.retain(|it| !is_old(it));
    index.manifests.insert(at, entry.clone());
}

/// Puts all of it, the index last.
fn put(
    target: &ImageTarget,
    statements: &[StatementLayer],
    (config, manifest): &(Vec<u8>, StoredManifest),
    (index, bytes): (&Descriptor, &[u8]),
    name: Option<&Reference>,
    opener: &Opener<'_>,
) -> Result<()> {
    let to = OciDestination::open(target, CompressionChoice::default(), opener.registries, &[])?;
    let store = to.store();
    for StatementLayer { layer, bytes } in statements {
        let content: Arc<dyn Content> = Arc::new(bytes.clone());
        store.put(layer, &content)?;
    }
    let content: Arc<dyn Content> = Arc::new(config.clone());
    store.put(&manifest.manifest.config, &content)?;
    store.put_manifest(&manifest.descriptor, &manifest.bytes)?;
    to.finish(index, bytes, name)
}
