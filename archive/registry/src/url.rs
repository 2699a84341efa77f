//! Parses URLs of registries, http and https without users in them; resolves relative references, encodes and decodes
//! %-codes (RFC 3986).

use std::fmt;
use std::net::IpAddr;

/// An address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Url {
    pub is_https: bool,
    /// Host, and port if there is one.
    pub authority: String,
    /// Path and query, with a slash at the front.
    target: String,
}

impl Url {
    pub(crate) fn new(is_https: bool, authority: &str, target: &str) -> Url {
        Url { is_https, authority: authority.to_owned(), target: target.to_owned() }
    }

    /// Reads an absolute address; none if it is no such one. What must not stand in an address as it is gets its %-code.
    pub(crate) fn parse(text: &str) -> Option<Url> {
        let (scheme, rest) = text.split_once("://")?;
        let is_https = match scheme.to_ascii_lowercase().as_str() {
            "https" => true,
            "http" => false,
            _ => return None,
        };
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (authority, target) = rest.split_at(end);
        let target = target.split('#').next().unwrap_or_default();
        let target = if target.starts_with('/') { target.to_owned() } else { format!("/{target}") };
        let is_valid = !authority.is_empty() && authority.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'@');
        let target =
            is_valid.then(|| coded(&target, |byte| byte.is_ascii_graphic() && !br#""<>\^`{|}"#.contains(&byte)))?;
        Some(Url { is_https, authority: authority.to_ascii_lowercase(), target })
    }

    /// Where a `Location` in the answer of this address leads (RFC 3986, section 5.2).
    pub(crate) fn join(&self, location: &str) -> Option<Url> {
        let location = location.trim().split('#').next().unwrap_or_default();
        if has_scheme(location) {
            return Url::parse(location);
        }
        let scheme = self.scheme();
        if let Some(rest) = location.strip_prefix("//") {
            return Url::parse(&format!("{scheme}://{rest}"));
        }
        let (base, base_query) =
            self.target.split_once('?').map_or((self.target.as_str(), None), |(a, b)| (a, Some(b)));
        let (path, query) = location.split_once('?').map_or((location, None), |(a, b)| (a, Some(b)));
        let (path, query) = match path {
            "" => (base.to_owned(), query.or(base_query)),
            path if path.starts_with('/') => (without_dots(path), query),
            path => (without_dots(&format!("{}{path}", &base[..=base.rfind('/').unwrap_or(0)])), query),
        };
        let query = query.map(|query| format!("?{query}")).unwrap_or_default();
        Url::parse(&format!("{scheme}://{}{path}{query}", self.authority))
    }

    /// With a parameter more in its query; `value` is encoded already.
    pub(crate) fn with(mut self, key: &str, value: &str) -> Url {
        let joint = if self.target.contains('?') { '&' } else { '?' };
        self.target = format!("{}{joint}{key}={value}", self.target);
        self
    }

    /// Whether it is the same server, by the same protocol.
    pub(crate) fn is_same_server(&self, other: &Url) -> bool {
        self.is_https == other.is_https && self.port() == other.port() && self.host() == other.host()
    }

    pub(crate) fn text(&self) -> String {
        format!("{}://{}{}", self.scheme(), self.authority, self.target)
    }

    /// Scheme, host and port, for messages.
    pub(crate) fn origin(&self) -> String {
        format!("{}://{}", self.scheme(), self.authority)
    }

    fn scheme(&self) -> &'static str {
        if self.is_https { "https" } else { "http" }
    }

    /// The host in small letters, an IPv6 address without its brackets.
    pub(crate) fn host(&self) -> String {
        let host = match split_port(&self.authority) {
            (host, Some(port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => host,
            _ => &self.authority,
        };
        in_brackets(host).unwrap_or(host).to_ascii_lowercase()
    }

    /// Whether it is this machine by its name or address, which no name server can change.
    pub(crate) fn is_loopback(&self) -> bool {
        let host = self.host();
        host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.to_canonical().is_loopback())
    }

    /// The port, by default that of the scheme.
    pub(crate) fn port(&self) -> u16 {
        let port = split_port(&self.authority).1.and_then(|port| port.parse().ok());
        port.unwrap_or(if self.is_https { 443 } else { 80 })
    }
}

/// For messages: without the query, which may let anyone in.
impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.target.split('?').next().unwrap_or_default();
        write!(f, "{}://{}{path}", self.scheme(), self.authority)
    }
}

/// Splits `HOST[:PORT]`; an IPv6 address has a port only behind its brackets.
pub(crate) fn split_port(text: &str) -> (&str, Option<&str>) {
    match text.rsplit_once(':') {
        Some((host, port)) if !host.contains(':') || host.ends_with(']') => (host, Some(port)),
        _ => (text, None),
    }
}

/// What is in the brackets of an IPv6 address.
pub(crate) fn in_brackets(host: &str) -> Option<&str> {
    host.strip_prefix('[')?.strip_suffix(']')
}

/// Whether a reference begins with a scheme (RFC 3986, section 3.1), and so is no relative one.
fn has_scheme(text: &str) -> bool {
    let Some((scheme, _)) = text.split_once(':') else { return false };
    let is_allowed = |c: char| c.is_ascii_alphanumeric() || "+-.".contains(c);
    scheme.starts_with(|c: char| c.is_ascii_alphabetic()) && scheme.chars().all(is_allowed)
}

