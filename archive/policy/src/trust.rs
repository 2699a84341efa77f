//! The trust part of a policy: who must have signed which images, and what must be stated about them by whom.
//!
//! It is compared with what keys have verified already ([`TrustFacts`]). Does not know keys, files or registries.

use crate::Finding;
use glob::{MatchOptions, Pattern};
use layerstone_store::Digest;
use serde::Deserialize;
use std::collections::BTreeMap;

/// `*` stays within a component of a name, `**` does not.
const OF_NAMES: MatchOptions =
    MatchOptions { case_sensitive: true, require_literal_separator: true, require_literal_leading_dot: false };

/// Whom to trust.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct TrustPolicy {
    /// Public keys by the names that rules have for them: each is a PEM text, or a file, from the policy's directory on.
    pub keys: BTreeMap<String, String>,
    /// Rules for images. All whose pattern matches hold; an image that none matches is not trusted.
    pub images: Vec<TrustRule>,
}

/// What must be so of images.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TrustRule {
    /// A pattern of the names of images, `HOST/NAME`, without a tag; left out, it is for all.
    #[serde(default = "all", rename = "match")]
    pub pattern: String,
    /// One of these keys must have signed the image.
    #[serde(default)]
    pub signed_by: Vec<String>,
    /// Statements that must be there.
    #[serde(default)]
    pub attestations: Vec<RequiredAttestation>,
    /// Digests, one of which it must have; empty allows all.
    #[serde(default)]
    pub digests: Vec<Digest>,
}

/// A statement that must be there.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RequiredAttestation {
    /// The type of its predicate: a word or an address.
    #[serde(rename = "type")]
    pub kind: String,
    /// One of these keys must have signed it.
    pub signed_by: Vec<String>,
}

/// What keys of the policy have verified about an image.
#[derive(Clone, Debug, Default)]
pub struct TrustFacts {
    /// What it is called, `HOST/NAME` in full; empty if it has no name.
    pub name: String,
    /// Its digest, and that of the index that lists it.
    pub digests: Vec<Digest>,
    /// What is signed.
    pub signed: Vec<SignedFact>,
    /// What proves nothing, in a phrase; empty if there is nothing.
    pub doubts: String,
}

/// Something that is signed about an image.
#[derive(Clone, Debug)]
pub struct SignedFact {
    /// The names of the keys that signed it.
    pub keys: Vec<String>,
    /// The type of its predicate; none for a signature of the image itself.
    pub predicate: Option<String>,
}

fn all() -> String {
    "**".to_owned()
}

impl TrustPolicy {
    /// Whether it says anything.
    pub fn is_empty(&self) -> bool {
        self.images.is_empty()
    }

    /// Says which value is none.
    pub(crate) fn validate(&self) -> Result<(), String> {
        if self.images.is_empty() && !self.keys.is_empty() {
            return Err("trust.images: found no rule, expected one that names the keys".to_owned());
        }
        self.images.iter().try_for_each(|rule| {
            Pattern::new(&rule.pattern).map_err(|error| format!("trust.images: match: {:?}: {error}", rule.pattern))?;
            if rule.signed_by.is_empty() && rule.attestations.is_empty() && rule.digests.is_empty() {
                let pattern = &rule.pattern;
                return Err(format!("trust.images: {pattern}: expected signedBy, attestations or digests"));
            }
            let stated = rule.attestations.iter().map(|it| (&it.signed_by, &*it.kind));
            stated.clone().try_for_each(|(keys, kind)| {
                layerstone_attestation::parse_predicate_type(kind).map_err(|error| format!("trust.images: {error}"))?;
                if keys.is_empty() { Err(format!("trust.images: {kind}: signedBy: expected a key")) } else { Ok(()) }
            })?;
            let keys = rule.signed_by.iter().chain(stated.flat_map(|(keys, _)| keys));
            keys.into_iter().try_for_each(|key| match self.keys.contains_key(key) {
                true => Ok(()),
                false => Err(format!("trust.images: signedBy: found {key:?}, expected the name of one of trust.keys")),
            })
        })
    }

    /// What is wrong with an image, rule by rule.
    pub fn check(&self, facts: &TrustFacts) -> Vec<Finding> {
        let matches = |rule: &&TrustRule| {
            Pattern::new(&rule.pattern).is_ok_and(|pattern| pattern.matches_with(&facts.name, OF_NAMES))
        };
        let mut findings = Vec::new();
        let mut rules = self.images.iter().filter(matches).peekable();
        if !self.images.is_empty() && rules.peek().is_none() {
            let name = if facts.name.is_empty() { "an image without a name" } else { &facts.name };
            let message = format!("found no rule for {name}");
            findings.push(Finding::new("trust.images", message, "a rule whose match is \"**\" is for all images"));
        }
        for rule in rules {
            rule.check(facts, &mut findings);
        }
        findings
    }
}

