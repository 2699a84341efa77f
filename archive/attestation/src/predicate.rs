//! Words for the types of predicates, as `cosign attest --type` has them, and ours.

/// Words, and the type that each stands for (cosign, pkg/cosign/attestation; in-toto/attestation, spec/predicates).
const WORDS: [(&str, &str); 13] = [
    ("spdx", "https://spdx.dev/Document"),
    ("spdxjson", "https://spdx.dev/Document"),
    ("cyclonedx", "https://cyclonedx.org/bom"),
    ("provenance", "https://slsa.dev/provenance/v1"),
    ("slsaprovenance1", "https://slsa.dev/provenance/v1"),
    ("slsaprovenance", "https://slsa.dev/provenance/v0.2"),
    ("slsaprovenance02", "https://slsa.dev/provenance/v0.2"),
    ("link", "https://in-toto.io/Link/v1"),
    ("vuln", "https://cosign.sigstore.dev/attestation/vuln/v1"),
    ("openvex", "https://openvex.dev/ns"),
    ("vex", "https://openvex.dev/ns"),
    ("sarif", "https://docs.oasis-open.org/sarif/sarif/v2.1.0"),
    ("custom", "https://cosign.sigstore.dev/attestation/v1"),
];

/// A text that is no type of predicate.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a type of predicate: {text:?}: expected an address or one of {}", WORDS.map(|(word, _)| word).join(", "))]
#[non_exhaustive]
pub struct NotAPredicateType {
    /// The text.
    pub text: String,
}

/// The type of predicate that a word stands for, or that a text is: an address.
///
/// # Errors
///
/// It is neither.
pub fn parse_predicate_type(text: &str) -> Result<String, NotAPredicateType> {
    if let Some((_, address)) = WORDS.iter().find(|(word, _)| *word == text) {
        return Ok((*address).to_owned());
    }
    let is_address = (text.contains("://") || text.starts_with("urn:")) && !text.contains(char::is_whitespace);
    if is_address && !text.contains(char::is_control) {
        return Ok(text.to_owned());
    }
    Err(NotAPredicateType { text: text.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_and_addresses() {
        for (text, expected) in [
            ("spdxjson", Some("https://spdx.dev/Document")),
            ("https://example.com/x/v1", Some("https://example.com/x/v1")),
            ("urn:x:y", Some("urn:x:y")),
            ("https://a b", None),
            ("SPDX", None),
            ("", None),
        ] {
            assert_eq!(parse_predicate_type(text).ok().as_deref(), expected, "{text:?}");
        }
    }
}
