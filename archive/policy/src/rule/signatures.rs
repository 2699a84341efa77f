//! The rule about Nix's signatures: each store path is signed by one of some keys.
//!
//! What is signed is a text of the path, its NAR hash, its NAR size and its references (nix, src/libstore/path-info.cc,
//! `ValidPathInfo::fingerprint`); the signature is Ed25519.

use crate::{Facts, Finding, SignaturesPolicy};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use layerstone_closure::PathInfo;
use layerstone_sbom::Component;
use ring::signature::{ED25519, UnparsedPublicKey};

/// Bytes of a public key (RFC 8032, section 5.1.5).
const KEY_BYTES: usize = 32;

pub(super) fn validate(policy: &SignaturesPolicy) -> Result<(), String> {
    policy.keys.iter().try_for_each(|key| match parse(key).filter(|(_, bytes)| bytes.len() == KEY_BYTES) {
        Some(_) => Ok(()),
        None => Err(format!(
            "signatures.keys: found {key:?}, expected NAME:BASE64 of {KEY_BYTES} bytes, as Nix writes a public key"
        )),
    })
}

pub(super) fn check(policy: &SignaturesPolicy, facts: &Facts) -> Vec<Finding> {
    let keys: Vec<(&str, Vec<u8>)> = policy.keys.iter().filter_map(|key| parse(key)).collect();
    if keys.is_empty() {
        return Vec::new();
    }
    let unsigned = facts.bill.components.iter().filter(|component| !is_signed(component, &keys));
    let finding = |component: &Component| {
        let path = component.path();
        let (message, hint) = match fingerprint(&component.info) {
            None => (
                format!("found no NAR hash and size of {}, which a signature is of", path.name()),
                "only Nix's database in the image (includeNixDB) tells them",
            ),
            Some(_) => (
                format!("found no signature of {} by one of the keys", path.name()),
                "`nix store sign --key-file KEY -r` signs, before the image is built",
            ),
        };
        Finding::new("signatures.keys", message, hint).at(path.as_str(), facts.layer_of(path))
    };
    unsigned.map(finding).collect()
}

/// Name and bytes of a key or a signature.
fn parse(text: &str) -> Option<(&str, Vec<u8>)> {
    let (name, base64) = text.split_once(':')?;
    Some((name, STANDARD.decode(base64).ok()?)).filter(|_| !name.is_empty())
}

fn is_signed(component: &Component, keys: &[(&str, Vec<u8>)]) -> bool {
    let Some(text) = fingerprint(&component.info) else { return false };
    let signatures = component.signatures.iter().filter_map(|signature| parse(signature));
    signatures.into_iter().any(|(name, signature)| {
        let mut named = keys.iter().filter(|(key, _)| *key == name);
        named.any(|(_, key)| UnparsedPublicKey::new(&ED25519, key).verify(text.as_bytes(), &signature).is_ok())
    })
}

/// The text that is signed; none if the hash or the size is not known.
fn fingerprint(info: &PathInfo) -> Option<String> {
    let (hash, size) = (info.nar_hash?, info.nar_size?);
    let references: Vec<&str> = info.references.iter().map(|path| path.as_str()).collect();
    Some(format!("1;{};{hash};{size};{}", info.path, references.join(",")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Policy;
    use crate::rule::tests::facts;
    use layerstone_store::{Digest, NarHash};
    use ring::signature::{Ed25519KeyPair, KeyPair};
    use serde_json::json;

    #[test]
    fn by_one_of_the_keys() {
        let pair = Ed25519KeyPair::from_seed_unchecked(&[7; 32]).unwrap();
        let key = format!("key-1:{}", STANDARD.encode(pair.public_key()));
        let policy = Policy::parse(json!({"signatures": {"keys": [key]}}).to_string().as_bytes(), "p").unwrap();
        let mut facts = facts();
        // Without hashes nothing can be told.
        assert_eq!(policy.check(&facts).len(), 3);
        for component in &mut facts.bill.components {
            (component.info.nar_hash, component.info.nar_size) = (Some(NarHash::new(Digest::of(b"nar"))), Some(3));
            let text = fingerprint(&component.info).unwrap();
            component.signatures = vec![format!("key-1:{}", STANDARD.encode(pair.sign(text.as_bytes())))];
        }
        assert_eq!(policy.check(&facts), []);
        facts.bill.components[1].info.nar_size = Some(4);
        assert_eq!(policy.check(&facts).len(), 1);
        facts.bill.components[1].info.nar_size = Some(3);
        // A signature under another name is by another key.
        for signature in &mut facts.bill.components[0].signatures {
            *signature = signature.replace("key-1", "key-2");
        }
        assert_eq!(policy.check(&facts)[0].path.as_deref(), Some(facts.bill.components[0].path().as_str()));
    }
}
