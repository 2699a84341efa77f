//! Decrypts private keys as cosign writes them (secure-systems-lab/go-securesystemslib, encrypted/encrypted.go): JSON that
//! tells how scrypt (RFC 7914) makes a key of the password, and a secretbox of NaCl (XSalsa20 and Poly1305) that is closed
//! with it.

use crate::{Error, Result};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use poly1305::Poly1305;
use poly1305::universal_hash::KeyInit as _;
use salsa20::XSalsa20;
use salsa20::cipher::{KeyIvInit as _, StreamCipher as _};
use scrypt::Params;
use serde::Deserialize;

/// Bytes of memory that scrypt may take: cosign's keys take 64 MiB.
const MEMORY: u64 = 1 << 30;
/// Times that it may do its work: cosign's keys take 1.
const PARALLEL: u32 = 16;
const KEY: usize = 32;
const NONCE: usize = 24;
/// Bytes of the tag of Poly1305, which stands before the text.
const TAG: usize = 16;

/// The JSON.
#[derive(Deserialize)]
struct Closed {
    kdf: Kdf,
    cipher: Cipher,
    ciphertext: String,
}

#[derive(Deserialize)]
struct Kdf {
    name: String,
    params: KdfParams,
    salt: String,
}

#[derive(Deserialize)]
struct KdfParams {
    #[serde(rename = "N")]
    n: u64,
    r: u32,
    p: u32,
}

#[derive(Deserialize)]
struct Cipher {
    name: String,
    nonce: String,
}

/// The PKCS #8 document of an encrypted key.
pub(crate) fn decrypt(json: &[u8], password: &[u8], name: &str) -> Result<Vec<u8>> {
    let wrong =
        |cause: String| Error::Malformed { expected: "an encrypted key of cosign", name: name.to_owned(), cause };
    let closed: Closed = serde_json::from_slice(json).map_err(|e| wrong(e.to_string()))?;
    let names = [&*closed.kdf.name, &*closed.cipher.name];
    if names != ["scrypt", "nacl/secretbox"] {
        let found = names.map(|name| name.escape_debug().to_string()).join(" and ");
        return Err(wrong(format!("found {found}, expected scrypt and nacl/secretbox")));
    }
    let decode = |what: &str, text: &str| STANDARD.decode(text).map_err(|_| wrong(format!("{what}: found no base64")));
    let (salt, nonce) = (decode("salt", &closed.kdf.salt)?, decode("nonce", &closed.cipher.nonce)?);
    let text = decode("ciphertext", &closed.ciphertext)?;
    let key = derive(&closed.kdf.params, password, &salt).map_err(wrong)?;
    let nonce: [u8; NONCE] = nonce.try_into().map_err(|_| wrong(format!("nonce: expected {NONCE} bytes")))?;
    open(&key, &nonce, text).ok_or_else(|| Error::Encrypted {
        name: name.to_owned(),
        cause: "found another password, or a damaged file".to_owned(),
    })
}

/// What scrypt makes of a password.
fn derive(KdfParams { n, r, p }: &KdfParams, password: &[u8], salt: &[u8]) -> Result<[u8; KEY], String> {
    let found = || format!("kdf: found N {n}, r {r}, p {p}");
    let memory = n.saturating_mul(u64::from(*r)).saturating_mul(128);
    if !n.is_power_of_two() || *n < 2 || memory > MEMORY || *p > PARALLEL {
        return Err(format!("{}, expected a power of two for N, and {MEMORY} bytes of memory at most", found()));
    }
    let log = n.trailing_zeros() as u8;
    let params = Params::new(log, *r, *p).map_err(|_| found())?;
    let mut key = [0; KEY];
    scrypt::scrypt(password, salt, &params, &mut key).map_err(|_| found())?;
    Ok(key)
}

/// Opens a secretbox: the first 32 bytes of the stream are the key of Poly1305, the text is closed with what follows.
fn open(key: &[u8; KEY], nonce: &[u8; NONCE], mut text: Vec<u8>) -> Option<Vec<u8>> {
    if text.len() < TAG {
        return None;
    }
    let mut stream = XSalsa20::new(&(*key).into(), &(*nonce).into());
    let mut mac = [0; 32];
    stream.apply_keystream(&mut mac);
    let mut closed = text.split_off(TAG);
    // Whoever tries has the file, so that the time of a comparison tells nobody anything.
    if Poly1305::new(&mac.into()).compute_unpadded(&closed)[..] != text[..] {
        return None;
    }
    stream.apply_keystream(&mut closed);
    Some(closed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn closed(n: u64, nonce: &str) -> serde_json::Value {
        json!({"kdf": {"name": "scrypt", "params": {"N": n, "r": 8, "p": 1}, "salt": "c2FsdA=="},
            "cipher": {"name": "nacl/secretbox", "nonce": nonce}, "ciphertext": "c2hvcnQ="})
    }

    /// The test of NaCl's paper ("Cryptography in NaCl", section 10), whose first bytes of the box are these.
    #[test]
    fn a_box_of_nacl() {
        let hex = |text: &str| -> Vec<u8> {
            (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
        };
        let key = hex("1b27556473e985d462cd51197a9a46c76009549eac6474f206c4ee0844f68389").try_into().unwrap();
        let nonce = hex("69696ee955b62b73cd62bda875fc73d68219e0036b7a0b37").try_into().unwrap();
        let text = hex(
            "f3ffc7703f9400e52a7dfb4b3d3305d98e993b9f48681273c29650ba32fc76ce48332ea7164d96a4476fb8c531a1186ac0dfc17c98dce87b4da7f011ec48c97271d2c20f9b928fe2270d6fb863d51738b48eeee314a7cc8ab932164548e526ae90224368517acfeabd6bb3732bc0e9da99832b61ca01b6de56244a9e88d5f9b37973f622a43d14a6599b1f654cb45a74e355a5",
        );
        let opened = open(&key, &nonce, text.clone()).unwrap();
        assert_eq!((opened.len(), &opened[..4]), (131, &[0xbe, 0x07, 0x5f, 0xc5][..]));
        let mut other = text;
        other[20] ^= 1;
        assert_eq!(open(&key, &nonce, other), None);
    }

    #[test]
    fn what_is_no_encrypted_key() {
        let nonce = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
        let told =
            |value: serde_json::Value| decrypt(value.to_string().as_bytes(), b"x", "it").unwrap_err().to_string();
        for (value, expected) in [
            (
                closed(1 << 30, nonce),
                "kdf: found N 1073741824, r 8, p 1, expected a power of two for N, and 1073741824 bytes",
            ),
            (closed(3, nonce), "kdf: found N 3"),
            (closed(2, "AAAA"), "nonce: expected 24 bytes"),
            (closed(2, "*"), "nonce: found no base64"),
            (closed(2, nonce), "cannot decrypt the key: it: found another password, or a damaged file"),
        ] {
            assert!(told(value.clone()).contains(expected), "{}", told(value));
        }
        let mut other = closed(2, nonce);
        other["cipher"]["name"] = json!("aes\n");
        assert!(told(other).contains("found scrypt and aes\\n, expected scrypt and nacl/secretbox"));
    }
}
