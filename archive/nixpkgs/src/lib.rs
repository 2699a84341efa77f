//! Writes what nixpkgs' own tools write, to the byte: the stream of `stream_layered_image.py`, and the metadata of layers from
//! before there was a manifest.json, which `buildImage` still writes.
//!
//! A [`Conf`] is the script's input, and a [`Stream`] what it makes of it. Where the script goes by Python's rules (times, tars
//! that it reads and writes again), so does this crate; all other images are read and written by `layerstone-image`, which
//! does not know this crate.

#![forbid(unsafe_code)]

mod conf;
mod error;
#[cfg(any(test, fuzzing))]
pub mod fuzz;
mod jshon;
mod legacy;
mod python_tar;
mod python_time;
mod stream;
mod stream_base;

pub use conf::Conf;
pub use error::{Error, Result};
pub use legacy::{
    LAYER_VERSION, LegacyInput, LegacyLayer, LegacyOrigin, REPOSITORIES_NAME, legacy_layer_json, legacy_layers,
    repositories,
};
pub use stream::Stream;
