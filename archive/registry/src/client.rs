//! A registry that answers: requests with what it wants to know, tried again where that may help, redirects followed.

use crate::auth::{Auth, Scope};
use crate::error::is_transient_status;
use crate::transport::{Answer, Payload, Transport};
use crate::url::Url;
use crate::{Error, Reference, Repository, Result, backoff};
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
    /// Whether a certificate need not be checked, nor TLS be spoken.
    pub insecure: bool,
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
    /// Finds out how a registry is to be talked to.
    ///
    /// # Errors
    ///
    /// It does not answer, or not as a registry does.
    pub fn connect(host: &str, options: &Options) -> Result<Arc<Registry>> {
        let new = |is_https: bool| -> Result<Registry> {
            let base = Url::new(is_https, Reference::authority(host), "/v2/");
            let transport = Transport::new(options, options.insecure)?;
            let auth = Auth::new(host, options);
            Ok(Registry { host: host.to_owned(), base, transport, auth, options: options.clone() })
        };
        let registry = new(true)?;
        if !options.insecure {
            return Ok(Arc::new(registry));
        }
        match registry.transport.send("GET", &registry.base, &[], None) {
            Ok(_) => Ok(Arc::new(registry)),
            Err(_) => Ok(Arc::new(new(false)?)),
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
            let location =
                header(&answer, "location").ok_or_else(|| wrong("found a redirect to nowhere".to_owned()))?;
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
        let headers = answer.headers().get_all("www-authenticate").iter().filter_map(|value| value.to_str().ok());
        let challenge = headers.collect::<Vec<_>>().join(", ");
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
        let location = header(answer, "location").ok_or_else(|| wrong("found no Location".to_owned()))?;
        let next = ask.url.join(location).ok_or_else(|| wrong("found a Location that is no address".to_owned()))?;
        self.check_downgrade(&next).map_err(wrong)?;
        Ok(next)
    }

    fn check_downgrade(&self, next: &Url) -> Result<(), String> {
        if next.is_https || !self.base.is_https || self.options.insecure {
            return Ok(());
        }
        Err(format!("found a redirect from TLS to {next}, expected https"))
    }
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
pub(crate) fn told(mut answer: Answer) -> String {
    let mut bytes = Vec::new();
    let read = answer.body_mut().as_reader().take(MOST_TOLD).read_to_end(&mut bytes);
    if read.is_err() {
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
