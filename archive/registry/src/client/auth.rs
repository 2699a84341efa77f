//! Authenticates requests with a password, or with a token from a token server (distribution, token.md and oauth.md).
//!
//! A password is sent to the registry or to the token server that the registry names, over TLS unless the registry itself
//! speaks plain HTTP; it is never sent where a redirect leads.

use crate::client::answer::{Answer, body, header};
use crate::client::challenge::{Challenge, parse};
use crate::client::credential::{Credentials, Found, Source, basic, default_sources, find};
use crate::client::refusal::{explanation, refused};
use crate::client::transport::{LOG, Payload, Transport};
use crate::options::Options;
use crate::url::{Url, encode};
use crate::{Error, Result};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Mutex, PoisonError};

/// Bytes that a token server may answer.
const MOST_TOKEN: u64 = 1 << 20;
/// Redirects of a token server that are followed.
const MOST_REDIRECTS: usize = 5;
const WHAT: &str = "cannot get a token";

/// What is done with a repository.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Access {
    Pull,
    Push,
    Delete,
}

/// The permission that a request needs.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Scope {
    /// The repository.
    pub name: String,
    pub access: Access,
    /// Repositories that blobs are taken over from.
    pub sources: Vec<String>,
}

impl Scope {
    /// The scopes as token servers write them.
    fn texts(&self) -> Vec<String> {
        let actions = match self.access {
            Access::Pull => "pull",
            Access::Push => "pull,push",
            Access::Delete => "pull,delete",
        };
        let sources = self.sources.iter().map(|name| format!("repository:{name}:pull"));
        [format!("repository:{}:{actions}", self.name)].into_iter().chain(sources).collect()
    }
}

/// Authentication at a registry.
#[derive(Debug)]
pub(crate) struct Auth {
    host: String,
    sources: Vec<Source>,
    must_exist: bool,
    /// `Authorization` for each scope.
    headers: Mutex<BTreeMap<Scope, Made>>,
}

/// An `Authorization`.
#[derive(Clone)]
struct Made {
    header: String,
    /// Where the credentials are from that it was made of, if any.
    origin: Option<String>,
}

/// Without the header, which is a secret.
impl fmt::Debug for Made {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Made({:?})", self.origin)
    }
}

#[derive(Deserialize)]
struct Token {
    token: Option<String>,
    access_token: Option<String>,
}

impl Auth {
    pub(crate) fn new(host: &str, options: &Options) -> Auth {
        let named = options.auth_file.clone();
        let must_exist = named.is_some();
        let sources = named.map_or_else(default_sources, |file| vec![Source::AuthFile(file)]);
        Auth { host: host.to_owned(), sources, must_exist, headers: Mutex::default() }
    }

    /// The cached `Authorization` of a scope.
    pub(crate) fn header(&self, scope: &Scope) -> Option<String> {
        self.headers.lock().unwrap_or_else(PoisonError::into_inner).get(scope).map(|made| made.header.clone())
    }

