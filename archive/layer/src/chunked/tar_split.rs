//! tar-split: the bytes of a tar that are no contents, from which and the files the tar is put together again.
//!
//! An object a line (JSON): `{"type": 2, "payload": BASE64, "position": N}` for bytes of the tar, and `{"type": 1, "name":
//! …, "size": …, "payload": CRC64, "position": N}` for the contents of each member, empty ones too. The format is that of
//! vbatts/tar-split, `tar/storage/entry.go`.
//!
//! All bytes between the contents of two members are one line, and all behind the last one: clients look for one header
//! in each (containers/storage, `ensureTOCMatchesTarSplit`).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;

/// Contents of a member.
const FILE: u8 = 1;
/// Bytes of the tar.
const SEGMENT: u8 = 2;

#[derive(Serialize)]
struct Line<'a> {
    #[serde(rename = "type")]
    kind: u8,
    #[serde(skip_serializing_if = "str::is_empty")]
    name: &'a str,
    #[serde(skip_serializing_if = "is_zero")]
    size: u64,
    payload: Option<String>,
    position: u64,
}

fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// The line of bytes of the tar.
pub(super) fn segment(bytes: &[u8], position: u64) -> Vec<u8> {
    line(&Line { kind: SEGMENT, name: "", size: 0, payload: Some(STANDARD.encode(bytes)), position })
}

/// The line of the contents of a member; `crc` of those that there are.
pub(super) fn file(name: &str, size: u64, crc: Option<u64>, position: u64) -> Vec<u8> {
    let payload = crc.map(|crc| STANDARD.encode(crc.to_be_bytes()));
    line(&Line { kind: FILE, name, size, payload, position })
}

fn line(line: &Line<'_>) -> Vec<u8> {
    let mut bytes = serde_json::to_vec(line).expect("strings and numbers can be written");
    bytes.push(b'\n');
    bytes
}
