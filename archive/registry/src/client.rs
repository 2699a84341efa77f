//! A registry that answers: requests with what it wants to know, tried again where that may help, redirects followed.

use crate::auth::{Auth, Scope};
use crate::error::is_transient_status;
use crate::proxy::Proxies;
use crate::transport::{Answer, Payload, Speech, Transport};
use crate::trust::{InsecureHost, Trust};
use crate::url::Url;
use crate::{Error, Reference, Repository, Result, backoff, challenge, encoding};
use serde::Deserialize;
use std::io::Read;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::sleep;
use std::time::{Duration, Instant, SystemTime};

/// How often whoever waits looks whether to end.
const TICK: Duration = Duration::from_millis(50);
/// Redirects that are followed.
const MOST_REDIRECTS: usize = 10;
/// Bytes of an answer that says no which are read.
const MOST_TOLD: u64 = 16 << 10;
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
    /// How often something is tried again.
    pub retries: u32,
    /// Whether all is to be put away and ended.
    pub stop: Stop,
}

/// Tells whether to end.
#[derive(Clone)]
pub struct Stop(pub Arc<dyn Fn() -> bool + Send + Sync>);

impl std::fmt::Debug for Stop {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Stop(…)")
    }
}

impl Stop {
    /// An error once it is time to end.
    pub(crate) fn check(&self) -> Result<()> {
        if (self.0)() { Err(Error::Stopped) } else { Ok(()) }
    }