    /// The `Authorization` that a challenge of all of the registry asks for, before a request is refused. None if nothing
    /// is known to answer it: what is asked for may be for everybody.
    pub(crate) fn anticipate(
        &self,
        scope: &Scope,
        challenge: &str,
        registry: &Url,
        transport: &Transport,
    ) -> Result<Option<String>> {
        let challenges = parse(challenge);
        if challenges.is_empty() {
            return Ok(None);
        }
        let found = self.find(scope)?;
        match self.make(scope, &challenges, found.as_ref(), registry, transport) {
            Ok(made) => Ok(made.map(|made| self.keep(scope, made))),
            Err(Error::Unauthorized { .. }) if found.is_none() && scope.access == Access::Pull => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The `Authorization` that answers a challenge, after `said` was refused.
    pub(crate) fn answer(
        &self,
        scope: &Scope,
        challenge: &str,
        said: Option<&str>,
        url: &Url,
        registry: &Url,
        transport: &Transport,
    ) -> Result<String> {
        // Another thread may have asked meanwhile.
        if let Some(header) = self.header(scope).filter(|header| said != Some(header.as_str())) {
            return Ok(header);
        }
        let denied = |cause: &str| Error::Unauthorized { url: url.to_string(), cause: cause.to_owned() };
        let (challenges, found) = (parse(challenge), self.find(scope)?);
        if challenges.is_empty() {
            return Err(denied("found no challenge that is understood, expected Basic or Bearer"));
        }
        match self.make(scope, &challenges, found.as_ref(), registry, transport)? {
            None => Err(denied("no credentials for it in any auth file")),
            // What was refused would be refused again.
            Some(made) if said == Some(made.header.as_str()) => {
                Err(denied(&self.cause(Some(&made), "found status 401".to_owned())))
            }
            Some(made) => Ok(self.keep(scope, made)),
        }
    }

    /// The error for a request that was refused with what was made for it just now.
    pub(crate) fn refused(&self, scope: &Scope, url: &Url, answer: Answer) -> Error {
        let made = self.headers.lock().unwrap_or_else(PoisonError::into_inner).get(scope).cloned();
        let found = format!("found status {}{}", answer.status().as_u16(), explanation(answer));
        Error::Unauthorized { url: url.to_string(), cause: self.cause(made.as_ref(), found) }
    }

    /// Why a request was refused that had this.
    fn cause(&self, made: Option<&Made>, found: String) -> String {
        match made {
            Some(Made { header, origin: Some(origin) }) if header.starts_with("Basic ") => {
                format!("{}: {found}", self.refusal(origin))
            }
            // The token server knows them, but they are not for this.
            Some(Made { origin: Some(origin), .. }) => {
                format!("the credentials of {origin} for {} do not allow it: {found}", self.host)
            }
            _ => found,
        }
    }

    fn refusal(&self, origin: &str) -> String {
        format!("the credentials of {origin} for {} were refused", self.host)
    }

    fn find(&self, scope: &Scope) -> Result<Option<Found>> {
        let found = find(&self.host, &scope.name, &self.sources, self.must_exist)?;
        let origin = found.as_ref().map_or("no file", |found| &found.origin);
        tracing::info!(target: LOG, "credentials for {}/{}: of {origin}", self.host, scope.name);
        Ok(found)
    }

    fn keep(&self, scope: &Scope, made: Made) -> String {
        let header = made.header.clone();
        self.headers.lock().unwrap_or_else(PoisonError::into_inner).insert(scope.clone(), made);
        header
    }

    /// The `Authorization` that answers one of these challenges; none if it takes credentials and there are none.
    fn make(
        &self,
        scope: &Scope,
        challenges: &[Challenge],
        found: Option<&Found>,
        registry: &Url,
        transport: &Transport,
    ) -> Result<Option<Made>> {
        let bearer = challenges.iter().find_map(|it| match it {
            Challenge::Bearer { realm, service } => Some((realm, service)),
            Challenge::Basic => None,
        });
        let header = match (bearer, found.map(|found| &found.credentials)) {
            (Some((realm, service)), credentials) => {
                // One that did not do was not the last one: it may have run out.
                let refusal = found.map(|found| self.refusal(&found.origin));
                let request = TokenRequest { realm, service: service.as_deref(), scope, registry, transport, refusal };
                format!("Bearer {}", request.run(credentials)?)
            }
            (None, Some(Credentials::Basic { user, secret })) => basic(user, secret),
            (None, Some(Credentials::Identity(_))) => {
                let cause = "found an identity token for a registry that takes passwords alone".to_owned();
                return Err(Error::Unauthorized { url: registry.to_string(), cause });
            }
            (None, None) => return Ok(None),
        };
        Ok(Some(Made { header, origin: found.map(|found| found.origin.clone()) }))
    }
}

struct TokenRequest<'a> {
    realm: &'a str,
    service: Option<&'a str>,
    scope: &'a Scope,
    registry: &'a Url,
    transport: &'a Transport,
    /// What to say where the credentials are refused, if there are some.
    refusal: Option<String>,
}

impl TokenRequest<'_> {
    fn run(&self, credential: Option<&Credentials>) -> Result<String> {
        let realm = self.registry.join(self.realm);
        let realm = realm.ok_or_else(|| wrong(self.registry, "found a realm that is no address"))?;
        if !self.transport.trust.may_get_token(self.registry, &realm) {
            return Err(wrong(self.registry, format!("found the token server {realm}, expected https")));
        }
        let answer = match credential {
            Some(Credentials::Identity(token)) => self.post(&realm, token)?,
            Some(Credentials::Basic { user, secret }) => self.get(&realm, Some((user, &basic(user, secret))))?,
            None => self.get(&realm, None)?,
        };
        if answer.status().as_u16() != 200 {
            return Err(self.refused(&realm, answer));
        }
        let reader = body(answer, None).map_err(|cause| wrong(self.registry, cause))?;
        let bytes = self.transport.read_small(reader, MOST_TOKEN);
        let bytes =
            bytes.map_err(|(obstacle, cause)| Error::Unreachable { url: realm.to_string(), obstacle, cause })?;
        let answer = serde_json::from_slice::<Token>(&bytes).ok();
        // Some answer with both, of which one is empty.
        let tokens = answer.into_iter().flat_map(|answer| [answer.token, answer.access_token]).flatten();
        let is_sound = |token: &String| !token.is_empty() && token.bytes().all(|byte| byte.is_ascii_graphic());
        tokens.into_iter().find(is_sound).ok_or_else(|| wrong(&realm, "found no token in the answer"))
    }

