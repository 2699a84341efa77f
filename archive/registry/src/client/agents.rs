//! Keeps an HTTP agent for each combination of proxy and certificate check. Requests with the same agent share
//! connections.

use crate::client::forward::{ProxyConnector, ProxyResolver};
use crate::client::proxy::Proxy;
use crate::client::resolver::BoundedResolver;
use crate::client::socket::SocketConnector;
use crate::url::Url;
use layerstone_store::Cancel;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use ureq::config::ConfigBuilder;
use ureq::http::Uri;
use ureq::tls::{RootCerts, TlsConfig};
use ureq::typestate::AgentScope;
use ureq::unversioned::transport::{ConnectProxyConnector, Connector as _, RustlsConnector, SocksConnector};
use ureq::{Agent, Error, ProxyProtocol};

/// How long resolving a name, and making a connection with its TLS handshake, may take at most, whatever the options say.
pub(crate) const CONNECT: Duration = Duration::from_secs(20);

/// The agents that make requests.
#[derive(Debug)]
pub(crate) struct Agents {
    /// Certificates of authorities that are trusted.
    pub roots: RootCerts,
    /// Timeout of silence: nothing is received, or nothing can be sent.
    pub silence: Duration,
    /// Timeout of a whole request.
    pub limit: Option<Duration>,
    pub cancel: Cancel,
    /// The agents that were made.
    pub made: Mutex<BTreeMap<Key, Agent>>,
}

/// What requests that share connections have in common: whether any certificate is accepted; the variable that names the
/// proxy, and whether that forwards requests rather than connections.
pub(crate) type Key = (bool, Option<(&'static str, bool)>);

impl Agents {
    /// The one for an address; with `is_exempt`, any certificate of that host will do.
    pub(crate) fn of(&self, url: &Url, is_exempt: bool, proxy: Option<&Proxy>) -> Result<Agent, Error> {
        // What is forwarded has no TLS but that of the proxy, whose certificate is checked.
        let is_blind = url.is_https && is_exempt;
        let forwards = proxy.is_some_and(|proxy| proxy.forwards(url));
        let key = (is_blind, proxy.map(|proxy| (proxy.variable, forwards)));
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(agent) = made.get(&key) {
            return Ok(agent.clone());
        }
        let config = self.config(is_blind);
        let socket = || SocketConnector { cancel: self.cancel.clone() };
        let agent = match proxy {
            Some(proxy) if forwards => {
                let uri: Uri = format!("{proxy}/").parse().map_err(|_| Error::InvalidProxyUrl)?;
                let inner = ().chain(socket()).chain(RustlsConnector::default());
                let connector = ProxyConnector { proxy: uri.clone(), inner };
                Agent::with_parts(config.build(), connector, ProxyResolver { proxy: uri })
            }
            proxy => {
                let config = config.proxy(proxy.map(Proxy::tunnel).transpose()?).build();
                let connector = ().chain(SocksConnector::default()).chain(ConnectProxyConnector::default());
                let connector = connector.chain(socket()).chain(RustlsConnector::default());
                Agent::with_parts(config, connector, BoundedResolver)
            }
        };
        made.insert(key, agent.clone());
        Ok(agent)
    }

    fn config(&self, is_blind: bool) -> ConfigBuilder<AgentScope> {
        let tls = TlsConfig::builder()
            .disable_verification(is_blind)
            .root_certs(self.roots.clone())
            .unversioned_rustls_crypto_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .build();
        Agent::config_builder()
            .http_status_as_error(false)
            // Where a redirect leads decides which headers may be sent there.
            .max_redirects(0)
            .max_redirects_will_error(false)
            // ureq reads the variables of proxies by rules of its own.
            .proxy(None)
            .tls_config(tls)
            .user_agent(concat!("layerstone/", env!("CARGO_PKG_VERSION")))
            .accept_encoding("identity")
            .timeout_global(self.limit)
            .timeout_resolve(Some(self.silence.min(CONNECT)))
            .timeout_connect(Some(self.silence.min(CONNECT)))
            .timeout_recv_response(Some(self.silence))
            .timeout_per_read(Some(self.silence))
            .timeout_per_write(Some(self.silence))
            .max_idle_connections_per_host(16)
            .output_buffer_size(1 << 18)
            .input_buffer_size(1 << 18)
    }
}

impl Proxy {
    /// Whether it gets requests in absolute form. SOCKS makes a connection for whatever is sent.
    pub(crate) fn forwards(&self, url: &Url) -> bool {
        !url.is_https && self.protocol != ProxyProtocol::Socks5h
    }

    /// As something that makes connections to other hosts, whose names it looks up itself.
    fn tunnel(&self) -> Result<ureq::Proxy, Error> {
        let mut proxy = ureq::Proxy::builder(self.protocol).host(&self.host).port(self.port).resolve_target(false);
        if let Some((name, password)) = &self.user {
            proxy = proxy.username(name).password(password);
        }
        proxy.build()
    }
}
