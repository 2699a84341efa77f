//! Provenance of what was built: by what, of what, and how (SLSA v1, provenance.md), as the predicate of a statement. What the
//! parameters of a build of ours mean is in docs/provenance.md.

use crate::{Statement, Subject};
use layerstone_store::Digest;
use serde::Serialize;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// The type of the predicate.
pub const SLSA_PROVENANCE: &str = "https://slsa.dev/provenance/v1";
/// What a build of an image is, and so what its parameters mean. Another meaning is another type.
pub const BUILD_TYPE: &str = "urn:layerstone:build:image:v1";
/// Who built it, where nobody says: nothing follows from it.
pub const UNNAMED_BUILDER: &str = "urn:layerstone:builder:unnamed";

/// How something was built.
#[derive(Clone, Debug)]
pub struct Provenance {
    /// What whoever asked for the build could choose.
    pub external_parameters: Map<String, Value>,
    /// What was decided besides.
    pub internal_parameters: Map<String, Value>,
    /// What was needed, in an order that the same build has again.
    pub resolved_dependencies: Vec<Resource>,
    /// The platform that built it, a URI that whoever runs it stands for.
    pub builder_id: Option<String>,
    /// What that platform calls the build.
    pub invocation_id: Option<String>,
    /// The version of the program.
    pub version: String,
}

/// Something that a build needed (in-toto's attestation framework, resource_descriptor.md).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Resource {
    /// What the build calls it.
    pub name: String,
    /// Where it is from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uri: Option<String>,
    /// Its digests, each by its algorithm, in hex digits.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub digest: BTreeMap<String, String>,
    /// What the bytes of that digest are, where that is not the thing itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub media_type: Option<String>,
    /// What else is known of it.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
}

impl Resource {
    /// One of this name and digest.
    pub fn new(name: impl Into<String>, digest: &Digest) -> Resource {
        let digest = [("sha256".to_owned(), digest.hex())].into();
        Resource { name: name.into(), digest, ..Resource::default() }
    }
}

impl Provenance {
    /// The statement that this is how these were built.
    pub fn statement(&self, subject: Vec<Subject>) -> Statement {
        let mut run = json!({
            "builder": {
                "id": self.builder_id.as_deref().unwrap_or(UNNAMED_BUILDER),
                "version": {"layerstone": self.version},
            },
        });
        if let Some(id) = &self.invocation_id {
            run["metadata"] = json!({"invocationId": id});
        }
        let predicate = json!({
            "buildDefinition": {
                "buildType": BUILD_TYPE,
                "externalParameters": self.external_parameters,
                "internalParameters": self.internal_parameters,
                "resolvedDependencies": self.resolved_dependencies,
            },
            "runDetails": run,
        });
        Statement::new(subject, SLSA_PROVENANCE, predicate)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Provenance {
        let object = |value: Value| value.as_object().unwrap().clone();
        Provenance {
            external_parameters: object(json!({"image": {"name": "web"}})),
            internal_parameters: object(json!({"platform": "linux/amd64"})),
            resolved_dependencies: vec![Resource {
                uri: Some("pkg:oci/debian".to_owned()),
                ..Resource::new("fromImage", &Digest::of(b"base"))
            }],
            builder_id: None,
            invocation_id: None,
            version: "1.2.3".to_owned(),
        }
    }

    /// What we write: a change of these bytes is a change of the digest of provenance that is attached.
    #[test]
    fn bytes_are_pinned() {
        let text = sample().statement(vec![Subject::image("web", &Digest::of(b"manifest"))]).to_bytes();
        let expected = r#"{"_type":"https://in-toto.io/Statement/v1","subject":[{"name":"web","digest":{"sha256":"SUBJECT"}}],"predicateType":"https://slsa.dev/provenance/v1","predicate":{"buildDefinition":{"buildType":"urn:layerstone:build:image:v1","externalParameters":{"image":{"name":"web"}},"internalParameters":{"platform":"linux/amd64"},"resolvedDependencies":[{"name":"fromImage","uri":"pkg:oci/debian","digest":{"sha256":"BASE"}}]},"runDetails":{"builder":{"id":"urn:layerstone:builder:unnamed","version":{"layerstone":"1.2.3"}}}}}"#;
        let expected = expected.replace("SUBJECT", &Digest::of(b"manifest").hex());
        assert_eq!(String::from_utf8(text).unwrap(), expected.replace("BASE", &Digest::of(b"base").hex()));
    }

    #[test]
    fn who_built_it() {
        let named = Provenance {
            builder_id: Some("https://ci.example/runner@v1".to_owned()),
            invocation_id: Some("https://ci.example/runs/7".to_owned()),
            ..sample()
        };
        let predicate = named.statement(Vec::new()).predicate;
        assert_eq!(predicate["runDetails"]["builder"]["id"], "https://ci.example/runner@v1");
        assert_eq!(predicate["runDetails"]["metadata"], json!({"invocationId": "https://ci.example/runs/7"}));
        assert_eq!(predicate["buildDefinition"], sample().statement(Vec::new()).predicate["buildDefinition"]);
    }
}
