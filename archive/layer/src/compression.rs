//! Names the ways to compress a stream, and tells by its first bytes which one was taken. Does not compress.

use serde::{Deserialize, Serialize};
use std::io::{self, Read};
use std::ops::RangeInclusive;

/// How a stream is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Compression {
    /// Not at all, or in no way that we know.
    None,
    /// gzip (RFC 1952).
    Gzip,
    /// bzip2.
    Bzip2,
    /// The .xz file format.
    Xz,
    /// zstd (RFC 8878).
    Zstd,
}

/// How to compress: with the bytes themselves, this decides the result.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(tag = "codec", rename_all = "lowercase")]
pub enum CompressionParams {
    /// gzip.
    Gzip {
        /// libdeflate's level, 1 to 12.
        level: i32,
    },
    /// zstd.
    Zstd {
        /// zstd's level, 1 to 22.
        level: i32,
    },
    /// zstd, files and pieces of them in frames of their own, with a table of them.
    #[serde(rename = "zstd:chunked")]
    ZstdChunked {
        /// zstd's level, 1 to 22.
        level: i32,
    },
}

impl Compression {
    /// Bytes of the longest magic number.
    pub const MAGIC_LEN: usize = 6;

    /// Reads the first bytes of a file, and tells its compression by them.
    ///
    /// # Errors
    ///
    /// The file cannot be read.
    pub fn peek(file: impl Read) -> io::Result<Compression> {
        let mut start = Vec::new();
        file.take(Compression::MAGIC_LEN as u64).read_to_end(&mut start)?;
        Ok(Compression::of(&start))
    }

    /// Tells the compression by the first bytes of a file, of which [`Compression::MAGIC_LEN`] are enough.
    pub fn of(start: &[u8]) -> Compression {
        match start {
            [0x1f, 0x8b, ..] => Compression::Gzip,
            // The digit and the beginning of a block or of the end: a tar may begin with a file called BZhang.
            [b'B', b'Z', b'h', b'1'..=b'9', 0x31, 0x41, ..] | [b'B', b'Z', b'h', b'1'..=b'9', 0x17, 0x72, ..] => {
                Compression::Bzip2
            }
            [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => Compression::Xz,
            // A frame, or one that is skipped (RFC 8878, section 3.1.2).
            [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Compression::Zstd,
            _ => Compression::None,
        }
    }

    /// The parameters to compress so, at the default level; none for a way that this crate does not write.
    pub fn usual(self) -> Option<CompressionParams> {
        match self {
            Compression::Gzip => Some(CompressionParams::GZIP),
            Compression::Zstd => Some(CompressionParams::ZSTD),
            Compression::None | Compression::Bzip2 | Compression::Xz => None,
        }
    }
}

impl CompressionParams {
    /// gzip at the default level. Level 4 stays within 3 % of the size that zlib's level 6 reaches, at a third of its
    /// time; a change changes the output.
    pub const GZIP: CompressionParams = CompressionParams::Gzip { level: 4 };
    /// zstd at its own default level; a change changes the output.
    pub const ZSTD: CompressionParams = CompressionParams::Zstd { level: 3 };
    /// zstd:chunked at the same level.
    pub const ZSTD_CHUNKED: CompressionParams = CompressionParams::ZstdChunked { level: 3 };

    /// The level.
    pub fn level(self) -> i32 {
        let (CompressionParams::Gzip { level }
        | CompressionParams::Zstd { level }
        | CompressionParams::ZstdChunked { level }) = self;
        level
    }

    /// The same at another level; none if it does not have that.
    pub fn at(self, level: i32) -> Option<CompressionParams> {
        let params = match self {
            CompressionParams::Gzip { .. } => CompressionParams::Gzip { level },
            CompressionParams::Zstd { .. } => CompressionParams::Zstd { level },
            CompressionParams::ZstdChunked { .. } => CompressionParams::ZstdChunked { level },
        };
        Some(params).filter(|params| params.levels().contains(&level))
    }

    /// What is called so, at its default level; none in it for `none`, and none at all for a name that nothing has.
    pub fn of_name(name: &str) -> Option<Option<CompressionParams>> {
        let all = [CompressionParams::GZIP, CompressionParams::ZSTD, CompressionParams::ZSTD_CHUNKED];
        if name == "none" { Some(None) } else { all.into_iter().find(|params| params.name() == name).map(Some) }
    }

    /// What it is called where it is chosen.
    pub fn name(self) -> &'static str {
        match self {
            CompressionParams::Gzip { .. } => "gzip",
            CompressionParams::Zstd { .. } => "zstd",
            CompressionParams::ZstdChunked { .. } => "zstd:chunked",
        }
    }

    /// The same without a table of what is in it: for what holds more than one layer.
    pub fn without_table(self) -> CompressionParams {
        match self {
            CompressionParams::ZstdChunked { level } => CompressionParams::Zstd { level },
            params => params,
        }
    }

    /// The levels that there are.
    pub fn levels(self) -> RangeInclusive<i32> {
        match self {
            CompressionParams::Gzip { .. } => 1..=12,
            CompressionParams::Zstd { .. } | CompressionParams::ZstdChunked { .. } => 1..=22,
        }
    }

    /// Ending of a file's name, with its dot.
    pub fn ending(self) -> &'static str {
        match self {
            CompressionParams::Gzip { .. } => ".gz",
            CompressionParams::Zstd { .. } | CompressionParams::ZstdChunked { .. } => ".zst",
        }
    }
}

