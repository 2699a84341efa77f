//! Keys that tests sign with, as files of a place.

#[path = "../../../archive/attestation/src/sample_key.rs"]
pub mod sample_key;

use crate::support::Place;
use sample_key::*;

/// Writes `ed.key`, `ec.key` and the encrypted `cosign.key`, whose password is `hunter2`, each with its `.pub`; `rsa.pub`.
pub fn keys(place: &Place) {
    for (name, private, public) in
        [("ed", ED25519, ED25519_PUBLIC), ("ec", P256, P256_PUBLIC), ("cosign", COSIGN, COSIGN_PUBLIC)]
    {
        place.write(&format!("{name}.key"), private);
        place.write(&format!("{name}.pub"), public);
    }
    place.write("rsa.pub", RSA_PUBLIC);
    place.write("sec1.key", SEC1);
}

/// The bytes of a text in base64.
pub fn from_base64(text: &str) -> Vec<u8> {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.decode(text).unwrap()
}
