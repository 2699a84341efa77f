//! Serves a registry in memory, read-only (distribution-spec, "Pull" and "Content Discovery"). Blobs are made when they are
//! requested, whole or in part.
//!
//! Each connection has a thread. On shutdown, answers that have begun are completed, and idle connections are closed.

use crate::http::{Head, NoRequest, Request, Requests};
use crate::memory_registry::{Answer, MemoryRegistry, StoredContent, Wanted};
use crate::ranges::{Multipart, ranges};
use crate::{Error, Result};
use layerstone_oci::Descriptor;
use layerstone_store::Digest;
use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};
use serde_json::json;
use std::io::{self, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// How long is waited before a connection is taken again after that failed, for want of descriptors perhaps.
const PAUSE: Duration = Duration::from_millis(100);
/// How long nothing may be asked, or be taken, on a connection.
const SILENCE: Duration = Duration::from_secs(60);
/// Connections at a time; others wait.
const MOST_CONNECTIONS: usize = 128;

/// A request for content.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// Who asks.
    pub client: IpAddr,
    /// `blob` or `manifest`.
    pub kind: &'a str,
    /// The repository that was named.
    pub repository: &'a str,
    /// The tag or the digest that was named.
    pub reference: &'a str,
    /// The digest of the content.
    pub digest: &'a Digest,
}

/// What became of a request for content.
#[derive(Clone, Copy, Debug)]
pub enum Outcome<'a> {
    /// It is being sent.
    Begun,
    /// So many bytes of it were sent, which may be a part of it.
    Gave(u64),
    /// The client has gone.
    Broken,
    /// It could not be read, for this cause.
    Failed(&'a str),
}

/// Is told what becomes of each request for content.
type Tell<'a> = dyn Fn(Asked<'_>, Outcome<'_>) + Sync + 'a;

/// A server that listens on a port.
#[derive(Debug)]
pub struct Server {
    listener: TcpListener,
    address: SocketAddr,
}

impl Server {
    /// Binds a port; 0 for any that is free.
    ///
    /// # Errors
    ///
    /// The port is in use, or not permitted.
    pub fn bind(address: SocketAddr) -> Result<Server> {
        let failed = |source: io::Error| Error::Listen { address, source };
        let listener = TcpListener::bind(address).map_err(failed)?;
        listener.set_nonblocking(true).map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        Ok(Server { listener, address })
    }

    /// The address that it listens on.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until `stop` is readable or its other end is closed; `tell` is told when a manifest or a
    /// blob begins to be sent, and how that ends.
    ///
    /// # Errors
    ///
    /// Connections cannot be accepted.
    pub fn run(&self, registry: &MemoryRegistry, stop: BorrowedFd<'_>, tell: &Tell<'_>) -> Result<()> {
        let url = format!("http://{}", self.address);
        self.accept(registry, stop, tell).map_err(|e| Error::broken(url, e.to_string()))
    }

    fn accept(&self, registry: &MemoryRegistry, stop: BorrowedFd<'_>, tell: &Tell<'_>) -> io::Result<()> {
        let open = AtomicUsize::new(0);
        // Counts connections that have ended.
        let ended = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        thread::scope(|scope| {
            loop {
                let is_full = open.load(Ordering::Acquire) >= MOST_CONNECTIONS;
                let next = if is_full { ended.as_fd() } else { self.listener.as_fd() };
                if let [_, true] = wait([next, stop], None)? {
                    return Ok(());
                }
                if is_full {
                    let _ = rustix::io::read(&ended, &mut [0; 8]);
                    continue;
                }
                let (stream, client) = match self.listener.accept() {
                    Ok((stream, client)) => (stream, client.ip().to_canonical()),
                    Err(e) if matches!(e.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::ConnectionAborted) => {
                        continue;
                    }
                    Err(_) => {
                        if let [true] = wait([stop], Some(PAUSE))? {
                            return Ok(());
                        }
                        continue;
                    }
                };
                open.fetch_add(1, Ordering::AcqRel);
                let (open, ended) = (&open, &ended);
                let served = thread::Builder::new().spawn_scoped(scope, move || {
                    // A connection that breaks is its other side's concern.
                    let _ = Connection { stream, client, registry, stop, tell }.run();
                    open.fetch_sub(1, Ordering::AcqRel);
                    // A counter that is full wakes whoever waits as well.
                    let _ = rustix::io::write(ended, &1_u64.to_ne_bytes());
                });
                if served.is_err() {
                    // The connection is closed with the function that was to serve it.
                    open.fetch_sub(1, Ordering::AcqRel);
                }
            }
        })
    }
}

/// Waits until something can be read from one of these descriptors, or for so long; which of them are ready.
fn wait<const N: usize>(fds: [BorrowedFd<'_>; N], limit: Option<Duration>) -> io::Result<[bool; N]> {
    let end = limit.map(|limit| Instant::now() + limit);
    loop {
        let mut polled = fds.map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN));
        let left = end.map(|end| end.saturating_duration_since(Instant::now()));
        let left = left.and_then(|left| Timespec::try_from(left).ok());
        match poll(&mut polled, left.as_ref()) {
            Err(rustix::io::Errno::INTR) => {}
            Err(e) => return Err(e.into()),
            Ok(_) => return Ok(polled.map(|fd| !fd.revents().is_empty())),
        }
    }
}

