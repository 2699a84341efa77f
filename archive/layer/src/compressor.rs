//! Compresses one piece of a layer at a time, with what a thread keeps between pieces.

use crate::CompressionParams;
use libdeflater::CompressionLvl;
use std::fmt;
use std::io;

/// A compressor of one thread; what it makes depends on the parameters and on the bytes alone.
pub(crate) enum Compressor {
    Gzip(libdeflater::Compressor),
    Zstd(zstd::bulk::Compressor<'static>),
}

impl Compressor {
    pub fn new(params: CompressionParams) -> io::Result<Compressor> {
        Ok(match params {
            CompressionParams::Gzip { level } => Compressor::Gzip(libdeflater::Compressor::new(gzip_level(level))),
            CompressionParams::Zstd { level } | CompressionParams::ZstdChunked { level } => {
                Compressor::Zstd(zstd::bulk::Compressor::new(level)?)
            }
        })
    }

    /// A gzip member (RFC 1952, section 2.2) or a zstd frame (RFC 8878, section 3.1) of these bytes.
    pub fn compress(&mut self, bytes: &[u8]) -> io::Result<Vec<u8>> {
        match self {
            Compressor::Gzip(gzip) => Ok(gzip_member(gzip, bytes)),
            Compressor::Zstd(zstd) => zstd.compress(bytes),
        }
    }

    /// Appends such a member or frame; its size.
    pub fn append(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> io::Result<usize> {
        let start = out.len();
        match self {
            Compressor::Gzip(gzip) => out.append(&mut gzip_member(gzip, bytes)),
            Compressor::Zstd(zstd) => {
                out.resize(start + zstd::zstd_safe::compress_bound(bytes.len()), 0);
                let size = zstd.compress_to_buffer(bytes, &mut out[start..])?;
                out.truncate(start + size);
            }
        }
        Ok(out.len() - start)
    }
}

impl fmt::Debug for Compressor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Compressor")
    }
}

impl CompressionParams {
    /// A member that holds the bytes uncompressed; its length depends on theirs alone.
    pub fn store(self, bytes: &[u8]) -> Vec<u8> {
        match self {
            CompressionParams::Gzip { .. } => gzip_member(&mut libdeflater::Compressor::new(gzip_level(0)), bytes),
            CompressionParams::Zstd { .. } | CompressionParams::ZstdChunked { .. } => zstd_raw_frame(bytes),
        }
    }
}

fn gzip_level(level: i32) -> CompressionLvl {
    CompressionLvl::new(level.clamp(0, 12)).expect("a level between 0 and 12")
}

/// Header fields are libdeflate's: no name, no time, so that nothing but contents decides the bytes.
fn gzip_member(compressor: &mut libdeflater::Compressor, bytes: &[u8]) -> Vec<u8> {
    let mut member = vec![0; compressor.gzip_compress_bound(bytes.len())];
    let len = compressor.gzip_compress(bytes, &mut member).expect("the bound is never exceeded");
    member.truncate(len);
    member
}

/// One frame of one raw block (RFC 8878, sections 3.1.1.1 and 3.1.1.2): single segment, content size in four bytes.
fn zstd_raw_frame(bytes: &[u8]) -> Vec<u8> {
    const MAGIC: u32 = 0xFD2F_B528;
    const SINGLE_SEGMENT_WITH_SIZE_OF_4: u8 = 0b1010_0000;
    const LAST_BLOCK: u32 = 1;
    let len = u32::try_from(bytes.len()).expect("slots are a few blocks of tar header");
    let mut frame = MAGIC.to_le_bytes().to_vec();
    frame.push(SINGLE_SEGMENT_WITH_SIZE_OF_4);
    frame.extend_from_slice(&len.to_le_bytes());
    frame.extend_from_slice(&(len << 3 | LAST_BLOCK).to_le_bytes()[..3]);
    frame.extend_from_slice(bytes);
    frame
}
