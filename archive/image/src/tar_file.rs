//! Opens a tar and finds its members by name, links followed. Does not know the rules for headers: its caller reads them, as
//! docker does for images, or as Python does for the base of nixpkgs' script.
//!
//! A compressed tar, or one from a pipe, is unpacked into an anonymous temporary file first, since its members are read in
//! any order.

use crate::header_bounds::HeaderBounds;
use crate::unpacked::{Unpacked, unpack};
use crate::{Compression, Error, Result};
use layerstone_store::{Error as StageError, Found, Limit, Limits, Stop, Walk};
use layerstone_tar::{ArchiveMember, BLOCK, Kind, Members, Part, clean_name};
use std::borrow::Cow;
use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, BufReader};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Bytes read at a time for headers; contents are passed over, so that more would be read in vain.
const HEADERS: usize = 16 * 1024;

/// A tar and its table of contents.
#[derive(Debug)]
pub struct TarFile {
    pub(crate) path: PathBuf,
    pub(crate) compression: Compression,
    /// Whether bytes behind the compressed data were passed over that are more than padding.
    pub(crate) has_garbage: bool,
    /// What may be read of it.
    pub(crate) limits: Limits,
    /// Whether anything stands behind the last member, as the zeros that end a tar do: what was cut between two members
    /// has nothing there.
    pub(crate) has_end: bool,
    /// The uncompressed tar.
    file: Arc<File>,
    members: Vec<ArchiveMember>,
    /// Numbers of members in the order of their names, and those of one name in the order of the tar.
    by_name: Vec<u32>,
}

impl TarFile {
    /// Opens a tar of which `read` finds the members, compressed or not; `-` is standard input.
    ///
    /// # Errors
    ///
    /// It cannot be read, unpacks to more than it may, or `read` finds that it is no good tar (`InvalidData`,
    /// `UnexpectedEof`).
    pub fn open(
        path: &Path,
        limits: Limits,
        read: impl FnOnce(&Part, HeaderBounds) -> io::Result<Vec<ArchiveMember>>,
    ) -> Result<TarFile> {
        let Unpacked { file, compression, has_garbage } = open_uncompressed(path, limits)?;
        let size = file.metadata().map_err(StageError::io("read", path))?.len();
        let file = Arc::new(file);
        let tar = Part::new(Arc::clone(&file), path, 0, size);
        let members = read(&tar, HeaderBounds::new(limits)).map_err(Error::archive(path))?;
        let mut by_name: Vec<u32> = (0..).take(members.len()).collect();
        by_name.sort_by(|&a, &b| normal(&members[a as usize].name).cmp(&normal(&members[b as usize].name)));
        let has_end = size > members.last().map_or(0, end);
        Ok(TarFile { path: path.to_owned(), compression, has_garbage, limits, has_end, file, members, by_name })
    }

    /// The number of the member of a name, as it stands in the tar; of several, the last one.
    ///
    /// # Errors
    ///
    /// There is none.
    pub fn member(&self, name: &str) -> Result<usize> {
        let shown = || match name.is_empty() || name.trim() != name {
            true => format!("{name:?}"),
            false => name.escape_debug().to_string(),
        };
        self.find(name).ok_or_else(|| self.error(format!("found no {}", shown())))
    }

    /// The member of a name, if there is one.
    pub(crate) fn find(&self, name: &str) -> Option<usize> {
        self.find_before(name.as_bytes(), self.members.len())
    }

    /// The last member of a name among so many first ones.
    fn find_before(&self, name: &[u8], count: usize) -> Option<usize> {
        let name = normal(name);
        let name_of = |at: u32| normal(&self.members[at as usize].name);
        let is_before = |at: &u32| (name_of(*at), *at as usize) < (Cow::Borrowed(&name), count);
        let end = self.by_name.partition_point(is_before);
        let found = *self.by_name.get(end.checked_sub(1)?)?;
        Some(found as usize).filter(|_| name_of(found) == name)
    }

