//! Sends requests of plain HTTP through a proxy, in absolute form (RFC 9112, section 3.2.2), over a connection to the proxy.
//!
//! ureq tunnels whatever goes through a proxy with CONNECT, which many proxies allow to port 443 alone. So here the
//! connection is one to the proxy, and the line that begins a request gets the scheme and the host on its way out.

use crate::client::resolver::BoundedResolver;
use ureq::Error;
use ureq::config::Config;
use ureq::http::Uri;
use ureq::unversioned::resolver::{ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::{Buffers, ConnectionDetails, Connector, NextTimeout, Transport as Connection};

/// Finds the proxy, whatever is asked for.
#[derive(Debug)]
pub(crate) struct ProxyResolver {
    pub proxy: Uri,
}

impl Resolver for ProxyResolver {
    fn resolve(&self, _: &Uri, config: &Config, timeout: NextTimeout) -> Result<ResolvedSocketAddrs, Error> {
        BoundedResolver.resolve(&self.proxy, config, timeout)
    }
}

/// Connects to the proxy, whatever is asked for; with TLS if the proxy's address says so.
#[derive(Debug)]
pub(crate) struct ProxyConnector<C> {
    pub proxy: Uri,
    /// Makes the connection.
    pub inner: C,
}

impl<C: Connector<()>> Connector<()> for ProxyConnector<C> {
    type Out = AbsoluteForm<C::Out>;

    fn connect(&self, details: &ConnectionDetails, _: Option<()>) -> Result<Option<Self::Out>, Error> {
        let to_proxy = ConnectionDetails {
            uri: &self.proxy,
            addrs: details.resolver.resolve(&self.proxy, details.config, details.timeout)?,
            config: details.config,
            request_level: details.request_level,
            resolver: details.resolver,
            now: details.now,
            timeout: details.timeout,
            current_time: details.current_time.clone(),
            run_connector: details.run_connector.clone(),
            register_shutdown: details.register_shutdown.clone(),
        };
        let inner = self.inner.connect(&to_proxy, None)?.ok_or(Error::ConnectionFailed)?;
        let authority = details.uri.authority().ok_or(Error::HostNotFound)?;
        Ok(Some(AbsoluteForm { inner, begins: true, origin: format!("http://{authority}") }))
    }
}

/// A connection to a proxy.
#[derive(Debug)]
pub(crate) struct AbsoluteForm<T> {
    inner: T,
    /// Whether what is sent next begins a request: nothing was sent yet, or an answer was waited for since.
    begins: bool,
    /// Scheme and host of whoever is asked.
    origin: String,
}

impl<T: Connection> Connection for AbsoluteForm<T> {
    fn buffers(&mut self) -> &mut dyn Buffers {
        self.inner.buffers()
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), Error> {
        let mut amount = amount;
        if std::mem::take(&mut self.begins) {
            amount = insert(self.inner.buffers().output(), amount, self.origin.as_bytes())?;
        }
        self.inner.transmit_output(amount, timeout)
    }

    fn maybe_await_input(&mut self, timeout: NextTimeout) -> Result<bool, Error> {
        self.begins = true;
        self.inner.maybe_await_input(timeout)
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, Error> {
        self.begins = true;
        self.inner.await_input(timeout)
    }

    fn is_open(&mut self) -> bool {
        self.inner.is_open()
    }
}

/// Puts a request's scheme and host before its path; the new length.
fn insert(buffer: &mut [u8], amount: usize, origin: &[u8]) -> Result<usize, Error> {
    let head = &buffer[..amount];
    let at = head.iter().position(|byte| *byte == b' ').map(|at| at + 1).filter(|at| head.get(*at) == Some(&b'/'));
    let at = at.ok_or_else(|| Error::BadUri("found no path in a request".to_owned()))?;
    let end = amount + origin.len();
    if end > buffer.len() {
        return Err(Error::BadUri("the address is too long".to_owned()));
    }
    buffer.copy_within(at..amount, at + origin.len());
    buffer[at..at + origin.len()].copy_from_slice(origin);
    Ok(end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inserted() {
        let mut buffer = b"GET /v2/ HTTP/1.1\r\n\r\n................".to_vec();
        let end = insert(&mut buffer, 21, b"http://r.example").unwrap();
        assert_eq!(&buffer[..end], b"GET http://r.example/v2/ HTTP/1.1\r\n\r\n");
        assert!(insert(&mut buffer[..30], 21, b"http://r.example").is_err());
        assert!(insert(&mut b"GET".to_vec(), 3, b"").is_err());
    }
}
