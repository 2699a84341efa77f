//! Images as OCI has them: blobs by digest, manifests that list them, indexes that list manifests (OCI image-spec 1.1).
//!
//! A [`Destination`] keeps blobs: a [`Layout`] is one, a registry another. [`put_layers`] brings layers there, those that
//! must be compressed and those whose bytes are there, several at once; a [`Manifest`] or an [`Index`] says what they
//! are then.
//!
//! This crate does not know where images come from, what is in a config, nor the protocol of registries.

mod architecture;
mod content;
mod descriptor;
mod destination;
mod error;
mod json;
mod layout;
mod location;
mod manifest;
pub mod name;
mod platform;
mod put;
mod reference;
mod staging;
mod time;
mod wanted;

pub use architecture::{go_architecture, host_architecture};
pub use content::{Content, Packable};
pub use descriptor::{
    Descriptor, STORE_PATHS, drop_annotations_of_bytes, media_type, names_annotations, names_in, without_names,
};
pub use destination::{Destination, Given, Name, Put, spool};
pub use error::{Error, Result};
pub use json::check_json;
pub use layout::{INDEX_NAME, LAYOUT_NAME, LAYOUT_TEXT, Layout, blob_name};
pub use location::Location;
pub use manifest::{Index, Manifest};
pub use platform::Platform;
pub use put::{Layer, Placed, Tar, put_layers};
pub use reference::Reference;
pub use time::{TIME_FORMS, Time};
pub use wanted::Wanted;
