//! Evidence: something signed that was found beside an image, of whatever form, and what it proves once keys are known.
//!
//! Nothing of a payload is believed before a key has verified its signature.

use crate::bundle::{Bundle, BundleContent, ReadBundle};
use crate::dsse::{Envelope, IN_TOTO_PAYLOAD, pae};
use crate::simple_signing::SimpleSigning;
use crate::{PublicKey, Result, Statement};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use layerstone_store::{Digest, Limits};
use std::fmt;

/// The predicate of a statement that signs an image and says no more (cosign 3, pkg/types/predicate.go).
pub const COSIGN_SIGN: &str = "https://sigstore.dev/cosign/sign/v1";

/// Something signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Evidence {
    /// The digest of the manifest that has it.
    pub manifest: Digest,
    /// What it is called in messages.
    pub name: String,
    form: Form,
    signed: Signed,
}

/// How something is signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// A bundle of Sigstore.
    Bundle,
    /// A payload of simple signing, cosign's older form.
    Simple,
    /// An envelope of DSSE, cosign's older form of attestations.
    Envelope,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Signed {
    Statement { payload: Vec<u8>, payload_type: String, signatures: Vec<Vec<u8>> },
    Simple { payload: Vec<u8>, signature: Vec<u8> },
    Manifest { digest: Option<Digest>, signature: Vec<u8> },
    Keyless,
}

/// What is verified against: the image, by its manifest or index.
#[derive(Clone, Copy, Debug)]
pub struct SignedImage<'a> {
    /// Its digest.
    pub digest: Digest,
    /// Its bytes.
    pub bytes: &'a [u8],
}

/// What evidence proves.
#[derive(Clone, Debug, PartialEq)]
pub struct Proof {
    /// Which of the keys signed it: one at least.
    pub keys: Vec<usize>,
    /// What that says.
    pub said: Said,
}

/// What a signature says of an image.
#[derive(Clone, Debug, PartialEq)]
pub enum Said {
    /// That it is this image.
    Image,
    /// A statement about it.
    Statement(Statement),
}

/// Why evidence proves nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Doubt {
    /// None of the keys signed it.
    OtherKey,
    /// It is of another image, or of none.
    OtherImage(Option<String>),
    /// It is signed with the key of a certificate.
    Keyless,
    /// A key signed what is no statement about an image.
    Malformed(String),
}

impl fmt::Display for Doubt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Doubt::OtherKey => f.write_str("signed by another key"),
            Doubt::OtherImage(Some(other)) => {
                write!(f, "signed by the key, but of another image: {}", other.escape_debug())
            }
            Doubt::OtherImage(None) => f.write_str("signed by the key, but of another image"),
            Doubt::Keyless => f.write_str("signed with a certificate (keyless), which is not looked at"),
            Doubt::Malformed(cause) => f.write_str(cause),
        }
    }
}

impl Said {
    /// The type of the predicate; none of what only signs the image.
    pub fn predicate_type(&self) -> Option<&str> {
        match self {
            Said::Image => None,
            Said::Statement(statement) => Some(&statement.predicate_type),
        }
    }
}

impl Evidence {
    /// A bundle.
    ///
    /// # Errors
    ///
    /// The bytes are none.
    pub fn bundle(bytes: &[u8], manifest: Digest, limits: &Limits) -> Result<Evidence> {
        let name = manifest.to_string();
        let signed = match Bundle::parse(bytes, &name, limits)? {
            ReadBundle::Keyless => Signed::Keyless,
            ReadBundle::Keyed(Bundle { content: BundleContent::Envelope(envelope), .. }) => {
                statement(&envelope, &name)?
            }
            ReadBundle::Keyed(Bundle { content: BundleContent::Message { digest, signature }, .. }) => {
                Signed::Manifest { digest, signature }
            }
        };
        Ok(Evidence { manifest, name, form: Form::Bundle, signed })
    }

    /// An envelope, as a layer of cosign's older attestations.
    ///
    /// # Errors
    ///
    /// The bytes are none.
    pub fn envelope(bytes: &[u8], manifest: Digest, is_keyless: bool, limits: &Limits) -> Result<Evidence> {
        let name = manifest.to_string();
        let signed = statement(&Envelope::parse(bytes, &name, limits)?, &name)?;
        let signed = if is_keyless { Signed::Keyless } else { signed };
        Ok(Evidence { manifest, name, form: Form::Envelope, signed })
    }

