//! Statements about images: what is said of them, and by whom.
//!
//! A [`Statement`] says something of subjects, which it names by their digests (in-toto).
//! [`Provenance`] says how a subject was built (SLSA).
//!
//! This crate does not know where images and statements are kept.

#![forbid(unsafe_code)]

mod error;
mod provenance;
mod statement;

pub use error::{Error, Result};
pub use provenance::{BUILD_TYPE, Provenance, Resource, SLSA_PROVENANCE, UNNAMED_BUILDER};
pub use statement::{IN_TOTO_STATEMENT, Statement, Subject};
