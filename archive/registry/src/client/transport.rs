//! Sends one request over HTTP/1.1 and receives its answer, with or without TLS, directly or through a proxy; each step has
//! a timeout.

use crate::client::agents::{Agents, CONNECT};
use crate::client::answer::{Answer, read_within};
use crate::client::certificate::roots;
use crate::client::credential::basic;
use crate::client::proxy::{Proxies, Proxy};
use crate::client::resolver::Unresolved;
use crate::client::socket;
use crate::options::{Options, Waiting};
use crate::trust::Trust;
use crate::url::Url;
use crate::{Error, Obstacle, Result};
use layerstone_store::Cancel;
use std::collections::BTreeSet;
use std::io::{self, Read};
use std::net::ToSocketAddrs;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use ureq::http::Request;
use ureq::tls::RootCerts;
use ureq::{SendBody, Timeout};

/// Timeout of a request that cleans up after cancellation, its answer included. After a signal the program ends within
/// some seconds, whatever it does then.
const FAREWELL: Duration = Duration::from_secs(3);

/// The message about a host that answers TLS in plain.
pub(crate) const PLAIN_ANSWER: &str = "found an answer without TLS";

/// Bytes of a body that is sent at once.
const SHORT: usize = 1 << 16;

/// The target of this crate's events.
pub(crate) const LOG: &str = "layerstone::registry";

/// The body of a request.
pub(crate) enum Payload<'a> {
    Bytes(&'a [u8]),
    /// Bytes in chunks (RFC 9112, section 7.1), which may end early without breaking the connection.
    Chunks(&'a mut dyn Read),
}

/// Sends requests, to each host through its proxy and with its exemptions.
#[derive(Clone, Debug)]
pub(crate) struct Transport {
    /// The exemptions of hosts.
    pub trust: Arc<Trust>,
    proxies: Arc<Proxies>,
    agents: Arc<Agents>,
    /// The hosts that have answered. A name that had an address has one again when the resolver works again.
    reached: Arc<Mutex<BTreeSet<String>>>,
    waiting: Waiting,
}

/// Why there is no answer.
struct Failure<'a> {
    error: ureq::Error,
    proxy: Option<&'a Proxy>,
}

impl Transport {
    /// Trusts the certificates of the system and those of a file.
    pub(crate) fn new(options: &Options, trust: Trust, proxies: Proxies) -> Result<Transport> {
        let roots = RootCerts::Specific(Arc::new(roots(options)?));
        let (silence, cancel) = (options.io_timeout, options.cancel.clone());
        let agents = Agents { roots, silence, limit: None, cancel, made: Mutex::default() };
        let (trust, proxies, agents) = (Arc::new(trust), Arc::new(proxies), Arc::new(agents));
        Ok(Transport { trust, proxies, agents, reached: Arc::default(), waiting: options.waiting.clone() })
    }

    /// For a few requests after cancellation.
    pub(crate) fn farewell(&self) -> Transport {
        let (roots, silence) = (self.agents.roots.clone(), self.agents.silence);
        let (limit, cancel, made) = (Some(FAREWELL), Cancel::default(), Mutex::default());
        Transport { agents: Arc::new(Agents { roots, silence, limit, cancel, made }), ..self.clone() }
    }

    /// Sends a request and waits for the head of the answer, whatever its status. An answer that comes before the body
    /// was sent counts if it is a refusal.
    pub(crate) fn send(
        &self,
        method: &str,
        url: &Url,
        headers: &[(&str, &str)],
        payload: Option<Payload<'_>>,
    ) -> Result<Answer> {
        self.agents.cancel.check()?;
        socket::begin();
        let proxy = self.proxies.of(url)?;
        let sent = self.run(method, url, headers, payload, proxy);
        let mut reached = self.reached.lock().unwrap_or_else(PoisonError::into_inner);
        let is_known = match &sent {
            Ok(_) => !reached.insert(url.host()),
            Err(_) => reached.contains(&url.host()),
        };
        drop(reached);
        match sent {
            Ok(answer) if socket::is_cut() && answer.status().is_success() => {
                Err(Error::broken(url, format!("found status {} before the body was sent", answer.status().as_u16())))
            }
            Ok(answer) => match proxy {
                Some(proxy) if answer.status().as_u16() == 407 && !url.is_https => Err(refusal(proxy, 407)),
                _ => Ok(answer),
            },
            Err(failure) => {
                self.agents.cancel.check()?;
                Err(match failure.into_error(url, self.agents.silence) {
                    Error::Unreachable { url, obstacle: Obstacle::Name, cause } if is_known => {
                        Error::broken(url, cause)
                    }
                    error => error,
                })
            }
        }
    }

