//! Finds out at once whether a registry can be used: by one `GET /v2/` (distribution-spec, "Determining Support"), whose
//! answer also says how to authenticate, so that no other request has to be refused first.

use crate::client::answer::{Answer, body};
use crate::client::auth::{Access, Scope};
use crate::client::challenge::{self, Challenge};
use crate::client::refusal::refused;
use crate::client::transport::Transport;
use crate::client::{Registry, Request};
use crate::error::is_transient_status;
use crate::url::Url;
use crate::{Error, Repository, Result};

const WHAT: &str = "cannot ask the registry";
/// Bytes of the answer that are read.
const MOST: u64 = 1 << 16;

/// What the answer of `/v2/` says.
pub(crate) struct Probe {
    pub is_https: bool,
    /// How to authenticate; empty if that is not said.
    pub challenge: String,
}

impl Registry {
    /// Asks for `/v2/`. Any answer will do but one that may be another later: not every registry has something there.
    pub(crate) fn probe(&self) -> Result<Probe> {
        let probe = self.retry().run(|| probe(&self.transport, &self.base));
        probe.map_err(|error| of_host(error, &self.base.authority))
    }
}

impl Repository {
    /// Checks that the registry takes the credentials of this user, or none, for images that are pushed.
    ///
    /// # Errors
    ///
    /// It does not, or there are none and it wants some. What this user may do is only known once it is done.
    pub fn check_push(&self) -> Result<()> {
        let Repository { registry, scope, .. } = self;
        let challenges = challenge::parse(&registry.challenge);
        let scope = Scope { access: Access::Push, ..scope.clone() };
        if challenges.iter().any(|it| matches!(it, Challenge::Bearer { .. })) {
            registry.retry().run(|| registry.answer_challenge(&scope, &registry.challenge, None, &registry.base))?;
        } else if challenges.contains(&Challenge::Basic) {
            let request = Request { what: WHAT, method: "GET", url: &registry.base, headers: &[] };
            registry.request(&scope, &request)?;
        }
        Ok(())
    }
}

/// Plain HTTP is tried only for exempt hosts, and only if they answer TLS in plain.
fn probe(transport: &Transport, base: &Url) -> Result<Probe> {
    let secure = if transport.trust.is_exempt(base) {
        transport.send_if_tls(base)?
    } else {
        Some(transport.send("GET", base, &[], None)?)
    };
    let is_https = secure.is_some();
    let answer = match secure {
        Some(answer) => answer,
        None => transport.send("GET", &Url::new(false, &base.authority, "/v2/"), &[], None)?,
    };
    let status = answer.status().as_u16();
    if is_transient_status(status) {
        return Err(refused(WHAT, base, answer));
    }
    let challenge = if status == 401 { challenges(&answer) } else { String::new() };
    // Whatever it says: once it is read, the connection serves the next request.
    let _ = body(answer, None).map(|body| transport.read_small(body, MOST));
    Ok(Probe { is_https, challenge })
}

/// The error names the registry, and no address of it.
fn of_host(mut error: Error, host: &str) -> Error {
    if let Error::Unreachable { url, .. } | Error::Status { url, .. } = &mut error {
        host.clone_into(url);
    }
    error
}

/// All challenges of an answer.
pub(crate) fn challenges(answer: &Answer) -> String {
    let headers = answer.headers().get_all("www-authenticate").iter().filter_map(|value| value.to_str().ok());
    headers.collect::<Vec<_>>().join(", ")
}
