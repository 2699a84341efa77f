//! What a build is: from an image spec and a store to an image, stage by stage or in one go, and copies of images.
//!
//! A [`Builder`] has all that the image of one spec is built on; its stages can be run one by one. An [`ImageTarget`] says
//! where an image goes, an [`ImageSource`] where one comes from, and a [`Copier`] takes images from the one to the other.
//! What is cached of layers is behind a [`BuildCache`]. A [`BuildGraph`] is a build as rules of ninja or make.
//!
//! This crate knows no command line and prints nothing: what a user should know goes to a [`Report`].

#![forbid(unsafe_code)]

#[macro_use]
mod error;

mod attach;
mod attest;
mod base_image;
mod blob_source;
mod build_cache;
pub mod build_graph;
mod build_state;
mod builder;
mod check_image;
mod check_layers;
mod check_places;
mod check_spec;
mod companion;
mod compression_choice;
mod copies;
mod copy;
mod copy_blob;
mod copy_index;
mod copy_referrers;
mod cosign_tag;
mod depfile;
mod destination;
mod discover;
mod docker_destination;
pub mod engine;
mod erofs_cache;
mod evidence;
mod find_manifest;
#[cfg(any(test, fuzzing))]
pub mod fuzz;
mod image;
mod image_bill;
mod image_facts;
mod image_report;
mod image_source;
mod image_target;
mod known_layers;
mod layers;
mod layers_below;
mod make_layers;
mod mentions;
mod mount_layer;
mod new_directory;
mod nix_build;
mod nix_db;
mod oci_destination;
mod opener;
mod os_packages;
mod plan_options;
mod planned_bill;
mod previous_plan;
mod prior_layers;
mod provenance;
mod publish;
mod ready_plan;
mod record;
mod reference_source;
mod registries;
mod rehearsal;
mod remote;
mod report;
pub mod root_layer;
pub mod root_script;
#[cfg(feature = "nix-db")]
mod rpm_database;
#[cfg(not(feature = "nix-db"))]
#[path = "no_rpm_database.rs"]
mod rpm_database;
pub mod runnable;
mod shared_change;
mod sign;
mod signal_safe;
mod signer_program;
pub mod single_layer;
mod strategy;
mod tally;
mod tar_layer;
mod trust;
mod verify;

pub use attach::{Attached, Attachment, attach};
pub use attest::{Attested, attest};
pub use base_image::{BaseImage, BaseNeeds, make_plain, open_file_as, wanted_for};
pub use build_cache::{BuildCache, CacheOptions, SIZE};
pub use build_graph::BuildGraph;
pub use build_state::{BuildState, files as state_files};
pub use builder::{BuildOptions, Builder, settings};
pub use check_image::CheckedImage;
pub use check_layers::check_layers;
pub use check_places::{check_places, check_sources};
pub use check_spec::check_spec;
pub use companion::{Companion, Companions};
pub use compression_choice::CompressionChoice;
pub use copies::{Below, comment as copies_comment, libraries, open_tree, report_libraries, spec_of_copy_layer};
pub use copy::Copier;
pub use copy_blob::copy_blob;
pub use depfile::{BuildStep, StepOptions};
pub use destination::{Destination, WriteOptions};
pub use discover::{Detached, Discovered, FoundReferrer, Meant, detach, discover, referrers};
pub use docker_destination::write_archive;
pub use erofs_cache::ErofsCache;
pub use error::{Differences, Error, Refused, Result, chain_text};
pub use find_manifest::find_manifest;
pub use image::{Built, Checks, FoundLayer, check_architecture, image_of, layer_files_of, read_layer, write_image};
pub use image_bill::{BillSources, add_sha512, image_bill, time_of_bill};
pub use image_facts::PolicyCheck;
pub use image_report::{
    ImageReport, LayerState, PathKind, Prices, ReferencesFrom, ReportedImage, ReportedLayer, ReportedPath,
    StrategyPrice, image_report,
};
pub use image_source::ImageSource;
pub use image_target::{ImageTarget, check_tar, refuse_no_registry, refuse_other_kind};
pub use layers_below::LayersBelow;
pub use make_layers::{LayersToMake, layouts, recipes};
pub use mentions::Mentions;
pub use mount_layer::MountLayer;
pub use new_directory::make_directory;
pub use nix_build::{ATTRIBUTES, ATTRIBUTES_FILE, attributes_file, outputs as nix_outputs};
pub use nix_db::{COMMENT as NIX_DB_COMMENT, NixDbLayer};
pub use oci_destination::PutManifest;
pub use opener::{OpenedFile, Opener};
pub use plan_options::PlanOptions;
pub use planned_bill::{bill_of_plan, bill_of_spec};
pub use previous_plan::{PreviousImages, PreviousPlan};
pub use prior_layers::{PriorLayers, layer_files};
pub use provenance::BuiltBy;
pub use publish::{Published, build_index, publish_image};
pub use ready_plan::plan_or_made;
pub use record::{NAME as RECORD_NAME, Record};
pub use reference_source::ReferenceSource;
pub use registries::{Mirror, Registries};
pub use rehearsal::{Rehearsal, Rehearsed};
pub use remote::{RemoteImage, digest as remote_digest, image as remote_image, name_of};
pub use report::{Report, Silent, Task, title_of_paths};
pub use root_script::{RootScript, ScriptOptions};
pub use sign::{Signature, Signing, sign};
pub use signer_program::{SignerProgram, sign_with};
pub use strategy::strategy_of;
pub use tally::{Origin, Sum, TalliedLayer, Tally};
pub use tar_layer::{NewBlob, TarLayer};
pub use trust::TrustCheck;
pub use verify::{DoubtfulSignature, VerifiedImage, VerifiedProof, not_signed, require_signed, verify};
