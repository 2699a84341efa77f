//! Addresses of registries: http and https alone, without users in them.

use std::fmt;

/// An address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Url {
    pub is_https: bool,
    /// Host, and port where it is told.
    pub authority: String,
    /// Path and query, with a slash at the front.
    target: String,
}

impl Url {
    pub(crate) fn new(is_https: bool, authority: &str, target: &str) -> Url {
        Url { is_https, authority: authority.to_owned(), target: target.to_owned() }
    }

    /// Reads a whole address; none if it is no such one.
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
        let is_good = |text: &str| !text.bytes().any(|byte| byte <= b' ' || byte == 0x7f || byte >= 0x80);
        let is_whole = !authority.is_empty() && !authority.contains('@') && is_good(authority) && is_good(&target);
        is_whole.then(|| Url { is_https, authority: authority.to_ascii_lowercase(), target })
    }

    /// Where a `Location` in the answer of this address leads (RFC 3986, section 5.2, without dots in paths).
    pub(crate) fn join(&self, location: &str) -> Option<Url> {
        if location.contains("://") {
            return Url::parse(location);
        }
        let scheme = if self.is_https { "https" } else { "http" };
        let whole = match location {
            location if location.starts_with("//") => format!("{scheme}:{location}"),
            location if location.starts_with('/') => format!("{scheme}://{}{location}", self.authority),
            location => {
                let path = self.target.split('?').next().unwrap_or_default();
                let folder = &path[..=path.rfind('/').unwrap_or(0)];
                format!("{scheme}://{}{folder}{location}", self.authority)
            }
        };
        Url::parse(&whole)
    }

    /// With a parameter more in its query; `value` is encoded already.
    pub(crate) fn with(mut self, key: &str, value: &str) -> Url {
        let joint = if self.target.contains('?') { '&' } else { '?' };
        self.target = format!("{}{joint}{key}={value}", self.target);
        self
    }

    /// Whether it is the same server, by the same protocol.
    pub(crate) fn is_same_place(&self, other: &Url) -> bool {
        self.is_https == other.is_https && self.port() == other.port() && self.host() == other.host()
    }

    pub(crate) fn text(&self) -> String {
        format!("{}://{}{}", self.scheme(), self.authority, self.target)
    }

    fn scheme(&self) -> &'static str {
        if self.is_https { "https" } else { "http" }
    }

    fn host(&self) -> &str {
        match self.authority.rsplit_once(':') {
            Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => host,
            _ => &self.authority,
        }
    }

    fn port(&self) -> u16 {
        let told = self.authority.rsplit_once(':').and_then(|(_, port)| port.parse().ok());
        told.unwrap_or(if self.is_https { 443 } else { 80 })
    }
}

/// For messages: without the query, which may let anyone in.
impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.target.split('?').next().unwrap_or_default();
        write!(f, "{}://{}{path}", self.scheme(), self.authority)
    }
}

/// A text as a part of a query (RFC 3986, section 2.3).
pub(crate) fn encode(text: &str) -> String {
    let byte = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => char::from(byte).to_string(),
        byte => format!("%{byte:02X}"),
    };
    text.bytes().map(byte).collect()
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
            ("http://other?q", "http://other/?q"),
        ] {
            assert_eq!(url.join(location).unwrap().text(), expected);
        }
        for bad in ["ftp://x/", "https://", "https://user:pass@x/", "https://x/a b", "x", "https://x/\n"] {
            assert_eq!(Url::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn same_place() {
        let same = |a: &str, b: &str| Url::parse(a).unwrap().is_same_place(&Url::parse(b).unwrap());
        assert!(same("https://a/x", "https://a:443/y"));
        assert!(same("http://[::1]:80/", "http://[::1]/"));
        assert!(!same("https://a/", "http://a:443/"));
        assert!(!same("http://a:1/", "http://a:2/"));
        assert!(!same("http://a/", "http://b/"));
    }

    #[test]
    fn queries() {
        let url = Url::parse("http://a/b").unwrap().with("x", &encode("a:b/c d")).with("y", "1");
        assert_eq!(url.text(), "http://a/b?x=a%3Ab%2Fc%20d&y=1");
    }
}