    /// The answer of a host that speaks TLS to a GET. None if it speaks plain HTTP, which it does if that is what it
    /// answers to TLS, or if TLS cannot be tried: the proxy makes no tunnel to this port, or the name is one that only the proxy
    /// for plain HTTP can look up. Any other error says nothing of the sort: it may be somebody between us and the host.
    pub(crate) fn send_if_tls(&self, url: &Url) -> Result<Option<Answer>> {
        self.agents.cancel.check()?;
        socket::begin();
        let proxy = self.proxies.of(url)?;
        let failure = match self.run("GET", url, &[], None, proxy) {
            Ok(answer) => return Ok(Some(answer)),
            Err(failure) => failure,
        };
        self.agents.cancel.check()?;
        let is_plain = match &failure.error {
            ureq::Error::ConnectProxyFailed(_) => matches!(failure.status(), Some(400 | 403 | 405 | 501)),
            error => is_plain_answer(error) || (proxy.is_none() && self.is_known_to_proxy_alone(url)?),
        };
        if is_plain { Ok(None) } else { Err(failure.into_error(url, self.agents.silence)) }
    }

    /// Reads a small body, which may take as long as silence may, and have so many bytes and one more.
    pub(crate) fn read_small(&self, reader: impl Read, most: u64) -> Result<Vec<u8>, (Obstacle, String)> {
        read_within(reader, most, self.agents.silence).map_err(|e| self.broken(&e))
    }

    /// The reason why the body of an answer breaks off.
    pub(crate) fn broken(&self, error: &io::Error) -> (Obstacle, String) {
        match error.get_ref().and_then(|inner| inner.downcast_ref::<ureq::Error>()) {
            Some(inner) => (obstacle(inner), cause(inner, self.agents.silence)),
            None => (Obstacle::Connection, io_cause(error)),
        }
    }

    /// Whether a name cannot be looked up here, while plain HTTP has a proxy that may know it.
    fn is_known_to_proxy_alone(&self, url: &Url) -> Result<bool> {
        let plain = Url::new(false, &url.authority, "/");
        Ok(self.proxies.of(&plain)?.is_some() && (url.host(), url.port()).to_socket_addrs().is_err())
    }

    fn run<'a>(
        &self,
        method: &str,
        url: &Url,
        headers: &[(&str, &str)],
        payload: Option<Payload<'_>>,
        proxy: Option<&'a Proxy>,
    ) -> Result<Answer, Failure<'a>> {
        let begin = Instant::now();
        // While a body is sent, it is the network that is waited for.
        let is_short = match &payload {
            None => true,
            Some(Payload::Bytes(bytes)) => bytes.len() <= SHORT,
            Some(Payload::Chunks(_)) => false,
        };
        let exchange = || self.exchange(method, url, headers, payload, proxy);
        let answer = if is_short { self.waiting.during(&url.authority, exchange) } else { exchange() };
        // Neither headers nor the query, which may hold secrets.
        let (ms, proxy) = (begin.elapsed().as_millis() as u64, proxy.map(tracing::field::display));
        let status = answer.as_ref().ok().map(|answer| answer.status().as_u16());
        let cause = answer.as_ref().err().map(|failure| cause(&failure.error, self.agents.silence));
        tracing::info!(target: LOG, status, ms, proxy, cause, "{method} {url}");
        answer
    }

    fn exchange<'a>(
        &self,
        method: &str,
        url: &Url,
        headers: &[(&str, &str)],
        payload: Option<Payload<'_>>,
        proxy: Option<&'a Proxy>,
    ) -> Result<Answer, Failure<'a>> {
        let failed = |error: ureq::Error| Failure { error, proxy };
        let mut request = Request::builder().method(method).uri(url.text());
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if let Some(Proxy { user: Some((name, password)), .. }) = proxy.filter(|proxy| proxy.forwards(url)) {
            request = request.header("proxy-authorization", basic(name, password));
        }
        let agent = self.agents.of(url, self.trust.is_exempt(url), proxy).map_err(failed)?;
        let answer = match payload {
            Some(Payload::Bytes(mut bytes)) => {
                let request = request.header("content-length", bytes.len()).body(SendBody::from_reader(&mut bytes));
                agent.run(request.map_err(|e| failed(e.into()))?)
            }
            Some(Payload::Chunks(reader)) => {
                let mut reader = UntilCut(reader);
                agent.run(request.body(SendBody::from_reader(&mut reader)).map_err(|e| failed(e.into()))?)
            }
            None => agent.run(request.body(()).map_err(|e| failed(e.into()))?),
        };
        answer.map_err(failed)
    }
}

