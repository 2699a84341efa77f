//! A tar opened for reading: its members by name, wherever they stand, links followed.
//!
//! What is compressed or comes through a pipe is unpacked into an anonymous temporary file first: members are asked for
//! in an order that need not be that of the tar.

use crate::tarinfo::{Member, read_members};
use crate::unpacked::{MaxUnpacked, Unpacked, unpack};
use crate::{Compression, Error, Result};
use layerstone_store::Error as StageError;
use layerstone_tar::Part;
use std::borrow::Cow;
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
    /// Whether bytes behind the compressed data were passed over that are more than padding.
    pub has_garbage: bool,
    /// The uncompressed tar.
    file: Arc<File>,
    members: Vec<Member>,
    /// Numbers of members in the order of their names, and those of one name in the order of the tar.
    by_name: Vec<u32>,
}

impl TarFile {
    /// Opens a tar; `-` is standard input.
    pub(crate) fn open(path: &Path, max: MaxUnpacked) -> Result<TarFile> {
        let Unpacked { file, compression, has_garbage } = open_uncompressed(path, max)?;
        let members = read_members(&mut &file).map_err(Error::archive(path))?;
        let mut by_name: Vec<u32> = (0..).take(members.len()).collect();
        by_name.sort_by(|&a, &b| normal(&members[a as usize].info.name).cmp(&normal(&members[b as usize].info.name)));
        Ok(TarFile { path: path.to_owned(), compression, has_garbage, file: Arc::new(file), members, by_name })
    }

    /// The member of a name; of several, the last one.
    pub(crate) fn member(&self, name: &str) -> Result<&Member> {
        let shown = || match name.is_empty() || name.trim() != name {
            true => format!("{name:?}"),
            false => name.escape_debug().to_string(),
        };
        self.find(name).ok_or_else(|| self.error(format!("found no {}", shown())))
    }

    /// The member of a name, if there is one.
    pub(crate) fn find(&self, name: &str) -> Option<&Member> {
        self.find_before(name.as_bytes(), self.members.len())
    }

    /// The last member of a name among so many first ones.
    fn find_before(&self, name: &[u8], count: usize) -> Option<&Member> {
        let name = normal(name);
        let member = |at: &u32| &self.members[*at as usize];
        let is_before = |at: &u32| (normal(&member(at).info.name), *at as usize) < (Cow::Borrowed(&name), count);
        let end = self.by_name.partition_point(is_before);
        let found = member(self.by_name.get(end.checked_sub(1)?)?);
        Some(found).filter(|found| normal(&found.info.name) == name)
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
            (info.linkname.clone(), link.number)
        } else {
            return Err(self.error(format!("found no regular file: {}", info.name.escape_ascii())));
        };
        let found = self.find_before(&target, before);
        let names = || format!("{} links to {}", info.name.escape_ascii(), info.linkname.escape_ascii());
        found.ok_or_else(|| self.error(format!("{}, which is not there", names())))
    }
}

/// A name without `.`, `..` and needless slashes.
fn normal(name: &[u8]) -> Cow<'_, [u8]> {
    let parts = || name.split(|&byte| byte == b'/');
    if parts().all(|part| !matches!(part, b"" | b"." | b"..")) {
        return Cow::Borrowed(name);
    }
    let mut normal = Vec::new();
    for part in parts() {
        match part {
            b"" | b"." => {}
            b".." => drop(normal.pop()),
            part => normal.push(part),
        }
    }
    Cow::Owned(normal.join(&b'/'))
}

/// A file that can be read at any place: the tar itself, or a temporary one with its contents.
fn open_uncompressed(path: &Path, max: MaxUnpacked) -> Result<Unpacked> {
    let read = StageError::io("read", path);
    if path == Path::new("-") {
        return unpack(io::stdin().lock(), path, max.of(None));
    }
    let open = || {
        let file = File::open(path)?;
        let metadata = file.metadata()?;
        let mut magic = [0; Compression::MAGIC_LEN];
        let is_plain = metadata.is_file() && {
            let read = file.read_at(&mut magic, 0)?;
            Compression::of(&magic[..read]) == Compression::None
        };
        Ok((file, metadata, is_plain))
    };
    let (file, metadata, is_plain) = open().map_err(read)?;
    if is_plain {
        return Ok(Unpacked { file, compression: Compression::None, has_garbage: false });
    }
    unpack(file, path, max.of(Some(metadata.len()).filter(|_| metadata.is_file())))
}
