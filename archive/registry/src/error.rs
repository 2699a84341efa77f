//! Defines the errors of registries. No error holds a credential, nor the query of a URL, which may be one.

use layerstone_store::{Cancelled, Digest};
use std::time::Duration;

/// Result of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a host cannot be reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Obstacle {
    /// Its name has no address. The resolver of the system has asked more than once before it says so.
    Name,
    /// It answers TLS in plain.
    NoTls,
    /// Its certificate is not valid, or there is none.
    Certificate,
    /// Nothing was received, or nothing could be sent, for too long.
    Silence,
    /// There is no connection, it broke, or the answer is no HTTP.
    Connection,
}

impl Obstacle {
    /// Whether it may go away by itself.
    fn is_transient(self) -> bool {
        matches!(self, Obstacle::Silence | Obstacle::Connection)
    }
}

/// An error of a registry, or on the way to it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A port cannot be listened on.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// The address.
        address: std::net::SocketAddr,
        /// Why.
        source: std::io::Error,
    },
    /// The program was built without the feature `registry`.
    #[error("cannot connect to {host}: this program was built without a client of registries (feature registry)")]
    NoClient {
        /// The registry.
        host: String,
    },
    /// No answer, or one that is no HTTP.
    #[error("cannot reach: {url}: {cause}")]
    Unreachable {
        /// What was asked for: a URL, or the host alone.
        url: String,
        /// The kind of the cause.
        obstacle: Obstacle,
        /// Why.
        cause: String,
    },
    /// An answer that says no.
    #[error("{what}: {url}: found status {status}{explanation}")]
    Status {
        /// What was to be done.
        what: &'static str,
        /// What was asked for.
        url: String,
        /// The answer's status code (RFC 9110, section 15).
        status: u16,
        /// What the registry says, with a colon before it.
        explanation: String,
        /// How long the registry asks to wait (RFC 9110, section 10.2.3).
        retry_after: Option<Duration>,
    },
    /// An answer that is not what the protocol says.
    #[error("{what}: {url}: {cause}")]
    Protocol {
        /// What was to be done.
        what: &'static str,
        /// What was asked for.
        url: String,
        /// What was found and what was expected.
        cause: String,
    },
    /// Bytes that are not those that were asked for.
    #[error("wrong digest: {name}: found {found}, expected {expected}")]
    Digest {
        /// What was asked for.
        name: String,
        /// Digest of what came.
        found: Digest,
        /// Digest that was asked for.
        expected: Digest,
    },
    /// A name that the registry does not have.
    #[error("not in the registry: {name}{explanation}")]
    NotFound {
        /// What was asked for.
        name: String,
        /// What the registry says, with a colon before it.
        explanation: String,
    },
    /// A registry that deletes nothing.
    #[error("the registry allows no deletion: {host}: found status {status}{explanation}")]
    NoDeletion {
        /// The registry.
        host: String,
        /// The answer's status code.
        status: u16,
        /// What the registry says, with a colon before it.
        explanation: String,
    },
    /// The tag of a list of referrers, which leads to something else.
    #[error("no list of referrers: {name}: found media type {found}, expected an index")]
    NoReferrerList {
        /// The tag.
        name: String,
        /// The media type of what it leads to.
        found: String,
    },
    /// What a registry lists as a referrer, and is none.
    #[error("not a referrer of {subject}: {name}: the registry lists it, and it has another subject or none")]
    OtherSubject {
        /// The manifest.
        name: String,
        /// What it should refer to.
        subject: Digest,
    },
    /// A registry that lists referrers, and not this one.
    #[error("not listed as a referrer: {name}@{digest}: the registry took it and does not list it for {subject}")]
    NotListed {
        /// The repository.
        name: String,
        /// The referrer.
        digest: Digest,
        /// What it refers to.
        subject: Digest,
    },
    /// The registry wants credentials, or refuses those that were sent.
    #[error("not allowed: {url}: {cause}")]
    Unauthorized {
        /// What was asked for.
        url: String,
        /// What was tried.
        cause: String,
    },
    /// A token that ran out while a body was sent, and was replaced: the body can be sent again.
    #[error("not allowed: {url}: found status 401")]
    Renewed {
        /// What was asked for.
        url: String,
    },
    /// Something of the user's that cannot be used: a file of credentials or of certificates, a credential helper.
    #[error("{what}: {name}: {cause}")]
    Setup {
        /// What was to be done.
        what: &'static str,
        /// The file or the program.
        name: String,
        /// Why.
        cause: String,
    },
    /// A proxy that cannot be used, or that refuses.
    #[error("cannot use the proxy of {variable}: {cause}")]
    Proxy {
        /// The variable that names it.
        variable: &'static str,
        /// Why; without the user and the password.
        cause: String,
    },
    /// The work was cancelled.
    #[error("stopped by a signal")]
    Cancelled,
    /// The content to be sent cannot be had.
    #[error(transparent)]
    Content(#[from] layerstone_oci::Error),
    /// Files of our own.
    #[error(transparent)]
    Stage(#[from] layerstone_store::Error),
}

impl From<Cancelled> for Error {
    fn from(_: Cancelled) -> Error {
        Error::Cancelled
    }
}

/// What a store of blobs says of an error of the registry.
impl From<Error> for layerstone_oci::Error {
    fn from(error: Error) -> layerstone_oci::Error {
        match error {
            Error::Content(error) => error,
            error => layerstone_oci::Error::blob_store(error),
        }
    }
}

impl From<layerstone_layer::Error> for Error {
    fn from(error: layerstone_layer::Error) -> Error {
        Error::Content(error.into())
    }
}

impl Error {
    /// There is no connection to what was asked for, or it broke.
    pub(crate) fn broken(url: impl ToString, cause: impl Into<String>) -> Error {
        Error::Unreachable { url: url.to_string(), obstacle: Obstacle::Connection, cause: cause.into() }
    }

    /// Whether it may go away by itself, so that a retry can help.
    pub(crate) fn is_transient(&self) -> bool {
        match self {
            Error::Unreachable { obstacle, .. } => obstacle.is_transient(),
            Error::Status { status, .. } => is_transient_status(*status),
            _ => false,
        }
    }

    /// The host that was asked and why that failed, of an error after which a retry may help.
    pub(crate) fn host_and_cause(&self) -> Option<(&str, String)> {
        match self {
            Error::Unreachable { url, cause, .. } => Some((host_of(url), cause.clone())),
            Error::Status { url, status, explanation, .. } => {
                Some((host_of(url), format!("found status {status}{explanation}")))
            }
            _ => None,
        }
    }

    /// How long the registry asks to wait.
    pub(crate) fn retry_after(&self) -> Option<Duration> {
        match self {
            Error::Status { retry_after, .. } => *retry_after,
            _ => None,
        }
    }
}

/// The host of a URL, with its port.
fn host_of(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    rest.split('/').next().unwrap_or_default()
}

/// Statuses after which a retry may help (RFC 9110, section 15.6; RFC 6585, section 4; Cloudflare's 520 to 524).
pub(crate) fn is_transient_status(status: u16) -> bool {
    matches!(status, 408 | 425 | 429 | 500 | 502..=504 | 520..=524)
}
