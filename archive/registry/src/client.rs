//! Requests to a registry: with its credentials, redirects followed, and failed ones tried again.

use crate::auth::{Auth, Scope};
use crate::error::is_transient_status;
use crate::pipe::{self, Part};
use crate::proxy::Proxies;
use crate::retry::{Policy, Stop, parse_retry_after};
use crate::transport::{Answer, Payload, Speech, Transport, read_within};
use crate::trust::{InsecureHost, Trust};
use crate::url::Url;
use crate::{Error, Reference, Repository, Result, challenge, encoding};
use serde::Deserialize;
use std::io::Read;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

/// Redirects that are followed.
const MOST_REDIRECTS: usize = 10;
/// Bytes of an answer that says no which are read.
const MOST_TOLD: u64 = 16 << 10;
/// How long they may take.
const LONGEST_TOLD: Duration = Duration::from_secs(5);
/// Characters of them that are shown.
const MOST_SHOWN: usize = 300;

/// How registries are talked to.
#[derive(Clone, Debug)]
pub struct Options {
    /// Hosts whose certificates need not be checked, and who may speak plain HTTP. This machine needs not be named.
    pub insecure: Vec<InsecureHost>,
    /// Certificates of authorities, in PEM, besides the system's.
    pub ca: Option<PathBuf>,
    /// The file with credentials, if one is named.
    pub auth_file: Option<PathBuf>,
    /// How often a failed request is tried again.
    pub retries: u32,
    /// How long a connection may be silent: nothing comes though something must, or nothing is taken.
    pub io_timeout: Duration,
    /// Whether a signal asked the program to end.
    pub stop: Stop,
}

impl Default for Options {
    /// Five retries, a minute of silence, no host beside this machine insecure, never called off.
    fn default() -> Options {
        Options {
            insecure: Vec::new(),
            ca: None,
            auth_file: None,
            retries: 5,
            io_timeout: Duration::from_secs(60),
            stop: Stop(Arc::new(|| false)),
        }
    }
}

/// A registry.
#[derive(Debug)]
pub struct Registry {
    host: String,
    base: Url,
    transport: Transport,
    auth: Auth,
    options: Options,
}

/// A request, but for its body.
#[derive(Clone, Copy)]
pub(crate) struct Ask<'a> {
    /// What it is for, in messages.
    pub what: &'static str,
    pub method: &'static str,
    pub url: &'a Url,
    pub headers: &'a [(&'a str, &'a str)],
}

/// The body of a request, which can be sent again after a redirect.
pub(crate) enum Body<'a> {
    None,
    Bytes(&'a [u8]),
    /// A part of a blob.
    Part(&'a Part<'a>),
}

