//! Reads the manifest of a layer in zstd:chunked as a client does: which contents are where in its blob.
//!
//! Does not know tar-split, which says nothing of the blob.

use super::position::TablePosition;
use layerstone_store::{Digest, Limit, Limits};
use serde::Deserialize;
use std::io::Read;

/// What a layer holds, as its table says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ChunkTable {
    /// Its regular files that are not empty, in the order of the blob.
    pub files: Vec<ChunkedFile>,
    /// Bytes that a client reads before it knows any of this: the manifest and tar-split.
    pub size: u64,
}

/// A file of a layer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChunkedFile {
    /// sha256 of its contents.
    pub digest: Digest,
    /// The frames that hold them.
    pub chunks: Vec<Chunk>,
}

/// A frame with contents of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Chunk {
    /// sha256 of what it holds; none where that is the whole file.
    pub digest: Option<Digest>,
    /// Its first byte in the blob.
    pub offset: u64,
    /// The byte behind its last one.
    pub end: u64,
}

/// What is wrong with a table.
#[derive(Debug, thiserror::Error)]
#[error("not a good zstd:chunked table: {0}")]
pub struct TableError(String);

#[derive(Deserialize)]
struct Manifest {
    version: u64,
    entries: Vec<Entry>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Entry {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    size: u64,
    digest: Option<Digest>,
    #[serde(default)]
    offset: u64,
    #[serde(default)]
    end_offset: u64,
    chunk_digest: Option<Digest>,
    #[serde(default)]
    chunk_type: String,
}

impl ChunkTable {
    /// Reads the manifest that a blob has where the annotations of its layer say.
    ///
    /// # Errors
    ///
    /// It is not of the size or the sha256 that they say; it has more bytes than [`Limit::ChunkTable`]; it is no zstd, no JSON
    /// or of another version; or it has a file without a digest, or whose chunks are not one behind the other in front of
    /// the manifest.
    pub fn read(manifest: &[u8], position: &TablePosition, limits: &Limits) -> Result<ChunkTable, TableError> {
        if Digest::of(manifest) != position.checksum {
            let (found, expected) = (Digest::of(manifest), position.checksum);
            return Err(TableError(format!("found a manifest of {found}, expected {expected}")));
        }
        let text = unpack(manifest, position.manifest.plain_size, limits)?;
        let manifest: Manifest = serde_json::from_slice(&text).map_err(|error| TableError(error.to_string()))?;
        if manifest.version != 1 {
            return Err(TableError(format!("found version {}, expected 1", manifest.version)));
        }
        let files = files(&manifest.entries, position.manifest.offset)?;
        Ok(ChunkTable { files, size: position.manifest.size.saturating_add(position.tar_split.size) })
    }
}

fn unpack(manifest: &[u8], plain_size: u64, limits: &Limits) -> Result<Vec<u8>, TableError> {
    limits.check(Limit::ChunkTable, plain_size).map_err(|exceeded| TableError(exceeded.to_string()))?;
    let mut text = Vec::new();
    let read = zstd::stream::read::Decoder::new(manifest).and_then(|decoder| {
        // One more than there may be tells that there is more.
        decoder.take(plain_size.saturating_add(1)).read_to_end(&mut text)
    });
    read.map_err(|error| TableError(format!("cannot unpack the manifest: {error}")))?;
    if text.len() as u64 != plain_size {
        return Err(TableError(format!("found a manifest that is not of {plain_size} bytes")));
    }
    Ok(text)
}

fn files(entries: &[Entry], end: u64) -> Result<Vec<ChunkedFile>, TableError> {
    let mut files: Vec<ChunkedFile> = Vec::new();
    let mut is_open = false;
    for entry in entries {
        match entry.kind.as_str() {
            "chunk" if !is_open => return Err(TableError("found a chunk of no file".to_owned())),
            "chunk" => {}
            "reg" if entry.size > 0 => {
                let digest = entry.digest.ok_or_else(|| TableError("found a file without a digest".to_owned()))?;
                files.push(ChunkedFile { digest, chunks: Vec::new() });
            }
            _ => {
                is_open = false;
                continue;
            }
        }
        is_open = true;
        let file = files.last_mut().expect("a file is open");
        // Zeros that no client fetches.
        let digest = if entry.chunk_type == "zeros" { None } else { entry.chunk_digest };
        file.chunks.push(Chunk { digest, offset: entry.offset, end: entry.end_offset });
    }
    close(&mut files, end)?;
    Ok(files)
}

/// Fills in where chunks end: at the next one of the file; the last one where its entry says, or else where the next file
/// begins, as containers/storage has it (`mergeTocEntries`).
fn close(files: &mut [ChunkedFile], mut end: u64) -> Result<(), TableError> {
    for file in files.iter_mut().rev() {
        let stated = file.chunks.last().map_or(0, |chunk| chunk.end);
        let mut next = if stated == 0 { end } else { stated };
        if next > end {
            return Err(TableError(format!("found contents that end at {next}, expected at most {end}")));
        }
        for chunk in file.chunks.iter_mut().rev() {
            if chunk.offset >= next || chunk.offset == 0 {
                return Err(TableError(format!("found contents at {}, expected less than {next}", chunk.offset)));
            }
            chunk.end = next;
            next = chunk.offset;
        }
        end = next;
    }
    Ok(())
}
