//! A registry that only gives (distribution-spec, "Pull" and "Content Discovery"): manifests by tag and digest, blobs made
//! when they are asked for, whole or in part, and lists of tags and repositories.
//!
//! Each connection has a thread. When it is to stop, what is being sent is sent to its end, and connections on which
//! nothing is asked are closed.

use crate::http::{Head, NoRequest, Request, Requests, range};
use crate::{Error, Result};
use layerstone_layer::Packed;
use layerstone_oci::{Content, Descriptor, Destination, Given, Name, Put, spool};
use layerstone_stage::Digest;
use serde_json::json;
use std::collections::BTreeMap;
use std::io::{self, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// How often a thread that waits looks whether it is to stop.
const TICK: Duration = Duration::from_millis(100);
/// How long nothing may be asked, or be taken, on a connection.
const SILENCE: Duration = Duration::from_secs(60);
/// Connections at a time; others wait.
const MOST_CONNECTIONS: usize = 128;

/// Something that is given away.
#[derive(Clone, Debug)]
pub struct Stored {
    /// What it is.
    pub descriptor: Descriptor,
    /// Its bytes.
    pub content: Arc<dyn Content>,
}

/// All that is given away.
#[derive(Debug, Default)]
pub struct Shelf {
    /// Manifests by tag, for each repository.
    tags: BTreeMap<String, BTreeMap<String, Digest>>,
    /// Manifests and indexes of each repository.
    manifests: BTreeMap<(String, Digest), Stored>,
    /// Blobs of each repository.
    blobs: BTreeMap<(String, Digest), Stored>,
}

/// A repository on a shelf, to put images into.
#[derive(Debug)]
pub struct ShelfPlace<'a> {
    /// The shelf.
    pub shelf: &'a Mutex<Shelf>,
    /// What the repository is called.
    pub repository: String,
}

impl ShelfPlace<'_> {
    fn shelf(&self) -> MutexGuard<'_, Shelf> {
        self.shelf.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Destination for ShelfPlace<'_> {
    fn put(&self, descriptor: &Descriptor, content: &Arc<dyn Content>) -> layerstone_oci::Result<Put> {
        let blob = Stored { descriptor: descriptor.clone(), content: Arc::clone(content) };
        self.shelf().add_blob(&self.repository, blob);
        Ok(Put::Sent)
    }

    fn put_given(&self, write: &mut Given<'_>) -> layerstone_oci::Result<(Packed, Put)> {
        let (packed, part) = spool(write)?;
        let content: Arc<dyn Content> = Arc::new(part);
        let put = self.put(&Descriptor::layer(None, packed.digest, packed.size), &content)?;
        Ok((packed, put))
    }

    fn is_near(&self) -> bool {
        false
    }

    fn put_manifest(&self, descriptor: &Descriptor, bytes: &[u8]) -> layerstone_oci::Result<()> {
        self.finish(descriptor, bytes, None)
    }

    fn finish(&self, descriptor: &Descriptor, bytes: &[u8], name: Option<&Name>) -> layerstone_oci::Result<()> {
        let manifest = Stored { descriptor: descriptor.clone(), content: Arc::new(bytes.to_vec()) };
        self.shelf().add_manifest(&self.repository, name.map(|name| name.tag.as_str()), manifest);
        Ok(())
    }
}

impl Shelf {
    /// Adds a blob to a repository.
    pub fn add_blob(&mut self, name: &str, blob: Stored) {
        self.blobs.insert((name.to_owned(), blob.descriptor.digest), blob);
    }

    /// Adds a manifest or an index to a repository, under a tag if it is to have one.
    pub fn add_manifest(&mut self, name: &str, tag: Option<&str>, manifest: Stored) {
        let digest = manifest.descriptor.digest;
        let tags = self.tags.entry(name.to_owned()).or_default();
        if let Some(tag) = tag {
            tags.insert(tag.to_owned(), digest);
        }
        self.manifests.insert((name.to_owned(), digest), manifest);
    }
}

/// A server on its port.
#[derive(Debug)]
pub struct Server {
    listener: TcpListener,
    address: SocketAddr,
}

impl Server {
    /// Takes a port; 0 for any that is free.
    ///
    /// # Errors
    ///
    /// It is taken, or may not be taken.
    pub fn bind(address: SocketAddr) -> Result<Server> {
        let failed = |e: io::Error| Error::Unreachable { url: format!("http://{address}"), cause: e.to_string() };
        let listener = TcpListener::bind(address).map_err(failed)?;
        listener.set_nonblocking(true).map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        Ok(Server { listener, address })
    }