/// A path without `.` and `..` (RFC 3986, section 5.2.4).
fn without_dots(path: &str) -> String {
    let mut kept: Vec<&str> = Vec::new();
    for segment in path.split('/').skip(1) {
        match segment {
            "." => {}
            ".." => drop(kept.pop()),
            segment => kept.push(segment),
        }
    }
    if path.ends_with("/.") || path.ends_with("/..") {
        kept.push("");
    }
    format!("/{}", kept.join("/"))
}

/// A text as a part of a query (RFC 3986, section 2.3).
pub(crate) fn encode(text: &str) -> String {
    coded(text, |byte| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte))
}

/// With a %-code for each byte that may not stay as it is.
fn coded(text: &str, stays: impl Fn(u8) -> bool) -> String {
    let byte = |byte: u8| if stays(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") };
    text.bytes().map(byte).collect()
}

/// A text with its %-codes decoded; none if one is malformed, or if they are no text together.
pub(crate) fn decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'%' => {
                let mut digit = || rest.next().and_then(|byte| char::from(byte).to_digit(16));
                u8::try_from(digit()? << 4 | digit()?).ok()?
            }
            byte => byte,
        });
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parse_and_join() {
        let url = Url::parse("HTTPS://Example.com:5000/v2/a?x=1#y").unwrap();
        assert_eq!(
            (url.to_string(), url.text()),
            ("https://example.com:5000/v2/a".into(), "https://example.com:5000/v2/a?x=1".into())
        );
        for (location, expected) in [
            ("/b?c", "https://example.com:5000/b?c"),
            ("b", "https://example.com:5000/v2/b"),
            ("//other/b", "https://other/b"),
            ("http://other", "http://other/"),
            ("HTTP://other?q", "http://other/?q"),
            ("?y=2", "https://example.com:5000/v2/a?y=2"),
            ("", "https://example.com:5000/v2/a?x=1"),
            ("#z", "https://example.com:5000/v2/a?x=1"),
            ("/b?src=https://bucket/y", "https://example.com:5000/b?src=https://bucket/y"),
            ("b?src=https://bucket/y", "https://example.com:5000/v2/b?src=https://bucket/y"),
            ("?src=https://bucket/y", "https://example.com:5000/v2/a?src=https://bucket/y"),
            ("/b://c", "https://example.com:5000/b://c"),
            (" /b ", "https://example.com:5000/b"),
            ("/b c?d e", "https://example.com:5000/b%20c?d%20e"),
            ("/b%2fc?d={é}", "https://example.com:5000/b%2fc?d=%7B%C3%A9%7D"),
        ] {
            assert_eq!(url.join(location).unwrap().text(), expected, "{location}");
        }
        for bad in ["ftp://x/", "https://", "https://user:pass@x/", "https://x y/", "x", "http:/x", "mailto:x"] {
            assert_eq!(Url::parse(bad), None, "{bad}");
        }
        for bad in ["ftp://x/", "https://user:pass@x/", "http:/x", "http:", "//", "mailto:x", "localhost:5000/x"] {
            assert_eq!(url.join(bad), None, "{bad}");
        }
    }

    /// The examples of RFC 3986, section 5.4, as far as they have to do with http.
    #[test]
    fn references() {
        let base = Url::parse("http://a/b/c/d;p?q").unwrap();
        for (reference, expected) in [
            ("g", "/b/c/g"),
            ("./g", "/b/c/g"),
            ("g/", "/b/c/g/"),
            ("/g", "/g"),
            ("?y", "/b/c/d;p?y"),
            ("g?y", "/b/c/g?y"),
            ("g?y#s", "/b/c/g?y"),
            (";x", "/b/c/;x"),
            ("", "/b/c/d;p?q"),
            (".", "/b/c/"),
            ("./", "/b/c/"),
            ("..", "/b/"),
            ("../", "/b/"),
            ("../g", "/b/g"),
            ("../..", "/"),
            ("../../g", "/g"),
            ("../../../g", "/g"),
            ("/./g", "/g"),
            ("/../g", "/g"),
            ("g.", "/b/c/g."),
            ("..g", "/b/c/..g"),
            ("./g/.", "/b/c/g/"),
            ("g/./h", "/b/c/g/h"),
            ("g/../h", "/b/c/h"),
            ("g?y/../x", "/b/c/g?y/../x"),
        ] {
            assert_eq!(base.join(reference).unwrap().text(), format!("http://a{expected}"), "{reference}");
        }
    }

    #[test]
    fn codes() {
        for (text, expected) in [
            ("a", Some("a")),
            ("sha256%3Aab", Some("sha256:ab")),
            ("sha256%3aab", Some("sha256:ab")),
            ("a%2Fb%25", Some("a/b%")),
            ("%C3%A9", Some("é")),
            ("%C3", None),
            ("a%", None),
            ("a%2", None),
            ("a%zz", None),
            ("a%+1", None),
        ] {
            assert_eq!(decode(text).as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn same_place() {
        let same = |a: &str, b: &str| Url::parse(a).unwrap().is_same_server(&Url::parse(b).unwrap());
        assert!(same("https://a/x", "https://a:443/y"));
        assert!(same("http://[::1]:80/", "http://[::1]/"));
        assert!(!same("https://a/", "http://a:443/"));
        assert!(!same("http://a:1/", "http://a:2/"));
        assert!(!same("http://a/", "http://b/"));
        assert!(same("http://A/", "http://a/"));
    }

    #[test]
    fn queries() {
        let url = Url::parse("http://a/b").unwrap().with("x", &encode("a:b/c d")).with("y", "1");
        assert_eq!(url.text(), "http://a/b?x=a%3Ab%2Fc%20d&y=1");
    }
}
