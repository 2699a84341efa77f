//! Bundles of Sigstore (sigstore/protobuf-specs, sigstore_bundle.proto): a signature, with what it takes to verify it but the
//! key. Written in version 0.3, read in 0.1 to 0.3, which differ in what they say of certificates and logs alone.
//!
//! A signature is that of an envelope of DSSE, or of a file by its digest. Does not know certificates: a bundle that has one
//! instead of naming a key is told apart.

use crate::dsse::Envelope;
use crate::{Error, Result};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use layerstone_store::{Digest, Limits};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// The media type of a bundle.
pub const BUNDLE: &str = "application/vnd.dev.sigstore.bundle.v0.3+json";
/// What the media types of all versions begin with.
const ANY_BUNDLE: &str = "application/vnd.dev.sigstore.bundle";
/// Media types of the versions that are read; 0.3 was written so for a while.
const KNOWN: [&str; 4] = [
    BUNDLE,
    "application/vnd.dev.sigstore.bundle+json;version=0.1",
    "application/vnd.dev.sigstore.bundle+json;version=0.2",
    "application/vnd.dev.sigstore.bundle+json;version=0.3",
];
/// Annotation of a bundle that is attached: what it holds (cosign, specs/BUNDLE_SPEC.md).
pub const BUNDLE_CONTENT: &str = "dev.sigstore.bundle.content";
/// Annotation of such a bundle: the type of the predicate of its statement.
pub const BUNDLE_PREDICATE: &str = "dev.sigstore.bundle.predicateType";

/// A bundle that is signed with a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bundle {
    /// What names the key, for whoever looks for it. Nothing is decided by it.
    pub hint: String,
    /// What is signed.
    pub content: BundleContent,
}

/// What a bundle is a signature of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BundleContent {
    /// A payload that it holds.
    Envelope(Envelope),
    /// A file that it does not hold.
    Message {
        /// The digest of the file, which verifiers compare before they look at the signature; none if it says none.
        digest: Option<Digest>,
        /// The signature of its bytes.
        signature: Vec<u8>,
    },
}