    /// A payload of simple signing and the signature, in base64, that the annotation beside it says.
    ///
    /// # Errors
    ///
    /// The signature is no base64.
    pub fn simple(payload: Vec<u8>, signature: &str, manifest: Digest, is_keyless: bool) -> Result<Evidence> {
        let name = manifest.to_string();
        let wrong = |_| malformed(&name, "signature: found no base64".to_owned());
        let signature = STANDARD.decode(signature).map_err(wrong)?;
        let signed = if is_keyless { Signed::Keyless } else { Signed::Simple { payload, signature } };
        Ok(Evidence { manifest, name, form: Form::Simple, signed })
    }

    /// Of which form it is.
    pub fn form(&self) -> Form {
        self.form
    }

    /// What it proves of an image, if one of these keys signed it.
    ///
    /// # Errors
    ///
    /// It proves nothing.
    pub fn verify(&self, image: SignedImage<'_>, keys: &[PublicKey], limits: &Limits) -> Result<Proof, Doubt> {
        let signers = |message: &[u8], signatures: &[Vec<u8>]| {
            let signed = |(_, key): &(usize, &PublicKey)| signatures.iter().any(|it| key.has_signed(message, it));
            let found: Vec<usize> = keys.iter().enumerate().filter(signed).map(|(number, _)| number).collect();
            if found.is_empty() { Err(Doubt::OtherKey) } else { Ok(found) }
        };
        match &self.signed {
            Signed::Keyless => Err(Doubt::Keyless),
            Signed::Manifest { digest, signature } => {
                if let Some(other) = digest.filter(|digest| *digest != image.digest) {
                    return Err(Doubt::OtherImage(Some(other.to_string())));
                }
                let keys = signers(image.bytes, std::slice::from_ref(signature))?;
                Ok(Proof { keys, said: Said::Image })
            }
            Signed::Simple { payload, signature } => {
                let keys = signers(payload, std::slice::from_ref(signature))?;
                let simple = SimpleSigning::parse(payload, &self.name, limits);
                match simple.map_err(|error| Doubt::Malformed(error.to_string()))?.digest {
                    digest if digest == image.digest => Ok(Proof { keys, said: Said::Image }),
                    other => Err(Doubt::OtherImage(Some(other.to_string()))),
                }
            }
            Signed::Statement { payload, payload_type, signatures } => {
                let keys = signers(&pae(payload_type, payload), signatures)?;
                Ok(Proof { keys, said: said(payload, payload_type, &self.name, image.digest, limits)? })
            }
        }
    }
}

/// What an envelope holds that is signed by a key.
fn said(payload: &[u8], payload_type: &str, name: &str, image: Digest, limits: &Limits) -> Result<Said, Doubt> {
    if payload_type != IN_TOTO_PAYLOAD {
        let found = payload_type.escape_debug();
        return Err(Doubt::Malformed(format!("payloadType: found {found}, expected {IN_TOTO_PAYLOAD}")));
    }
    let statement = Statement::parse(payload, name, limits).map_err(|error| Doubt::Malformed(error.to_string()))?;
    if !statement.is_about(&image) {
        let other = statement.subject.first().and_then(|subject| subject.digest.get("sha256"));
        return Err(Doubt::OtherImage(other.map(|hex| format!("sha256:{hex}"))));
    }
    Ok(if statement.predicate_type == COSIGN_SIGN { Said::Image } else { Said::Statement(statement) })
}

fn statement(envelope: &Envelope, name: &str) -> Result<Signed> {
    let (payload, signatures) = envelope.decoded().map_err(|cause| malformed(name, cause))?;
    Ok(Signed::Statement { payload, payload_type: envelope.payload_type.clone(), signatures })
}

