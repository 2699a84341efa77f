//! What a fuzzer drives of this crate, and what must hold whatever it finds: frames and chunks are read as they are written, and
//! not before all of one is there.

use crate::{ChunkReader, ChunkWriter, Frame};
use layerstone_store::Limits;
use std::io::{Read, Write};

/// Frames of a guest, one after the other.
pub fn frames(bytes: &[u8]) {
    let decode = |bytes: &[u8]| Frame::decode(bytes, &Limits::default());
    let mut rest = bytes;
    while let Ok(Some((frame, length))) = decode(rest) {
        let encoded = frame.encode();
        assert_eq!(decode(&encoded).ok().flatten(), Some((frame, encoded.len())));
        for end in 0..length.min(64) {
            assert!(matches!(decode(&rest[..end]), Ok(None)), "the first {end} bytes");
        }
        rest = &rest[length..];
    }
    chunks(bytes);
}

fn chunks(bytes: &[u8]) {
    let mut written = Vec::new();
    let mut writer = ChunkWriter(&mut written);
    for piece in bytes.chunks(5) {
        writer.write_all(piece).expect("memory takes it");
    }
    writer.finish().expect("memory takes it");
    written.extend_from_slice(b"behind");
    let (mut rest, mut read) = (&written[..], Vec::new());
    ChunkReader::new(&mut rest).read_to_end(&mut read).expect("it was written");
    assert_eq!((&read[..], rest), (bytes, &b"behind"[..]));
    // Of others.
    let mut read = Vec::new();
    let _ = ChunkReader::new(bytes).read_to_end(&mut read);
    assert!(read.len() <= bytes.len());
}

#[cfg(test)]
mod tests {
    #[test]
    fn what_fuzzing_found_before() {
        xtask::replay("frames", super::frames);
    }
}