    fn get(&self, realm: &Url, credential: Option<(&String, &String)>) -> Result<Answer> {
        let mut url = realm.clone();
        if let Some(service) = self.service {
            url = url.with("service", &encode(service));
        }
        for scope in self.scope.texts() {
            url = url.with("scope", &encode(&scope));
        }
        if let Some((user, _)) = credential {
            url = url.with("account", &encode(user));
        }
        for _ in 0..=MOST_REDIRECTS {
            let headers =
                credential.filter(|_| url.is_same_server(realm)).map(|(_, header)| ("authorization", header.as_str()));
            let answer = self.transport.send("GET", &url, headers.as_slice(), None)?;
            if !answer.status().is_redirection() {
                return Ok(answer);
            }
            let next = header(&answer, "location").and_then(|location| url.join(location));
            let next = next.ok_or_else(|| wrong(realm, "found a redirect to no address"))?;
            if !self.transport.trust.may_redirect(&url, &next) {
                return Err(wrong(realm, "found a redirect from TLS to plain HTTP, expected https"));
            }
            url = next;
        }
        Err(wrong(realm, format!("found more than {MOST_REDIRECTS} redirects")))
    }

    /// The error names the registry, which is what one logs in to, and then the token server.
    fn refused(&self, realm: &Url, answer: Answer) -> Error {
        match (refused(WHAT, realm, answer), &self.refusal) {
            (Error::Unauthorized { url, cause }, Some(refusal)) => {
                Error::Unauthorized { url: self.registry.to_string(), cause: format!("{refusal}: {url}: {cause}") }
            }
            (error, _) => error,
        }
    }

    /// With a refresh token (oauth.md).
    fn post(&self, realm: &Url, token: &str) -> Result<Answer> {
        let scope = self.scope.texts().join(" ");
        let service = self.service.unwrap_or_default();
        let form = [
            ("grant_type", "refresh_token"),
            ("service", service),
            ("client_id", "layerstone"),
            ("scope", &scope),
            ("refresh_token", token),
        ];
        let form: Vec<String> = form.iter().map(|(key, value)| format!("{key}={}", encode(value))).collect();
        let form = form.join("&").into_bytes();
        let payload = Payload::Bytes(&form);
        self.transport.send("POST", realm, &[("content-type", "application/x-www-form-urlencoded")], Some(payload))
    }
}

fn wrong(url: &Url, cause: impl Into<String>) -> Error {
    Error::Protocol { what: WHAT, url: url.to_string(), cause: cause.into() }
}
