//! Says whether a text follows a grammar that the OCI image specification names.

/// A digest (descriptor.md, "Digests"): `algorithm ":" encoded`, and of the registered algorithms the right digits.
pub fn is_digest(text: &str) -> bool {
    let Some((algorithm, encoded)) = text.split_once(':') else { return false };
    let components = algorithm.split(['+', '.', '_', '-']);
    let is_lower = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let is_algorithm = components.into_iter().all(|part| !part.is_empty() && part.chars().all(is_lower));
    let is_encoded = !encoded.is_empty() && encoded.chars().all(|c| c.is_ascii_alphanumeric() || "=_-".contains(c));
    let hex = |length| encoded.len() == length && encoded.chars().all(|c| matches!(c, '0'..='9' | 'a'..='f'));
    let is_registered = match algorithm {
        "sha256" => hex(64),
        "sha512" => hex(128),
        _ => true,
    };
    is_algorithm && is_encoded && is_registered
}

/// A media type (RFC 6838, section 4.2): two restricted names with a slash between them.
pub fn is_media_type(text: &str) -> bool {
    let is_name = |name: &str| {
        (1..=127).contains(&name.len())
            && name.starts_with(|c: char| c.is_ascii_alphanumeric())
            && name.chars().all(|c| c.is_ascii_alphanumeric() || "!#$&-^_.+".contains(c))
    };
    text.split_once('/').is_some_and(|(kind, subtype)| is_name(kind) && is_name(subtype))
}

/// A URI (RFC 3986, section 3): a scheme, and behind the colon only characters that one may have.
pub fn is_uri(text: &str) -> bool {
    let Some((scheme, rest)) = text.split_once(':') else { return false };
    let is_scheme = scheme.starts_with(|c: char| c.is_ascii_alphabetic())
        && scheme.chars().all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c));
    is_scheme && rest.chars().all(|c| c.is_ascii_alphanumeric() || "-._~:/?#[]@!$&'()*+,;=%".contains(c))
}

/// A date and time (RFC 3339, section 5.6, `date-time`).
pub fn is_date_time(text: &str) -> bool {
    let bytes = text.as_bytes();
    let number = |from: usize, to: usize, most: u32| {
        let digits = text.get(from..to).filter(|it| it.bytes().all(|byte| byte.is_ascii_digit()));
        digits.and_then(|it| it.parse().ok()).filter(|number: &u32| *number <= most)
    };
    let at = |position: usize, expected: &[u8]| bytes.get(position).is_some_and(|byte| expected.contains(byte));
    let date = at(4, b"-") && at(7, b"-") && number(0, 4, 9999).is_some();
    let day = number(5, 7, 12).zip(number(8, 10, 31)).is_some_and(|(month, day)| month > 0 && day > 0);
    let time = at(10, b"Tt") && at(13, b":") && at(16, b":");
    let clock = number(11, 13, 23).is_some() && number(14, 16, 59).is_some() && number(17, 19, 60).is_some();
    if !(date && day && time && clock) {
        return false;
    }
    let mut end = 19;
    if at(19, b".") {
        end += 1 + bytes[20..].iter().take_while(|byte| byte.is_ascii_digit()).count();
        if end == 20 {
            return false;
        }
    }
    match &bytes[end..] {
        b"Z" | b"z" => true,
        [b'+' | b'-', _, _, b':', _, _] => {
            number(end + 1, end + 3, 23).is_some() && number(end + 4, end + 6, 59).is_some()
        }
        _ => false,
    }
}

/// A name in a layout (annotations.md, `org.opencontainers.image.ref.name`).
pub fn is_ref_name(text: &str) -> bool {
    text.split('/').all(|component| {
        let is_alphanumeric = |part: &str| !part.is_empty() && part.chars().all(|c| c.is_ascii_alphanumeric());
        component.replace("--", "-").split(['-', '.', '_', ':', '@', '+']).all(is_alphanumeric)
    })
}

/// Base 64 with padding (RFC 4648, section 4).
pub fn is_base64(text: &str) -> bool {
    let digits = text.trim_end_matches('=');
    text.len().is_multiple_of(4)
        && text.len() - digits.len() <= 2
        && digits.chars().all(|c| c.is_ascii_alphanumeric() || "+/".contains(c))
}
