//! Parses NAR hashes in all the forms that Nix has written them in; writes them in Nix's base 32.

use crate::digest::decode_hex;
use crate::text::as_text;
use crate::{Digest, Error};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use std::fmt;
use std::str::FromStr;

/// Nix's base 32 alphabet: no e, o, t, u (nix, src/libutil/hash.cc).
const ALPHABET: &[u8; 32] = b"0123456789abcdfghijklmnpqrsvwxyz";

/// The sha256 of a store path's NAR serialisation; written as `sha256:` and Nix's base 32, as exportReferencesGraph
/// has it, whatever form it was read in.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NarHash(Digest);

impl NarHash {
    /// A NAR hash from the sha256 of the NAR.
    pub const fn new(digest: Digest) -> NarHash {
        NarHash(digest)
    }

    /// The sha256 of the NAR.
    pub fn digest(&self) -> Digest {
        self.0
    }
}

impl fmt::Display for NarHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sha256:{}", nix_base32(self.0.as_bytes()))
    }
}

as_text!(NarHash);

impl FromStr for NarHash {
    type Err = Error;

    /// Accepts `sha256:BASE32`, `sha256:BASE16`, `sha256-BASE64` (SRI), and the bare BASE16 of `nix-store --dump-db`.
    fn from_str(text: &str) -> Result<NarHash, Error> {
        let bytes = if let Some(sri) = text.strip_prefix("sha256-") {
            // Standard base 64 (RFC 4648, section 4), padded and without stray bits.
            STANDARD.decode(sri).ok().and_then(|bytes| bytes.try_into().ok())
        } else {
            match text.strip_prefix("sha256:").unwrap_or(text) {
                base32 if base32.len() == 52 => decode_base32(base32),
                base16 => decode_hex(base16),
            }
        };
        bytes.map(|b| NarHash(Digest::from_bytes(b))).ok_or_else(|| Error::NarHash { text: text.to_owned() })
    }
}

/// Bytes in Nix's base 32: the last digit holds the first five bits, so digits are written from the end.
pub fn nix_base32(bytes: &[u8]) -> String {
    let digits = (bytes.len() * 8).div_ceil(5);
    (0..digits)
        .rev()
        .map(|n| {
            let (byte, shift) = (n * 5 / 8, n * 5 % 8);
            let next = bytes.get(byte + 1).copied().unwrap_or(0);
            let pair = u16::from(bytes[byte]) | u16::from(next) << 8;
            char::from(ALPHABET[usize::from(pair >> shift & 31)])
        })
        .collect()
}

fn decode_base32(text: &str) -> Option<[u8; 32]> {
    let mut bytes = [0u8; 33];
    for (n, digit) in text.bytes().rev().enumerate() {
        let value = ALPHABET.iter().position(|&c| c == digit)? as u16;
        let (byte, shift) = (n * 5 / 8, n * 5 % 8);
        let pair = value << shift;
        bytes[byte] |= pair as u8;
        bytes[byte + 1] |= (pair >> 8) as u8;
    }
    // 52 digits are 260 bits: the four beyond 256 must be zero.
    (bytes[32] == 0).then(|| bytes[..32].try_into().expect("a slice of 32"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_reads_the_same() {
        // The empty string's sha256, in the forms that `nix hash to-*` gives.
        let base32 = "sha256:0mdqa9w1p6cmli6976v4wi0sw9r4p5prkj7lzfd1877wk11c9c73";
        let forms = [
            base32,
            "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
            "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
            "sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=",
        ];
        for form in forms {
            let hash: NarHash = form.parse().unwrap();
            assert_eq!(hash.digest(), Digest::of(b""));
            assert_eq!(hash.to_string(), base32);
        }
    }

    #[test]
    fn wrong_forms_are_errors() {
        for bad in ["", "sha256:", "sha256-", "md5:abc", "sha256:zmdqa9w1p6cmli6976v4wi0sw9r4p5prkj7lzfd1877wk11c9c73"]
        {
            assert!(bad.parse::<NarHash>().is_err(), "{bad}");
        }
    }
}
