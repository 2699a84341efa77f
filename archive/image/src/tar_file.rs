//! A tar opened for reading: its members by name, wherever they stand, links followed.
//!
//! What is compressed or comes through a pipe is unpacked into an anonymous temporary file first: members are asked for
//! in an order that need not be that of the tar.

use crate::decompression::MAGIC_LEN;
use crate::tarinfo::{Member, read_members};
use crate::unpacked::{MaxUnpacked, unpack};
use crate::{Compression, Error, Result};
use layerstone_layer::Part;
use layerstone_stage::Error as StageError;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Links followed before a chain counts as a loop.
const MAX_LINKS: usize = 40;

/// A tar and its table of contents.
#[derive(Debug)]
pub(crate) struct TarFile {
    pub path: PathBuf,
    pub compression: Compression,
    /// The uncompressed tar.
    file: Arc<File>,
    members: Vec<Member>,
}

impl TarFile {
    /// Opens a tar; `-` is standard input.
    pub(crate) fn open(path: &Path, max: MaxUnpacked) -> Result<TarFile> {
        let (file, compression) = open_uncompressed(path, max)?;
        let members = read_members(&mut &file).map_err(Error::archive(path))?;
        Ok(TarFile { path: path.to_owned(), compression, file: Arc::new(file), members })
    }

    /// The member of a name; of several, the last one.
    pub(crate) fn member(&self, name: &str) -> Result<&Member> {
        self.find(name).ok_or_else(|| self.error(format!("found no {}", name.escape_debug())))
    }

    /// The member of a name, if there is one.
    pub(crate) fn find(&self, name: &str) -> Option<&Member> {
        let name = normal(name.as_bytes());
        self.members.iter().rfind(|member| normal(&member.info.name) == name)
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

    /// The contents of a member, which messages call by the tar and this name; `name` alone where the tar has one name.
    pub(crate) fn part(&self, name: &str) -> Result<Part> {
        let member = self.contents(self.member(name)?)?;
        Ok(self.section(name, member.offset, member.info.size))
    }

    /// Some bytes of the tar.
    pub(crate) fn section(&self, name: &str, offset: u64, size: u64) -> Part {
        let mut label = self.path.clone().into_os_string();
        label.push(format!(": {name}"));
        Part::new(Arc::clone(&self.file), label, offset, size)
    }

    /// An error about this archive.
    pub(crate) fn error(&self, cause: String) -> Error {
        Error::NotAnImage { path: self.path.clone(), cause }
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

/// A file that can be read at any place: the tar itself, or a temporary one with its contents.
fn open_uncompressed(path: &Path, max: MaxUnpacked) -> Result<(File, Compression)> {
    let read = StageError::io("read", path);
    if path == Path::new("-") {
        return unpack(io::stdin().lock(), path, max.of(None));
    }
    let open = || {
        let file = File::open(path)?;
        let metadata = file.metadata()?;
        let mut magic = [0; MAGIC_LEN];
        let is_plain = metadata.is_file() && {
            let read = file.read_at(&mut magic, 0)?;
            Compression::of(&magic[..read]) == Compression::None
        };
        Ok((file, metadata, is_plain))
    };
    let (file, metadata, is_plain) = open().map_err(read)?;
    if is_plain {
        return Ok((file, Compression::None));
    }
    unpack(file, path, max.of(Some(metadata.len()).filter(|_| metadata.is_file())))
}
