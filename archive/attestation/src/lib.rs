//! Statements about images: what is said of them, and by whom.
//!
//! A [`Statement`] says something of subjects, which it names by their digests (in-toto).
//!
//! This crate does not know where images and statements are kept.

#![forbid(unsafe_code)]

mod error;
mod statement;

pub use error::{Error, Result};
pub use statement::{IN_TOTO_STATEMENT, Statement, Subject};
