//! DSSE (secure-systems-lab/dsse, envelope.md, protocol.md): a payload, what it is, and signatures of both.

use crate::{Error, Result};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use layerstone_store::Limits;
use serde::{Deserialize, Serialize};

/// The type of a payload that is a statement of in-toto.
pub const IN_TOTO_PAYLOAD: &str = "application/vnd.in-toto+json";

/// An envelope, its parts in base64.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Envelope {
    /// What is signed.
    pub payload: String,
    /// What that is.
    pub payload_type: String,
    /// Who signed it.
    #[serde(default)]
    pub signatures: Vec<EnvelopeSignature>,
}

/// A signature of an envelope.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct EnvelopeSignature {
    /// Its bytes, in base64.
    pub sig: String,
    /// What names the key. Nothing is decided by it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub keyid: String,
}

/// The bytes of which a signature is one: the length of each part, and the part (protocol.md, "Signature Definition").
pub fn pae(payload_type: &str, payload: &[u8]) -> Vec<u8> {
    let head = format!("DSSEv1 {} {payload_type} {} ", payload_type.len(), payload.len());
    [head.as_bytes(), payload].concat()
}

impl Envelope {
    /// An envelope of a payload with one signature.
    pub fn new(payload_type: &str, payload: &[u8], signature: &[u8]) -> Envelope {
        let sig = EnvelopeSignature { sig: STANDARD.encode(signature), keyid: String::new() };
        Envelope { payload: STANDARD.encode(payload), payload_type: payload_type.to_owned(), signatures: vec![sig] }
    }

    /// The envelope that bytes, called so, are.
    ///
    /// # Errors
    ///
    /// The bytes are no JSON, more or deeper than the limits allow, or no envelope.
    pub fn parse(bytes: &[u8], name: &str, limits: &Limits) -> Result<Envelope> {
        let wrong = |cause: String| Error::Malformed { expected: "a DSSE envelope", name: name.to_owned(), cause };
        limits.check_json(bytes).map_err(|exceeded| wrong(exceeded.to_string()))?;
        serde_json::from_slice(bytes).map_err(|e| wrong(e.to_string()))
    }

    /// Its payload, which nobody has verified; none if it is no base64.
    pub fn payload(&self) -> Option<Vec<u8>> {
        STANDARD.decode(&self.payload).ok()
    }

    /// Its payload and its signatures, decoded.
    pub(crate) fn decoded(&self) -> Result<(Vec<u8>, Vec<Vec<u8>>), String> {
        let decode = |what: &str, text: &str| STANDARD.decode(text).map_err(|_| format!("{what}: found no base64"));
        let payload = decode("payload", &self.payload)?;
        let signatures = self.signatures.iter().map(|it| decode("sig", &it.sig)).collect::<Result<_, _>>()?;
        Ok((payload, signatures))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of protocol.md.
    #[test]
    fn the_bytes_that_are_signed() {
        let expected = "DSSEv1 29 http://example.com/HelloWorld 11 hello world";
        assert_eq!(pae("http://example.com/HelloWorld", b"hello world"), expected.as_bytes());
    }
}
