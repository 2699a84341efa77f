//! One request and its answer over HTTP/1.1, with or without TLS, directly or through a proxy.

use crate::agents::Agents;
use crate::auth::basic;
use crate::client::Options;
use crate::proxy::{Proxies, Proxy};
use crate::trust::Trust;
use crate::url::Url;
use crate::{Error, Result};
use std::fs;
use std::io::{self, Read};
use std::net::ToSocketAddrs;
use std::sync::Arc;
use ureq::http::{Request, Response};
use ureq::tls::{Certificate, PemItem, RootCerts, parse_pem};
use ureq::{Body, SendBody};

/// What is told of a host that answers TLS in plain.
pub(crate) const PLAIN_ANSWER: &str = "found an answer without TLS";

/// An answer.
pub(crate) type Answer = Response<Body>;

/// What is sent besides the headers.
pub(crate) struct Payload<'a> {
    pub reader: &'a mut dyn Read,
    /// Its length in bytes.
    pub size: u64,
}

/// Something that makes requests: to each host with the proxy and the trust that are for that host.
#[derive(Debug)]
pub(crate) struct Transport {
    trust: Trust,
    proxies: Proxies,
    agents: Agents,
}

/// How a host answers to TLS.
pub(crate) enum Speech {
    /// With TLS.
    Tls,
    /// In plain, or it is where TLS cannot be tried.
    Plain,
}

/// Why there is no answer.
struct Failure<'a> {
    error: ureq::Error,
    proxy: Option<&'a Proxy>,
}

impl Transport {
    /// With the certificates that the system trusts and those of a file.
    pub(crate) fn new(options: &Options, trust: Trust, proxies: Proxies) -> Result<Transport> {
        let agents = Agents::new(RootCerts::Specific(Arc::new(roots(options)?)));
        Ok(Transport { trust, proxies, agents })
    }

    /// What is allowed for which host.
    pub(crate) fn trust(&self) -> &Trust {
        &self.trust
    }

    /// Sends a request and waits for the head of the answer, whatever its status.
    pub(crate) fn send(
        &self,
        method: &str,
        url: &Url,
        headers: &[(&str, &str)],
        payload: Option<Payload<'_>>,
    ) -> Result<Answer> {
        let proxy = self.proxies.of(url)?;
        let answer = self.run(method, url, headers, payload, proxy).map_err(|failure| failure.into_error(url))?;
        match proxy {
            Some(proxy) if answer.status().as_u16() == 407 && !url.is_https => Err(refusal(proxy, 407)),
            _ => Ok(answer),
        }
    }

    /// Finds out whether a host speaks TLS, which is told nothing else. It speaks plain HTTP if that is what it answers
    /// to TLS, or if TLS cannot be tried: the proxy makes no tunnel to this port, or the name is one that only the proxy
    /// for plain HTTP can look up. Any other error says nothing of the sort: it may be somebody between us and the host.
    pub(crate) fn speech(&self, url: &Url) -> Result<Speech> {
        let proxy = self.proxies.of(url)?;
        let failure = match self.run("GET", url, &[], None, proxy) {
            Ok(_) => return Ok(Speech::Tls),
            Err(failure) => failure,
        };
        let is_plain = match &failure.error {
            ureq::Error::ConnectProxyFailed(_) => matches!(failure.status(), Some(400 | 403 | 405 | 501)),
            error => is_plain_answer(error) || (proxy.is_none() && self.is_known_to_proxy_alone(url)?),
        };
        if is_plain { Ok(Speech::Plain) } else { Err(failure.into_error(url)) }
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
            Some(Payload { reader, size }) => {
                let request = request.header("content-length", size).body(SendBody::from_reader(reader));
                agent.run(request.map_err(|e| failed(e.into()))?)
            }
            None => agent.run(request.body(()).map_err(|e| failed(e.into()))?),
        };
        answer.map_err(failed)
    }
}

impl Failure<'_> {
    fn into_error(self, url: &Url) -> Error {
        let Some(proxy) = self.proxy else {
            return Error::Unreachable { url: url.to_string(), cause: cause(&self.error) };
        };
        match self.status() {
            // Statuses of gateways may go away by themselves.
            Some(status) if status < 500 => refusal(proxy, status),
            _ => {
                let cause = format!("through {proxy} of {}: {}", proxy.variable, cause(&self.error));
                Error::Unreachable { url: url.to_string(), cause }
            }
        }
    }

    /// The status with which a proxy refuses a tunnel, which ureq has in a message alone.
    fn status(&self) -> Option<u16> {
        let ureq::Error::ConnectProxyFailed(text) = &self.error else { return None };
        text.split(|c: char| !c.is_ascii_digit()).find_map(|word| word.parse().ok())
    }
}

/// An error for a proxy that says no.
fn refusal(proxy: &Proxy, status: u16) -> Error {
    let cause = match status {
        407 => format!("{proxy} does not take the user and password, or wants some: found status 407"),
        status => format!("{proxy} makes no connection: found status {status}"),
    };
    Error::Proxy { variable: proxy.variable, cause }
}

/// Why there is no answer, in words that name no value of a header.
fn cause(error: &ureq::Error) -> String {
    match error {
        error if is_plain_answer(error) => PLAIN_ANSWER.to_owned(),
        ureq::Error::Io(e) => match tls_error(e) {
            Some(tls) => format!("TLS: {tls}"),
            None => e.to_string(),
        },
        ureq::Error::HostNotFound => "no such host".to_owned(),
        ureq::Error::Timeout(_) => "no answer in time".to_owned(),
        ureq::Error::Rustls(e) => format!("TLS: {e}"),
        ureq::Error::Protocol(_) => "found no HTTP/1.1".to_owned(),
        other => other.to_string(),
    }
}

fn tls_error(error: &io::Error) -> Option<&rustls::Error> {
    error.get_ref()?.downcast_ref()
}

/// Whether TLS was answered with what is none, as servers of plain HTTP do.
fn is_plain_answer(error: &ureq::Error) -> bool {
    let tls = match error {
        ureq::Error::Io(error) => tls_error(error),
        ureq::Error::Rustls(error) => Some(error),
        _ => None,
    };
    matches!(tls, Some(rustls::Error::InvalidMessage(rustls::InvalidMessage::InvalidContentType)))
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
