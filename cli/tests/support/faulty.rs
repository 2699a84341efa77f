//! A registry in memory whose connections break on chosen requests, in chosen ways, with TLS or without.

use crate::support::fake_registry::FakeRegistry;
use crate::support::http::{Answer, NO_HTTP, Request, read_body, read_head, tls_config};
use crate::support::registry::Certificates;
use std::io::{BufReader, ErrorKind, Read, Result, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::Duration;

/// How many bytes are read of a body in chunks that breaks off in the middle: fewer than any such body has, and too few to
/// begin the attempts anew.
const WITHIN: usize = 10_000;

/// How a request breaks off. A reset is one of TCP, without a farewell of TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    /// Reset once the head is there.
    ResetBefore,
    /// Reset in the middle of the body.
    ResetWithin,
    /// Reset once all is there and done, without an answer.
    ResetAfter,
    /// Answered with this status once the head is there, and closed: the body is not read.
    Early(u16),
    /// The same, but the connection stays open.
    EarlyOpen(u16),
    /// Done, and half of the answer sent.
    HalfAnswer,
    /// Nothing more is read nor sent once the head is there.
    SilentBefore,
    /// Nothing more in the middle of the body.
    SilentWithin,
    /// Nothing once all is there and done.
    SilentAfter,
    /// Nothing after half of the answer.
    SilentAnswer,
}

impl How {
    fn stays_open(self) -> bool {
        use How::*;
        matches!(self, EarlyOpen(_) | SilentBefore | SilentWithin | SilentAfter | SilentAnswer)
    }
}

/// Requests that break off.
#[derive(Clone, Copy, Debug)]
pub struct Fault {
    pub method: &'static str,
    /// What the path has in it.
    pub part: &'static str,
    pub how: How,
    /// How many of them break off, the first ones.
    pub times: usize,
}

/// A registry, which ends when dropped.
pub struct FaultyRegistry {
    pub held: Arc<FakeRegistry>,
    address: SocketAddr,
    state: Arc<State>,
    /// A message for each request that broke off.
    broken: Mutex<Receiver<()>>,
}

struct State {
    held: Arc<FakeRegistry>,
    faults: Vec<(Fault, Mutex<usize>)>,
    /// Whether a token is wanted.
    wants_token: bool,
    seen: Mutex<Vec<(String, String)>>,
    broken: Sender<()>,
    is_over: AtomicBool,
    over: (Mutex<bool>, Condvar),
}

impl FaultyRegistry {
    pub fn start(faults: &[Fault], tls: Option<&Certificates>, wants_token: bool) -> FaultyRegistry {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (sender, broken) = channel();
        let held = Arc::<FakeRegistry>::default();
        let state = Arc::new(State {
            held: Arc::clone(&held),
            faults: faults.iter().map(|fault| (*fault, Mutex::new(fault.times))).collect(),
            wants_token,
            seen: Mutex::default(),
            broken: sender,
            is_over: AtomicBool::new(false),
            over: Default::default(),
        });
        let (tls, kept) = (tls.map(tls_config), Arc::clone(&state));
        thread::spawn(move || {
            for stream in listener.incoming() {
                if kept.is_over.load(Ordering::Relaxed) {
                    return;
                }
                let (tls, state, stream) = (tls.clone(), Arc::clone(&kept), stream.unwrap());
                thread::spawn(move || {
                    let raw = stream.try_clone().unwrap();
                    // A client may break off at any place.
                    match tls {
                        None => drop(state.serve(stream, &raw)),
                        Some(tls) => {
                            let session = rustls::ServerConnection::new(tls).unwrap();
                            drop(state.serve(rustls::StreamOwned::new(session, stream), &raw));
                        }
                    }
                });
            }
        });
        FaultyRegistry { held, address, state, broken: Mutex::new(broken) }
    }

    pub fn host(&self) -> String {
        self.address.to_string()
    }

    /// Waits for a request that breaks off.
    pub fn wait_for_fault(&self, most: Duration) {
        self.broken.lock().unwrap().recv_timeout(most).unwrap();
    }

    /// How often this method was asked for a path with this in it.
    pub fn count(&self, method: &str, part: &str) -> usize {
        self.state.seen.lock().unwrap().iter().filter(|it| it.0 == method && it.1.contains(part)).count()
    }
}

