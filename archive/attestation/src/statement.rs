//! Statements of in-toto (attestation spec, v1, statement.md): a predicate about subjects, which are named by digests.

use crate::{Error, Result};
use layerstone_store::{Digest, Limits};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;

/// What a statement says that it is.
pub const IN_TOTO_STATEMENT: &str = "https://in-toto.io/Statement/v1";
/// The same in the version before, which BuildKit and cosign write.
const IN_TOTO_STATEMENT_OLD: &str = "https://in-toto.io/Statement/v0.1";

/// What is said, and of what.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Statement {
    /// The version of the form.
    #[serde(rename = "_type")]
    pub kind: String,
    /// What it is about.
    pub subject: Vec<Subject>,
    /// What the predicate is, an address.
    pub predicate_type: String,
    /// What is said.
    #[serde(default)]
    pub predicate: Value,
}

/// What a statement is about.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct Subject {
    /// What it is called, if it is.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// Its digests, each by its algorithm, in hex digits.
    pub digest: BTreeMap<String, String>,
}

impl Subject {
    /// An image, by the digest of its manifest or index.
    pub fn image(name: impl Into<String>, digest: &Digest) -> Subject {
        Subject { name: name.into(), digest: [("sha256".to_owned(), digest.hex())].into() }
    }

    /// Whether it has this digest.
    pub fn is(&self, digest: &Digest) -> bool {
        self.digest.get("sha256").is_some_and(|hex| *hex == digest.hex())
    }
}

impl Statement {
    /// A statement about these subjects.
    pub fn new(subject: Vec<Subject>, predicate_type: impl Into<String>, predicate: Value) -> Statement {
        Statement { kind: IN_TOTO_STATEMENT.to_owned(), subject, predicate_type: predicate_type.into(), predicate }
    }

    /// The statement that bytes, called so, are.
    ///
    /// # Errors
    ///
    /// The bytes are no JSON, more or deeper than the limits allow, or no statement.
    pub fn parse(bytes: &[u8], name: &str, limits: &Limits) -> Result<Statement> {
        let wrong =
            |cause: String| Error::Malformed { expected: "a statement of in-toto", name: name.to_owned(), cause };
        limits.check_json(bytes).map_err(|exceeded| wrong(exceeded.to_string()))?;
        let statement: Statement = serde_json::from_slice(bytes).map_err(|e| wrong(e.to_string()))?;
        if ![IN_TOTO_STATEMENT, IN_TOTO_STATEMENT_OLD].contains(&&*statement.kind) {
            let found = statement.kind.escape_debug();
            return Err(wrong(format!("found _type {found}, expected {IN_TOTO_STATEMENT}")));
        }
        Ok(statement)
    }

    /// Its bytes: the same for the same statement.
    pub fn to_bytes(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("texts and values are JSON")
    }

    /// Whether it is about what has this digest.
    pub fn is_about(&self, digest: &Digest) -> bool {
        self.subject.iter().any(|subject| subject.is(digest))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn digest() -> Digest {
        Digest::of(b"manifest")
    }

    #[test]
    fn what_is_written_is_read_the_same() {
        let subject = vec![Subject::image("web", &digest())];
        let statement = Statement::new(subject, "https://slsa.dev/provenance/v1", json!({"b": 1, "a": [2.5, null]}));
        let bytes = statement.to_bytes();
        assert!(bytes.starts_with(br#"{"_type":"https://in-toto.io/Statement/v1","subject":[{"name":"web","digest":"#));
        let read = Statement::parse(&bytes, "it", &Limits::default()).unwrap();
        assert_eq!(read, statement);
        assert_eq!(read.to_bytes(), bytes);
        assert!(read.is_about(&digest()) && !read.is_about(&Digest::of(b"other")));
        for end in 0..bytes.len() {
            Statement::parse(&bytes[..end], "it", &Limits::default()).unwrap_err();
        }
    }

    #[test]
    fn what_is_no_statement_is_an_error() {
        let parse = |text: &str| Statement::parse(text.as_bytes(), "it", &Limits::default()).unwrap_err().to_string();
        assert_eq!(
            parse(r#"{"_type": "a\n", "subject": [], "predicateType": ""}"#),
            "not a statement of in-toto: it: found _type a\\n, expected https://in-toto.io/Statement/v1"
        );
        assert!(parse("[]").contains("invalid"));
        assert!(parse(&"[".repeat(1 << 20)).starts_with("not a statement of in-toto: it: "));
    }
}
