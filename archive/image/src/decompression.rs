//! Decompresses files, each by the rules of the compression's own program.

mod streams;

pub(crate) use streams::Trailing;

use layerstone_layer::Compression;
use liblzma::stream::{CONCATENATED, Stream};
use std::io::{self, BufRead, Read};
use streams::Streams;

/// Largest window of zstd that is accepted, as a power of two: as much as zstd(1) takes without flags (128 MiB), and writes
/// without `--long`. All of it is kept in memory.
const ZSTD_WINDOW_LOG: u32 = 27;
/// Bytes of memory that unpacking xz may take: those of `xz -9`, whose dictionary has 64 MiB, are fewer. A header can ask for
/// 1.5 GiB.
const XZ_MEMORY: u64 = 80 << 20;

/// A reader of what `compressed` holds; several streams or frames in a row are one.
pub(crate) fn decompress<'a, R: BufRead + 'a>(
    compression: Compression,
    compressed: R,
    trailing: Trailing,
) -> io::Result<Box<dyn Read + 'a>> {
    Ok(match compression {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_compressed_is_told_by_its_beginning() {
        let check = |start: &[u8], expected| assert_eq!(Compression::of(start), expected, "{}", start.escape_ascii());
        for text in [&b""[..], b"hello hello"] {
            let mut bzip2 = Vec::new();
            bzip2::read::BzEncoder::new(text, bzip2::Compression::fast()).read_to_end(&mut bzip2).unwrap();
            check(&bzip2, Compression::Bzip2);
            check(&zstd::encode_all(text, 1).unwrap(), Compression::Zstd);
            check(&liblzma::encode_all(text, 1).unwrap(), Compression::Xz);
        }
    }
}
