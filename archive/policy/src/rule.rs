//! Compares facts with the rules of a policy.

mod config;
mod files;
mod licenses;
mod packages;
mod signatures;
mod size;

use crate::{Facts, Finding, Policy};
use glob::{MatchOptions, Pattern};

/// Paths: `*` does not match a slash, `**` does.
const OF_PATHS: MatchOptions =
    MatchOptions { case_sensitive: true, require_literal_separator: true, require_literal_leading_dot: false };

/// Says which key of a policy has a value that is none.
pub(crate) fn validate(policy: &Policy) -> Result<(), String> {
    packages::validate(&policy.packages)?;
    files::validate(&policy.files)?;
    config::validate(&policy.config)?;
    signatures::validate(&policy.signatures)?;
    policy.trust.validate()
}

pub(crate) fn check(policy: &Policy, facts: &Facts) -> Vec<Finding> {
    let mut findings = size::check(&policy.size, facts);
    findings.extend(packages::check(&policy.packages, facts));
    findings.extend(files::check(&policy.files, facts));
    findings.extend(config::check(policy, facts));
    findings.extend(licenses::check(&policy.licenses, facts));
    findings.extend(signatures::check(&policy.signatures, facts));
    findings
}

/// Patterns that `validate` has checked.
fn patterns(texts: &[String]) -> Vec<Pattern> {
    texts.iter().filter_map(|text| Pattern::new(text).ok()).collect()
}

fn validate_patterns(key: &str, texts: &[String]) -> Result<(), String> {
    texts.iter().try_for_each(|text| match Pattern::new(text) {
        Ok(_) => Ok(()),
        Err(error) => Err(format!("{key}: {text:?}: {error}")),
    })
}

/// A number of bytes as people read it: decimal, as docker's.
fn shown(bytes: u64) -> String {
    const UNITS: [(u64, &str); 3] = [(1_000_000_000, "GB"), (1_000_000, "MB"), (1_000, "kB")];
    let unit = UNITS.iter().find(|(unit, _)| bytes >= *unit);
    unit.map_or_else(
        || format!("{bytes} B"),
        |(unit, name)| format!("{}.{} {name}", bytes / unit, bytes % unit * 10 / unit),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{FileFact, FileKind, LayerFact};
    use layerstone_closure::{Closure, PathInfo};
    use layerstone_sbom::{Bill, MetaFile, Subject};
    use layerstone_store::{Digest, StorePath};
    use serde_json::json;

    pub(super) fn path(name: &str) -> StorePath {
        StorePath::parse(&format!("/nix/store/{}-{name}", "0".repeat(32))).unwrap()
    }

    /// An image of an app that needs openssl and, by way of that, gcc.
    pub(super) fn facts() -> Facts {
        let info = |name: &str, references: &[&str]| PathInfo {
            path: path(name),
            nar_hash: None,
            nar_size: None,
            references: references.iter().map(|name| path(name)).collect(),
        };
        let graph =
            vec![info("app", &["openssl-3.0-dev"]), info("gcc-13.2", &[]), info("openssl-3.0-dev", &["gcc-13.2"])];
        let mut bill =
            Bill::of(Subject::image("app", None, None, Digest::of(b"")), &Closure { graph }, "1970-01-01T00:00:01Z");
        let meta = json!({"paths": {path("gcc-13.2").as_str(): {"licenses": [{"spdxId": "GPL-3.0-or-later"}]}}});
        bill.set_meta(&MetaFile::parse(meta.to_string().as_bytes(), "m").unwrap());
        let file =
            |path: &str, kind, mode| FileFact { path: path.to_owned(), kind, mode, uid: 0, gid: 0, layer: Some(1) };
        Facts {
            name: "app:1".to_owned(),
            architecture: "amd64".to_owned(),
            config: json!({"Env": ["PATH=/bin", "API_TOKEN=x"], "Cmd": ["/bin/app"], "Labels": {"a": "b"}}),
            layers: vec![LayerFact { size: 700_000_000 }, LayerFact { size: 5 }],
            files: vec![
                file("/bin/su", FileKind::File, 0o4755),
                file("/etc/passwd", FileKind::File, 0o666),
                file("/tmp", FileKind::Directory, 0o1777),
                file("/var", FileKind::Directory, 0o777),
            ],
            path_sizes: [(path("gcc-13.2"), 600_000_000)].into(),
            bill,
        }
    }

    /// The rules that are broken, and where.
    #[track_caller]
    pub(super) fn check(policy: &serde_json::Value, expected: &[&str]) {
        let policy = Policy::parse(policy.to_string().as_bytes(), "p").unwrap();
        let findings = policy.check(&facts());
        let found: Vec<String> = findings
            .iter()
            .map(|it| format!("{} {}", it.rule, it.path.as_deref().unwrap_or("-").replace(&"0".repeat(32), "0")))
            .collect();
        assert_eq!(found, expected, "{findings:#?}");
        assert!(findings.iter().all(|it| !it.hint.is_empty() && !it.message.is_empty()));
    }

    #[test]
    fn nothing_asked() {
        check(&json!({}), &[]);
        check(&json!({"format": "layerstone/policy", "version": 1}), &[]);
    }

    /// The example of FORMAT.md.
    #[test]
    fn the_example() {
        let text = include_str!("../FORMAT.md");
        let example = text.split("```json\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
        let policy: serde_json::Value = serde_json::from_str(example).unwrap();
        check(
            &policy,
            &[
                "size.image -",
                "packages.forbidden /nix/store/0-openssl-3.0-dev",
                "packages.forbidden /nix/store/0-gcc-13.2",
                "files.setUserIdAllowed /bin/su",
                "files.worldWritableAllowed /etc/passwd",
                "files.worldWritableAllowed /var",
                "config.notRoot -",
                "config.env.forbidden -",
            ],
        );
    }

    #[test]
    fn what_is_no_policy() {
        let error =
            |policy: &serde_json::Value| Policy::parse(policy.to_string().as_bytes(), "p").unwrap_err().to_string();
        for (policy, told) in [
            (json!({"sizes": {}}), "unknown field `sizes`"),
            (json!({"size": {"image": "5 apples"}}), "found the string \"5 apples\", expected a number of bytes"),
            (json!({"size": {"image": -1}}), "found the number -1, expected a number of bytes, such as 500000000 or"),
            (json!({"size": {"layer": [1]}}), "found a list, expected a number of bytes"),
            (json!({"packages": {"forbidden": ["[a"]}}), "packages.forbidden: \"[a\""),
            (
                json!({"files": {"required": [{"path": "etc"}]}}),
                "files.required: found \"etc\", expected an absolute path",
            ),
            (
                json!({"files": {"required": [{"path": "/etc", "mode": "9"}]}}),
                "files.required: /etc: mode: found \"9\"",
            ),
            (json!({"signatures": {"keys": ["x"]}}), "signatures.keys: found \"x\", expected NAME:BASE64"),
            (json!({"version": 2}), "found 2, expected 1"),
            (json!([]), "expected an object"),
        ] {
            assert!(error(&policy).contains(told), "{policy}: {}", error(&policy));
        }
    }

    #[test]
    fn sizes() {
        assert_eq!([shown(999), shown(1_500), shown(705_000_000)], ["999 B", "1.5 kB", "705.0 MB"]);
    }
}
