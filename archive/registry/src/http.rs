//! Parses requests and writes answers of HTTP/1.1, as far as a read-only server needs them (RFC 9112).

use std::io::{self, Read, Write};

/// Bytes that the head of a request has at most: with a thousand ranges of bytes it has 22,000.
const MOST_HEAD: usize = 64 << 10;
const MOST_HEADERS: usize = 64;

/// What somebody asks for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Request {
    pub method: String,
    /// Path and query.
    pub target: String,
    /// What `Range` says.
    pub range: Option<String>,
    /// Whether the connection ends with the answer.
    pub is_last: bool,
}

/// What came instead of a request.
#[derive(Debug)]
pub(crate) enum NoRequest {
    /// Nothing: the other side is done.
    End,
    /// Something that is none.
    Bad(&'static str),
    /// The connection broke, or nothing came in time.
    Io(io::Error),
}

/// Reads requests from a connection.
#[derive(Debug, Default)]
pub(crate) struct Requests {
    buffer: Vec<u8>,
}

impl Requests {
    /// Whether a request has begun to come.
    pub(crate) fn has_begun(&self) -> bool {
        !self.buffer.is_empty()
    }

    /// The next request. After an error of time it can be asked again.
    pub(crate) fn next(&mut self, stream: &mut impl Read) -> Result<Request, NoRequest> {
        loop {
            if let Some((request, len)) = parse(&self.buffer)? {
                self.buffer.drain(..len);
                return Ok(request);
            }
            if self.buffer.len() > MOST_HEAD {
                return Err(NoRequest::Bad("the head is too long"));
            }
            let mut piece = [0; 4096];
            match stream.read(&mut piece) {
                Ok(0) => {
                    return Err(if self.has_begun() { NoRequest::Bad("the head breaks off") } else { NoRequest::End });
                }
                Ok(count) => self.buffer.extend_from_slice(&piece[..count]),
                Err(e) => return Err(NoRequest::Io(e)),
            }
        }
    }
}

/// The request at the front, and its length; none if there is more to come.
pub(crate) fn parse(bytes: &[u8]) -> Result<Option<(Request, usize)>, NoRequest> {
    let mut headers = [httparse::EMPTY_HEADER; MOST_HEADERS];
    let mut parsed = httparse::Request::new(&mut headers);
    let len = match parsed.parse(bytes).map_err(|_| NoRequest::Bad("found no HTTP/1.1"))? {
        httparse::Status::Partial => return Ok(None),
        httparse::Status::Complete(len) => len,
    };
    let get = |name: &str| {
        let header = parsed.headers.iter().find(|header| header.name.eq_ignore_ascii_case(name))?;
        std::str::from_utf8(header.value).ok()
    };
    // Any that says so counts, whatever else is said, and be it no text.
    let has_body = |header: &httparse::Header<'_>| {
        header.name.eq_ignore_ascii_case("transfer-encoding")
            || (header.name.eq_ignore_ascii_case("content-length") && header.value != b"0")
    };
    if parsed.headers.iter().any(has_body) {
        return Err(NoRequest::Bad("found a body, expected none"));
    }
    let connection = get("connection").unwrap_or_default().to_ascii_lowercase();
    let is_last = connection.contains("close") || (parsed.version == Some(0) && !connection.contains("keep-alive"));
    let request = Request {
        method: parsed.method.unwrap_or_default().to_owned(),
        target: parsed.path.unwrap_or_default().to_owned(),
        range: get("range").map(str::to_owned),
        is_last,
    };
    Ok(Some((request, len)))
}

/// The head of an answer.
pub(crate) struct Head<'a> {
    pub status: u16,
    pub length: u64,
    pub headers: Vec<(&'a str, String)>,
    pub is_last: bool,
}

impl Head<'_> {
    pub(crate) fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        let reason = match self.status {
            200 => "OK",
            206 => "Partial Content",
            400 => "Bad Request",
            404 => "Not Found",
            405 => "Method Not Allowed",
            416 => "Range Not Satisfiable",
            _ => "Unknown",
        };
        let mut text = format!("HTTP/1.1 {} {reason}\r\nContent-Length: {}\r\n", self.status, self.length);
        text.push_str("Docker-Distribution-Api-Version: registry/2.0\r\n");
        for (name, value) in &self.headers {
            text.push_str(&format!("{name}: {value}\r\n"));
        }
        if self.is_last {
            text.push_str("Connection: close\r\n");
        }
        text.push_str("\r\n");
        out.write_all(text.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests() {
        let request = |text: &str| parse(text.as_bytes());
        assert!(request("GET /v2/ HTTP/1.1\r\nHost: x\r\n").unwrap().is_none());
        let (first, len) = request("GET /v2/?a HTTP/1.1\r\nRANGE: bytes=1-\r\n\r\nGET").unwrap().unwrap();
        let expected =
            Request { method: "GET".into(), target: "/v2/?a".into(), range: Some("bytes=1-".into()), is_last: false };
        assert_eq!((first, len), (expected, 40));
        assert!(request("GET / HTTP/1.0\r\n\r\n").unwrap().unwrap().0.is_last);
        assert!(request("GET / HTTP/1.1\r\nConnection: Close\r\n\r\n").unwrap().unwrap().0.is_last);
        assert!(request("hello\r\n\r\n").is_err());
        assert!(request("POST / HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc").is_err());
        assert!(request("POST / HTTP/1.1\r\nContent-Length: 0\r\nContent-Length: 3\r\n\r\nabc").is_err());
        assert!(parse(b"POST / HTTP/1.1\r\nContent-Length: \xb3\r\n\r\nabc").is_err());
        assert!(parse(b"POST / HTTP/1.1\r\nTransfer-Encoding: \xb3\r\n\r\n").is_err());
        assert!(!request("HEAD / HTTP/1.1\r\nContent-Length: 0\r\n\r\n").unwrap().unwrap().0.is_last);
    }
}
