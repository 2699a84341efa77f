//! An image as a docker archive holds it: a member for each layer, the config, manifest.json. Does not know where the
//! archive goes.

use crate::archive::{config_name, layer_name};
use crate::manifest::{manifest_entry, manifest_text};
use crate::{Archive, LayerMember, MANIFEST_NAME, Trailer, WrittenLayer};
use layerstone_layer::Result;
use layerstone_oci::{Image, PutImage};
use layerstone_store::Digest;
use std::collections::BTreeMap;

/// What a docker archive says for readers of before there was a manifest.json.
pub trait LegacyMetadata: Sync {
    /// Name of the member of a layer.
    fn layer_name(&self, index: usize) -> String;
    /// The members beside the layers and the config; `reference` is `NAME:TAG`.
    fn members(&self, reference: &str) -> Trailer;
}

/// An image about to be written into a docker archive.
pub struct DockerImage<'a> {
    image: &'a Image<'a>,
    legacy: Option<&'a dyn LegacyMetadata>,
    archive: Archive<'static>,
    /// The member of each layer.
    members: Vec<usize>,
}

impl<'a> DockerImage<'a> {
    /// The archive of an image whose layers are plain. A layer that stands twice, as far as its digest is known, is stored
    /// once, but with legacy metadata, in which it has two IDs.
    ///
    /// # Errors
    ///
    /// Of a layer only the blob exists.
    pub fn new(image: &'a Image<'a>, legacy: Option<&'a dyn LegacyMetadata>) -> Result<DockerImage<'a>> {
        let (mut layers, mut members, mut first) = (Vec::new(), Vec::new(), BTreeMap::new());
        for (index, layer) in image.layers.iter().enumerate() {
            let next = layers.len();
            let member = match (legacy, layer.diff_id) {
                (None, Some(digest)) => *first.entry(digest).or_insert(next),
                _ => next,
            };
            if member == next {
                let name = legacy.map(|legacy| legacy.layer_name(index));
                layers.push(LayerMember { name, ..LayerMember::of(layer)? });
            }
            members.push(member);
        }
        Ok(DockerImage { image, legacy, archive: Archive { before: &[], layers, mtime: image.mtime }, members })
    }

    /// The archive, to be written with [`DockerImage::trailer`].
    pub fn archive(&self) -> &Archive<'static> {
        &self.archive
    }

    /// The diff IDs of the archive's members, if they are all known before they are written.
    pub fn known(&self) -> Option<Vec<Digest>> {
        self.archive.layers.iter().map(|layer| layer.expected).collect()
    }

    /// The members of the archive, to be told where an earlier one has them.
    pub fn members(&mut self) -> &mut [LayerMember] {
        &mut self.archive.layers
    }

    /// The image in its archive, which is there already with these diff IDs of the members.
    pub fn untouched(&self, known: &[Digest]) -> PutImage {
        let layer = |diff_id: &Digest| WrittenLayer { diff_id: *diff_id, blob: None, span: None };
        PutImage { untouched: true, ..self.put(&known.iter().map(layer).collect::<Vec<_>>()) }
    }

    /// What follows the layers, given the diff IDs of the members.
    pub fn trailer(&self, found: &[Digest]) -> Trailer {
        let diff_ids = self.diff_ids(found);
        let config = self.image.config.bytes(&diff_ids);
        let image_id = Digest::of(&config);
        let reference = self.image.name_for(&image_id).map(|name| name.to_string());
        let names = diff_ids.iter().enumerate().map(|(index, diff_id)| match self.legacy {
            Some(legacy) => legacy.layer_name(index),
            None => layer_name(diff_id),
        });
        let config_name = config_name(&image_id);
        let entry = manifest_entry(&config_name, reference.as_slice(), &names.collect::<Vec<_>>());
        let legacy = self.legacy.zip(reference.as_deref());
        let mut members = legacy.map_or(Trailer::new(), |(legacy, reference)| legacy.members(reference));
        members.extend([(config_name, config.into_owned()), (MANIFEST_NAME.to_owned(), manifest_text(vec![entry]))]);
        members
    }

    /// The image in its archive, of the members that were written.
    pub fn put(&self, written: &[WrittenLayer]) -> PutImage {
        let diff_ids = self.diff_ids(&written.iter().map(|layer| layer.diff_id).collect::<Vec<_>>());
        let image_id = Digest::of(&self.image.config.bytes(&diff_ids));
        let blobs = self.members.iter().map(|&member| written[member].blob).collect();
        PutImage { name: self.image.name_for(&image_id), image_id, diff_ids, blobs, manifest: None, untouched: false }
    }

    /// The diff IDs of the layers, of those of the members.
    fn diff_ids(&self, found: &[Digest]) -> Vec<Digest> {
        self.members.iter().map(|&member| found[member]).collect()
    }
}
