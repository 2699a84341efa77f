//! The flags that say how layers are compressed.

use crate::args::usage_error;
use anyhow::Result;
use clap::error::ErrorKind;
use clap::{Args, ValueEnum};
use layerstone_layer::{Codec, Packing};
use layerstone_pipeline::CompressionChoice;

/// How layers are compressed; where neither flag is given, what fits the output.
#[derive(Args, Clone, Default)]
pub struct PackingArgs {
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

impl PackingArgs {
    /// What the flags say.
    pub fn choice(&self) -> Result<CompressionChoice> {
        let asked = self.compression.map(|format| self.packing(format)).transpose()?;
        Ok(CompressionChoice { asked, plain_by_default: false })
    }

    fn packing(&self, format: Format) -> Result<Option<Packing>> {
        let codec = match format {
            Format::None => None,
            Format::Gzip => Some(Codec::Gzip),
            Format::Zstd => Some(Codec::Zstd),
        };
        match (codec, self.level) {
            (codec, None) => Ok(codec.map(Packing::from)),
            (Some(codec), Some(level)) if codec.levels().contains(&level) => Ok(Some(Packing { codec, level })),
            (Some(codec), Some(level)) => {
                let (first, last) = codec.levels().into_inner();
                Err(wrong(&format!("--level: found {level}, expected {first} to {last}")))
            }
            (None, Some(_)) => Err(wrong("--level: expected a compression beside it")),
        }
    }
}

fn wrong(message: &str) -> anyhow::Error {
    usage_error("", ErrorKind::ValueValidation, message)
}