    /// The regular file that a member is or links to, called `name` in messages: a symbolic link leads to any member, a
    /// hard link to an earlier one. A link names a member, and no directory above it is a link.
    ///
    /// # Errors
    ///
    /// The member leads to none.
    pub fn contents(&self, number: usize, name: &str) -> Result<Part> {
        // The member that was found last, and how many members a link of it may lead to.
        let (mut at, mut count) = (number, number + 1);
        let mut walk = Walk::new("", "", as_path(&normal(&self.members[number].name)));
        let mut is_done = false;
        while !is_done {
            let is_last = walk.left().nth(1).is_none();
            let step = walk.step(|name| {
                if !is_last {
                    return Ok(Found::Directory);
                }
                at = self.find_before(name.as_os_str().as_bytes(), count).ok_or_else(|| self.dangling(at))?;
                count = if let Kind::HardLink { .. } = self.members[at].kind { at } else { self.members.len() };
                Ok(followed(&self.members[at]))
            });
            is_done = !step.map_err(|stop| match stop {
                Stop::Lookup(error) => error,
                _ => self.error(format!("too many links: {}", self.members[number].name.escape_ascii())),
            })?;
        }
        let ArchiveMember { name: found, kind, offset } = &self.members[at];
        let size = match kind {
            Kind::File { size } => size,
            // To the root, which is no member.
            Kind::Symlink { .. } | Kind::HardLink { .. } => return Err(self.dangling(at)),
            _ => return Err(self.error(format!("found no regular file: {}", found.escape_ascii()))),
        };
        let mut label = self.path.clone().into_os_string();
        label.push(format!(": {name}"));
        Ok(Part::new(Arc::clone(&self.file), label, *offset, *size))
    }

    /// The contents of the member of a name.
    pub(crate) fn part(&self, name: &str) -> Result<Part> {
        self.contents(self.member(name)?, name)
    }

    /// An error about this archive.
    pub fn error(&self, cause: String) -> Error {
        Error::NotAnImage { path: self.path.clone(), cause }
    }

    /// The error that a link leads to no member.
    fn dangling(&self, number: usize) -> Error {
        let ArchiveMember { name, kind, .. } = &self.members[number];
        let (name, target) = (name.escape_ascii(), kind.target().escape_ascii());
        self.error(format!("{name} links to {target}, which is not there"))
    }
}

/// What a walk finds at a member; links lead to full names.
fn followed(ArchiveMember { name, kind, .. }: &ArchiveMember) -> Found {
    let directory = match kind {
        Kind::Symlink { target } if !target.starts_with(b"/") => name.rsplitn(2, |&byte| byte == b'/').nth(1),
        Kind::Symlink { .. } | Kind::HardLink { .. } => None,
        _ => return Found::Other,
    };
    let target = [directory.unwrap_or_default(), b"/", kind.target()].concat();
    Found::Symlink(Path::new("/").join(as_path(&normal(&target))))
}

fn as_path(bytes: &[u8]) -> &Path {
    Path::new(OsStr::from_bytes(bytes))
}

/// The members of a tar by the rules of Go, as docker reads them.
pub(crate) fn read_members(tar: &Part, mut bounds: HeaderBounds) -> io::Result<Vec<ArchiveMember>> {
    let mut members = Members::new(BufReader::with_capacity(HEADERS, tar.reader()), *bounds.limits());
    let mut found = Vec::new();
    loop {
        let member = match members.next_archive_member() {
            Ok(Some(member)) => member,
            // docker takes what is cut so for complete.
            Ok(None) if !members.end().is_multiple_of(BLOCK as u64) => {
                return Err(damaged("the archive ends in the padding of its last member"));
            }
            Ok(None) => return Ok(found),
            Err(e)
                if e.raw_os_error().is_none()
                    && !members.has_headers()
                    && Limit::of_message(&e.to_string()).is_none() =>
            {
                return Err(damaged("found no tar header"));
            }
            Err(e) => return Err(e),
        };
        bounds.count()?;
        bounds.check_extensions(members.position(), member.offset - BLOCK as u64)?;
        bounds.keep(member.name.len() + member.kind.target().len())?;
        members.pass_contents()?;
        found.push(member);
    }
}

/// Where a member ends, its padding counted.
fn end(member: &ArchiveMember) -> u64 {
    let size = if let Kind::File { size } = member.kind { size } else { 0 };
    (member.offset + size).next_multiple_of(BLOCK as u64)
}

fn damaged(cause: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, cause)
}

/// A name without `.`, `..` and needless slashes.
fn normal(name: &[u8]) -> Cow<'_, [u8]> {
    let is_normal = name.split(|&byte| byte == b'/').all(|part| !matches!(part, b"" | b"." | b".."));
    if is_normal { name.into() } else { clean_name(name).into() }
}

