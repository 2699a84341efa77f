//! Writes and reads a stream of unknown length inside another, as chunks: four bytes of length, little-endian, then the
//! bytes. An empty chunk ends it.

use std::io::{self, Read, Write};

/// Bytes of a chunk at most.
const LONGEST: usize = 1 << 20;

/// Writes such a stream.
#[derive(Debug)]
pub struct ChunkWriter<W>(pub W);

impl<W: Write> ChunkWriter<W> {
    /// Ends the stream.
    ///
    /// # Errors
    ///
    /// What writing gives.
    pub fn finish(mut self) -> io::Result<()> {
        self.0.write_all(&[0; 4])
    }
}

impl<W: Write> Write for ChunkWriter<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let bytes = &bytes[..bytes.len().min(LONGEST)];
        // An empty one would end the stream.
        if let (Ok(length), false) = (u32::try_from(bytes.len()), bytes.is_empty()) {
            self.0.write_all(&length.to_le_bytes())?;
            self.0.write_all(bytes)?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// Reads such a stream to its end, and no further.
#[derive(Debug)]
pub struct ChunkReader<R> {
    input: R,
    /// Bytes left of the chunk.
    left: usize,
    is_done: bool,
}

impl<R: Read> ChunkReader<R> {
    /// A stream that begins here.
    pub fn new(input: R) -> ChunkReader<R> {
        ChunkReader { input, left: 0, is_done: false }
    }

    /// Reads what is left of the stream.
    ///
    /// # Errors
    ///
    /// What reading gives; `UnexpectedEof` if its end is missing.
    pub fn finish(mut self) -> io::Result<()> {
        io::copy(&mut self, &mut io::sink()).map(drop)
    }
}

impl<R: Read> Read for ChunkReader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.is_done || buffer.is_empty() {
            return Ok(0);
        }
        if self.left == 0 {
            let mut length = [0; 4];
            self.input.read_exact(&mut length)?;
            self.left = u32::from_le_bytes(length) as usize;
            self.is_done = self.left == 0;
            if self.is_done {
                return Ok(0);
            }
        }
        let want = buffer.len().min(self.left);
        match self.input.read(&mut buffer[..want])? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            read => {
                self.left -= read;
                Ok(read)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_follow_one_another() {
        let mut bytes = Vec::new();
        for text in ["one", "", &"x".repeat(3 << 20)] {
            let mut writer = ChunkWriter(&mut bytes);
            writer.write_all(text.as_bytes()).unwrap();
            writer.write_all(b"").unwrap();
            writer.finish().unwrap();
        }
        let mut left = &bytes[..];
        for length in [3, 0, 3 << 20] {
            let mut text = Vec::new();
            ChunkReader::new(&mut left).read_to_end(&mut text).unwrap();
            assert_eq!(text.len(), length);
        }
        assert!(left.is_empty());
        let cut = ChunkReader::new(&bytes[..5]).finish();
        assert_eq!(cut.unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    }
}
