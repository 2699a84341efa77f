//! A docker archive opened for reading: its members, and the images that its manifest.json lists.
//!
//! What is compressed or comes through a pipe is unpacked into an anonymous temporary file first: layers are asked for
//! in the manifest's order, which need not be that of the archive.

use crate::decompression::MAGIC_LEN;
use crate::manifest::MANIFEST_NAME;
use crate::tarinfo::{Member, read_members};
use crate::{Compression, Error, Result};
use layerstone_stage::Error as StageError;
use serde::Deserialize;
use serde_json::Value;
use std::fs::File;
use std::io::{self, BufReader, Cursor, Read};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

/// Most bytes of a JSON member; those of real images have kilobytes.
const MAX_JSON: u64 = 64 << 20;
/// Links followed before a chain counts as a loop.
const MAX_LINKS: usize = 40;

/// An archive and its table of contents.
#[derive(Debug)]
pub(crate) struct DockerArchive {
    pub path: PathBuf,
    pub compression: Compression,
    /// The uncompressed tar.
    pub file: File,
    members: Vec<Member>,
    pub images: Vec<ManifestEntry>,
}

/// One image in manifest.json (moby, image/spec/v1.2.md).
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct ManifestEntry {
    pub config: String,
    #[serde(default)]
    repo_tags: Option<Vec<String>>,
    #[serde(default)]
    layers: Option<Vec<String>>,
}

impl ManifestEntry {
    pub(crate) fn repo_tags(&self) -> &[String] {
        self.repo_tags.as_deref().unwrap_or_default()
    }

    /// Names of the layers' members, bottom first.
    pub(crate) fn layers(&self) -> &[String] {
        self.layers.as_deref().unwrap_or_default()
    }
}

impl DockerArchive {
    /// Opens an archive; `-` is standard input.
    pub(crate) fn open(path: &Path) -> Result<DockerArchive> {
        let (file, compression) = open_uncompressed(path)?;
        let members = read_members(&mut &file).map_err(Error::archive(path))?;
        let mut archive = DockerArchive { path: path.to_owned(), compression, file, members, images: Vec::new() };
        let manifest = archive.json(MANIFEST_NAME)?;
        archive.images =
            serde_json::from_value(manifest).map_err(|e| archive.error(format!("{MANIFEST_NAME}: {e}")))?;
        if archive.images.is_empty() {
            return Err(archive.error(format!("{MANIFEST_NAME}: found no image")));
        }
        Ok(archive)
    }

    /// The member of a name; of several, the last one.
    pub(crate) fn member(&self, name: &str) -> Result<&Member> {
        let name = name.trim_end_matches('/').as_bytes();
        let found = self.members.iter().rfind(|member| member.info.name == name);
        found.ok_or_else(|| self.error(format!("found no {}", name.escape_ascii())))
    }

    /// The regular file that a member is or links to: a symbolic link to any member, a hard link to an earlier one.
    pub(crate) fn contents<'a>(&'a self, member: &'a Member) -> Result<&'a Member> {
        let mut at = member;
        for _ in 0..MAX_LINKS {
            if at.info.has_contents() {
                return Ok(at);
            }
            at = self.link_target(at)?;
        }
        Err(self.error(format!("too many links: {}", member.info.name.escape_ascii())))
    }

    /// Bytes of a small member.
    pub(crate) fn bytes(&self, name: &str) -> Result<Vec<u8>> {
        let member = self.contents(self.member(name)?)?;
        if member.info.size > MAX_JSON {
            return Err(self.error(format!("{name}: found {} bytes, expected at most {MAX_JSON}", member.info.size)));
        }
        let mut bytes = vec![0; member.info.size as usize];
        self.file.read_exact_at(&mut bytes, member.offset).map_err(Error::archive(&self.path))?;
        Ok(bytes)
    }

    /// A small member as JSON.
    pub(crate) fn json(&self, name: &str) -> Result<Value> {
        serde_json::from_slice(&self.bytes(name)?).map_err(|e| self.error(format!("{name}: not JSON: {e}")))
    }

    /// An error about this archive.
    pub(crate) fn error(&self, cause: String) -> Error {
        Error::NotDockerArchive { path: self.path.clone(), cause }
    }

    fn link_target(&self, link: &Member) -> Result<&Member> {
        let info = &link.info;
        let (target, before) = if info.is_symlink() {
            let folder = info.name.rsplitn(2, |&byte| byte == b'/').nth(1).unwrap_or_default();
            let joined = if info.linkname.starts_with(b"/") { &[][..] } else { folder };
            ([joined, b"/", &info.linkname].concat(), self.members.len())
        } else if info.is_hard_link() {
            let is_link = |member: &Member| std::ptr::eq(member, link);
            (info.linkname.clone(), self.members.iter().position(is_link).unwrap_or(self.members.len()))
        } else {
            return Err(self.error(format!("found no regular file: {}", info.name.escape_ascii())));
        };
        let target = normal(&target);
        let found = self.members[..before].iter().rfind(|member| normal(&member.info.name) == target);
        let names = || format!("{} links to {}", info.name.escape_ascii(), info.linkname.escape_ascii());
        found.ok_or_else(|| self.error(format!("{}, which is not there", names())))
    }
}

/// Parts of a name without `.`, `..` and needless slashes.
fn normal(name: &[u8]) -> Vec<&[u8]> {
    let mut parts = Vec::new();
    for part in name.split(|&byte| byte == b'/') {
        match part {
            b"" | b"." => {}
            b".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    parts
}

/// A file that can be read at any place: the archive itself, or a temporary one with its contents.
fn open_uncompressed(path: &Path) -> Result<(File, Compression)> {
    if path == Path::new("-") {
        return unpack(io::stdin().lock(), path);
    }
    let mut file = File::open(path).map_err(StageError::io("read", path))?;
    if !file.metadata().map_err(StageError::io("read", path))?.is_file() {
        return unpack(file, path);
    }
    let mut magic = [0; MAGIC_LEN];
    let read = file.read_at(&mut magic, 0).map_err(StageError::io("read", path))?;
    match Compression::of(&magic[..read]) {
        Compression::None => Ok((file, Compression::None)),
        _ => unpack(&mut file, path),
    }
}

fn unpack(mut input: impl Read, path: &Path) -> Result<(File, Compression)> {
    let unpack = || {
        let mut magic = Vec::new();
        input.by_ref().take(MAGIC_LEN as u64).read_to_end(&mut magic)?;
        let compression = Compression::of(&magic);
        let mut file = tempfile::tempfile()?;
        let whole = BufReader::with_capacity(1 << 16, Cursor::new(magic).chain(input));
        io::copy(&mut compression.reader(whole)?, &mut file)?;
        Ok((file, compression))
    };
    Ok(unpack().map_err(StageError::io("unpack", path))?)
}