/// A file that can be read at any offset: the tar itself, or a temporary one with its contents.
fn open_uncompressed(path: &Path, limits: Limits) -> Result<Unpacked> {
    let read = StageError::io("read", path);
    if path == Path::new("-") {
        return unpack(io::stdin().lock(), path, limits.unpacked(None));
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
    unpack(file, path, limits.unpacked(Some(metadata.len()).filter(|_| metadata.is_file())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    /// A member with fields of its own.
    fn member(name: &str, typeflag: u8, link: &str, contents: &[u8]) -> Vec<u8> {
        let mut header = tar::Header::new_ustar();
        header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
        header.as_old_mut().linkname[..link.len()].copy_from_slice(link.as_bytes());
        header.set_entry_type(tar::EntryType::new(typeflag));
        header.set_size(contents.len() as u64);
        header.set_mode(0o644);
        header.set_cksum();
        let mut bytes = header.as_bytes().to_vec();
        bytes.extend_from_slice(contents);
        bytes.resize(bytes.len().next_multiple_of(BLOCK), 0);
        bytes
    }

    fn open(parts: &[Vec<u8>]) -> Result<TarFile, String> {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(&parts.concat()).unwrap();
        let path = file.path().display().to_string();
        let opened = TarFile::open(file.path(), Limits::default(), read_members);
        opened.map_err(|e| e.to_string().replace(&format!("not an image: {path}: "), ""))
    }

    fn contents(tar: &TarFile, name: &str) -> Result<String, String> {
        let mut text = String::new();
        let part = tar.part(name).map_err(|e| e.to_string())?;
        io::Read::read_to_string(&mut part.reader(), &mut text).unwrap();
        Ok(text)
    }

    #[test]
    fn by_name_and_through_links() {
        let parts = [
            member("./a", b'0', "", b"1"),
            member("d/l", b'2', "../a", b""),
            member("h", b'1', "a", b""),
            member("a", b'0', "", b"2"),
            member("dir/", b'5', "", b""),
        ];
        let tar = open(&parts).unwrap();
        for (name, expected) in [("a", "2"), ("/x/.././a", "2"), ("d/l", "2"), ("h", "1")] {
            assert_eq!(contents(&tar, name).unwrap(), expected, "{name}");
        }
        assert!(contents(&tar, "dir").unwrap_err().ends_with(": found no regular file: dir"));
        assert!(contents(&tar, "b").unwrap_err().ends_with(": found no b"));
    }

    #[test]
    fn links_to_nowhere() {
        let parts = [
            member("loop", b'2', "pool", b""),
            member("pool", b'2', "/loop", b""),
            member("early", b'1', "a", b""),
            member("d", b'2', "e", b""),
            member("empty", b'2', "", b""),
            member("e/a", b'0', "", b"3"),
            member("through", b'2', "d/a", b""),
            member("a", b'0', "", b"2"),
            member("late", b'1', "through", b""),
        ];
        let tar = open(&parts).unwrap();
        for (name, cause) in [
            ("loop", ": too many links: loop"),
            ("early", ": early links to a, which is not there"),
            ("late", ": through links to d/a, which is not there"),
            ("d", ": d links to e, which is not there"),
            ("empty", ": empty links to , which is not there"),
        ] {
            let error = contents(&tar, name).unwrap_err();
            assert!(error.ends_with(cause), "{error}");
        }
    }

    /// Where Go's reader decides otherwise than Python's.
    #[test]
    fn as_docker_reads() {
        let named = [member("g", b'g', "", b"10 path=b\n"), member("a", b'0', "", b"1")];
        assert_eq!(contents(&open(&named).unwrap(), "a").unwrap(), "1");
        let [a, b] = ["a", "b"].map(|name| member(name, b'0', "", b""));
        let error = open(&[a, vec![0; BLOCK], b]).unwrap_err();
        assert!(error.ends_with("found a header after a block of zeros, expected a second one"), "{error}");
        let error = open(&[member("x", b'x', "", b"9 uid=x1\n"), member("a", b'0', "", b"")]).unwrap_err();
        assert!(error.ends_with("a PAX record holds no number or time where one must be"), "{error}");
        let error = open(&[
            member("x", b'x', "", b"22 GNU.sparse.major=1\n22 GNU.sparse.minor=0\n27 GNU.sparse.realsize=512\n"),
            member("a", b'0', "", &[&b"0\n"[..], &[0; 510]].concat()),
        ])
        .unwrap_err();
        assert!(error.ends_with("found a sparse member, expected a plain one"), "{error}");
    }

    #[test]
    fn what_is_cut() {
        let complete = member("a", b'0', "", b"1");
        for (length, cause) in [
            (BLOCK - 1, "found no tar header"),
            (BLOCK, "not a whole tar: header at byte 0: the input ends at byte 512"),
            (BLOCK + 1, "the archive ends in the padding of its last member"),
        ] {
            assert_eq!(open(&[complete[..length].to_vec()]).unwrap_err(), cause);
        }
        assert_eq!(contents(&open(&[complete]).unwrap(), "a").unwrap(), "1");
    }

    #[test]
    fn what_is_no_tar() {
        for bytes in [&b"hello"[..], &[b'x'; 2000]] {
            assert_eq!(open(&[bytes.to_vec()]).unwrap_err(), "found no tar header");
        }
        assert!(contents(&open(&[]).unwrap(), "a").unwrap_err().ends_with(": found no a"));
    }
}
