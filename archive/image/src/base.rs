//! The image that another one is built on: its config, and its layers copied as nixpkgs' `stream_layered_image.py`
//! copies them.
//!
//! It is the first image that the archive's manifest lists. Diff IDs are taken from its config without looking at the
//! layers, which may be compressed; a layer that is a link stays one.

use crate::config::{merge_env, paths_comment};
use crate::docker_archive::DockerArchive;
use crate::{LayerFacts, Result};
use layerstone_layer::BLOCK;
use layerstone_stage::Digest;
use serde_json::Value;
use std::fs::File;
use std::io::{self, Cursor, Read};
use std::os::unix::fs::FileExt;
use std::path::Path;

/// A base image.
#[derive(Debug)]
pub struct Base {
    archive: DockerArchive,
    config: Value,
    members: Vec<BaseMember>,
}

/// One layer of a base image, as a member of the new archive.
#[derive(Debug)]
struct BaseMember {
    facts: LayerFacts,
    header: Vec<u8>,
    /// Where the contents are in the base.
    offset: u64,
    /// Bytes of contents; 0 for a link.
    size: u64,
}

impl Base {
    /// Opens a docker archive: plain, gzip, bzip2, xz or zstd; `-` is standard input.
    pub fn open(path: &Path) -> Result<Base> {
        let archive = DockerArchive::open(path)?;
        let image = &archive.images[0];
        let config = archive.json(&image.config)?;
        let diff_ids = diff_ids(&config).map_err(|cause| archive.error(format!("{}: {cause}", image.config)))?;
        let layers = image.layers();
        if diff_ids.len() != layers.len() {
            let (found, expected) = (layers.len(), diff_ids.len());
            return Err(archive.error(format!("found {found} layers, expected {expected} as the config has diff IDs")));
        }
        let member = |(name, diff_id): (&String, Digest)| member(&archive, name, diff_id);
        let members: Result<_> = layers.iter().zip(diff_ids).map(member).collect();
        Ok(Base { members: members?, archive, config })
    }

    /// The whole image config.
    pub fn config(&self) -> &Value {
        &self.config
    }

    /// How many layers it has.
    pub fn layer_count(&self) -> usize {
        self.members.len()
    }

    /// What the new image says about the layers, bottom first.
    pub fn layers(&self) -> impl Iterator<Item = &LayerFacts> {
        self.members.iter().map(|member| &member.facts)
    }

    /// How many bytes a layer's member takes in the new archive, headers and padding included.
    pub fn member_size(&self, index: usize) -> u64 {
        let member = &self.members[index];
        member.header.len() as u64 + member.size.next_multiple_of(BLOCK as u64)
    }

    /// Reads a layer's member for the new archive: header in Python's PAX dialect, contents, padding. Reads at places
    /// of its own, so several may be read at the same time.
    pub fn member_reader(&self, index: usize) -> impl Read + Send + '_ {
        let member = &self.members[index];
        let padding = member.size.next_multiple_of(BLOCK as u64) - member.size;
        let contents = Section { file: &self.archive.file, at: member.offset, end: member.offset + member.size };
        Cursor::new(&member.header).chain(contents).chain(io::repeat(0).take(padding))
    }

    /// Puts the base's environment under that of `config`.
    pub(crate) fn merge_env(&self, config: Value) -> Result<Value, String> {
        merge_env(self.config.get("config").unwrap_or(&Value::Null), config)
    }
}

fn diff_ids(config: &Value) -> Result<Vec<Digest>, String> {
    let diff_ids = config.pointer("/rootfs/diff_ids").cloned().ok_or("found no rootfs.diff_ids")?;
    serde_json::from_value(diff_ids).map_err(|e| format!("rootfs.diff_ids: {e}"))
}

fn member(archive: &DockerArchive, name: &str, diff_id: Digest) -> Result<BaseMember> {
    let member = archive.member(name)?;
    let contents = archive.contents(member)?;
    let size = member.info.size;
    if size > contents.info.size {
        let found = contents.info.size;
        return Err(archive.error(format!("{name}: found {found} bytes where it links to, expected {size}")));
    }
    let name = name.trim_end_matches('/');
    Ok(BaseMember {
        facts: LayerFacts { diff_id, name: name.to_owned(), comment: paths_comment(&[name]) },
        header: member.info.header(),
        offset: contents.offset,
        size,
    })
}

/// A part of a file, front to back.
struct Section<'a> {
    file: &'a File,
    at: u64,
    end: u64,
}

impl Read for Section<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let want = buffer.len().min(usize::try_from(self.end - self.at).unwrap_or(usize::MAX));
        let read = self.file.read_at(&mut buffer[..want], self.at)?;
        if read == 0 && want > 0 {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the base image became shorter"));
        }
        self.at += read as u64;
        Ok(read)
    }
}