impl TrustRule {
    fn check(&self, facts: &TrustFacts, findings: &mut Vec<Finding>) {
        if !self.digests.is_empty() && !self.digests.iter().any(|digest| facts.digests.contains(digest)) {
            let found = facts.digests.first().map_or("none".to_owned(), Digest::to_string);
            let message = format!("found the digest {found}, expected one of {}", self.digests.len());
            findings.push(Finding::new("trust.digests", message, "add it to the policy once you trust it"));
        }
        if !self.signed_by.is_empty() && !facts.has(None, &self.signed_by) {
            let message = format!("found no signature by {}{}", self.signed_by.join(" or "), facts.doubts);
            findings.push(Finding::new("trust.signedBy", message, "`layerstone sign IMAGE --key FILE` signs it"));
        }
        for RequiredAttestation { kind, signed_by } in &self.attestations {
            let address = layerstone_attestation::parse_predicate_type(kind).unwrap_or_default();
            if !facts.has(Some(&address), signed_by) {
                let message = format!("found no statement {kind} signed by {}{}", signed_by.join(" or "), facts.doubts);
                let hint = format!("`layerstone sign IMAGE --key FILE --attest FILE --type {kind}` signs one");
                findings.push(Finding::new("trust.attestations", message, hint));
            }
        }
    }
}

impl TrustFacts {
    /// Whether one of these keys signed something of this type.
    fn has(&self, predicate: Option<&str>, keys: &[String]) -> bool {
        let mut signed = self.signed.iter().filter(|it| it.predicate.as_deref() == predicate);
        signed.any(|it| it.keys.iter().any(|key| keys.contains(key)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Policy;
    use serde_json::{Value, json};

    fn facts() -> TrustFacts {
        let signed = |key: &str, predicate: Option<&str>| SignedFact {
            keys: vec![key.to_owned()],
            predicate: predicate.map(str::to_owned),
        };
        TrustFacts {
            name: "r.example/team/web".to_owned(),
            digests: vec![Digest::of(b"image"), Digest::of(b"index")],
            signed: vec![signed("release", None), signed("ci", Some("https://spdx.dev/Document"))],
            doubts: String::new(),
        }
    }

    fn policy(images: &Value) -> Result<Policy, String> {
        let trust = json!({"keys": {"release": "release.pub", "ci": "ci.pub"}, "images": images});
        Policy::parse(json!({"trust": trust}).to_string().as_bytes(), "p").map_err(|e| e.to_string())
    }

    #[track_caller]
    fn check(images: Value, expected: &[&str]) {
        let findings = policy(&images).unwrap().trust.check(&facts());
        assert_eq!(findings.iter().map(|it| it.rule).collect::<Vec<_>>(), expected, "{findings:#?}");
    }

    #[test]
    fn rules() {
        let spdx = |key: &str| json!([{"type": "spdxjson", "signedBy": [key]}]);
        check(json!([{"signedBy": ["release"]}]), &[]);
        check(json!([{"signedBy": ["ci"]}]), &["trust.signedBy"]);
        check(json!([{"signedBy": ["ci", "release"], "attestations": spdx("ci")}]), &[]);
        check(json!([{"attestations": spdx("release")}]), &["trust.attestations"]);
        check(json!([{"digests": [Digest::of(b"index")]}]), &[]);
        check(json!([{"digests": [Digest::of(b"other")]}]), &["trust.digests"]);
        // All that match hold, and one must match.
        check(json!([{"match": "r.example/**", "signedBy": ["release"]}, {"signedBy": ["ci"]}]), &["trust.signedBy"]);
        check(json!([{"match": "r.example/*", "signedBy": ["release"]}]), &["trust.images"]);
        check(json!([{"match": "r.example/team/*", "signedBy": ["release"]}]), &[]);
    }

    #[test]
    fn what_is_no_rule() {
        for (images, expected) in [
            (json!([]), "trust.images: found no rule"),
            (json!([{}]), "trust.images: **: expected signedBy, attestations or digests"),
            (
                json!([{"signedBy": ["x"]}]),
                "trust.images: signedBy: found \"x\", expected the name of one of trust.keys",
            ),
            (json!([{"match": "[", "signedBy": ["ci"]}]), "trust.images: match: \"[\""),
            (json!([{"attestations": [{"type": "SBOM", "signedBy": ["ci"]}]}]), "not a type of predicate: \"SBOM\""),
            (
                json!([{"attestations": [{"type": "spdx", "signedBy": []}]}]),
                "trust.images: spdx: signedBy: expected a key",
            ),
            (json!([{"signedby": ["ci"]}]), "unknown field `signedby`"),
        ] {
            let told = policy(&images).unwrap_err();
            assert!(told.contains(expected), "{told}");
        }
    }

    /// Of two keys with the same name neither counts, wherever in the policy it is.
    #[test]
    fn a_key_twice() {
        let images = r#""images": [{"signedBy": ["release"]}]"#;
        for (policy, key) in [
            (format!(r#"{{"trust": {{"keys": {{"release": "a.pub", "release": "b.pub"}}, {images}}}}}"#), "release"),
            (r#"{"config": {"labels": {"a": "1", "a": "2"}}}"#.to_owned(), "a"),
        ] {
            let told = Policy::parse(policy.as_bytes(), "p").unwrap_err().to_string();
            assert!(told.contains(&format!("p: found the key {key:?} twice at line 1")), "{told}");
        }
    }
}
