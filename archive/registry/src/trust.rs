//! Decides which hosts may use plain HTTP or a certificate that no authority signed: those that the user names, and this
//! machine. An exemption is for one host alone.

use crate::url::{Url, in_brackets, split_port};
use std::net::{IpAddr, Ipv6Addr};
use std::str::FromStr;

/// A host that the user trusts without a certificate, on one port or on every port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InsecureHost {
    /// In lower case, an IPv6 address without brackets.
    host: String,
    port: Option<u16>,
}

/// What an argument should look like.
const EXPECTED: &str = "expected HOST or HOST:PORT, as in the image's reference";

impl FromStr for InsecureHost {
    type Err = String;

    fn from_str(text: &str) -> Result<InsecureHost, String> {
        let wrong = || format!("found {text:?}, {EXPECTED}");
        let (host, port) = split_port(text);
        let port = port.map(|port| port.parse().ok().filter(|port| *port > 0).ok_or_else(wrong)).transpose()?;
        let inner = in_brackets(host);
        let is_good = match inner {
            Some(inner) => inner.parse::<Ipv6Addr>().is_ok(),
            None => text.parse::<IpAddr>().is_ok() || is_host_name(host),
        };
        let host = inner.unwrap_or(host).to_ascii_lowercase();
        if is_good { Ok(InsecureHost { host, port }) } else { Err(wrong()) }
    }
}

fn is_host_name(text: &str) -> bool {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
    !text.is_empty() && text.bytes().all(is_allowed) && text.starts_with(|c: char| c.is_ascii_alphanumeric())
}

/// The hosts that need no certificate.
#[derive(Clone, Debug, Default)]
pub(crate) struct Trust {
    named: Vec<InsecureHost>,
}

impl Trust {
    /// Docker's own registry answers at another host than images are named by: naming one names both.
    pub(crate) fn new(named: &[InsecureHost], registry: &str, authority: &str) -> Trust {
        let mut named = named.to_vec();
        if registry != authority
            && let Some(also) = named.iter().find(|it| it.host == registry).cloned()
        {
            named.push(InsecureHost { host: authority.to_owned(), ..also });
        }
        Trust { named }
    }

    /// Whether plain HTTP and any certificate will do for this host.
    pub(crate) fn is_exempt(&self, url: &Url) -> bool {
        self.is_named(url) || url.is_loopback()
    }

    /// Whether the user names this host.
    fn is_named(&self, url: &Url) -> bool {
        let host = url.host();
        self.named.iter().any(|it| it.host == host && it.port.is_none_or(|port| port == url.port()))
    }

    /// Whether a redirect may lead there. Nobody is led from TLS to plain HTTP, unless the user names the host.
    pub(crate) fn may_redirect(&self, from: &Url, to: &Url) -> bool {
        to.is_https || !from.is_https || self.is_named(to)
    }

    /// Whether a password may go to this token server of a registry: with TLS, or in plain where the user says so, and
    /// between a registry and a token server that are both on this machine.
    pub(crate) fn may_get_token(&self, registry: &Url, realm: &Url) -> bool {
        realm.is_https || self.is_named(realm) || (!registry.is_https && realm.is_loopback())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trust(named: &[&str]) -> Trust {
        let named: Vec<InsecureHost> = named.iter().map(|text| text.parse().unwrap()).collect();
        Trust::new(&named, "docker.io", "registry-1.docker.io")
    }

    fn url(text: &str) -> Url {
        Url::parse(text).unwrap()
    }

    #[test]
    fn hosts() {
        for (named, address, expected) in [
            ("r.example", "https://r.example/", true),
            ("r.example", "https://R.example:5000/", true),
            ("R.Example:5000", "http://r.example:5000/", true),
            ("r.example:5000", "https://r.example/", false),
            ("r.example:443", "https://r.example/", true),
            ("r.example:443", "http://r.example/", false),
            ("r.example", "https://not-r.example/", false),
            ("r.example", "https://sub.r.example/", false),
            ("10.0.0.1", "http://10.0.0.1:5000/", true),
            ("[fd00::1]:5000", "http://[fd00::1]:5000/", true),
            ("[fd00::1]", "http://[fd00::1]:5000/", true),
            ("fd00::1", "http://[fd00::1]:5000/", true),
            ("localhost:5000", "https://registry-1.docker.io/", false),
            ("docker.io", "https://registry-1.docker.io/", true),
            ("docker.io", "https://auth.docker.io/", false),
            ("r.example", "http://localhost:1/", true),
            ("r.example", "http://LOCALHOST/", true),
            ("r.example", "http://127.8.9.1:1/", true),
            ("r.example", "http://[::1]:1/", true),
            ("r.example", "http://[::ffff:127.0.0.1]:1/", true),
            ("r.example", "http://localhost.example/", false),
            ("r.example", "http://128.0.0.1/", false),
        ] {
            assert_eq!(trust(&[named]).is_exempt(&url(address)), expected, "{named} {address}");
        }
        for bad in ["", "a/b", "https://a", "a:b", "a:0", "a:70000", ":5000", "[x]", "[::1", "-x", "a b", "a:5000:1"] {
            assert!(bad.parse::<InsecureHost>().is_err(), "{bad}");
        }
    }

    #[test]
    fn ways_down() {
        let (tls, plain, other) = ("https://127.0.0.1:1/", "http://127.0.0.1:1/", "http://s.example/");
        for (from, to, redirect, token) in [
            (tls, "https://s.example/", true, true),
            (tls, other, false, false),
            (tls, "http://127.0.0.1:2/", false, false),
            (tls, "http://named.example/", true, true),
            (plain, other, true, false),
            (plain, "http://127.0.0.1:2/", true, true),
            ("http://named.example/", other, true, false),
            ("http://named.example/", "http://named.example:5001/", true, true),
        ] {
            let trust = trust(&["named.example"]);
            let found = (trust.may_redirect(&url(from), &url(to)), trust.may_get_token(&url(from), &url(to)));
            assert_eq!(found, (redirect, token), "{from} {to}");
        }
    }
}
