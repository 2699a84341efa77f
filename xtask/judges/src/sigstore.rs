//! A bundle of Sigstore over an artifact, verified with a public key by what the crate `sigstore-verify` is made of, with the
//! cryptography of RustCrypto: neither reads anything as layerstone does. That crate itself takes no bundle without an entry
//! in a log or a timestamp, which signatures by a key alone do not have.

use anyhow::{Context, Result, anyhow, bail, ensure};
use sha2::{Digest, Sha256};
use sigstore_crypto::{CryptoProvider, Error, HashContext, SigningScheme, VerificationKey, install_default_provider};
use sigstore_types::{Bundle, DerPublicKey, HashAlgorithm, Sha256Hash, SignatureContent, Statement};
use std::fs;

/// Fails unless the bundle has a signature of a statement about the artifact by the key.
pub fn verify(bundle: &str, key: &str, artifact: &str) -> Result<()> {
    let read = |path: &str| fs::read(path).with_context(|| format!("cannot read: {path}"));
    install_default_provider(&RustCrypto).map_err(|_| anyhow!("found another provider"))?;
    let parsed = Bundle::from_json(&String::from_utf8(read(bundle)?)?).context("not a bundle")?;
    let SignatureContent::DsseEnvelope(envelope) = &parsed.content else { bail!("found no envelope") };
    let key = DerPublicKey::from_pem(&String::from_utf8(read(key)?)?).context("not a public key")?;
    VerificationKey::from_spki(&key)?.verify(envelope.pae(), &envelope.signature.sig)?;
    let statement: Statement = serde_json::from_slice(envelope.payload.as_bytes())?;
    ensure!(statement.type_ == Statement::TYPE_V1, "found a statement of the type {}", statement.type_);
    let digest = Sha256Hash::new(Sha256::digest(read(artifact)?).into());
    ensure!(statement.matches_sha256(&digest), "found a statement about something else");
    Ok(())
}

#[derive(Debug)]
struct RustCrypto;

struct Sha(Sha256);

impl HashContext for Sha {
    fn update(&mut self, data: &[u8]) {
        self.0.update(data);
    }

    fn finalize(self: Box<Self>) -> Vec<u8> {
        self.0.finalize().to_vec()
    }
}

impl CryptoProvider for RustCrypto {
    fn hash(&self, algorithm: HashAlgorithm) -> Result<Box<dyn HashContext>, Error> {
        match algorithm {
            HashAlgorithm::Sha2256 => Ok(Box::new(Sha(Sha256::new()))),
            other => Err(Error::UnsupportedAlgorithm(format!("{other}"))),
        }
    }

    fn verify_raw(
        &self,
        scheme: SigningScheme,
        spki_pubkey_bytes: &[u8],
        data: &[u8],
        signature: &[u8],
    ) -> Result<(), Error> {
        match scheme {
            SigningScheme::Ed25519 => {
                let key: [u8; 32] = spki_pubkey_bytes.try_into().map_err(wrong)?;
                let key = ed25519_dalek::VerifyingKey::from_bytes(&key).map_err(wrong)?;
                let signature = ed25519_dalek::Signature::from_slice(signature).map_err(wrong)?;
                key.verify_strict(data, &signature).map_err(wrong)
            }
            _ => self.verify_prehashed(scheme, spki_pubkey_bytes, &Sha256::digest(data), signature),
        }
    }

    fn verify_prehashed(
        &self,
        scheme: SigningScheme,
        spki_pubkey_bytes: &[u8],
        digest: &[u8],
        signature: &[u8],
    ) -> Result<(), Error> {
        use p256::ecdsa::signature::hazmat::PrehashVerifier as _;
        if !matches!(scheme, SigningScheme::EcdsaP256Sha256) {
            return Err(Error::UnsupportedAlgorithm(scheme.name().to_owned()));
        }
        let key = p256::ecdsa::VerifyingKey::from_sec1_bytes(spki_pubkey_bytes).map_err(wrong)?;
        let signature = p256::ecdsa::Signature::from_der(signature).map_err(wrong)?;
        key.verify_prehash(digest, &signature).map_err(wrong)
    }
}

fn wrong(error: impl std::fmt::Display) -> Error {
    Error::Verification(error.to_string())
}