/// What bytes are that say they are a bundle.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReadBundle {
    /// Signed with a key.
    Keyed(Bundle),
    /// Signed with the key of a certificate, which names a person or a workflow (keyless).
    Keyless,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Wire {
    media_type: String,
    verification_material: Material,
    #[serde(default)]
    dsse_envelope: Option<Envelope>,
    #[serde(default)]
    message_signature: Option<MessageSignature>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Material {
    #[serde(default)]
    public_key: Option<Hint>,
    #[serde(default)]
    certificate: Option<Value>,
    #[serde(default)]
    x509_certificate_chain: Option<Value>,
}

#[derive(Deserialize)]
struct Hint {
    #[serde(default)]
    hint: String,
}

#[derive(Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
struct MessageSignature {
    #[serde(default)]
    message_digest: Option<MessageDigest>,
    signature: String,
}

#[derive(Deserialize, Serialize)]
struct MessageDigest {
    algorithm: String,
    digest: String,
}

/// Whether a media type is that of a bundle, of any version.
pub fn is_bundle(media_type: &str) -> bool {
    media_type.starts_with(ANY_BUNDLE)
}

impl Bundle {
    /// The bundle that bytes, called so, are.
    ///
    /// # Errors
    ///
    /// The bytes are no JSON, more or deeper than the limits allow, no bundle, or one of a version that is not known.
    pub fn parse(bytes: &[u8], name: &str, limits: &Limits) -> Result<ReadBundle> {
        let wrong = |cause: String| Error::Malformed { expected: "a Sigstore bundle", name: name.to_owned(), cause };
        limits.check_json(bytes).map_err(|exceeded| wrong(exceeded.to_string()))?;
        let wire: Wire = serde_json::from_slice(bytes).map_err(|e| wrong(e.to_string()))?;
        read(wire).map_err(wrong)
    }

    /// Its bytes: the same for the same bundle.
    pub fn to_bytes(&self) -> Vec<u8> {
        let material = json!({"publicKey": {"hint": self.hint}});
        let mut value = json!({"mediaType": BUNDLE, "verificationMaterial": material});
        match &self.content {
            BundleContent::Envelope(envelope) => value["dsseEnvelope"] = json!(envelope),
            BundleContent::Message { digest, signature } => {
                let base64 = |digest: &Digest| STANDARD.encode(digest.as_bytes());
                let message_digest = digest
                    .as_ref()
                    .map(|digest| MessageDigest { algorithm: "SHA2_256".to_owned(), digest: base64(digest) });
                value["messageSignature"] =
                    json!(MessageSignature { message_digest, signature: STANDARD.encode(signature) });
            }
        }
        value.to_string().into_bytes()
    }
}

fn read(wire: Wire) -> Result<ReadBundle, String> {
    if !KNOWN.contains(&&*wire.media_type) {
        let found = wire.media_type.escape_debug();
        return Err(format!("mediaType: found {found}, expected {BUNDLE} or a version from 0.1 on"));
    }
    let content = match (wire.dsse_envelope, wire.message_signature) {
        (Some(envelope), None) => {
            envelope.decoded()?;
            BundleContent::Envelope(envelope)
        }
        (None, Some(message)) => message_content(&message)?,
        (Some(_), Some(_)) => return Err("found dsseEnvelope and messageSignature, expected one of them".to_owned()),
        (None, None) => return Err("found neither dsseEnvelope nor messageSignature".to_owned()),
    };
    let Material { public_key, certificate, x509_certificate_chain } = wire.verification_material;
    match (public_key, certificate.or(x509_certificate_chain)) {
        (Some(Hint { hint }), None) => Ok(ReadBundle::Keyed(Bundle { hint, content })),
        (None, Some(_)) => Ok(ReadBundle::Keyless),
        (Some(_), Some(_)) => {
            Err("verificationMaterial: found publicKey and a certificate, expected one of them".to_owned())
        }
        (None, None) => Err("verificationMaterial: found neither publicKey nor a certificate".to_owned()),
    }
}

fn message_content(message: &MessageSignature) -> Result<BundleContent, String> {
    let decode = |what: &str, text: &str| STANDARD.decode(text).map_err(|_| format!("{what}: found no base64"));
    let digest = match &message.message_digest {
        None => None,
        Some(MessageDigest { algorithm, digest }) if algorithm == "SHA2_256" => {
            let bytes: Result<[u8; 32], _> = decode("messageDigest", digest)?.try_into();
            Some(Digest::from_bytes(bytes.map_err(|_| "messageDigest: expected 32 bytes".to_owned())?))
        }
        Some(MessageDigest { algorithm, .. }) => {
            return Err(format!("messageDigest: found {}, expected SHA2_256", algorithm.escape_debug()));
        }
    };
    Ok(BundleContent::Message { digest, signature: decode("signature", &message.signature)? })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn envelope() -> Value {
        json!({"payload": "e30=", "payloadType": "a/b", "signatures": [{"sig": "c2ln"}]})
    }

    fn whole() -> Value {
        json!({"mediaType": BUNDLE, "verificationMaterial": {"publicKey": {"hint": "h"}}, "dsseEnvelope": envelope()})
    }

    fn parse(value: &Value) -> Result<ReadBundle> {
        Bundle::parse(value.to_string().as_bytes(), "it", &Limits::default())
    }

    /// What we write: a change of these bytes is a change of the digest of each signature.
    #[test]
    fn bytes_are_pinned() {
        let content = BundleContent::Envelope(Envelope::new("a/b", b"{}", b"sig"));
        let bundle = Bundle { hint: "h".to_owned(), content };
        let expected = r#"{"mediaType":"application/vnd.dev.sigstore.bundle.v0.3+json","verificationMaterial":{"publicKey":{"hint":"h"}},"dsseEnvelope":{"payload":"e30=","payloadType":"a/b","signatures":[{"sig":"c2ln"}]}}"#;
        assert_eq!(String::from_utf8(bundle.to_bytes()).unwrap(), expected);
        assert_eq!(parse(&whole()).unwrap(), ReadBundle::Keyed(bundle));
        for end in 0..expected.len() {
            Bundle::parse(&expected.as_bytes()[..end], "it", &Limits::default()).unwrap_err();
        }
        let digest = Some(Digest::of(b"x"));
        let message = Bundle { hint: "h".to_owned(), content: BundleContent::Message { digest, signature: vec![1] } };
        let read = Bundle::parse(&message.to_bytes(), "it", &Limits::default()).unwrap();
        assert_eq!(read, ReadBundle::Keyed(message));
    }

    #[test]
    fn versions() {
        for version in ["1", "2", "3"] {
            let mut value = whole();
            value["mediaType"] = json!(format!("application/vnd.dev.sigstore.bundle+json;version=0.{version}"));
            assert!(matches!(parse(&value), Ok(ReadBundle::Keyed(_))), "{version}");
        }
        let mut keyless = whole();
        keyless["verificationMaterial"] = json!({"certificate": {"rawBytes": "AA=="}, "tlogEntries": []});
        assert_eq!(parse(&keyless).unwrap(), ReadBundle::Keyless);
        keyless["verificationMaterial"] = json!({"x509CertificateChain": {"certificates": []}});
        assert_eq!(parse(&keyless).unwrap(), ReadBundle::Keyless);
    }

    #[test]
    fn what_is_no_bundle() {
        let changed = |key: &str, value: Value| {
            let mut bundle = whole();
            bundle[key] = value;
            parse(&bundle).unwrap_err().to_string()
        };
        let message = json!({"messageDigest": {"algorithm": "SHA2_256", "digest": "AAAA"}, "signature": "AA=="});
        let without = |key: &str, more: Value| {
            let mut bundle = whole();
            bundle.as_object_mut().unwrap().remove(key);
            bundle.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            parse(&bundle).unwrap_err().to_string()
        };
        for (told, expected) in [
            (
                changed("mediaType", json!("application/vnd.dev.sigstore.bundle.v0.4+json")),
                "not a Sigstore bundle: it: mediaType: found application/vnd.dev.sigstore.bundle.v0.4+json, expected",
            ),
            (
                changed("messageSignature", message.clone()),
                "found dsseEnvelope and messageSignature, expected one of them",
            ),
            (changed("dsseEnvelope", json!({"payload": "e30", "payloadType": ""})), "payload: found no base64"),
            (changed("verificationMaterial", json!({})), "found neither publicKey nor a certificate"),
            (
                changed("verificationMaterial", json!({"publicKey": {}, "certificate": {}})),
                "found publicKey and a certificate",
            ),
            (without("dsseEnvelope", json!({})), "found neither dsseEnvelope nor messageSignature"),
            (without("dsseEnvelope", json!({"messageSignature": message})), "messageDigest: expected 32 bytes"),
            (without("mediaType", json!({})), "missing field `mediaType`"),
        ] {
            assert!(told.contains(expected), "{told}");
        }
        assert!(parse(&json!([])).is_err());
        let twice = whole().to_string().replacen('{', r#"{"mediaType":"x","#, 1);
        assert!(
            Bundle::parse(twice.as_bytes(), "it", &Limits::default()).unwrap_err().to_string().contains("duplicate")
        );
    }
}
