//! One request and its answer over HTTP/1.1, with or without TLS.

use crate::client::Options;
use crate::url::Url;
use crate::{Error, Result};
use std::fs;
use std::io::{self, Read};
use std::sync::Arc;
use std::time::Duration;
use ureq::http::{Request, Response};
use ureq::tls::{Certificate, PemItem, RootCerts, TlsConfig, parse_pem};
use ureq::{Agent, Body, SendBody};

/// How long a connection may take to be made.
const CONNECT: Duration = Duration::from_secs(20);
/// How long nothing may come, or nothing be taken, on a connection.
const SILENCE: Duration = Duration::from_secs(60);

/// An answer.
pub(crate) type Answer = Response<Body>;

/// What is sent besides the headers.
pub(crate) struct Payload<'a> {
    pub reader: &'a mut dyn Read,
    /// Its length in bytes.
    pub size: u64,
}

/// Something that makes requests.
#[derive(Debug)]
pub(crate) struct Transport {
    agent: Agent,
}

impl Transport {
    /// With the certificates that the system trusts and those of a file; with `is_blind`, any will do.
    pub(crate) fn new(options: &Options, is_blind: bool) -> Result<Transport> {
        let tls = TlsConfig::builder()
            .disable_verification(is_blind)
            .root_certs(RootCerts::Specific(Arc::new(roots(options)?)))
            .unversioned_rustls_crypto_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .build();
        let config = Agent::config_builder()
            .http_status_as_error(false)
            // Where a redirect leads decides what may be told there.
            .max_redirects(0)
            .max_redirects_will_error(false)
            .tls_config(tls)
            .user_agent(concat!("layerstone/", env!("CARGO_PKG_VERSION")))
            .accept_encoding("identity")
            .timeout_connect(Some(CONNECT))
            .timeout_recv_response(Some(SILENCE))
            .timeout_per_read(Some(SILENCE))
            .timeout_per_write(Some(SILENCE))
            .max_idle_connections_per_host(16)
            .output_buffer_size(1 << 18)
            .input_buffer_size(1 << 18)
            .build();
        Ok(Transport { agent: config.new_agent() })
    }

    /// Sends a request and waits for the head of the answer, whatever its status.
    pub(crate) fn send(
        &self,
        method: &str,
        url: &Url,
        headers: &[(&str, &str)],
        payload: Option<Payload<'_>>,
    ) -> Result<Answer> {
        let unreachable = |cause: String| Error::Unreachable { url: url.to_string(), cause };
        let mut request = Request::builder().method(method).uri(url.text());
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let answer = match payload {
            Some(Payload { reader, size }) => {
                let request = request.header("content-length", size).body(SendBody::from_reader(reader));
                self.agent.run(request.map_err(|e| unreachable(e.to_string()))?)
            }
            None => self.agent.run(request.body(()).map_err(|e| unreachable(e.to_string()))?),
        };
        answer.map_err(|e| unreachable(cause(&e)))
    }
}

/// Why there is no answer, in words that name no value of a header.
fn cause(error: &ureq::Error) -> String {
    match error {
        ureq::Error::Io(e) => io_cause(e),
        ureq::Error::HostNotFound => "no such host".to_owned(),
        ureq::Error::Timeout(_) => "no answer in time".to_owned(),
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