impl Failure<'_> {
    fn into_error(self, url: &Url, silence: Duration) -> Error {
        let cut = if socket::is_cut() { "the connection broke: " } else { "" };
        let cause = format!("{cut}{}", cause(&self.error, silence));
        let (url, obstacle) = (url.to_string(), obstacle(&self.error));
        let Some(proxy) = self.proxy else { return Error::Unreachable { url, obstacle, cause } };
        match self.status() {
            // Statuses of gateways may go away by themselves.
            Some(status) if status < 500 => refusal(proxy, status),
            _ => {
                let cause = format!("through {proxy} of {}: {cause}", proxy.variable);
                Error::Unreachable { url, obstacle, cause }
            }
        }
    }

    /// The status with which a proxy refuses a tunnel, which ureq has in a message alone.
    fn status(&self) -> Option<u16> {
        let ureq::Error::ConnectProxyFailed(text) = &self.error else { return None };
        text.split(|c: char| !c.is_ascii_digit()).find_map(|word| word.parse().ok())
    }
}

/// The error for a refusal of a proxy.
fn refusal(proxy: &Proxy, status: u16) -> Error {
    let cause = match status {
        407 => format!("{proxy} does not take the user and password, or wants some: found status 407"),
        status => format!("{proxy} makes no connection: found status {status}"),
    };
    Error::Proxy { variable: proxy.variable, cause }
}

/// A body that ends when the connection is cut: what is sent then does not matter.
struct UntilCut<'a>(&'a mut dyn Read);

impl Read for UntilCut<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if socket::is_cut() { Ok(0) } else { self.0.read(buffer) }
    }
}

/// Why there is no answer, in words that name no value of a header.
fn cause(error: &ureq::Error, silence: Duration) -> String {
    let seconds = silence.as_secs();
    match error {
        error if is_plain_answer(error) => PLAIN_ANSWER.to_owned(),
        ureq::Error::Io(e) => io_cause(e),
        ureq::Error::HostNotFound => Unresolved::new("found no address").to_string(),
        ureq::Error::Timeout(Timeout::Resolve | Timeout::Connect) => {
            format!("timeout: no connection within {} s", silence.min(CONNECT).as_secs())
        }
        ureq::Error::Timeout(Timeout::PerWrite) => format!("timeout: nothing was taken for {seconds} s"),
        ureq::Error::Timeout(_) => format!("timeout: nothing came for {seconds} s"),
        ureq::Error::Rustls(e) => format!("TLS: {e}"),
        ureq::Error::Protocol(_) => "found no HTTP/1.1".to_owned(),
        other => other.to_string(),
    }
}

/// The kind of the cause.
fn obstacle(error: &ureq::Error) -> Obstacle {
    let is_unresolved = |error: &io::Error| error.get_ref().is_some_and(|inner| inner.is::<Unresolved>());
    match error {
        error if is_plain_answer(error) => Obstacle::NoTls,
        ureq::Error::HostNotFound => Obstacle::Name,
        ureq::Error::Io(error) if is_unresolved(error) => Obstacle::Name,
        ureq::Error::Timeout(Timeout::Resolve | Timeout::Connect) => Obstacle::Connection,
        ureq::Error::Timeout(_) => Obstacle::Silence,
        error => match tls_error_of(error) {
            Some(rustls::Error::InvalidCertificate(_) | rustls::Error::NoCertificatesPresented) => {
                Obstacle::Certificate
            }
            _ => Obstacle::Connection,
        },
    }
}

/// What the system says of a connection is shorter than its own text, which has the number of the error.
fn io_cause(error: &io::Error) -> String {
    match tls_error(error) {
        Some(tls) => format!("TLS: {tls}"),
        None if error.raw_os_error().is_some() && is_of_network(error.kind()) => error.kind().to_string(),
        None => error.to_string(),
    }
}

fn is_of_network(kind: io::ErrorKind) -> bool {
    use io::ErrorKind::{
        BrokenPipe, ConnectionAborted, ConnectionRefused, ConnectionReset, HostUnreachable, NetworkUnreachable,
    };
    matches!(
        kind,
        BrokenPipe | ConnectionAborted | ConnectionRefused | ConnectionReset | HostUnreachable | NetworkUnreachable
    )
}

fn tls_error(error: &io::Error) -> Option<&rustls::Error> {
    error.get_ref()?.downcast_ref()
}

fn tls_error_of(error: &ureq::Error) -> Option<&rustls::Error> {
    match error {
        ureq::Error::Io(error) => tls_error(error),
        ureq::Error::Rustls(error) => Some(error),
        _ => None,
    }
}

/// Whether TLS was answered with what is none, as servers of plain HTTP do.
fn is_plain_answer(error: &ureq::Error) -> bool {
    matches!(tls_error_of(error), Some(rustls::Error::InvalidMessage(rustls::InvalidMessage::InvalidContentType)))
}
