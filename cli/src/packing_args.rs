//! The flags that say how layers are compressed.

use crate::args::usage_error;
use anyhow::Result;
use clap::error::ErrorKind;
use clap::{Args, ValueEnum};
use layerstone_layer::{Compression, CompressionParams};

/// How layers are compressed; where neither flag is given, what fits the output.
#[derive(Args, Clone, Default)]
pub struct PackingArgs {
    /// How to compress each layer, or all of a docker archive
    #[arg(long, value_name = "FORMAT")]
    compression: Option<Format>,
    /// How hard to compress: gzip 1 to 12 [default: 4], zstd 1 to 22 [default: 3]
    #[arg(long, value_name = "N", requires = "compression")]
    level: Option<i32>,
    /// Whether layers are not compressed where nobody says.
    #[arg(skip)]
    is_plain: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    None,
    Gzip,
    Zstd,
}

impl PackingArgs {
    /// Whether a flag is given.
    pub fn is_given(&self) -> bool {
        self.compression.is_some()
    }

    /// The same flags, for layers that are not compressed where nobody says.
    pub fn or_plain(&self) -> PackingArgs {
        PackingArgs { is_plain: true, ..self.clone() }
    }

    /// What the flags say of layers where layers are blobs, or else what is said already, or else what is usual.
    pub fn of_layers(&self, said: Option<CompressionParams>) -> Result<Option<CompressionParams>> {
        let usual = Some(CompressionParams::GZIP).filter(|_| !self.is_plain);
        self.packing(said.or(usual))
    }

    /// What the flags say, or else this; none for no compression.
    pub fn packing(&self, default: Option<CompressionParams>) -> Result<Option<CompressionParams>> {
        let compression = match self.compression {
            None => return Ok(default),
            Some(Format::None) => Compression::None,
            Some(Format::Gzip) => Compression::Gzip,
            Some(Format::Zstd) => Compression::Zstd,
        };
        match (compression.params(self.level), compression.params(None), self.level) {
            (None, None, Some(_)) => Err(wrong("--level: expected a compression beside it")),
            (None, Some(usual), Some(level)) => {
                let (first, last) = usual.levels().into_inner();
                Err(wrong(&format!("--level: found {level}, expected {first} to {last}")))
            }
            (params, ..) => Ok(params),
        }
    }
}

fn wrong(message: &str) -> anyhow::Error {
    usage_error("", ErrorKind::ValueValidation, message)
}
