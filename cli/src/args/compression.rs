//! The flags that say how layers are compressed.

use crate::message::usage_error::usage_error;
use anyhow::Result;
use clap::error::ErrorKind;
use clap::{Args, ValueEnum};
use layerstone_layer::{Compression, CompressionParams};
use layerstone_pipeline::CompressionChoice;

/// How layers are compressed; where neither flag is given, what fits the output.
#[derive(Args, Clone, Default)]
pub struct CompressionArgs {
    /// How to compress each layer, or all of a docker archive
    #[arg(long, value_name = "FORMAT")]
    compression: Option<Format>,
    /// How hard to compress: gzip 1 to 12 [default: 4], zstd 1 to 22 [default: 3]
    #[arg(long, value_name = "N", requires = "compression")]
    level: Option<i32>,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    None,
    Gzip,
    Zstd,
}

impl CompressionArgs {
    /// What the flags say.
    pub fn choice(&self) -> Result<CompressionChoice> {
        let asked = self.compression.map(|format| self.params(format)).transpose()?;
        Ok(CompressionChoice { asked, plain_by_default: false })
    }

    fn params(&self, format: Format) -> Result<Option<CompressionParams>> {
        let compression = match format {
            Format::None => Compression::None,
            Format::Gzip => Compression::Gzip,
            Format::Zstd => Compression::Zstd,
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