/// An answer, and the address that gave it.
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
    /// Finds out how a registry is to be talked to. Plain HTTP is spoken with none but those that may speak it, and then
    /// only if that is what they answer to TLS.
    ///
    /// # Errors
    ///
    /// It may speak plain HTTP and does not answer to TLS; a file of certificates or a variable of a proxy is no good.
    pub fn connect(host: &str, options: &Options) -> Result<Arc<Registry>> {
        let authority = Reference::authority(host);
        let trust = Trust::new(&options.insecure, host, authority);
        let mut registry = Registry {
            host: host.to_owned(),
            base: Url::new(true, authority, "/v2/"),
            transport: Transport::new(options, trust, Proxies::of_environment())?,
            auth: Auth::new(host, options),
            options: options.clone(),
        };
        if registry.transport.trust().is_exempt(&registry.base) {
            registry.base.is_https = matches!(registry.speech()?, Speech::Tls);
        }
        Ok(Arc::new(registry))
    }

    /// Asks with TLS, and again where that may help, for what comes back.
    fn speech(&self) -> Result<Speech> {
        self.policy().run(|| self.transport.speech(&self.base))
    }

    /// A repository of it.
    pub fn repository(self: &Arc<Registry>, name: &str) -> Repository {
        Repository::new(Arc::clone(self), name)
    }

    /// The host, as it was given.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Whether a signal asked the program to end.
    pub(crate) fn stop(&self) -> &Stop {
        &self.options.stop
    }

    /// How often requests are tried again.
    pub(crate) fn policy(&self) -> Policy {
        Policy { retries: self.options.retries, stop: self.options.stop.clone() }
    }

    /// How requests are made.
    pub(crate) fn transport(&self) -> &Transport {
        &self.transport
    }

    /// The address of something below `/v2/`.
    pub(crate) fn url(&self, path: &str) -> Url {
        Url::new(self.base.is_https, &self.base.authority, &format!("/v2/{path}"))
    }

    /// Sends a request without a body, again where that may help. The answer may say no.
    pub(crate) fn ask(&self, scope: &Scope, ask: &Ask<'_>) -> Result<Reply> {
        self.policy().run(|| self.ask_once(scope, ask))
    }

    /// Sends a request without a body. The answer may say no; one that may go away by itself is an error.
    pub(crate) fn ask_once(&self, scope: &Scope, ask: &Ask<'_>) -> Result<Reply> {
        self.send(scope, ask, &Body::None)
    }

    /// Sends a request. The answer may say no; one that may go away by itself is an error.
    pub(crate) fn send(&self, scope: &Scope, ask: &Ask<'_>, body: &Body<'_>) -> Result<Reply> {
        match self.exchange(&self.transport, scope, ask, body)? {
            reply if is_transient_status(reply.status()) => Err(refusal(ask, reply)),
            reply => Ok(reply),
        }
    }

    /// Asks the registry to forget something. After a signal this is tried once, and not for long.
    pub(crate) fn forget(&self, scope: &Scope, ask: &Ask<'_>) -> Result<Reply> {
        if self.options.stop.is_set() {
            return self.exchange(&self.transport.farewell(), scope, ask, &Body::None);
        }
        let retries = self.options.retries.min(1);
        match (Policy { retries, ..self.policy() }).run(|| self.ask_once(scope, ask)) {
            Err(Error::Stopped) => self.exchange(&self.transport.farewell(), scope, ask, &Body::None),
            result => result,
        }
    }

    /// Sends a request once, and to where redirects lead.
    fn exchange(&self, transport: &Transport, scope: &Scope, ask: &Ask<'_>, body: &Body<'_>) -> Result<Reply> {
        let mut url = ask.url.clone();
        for _ in 0..=MOST_REDIRECTS {
            let answer = self.exchange_with(transport, scope, ask, &url, body)?;
            if !matches!(answer.status().as_u16(), 301 | 302 | 303 | 307 | 308) {
                return Ok(Reply { answer, url });
            }
            url = self.redirect(ask, &answer, &url)?;
        }
        let cause = format!("found more than {MOST_REDIRECTS} redirects");
        Err(Error::Protocol { what: ask.what, url: ask.url.to_string(), cause })
    }

    /// Sends a request to one server, with credentials only if it is the registry.
    fn exchange_with(
        &self,
        transport: &Transport,
        scope: &Scope,
        ask: &Ask<'_>,
        url: &Url,
        body: &Body<'_>,
    ) -> Result<Answer> {
        if !url.is_same_place(&self.base) {
            return self.say(transport, ask, url, None, body);
        }
        let mut known = self.auth.header(scope);
        let mut answer = self.say(transport, ask, url, known.as_deref(), body)?;
        if answer.status().as_u16() == 401 {
            // What was known may have run out; what is new would be refused again.
            known = Some(self.authorize(transport, scope, &answer, known.as_deref(), url)?);
            if let Body::Part(_) = body {
                // Some of it may have arrived, which has to be asked first.
                return Err(Error::Renewed { url: url.to_string() });
            }
            answer = self.say(transport, ask, url, known.as_deref(), body)?;
        }
        Ok(answer)
    }

    fn say(
        &self,
        transport: &Transport,
        ask: &Ask<'_>,
        url: &Url,
        authorization: Option<&str>,
        body: &Body<'_>,
    ) -> Result<Answer> {
        let mut headers = ask.headers.to_vec();
        headers.extend(authorization.map(|header| ("authorization", header)));
        match body {
            Body::None => transport.send(ask.method, url, &headers, None),
            Body::Bytes(bytes) => {
                let payload = Payload { reader: &mut &bytes[..], size: bytes.len() as u64 };
                transport.send(ask.method, url, &headers, Some(payload))
            }
            Body::Part(part) => pipe::read(part, &self.options.stop, |reader| {
                transport.send(ask.method, url, &headers, Some(Payload { reader, size: part.size }))
            }),
        }
    }

    /// What to say after a 401.
    fn authorize(
        &self,
        transport: &Transport,
        scope: &Scope,
        answer: &Answer,
        said: Option<&str>,
        url: &Url,
    ) -> Result<String> {
        let mut challenge = challenges(answer);
        if challenge::parse(&challenge).is_empty() {
            // Some say at the root alone how one shows who asks (distribution-spec, "Determining Support").
            // The connection of the 401 may be closed meanwhile, so that asking again helps.
            challenge = challenges(&self.policy().run(|| transport.send("GET", &self.base, &[], None))?);
        }
        self.auth.answer(scope, &challenge, said, url, &self.base, transport)
    }

    /// Where an upload goes on.
    pub(crate) fn location(&self, ask: &Ask<'_>, reply: &Reply) -> Result<Url> {
        let wrong = |cause: String| Error::Protocol { what: ask.what, url: reply.url.to_string(), cause };
        let location = location(&reply.answer).ok_or_else(|| wrong("found no Location".to_owned()))?;
        let next = reply.url.join(location).ok_or_else(|| wrong("found a Location that is no address".to_owned()))?;
        self.keep_tls(&reply.url, next).map_err(wrong)
    }

    /// Where a redirect leads: GET and HEAD follow all of them, other methods those that keep the method. 301 and 302 keep
    /// it as well, as for most clients that are no browsers; 303 would make it a GET, which sends nothing (RFC 9110, section
    /// 15.4).
    fn redirect(&self, ask: &Ask<'_>, answer: &Answer, from: &Url) -> Result<Url> {
        let wrong = |cause: String| Error::Protocol { what: ask.what, url: from.to_string(), cause };
        if answer.status().as_u16() == 303 && !matches!(ask.method, "GET" | "HEAD") {
            return Err(wrong(format!("found redirect 303 of a {}, expected 307 or 308", ask.method)));
        }
        let location = location(answer).ok_or_else(|| wrong("found a redirect to nowhere".to_owned()))?;
        let next = from.join(location).ok_or_else(|| wrong("found a redirect to no address".to_owned()))?;
        self.keep_tls(from, next).map_err(wrong)
    }

    /// Refuses to leave TLS, but for a host that the user names. A registry behind a proxy that ends TLS may not know of it
    /// and name its own address with http://: that is the same server, and is asked over TLS.
    fn keep_tls(&self, from: &Url, next: Url) -> Result<Url, String> {
        if from.is_https && !next.is_https && next.authority == from.authority {
            let secure = next.text().replacen("http://", "https://", 1);
            return Url::parse(&secure).ok_or_else(|| "found a redirect to no address".to_owned());
        }
        if self.transport.trust().may_redirect(from, &next) {
            return Ok(next);
        }
        Err(format!("found a redirect from TLS to {next}, expected https"))
    }
}

