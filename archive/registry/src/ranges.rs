//! The ranges of bytes that a request asks for, and the body that answers it (RFC 9110, sections 14.1.2 and 14.6).
//!
//! A client of zstd:chunked layers asks for a thousand ranges of a blob at once.

use layerstone_store::Digest;
use std::io::{self, Write};

/// Ranges that are given at most; a request for more is answered with all bytes, as section 14.2 allows.
const MOST_RANGES: usize = 4096;

/// First and last byte.
pub(crate) type Range = (u64, u64);

/// What `Range` means for so many bytes: no ranges for all of them, an error for none at all. Ranges that overlap or do not
/// ascend, and what is no range of bytes, mean all of them, as section 14.2 allows.
pub(crate) fn ranges(header: Option<&str>, size: u64) -> Result<Vec<Range>, ()> {
    let Some(specs) = header.and_then(|header| header.trim().strip_prefix("bytes=")) else { return Ok(Vec::new()) };
    let (mut ranges, mut is_outside): (Vec<Range>, bool) = (Vec::new(), false);
    for spec in specs.split(',') {
        match range(spec, size) {
            None => return Ok(Vec::new()),
            Some(Err(())) => is_outside = true,
            Some(Ok((first, last))) => {
                if ranges.last().is_some_and(|before| before.1 >= first) || ranges.len() == MOST_RANGES {
                    return Ok(Vec::new());
                }
                ranges.push((first, last));
            }
        }
    }
    if ranges.is_empty() && is_outside { Err(()) } else { Ok(ranges) }
}

/// One range; none if it is not one, an error if it has no bytes.
fn range(spec: &str, size: u64) -> Option<Result<Range, ()>> {
    let (first, last) = spec.trim().split_once('-')?;
    let number = |text: &str| text.trim().parse::<u64>().ok();
    match (first.trim(), last.trim()) {
        ("", last) => match number(last)? {
            count if count == 0 || size == 0 => Some(Err(())),
            count => Some(Ok((size.saturating_sub(count), size - 1))),
        },
        (first, last) => match (number(first), number(last)) {
            (None, _) => None,
            (_, None) if !last.is_empty() => None,
            (Some(first), Some(last)) if last < first => None,
            (Some(first), _) if first >= size => Some(Err(())),
            (Some(first), last) => Some(Ok((first, last.unwrap_or(u64::MAX).min(size - 1)))),
        },
    }
}

/// A body of several ranges, `multipart/byteranges`.
pub(crate) struct Multipart {
    /// What is before each range, and at last what ends the body.
    heads: Vec<Vec<u8>>,
    ranges: Vec<Range>,
    boundary: String,
}

impl Multipart {
    /// The body of ranges of a blob of so many bytes.
    pub fn new(ranges: &[Range], digest: &Digest, size: u64) -> Multipart {
        // No blob has its own digest in it.
        let boundary = format!("layerstone-{}", digest.hex());
        let head = |(first, last): &Range| {
            let head = "Content-Type: application/octet-stream\r\nContent-Range: bytes";
            format!("\r\n--{boundary}\r\n{head} {first}-{last}/{size}\r\n\r\n").into_bytes()
        };
        let mut heads: Vec<Vec<u8>> = ranges.iter().map(head).collect();
        heads.push(format!("\r\n--{boundary}--\r\n").into_bytes());
        Multipart { heads, ranges: ranges.to_vec(), boundary }
    }

    /// What `Content-Type` says.
    pub fn content_type(&self) -> String {
        format!("multipart/byteranges; boundary={}", self.boundary)
    }

    /// Bytes of the body.
    pub fn length(&self) -> u64 {
        let heads: u64 = self.heads.iter().map(|head| head.len() as u64).sum();
        heads + self.ranges.iter().map(|(first, last)| last - first + 1).sum::<u64>()
    }

    /// Takes the bytes of the blob from the first range on, and writes the body to `out`.
    pub fn writer<'a>(&'a self, out: &'a mut (dyn Write + Send)) -> PartsWriter<'a> {
        PartsWriter { body: self, out, at: self.ranges[0].0, next: 0 }
    }
}

/// Writes the parts of a body out of the bytes of the blob.
pub(crate) struct PartsWriter<'a> {
    body: &'a Multipart,
    out: &'a mut (dyn Write + Send),
    /// The byte of the blob that comes next.
    at: u64,
    /// The range that comes next, or has begun.
    next: usize,
}

