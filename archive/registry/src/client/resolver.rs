//! Finds the addresses of a host within a time, as ureq's own resolver does, which panics if no thread can be made.

use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::thread;
use std::vec::IntoIter;
use ureq::Error;
use ureq::config::Config;
use ureq::http::Uri;
use ureq::unversioned::resolver::{DefaultResolver, ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::NextTimeout;

/// Addresses that are tried at most: as many as ureq takes.
const MOST: usize = 16;

/// Asks the C library, on a thread of its own if there is a bound on the time.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct BoundedResolver;

impl Resolver for BoundedResolver {
    fn resolve(&self, uri: &Uri, config: &Config, timeout: NextTimeout) -> Result<ResolvedSocketAddrs, Error> {
        let host = uri.scheme().zip(uri.authority());
        let host = host.and_then(|(scheme, authority)| DefaultResolver::host_and_port(scheme, authority));
        let host = host.ok_or_else(|| Error::BadUri(uri.to_string()))?;
        let found =
            if timeout.after.is_not_happening() { resolved(host.to_socket_addrs())? } else { look_up(host, timeout)? };
        let mut addresses = self.empty();
        config.ip_family().keep_wanted(found).take(MOST).for_each(|address| addresses.push(address));
        if addresses.is_empty() { Err(Error::HostNotFound) } else { Ok(addresses) }
    }
}

/// A name that has no address: the cause, inside an I/O error.
#[derive(Debug, thiserror::Error)]
#[error("cannot resolve the name: {0}")]
pub(crate) struct Unresolved(String);

/// What the standard library says before the text of the C library.
const BEFORE: &str = "failed to lookup address information: ";

impl Unresolved {
    pub(crate) fn new(cause: &str) -> Unresolved {
        Unresolved(cause.strip_prefix(BEFORE).unwrap_or(cause).to_owned())
    }
}

fn resolved(found: io::Result<IntoIter<SocketAddr>>) -> Result<IntoIter<SocketAddr>, Error> {
    Ok(found.map_err(|e| io::Error::new(e.kind(), Unresolved::new(&e.to_string())))?)
}

fn look_up(host: String, timeout: NextTimeout) -> Result<IntoIter<SocketAddr>, Error> {
    let (answer, found) = sync_channel(1);
    // Nobody waits for an answer that comes too late.
    thread::Builder::new().spawn(move || drop(answer.send(host.to_socket_addrs())))?;
    match found.recv_timeout(*timeout.after) {
        Ok(found) => resolved(found),
        Err(RecvTimeoutError::Timeout) => Err(Error::Timeout(timeout.reason)),
        Err(RecvTimeoutError::Disconnected) => Err(io::Error::other("the thread that asks for addresses ended").into()),
    }
}
