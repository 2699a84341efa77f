//! Compressed files, told by how they begin.

mod streams;

pub(crate) use streams::Trailing;

use liblzma::stream::{CONCATENATED, Stream};
use serde::Serialize;
use std::io::{self, BufRead, Read};
use streams::Streams;

/// How a file is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Compression {
    /// Not at all, or in no way that we know.
    None,
    /// RFC 1952.
    Gzip,
    /// bzip2.
    Bzip2,
    /// The .xz file format.
    Xz,
    /// RFC 8878.
    Zstd,
}

/// Bytes of the longest magic number.
pub(crate) const MAGIC_LEN: usize = 6;
/// Largest window of zstd that is accepted, as a power of two: as much as zstd(1) takes without flags (128 MiB), and writes
/// without `--long`. All of it is kept in memory.
const ZSTD_WINDOW_LOG: u32 = 27;
/// Bytes of memory that unpacking xz may take: those of `xz -9`, whose dictionary has 64 MiB, are fewer. A header can ask for
/// 1.5 GiB.
const XZ_MEMORY: u64 = 80 << 20;

impl Compression {
    /// Tells the compression by the first bytes of a file, of which six are enough.
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

    /// A reader of what `compressed` holds; several streams or frames in a row are one.
    pub(crate) fn reader<'a, R: BufRead + 'a>(
        self,
        compressed: R,
        trailing: Trailing,
    ) -> io::Result<Box<dyn Read + 'a>> {
        Ok(match self {
            Compression::None => Box::new(compressed),
            Compression::Gzip => Box::new(Streams::<R, flate2::bufread::GzDecoder<_>>::new(compressed, trailing)),
            Compression::Bzip2 => Box::new(Streams::<R, bzip2::bufread::BzDecoder<_>>::new(compressed, trailing)),
            Compression::Xz => {
                let stream = Stream::new_stream_decoder(XZ_MEMORY, CONCATENATED)?;
                Box::new(liblzma::bufread::XzDecoder::new_stream(compressed, stream))
            }
            Compression::Zstd => {
                let mut decoder = zstd::stream::read::Decoder::with_buffer(compressed)?;
                decoder.window_log_max(ZSTD_WINDOW_LOG)?;
                Box::new(decoder)
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn told_by_the_beginning() {
        let check = |start: &[u8], expected| assert_eq!(Compression::of(start), expected, "{}", start.escape_ascii());
        for text in [&b""[..], b"hello hello"] {
            let mut bzip2 = Vec::new();
            bzip2::read::BzEncoder::new(text, bzip2::Compression::fast()).read_to_end(&mut bzip2).unwrap();
            check(&bzip2, Compression::Bzip2);
            check(&zstd::encode_all(text, 1).unwrap(), Compression::Zstd);
            check(&liblzma::encode_all(text, 1).unwrap(), Compression::Xz);
        }
        // The first member of a tar may be called anything.
        for name in ["BZh", "BZhang/", "BZh9/1AY", "etc/"] {
            check(name.as_bytes(), Compression::None);
        }
        check(&[0x53, 0x2a, 0x4d, 0x18, 0, 0, 0, 0], Compression::Zstd);
        check(b"", Compression::None);
    }
}