impl Write for PartsWriter<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let Some(&(first, last)) = self.body.ranges.get(self.next) else {
            // All that was asked for is out: whoever makes the rest may stop.
            return if bytes.is_empty() { Ok(0) } else { Err(io::ErrorKind::WriteZero.into()) };
        };
        let at_most = |count: u64| usize::try_from(count).unwrap_or(usize::MAX).min(bytes.len());
        if self.at < first {
            let passed = at_most(first - self.at);
            self.at += passed as u64;
            return Ok(passed);
        }
        if bytes.is_empty() {
            return Ok(0);
        }
        if self.at == first {
            self.out.write_all(&self.body.heads[self.next])?;
        }
        let taken = at_most(last - self.at + 1);
        self.out.write_all(&bytes[..taken])?;
        self.at += taken as u64;
        if self.at > last {
            self.next += 1;
            if self.next == self.body.ranges.len() {
                self.out.write_all(&self.body.heads[self.next])?;
            }
        }
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_header_means() {
        let check = |header, size, expected: Result<&[Range], ()>| {
            assert_eq!(ranges(header, size).as_deref(), expected.as_ref().copied(), "{header:?} of {size}");
        };
        check(None, 10, Ok(&[]));
        check(Some("bytes=0-4"), 10, Ok(&[(0, 4)]));
        check(Some("bytes=3-"), 10, Ok(&[(3, 9)]));
        check(Some("bytes=3-99"), 10, Ok(&[(3, 9)]));
        check(Some("bytes=-3"), 10, Ok(&[(7, 9)]));
        check(Some("bytes=-99"), 10, Ok(&[(0, 9)]));
        check(Some("bytes=-0"), 10, Err(()));
        check(Some("bytes=10-"), 10, Err(()));
        check(Some("bytes=0-"), 0, Err(()));
        check(Some("bytes=4-3"), 10, Ok(&[]));
        check(Some("lines=1-2"), 10, Ok(&[]));
        check(Some("bytes=x-2"), 10, Ok(&[]));
        check(Some("bytes=1-x"), 10, Ok(&[]));
        check(Some("bytes=1-2,4-5, -1"), 10, Ok(&[(1, 2), (4, 5), (9, 9)]));
        check(Some("bytes=1-2,3-4"), 10, Ok(&[(1, 2), (3, 4)]));
        check(Some("bytes=1-2,12-14"), 10, Ok(&[(1, 2)]));
        check(Some("bytes=11-12,12-14"), 10, Err(()));
        check(Some("bytes=1-2,2-4"), 10, Ok(&[]));
        check(Some("bytes=4-5,1-2"), 10, Ok(&[]));
        check(Some("bytes=1-2,x"), 10, Ok(&[]));
        let many: Vec<String> = (0..=MOST_RANGES).map(|n| format!("{}-{}", 2 * n, 2 * n)).collect();
        check(Some(&format!("bytes={}", many.join(","))), 1 << 20, Ok(&[]));
        assert_eq!(ranges(Some(&format!("bytes={}", many[1..].join(","))), 1 << 20).unwrap().len(), MOST_RANGES);
    }

    #[test]
    fn a_body_of_parts() {
        let blob = b"0123456789";
        let body = Multipart::new(&[(1, 2), (5, 5), (8, 9)], &Digest::of(blob), 10);
        let boundary = format!("layerstone-{}", Digest::of(blob).hex());
        let part = |range: &str, bytes: &str| {
            let kind = "Content-Type: application/octet-stream";
            format!("\r\n--{boundary}\r\n{kind}\r\nContent-Range: bytes {range}/10\r\n\r\n{bytes}")
        };
        let expected =
            [part("1-2", "12"), part("5-5", "5"), part("8-9", "89"), format!("\r\n--{boundary}--\r\n")].concat();
        assert_eq!(body.content_type(), format!("multipart/byteranges; boundary={boundary}"));
        assert_eq!(body.length(), expected.len() as u64);
        for piece in [1, 3, 9] {
            let mut out = Vec::new();
            let mut writer = body.writer(&mut out);
            blob[1..].chunks(piece).for_each(|bytes| writer.write_all(bytes).unwrap());
            assert_eq!(writer.write_all(b"more").unwrap_err().kind(), io::ErrorKind::WriteZero);
            assert_eq!(String::from_utf8(out).unwrap(), expected, "{piece}");
        }
    }
}
