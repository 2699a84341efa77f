//! Statements about images: what is said of them, and by whom.
//!
//! A [`Statement`] says something of subjects, which it names by their digests (in-toto). [`Provenance`] says how
//! a subject was built (SLSA). A [`PrivateKey`] signs it in an
//! [`Envelope`] (DSSE), which a [`Bundle`] holds (Sigstore). [`Evidence`] is what was found beside an image, in whatever
//! form; it proves something once a [`PublicKey`] has verified it.
//!
//! This crate does not know where images and statements are kept.

#![forbid(unsafe_code)]

mod bundle;
mod dsse;
mod encrypted_key;
mod error;
mod evidence;
#[cfg(any(test, fuzzing))]
pub mod fuzz;
mod pem;
mod predicate;
mod private_key;
mod provenance;
mod public_key;
#[cfg(test)]
mod sample_key;
mod simple_signing;
mod statement;

pub use bundle::{BUNDLE, BUNDLE_CONTENT, BUNDLE_PREDICATE, Bundle, BundleContent, ReadBundle, is_bundle};
pub use dsse::{Envelope, EnvelopeSignature, IN_TOTO_PAYLOAD, pae};
pub use error::{Error, Result};
pub use evidence::{COSIGN_SIGN, Doubt, Evidence, Form, Proof, Said, SignedImage};
pub use predicate::{NotAPredicateType, parse_predicate_type};
pub use private_key::PrivateKey;
pub use provenance::{BUILD_TYPE, Provenance, Resource, SLSA_PROVENANCE, UNNAMED_BUILDER};
pub use public_key::{Algorithm, PublicKey};
pub use simple_signing::{CERTIFICATE_ANNOTATION, SIGNATURE_ANNOTATION, SIMPLE_SIGNING, SimpleSigning};
pub use statement::{IN_TOTO_STATEMENT, Statement, Subject};
