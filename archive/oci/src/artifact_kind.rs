//! Words for the media types that are attached to images most, and what in-toto calls what they state.

/// What a file that is attached to an image may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ArtifactKind {
    /// The word for it.
    pub word: &'static str,
    /// Its media type.
    pub media_type: &'static str,
    /// The type of the predicate of a statement about an image that it is the predicate of (in-toto's attestation
    /// framework, spec/predicates); none of what is a statement itself.
    pub predicate: Option<&'static str>,
}

/// The media type of a statement of in-toto.
pub const IN_TOTO: &str = "application/vnd.in-toto+json";
/// Annotation of a statement: the type of its predicate (BuildKit, attestation-storage.md).
pub const PREDICATE_TYPE: &str = "in-toto.io/predicate-type";

const fn kind(word: &'static str, media_type: &'static str, predicate: &'static str) -> ArtifactKind {
    ArtifactKind { word, media_type, predicate: Some(predicate) }
}

/// All kinds that have a word.
pub const ARTIFACT_KINDS: [ArtifactKind; 6] = [
    // IANA's registry of media types.
    kind("spdx", "application/spdx+json", "https://spdx.dev/Document"),
    kind("cyclonedx", "application/vnd.cyclonedx+json", "https://cyclonedx.org/bom"),
    // SLSA's provenance is a statement.
    ArtifactKind { word: "provenance", media_type: IN_TOTO, predicate: None },
    ArtifactKind { word: "in-toto", media_type: IN_TOTO, predicate: None },
    kind("vex", "application/vnd.openvex+json", "https://openvex.dev/ns"),
    // Reports of scanners (OASIS, SARIF 2.1.0).
    kind("sarif", "application/sarif+json", "https://docs.oasis-open.org/sarif/sarif/v2.1.0"),
];

/// A text that is neither a word nor a media type.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a media type: {text:?}: expected TYPE/SUBTYPE or one of {words}")]
pub struct InvalidKind {
    /// The text.
    pub text: String,
    /// The words, separated by commas.
    pub words: String,
}

/// The media type that a word stands for, or that a text is (RFC 6838, section 4.2).
///
/// # Errors
///
/// It is neither.
pub fn parse_media_type(text: &str) -> Result<String, InvalidKind> {
    if let Some(kind) = ARTIFACT_KINDS.iter().find(|kind| kind.word == text) {
        return Ok(kind.media_type.to_owned());
    }
    let is_name = |name: &str| {
        let fits = |c: char| c.is_ascii_alphanumeric() || "!#$&-^_.+".contains(c);
        (1..=127).contains(&name.len())
            && name.starts_with(|c: char| c.is_ascii_alphanumeric())
            && name.chars().all(fits)
    };
    match text.split_once('/') {
        Some((kind, subtype)) if is_name(kind) && is_name(subtype) => Ok(text.to_owned()),
        _ => {
            let words: Vec<&str> = ARTIFACT_KINDS.iter().map(|kind| kind.word).collect();
            Err(InvalidKind { text: text.to_owned(), words: words.join(", ") })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_and_media_types() {
        for (text, expected) in [
            ("spdx", Some("application/spdx+json")),
            ("provenance", Some("application/vnd.in-toto+json")),
            ("application/vnd.example.sbom.v1+json", Some("application/vnd.example.sbom.v1+json")),
            ("text/plain", Some("text/plain")),
            ("SPDX", None),
            ("sbom", None),
            ("", None),
            ("a/", None),
            ("a/b/c", None),
            ("text/plain; charset=utf-8", None),
            ("a/b\n", None),
        ] {
            assert_eq!(parse_media_type(text).ok().as_deref(), expected, "{text:?}");
        }
        let error = parse_media_type("sbom").unwrap_err().to_string();
        let words = "spdx, cyclonedx, provenance, in-toto, vex, sarif";
        assert_eq!(error, format!("not a media type: \"sbom\": expected TYPE/SUBTYPE or one of {words}"));
    }
}
