//! Parses image.json, the description of an image to build, which people write.
//!
//! A [`Spec`] is parsed from such a file; FORMAT.md beside this crate says what each key means, and [`Spec::schema`] gives a
//! JSON Schema of it. This crate does not read the files that a spec names, and does not know how an image is made.

#![forbid(unsafe_code)]

mod error;
#[cfg(any(test, fuzzing))]
pub mod fuzz;
mod spec;

pub use error::{Error, Result};
pub use spec::{
    CopyEntry, DEFAULT_MAX_LAYERS, Helper, ImageKind, LAYERS_OF_DOCKER, LEAST_VM_MEMORY, LIBRARIES_LAYER, Layering,
    MOST_VM_SIZE, Perm, References, RootMode, SPEC_FORMAT, SPEC_VERSION, Script, Spec, Which, config_faults,
};
