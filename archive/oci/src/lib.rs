//! Images as OCI has them: blobs by digest, manifests that list them, indexes that list manifests (OCI image-spec 1.1).
//!
//! A [`Reference`] names an image. A [`BlobStore`] stores it: a [`OciLayout`] is one, a registry another. [`put_layers`]
//! puts layers there, compressed if they must be, several at once; a [`Manifest`] or an [`Index`] lists them.
//!
//! This crate does not know where images come from, what is in a config, nor the protocol of registries.

#![forbid(unsafe_code)]

mod annotation;
mod architecture;
mod artifact_kind;
mod blob_store;
mod error;
#[cfg(any(test, fuzzing))]
pub mod fuzz;
mod image;
mod layout;
mod layout_file;
mod location;
mod manifest;
mod place;
mod put;
mod reference;
mod referrer;
mod skopeo;
mod staging;
mod time;
mod wanted;

pub use annotation::{
    MadeLayer, NIX_CLOSURE, NIX_LAYER, NIX_STORE_PATH, STORE_PATHS, drop_annotations_of_bytes, is_mounted,
    names_annotations, names_in, without_names,
};
pub use architecture::{go_architecture, host_architecture};
pub use artifact_kind::{ARTIFACT_KINDS, ArtifactKind, IN_TOTO, InvalidKind, PREDICATE_TYPE, parse_media_type};
pub use blob_store::{BlobStore, BlobWriter, ExpectedImage, PutOutcome, spool_to_temp};
pub use error::{Error, Result};
pub use image::{Config, Image, PutImage};
pub use layerstone_layer::{CompressionParams, Content, Descriptor, Platform, media_type};
pub use layout::OciLayout;
pub use layout_file::{INDEX_NAME, LAYOUT_NAME, LAYOUT_TEXT, blob_name};
pub use location::Location;
pub use manifest::{Index, Manifest, StoredManifest};
pub use place::{
    Engine, InvalidPlace, PLACES, Place, PlaceKind, is_like_a_kind, parse_reference, refuse_unknown_kind, split_kind,
};
pub use put::{LayerOutcome, put_layers};
pub use reference::{DOCKER_HOSTS, InvalidReference, Reference};
pub use referrer::{CREATED, EMPTY_CONFIG, Referrer, empty_config, file_layer, referrers_tag};
pub use skopeo::refuse_name;
pub use time::{TIME_FORMS, Time};
pub use wanted::Wanted;