fn malformed(name: &str, cause: String) -> crate::Error {
    crate::Error::Malformed { expected: "a signature", name: name.to_owned(), cause }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample_key::*;
    use crate::{PrivateKey, Subject};
    use serde_json::{Value, json};

    const MANIFEST: &[u8] = b"manifest";

    fn image() -> SignedImage<'static> {
        SignedImage { digest: Digest::of(MANIFEST), bytes: MANIFEST }
    }

    fn keys() -> Vec<PublicKey> {
        let key = |pem: &str| PublicKey::from_pem(pem.as_bytes(), "key").unwrap();
        vec![key(P256_PUBLIC), key(ED25519_PUBLIC)]
    }

    fn private() -> PrivateKey {
        PrivateKey::from_pem::<crate::Error>(ED25519.as_bytes(), "it", || unreachable!()).unwrap()
    }

    fn bundle_of(content: BundleContent) -> Evidence {
        let bytes = Bundle { hint: String::new(), content }.to_bytes();
        Evidence::bundle(&bytes, Digest::of(b"its"), &Limits::default()).unwrap()
    }

    /// A bundle of a payload, signed.
    fn bundle(payload: &[u8], payload_type: &str) -> Evidence {
        let signature = private().sign(&pae(payload_type, payload)).unwrap();
        bundle_of(BundleContent::Envelope(Envelope::new(payload_type, payload, &signature)))
    }

    fn statement(of: &[u8], predicate: &str, value: Value) -> Vec<u8> {
        Statement::new(vec![Subject::image("", &Digest::of(of))], predicate, value).to_bytes()
    }

    #[track_caller]
    fn check(evidence: &Evidence, expected: Result<Option<&str>, &str>) {
        let found = evidence.verify(image(), &keys(), &Limits::default());
        assert!(found.as_ref().is_ok_and(|proof| proof.keys == [1]) || found.is_err());
        let told = found.as_ref().map(|proof| proof.said.predicate_type()).map_err(ToString::to_string);
        assert_eq!(told, expected.map_err(str::to_owned));
    }

    #[test]
    fn what_a_key_signed() {
        check(&bundle(&statement(MANIFEST, COSIGN_SIGN, json!({})), IN_TOTO_PAYLOAD), Ok(None));
        check(&bundle(&statement(MANIFEST, "https://x/y", json!({})), IN_TOTO_PAYLOAD), Ok(Some("https://x/y")));
        let signature = private().sign(MANIFEST).unwrap();
        let digest = Some(image().digest);
        check(&bundle_of(BundleContent::Message { digest, signature: signature.clone() }), Ok(None));
        check(&bundle_of(BundleContent::Message { digest: None, signature }), Ok(None));
        let simple = SimpleSigning { digest: image().digest, repository: "r/web".to_owned() };
        let (payload, signature) = simple.sign(&private()).unwrap();
        check(&Evidence::simple(payload, &signature, image().digest, false).unwrap(), Ok(None));
    }

    #[test]
    fn what_proves_nothing() {
        let other = format!("signed by the key, but of another image: {}", Digest::of(b"other"));
        check(&bundle(&statement(b"other", COSIGN_SIGN, json!({})), IN_TOTO_PAYLOAD), Err(&other));
        let (payload, signature) =
            SimpleSigning { digest: Digest::of(b"other"), repository: String::new() }.sign(&private()).unwrap();
        check(&Evidence::simple(payload.clone(), &signature, image().digest, false).unwrap(), Err(&other));
        let mut changed = payload.clone();
        changed[30] ^= 1;
        let other_key = Err("signed by another key");
        check(&Evidence::simple(changed, &signature, image().digest, false).unwrap(), other_key);
        let keyless = Err("signed with a certificate (keyless), which is not looked at");
        check(&Evidence::simple(payload, &signature, image().digest, true).unwrap(), keyless);
        // The type of a payload is signed with it.
        let payload = statement(MANIFEST, COSIGN_SIGN, json!({}));
        let signature = private().sign(&pae("text/plain", &payload)).unwrap();
        check(&bundle_of(BundleContent::Envelope(Envelope::new(IN_TOTO_PAYLOAD, &payload, &signature))), other_key);
        check(
            &bundle(&payload, "text/plain"),
            Err("payloadType: found text/plain, expected application/vnd.in-toto+json"),
        );
        let none = Envelope { signatures: Vec::new(), ..Envelope::new(IN_TOTO_PAYLOAD, &payload, b"") };
        check(&bundle_of(BundleContent::Envelope(none)), other_key);
        let digest = Some(Digest::of(b"other"));
        let signature = private().sign(MANIFEST).unwrap();
        check(&bundle_of(BundleContent::Message { digest, signature }), Err(&other));
        assert!(bundle(b"[]", IN_TOTO_PAYLOAD).verify(image(), &keys(), &Limits::default()).is_err());
        Evidence::simple(Vec::new(), "c2ln*", image().digest, false).unwrap_err();
    }
}
