//! Rules about the config, the architecture and the base.

use super::validate_patterns;
use crate::{ConfigPolicy, Facts, Finding, Policy};
use glob::Pattern;
use serde_json::Value;

/// What runs as root: no user is root too (OCI image-spec, config.md, `User`).
const ROOT: [&str; 3] = ["", "root", "0"];

pub(super) fn validate(policy: &ConfigPolicy) -> Result<(), String> {
    validate_patterns("config.env.required", &policy.env.required)?;
    validate_patterns("config.env.forbidden", &policy.env.forbidden)?;
    validate_patterns("config.labels", &policy.labels.values().cloned().collect::<Vec<_>>())
}

pub(super) fn check(policy: &Policy, facts: &Facts) -> Vec<Finding> {
    let mut findings = user(&policy.config, facts);
    findings.extend(words("config.entrypoint", "Entrypoint", policy.config.entrypoint.as_deref(), facts));
    findings.extend(words("config.cmd", "Cmd", policy.config.cmd.as_deref(), facts));
    findings.extend(environment(&policy.config, facts));
    findings.extend(labels(&policy.config, facts));
    if !policy.architectures.is_empty() && !policy.architectures.contains(&facts.architecture) {
        let message = format!("found {:?}, expected one of {}", facts.architecture, policy.architectures.join(", "));
        findings.push(Finding::new("architectures", message, "build it for one of these, or allow this one"));
    }
    let base = facts.bill.base.as_ref();
    if !policy.bases.is_empty() && !base.and_then(|base| base.digest).is_some_and(|found| policy.bases.contains(&found))
    {
        let found = base.and_then(|base| base.digest).map_or_else(|| "none".to_owned(), |digest| digest.to_string());
        let expected: Vec<String> = policy.bases.iter().map(ToString::to_string).collect();
        let message = format!("found the base {found}, expected one of {}", expected.join(", "));
        findings.push(Finding::new("bases", message, "build on a base by its digest: registry:NAME@sha256:…"));
    }
    findings
}

fn user(policy: &ConfigPolicy, facts: &Facts) -> Vec<Finding> {
    let found = facts.config.get("User").and_then(Value::as_str).unwrap_or_default();
    let mut findings = Vec::new();
    if let Some(user) = policy.user.as_deref().filter(|user| *user != found) {
        findings.push(Finding::new("config.user", format!("found {found:?}, expected {user:?}"), "--user sets it"));
    }
    if policy.not_root && ROOT.contains(&found.split(':').next().unwrap_or_default()) {
        let message = format!("found the user {found:?}, which is root");
        findings.push(Finding::new("config.notRoot", message, "--user sets another, such as 1000:1000"));
    }
    findings
}

fn words(rule: &'static str, key: &str, expected: Option<&[String]>, facts: &Facts) -> Option<Finding> {
    let found: Vec<&str> =
        facts.config.get(key).and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect();
    let expected = expected.filter(|expected| found != **expected)?;
    Some(Finding::new(
        rule,
        format!("found {found:?}, expected {expected:?}"),
        format!("set config.{key} of image.json"),
    ))
}

fn environment(policy: &ConfigPolicy, facts: &Facts) -> Vec<Finding> {
    let list = facts.config.get("Env").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str);
    let names: Vec<&str> = list.map(|variable| variable.split('=').next().unwrap_or_default()).collect();
    let mut findings = Vec::new();
    for text in &policy.env.required {
        if !Pattern::new(text).is_ok_and(|pattern| names.iter().any(|name| pattern.matches(name))) {
            let message = format!("found no variable {text:?}");
            findings.push(Finding::new("config.env.required", message, "--env NAME=VALUE sets it"));
        }
    }
    for text in &policy.env.forbidden {
        let Ok(pattern) = Pattern::new(text) else { continue };
        // The value is not told: it may be the secret that should not be there.
        findings.extend(names.iter().filter(|name| pattern.matches(name)).map(|name| {
            let hint = "give it to the container when it runs; what is in a config is in every copy of the image";
            Finding::new("config.env.forbidden", format!("found the variable {name}, forbidden by {text:?}"), hint)
        }));
    }
    findings
}

fn labels(policy: &ConfigPolicy, facts: &Facts) -> Vec<Finding> {
    let found = |key: &str| facts.config.get("Labels").and_then(|labels| labels.get(key)).and_then(Value::as_str);
    let wrong = policy.labels.iter().filter_map(|(key, text)| {
        let pattern = Pattern::new(text).ok()?;
        let message = match found(key) {
            Some(value) if pattern.matches(value) => return None,
            Some(value) => format!("found the label {key}={value:?}, expected {text:?}"),
            None => format!("found no label {key}"),
        };
        Some(Finding::new("config.labels", message, format!("--label {key}=… sets it")))
    });
    wrong.collect()
}

#[cfg(test)]
mod tests {
    use crate::rule::tests::check;
    use layerstone_store::Digest;
    use serde_json::json;

    #[test]
    fn keys() {
        let good = json!({
            "config": {"user": "", "cmd": ["/bin/app"], "entrypoint": [], "env": {"required": ["PATH"]}, "labels": {"a": "?"}},
            "architectures": ["amd64", "arm64"],
        });
        check(&good, &[]);
        let bad = json!({
            "config": {"user": "1000", "notRoot": true, "cmd": [], "entrypoint": ["x"],
                "env": {"required": ["HOME"], "forbidden": ["*TOKEN*"]}, "labels": {"a": "c", "d": "*"}},
            "architectures": ["arm64"], "bases": [Digest::of(b"").to_string()],
        });
        check(
            &bad,
            &[
                "config.user -",
                "config.notRoot -",
                "config.entrypoint -",
                "config.cmd -",
                "config.env.required -",
                "config.env.forbidden -",
                "config.labels -",
                "config.labels -",
                "architectures -",
                "bases -",
            ],
        );
    }
}
