//! Finds the proxy of a request: reads `HTTP_PROXY`, `HTTPS_PROXY` and `NO_PROXY` as Go's
//! `golang.org/x/net/http/httpproxy` reads them, and curl's `ALL_PROXY` for a scheme that has none of its own.
//!
//! Does not know how a proxy is used.

use crate::url::{Url, decode, in_brackets, split_port};
use crate::{Error, Result};
use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use ureq::ProxyProtocol;

/// The proxies of an environment. What is malformed is an error once it is needed, not before.
#[derive(Debug, Default)]
pub(crate) struct Proxies {
    http: Option<Setting>,
    https: Option<Setting>,
    /// The hosts that are asked without a proxy.
    direct: Vec<Rule>,
    /// A request of a web server's CGI program, whose `Proxy` header is `HTTP_PROXY` (CVE-2016-5385 and others).
    is_cgi: bool,
}

/// A variable and what it says.
type Setting = (&'static str, std::result::Result<Proxy, String>);

/// A proxy.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Proxy {
    /// The variable that names it.
    pub variable: &'static str,
    /// How it is talked to.
    pub protocol: ProxyProtocol,
    /// An IPv6 address has brackets.
    pub host: String,
    pub port: u16,
    /// User and password.
    pub user: Option<(String, String)>,
}

/// For messages: without the password.
impl fmt::Display for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = match self.protocol {
            ProxyProtocol::Http => "http",
            ProxyProtocol::Https => "https",
            _ => "socks5",
        };
        write!(f, "{scheme}://{}:{}", self.host, self.port)
    }
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self} of {}", self.variable)
    }
}

impl Proxies {
    /// Those of the process.
    pub(crate) fn of_environment() -> Proxies {
        Proxies::new(|key| std::env::var_os(key).map(|value| value.to_string_lossy().into_owned()))
    }

