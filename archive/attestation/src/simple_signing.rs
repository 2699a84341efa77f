//! Simple signing, the older form of cosign's signatures (cosign, specs/SIGNATURE_SPEC.md): a payload that names an image by
//! its digest and its repository, and a signature in an annotation beside it.

use crate::{Error, PrivateKey, Result};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use layerstone_store::{Digest, Limits};
use serde::Deserialize;
use serde_json::json;

/// The media type of the payload.
pub const SIMPLE_SIGNING: &str = "application/vnd.dev.cosign.simplesigning.v1+json";
/// Annotation of the payload's layer: the signature in base64.
pub const SIGNATURE_ANNOTATION: &str = "dev.cosignproject.cosign/signature";
/// Annotation of such a layer: a certificate, if it was signed with the key of one.
pub const CERTIFICATE_ANNOTATION: &str = "dev.sigstore.cosign/certificate";
/// What a payload says that it is.
const KIND: &str = "cosign container image signature";
const EXPECTED: &str = "a payload of simple signing";

/// What is signed of an image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SimpleSigning {
    /// The manifest or index.
    pub digest: Digest,
    /// The repository that it was in, `HOST/NAME`; it may be empty.
    pub repository: String,
}

#[derive(Deserialize)]
struct Wire {
    critical: Critical,
}

#[derive(Deserialize)]
struct Critical {
    identity: Identity,
    image: Image,
    #[serde(rename = "type")]
    kind: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Identity {
    #[serde(default)]
    docker_reference: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Image {
    docker_manifest_digest: String,
}

impl SimpleSigning {
    /// The payload that bytes, called so, are.
    ///
    /// # Errors
    ///
    /// The bytes are no JSON, more or deeper than the limits allow, or no payload about an image.
    pub fn parse(bytes: &[u8], name: &str, limits: &Limits) -> Result<SimpleSigning> {
        let wrong = |cause: String| Error::Malformed { expected: EXPECTED, name: name.to_owned(), cause };
        limits.check_json(bytes).map_err(|exceeded| wrong(exceeded.to_string()))?;
        let Wire { critical } = serde_json::from_slice(bytes).map_err(|e| wrong(e.to_string()))?;
        // containers/image writes "atomic container signature" into signatures of GnuPG.
        if critical.kind != KIND {
            return Err(wrong(format!("type: found {}, expected {KIND}", critical.kind.escape_debug())));
        }
        let digest = critical.image.docker_manifest_digest;
        let digest = digest.parse().map_err(|_| {
            wrong(format!("docker-manifest-digest: found {}, expected sha256:HEX", digest.escape_debug()))
        })?;
        Ok(SimpleSigning { digest, repository: critical.identity.docker_reference })
    }

    /// Its bytes and their signature, as the annotation beside them says it.
    ///
    /// # Errors
    ///
    /// See [`PrivateKey::sign`].
    pub fn sign(&self, key: &PrivateKey) -> Result<(Vec<u8>, String)> {
        let bytes = self.to_bytes();
        let signature = STANDARD.encode(key.sign(&bytes)?);
        Ok((bytes, signature))
    }

    /// Its bytes: the same for the same image.
    pub fn to_bytes(&self) -> Vec<u8> {
        let SimpleSigning { digest, repository } = self;
        let critical = json!({
            "identity": {"docker-reference": repository},
            "image": {"docker-manifest-digest": digest},
            "type": KIND,
        });
        json!({"critical": critical, "optional": null}).to_string().into_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As `cosign sign` of cosign 2.5 writes it.
    #[test]
    fn bytes_are_those_of_cosign() {
        let simple = SimpleSigning { digest: Digest::of(b""), repository: "r.example/web".to_owned() };
        let expected = r#"{"critical":{"identity":{"docker-reference":"r.example/web"},"image":{"docker-manifest-digest":"sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},"type":"cosign container image signature"},"optional":null}"#;
        assert_eq!(String::from_utf8(simple.to_bytes()).unwrap(), expected);
        assert_eq!(SimpleSigning::parse(expected.as_bytes(), "it", &Limits::default()).unwrap(), simple);
        let told = |from: &str, to: &str| {
            let text = expected.replace(from, to);
            SimpleSigning::parse(text.as_bytes(), "it", &Limits::default()).unwrap_err().to_string()
        };
        assert!(told("cosign container", "atomic container").contains("type: found atomic container image signature"));
        assert!(told("sha256:e3", "sha512:e3").contains("docker-manifest-digest: found sha512:e3b0"));
    }
}
