//! Reads the headers and the body of an answer. Decompresses a body that a server in front of the registry compressed,
//! though nobody asked for it (RFC 9110, section 8.4).

use flate2::read::MultiGzDecoder;
use std::io::{self, BufRead, BufReader, Read};
use std::time::{Duration, Instant};
use ureq::Body;
use ureq::http::Response;

/// An answer.
pub(crate) type Answer = Response<Body>;

/// What gzip begins with (RFC 1952, section 2.3.1).
const MAGIC: [u8; 2] = [0x1f, 0x8b];

/// A header's text.
pub(crate) fn header<'a>(answer: &'a Answer, name: &str) -> Option<&'a str> {
    answer.headers().get(name).and_then(|value| value.to_str().ok())
}

/// The bytes of a body. `size` is the length of what was asked for, if the caller knows it: a body that is sent with this
/// length is not compressed in transit, whatever its header says, as with a layer that some server takes for a text.
///
/// # Errors
///
/// It has an encoding that was not asked for and is not supported.
pub(crate) fn body(answer: Answer, size: Option<u64>) -> Result<Box<dyn Read>, String> {
    let encoding = header(&answer, "content-encoding").unwrap_or_default().trim().to_ascii_lowercase();
    let length = header(&answer, "content-length").and_then(|length| length.parse().ok());
    let is_part = answer.status().as_u16() == 206;
    let body = answer.into_body().into_reader();
    match encoding.as_str() {
        "" | "identity" => Ok(Box::new(body)),
        _ if size.is_some() && size == length => Ok(Box::new(body)),
        "gzip" | "x-gzip" if !is_part => Ok(Box::new(Gzip::Unknown(BufReader::new(body)))),
        "gzip" | "x-gzip" => Err(format!("found a part with Content-Encoding {encoding}, expected it as it is")),
        _ => Err(format!("found Content-Encoding {:?}, expected none", encoding)),
    }
}

/// A body that should be gzip's; one that does not begin so is taken as it is.
enum Gzip<R> {
    Unknown(BufReader<R>),
    Plain(BufReader<R>),
    Compressed(Box<MultiGzDecoder<BufReader<R>>>),
    Gone,
}

impl<R: Read> Read for Gzip<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if let Gzip::Unknown(body) = self {
            let is_gzip = body.fill_buf()?.starts_with(&MAGIC[..1]);
            if let Gzip::Unknown(body) = std::mem::replace(self, Gzip::Gone) {
                *self = if is_gzip { Gzip::Compressed(Box::new(MultiGzDecoder::new(body))) } else { Gzip::Plain(body) };
            }
        }
        match self {
            Gzip::Plain(body) => body.read(buffer),
            Gzip::Compressed(body) => body.read(buffer),
            Gzip::Unknown(_) | Gzip::Gone => Ok(0),
        }
    }
}

/// Reads all, but not for longer than `limit` and a read: who sends a byte now and then would never be silent.
pub(crate) fn read_within(reader: impl Read, most: u64, limit: Duration) -> io::Result<Vec<u8>> {
    let end = Instant::now() + limit;
    let (mut reader, mut bytes, mut buffer) = (reader.take(most.saturating_add(1)), Vec::new(), [0; 1 << 13]);
    loop {
        match reader.read(&mut buffer)? {
            0 => return Ok(bytes),
            count => bytes.extend_from_slice(&buffer[..count]),
        }
        if Instant::now() >= end {
            return Err(io::Error::new(io::ErrorKind::TimedOut, format!("timeout: not all came within {limit:?}")));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_bodies_end() {
        let minute = Duration::from_secs(60);
        assert_eq!(read_within(&b"body"[..], 4, minute).unwrap(), b"body");
        assert_eq!(read_within(&b"longer"[..], 4, minute).unwrap(), b"longe");
        // One that never ends, and is never silent.
        let error = read_within(io::repeat(7), u64::MAX, Duration::ZERO).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }
}