    /// A variable in capitals goes before the one in small letters, and an empty one is none.
    pub(crate) fn new(get: impl Fn(&str) -> Option<String>) -> Proxies {
        let first = |names: &[&'static str]| {
            let found = |name: &&'static str| get(name).filter(|value| !value.is_empty()).map(|value| (*name, value));
            names.iter().find_map(found)
        };
        let setting = |(variable, value): (&'static str, String)| (variable, parse(variable, &value));
        Proxies {
            http: first(&["HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"]).map(setting),
            https: first(&["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"]).map(setting),
            direct: first(&["NO_PROXY", "no_proxy"]).map_or_else(Vec::new, |(_, value)| rules(&value)),
            is_cgi: get("REQUEST_METHOD").is_some_and(|value| !value.is_empty()),
        }
    }

    /// The proxy for a request, if it goes through one.
    pub(crate) fn of(&self, url: &Url) -> Result<Option<&Proxy>> {
        let setting = if url.is_https { &self.https } else { &self.http };
        let Some((variable, value)) = setting else { return Ok(None) };
        let wrong = |cause: &str| Error::Proxy { variable, cause: cause.to_owned() };
        if !url.is_https && self.is_cgi && variable.eq_ignore_ascii_case("HTTP_PROXY") {
            return Err(wrong("found REQUEST_METHOD, as in a CGI program, where a request may set it"));
        }
        // This machine is always asked directly.
        if url.is_loopback() || self.direct.iter().any(|rule| rule.covers(url)) {
            return Ok(None);
        }
        value.as_ref().map(Some).map_err(|cause| wrong(cause))
    }
}

/// Reads a proxy's address. Messages have nothing of the value, which may hold a password.
fn parse(variable: &'static str, value: &str) -> std::result::Result<Proxy, String> {
    let expected = "expected [http://][USER:PASSWORD@]HOST[:PORT]";
    let (scheme, rest) = value.split_once("://").unwrap_or(("http", value));
    let (protocol, default) = match scheme.to_ascii_lowercase().as_str() {
        "http" => (ProxyProtocol::Http, 80),
        "https" => (ProxyProtocol::Https, 443),
        "socks5" | "socks5h" => (ProxyProtocol::Socks5h, 1080),
        _ => return Err("found an unknown scheme, expected http://, https:// or socks5://".to_owned()),
    };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let (user, address) = match authority.rsplit_once('@') {
        Some((user, address)) => (Some(user), address),
        None => (None, authority),
    };
    let (host, port) = split_port(address);
    let port = match port.unwrap_or_default() {
        "" => default,
        port => port.parse().ok().filter(|port| *port > 0).ok_or(format!("found a bad port, {expected}"))?,
    };
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
    let is_host = match in_brackets(host) {
        Some(inner) => inner.parse::<Ipv6Addr>().is_ok(),
        None => !host.is_empty() && host.bytes().all(is_name),
    };
    if !is_host {
        return Err(format!("found no host, {expected}"));
    }
    let user = user.map(|user| {
        let (name, password) = user.split_once(':').unwrap_or((user, ""));
        let decoded = decode(name).zip(decode(password));
        decoded.ok_or_else(|| format!("found a bad %-code in the user, {expected}"))
    });
    Ok(Proxy { variable, protocol, host: host.to_ascii_lowercase(), port, user: user.transpose()? })
}

/// An entry of `NO_PROXY`.
#[derive(Debug)]
enum Rule {
    /// `*`.
    All,
    /// An address and the bits of it that count.
    Network(IpAddr, u8),
    Address(IpAddr, String),
    /// `.example.com`, which covers what is below it, and the domain itself if `is_itself`.
    Domain {
        suffix: String,
        is_itself: bool,
        port: String,
    },
}

fn rules(text: &str) -> Vec<Rule> {
    text.split(',').filter_map(|entry| Rule::parse(&entry.trim().to_ascii_lowercase())).collect()
}

impl Rule {
    /// Reads an entry in small letters; what names no host is passed over.
    fn parse(entry: &str) -> Option<Rule> {
        if entry == "*" {
            return Some(Rule::All);
        }
        if let Some((address, bits)) = entry.split_once('/')
            && let (Ok(address), Ok(bits)) = (address.parse::<IpAddr>(), bits.parse::<u8>())
            && bits <= if address.is_ipv4() { 32 } else { 128 }
        {
            return Some(Rule::Network(address, bits));
        }
        let (host, port) = split_port(entry);
        let (host, port) = (in_brackets(host).unwrap_or(host), port.unwrap_or_default());
        if let Ok(address) = host.parse::<IpAddr>() {
            return Some(Rule::Address(address.to_canonical(), port.to_owned()));
        }
        let host = host.strip_prefix('*').filter(|rest| rest.starts_with('.')).unwrap_or(host);
        if host.is_empty() {
            return None;
        }
        let is_itself = !host.starts_with('.');
        let suffix = if is_itself { format!(".{host}") } else { host.to_owned() };
        Some(Rule::Domain { suffix, is_itself, port: port.to_owned() })
    }