impl Drop for FaultyRegistry {
    fn drop(&mut self) {
        self.state.is_over.store(true, Ordering::Relaxed);
        *self.state.over.0.lock().unwrap() = true;
        self.state.over.1.notify_all();
        // Wakes the one that accepts.
        let _ = TcpStream::connect(self.address);
    }
}

impl State {
    fn serve<S: Read + Write>(&self, stream: S, raw: &TcpStream) -> Result<()> {
        let mut reader = BufReader::new(stream);
        loop {
            let mut request = match read_head(&mut reader) {
                Ok(Some(request)) => request,
                Ok(None) => return Ok(()),
                Err(e) if e.kind() == ErrorKind::InvalidData => return reader.get_mut().write_all(NO_HTTP),
                Err(e) => return Err(e),
            };
            self.seen.lock().unwrap().push((request.method.clone(), request.target.clone()));
            if let Some(how) = self.fault(&request) {
                let result = self.break_off(&mut reader, request, how, raw);
                let _ = self.broken.send(());
                if how.stays_open() {
                    self.wait_for_the_end();
                }
                return result;
            }
            request.body = read_body(&mut reader, &request, usize::MAX)?;
            let answer = self.answer(&request);
            reader.get_mut().write_all(&bytes_of(&answer, &request))?;
            reader.get_mut().flush()?;
        }
    }

    fn fault(&self, request: &Request) -> Option<How> {
        let fits = |fault: &Fault| fault.method == request.method && request.path().contains(fault.part);
        let (fault, left) = self.faults.iter().find(|(fault, _)| fits(fault))?;
        if self.wants_token && !request.path().starts_with("/token") && request.header("authorization").is_none() {
            return None;
        }
        let mut left = left.lock().unwrap();
        *left = left.checked_sub(1)?;
        Some(fault.how)
    }

    fn break_off<S: Read + Write>(
        &self,
        reader: &mut BufReader<S>,
        mut request: Request,
        how: How,
        raw: &TcpStream,
    ) -> Result<()> {
        let wanted = match how {
            How::ResetBefore | How::Early(_) | How::EarlyOpen(_) | How::SilentBefore => 0,
            How::ResetWithin | How::SilentWithin => request.length().map_or(WITHIN, |length| length / 2),
            How::ResetAfter | How::HalfAnswer | How::SilentAfter | How::SilentAnswer => usize::MAX,
        };
        request.body = read_body(reader, &request, wanted)?;
        let is_done = matches!(how, How::ResetAfter | How::HalfAnswer | How::SilentAfter | How::SilentAnswer);
        // A registry may keep what it has of an upload.
        let is_kept = request.method == "PATCH" && matches!(how, How::ResetWithin | How::SilentWithin);
        let answer = (is_done || is_kept).then(|| self.answer(&request));
        match (how, answer) {
            (How::Early(status) | How::EarlyOpen(status), _) => {
                reader.get_mut().write_all(&Answer::new(status).head())?
            }
            (How::HalfAnswer | How::SilentAnswer, Some(answer)) => {
                let bytes = bytes_of(&answer, &request);
                reader.get_mut().write_all(&bytes[..bytes.len() / 2])?;
            }
            (How::ResetBefore | How::ResetWithin | How::ResetAfter, _) => {
                // The end of the last descriptor is a reset then.
                rustix::net::sockopt::set_socket_linger(raw, Some(Duration::ZERO))?;
                return Ok(());
            }
            _ => {}
        }
        reader.get_mut().flush()
    }

    fn answer(&self, request: &Request) -> Answer {
        if request.path() == "/token" {
            return Answer::bytes(200, r#"{"token": "good", "access_token": "good"}"#);
        }
        if self.wants_token && request.header("authorization") != Some("Bearer good") {
            return Answer::new(401).with("WWW-Authenticate", "Bearer realm=\"/token\",service=\"s\"");
        }
        self.held.answer(request)
    }

    fn wait_for_the_end(&self) {
        let mut is_over = self.over.0.lock().unwrap();
        while !*is_over {
            is_over = self.over.1.wait(is_over).unwrap();
        }
    }
}

fn bytes_of(answer: &Answer, request: &Request) -> Vec<u8> {
    let mut bytes = answer.head();
    if request.method != "HEAD" {
        bytes.extend(&answer.body);
    }
    bytes
}
