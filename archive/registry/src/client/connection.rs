//! Sends requests to a registry: adds credentials, follows redirects, retries.

use crate::client::answer::{Answer, header};
use crate::client::auth::{Auth, Scope};
use crate::client::challenge;
use crate::client::pipe::{self, Part};
use crate::client::probe::{Probe, challenges};
use crate::client::proxy::Proxies;
use crate::client::refusal::refused;
use crate::client::retry::{Notices, Retry};
use crate::client::transport::{LOG, Payload, Transport};
use crate::error::is_transient_status;
use crate::options::Options;
use crate::trust::Trust;
use crate::url::Url;
use crate::{Error, Result};
use layerstone_oci::DOCKER_HOSTS;
use layerstone_store::Cancel;
use std::sync::Arc;

/// Where the registry of docker.io answers.
pub(crate) const HUB: &str = "registry-1.docker.io";
/// Redirects that are followed.
const MOST_REDIRECTS: usize = 10;

/// A connection to a registry.
#[derive(Debug)]
pub struct Registry {
    pub(crate) host: String,
    /// Its address, with `/v2/`.
    pub(crate) base: Url,
    /// How requests are made.
    pub(crate) transport: Transport,
    auth: Arc<Auth>,
    /// Its token of cancellation ends all requests.
    pub(crate) options: Options,
    notices: Arc<Notices>,
    /// How to authenticate, as far as it says so of all that it has; empty if it does not.
    pub(crate) challenge: String,
}

/// A request without its body.
#[derive(Clone, Copy)]
pub(crate) struct Request<'a> {
    /// What it is for, in messages.
    pub what: &'static str,
    pub method: &'static str,
    pub url: &'a Url,
    pub headers: &'a [(&'a str, &'a str)],
}

/// The body of a request; it can be sent again after a redirect.
pub(crate) enum Body<'a> {
    None,
    Bytes(&'a [u8]),
    /// A part of a blob.
    Part(&'a Part<'a>),
}

/// An answer, and the URL that gave it.
pub(crate) struct Reply {
    pub answer: Answer,
    pub url: Url,
}

impl Reply {
    pub(crate) fn status(&self) -> u16 {
        self.answer.status().as_u16()
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        header(&self.answer, name)
    }
}

impl Registry {
    /// Connects to a registry. Plain HTTP is used only for exempt hosts, and only if they answer TLS in plain.
    ///
    /// # Errors
    ///
    /// The host does not answer; a file of certificates or a proxy variable is invalid.
    pub fn connect(host: &str, options: &Options) -> Result<Arc<Registry>> {
        let authority = if DOCKER_HOSTS.contains(&host) { HUB } else { host };
        let trust = Trust::new(&options.insecure, host, authority);
        let mut registry = Registry {
            host: host.to_owned(),
            base: Url::new(true, authority, "/v2/"),
            transport: Transport::new(options, trust, Proxies::of_environment())?,
            auth: Arc::new(Auth::new(host, options)),
            options: options.clone(),
            notices: Arc::new(Notices::new(options.notify.clone())),
            challenge: String::new(),
        };
        let Probe { is_https, challenge } = registry.probe()?;
        (registry.base.is_https, registry.challenge) = (is_https, challenge);
        let wants = challenge::parse(&registry.challenge);
        tracing::info!(target: LOG, tls = is_https, wants = challenge::names(&wants), "connected to {host}");
        Ok(Arc::new(registry))
    }

    /// The policy of retries.
    pub(crate) fn retry(&self) -> Retry {
        let (retries, cancel) = (self.options.retries, self.options.cancel.clone());
        Retry { retries, cancel, notices: Arc::clone(&self.notices) }
    }

    /// The address of something below `/v2/`.
    pub(crate) fn url(&self, path: &str) -> Url {
        Url::new(self.base.is_https, &self.base.authority, &format!("/v2/{path}"))
    }

    /// Sends a request without a body, with retries. The answer may be a refusal.
    pub(crate) fn request(&self, scope: &Scope, request: &Request<'_>) -> Result<Reply> {
        self.retry().run(|| self.request_once(scope, request))
    }

    /// Sends a request without a body once. The answer may be a refusal; a transient status is an error.
    pub(crate) fn request_once(&self, scope: &Scope, request: &Request<'_>) -> Result<Reply> {
        self.send(scope, request, &Body::None)
    }

    /// Sends a request once. The answer may be a refusal; a transient status is an error.
    pub(crate) fn send(&self, scope: &Scope, request: &Request<'_>, body: &Body<'_>) -> Result<Reply> {
        match self.exchange(scope, request, body)? {
            reply if is_transient_status(reply.status()) => Err(refusal(request, reply)),
            reply => Ok(reply),
        }
    }

    /// Asks the registry to delete something. A failure is ignored: the registry drops it later by itself. After
    /// cancellation this is tried once, with a short timeout.
    pub(crate) fn forget(&self, scope: &Scope, request: &Request<'_>) {
        let retry = Retry { retries: self.options.retries.min(1), notices: Arc::default(), ..self.retry() };
        if let Err(Error::Cancelled) = retry.run(|| self.request_once(scope, request)) {
            let options = Options { retries: 0, cancel: Cancel::default(), ..self.options.clone() };
            let transport = self.transport.farewell();
            let (host, base, auth) = (self.host.clone(), self.base.clone(), Arc::clone(&self.auth));
            let (notices, challenge) = (Arc::default(), self.challenge.clone());
            let _ = Registry { host, base, transport, auth, options, notices, challenge }.request_once(scope, request);
        }
    }

