//! Compares an image without files with a policy that wants another user than root.

use layerstone_closure::ReferencesGraph;
use layerstone_policy::{Facts, Policy};
use layerstone_sbom::{Bill, Subject};
use std::{collections::BTreeMap, error::Error};

fn main() -> Result<(), Box<dyn Error>> {
    let policy = Policy::parse(br#"{"config": {"notRoot": true}, "architectures": ["arm64"]}"#, "policy.json")?;
    let closure = ReferencesGraph::parse(b"[]", "empty.json")?.closure(&[])?;
    let facts = Facts {
        name: "web:1".to_owned(),
        architecture: "amd64".to_owned(),
        config: serde_json::json!({"User": "root"}),
        layers: vec![],
        files: vec![],
        path_sizes: BTreeMap::new(),
        bill: Bill::of(Subject::closure("web"), &closure, "1970-01-01T00:00:01Z"),
    };
    for finding in policy.check(&facts) {
        println!("{}: {}: {}", finding.rule, finding.message, finding.hint);
    }
    Ok(())
}