    fn covers(&self, url: &Url) -> bool {
        let (host, port) = (url.host(), url.port().to_string());
        match (self, host.parse().ok().map(|address: IpAddr| address.to_canonical())) {
            (Rule::All, _) => true,
            (Rule::Network(network, bits), Some(address)) => is_within(address, *network, *bits),
            (Rule::Address(rule, at), Some(address)) => *rule == address && (at.is_empty() || *at == port),
            (Rule::Domain { suffix, is_itself, port: at }, None) => {
                let is_it = host.ends_with(suffix.as_str()) || (*is_itself && host == suffix[1..]);
                is_it && (at.is_empty() || *at == port)
            }
            _ => false,
        }
    }
}

fn is_within(address: IpAddr, network: IpAddr, bits: u8) -> bool {
    let number = |address: IpAddr| match address {
        IpAddr::V4(address) => (u128::from(address.to_bits()) << 96, 32),
        IpAddr::V6(address) => (address.to_bits(), 128),
    };
    let ((a, width), (b, other)) = (number(address), number(network));
    let mask = u128::MAX.checked_shl(128 - u32::from(bits)).unwrap_or(0);
    width == other && a & mask == b & mask
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proxies(pairs: &[(&str, &str)]) -> Proxies {
        let get = |key: &str| pairs.iter().find(|(name, _)| *name == key).map(|(_, value)| (*value).to_owned());
        Proxies::new(get)
    }

    fn proxy_of(pairs: &[(&str, &str)], address: &str) -> String {
        match proxies(pairs).of(&Url::parse(address).unwrap()) {
            Ok(proxy) => proxy.map(ToString::to_string).unwrap_or_default(),
            Err(error) => error.to_string(),
        }
    }

    /// `NO_PROXY`, the address, and whether it goes around the proxy.
    #[test]
    fn no_proxy() {
        for (no_proxy, address, expected) in [
            ("", "https://r.example.com/", false),
            ("example.com", "https://example.com/", true),
            ("example.com", "https://r.example.com/", true),
            ("example.com", "https://a.r.EXAMPLE.com/", true),
            ("EXAMPLE.com", "https://r.example.com/", true),
            ("example.com", "https://notexample.com/", false),
            ("example.com", "https://example.com.evil/", false),
            (".example.com", "https://r.example.com/", true),
            (".example.com", "https://example.com/", false),
            ("*.example.com", "https://r.example.com/", true),
            ("*.example.com", "https://example.com/", false),
            ("*example.com", "https://r.example.com/", false),
            ("localhost, r.example.com", "https://r.example.com/", true),
            (" a ,\tr.example.com ,", "https://r.example.com/", true),
            ("a r.example.com", "https://r.example.com/", false),
            ("*", "https://r.example.com/", true),
            ("a, *", "https://10.0.0.1/", true),
            ("example.com:443", "https://r.example.com/", true),
            ("example.com:443", "https://r.example.com:5000/", false),
            ("example.com:5000", "http://r.example.com:5000/", true),
            ("example.com:80", "http://r.example.com/", true),
            (".example.com:5000", "https://r.example.com/", false),
            ("10.0.0.1", "https://10.0.0.1/", true),
            ("10.0.0.1", "https://10.0.0.2/", false),
            ("10.0.0.1:5000", "https://10.0.0.1:5000/", true),
            ("10.0.0.1:5000", "https://10.0.0.1/", false),
            ("10.0.0.0/8", "https://10.20.30.40/", true),
            ("10.1.2.3/8", "https://10.20.30.40/", true),
            ("10.0.0.0/8", "https://11.0.0.1/", false),
            ("0.0.0.0/0", "https://11.0.0.1/", true),
            ("0.0.0.0/0", "https://[fd00::1]/", false),
            ("10.0.0.1/32", "https://10.0.0.1/", true),
            ("10.0.0.0/33", "https://10.0.0.1/", false),
            ("10.0.0.0/8", "https://ten.example/", false),
            ("10.0", "https://10.0.0.1/", false),
            ("0.1", "https://10.0.0.1/", false),
            ("fd00::/8", "https://[fd00::1]:5000/", true),
            ("fd00::/8", "https://[fe80::1]/", false),
            ("fd00::1", "https://[fd00::1]/", true),
            ("[fd00::1]:5000", "https://[fd00::1]:5000/", true),
            ("[fd00::1]:5000", "https://[fd00::1]/", false),
            ("[fd00::1]", "https://[fd00::1]/", true),
            ("::ffff:10.0.0.1", "https://10.0.0.1/", true),
            (":5000", "https://r.example.com:5000/", false),
            ("", "https://localhost/", true),
            ("", "http://localhost:5000/", true),
            ("", "http://127.0.0.1:5000/", true),
            ("", "http://127.1.2.3/", true),
            ("", "http://[::1]:5000/", true),
            ("", "http://localhost.example.com/", false),
        ] {
            let pairs = [("HTTP_PROXY", "p:1"), ("HTTPS_PROXY", "p:1"), ("NO_PROXY", no_proxy)];
            let found = proxy_of(&pairs, address);
            assert_eq!(found, if expected { "" } else { "http://p:1" }, "NO_PROXY={no_proxy:?} {address}");
        }
    }

    /// Which variable decides.
    #[test]
    fn variables() {
        let (tls, plain) = ("https://r.example/", "http://r.example/");
        type Row<'a> = (&'a [(&'a str, &'a str)], &'a str, &'a str);
        let list: &[Row<'_>] = &[
            (&[], tls, ""),
            (&[("HTTP_PROXY", "a:1")], tls, ""),
            (&[("HTTP_PROXY", "a:1")], plain, "http://a:1"),
            (&[("HTTPS_PROXY", "a:1")], plain, ""),
            (&[("https_proxy", "a:1")], tls, "http://a:1"),
            (&[("https_proxy", "a:1"), ("HTTPS_PROXY", "b:1")], tls, "http://b:1"),
            (&[("https_proxy", "a:1"), ("HTTPS_PROXY", "")], tls, "http://a:1"),
            (&[("http_proxy", "a:1"), ("HTTP_PROXY", "b:1")], plain, "http://b:1"),
            (&[("http_proxy", "a:1"), ("HTTPS_PROXY", "b:1")], tls, "http://b:1"),
            (&[("ALL_PROXY", "a:1")], tls, "http://a:1"),
            (&[("all_proxy", "a:1")], plain, "http://a:1"),
            (&[("all_proxy", "a:1"), ("http_proxy", "b:1")], plain, "http://b:1"),
            (&[("all_proxy", "a:1"), ("http_proxy", "b:1")], tls, "http://a:1"),
            (&[("https_proxy", "a:1"), ("no_proxy", "example")], tls, ""),
            (&[("https_proxy", "a:1"), ("no_proxy", "example"), ("NO_PROXY", "x")], tls, "http://a:1"),
            (&[("https_proxy", "a:1"), ("no_proxy", "example"), ("NO_PROXY", "")], tls, ""),
            (
                &[("HTTP_PROXY", "a:1"), ("REQUEST_METHOD", "GET")],
                plain,
                "cannot use the proxy of HTTP_PROXY: found REQUEST_METHOD, as in a CGI program, where a request may set it",
            ),
            (&[("HTTPS_PROXY", "a:1"), ("REQUEST_METHOD", "GET")], tls, "http://a:1"),
        ];
        for (pairs, address, expected) in list {
            assert_eq!(proxy_of(pairs, address), *expected, "{pairs:?} {address}");
        }
    }