struct Connection<'a> {
    stream: TcpStream,
    client: IpAddr,
    registry: &'a MemoryRegistry,
    stop: BorrowedFd<'a>,
    tell: &'a Tell<'a>,
}

impl Connection<'_> {
    fn run(&mut self) -> io::Result<()> {
        self.stream.set_nonblocking(true)?;
        self.stream.set_nodelay(true)?;
        self.stream.set_write_timeout(Some(SILENCE))?;
        let (mut requests, mut since) = (Requests::default(), Instant::now());
        loop {
            match requests.next(&mut self.stream) {
                Ok(request) => {
                    self.stream.set_nonblocking(false)?;
                    self.answer(&request)?;
                    self.stream.set_nonblocking(true)?;
                    if request.is_last {
                        return Ok(());
                    }
                    since = Instant::now();
                }
                Err(NoRequest::Io(e)) if e.kind() == io::ErrorKind::WouldBlock => {
                    // A request that has begun is answered still.
                    let stream = self.stream.as_fd();
                    let stop = if requests.has_begun() { stream } else { self.stop };
                    if let [false, _] = wait([stream, stop], Some(SILENCE.saturating_sub(since.elapsed())))? {
                        return Ok(());
                    }
                }
                Err(NoRequest::Io(e)) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(NoRequest::End) => return Ok(()),
                Err(NoRequest::Io(e)) => return Err(e),
                Err(NoRequest::Bad(cause)) => {
                    let request =
                        Request { method: "GET".to_owned(), target: String::new(), range: None, is_last: true };
                    self.stream.set_nonblocking(false)?;
                    return self.say(&request, Answer::No(400, "UNSUPPORTED", cause));
                }
            }
        }
    }

    fn answer(&mut self, request: &Request) -> io::Result<()> {
        let answer = match request.method.as_str() {
            "GET" | "HEAD" => self.registry.answer(&request.target),
            _ => Answer::No(405, "UNSUPPORTED", "this registry only gives"),
        };
        self.say(request, answer)
    }

    fn say(&mut self, request: &Request, answer: Answer<'_>) -> io::Result<()> {
        let is_head = request.method == "HEAD";
        let is_last = request.is_last;
        let (status, body, mut headers) = match answer {
            Answer::Content(stored, wanted) => return self.give(request, stored, &wanted),
            Answer::Json(value, headers) => (200, value, headers),
            Answer::No(status, code, message) => {
                (status, json!({"errors": [{"code": code, "message": message}]}), Vec::new())
            }
        };
        let body = body.to_string();
        if !headers.iter().any(|(name, _)| *name == "Content-Type") {
            headers.push(("Content-Type", "application/json".to_owned()));
        }
        if status == 405 {
            headers.push(("Allow", "GET, HEAD".to_owned()));
        }
        Head { status, length: body.len() as u64, headers, is_last }.write(&mut self.stream)?;
        if is_head { Ok(()) } else { self.stream.write_all(body.as_bytes()) }
    }

    fn give(&mut self, request: &Request, stored: &StoredContent, wanted: &Wanted) -> io::Result<()> {
        let Descriptor { digest, size, media_type, .. } = &stored.descriptor;
        let Wanted { kind, repository, reference } = wanted;
        let kind = *kind;
        let is_last = request.is_last;
        let mut media_type = if kind == "blob" { "application/octet-stream" } else { media_type }.to_owned();
        let mut headers = vec![
            ("Docker-Content-Digest", digest.to_string()),
            ("Etag", format!("\"{digest}\"")),
            ("Accept-Ranges", "bytes".to_owned()),
        ];
        let Ok(wanted) = ranges(request.range.as_deref().filter(|_| kind == "blob"), *size) else {
            headers.push(("Content-Range", format!("bytes */{size}")));
            return Head { status: 416, length: 0, headers, is_last }.write(&mut self.stream);
        };
        let (mut status, first) = (206, wanted.first().map_or(0, |(first, _)| *first));
        let mut parts = None;
        let length = match wanted[..] {
            [] => {
                status = 200;
                *size
            }
            [(first, last)] => {
                headers.push(("Content-Range", format!("bytes {first}-{last}/{size}")));
                last - first + 1
            }
            [..] => {
                let body = parts.insert(Multipart::new(&wanted, digest, *size));
                media_type = body.content_type();
                body.length()
            }
        };
        headers.insert(0, ("Content-Type", media_type));
        Head { status, length, headers, is_last }.write(&mut self.stream)?;
        if request.method == "HEAD" {
            return Ok(());
        }
        let asked = Asked { client: self.client, kind, repository, reference, digest };
        (self.tell)(asked, Outcome::Begun);
        let mut out = Limited { out: &mut self.stream, left: length, error: None };
        let result = match &parts {
            None => stored.content.write_to(first, &mut out),
            Some(body) => stored.content.write_to(first, &mut body.writer(&mut out)),
        };
        let (left, broken) = (out.left, out.error);
        if let Some(error) = broken {
            (self.tell)(asked, Outcome::Broken);
            return Err(error);
        }
        if left > 0 {
            // The client sees that the body is too short.
            let cause = result.err().map_or_else(|| "it has fewer bytes than it had".to_owned(), |e| e.to_string());
            (self.tell)(asked, Outcome::Failed(&cause));
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        (self.tell)(asked, Outcome::Gave(length));
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
