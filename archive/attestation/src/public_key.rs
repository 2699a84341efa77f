//! Public keys: read from PEM (SubjectPublicKeyInfo, RFC 5280, RFC 5480, RFC 8410), and signatures checked with them.

use crate::pem::Pem;
use crate::{Error, Result};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use layerstone_store::Digest;
use ring::signature::{ECDSA_P256_SHA256_ASN1, ED25519, UnparsedPublicKey, VerificationAlgorithm};

/// What the DER of a P-256 key begins with: a sequence of the identifiers id-ecPublicKey and prime256v1, and a bit string.
const P256_START: [u8; 26] = [
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce,
    0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00,
];
/// The same of an Ed25519 key: id-Ed25519.
const ED25519_START: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];
/// Bytes of a point of P-256 that is not compressed, and of one of Ed25519.
const P256_BYTES: usize = 65;
const ED25519_BYTES: usize = 32;
/// What was expected where something else was found.
const EXPECTED: &str = "a public key";
const ONE_EACH: &str = "each key has a file of its own, and is named by itself: one --key for each";
const KINDS: &str = "keys are ECDSA P-256 or Ed25519";

/// How something is signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    /// ECDSA over P-256 and SHA-256. Each signature of the same is another one.
    P256,
    /// Ed25519. Each signature of the same is the same.
    Ed25519,
}

/// A public key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicKey {
    /// What messages call it.
    pub name: String,
    algorithm: Algorithm,
    der: Vec<u8>,
}

impl PublicKey {
    /// The key of a PEM text, called so.
    ///
    /// # Errors
    ///
    /// It is no PEM, another thing than a public key, a key of another kind, or several keys.
    pub fn from_pem(text: &[u8], name: &str) -> Result<PublicKey> {
        let wrong = |cause| Error::Malformed { expected: EXPECTED, name: name.to_owned(), cause };
        let pem = Pem::parse(text).map_err(wrong)?;
        let hint = match &*pem.label {
            // Of two keys in a file one would be left out, and nobody would know it.
            "PUBLIC KEY" if pem.blocks > 1 => {
                let found = format!("{} blocks of PEM, expected one key", pem.blocks);
                return Err(Error::Key { expected: EXPECTED, name: name.to_owned(), found, hint: ONE_EACH });
            }
            "PUBLIC KEY" => return PublicKey::from_der(&pem.bytes, name),
            "CERTIFICATE" => "`openssl x509 -in FILE -pubkey -noout` prints the key of a certificate",
            label if label.starts_with("ENCRYPTED ") => "`cosign public-key --key FILE` prints the public one",
            label if label.ends_with("PRIVATE KEY") => "`openssl pkey -in FILE -pubout` prints the public one",
            _ => KINDS,
        };
        Err(Error::Key { expected: EXPECTED, name: name.to_owned(), found: pem.what(), hint })
    }

    /// The key of a SubjectPublicKeyInfo, called so.
    ///
    /// # Errors
    ///
    /// It is none of P-256 or Ed25519.
    pub fn from_der(der: &[u8], name: &str) -> Result<PublicKey> {
        let has = |start: &[u8], bytes| der.strip_prefix(start).is_some_and(|point| point.len() == bytes);
        // 4 stands for a point that is not compressed (SEC 1, section 2.3.3).
        let algorithm = if has(&P256_START, P256_BYTES) && der[P256_START.len()] == 4 {
            Algorithm::P256
        } else if has(&ED25519_START, ED25519_BYTES) {
            Algorithm::Ed25519
        } else {
            let found = "a key of another kind".to_owned();
            return Err(Error::Key { expected: EXPECTED, name: name.to_owned(), found, hint: KINDS });
        };
        Ok(PublicKey { name: name.to_owned(), algorithm, der: der.to_vec() })
    }

    /// The key of these bytes.
    pub(crate) fn from_point(algorithm: Algorithm, point: &[u8], name: &str) -> PublicKey {
        let start: &[u8] = if algorithm == Algorithm::P256 { &P256_START } else { &ED25519_START };
        PublicKey { name: name.to_owned(), algorithm, der: [start, point].concat() }
    }

    /// How it signs.
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// What bundles name it by: the SHA-256 of its DER in base64, as cosign has it.
    pub fn hint(&self) -> String {
        STANDARD.encode(Digest::of(&self.der).as_bytes())
    }

    /// The digest of its DER: equal keys have the same, whatever their files are called.
    pub fn fingerprint(&self) -> Digest {
        Digest::of(&self.der)
    }

    /// Its text.
    pub fn to_pem(&self) -> String {
        let base64 = STANDARD.encode(&self.der);
        let (first, rest) = base64.split_at(base64.len().min(64));
        let lines = if rest.is_empty() { first.to_owned() } else { format!("{first}\n{rest}") };
        format!("-----BEGIN PUBLIC KEY-----\n{lines}\n-----END PUBLIC KEY-----\n")
    }

    /// Whether it signed these bytes.
    pub fn has_signed(&self, message: &[u8], signature: &[u8]) -> bool {
        let (algorithm, start): (&dyn VerificationAlgorithm, usize) = match self.algorithm {
            Algorithm::P256 => (&ECDSA_P256_SHA256_ASN1, P256_START.len()),
            Algorithm::Ed25519 => (&ED25519, ED25519_START.len()),
        };
        UnparsedPublicKey::new(algorithm, &self.der[start..]).verify(message, signature).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample_key::*;

    #[test]
    fn what_is_no_public_key() {
        let text = |pem: &str| {
            let error = PublicKey::from_pem(pem.as_bytes(), "it").unwrap_err();
            format!("{error}; {}", error.hint().unwrap_or_default())
        };
        for (pem, expected) in [
            (P256, "not a public key: it: found a private key (PRIVATE KEY); `openssl pkey -in FILE -pubout`"),
            (COSIGN, "found a private key (ENCRYPTED SIGSTORE PRIVATE KEY); `cosign public-key --key FILE`"),
            (RSA_PUBLIC, "not a public key: it: found a key of another kind; keys are ECDSA P-256 or Ed25519"),
            (&P256_PUBLIC.replace("PUBLIC KEY", "CERTIFICATE"), "found a certificate; `openssl x509 -in FILE -pubkey"),
            (
                &[P256_PUBLIC, ED25519_PUBLIC].concat(),
                "not a public key: it: found 2 blocks of PEM, expected one key; each key has a file of its own",
            ),
            ("x", "not a public key: it: found no -----BEGIN line, expected PEM; "),
        ] {
            assert!(text(pem).contains(expected), "{}", text(pem));
        }
        let key = PublicKey::from_pem(P256_PUBLIC.as_bytes(), "it").unwrap();
        let within = format!("a key\n{P256_PUBLIC}of ours\n");
        assert_eq!(PublicKey::from_pem(within.as_bytes(), "it").unwrap(), key);
        assert_eq!(key.to_pem(), P256_PUBLIC);
        assert_eq!(key.hint().len(), 44);
        for end in 0..key.der.len() {
            PublicKey::from_der(&key.der[..end], "it").unwrap_err();
        }
    }
}
