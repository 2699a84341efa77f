//! Private keys: read from PEM (PKCS #8, RFC 5208, or cosign's encrypted form), and what they sign.
//!
//! A key lies in memory only, and no message tells any of it.

use crate::encrypted_key::decrypt;
use crate::pem::Pem;
use crate::public_key::{Algorithm, PublicKey};
use crate::{Error, Result};
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair};
use std::fmt;

const EXPECTED: &str = "a private key";

/// A private key.
pub struct PrivateKey {
    pair: Pair,
    public: PublicKey,
}

enum Pair {
    P256(EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
}

impl PrivateKey {
    /// The key of a PEM text, called so; its password is asked for if it has one.
    ///
    /// # Errors
    ///
    /// It is no PEM, another thing than a private key, or a key of another kind; the password is wrong.
    pub fn from_pem<E: From<Error>>(
        text: &[u8],
        name: &str,
        password: impl FnOnce() -> Result<Vec<u8>, E>,
    ) -> Result<PrivateKey, E> {
        let wrong = |cause| Error::Malformed { expected: EXPECTED, name: name.to_owned(), cause };
        let pem = Pem::parse(text).map_err(wrong)?;
        let hint = match &*pem.label {
            "PRIVATE KEY" => return Ok(PrivateKey::from_der(&pem.bytes, name)?),
            "ENCRYPTED SIGSTORE PRIVATE KEY" | "ENCRYPTED COSIGN PRIVATE KEY" => {
                let der = decrypt(&pem.bytes, &password()?, name)?;
                return Ok(PrivateKey::from_der(&der, name)?);
            }
            "EC PRIVATE KEY" | "ENCRYPTED PRIVATE KEY" => {
                "`openssl pkcs8 -topk8 -nocrypt -in FILE` writes it as PKCS #8"
            }
            "PUBLIC KEY" | "CERTIFICATE" => "signing takes the private key, and verifying the public one",
            _ => "keys are ECDSA P-256 or Ed25519, in PKCS #8 or cosign's form",
        };
        Err(Error::Key { expected: EXPECTED, name: name.to_owned(), found: pem.what(), hint }.into())
    }

    /// The key of a PKCS #8 document. The two kinds are tried, as ring tells them apart.
    fn from_der(der: &[u8], name: &str) -> Result<PrivateKey> {
        if let Ok(pair) = Ed25519KeyPair::from_pkcs8_maybe_unchecked(der) {
            let public = PublicKey::from_point(Algorithm::Ed25519, pair.public_key().as_ref(), name);
            return Ok(PrivateKey { pair: Pair::Ed25519(pair), public });
        }
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, der, &SystemRandom::new());
        let pair = pair.map_err(|_| Error::Key {
            expected: EXPECTED,
            name: name.to_owned(),
            found: "a key of another kind".to_owned(),
            hint: "keys are ECDSA P-256, with the public key in the file, or Ed25519",
        })?;
        let public = PublicKey::from_point(Algorithm::P256, pair.public_key().as_ref(), name);
        Ok(PrivateKey { pair: Pair::P256(pair), public })
    }

    /// The public key that belongs to it.
    pub fn public(&self) -> &PublicKey {
        &self.public
    }

    /// A signature of these bytes.
    ///
    /// # Errors
    ///
    /// The system has no random bytes, which a signature of ECDSA needs.
    pub fn sign(&self, message: &[u8]) -> Result<Vec<u8>> {
        match &self.pair {
            Pair::Ed25519(pair) => Ok(pair.sign(message).as_ref().to_vec()),
            Pair::P256(pair) => match pair.sign(&SystemRandom::new(), message) {
                Ok(signature) => Ok(signature.as_ref().to_vec()),
                Err(_) => Err(Error::Sign { name: self.public.name.clone() }),
            },
        }
    }
}

/// Tells nothing of the key.
impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PrivateKey").field("public", &self.public).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample_key::*;

    fn key(text: &str, password: &str) -> Result<PrivateKey> {
        PrivateKey::from_pem(text.as_bytes(), "it", || Ok(password.into()))
    }

    #[test]
    fn each_key_signs_and_its_public_key_verifies() {
        for (private, public, is_deterministic) in
            [(ED25519, ED25519_PUBLIC, true), (P256, P256_PUBLIC, false), (COSIGN, COSIGN_PUBLIC, false)]
        {
            let (private, public) =
                (key(private, "hunter2").unwrap(), PublicKey::from_pem(public.as_bytes(), "it").unwrap());
            assert_eq!(*private.public(), public);
            assert_eq!(private.public().to_pem(), public.to_pem());
            let signature = private.sign(b"message").unwrap();
            assert_eq!(private.sign(b"message").unwrap() == signature, is_deterministic);
            assert!(public.has_signed(b"message", &signature));
            assert!(!public.has_signed(b"messagf", &signature) && !public.has_signed(b"message", &signature[1..]));
            assert!(!public.has_signed(b"message", b""));
        }
        let other = PublicKey::from_pem(ED25519_PUBLIC.as_bytes(), "it").unwrap();
        assert!(!other.has_signed(b"message", &key(P256, "").unwrap().sign(b"message").unwrap()));
    }

    #[test]
    fn what_is_no_private_key() {
        let text = |pem: &str, password: &str| {
            let error = key(pem, password).unwrap_err();
            (error.to_string(), error.hint().unwrap_or_default())
        };
        let (told, hint) = text(ED25519_PUBLIC, "");
        assert_eq!(told, "not a private key: it: found a public key");
        assert_eq!(hint, "signing takes the private key, and verifying the public one");
        assert!(text(SEC1, "").1.contains("openssl pkcs8 -topk8"));
        let (told, hint) = text(COSIGN, "hunter3");
        assert_eq!(told, "cannot decrypt the key: it: found another password, or a damaged file");
        assert!(hint.contains("COSIGN_PASSWORD") && !told.contains("hunter3"));
        let label = |label: &str, body: &str| format!("-----BEGIN {label}-----\n{body}\n-----END {label}-----\n");
        for (pem, expected) in [
            (String::new(), "not a private key: it: found no -----BEGIN line, expected PEM"),
            ("\u{ff}-----BEGIN".to_owned(), "found no -----BEGIN line"),
            (ED25519.replace("-----END", "-----AND"), "found no -----END PRIVATE KEY-----"),
            (label("PRIVATE KEY", "MC4*"), "PRIVATE KEY: found no base64"),
            (label("PRIVATE KEY", "MC4CAQAwBQ=="), "found a key of another kind"),
            (label("CERTIFICATE", "MC4C"), "found a certificate"),
            (label("ENCRYPTED COSIGN PRIVATE KEY", "e30="), "not an encrypted key of cosign: it: missing field `kdf`"),
        ] {
            assert!(text(&pem, "").0.contains(expected), "{}", text(&pem, "").0);
        }
        assert!(!format!("{:?}", key(ED25519, "").unwrap()).contains("MC4C"));
    }
}
