//! The flags that say how layers are compressed.

use crate::message::usage_error::usage_error;
use anyhow::Result;
use clap::error::ErrorKind;
use clap::{Args, ValueEnum};
use layerstone_layer::CompressionParams;
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
    #[value(name = "zstd:chunked")]
    ZstdChunked,
}

impl CompressionArgs {
    /// What the flags say.
    pub fn choice(&self) -> Result<CompressionChoice> {
        let asked = self.compression.map(|format| self.params(format)).transpose()?;
        Ok(CompressionChoice { asked, plain_by_default: false })
    }

    fn params(&self, format: Format) -> Result<Option<CompressionParams>> {
        let usual = match format {
            Format::None => None,
            Format::Gzip => Some(CompressionParams::GZIP),
            Format::Zstd => Some(CompressionParams::ZSTD),
            Format::ZstdChunked => Some(CompressionParams::ZSTD_CHUNKED),
        };
        match (usual, self.level) {
            (usual, None) => Ok(usual),
            (None, Some(_)) => Err(wrong("--level: expected a compression beside it")),
            (Some(usual), Some(level)) => usual.at(level).map(Some).ok_or_else(|| {
                let (first, last) = usual.levels().into_inner();
                wrong(&format!("--level: found {level}, expected {first} to {last}"))
            }),
        }
    }
}

fn wrong(message: &str) -> anyhow::Error {
    usage_error("", ErrorKind::ValueValidation, message)
}