    /// Waits, but not for what is to end.
    pub(crate) fn wait(&self, time: Duration) -> Result<()> {
        let end = Instant::now() + time;
        loop {
            self.check()?;
            match end.saturating_duration_since(Instant::now()) {
                Duration::ZERO => return Ok(()),
                left => sleep(left.min(TICK)),
            }
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

/// A request without a body to speak of.
#[derive(Clone, Copy)]
pub(crate) struct Ask<'a> {
    /// What it is for, in messages.
    pub what: &'static str,
    pub method: &'static str,
    pub url: &'a Url,
    pub headers: &'a [(&'a str, &'a str)],
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
        let mut attempt = 0;
        loop {
            let result = self.transport.speech(&self.base);
            attempt += 1;
            let may_try = result.as_ref().is_err_and(Error::is_transient) && attempt <= self.options.retries;
            match backoff::wait(attempt, None, SystemTime::now()).filter(|_| may_try) {
                Some(wait) => self.options.stop.wait(wait)?,
                None => return result,
            }
        }
    }

    /// A repository of it.
    pub fn repository(self: &Arc<Registry>, name: &str) -> Repository {
        Repository::new(Arc::clone(self), name)
    }

    /// The host, as it was given.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Tells whether to end.
    pub(crate) fn stop(&self) -> &Stop {
        &self.options.stop
    }

    /// How often something is tried again.
    pub(crate) fn retries(&self) -> u32 {
        self.options.retries
    }

    /// The address of something below `/v2/`.
    pub(crate) fn url(&self, path: &str) -> Url {
        Url::new(self.base.is_https, &self.base.authority, &format!("/v2/{path}"))
    }

    /// Asks, and asks again where that may help; redirects of GET and HEAD are followed. The answer may say no.
    pub(crate) fn ask(&self, scope: &Scope, ask: &Ask<'_>) -> Result<Answer> {
        let mut attempt = 0;
        loop {
            let result = self.ask_once(scope, ask);
            let retry_after = match &result {
                Ok(answer) if !is_transient_status(answer.status().as_u16()) => return result,
                Ok(answer) => header(answer, "retry-after").map(str::to_owned),
                Err(error) if !error.is_transient() => return result,
                Err(_) => None,
            };
            attempt += 1;
            let wait = backoff::wait(attempt, retry_after.as_deref(), SystemTime::now());
            match wait.filter(|_| attempt <= self.options.retries) {
                Some(wait) => self.options.stop.wait(wait)?,
                None => return result,
            }
        }
    }

    fn ask_once(&self, scope: &Scope, ask: &Ask<'_>) -> Result<Answer> {
        let mut url = ask.url.clone();
        for _ in 0..=MOST_REDIRECTS {
            let answer = self.ask_there(scope, ask, &url)?;
            let is_redirect = matches!(answer.status().as_u16(), 301 | 302 | 303 | 307 | 308);
            if !is_redirect || !matches!(ask.method, "GET" | "HEAD") {
                return Ok(answer);
            }
            let wrong = |cause: String| Error::Protocol { what: ask.what, url: url.to_string(), cause };
            let location = location(&answer).ok_or_else(|| wrong("found a redirect to nowhere".to_owned()))?;
            let next = url.join(location).ok_or_else(|| wrong("found a redirect to no address".to_owned()))?;
            self.check_downgrade(&next).map_err(wrong)?;
            url = next;
        }
        let cause = format!("found more than {MOST_REDIRECTS} redirects");
        Err(Error::Protocol { what: ask.what, url: ask.url.to_string(), cause })
    }

    /// Asks one place, which is told who asks only if it is the registry.
    fn ask_there(&self, scope: &Scope, ask: &Ask<'_>, url: &Url) -> Result<Answer> {
        if !url.is_same_place(&self.base) {
            return self.transport.send(ask.method, url, ask.headers, None);
        }
        let mut known = self.auth.header(scope);
        let mut answer = self.say(ask, url, known.as_deref())?;
        if answer.status().as_u16() == 401 {
            // What was known may have run out; what is new would be refused again.
            known = Some(self.authorize(scope, &answer, known.as_deref(), url)?);
            answer = self.say(ask, url, known.as_deref())?;
        }
        Ok(answer)
    }

    fn say(&self, ask: &Ask<'_>, url: &Url, authorization: Option<&str>) -> Result<Answer> {
        let mut headers = ask.headers.to_vec();
        headers.extend(authorization.map(|header| ("authorization", header)));
        self.transport.send(ask.method, url, &headers, None)
    }

    /// What to say after a 401.
    pub(crate) fn authorize(&self, scope: &Scope, answer: &Answer, said: Option<&str>, url: &Url) -> Result<String> {
        let mut challenge = challenges(answer);
        if challenge::parse(&challenge).is_empty() {
            // Some say at the root alone how one shows who asks (distribution-spec, "Determining Support").
            challenge = challenges(&self.transport.send("GET", &self.base, &[], None)?);
        }
        self.auth.answer(scope, &challenge, said, url, &self.base, &self.transport)
    }

    /// Sends a body once. Who asks is told to the registry alone.
    pub(crate) fn send(&self, scope: &Scope, ask: &Ask<'_>, payload: Payload<'_>) -> Result<Answer> {
        let known = self.auth.header(scope).filter(|_| ask.url.is_same_place(&self.base));
        let mut headers = ask.headers.to_vec();
        if let Some(header) = &known {
            headers.push(("authorization", header));
        }
        let answer = self.transport.send(ask.method, ask.url, &headers, Some(payload))?;
        if answer.status().as_u16() == 401 && ask.url.is_same_place(&self.base) {
            // A token may have run out meanwhile: whoever tries again has a new one.
            self.authorize(scope, &answer, known.as_deref(), ask.url)?;
        }
        Ok(answer)
    }

    /// Where an upload goes on.
    pub(crate) fn location(&self, ask: &Ask<'_>, answer: &Answer) -> Result<Url> {
        let wrong = |cause: String| Error::Protocol { what: ask.what, url: ask.url.to_string(), cause };
        let location = location(answer).ok_or_else(|| wrong("found no Location".to_owned()))?;
        let next = ask.url.join(location).ok_or_else(|| wrong("found a Location that is no address".to_owned()))?;
        self.check_downgrade(&next).map_err(wrong)?;
        Ok(next)
    }

    fn check_downgrade(&self, next: &Url) -> Result<(), String> {
        if self.transport.trust().may_redirect(&self.base, next) {
            return Ok(());
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
pub(crate) fn refusal(ask: &Ask<'_>, answer: Answer) -> Error {
    let (status, url) = (answer.status().as_u16(), ask.url.to_string());
    let told = told(answer);
    match status {
        401 | 403 => Error::Unauthorized { url, cause: format!("found status {status}{told}") },
        status => Error::Status { what: ask.what, url, status, told },
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
    let mut bytes = Vec::new();
    let Ok(reader) = encoding::reader(answer, None) else { return String::new() };
    if reader.take(MOST_TOLD).read_to_end(&mut bytes).is_err() {
        return String::new();
    }
    let texts = match serde_json::from_slice::<Refusals>(&bytes) {
        Ok(refusals) => refusals.errors.into_iter().map(|it| format!("{} {}", it.code, it.message)).collect(),
        Err(_) => vec![String::from_utf8_lossy(&bytes).into_owned()],
    };
    let text = texts.join("; ");
    let text: String = text.trim().chars().take(MOST_SHOWN).collect();
    if text.is_empty() || text.starts_with('<') { String::new() } else { format!(": {}", text.escape_debug()) }
}
