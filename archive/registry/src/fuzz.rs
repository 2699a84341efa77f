//! What a fuzzer drives of this crate, and what must hold whatever it finds: requests do not depend on how they come in pieces,
//! and what is read of a header is written as one that is read the same.

use crate::http::{Head, NoRequest, Request, Requests, parse};
use crate::memory_registry::{Answer, MemoryRegistry, RepositoryHandle};
use crate::ranges::{Multipart, ranges};
use crate::url::{Url, decode, encode};
use layerstone_oci::{BlobStore, Content, Descriptor, Reference};
use layerstone_store::Digest;
use std::io::{self, Read, Write};
use std::sync::{Arc, Mutex};

/// Requests of a connection, and what the server answers.
pub fn http_requests(bytes: &[u8]) {
    if bytes.len() > 8 << 10 {
        return;
    }
    let requests = requests(bytes, 4096);
    for piece in [1, 7] {
        assert_eq!(requests, self::requests(bytes, piece), "in pieces of {piece}");
    }
    check_head(bytes);
    let registry = registry();
    for request in &requests.0 {
        check_answer(&registry, request);
    }
}

/// All requests of a connection, and what came instead of one more.
fn requests(bytes: &[u8], piece: usize) -> (Vec<Request>, &'static str) {
    let (mut requests, mut stream, mut found) = (Requests::default(), Pieces(bytes, piece), Vec::new());
    loop {
        match requests.next(&mut stream) {
            Ok(request) => found.push(request),
            Err(NoRequest::End) => return (found, "end"),
            Err(NoRequest::Bad(cause)) => return (found, cause),
            Err(NoRequest::Io(error)) => panic!("{error}"),
        }
    }
}

/// A request has no body, however that would be said; up to its end it is none.
fn check_head(bytes: &[u8]) {
    let Ok(Some((request, length))) = parse(bytes) else { return };
    for end in 0..length {
        assert!(matches!(parse(&bytes[..end]), Ok(None)), "the first {end} bytes of {request:?}");
    }
    for line in bytes[..length].split(|&byte| byte == b'\n').skip(1) {
        let Some(colon) = line.iter().position(|&byte| byte == b':') else { continue };
        let (name, value) = (line[..colon].trim_ascii().to_ascii_lowercase(), line[colon + 1..].trim_ascii());
        assert_ne!(name, b"transfer-encoding", "{request:?}");
        assert!(name != b"content-length" || value == b"0", "{request:?}");
    }
}

/// Ranges ascend, and a body of them has as many bytes as its head promises.
fn check_ranges(request: &Request, digest: &Digest, size: u64) {
    let Ok(wanted) = ranges(request.range.as_deref(), size) else { return };
    let mut next = 0;
    for (first, last) in &wanted {
        assert!(next <= *first && first <= last && *last < size, "{request:?}: {first}-{last} of {size}");
        next = last + 1;
    }
    if let [(start, _), ..] = wanted[..] {
        let (body, mut out) = (Multipart::new(&wanted, digest, size), Vec::new());
        let blob = vec![b'x'; usize::try_from(size - start).expect("blobs here are small")];
        // It ends with the last range.
        let _ = body.writer(&mut out).write_all(&blob);
        assert_eq!(out.len() as u64, body.length(), "{request:?}");
    }
}

fn check_answer(registry: &MemoryRegistry, request: &Request) {
    let (value, headers) = match registry.answer(&request.target) {
        Answer::Json(value, headers) => (value, headers),
        Answer::No(..) => return,
        Answer::Content(stored, _) => {
            let size = stored.descriptor.size;
            check_ranges(request, &stored.descriptor.digest, size);
            return;
        }
    };
    let mut text = Vec::new();
    let length = value.to_string().len() as u64;
    let written = Head { status: 200, length, headers, is_last: request.is_last }.write(&mut text);
    written.expect("memory takes it");
    let text = String::from_utf8(text).expect("ASCII");
    let lines = text.strip_suffix("\r\n\r\n").expect("it ends").split("\r\n");
    assert!(lines.clone().all(|line| line.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic())), "{text}");
    assert!(lines.clone().all(|line| !line.is_empty()), "{text}");
}

