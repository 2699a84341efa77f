//! Tells whether an image is as a policy wants it, without running it: sizes, packages, files, config, licences, signatures
//! of store paths, and who must have signed the image itself.
//!
//! A [`Policy`] is parsed from a file (FORMAT.md beside this crate). [`Facts`] are what is known of an image.
//! [`Policy::check`] compares them; each [`Finding`] says what is wrong and what to do.
//!
//! This crate does not read images, and does not know where they are.

#![forbid(unsafe_code)]

mod error;
mod facts;
mod finding;
mod policy;
mod rule;
mod sarif;
mod trust;

pub use error::{Error, Result};
pub use facts::{Facts, FileFact, FileKind, LayerFact};
pub use finding::Finding;
pub use policy::{
    ConfigPolicy, EnvPolicy, FilesPolicy, LicensesPolicy, POLICY_FORMAT, POLICY_VERSION, PackagesPolicy, Policy,
    RequiredFile, SignaturesPolicy, SizePolicy,
};
pub use sarif::sarif;
pub use trust::{RequiredAttestation, SignedFact, TrustFacts, TrustPolicy, TrustRule};
