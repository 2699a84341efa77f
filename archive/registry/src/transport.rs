//! One request and its answer over HTTP/1.1, with or without TLS, each step of which has a bound.

use crate::client::Options;
use crate::retry::Stop;
use crate::socket::{self, SocketConnector};
use crate::url::Url;
use crate::{Error, Result};
use std::fs;
use std::io::{self, Read};
use std::sync::Arc;
use std::time::{Duration, Instant};
use ureq::config::Config;
use ureq::http::{Request, Response};
use ureq::tls::{Certificate, PemItem, RootCerts, TlsConfig, parse_pem};
use ureq::unversioned::resolver::DefaultResolver;
use ureq::unversioned::transport::{ConnectProxyConnector, Connector as _, RustlsConnector};
use ureq::{Agent, Body, SendBody, Timeout};

/// How long resolving a name, and making a connection with its TLS handshake, may take at most, whatever the options say.
const CONNECT: Duration = Duration::from_secs(20);
/// How long a request may take, its answer included, that cleans up after a signal. The program ends by that signal
/// some seconds after it came, whatever it does then.
const FAREWELL: Duration = Duration::from_secs(3);

/// An answer.
pub(crate) type Answer = Response<Body>;

/// What is sent besides the headers.
pub(crate) struct Payload<'a> {
    pub reader: &'a mut dyn Read,
    /// Its length in bytes.
    pub size: u64,
}

/// Something that makes requests.
#[derive(Clone, Debug)]
pub(crate) struct Transport {
    agent: Agent,
    /// For requests that clean up after a signal.
    farewell: Agent,
    stop: Stop,
    silence: Duration,
}

impl Transport {
    /// With the certificates that the system trusts and those of a file; with `is_blind`, any will do.
    pub(crate) fn new(options: &Options, is_blind: bool) -> Result<Transport> {
        let tls = TlsConfig::builder()
            .disable_verification(is_blind)
            .root_certs(RootCerts::Specific(Arc::new(roots(options)?)))
            .unversioned_rustls_crypto_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .build();
        let silence = options.io_timeout;
        let agent = |limit, stop| {
            let connector = ().chain(ConnectProxyConnector::default()).chain(SocketConnector { stop });
            let connector = connector.chain(RustlsConnector::default());
            Agent::with_parts(config(tls.clone(), silence, limit), connector, DefaultResolver::default())
        };
        let (farewell, stop) = (agent(Some(FAREWELL), Stop::never()), options.stop.clone());
        Ok(Transport { agent: agent(None, stop.clone()), farewell, stop, silence })
    }

    /// For a few requests more after a signal.
    pub(crate) fn farewell(&self) -> Transport {
        Transport { agent: self.farewell.clone(), stop: Stop::never(), ..self.clone() }
    }

    /// Sends a request and waits for the head of the answer, whatever its status. An answer that comes before the body
    /// was sent counts if it says no.
    pub(crate) fn send(
        &self,
        method: &str,
        url: &Url,
        headers: &[(&str, &str)],
        payload: Option<Payload<'_>>,
    ) -> Result<Answer> {
        let unreachable = |cause: String| Error::Unreachable { url: url.to_string(), cause };
        self.stop.check()?;
        socket::begin();
        let mut request = Request::builder().method(method).uri(url.text());
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let answer = match payload {
            Some(Payload { reader, size }) => {
                let mut reader = Exact { reader, left: size };
                let request = request.header("content-length", size).body(SendBody::from_reader(&mut reader));
                self.agent.run(request.map_err(|e| unreachable(e.to_string()))?)
            }
            None => self.agent.run(request.body(()).map_err(|e| unreachable(e.to_string()))?),
        };
        match answer {
            Ok(answer) if socket::is_cut() && answer.status().is_success() => {
                Err(unreachable(format!("found status {} before the body was sent", answer.status().as_u16())))
            }
            Ok(answer) => Ok(answer),
            Err(e) => {
                self.stop.check()?;
                let cut = if socket::is_cut() { "the connection broke: " } else { "" };
                Err(unreachable(format!("{cut}{}", cause(&e, self.silence))))
            }
        }
    }

