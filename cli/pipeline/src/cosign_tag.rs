//! Writes signatures of cosign's older form: an image under a tag that is made of the signed digest, each of whose layers is
//! one signature (cosign, specs/SIGNATURE_SPEC.md). Those that are there stay.
//!
//! Reading and writing are two requests: of two clients at the same moment the one that writes last undoes the other. So a
//! client looks again after a pause, and adds its signature once more if it is gone. A layout is signed by turns.

use crate::blob_source::BlobSource;
use crate::evidence::cosign_tag;
use crate::oci_destination::OciDestination;
use crate::shared_change::{MOST_ROUNDS, pause};
use crate::{CompressionChoice, Error, ImageTarget, Opener, Result};
use layerstone_layer::Content;
use layerstone_oci::{Descriptor, Manifest, Reference, StoredManifest, media_type};
use layerstone_store::{Digest, Limits};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

/// The time that go-containerregistry writes where there is none.
const NO_TIME: &str = "0001-01-01T00:00:00Z";

/// A signature as a layer.
pub(crate) struct TagLayer {
    /// What the tag ends in.
    pub suffix: &'static str,
    /// The layer's media type.
    pub media_type: &'static str,
    /// What it holds.
    pub bytes: Vec<u8>,
    /// What is said of it.
    pub annotations: BTreeMap<String, String>,
}

/// Adds a signature under the tag of an image; the digest of the manifest that has it. One that is there is not
/// added again, and in a registry it is added until it stays.
pub(crate) fn put_tagged(
    target: &ImageTarget,
    source: &BlobSource<'_>,
    repository: &str,
    image: &Digest,
    layer: TagLayer,
    opener: &Opener<'_>,
) -> Result<Digest> {
    let tag = cosign_tag(image, layer.suffix);
    let descriptor = Descriptor { annotations: layer.annotations, ..Descriptor::of(layer.media_type, &layer.bytes) };
    // A layout calls it what the image is called, and the tag alone tells what it is.
    let repository = if repository.is_empty() { "signatures" } else { repository };
    let name =
        Reference::new(repository, Some(&tag)).map_err(|e| invalid!("not a name: {repository}:{tag}: {}", e.cause))?;
    let target = match target {
        ImageTarget::Registry(_) => ImageTarget::Registry(name.clone()),
        other => other.clone(),
    };
    let content: Arc<dyn Content> = Arc::new(layer.bytes);
    for round in 0..MOST_ROUNDS {
        let begin = Instant::now();
        let there = signatures(source, &tag, &opener.limits)?;
        if let Some((digest, signatures)) = &there
            && signatures.layers.contains(&descriptor)
        {
            return Ok(*digest);
        }
        let (config, manifest) = with_layer(source, there.map(|(_, there)| there), descriptor.clone())?;
        let config: Arc<dyn Content> = Arc::new(config);
        let to = OciDestination::open(&target, CompressionChoice::default(), opener.registries, &[])?;
        to.store().put(&descriptor, &content)?;
        to.store().put(&manifest.manifest.config, &config)?;
        to.finish(&manifest.descriptor, &manifest.bytes, Some(&name))?;
        let BlobSource::Registry(_) = source else { return Ok(manifest.descriptor.digest) };
        pause(begin, &descriptor.digest, round, opener)?;
    }
    let message = format!("not under its tag: {name}: found it changed by others {MOST_ROUNDS} times");
    Err(Error::advised(message, "another client writes at the same moment: sign again"))
}

/// The signatures under a tag, and the digest of their manifest; none if the tag leads to nothing.
fn signatures(source: &BlobSource<'_>, tag: &str, limits: &Limits) -> Result<Option<(Digest, Manifest)>> {
    let Some((found, bytes)) = source.tagged(tag)? else { return Ok(None) };
    if !media_type::is_image(&found.media_type) {
        bail!("not signatures: {tag}: found {}, expected an image of signatures", found.media_type.escape_debug());
    }
    let manifest = Manifest::parse(&bytes, tag, limits)?;
    if let Some(layer) = manifest.layers.iter().find(|layer| is_files(layer)) {
        let kind = layer.media_type.escape_debug();
        let message = format!("not signatures: {tag}: found a layer {kind}, expected an image of signatures");
        return Err(Error::advised(message, "`layerstone delete` frees the tag; --form bundle needs none"));
    }
    Ok(Some((found.digest, manifest)))
}

/// The config and the manifest of the signatures that are there, with a layer more.
fn with_layer(
    source: &BlobSource<'_>,
    there: Option<Manifest>,
    layer: Descriptor,
) -> Result<(Vec<u8>, StoredManifest)> {
    let mut config = json!({
        "architecture": "", "created": NO_TIME, "history": [], "os": "",
        "rootfs": {"type": "layers", "diff_ids": []}, "config": {},
    });
    let (mut layers, mut annotations) = (Vec::new(), BTreeMap::new());
    if let Some(manifest) = there {
        let read: Option<Value> = serde_json::from_slice(&source.small_blob(&manifest.config)?).ok();
        config = read.filter(|it| it["rootfs"]["diff_ids"].is_array()).unwrap_or(config);
        (layers, annotations) = (manifest.layers, manifest.annotations);
    }
    if let Some(ids) = config["rootfs"]["diff_ids"].as_array_mut() {
        ids.push(json!(layer.digest));
    }
    if let Some(history) = config["history"].as_array_mut() {
        history.push(json!({"created": NO_TIME}));
    }
    layers.push(layer);
    let config = config.to_string().into_bytes();
    let manifest = Manifest::new(Descriptor::of(media_type::CONFIG, &config), layers, annotations);
    Ok((config, StoredManifest::of(manifest)))
}

/// Whether a layer is one of files, as those of images that run.
fn is_files(layer: &Descriptor) -> bool {
    ["application/vnd.oci.image.layer.", "application/vnd.docker.image.rootfs."]
        .iter()
        .any(|start| layer.media_type.starts_with(start))
}
