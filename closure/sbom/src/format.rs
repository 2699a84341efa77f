//! Names the formats of bills of materials.

use crate::{Bill, cyclonedx, spdx2, spdx3};
use layerstone_store::Digest;
use serde_json::Value;

/// A format of bills of materials.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// CycloneDX 1.6 (ECMA-424), JSON.
    CycloneDx,
    /// SPDX 2.3 (its appendix "JSON"), JSON.
    Spdx2,
    /// SPDX 3.0.1, JSON-LD.
    Spdx3,
}

impl Format {
    /// All of them.
    pub const ALL: [Format; 3] = [Format::CycloneDx, Format::Spdx2, Format::Spdx3];

    /// What flags call it.
    pub fn name(self) -> &'static str {
        match self {
            Format::CycloneDx => "cyclonedx",
            Format::Spdx2 => "spdx",
            Format::Spdx3 => "spdx3",
        }
    }

    /// The media type of such a file (IANA, application/vnd.cyclonedx+json and application/spdx+json).
    pub fn media_type(self) -> &'static str {
        match self {
            Format::CycloneDx => "application/vnd.cyclonedx+json",
            Format::Spdx2 | Format::Spdx3 => "application/spdx+json",
        }
    }

    /// The type of an in-toto statement's predicate that is such a file (in-toto/attestation, spec/predicates).
    pub fn predicate_type(self) -> &'static str {
        match self {
            Format::CycloneDx => "https://cyclonedx.org/bom",
            Format::Spdx2 | Format::Spdx3 => "https://spdx.dev/Document",
        }
    }
}

impl Bill {
    /// Its text in a format, with a newline at the end.
    pub fn write(&self, format: Format) -> String {
        let mut text = match format {
            Format::CycloneDx => named(text(&cyclonedx::document(self)), "serialNumber", "urn:uuid:"),
            Format::Spdx2 => named(text(&spdx2::document(self)), "documentNamespace", spdx3::PREFIX),
            Format::Spdx3 => text(&spdx3::document(self)),
        };
        text.push('\n');
        text
    }
}

/// A text in which the value of a key, an empty one, is made of the text: what it begins with, and a UUID. The key stands once
/// as a key, as quotes within values are escaped.
fn named(mut text: String, key: &str, begin: &str) -> String {
    let empty = format!("\"{key}\": \"\"");
    let uuid = uuid_of(&text);
    if let Some(at) = text.find(&empty) {
        text.insert_str(at + empty.len() - 1, &format!("{begin}{uuid}"));
    }
    text
}

pub(crate) fn text(value: &Value) -> String {
    serde_json::to_string_pretty(value).expect("a tree of JSON values has no key but texts")
}

/// A UUID that is the same for the same text: version 8, whose bits are up to whoever makes it (RFC 9562, section 5.8).
pub(crate) fn uuid_of(text: &str) -> String {
    let mut bytes: [u8; 16] = Digest::of(text.as_bytes()).as_bytes()[..16].try_into().expect("16 of 32 bytes");
    bytes[6] = bytes[6] & 0x0f | 0x80;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]].join("-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uuids() {
        let uuid = uuid_of("text");
        assert_eq!((uuid.len(), &uuid[14..15]), (36, "8"));
        assert!("89ab".contains(&uuid[19..20]), "{uuid}");
        assert_eq!(uuid, uuid_of("text"));
        assert_ne!(uuid, uuid_of("texT"));
    }
}
