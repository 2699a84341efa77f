//! A reader that hashes all that goes through it.

use layerstone_store::{Digest, Hasher};
use std::io::{self, Read};

/// A reader and the hash of what was read.
pub(crate) struct Hashing<R> {
    input: R,
    hasher: Hasher,
}

impl<R: Read> Hashing<R> {
    pub(crate) fn new(input: R) -> Hashing<R> {
        Hashing { input, hasher: Hasher::default() }
    }

    /// The digest of the whole input: what nobody has read is read now.
    pub(crate) fn finish(mut self) -> io::Result<Digest> {
        let mut rest = vec![0; 1 << 16];
        while self.read(&mut rest)? > 0 {}
        Ok(self.hasher.finish())
    }
}

impl<R: Read> Read for Hashing<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.input.read(buffer)?;
        self.hasher.update(&buffer[..read]);
        Ok(read)
    }
}