/// What the server has.
fn registry() -> MemoryRegistry {
    let registry = Mutex::new(MemoryRegistry::default());
    for name in ["a", "team/tool"] {
        let handle = RepositoryHandle { registry: &registry, repository: name.to_owned() };
        let content: Arc<dyn Content> = Arc::new(b"hello".to_vec());
        handle.put(&Descriptor::of("blob", b"hello"), &content).expect("memory takes it");
        for tag in ["1", "2", "latest"] {
            let manifest = format!("{{\"tag\": \"{tag}\", \"subject\": {{\"digest\": \"{SUBJECT}\"}}}}");
            let reference = Reference::new(name, Some(tag)).expect("a name");
            let descriptor = Descriptor::of("manifest", manifest.as_bytes());
            handle.finish(&descriptor, manifest.as_bytes(), Some(&reference)).expect("memory takes it");
        }
    }
    registry.into_inner().expect("nobody panicked")
}

const SUBJECT: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

/// The address of an answer, and on the next line where its `Location` leads.
pub fn url(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    assert_eq!(decode(&encode(text)).as_deref(), Some(text));
    let (address, location) = text.split_once('\n').unwrap_or((text, ""));
    let base = Url::parse(address);
    if let Some(url) = &base {
        check_url(url);
    }
    let base = base.unwrap_or_else(|| Url::new(true, "registry.example:5000", "/v2/a/blobs/uploads/?state=1"));
    let Some(next) = base.join(location) else { return };
    check_url(&next);
    let location = location.trim();
    let is_relative = !location.starts_with("//") && !location.split(['/', '?', '#']).any(|part| part.contains(':'));
    assert!(!is_relative || next.is_same_server(&base), "{base} to {location:?} is {next}");
    // Where it leads does not depend on how it is written.
    assert_eq!(base.join(&next.text()), Some(next));
}

fn check_url(url: &Url) {
    let text = url.text();
    assert_eq!(Url::parse(&text).as_ref(), Some(url));
    assert!(text.bytes().all(|byte| byte.is_ascii_graphic()), "{text:?}");
    assert!(!url.host().is_empty() || url.authority.starts_with([':', '[']), "{text:?}");
    let _ = (url.port(), url.is_loopback(), url.to_string());
    assert!(url.clone().with("a", &encode("b&c")).text().ends_with("a=b%26c"));
}

/// `WWW-Authenticate`, and `Retry-After`.
#[cfg(feature = "client")]
pub fn challenge(bytes: &[u8]) {
    use crate::client::challenge::{Challenge, parse};
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let _ = crate::client::retry::parse_retry_after(text, std::time::UNIX_EPOCH);
    let quoted = |text: &str| format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""));
    let shown = |challenge: &Challenge| match challenge {
        Challenge::Basic => "Basic realm=\"x\"".to_owned(),
        Challenge::Bearer { realm, service } => {
            let service = service.as_ref().map(|service| format!(",service={}", quoted(service)));
            format!("Bearer realm={}{}", quoted(realm), service.unwrap_or_default())
        }
    };
    let challenges = parse(text);
    let again = challenges.iter().map(shown).collect::<Vec<_>>().join(", ");
    assert_eq!(parse(&again), challenges, "{again}");
}

/// Gives as many bytes at a time.
struct Pieces<'a>(&'a [u8], usize);

impl Read for Pieces<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.0.len().min(buffer.len()).min(self.1);
        self.0.read(&mut buffer[..count])
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn what_fuzzing_found_before() {
        xtask::replay("http_requests", super::http_requests);
        xtask::replay("url", super::url);
        #[cfg(feature = "client")]
        xtask::replay("challenge", super::challenge);
    }
}