    /// Sends a request once, and follows redirects.
    fn exchange(&self, scope: &Scope, request: &Request<'_>, body: &Body<'_>) -> Result<Reply> {
        let mut url = request.url.clone();
        for _ in 0..=MOST_REDIRECTS {
            let answer = self.exchange_with(scope, request, &url, body)?;
            if !matches!(answer.status().as_u16(), 301 | 302 | 303 | 307 | 308) {
                return Ok(Reply { answer, url });
            }
            url = self.redirect(request, &answer, &url)?;
        }
        let cause = format!("found more than {MOST_REDIRECTS} redirects");
        Err(Error::Protocol { what: request.what, url: request.url.to_string(), cause })
    }

    /// Sends a request to one server, with credentials only if it is the registry.
    fn exchange_with(&self, scope: &Scope, request: &Request<'_>, url: &Url, body: &Body<'_>) -> Result<Answer> {
        if !url.is_same_server(&self.base) {
            return self.say(request, url, None, body);
        }
        let mut authorization = match self.auth.header(scope) {
            None => self.auth.anticipate(scope, &self.challenge, &self.base, &self.transport)?,
            header => header,
        };
        let mut answer = self.say(request, url, authorization.as_deref(), body)?;
        if answer.status().as_u16() == 401 {
            // A cached token may have expired; a new one would be refused again.
            authorization = Some(self.authorize(scope, &answer, authorization.as_deref(), url)?);
            if let Body::Part(_) = body {
                // Some of it may have arrived, which has to be asked first.
                return Err(Error::Renewed { url: url.to_string() });
            }
            answer = self.say(request, url, authorization.as_deref(), body)?;
            if answer.status().as_u16() == 401 {
                return Err(self.auth.refused(scope, url, answer));
            }
        }
        Ok(answer)
    }

    fn say(&self, request: &Request<'_>, url: &Url, authorization: Option<&str>, body: &Body<'_>) -> Result<Answer> {
        let mut headers = request.headers.to_vec();
        headers.extend(authorization.map(|header| ("authorization", header)));
        match body {
            Body::None => self.transport.send(request.method, url, &headers, None),
            Body::Bytes(bytes) => self.transport.send(request.method, url, &headers, Some(Payload::Bytes(bytes))),
            Body::Part(part) => pipe::read(part, &self.options.cancel, |reader| {
                self.transport.send(request.method, url, &headers, Some(Payload::Chunks(reader)))
            }),
        }
    }

    /// The `Authorization` to send after a 401.
    fn authorize(&self, scope: &Scope, answer: &Answer, said: Option<&str>, url: &Url) -> Result<String> {
        let challenge = challenges(answer);
        // Some send the challenge at the root alone (distribution-spec, "Determining Support").
        let is_known = !challenge::parse(&challenge).is_empty();
        self.answer_challenge(scope, if is_known { &challenge } else { &self.challenge }, said, url)
    }

    /// The `Authorization` that a challenge asks for, after `said` was refused.
    pub(crate) fn answer_challenge(
        &self,
        scope: &Scope,
        challenge: &str,
        said: Option<&str>,
        url: &Url,
    ) -> Result<String> {
        self.auth.answer(scope, challenge, said, url, &self.base, &self.transport)
    }

    /// Where an upload goes on.
    pub(crate) fn location(&self, request: &Request<'_>, reply: &Reply) -> Result<Url> {
        let wrong = |cause: String| Error::Protocol { what: request.what, url: reply.url.to_string(), cause };
        let location = location(&reply.answer).ok_or_else(|| wrong("found no Location".to_owned()))?;
        let next = reply.url.join(location).ok_or_else(|| wrong("found a Location that is no address".to_owned()))?;
        self.keep_tls(&reply.url, next).map_err(wrong)
    }

    /// Where a redirect leads: GET and HEAD follow all of them, other methods those that keep the method. 301 and 302 keep
    /// it as well, as for most clients that are no browsers; 303 would make it a GET, which sends nothing (RFC 9110, section
    /// 15.4).
    fn redirect(&self, request: &Request<'_>, answer: &Answer, from: &Url) -> Result<Url> {
        let wrong = |cause: String| Error::Protocol { what: request.what, url: from.to_string(), cause };
        if answer.status().as_u16() == 303 && !matches!(request.method, "GET" | "HEAD") {
            return Err(wrong(format!("found redirect 303 of a {}, expected 307 or 308", request.method)));
        }
        let location = location(answer).ok_or_else(|| wrong("found a redirect to nowhere".to_owned()))?;
        let next = from.join(location).ok_or_else(|| wrong("found a redirect to no address".to_owned()))?;
        self.keep_tls(from, next).map_err(wrong)
    }

    /// Refuses to leave TLS, but for a host that the user names. A registry behind a proxy that ends TLS may not know of it
    /// and name its own address with http://: that is the same server, and is asked over TLS.
    pub(crate) fn keep_tls(&self, from: &Url, next: Url) -> Result<Url, String> {
        if from.is_https && !next.is_https && next.authority == from.authority {
            let secure = next.text().replacen("http://", "https://", 1);
            return Url::parse(&secure).ok_or_else(|| "found a redirect to no address".to_owned());
        }
        if self.transport.trust.may_redirect(from, &next) {
            return Ok(next);
        }
        Err(format!("found a redirect from TLS to {next}, expected https"))
    }
}

/// The `Location` of an answer, which may have characters that need a %-code.
fn location(answer: &Answer) -> Option<&str> {
    answer.headers().get("location").and_then(|value| std::str::from_utf8(value.as_bytes()).ok())
}

/// The error for a refusal.
pub(crate) fn refusal(request: &Request<'_>, reply: Reply) -> Error {
    refused(request.what, request.url, reply.answer)
}
