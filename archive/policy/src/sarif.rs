//! Writes findings as SARIF 2.1.0 (OASIS), which code hosts show beside changes.

use crate::Finding;
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// The findings of images, each with the image's name.
pub fn sarif<'a>(findings: impl IntoIterator<Item = (&'a str, &'a Finding)>, tool_version: &str) -> Value {
    let findings: Vec<(&str, &Finding)> = findings.into_iter().collect();
    let rules: BTreeSet<&str> = findings.iter().map(|(_, finding)| finding.rule).collect();
    let rules: Vec<Value> = rules.into_iter().map(|rule| json!({"id": rule})).collect();
    json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": {"driver": {
                "name": "layerstone", "semanticVersion": tool_version, "rules": rules,
            }},
            "results": findings.into_iter().map(|(image, finding)| result(image, finding)).collect::<Vec<_>>(),
        }],
    })
}

fn result(image: &str, finding: &Finding) -> Value {
    let mut name = image.to_owned();
    name.extend(finding.path.iter().map(|path| format!(": {path}")));
    let chain = finding.chain.join(" -> ");
    let chain = if chain.is_empty() { chain } else { format!(" ({chain})") };
    json!({
        "ruleId": finding.rule,
        "level": "error",
        "message": {"text": format!("{image}: {}{chain}. {}", finding.message, finding.hint)},
        "locations": [{"logicalLocations": [{"fullyQualifiedName": name}]}],
    })
}
