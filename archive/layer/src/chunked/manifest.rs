//! The manifest of a layer in zstd:chunked, JSON: what is in the tar, and where the contents are in the blob.
//!
//! `{"version": 1, "entries": […], "tarSplitDigest": "sha256:…"}`, an entry for each member of the tar in its order. A file
//! that is cut has one for its first chunk, which describes the file too, and one of type `chunk` for each further one. The
//! format is that of containers/storage, `pkg/chunked/internal/minimal/compression.go`.

use super::batch::FileSums;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use layerstone_store::Digest;
use layerstone_tar::{RawHeader, Timestamp};
use serde::Serialize;
use std::collections::BTreeMap;
use std::str;

/// A member of the tar, or a chunk of one. What is empty or 0 is left out, as Go does.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Entry<'a> {
    #[serde(rename = "type")]
    kind: &'a str,
    name: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    link_name: &'a str,
    #[serde(skip_serializing_if = "is_zero")]
    mode: i64,
    #[serde(skip_serializing_if = "is_zero")]
    size: i64,
    #[serde(skip_serializing_if = "is_zero")]
    uid: i64,
    #[serde(skip_serializing_if = "is_zero")]
    gid: i64,
    #[serde(rename = "modtime", skip_serializing_if = "Option::is_none")]
    mtime: Option<String>,
    #[serde(rename = "accesstime", skip_serializing_if = "Option::is_none")]
    atime: Option<String>,
    #[serde(rename = "changetime", skip_serializing_if = "Option::is_none")]
    ctime: Option<String>,
    #[serde(skip_serializing_if = "is_zero")]
    dev_major: i64,
    #[serde(skip_serializing_if = "is_zero")]
    dev_minor: i64,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    xattrs: BTreeMap<&'a str, String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    digest: Option<Digest>,
    #[serde(skip_serializing_if = "is_zero")]
    offset: i64,
    #[serde(skip_serializing_if = "is_zero")]
    end_offset: i64,
    #[serde(skip_serializing_if = "is_zero")]
    chunk_size: i64,
    #[serde(skip_serializing_if = "is_zero")]
    chunk_offset: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    chunk_digest: Option<Digest>,
}

fn is_zero(number: &i64) -> bool {
    *number == 0
}

/// Contents of a file that are a frame.
#[derive(Clone, Copy, Debug)]
pub(super) struct Chunk {
    /// Where the frame begins in the blob.
    pub offset: u64,
    /// Where it ends there.
    pub end: u64,
    /// Bytes of the file that it holds.
    pub size: u64,
    /// sha256 of these.
    pub digest: Digest,
}

impl<'a> Entry<'a> {
    /// The entry of a member without contents; none if the format has none for it.
    pub fn of(header: &'a RawHeader) -> Option<Entry<'a>> {
        let text = |bytes: &'a [u8]| str::from_utf8(bytes).ok();
        let xattr = |(name, value): (&'a Vec<u8>, &Vec<u8>)| Some((text(name)?, STANDARD.encode(value)));
        Some(Entry {
            kind: kind(header.typeflag)?,
            name: text(&header.name)?,
            link_name: text(&header.link_name)?,
            mode: header.mode,
            size: i64::try_from(header.size).ok()?,
            uid: header.uid,
            gid: header.gid,
            mtime: Some(rfc3339(header.mtime)?),
            atime: header.atime.map(|time| rfc3339(time).ok_or(())).transpose().ok()?,
            ctime: header.ctime.map(|time| rfc3339(time).ok_or(())).transpose().ok()?,
            dev_major: header.device.0,
            dev_minor: header.device.1,
            xattrs: header.xattrs.iter().map(xattr).collect::<Option<_>>()?,
            ..Entry::default()
        })
    }

    /// The entries of a file with contents.
    pub fn of_file(header: &'a RawHeader, sums: &FileSums, chunks: &[Chunk]) -> Option<Vec<Entry<'a>>> {
        let (first, last) = (chunks.first()?, chunks.last()?);
        let mut file = Entry { digest: Some(sums.0), ..Entry::of(header)? };
        (file.offset, file.end_offset) = (number(first.offset), number(last.end));
        if chunks.len() == 1 {
            return Some(vec![file]);
        }
        (file.chunk_size, file.chunk_digest) = (number(first.size), Some(first.digest));
        let (name, mut chunk_offset) = (file.name, first.size);
        let mut entries = vec![file];
        for chunk in &chunks[1..] {
            entries.push(Entry {
                kind: "chunk",
                name,
                offset: number(chunk.offset),
                chunk_size: number(chunk.size),
                chunk_offset: number(chunk_offset),
                chunk_digest: Some(chunk.digest),
                ..Entry::default()
            });
            chunk_offset += chunk.size;
        }
        // Without it the last chunk would be taken to end where the next file begins.
        if let Some(entry) = entries.last_mut() {
            entry.end_offset = number(last.end);
        }
        Some(entries)
    }
}

/// No file has more bytes than that.
fn number(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// What the manifest calls a type of member.
fn kind(typeflag: u8) -> Option<&'static str> {
    Some(match typeflag {
        b'0' => "reg",
        b'1' => "hardlink",
        b'2' => "symlink",
        b'3' => "char",
        b'4' => "block",
        b'5' => "dir",
        b'6' => "fifo",
        _ => return None,
    })
}

/// A time in UTC; none outside of the years that RFC 3339 has.
fn rfc3339((seconds, nanoseconds): Timestamp) -> Option<String> {
    let time = jiff::Timestamp::new(seconds, i32::try_from(nanoseconds).ok()?).ok()?.to_string();
    time.starts_with(|first: char| first.is_ascii_digit()).then_some(time)
}
