//! Parses the challenges of `WWW-Authenticate` (RFC 9110, section 11.6.1; distribution, token.md).

/// How a client may authenticate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Challenge {
    /// A name and a password (RFC 7617).
    Basic,
    /// A token from a server (RFC 6750).
    Bearer { realm: String, service: Option<String> },
}

/// The challenges of a header; unknown schemes are passed over.
pub(crate) fn parse(header: &str) -> Vec<Challenge> {
    let mut challenges = Vec::new();
    let mut rest = header.trim();
    while !rest.is_empty() {
        let end = rest.find([' ', ',']).unwrap_or(rest.len());
        let scheme = rest[..end].to_ascii_lowercase();
        rest = rest[end..].trim_start();
        let mut parameters = Vec::new();
        while let Some((key, value, left)) = parameter(rest) {
            parameters.push((key, value));
            rest = left.trim_start();
            match rest.strip_prefix(',') {
                Some(left) => rest = left.trim_start(),
                None => break,
            }
        }
        let get = |name: &str| parameters.iter().find(|(key, _)| key == name).map(|(_, value)| value.clone());
        match (scheme.as_str(), get("realm")) {
            ("basic", _) => challenges.push(Challenge::Basic),
            ("bearer", Some(realm)) => challenges.push(Challenge::Bearer { realm, service: get("service") }),
            _ => {}
        }
        if end == 0 {
            // A comma that belongs to nothing.
            rest = rest.get(1..).unwrap_or_default().trim_start();
        }
    }
    challenges
}

/// What challenges want, for the log.
pub(crate) fn names(challenges: &[Challenge]) -> &'static str {
    match challenges.first() {
        Some(Challenge::Basic) => "a password",
        Some(Challenge::Bearer { .. }) => "a token",
        None => "nothing",
    }
}

/// `key=value` or `key="value"` at the front, and what follows.
fn parameter(text: &str) -> Option<(String, String, &str)> {
    let (key, rest) = text.split_once('=')?;
    let is_token = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
    if key.is_empty() || !key.chars().all(is_token) {
        return None;
    }
    let key = key.to_ascii_lowercase();
    let Some(quoted) = rest.strip_prefix('"') else {
        let end = rest.find([',', ' ']).unwrap_or(rest.len());
        return Some((key, rest[..end].to_owned(), &rest[end..]));
    };
    let mut value = String::new();
    let mut chars = quoted.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return Some((key, value, &quoted[at + 1..])),
            '\\' => value.extend(chars.next().map(|(_, c)| c)),
            c => value.push(c),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bearer(realm: &str, service: Option<&str>) -> Challenge {
        Challenge::Bearer { realm: realm.to_owned(), service: service.map(str::to_owned) }
    }

    #[test]
    fn headers() {
        for (header, expected) in [
            ("Basic realm=\"x\"", vec![Challenge::Basic]),
            ("basic", vec![Challenge::Basic]),
            (
                "Bearer realm=\"https://a/t\",service=\"s\",scope=\"repository:a/b:pull,push\"",
                vec![bearer("https://a/t", Some("s"))],
            ),
            ("Bearer realm=https://a/t , service=s", vec![bearer("https://a/t", Some("s"))]),
            ("Negotiate abc==, Basic realm=x, Bearer realm=\"y\\\"z\"", vec![Challenge::Basic, bearer("y\"z", None)]),
            ("Bearer service=\"no realm\"", vec![]),
            ("", vec![]),
            (",,", vec![]),
            ("Bearer realm=\"never ends", vec![]),
        ] {
            assert_eq!(parse(header), expected, "{header}");
        }
    }

    #[test]
    fn anything_ends() {
        let pieces = ["Basic", "Bearer", "realm", "=", "\"", ",", " ", "\\", "x"];
        for seed in 0..20_000usize {
            let text: String = (0..8).map(|index| pieces[seed / 9usize.pow(index % 5) % 9]).collect();
            parse(&text);
        }
    }
}