    /// Where it answers.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Answers until `stop`; `tell` is told what was given away, and what went wrong with it.
    pub fn run(&self, shelf: &Shelf, stop: &(dyn Fn() -> bool + Sync), tell: &(dyn Fn(&str) + Sync)) {
        let open = AtomicUsize::new(0);
        let is_over = AtomicBool::new(false);
        thread::scope(|scope| {
            while !stop() {
                if open.load(Ordering::Relaxed) >= MOST_CONNECTIONS {
                    thread::sleep(TICK);
                    continue;
                }
                let Ok((stream, _)) = self.listener.accept() else {
                    thread::sleep(Duration::from_millis(10));
                    continue;
                };
                open.fetch_add(1, Ordering::Relaxed);
                let (open, is_over) = (&open, &is_over);
                scope.spawn(move || {
                    // A connection that breaks is its other side's concern.
                    let _ = Connection { stream, shelf, is_over, tell }.run();
                    open.fetch_sub(1, Ordering::Relaxed);
                });
            }
            is_over.store(true, Ordering::Relaxed);
        });
    }
}

struct Connection<'a> {
    stream: TcpStream,
    shelf: &'a Shelf,
    is_over: &'a AtomicBool,
    tell: &'a (dyn Fn(&str) + Sync),
}

/// What is said to a request.
enum Answer<'a> {
    Content(&'a Stored, &'static str),
    Json(serde_json::Value, Vec<(&'static str, String)>),
    No(u16, &'static str, &'static str),
}

impl Connection<'_> {
    fn run(&mut self) -> io::Result<()> {
        self.stream.set_nonblocking(false)?;
        self.stream.set_nodelay(true)?;
        self.stream.set_read_timeout(Some(TICK))?;
        self.stream.set_write_timeout(Some(SILENCE))?;
        let (mut requests, mut since) = (Requests::default(), Instant::now());
        loop {
            match requests.next(&mut self.stream) {
                Ok(request) => {
                    self.answer(&request)?;
                    if request.is_last {
                        return Ok(());
                    }
                    since = Instant::now();
                }
                Err(NoRequest::Io(e)) if matches!(e.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {
                    let is_over = self.is_over.load(Ordering::Relaxed) && !requests.has_begun();
                    if is_over || since.elapsed() > SILENCE {
                        return Ok(());
                    }
                }
                Err(NoRequest::End) => return Ok(()),
                Err(NoRequest::Io(e)) => return Err(e),
                Err(NoRequest::Bad(cause)) => {
                    let request =
                        Request { method: "GET".to_owned(), target: String::new(), range: None, is_last: true };
                    return self.say(&request, Answer::No(400, "UNSUPPORTED", cause));
                }
            }
        }
    }

    fn answer(&mut self, request: &Request) -> io::Result<()> {
        let answer = match request.method.as_str() {
            "GET" | "HEAD" => find(self.shelf, &request.target),
            _ => Answer::No(405, "UNSUPPORTED", "this registry only gives"),
        };
        self.say(request, answer)
    }

    fn say(&mut self, request: &Request, answer: Answer<'_>) -> io::Result<()> {
        let is_head = request.method == "HEAD";
        let is_last = request.is_last;
        let (status, body, mut headers) = match answer {
            Answer::Content(stored, kind) => return self.give(request, stored, kind),
            Answer::Json(value, headers) => (200, value, headers),
            Answer::No(status, code, message) => {
                (status, json!({"errors": [{"code": code, "message": message}]}), Vec::new())
            }
        };
        let body = body.to_string();
        headers.push(("Content-Type", "application/json".to_owned()));
        if status == 405 {
            headers.push(("Allow", "GET, HEAD".to_owned()));
        }
        Head { status, length: body.len() as u64, headers, is_last }.write(&mut self.stream)?;
        if is_head { Ok(()) } else { self.stream.write_all(body.as_bytes()) }
    }

    fn give(&mut self, request: &Request, stored: &Stored, kind: &str) -> io::Result<()> {
        let Descriptor { digest, size, media_type, .. } = &stored.descriptor;
        let is_last = request.is_last;
        let media_type = if kind == "blob" { "application/octet-stream" } else { media_type };
        let mut headers = vec![
            ("Content-Type", media_type.to_owned()),
            ("Docker-Content-Digest", digest.to_string()),
            ("Etag", format!("\"{digest}\"")),
            ("Accept-Ranges", "bytes".to_owned()),
        ];
        let wanted = range(request.range.as_deref().filter(|_| kind == "blob"), *size);
        let (status, first, length) = match wanted {
            Err(()) => {
                headers.push(("Content-Range", format!("bytes */{size}")));
                return Head { status: 416, length: 0, headers, is_last }.write(&mut self.stream);
            }
            Ok(None) => (200, 0, *size),
            Ok(Some((first, last))) => {
                headers.push(("Content-Range", format!("bytes {first}-{last}/{size}")));
                (206, first, last - first + 1)
            }
        };
        Head { status, length, headers, is_last }.write(&mut self.stream)?;
        if request.method == "HEAD" {
            return Ok(());
        }
        let mut out = Limited { out: &mut self.stream, left: length, error: None };
        let result = stored.content.write_to(first, &mut out);
        let (left, broken) = (out.left, out.error);
        if let Some(error) = broken {
            return Err(error);
        }
        if left > 0 {
            // The client sees that the body is too short.
            let cause = result.err().map_or_else(|| "it has fewer bytes than it had".to_owned(), |e| e.to_string());
            (self.tell)(&format!("cannot give {digest}: {cause}"));
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        (self.tell)(&format!("gave {kind} {digest}, {length} bytes"));
        Ok(())
    }
}

/// Takes so many bytes and no more.
struct Limited<'a> {
    out: &'a mut TcpStream,
    left: u64,
    error: Option<io::Error>,
}

impl Write for Limited<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = bytes.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
        if count == 0 && !bytes.is_empty() {
            // All that was asked for is out: whoever makes the rest may stop.
            return Err(io::ErrorKind::WriteZero.into());
        }
        match self.out.write(&bytes[..count]) {
            Ok(count) => {
                self.left -= count as u64;
                Ok(count)
            }
            Err(e) => {
                self.error = Some(io::Error::from(e.kind()));
                Err(e)
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

fn find<'a>(shelf: &'a Shelf, target: &str) -> Answer<'a> {
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let no_name = Answer::No(404, "NAME_UNKNOWN", "repository name not known to registry");
    let Some(rest) = path.strip_prefix("/v2") else { return no_name };
    if matches!(rest, "" | "/") {
        return Answer::Json(json!({}), Vec::new());
    }
    if rest == "/_catalog" {
        let names: Vec<&str> = shelf.tags.keys().map(String::as_str).collect();
        return listed(&names, query, "/v2/_catalog", |names| json!({"repositories": names}));
    }
    let rest = rest.trim_start_matches('/');
    if let Some(name) = rest.strip_suffix("/tags/list") {
        let Some(tags) = shelf.tags.get(name) else { return no_name };
        let tags: Vec<&str> = tags.keys().map(String::as_str).collect();
        return listed(&tags, query, path, |tags| json!({"name": name, "tags": tags}));
    }
    if let Some((name, digest)) = rest.rsplit_once("/blobs/") {
        let found = digest.parse().ok().and_then(|digest| shelf.blobs.get(&(name.to_owned(), digest)));
        return match found {
            Some(stored) => Answer::Content(stored, "blob"),
            None => Answer::No(404, "BLOB_UNKNOWN", "blob unknown to registry"),
        };
    }
    if let Some((name, wanted)) = rest.rsplit_once("/manifests/") {
        let tagged = || shelf.tags.get(name)?.get(wanted).copied();
        let digest = wanted.parse().ok().or_else(tagged);
        let found = digest.and_then(|digest| shelf.manifests.get(&(name.to_owned(), digest)));
        return match found {
            Some(stored) => Answer::Content(stored, "manifest"),
            None => Answer::No(404, "MANIFEST_UNKNOWN", "manifest unknown"),
        };
    }
    no_name
}

/// A list, or the part of it that `n` and `last` ask for, with a `Link` to the next one.
fn listed(all: &[&str], query: &str, path: &str, value: impl FnOnce(&[&str]) -> serde_json::Value) -> Answer<'static> {
    let get =
        |key: &str| query.split('&').find_map(|pair| pair.split_once('=').filter(|it| it.0 == key)).map(|it| it.1);
    let begin = get("last").map_or(0, |last| all.partition_point(|name| *name <= last));
    let most = get("n").and_then(|n| n.parse::<usize>().ok()).unwrap_or(all.len());
    let end = begin.saturating_add(most).min(all.len());
    let part = &all[begin..end];
    let link = part.last().filter(|_| end < all.len());
    let link = link.map(|last| ("Link", format!("<{path}?n={most}&last={last}>; rel=\"next\"")));
    Answer::Json(value(part), link.into_iter().collect())
}
