//! Images: what they say about themselves, docker archives, and images to build on.
//!
//! An [`OwnConfig`] gives [`ImageFacts`], and these with the facts of the layers a [`Finished`] image: its ID, its config,
//! its manifest. A [`StoredImage`] is an image to build on; an [`ArchiveSummary`] lists what an archive has, [`store_paths_of`] the
//! store paths of an image.
//!
//! This crate knows layers by their digests; what is in them and why is not known here.
//!
//! ```
//! use layerstone_image::{LayerFacts, OwnConfig};
//! use layerstone_store::Digest;
//! use serde_json::json;
//!
//! let parameters = json!({"Cmd": ["/bin/hello"]});
//! let own = OwnConfig {
//!     created: "1970-01-01T00:00:01Z".to_owned(),
//!     architecture: Some("amd64"),
//!     variant: None,
//!     parameters: parameters.as_object().unwrap(),
//!     inherit: false,
//! };
//! let layers = [
//!     LayerFacts::of_paths(Digest::of(b"a tar"), &["/nix/store/xr2yc61k4shzhlyhz13n4pgbqyy4wvxr-hello"]),
//!     LayerFacts::customisation(Digest::of(b"another tar")),
//! ];
//! let image = own.facts().finish(&layers);
//! assert!(image.manifest(&["hello:1".to_owned()]).starts_with(b"[\n    {\n        \"Config\": "));
//! ```

#![forbid(unsafe_code)]

mod archive;
mod archive_cache;
mod blobs;
mod chunked;
mod config;
mod copied_run;
mod decompression;
mod docker_archive;
mod docker_image;
mod error;
#[cfg(any(test, fuzzing))]
pub mod fuzz;
mod hashing;
mod header_bounds;
mod history;
mod image_file;
mod inherit;
mod inspect;
mod json_style;
mod listed;
mod listed_manifest;
mod manifest;
mod member;
mod member_writer;
mod merge;
mod oci_archive;
mod oci_layout;
mod over;
mod python_json;
mod store_paths;
mod stored;
mod subjects;
mod tar_file;
mod unpacked;
mod unpacking;
mod unread;

pub use archive::{Archive, Target, Trailer};
pub use archive_cache::{ArchiveCache, KeptArchives, NewArchive};
pub use chunked::ImageFetch;
pub use config::{BaseFacts, Finished, ImageFacts, LayerFacts, paths_comment};
pub use docker_archive::FirstImage;
pub use docker_image::{DockerImage, LegacyMetadata};
pub use error::{Claim, Error, Result};
pub use header_bounds::HeaderBounds;
pub use image_file::ImageFile;
pub use inherit::{NotAnEnv, merge_env};
pub use inspect::{ArchiveSummary, ImageSummary, LayerSummary};
pub use json_style::JsonStyle;
pub use layerstone_layer::Compression;
pub use manifest::MANIFEST_NAME;
pub use member::{CopiedMember, LayerMember, WrittenLayer};
pub use merge::{Merge, MergedImage};
pub use oci_archive::OciArchive;
pub use oci_layout::Artifact;
pub use over::OwnConfig;
pub use store_paths::{ImageStorePaths, PathSizes, store_paths_of};
pub use stored::{StoredImage, StoredLayer};
pub use tar_file::TarFile;
pub use unpacked::plain;
pub use unpacking::{FoundTar, unpack_blob, unpack_tar};
pub use unread::UnreadEntry;