impl From<Option<CompressionParams>> for Compression {
    /// How a stream is compressed that was made with these; without any it is not.
    fn from(params: Option<CompressionParams>) -> Compression {
        match params {
            None => Compression::None,
            Some(CompressionParams::Gzip { .. }) => Compression::Gzip,
            Some(CompressionParams::Zstd { .. } | CompressionParams::ZstdChunked { .. }) => Compression::Zstd,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn told_by_the_beginning() {
        let check = |start: &[u8], expected| assert_eq!(Compression::of(start), expected, "{}", start.escape_ascii());
        check(&zstd::encode_all(&b"hello"[..], 1).unwrap(), Compression::Zstd);
        check(b"\x1f\x8b\x08\x00", Compression::Gzip);
        check(b"BZh91AY&SY", Compression::Bzip2);
        check(b"\xfd7zXZ\0", Compression::Xz);
        // The first member of a tar may be called anything.
        for name in ["BZh", "BZhang/", "BZh9/1AY", "etc/"] {
            check(name.as_bytes(), Compression::None);
        }
        check(&[0x53, 0x2a, 0x4d, 0x18, 0, 0, 0, 0], Compression::Zstd);
        check(b"", Compression::None);
    }

    #[test]
    fn what_can_be_written() {
        for (compression, level, expected) in [
            (Compression::Gzip, None, Some(CompressionParams::GZIP)),
            (Compression::Zstd, Some(22), Some(CompressionParams::Zstd { level: 22 })),
            (Compression::Gzip, Some(13), None),
            (Compression::Zstd, Some(0), None),
            (Compression::Xz, None, None),
            (Compression::None, None, None),
        ] {
            let usual = compression.usual();
            let params = level.map_or(usual, |level| usual.and_then(|usual| usual.at(level)));
            assert_eq!(params, expected, "{compression:?} {level:?}");
        }
        let params = serde_json::to_string(&CompressionParams::GZIP).unwrap();
        assert_eq!(params, r#"{"codec":"gzip","level":4}"#);
        assert_eq!(serde_json::from_str::<CompressionParams>(&params).unwrap(), CompressionParams::GZIP);
        assert!(serde_json::from_str::<CompressionParams>(r#"{"codec":"xz","level":4}"#).is_err());
    }
}
