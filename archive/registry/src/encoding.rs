//! Bodies of answers that come compressed, although they are asked for as they are (RFC 9110, section 8.4): servers in
//! front of registries do so.

use crate::client::header;
use crate::transport::Answer;
use flate2::read::MultiGzDecoder;
use std::io::{self, BufRead, BufReader, Read};

/// What gzip begins with (RFC 1952, section 2.3.1).
const MAGIC: [u8; 2] = [0x1f, 0x8b];

/// The bytes of a body. `size` is the length of what was asked for, if it is known: a body that is sent with this length
/// is not compressed for the way, whatever its header says, as with a layer that some server takes for a text.
///
/// # Errors
///
/// It is compressed in a way that was not asked for and is not known.
pub(crate) fn reader(answer: Answer, size: Option<u64>) -> Result<Box<dyn Read>, String> {
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
    Packed(Box<MultiGzDecoder<BufReader<R>>>),
    Gone,
}

impl<R: Read> Read for Gzip<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if let Gzip::Unknown(body) = self {
            let is_gzip = body.fill_buf()?.starts_with(&MAGIC[..1]);
            if let Gzip::Unknown(body) = std::mem::replace(self, Gzip::Gone) {
                *self = if is_gzip { Gzip::Packed(Box::new(MultiGzDecoder::new(body))) } else { Gzip::Plain(body) };
            }
        }
        match self {
            Gzip::Plain(body) => body.read(buffer),
            Gzip::Packed(body) => body.read(buffer),
            Gzip::Unknown(_) | Gzip::Gone => Ok(0),
        }
    }
}
