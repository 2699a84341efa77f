//! Images: what they are to be, what they say about themselves, and docker archives.
//!
//! A [`Spec`] is an image.json, a [`Conf`] the conf.json of nixpkgs' `stream_layered_image.py`. Either gives
//! [`ImageFacts`], and these with the facts of the layers a [`Finished`] image: its ID, its config, its manifest. A
//! [`Base`] is an image to build on; [`inspect`] tells what an archive holds, [`held()`] which store paths its image
//! does.
//!
//! This crate knows layers by their digests; what is in them and why is not known here.
//!
//! ```
//! use layerstone_image::{LayerFacts, Spec};
//! use layerstone_stage::Digest;
//!
//! let spec = Spec::parse(br#"{"name": "Hello", "config": {"Cmd": ["/bin/hello"]}}"#, "image.json", "".as_ref())?;
//! let layers = [
//!     LayerFacts::of_paths(Digest::of(b"a tar"), &["/nix/store/xr2yc61k4shzhlyhz13n4pgbqyy4wvxr-hello"]),
//!     LayerFacts::customisation(Digest::of(b"another tar")),
//! ];
//! let image = spec.facts()?.finish(&layers);
//! let tag = spec.reference()?.for_image(&image.image_id);
//! assert!(tag.starts_with("hello:"));
//! assert!(image.manifest(&[tag]).starts_with(b"[\n    {\n        \"Config\": "));
//! # Ok::<(), layerstone_image::Error>(())
//! ```

mod architecture;
mod archive;
mod base;
mod blobs;
mod conf;
mod config;
mod contents;
mod decompression;
mod docker_archive;
mod error;
mod fields;
mod hashing;
mod held;
mod history;
mod image_file;
mod inherit;
mod inspect;
mod jshon;
mod legacy;
mod limits;
mod listed;
mod location;
mod manifest;
mod merge;
mod oci_archive;
mod oci_layout;
mod over;
mod platform;
mod python_json;
mod python_time;
mod reference;
mod spec;
mod stored;
mod tar_file;
mod tarinfo;
mod time;
mod unpacked;
mod unpacking;

pub use architecture::{go_architecture, host_architecture};
pub use archive::{Archive, LayerMember, Target, Trailer};
pub use base::Base;
pub use conf::Conf;
pub use config::{BaseFacts, Finished, ImageFacts, LayerFacts, paths_comment};
pub use decompression::Compression;
pub use error::{Claim, Error, Result};
pub use held::{Held, HeldPaths, held};
pub use image_file::ImageFile;
pub use inspect::{ArchiveSummary, ArtifactSummary, ImageSummary, LayerSummary, inspect};
pub use legacy::{
    LAYER_VERSION, LegacyFacts, LegacyInput, LegacyLayer, LegacyOrigin, REPOSITORIES_NAME, legacy_layer_json,
    legacy_layers, repositories,
};
pub use listed::StoredManifest;
pub use location::Location;
pub use manifest::MANIFEST_NAME;
pub use merge::{Merge, MergedImage};
pub use oci_archive::OciArchive;
pub use oci_layout::Artifact;
pub use platform::Wanted;
pub use reference::Reference;
pub use spec::{
    DEFAULT_MAX_LAYERS, FORMAT, Helper, Kind, LAYERS_OF_DOCKER, LEAST_VM_MEMORY, Layering, MOST_VM_SIZE, Perm,
    References, RootMode, Script, Spec, VERSION, Which,
};
pub use stored::{StoredImage, StoredLayer};
pub use time::{TIME_FORMS, Time};
pub use unpacked::{MaxUnpacked, open_plain};
pub use unpacking::unpack_blob;