    /// Reads a small body, which may take as long as silence may, and have so many bytes and one more.
    pub(crate) fn read_small(&self, answer: Answer, most: u64) -> Result<Vec<u8>, String> {
        read_within(answer.into_body().into_reader(), most, self.silence).map_err(|e| self.broken(&e))
    }

    /// Why the body of an answer breaks off.
    pub(crate) fn broken(&self, error: &io::Error) -> String {
        match error.get_ref().and_then(|inner| inner.downcast_ref::<ureq::Error>()) {
            Some(inner) => cause(inner, self.silence),
            None => io_cause(error),
        }
    }
}

fn config(tls: TlsConfig, silence: Duration, limit: Option<Duration>) -> Config {
    Agent::config_builder()
        .http_status_as_error(false)
        // Where a redirect leads decides what may be told there.
        .max_redirects(0)
        .max_redirects_will_error(false)
        .tls_config(tls)
        .user_agent(concat!("layerstone/", env!("CARGO_PKG_VERSION")))
        .accept_encoding("identity")
        .timeout_global(limit)
        .timeout_resolve(Some(silence.min(CONNECT)))
        .timeout_connect(Some(silence.min(CONNECT)))
        .timeout_recv_response(Some(silence))
        .timeout_per_read(Some(silence))
        .timeout_per_write(Some(silence))
        .max_idle_connections_per_host(16)
        .output_buffer_size(1 << 18)
        .input_buffer_size(1 << 18)
        .build()
}

/// A body of exactly so many bytes: ureq would wait for good for those that are missing. What is sent on a connection
/// that was cut does not matter, and is not asked for.
struct Exact<'a> {
    reader: &'a mut dyn Read,
    left: u64,
}

impl Read for Exact<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = usize::try_from(self.left).unwrap_or(usize::MAX).min(buffer.len());
        let count = if socket::is_cut() { most } else { self.reader.read(&mut buffer[..most])? };
        if count == 0 && most > 0 {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, format!("{} bytes are missing", self.left)));
        }
        self.left -= count as u64;
        Ok(count)
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

/// Why there is no answer, in words that name no value of a header.
fn cause(error: &ureq::Error, silence: Duration) -> String {
    let seconds = silence.as_secs();
    match error {
        ureq::Error::Io(e) => io_cause(e),
        ureq::Error::HostNotFound => "no such host".to_owned(),
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

fn io_cause(error: &io::Error) -> String {
    match error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
        Some(tls) => format!("TLS: {tls}"),
        None => error.to_string(),
    }
}

/// The certificates of authorities that are trusted.
fn roots(options: &Options) -> Result<Vec<Certificate<'static>>> {
    // What cannot be read of the system's is passed over, as by others: a server that needs it is not trusted then.
    let system = rustls_native_certs::load_native_certs().certs;
    let mut roots: Vec<Certificate<'static>> =
        system.iter().map(|certificate| Certificate::from_der(certificate.as_ref()).to_owned()).collect();
    let Some(path) = &options.ca else { return Ok(roots) };
    let wrong = |cause: String| Error::Certificates { path: path.clone(), cause };
    let text = fs::read(path).map_err(|e| wrong(e.to_string()))?;
    let before = roots.len();
    for item in parse_pem(&text) {
        if let PemItem::Certificate(certificate) = item.map_err(|e| wrong(e.to_string()))? {
            roots.push(certificate);
        }
    }
    if roots.len() == before {
        return Err(wrong("found no certificate in PEM".to_owned()));
    }
    Ok(roots)
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

    /// A body has as many bytes as was said, or sending it is an error.
    #[test]
    fn exact_bodies() {
        socket::begin();
        for (bytes, size, expected) in [(5, 5, Some(5)), (9, 5, Some(5)), (4, 5, None), (0, 0, Some(0))] {
            let bytes = vec![1; bytes];
            let read = Exact { reader: &mut &bytes[..], left: size }.read_to_end(&mut Vec::new());
            assert_eq!(read.ok(), expected, "{size}");
        }
    }
}