    /// What a variable may say.
    #[test]
    fn values() {
        for (value, expected) in [
            ("p", "http://p:80"),
            ("p:3128", "http://p:3128"),
            ("p:", "http://p:80"),
            ("P.example:3128/", "http://p.example:3128"),
            ("http://p:3128/path?x", "http://p:3128"),
            ("HTTP://p", "http://p:80"),
            ("https://p", "https://p:443"),
            ("socks5://p", "socks5://p:1080"),
            ("socks5h://p:9", "socks5://p:9"),
            ("127.0.0.1:3128", "http://127.0.0.1:3128"),
            ("http://[::1]:3128", "http://[::1]:3128"),
            ("[::1]", "http://[::1]:80"),
            ("http://u:secret@p:1", "http://p:1"),
            ("u:secret@p:1", "http://p:1"),
        ] {
            assert_eq!(proxy_of(&[("HTTPS_PROXY", value)], "https://r.example/"), expected, "{value}");
        }
        for (value, cause) in [
            ("ftp://p", "found an unknown scheme, expected http://, https:// or socks5://"),
            ("http://", "found no host, "),
            ("http://:80", "found no host, "),
            ("http://a b", "found no host, "),
            (" http://p", "found an unknown scheme"),
            ("p:x", "found a bad port, "),
            ("p:0", "found a bad port, "),
            ("p:70000", "found a bad port, "),
            ("http://[::1", "found "),
            ("http://u:secret%zz@p", "found a bad %-code in the user, "),
            ("u:secret@", "found no host, "),
        ] {
            let found = proxy_of(&[("https_proxy", value)], "https://r.example/");
            let expected = format!("cannot use the proxy of https_proxy: {cause}");
            assert!(found.starts_with(&expected) && !found.contains("secret"), "{value}: {found}");
            // What is not needed does no harm.
            assert_eq!(proxy_of(&[("https_proxy", value)], "https://localhost/"), "", "{value}");
            assert_eq!(proxy_of(&[("https_proxy", value), ("NO_PROXY", "r.example")], "https://r.example/"), "");
        }
        let found = proxies(&[("ALL_PROXY", "http://u%40x:a%3Ab+c@p")]);
        let user = found.of(&Url::parse("https://r.example/").unwrap()).unwrap().unwrap().user.clone();
        assert_eq!(user, Some(("u@x".to_owned(), "a:b+c".to_owned())));
        assert!(!format!("{found:?}").contains("a:b"), "{found:?}");
    }
}