/// All ways to show who asks that an answer offers.
fn challenges(answer: &Answer) -> String {
    let headers = answer.headers().get_all("www-authenticate").iter().filter_map(|value| value.to_str().ok());
    headers.collect::<Vec<_>>().join(", ")
}

/// Where an answer leads, which may be written with characters that need a %-code.
fn location(answer: &Answer) -> Option<&str> {
    answer.headers().get("location").and_then(|value| std::str::from_utf8(value.as_bytes()).ok())
}

/// A header's text.
pub(crate) fn header<'a>(answer: &'a Answer, name: &str) -> Option<&'a str> {
    answer.headers().get(name).and_then(|value| value.to_str().ok())
}

/// An error for an answer that says no.
pub(crate) fn refusal(ask: &Ask<'_>, reply: Reply) -> Error {
    refused(ask.what, ask.url, reply.answer)
}

/// The same, of a request for something.
pub(crate) fn refused(what: &'static str, url: &Url, answer: Answer) -> Error {
    let (status, url) = (answer.status().as_u16(), url.to_string());
    let retry_after = header(&answer, "retry-after").and_then(|text| parse_retry_after(text, SystemTime::now()));
    let told = told(answer);
    match status {
        401 | 403 => Error::Unauthorized { url, cause: format!("found status {status}{told}") },
        status => Error::Status { what, url, status, told, retry_after },
    }
}

#[derive(Deserialize)]
struct Refusals {
    errors: Vec<Refusal>,
}

#[derive(Deserialize)]
#[serde(default)]
#[derive(Default)]
struct Refusal {
    code: String,
    message: String,
}

/// What a registry says is wrong (distribution-spec, "Error Codes"), with a colon before it.
pub(crate) fn told(answer: Answer) -> String {
    let Ok(reader) = encoding::reader(answer, None) else { return String::new() };
    let Ok(bytes) = read_within(reader.take(MOST_TOLD), MOST_TOLD, LONGEST_TOLD) else { return String::new() };
    let texts = match serde_json::from_slice::<Refusals>(&bytes) {
        Ok(refusals) => refusals.errors.into_iter().map(|it| format!("{} {}", it.code, it.message)).collect(),
        Err(_) => vec![String::from_utf8_lossy(&bytes).into_owned()],
    };
    let text = texts.join("; ");
    let text: String = text.trim().chars().take(MOST_SHOWN).collect();
    if text.is_empty() || text.starts_with('<') { String::new() } else { format!(": {}", text.escape_debug()) }
}
