//! Reads the members of an existing layer, whoever made it: what their headers say, as docker reads them.
//!
//! What a doubtful header means is decided by the reader that [`tarsum`](crate::tarsum()) uses, which follows Go's.

use crate::header::{HeaderFields, Records, XATTR, append_pax};
use crate::tarsum::{self, Archive, clean_name};
use crate::{FileMeta, Kind};
use layerstone_store::{Limit, Limits};
use std::io::{self, Read, Seek, Write};

/// Bytes of contents that are copied at a time.
const COPIED: usize = 64 << 10;

/// What the header of a layer's member says of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Its name below the root of the image: no slash at either end, no empty, `.` or `..` component; empty for the
    /// root itself.
    pub name: Vec<u8>,
    /// What it is; a file's size counts holes, and a hard link's target is a name such as its own. Type flags that POSIX
    /// does not know are those of regular files.
    pub kind: Kind,
    /// Permission bits, 07777 at most.
    pub mode: u32,
    /// User id.
    pub uid: u32,
    /// Group id.
    pub gid: u32,
}

/// A member of an archive that is looked into and never unpacked, such as a tar of images: found by its name, which leads
/// nowhere and so may be any.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ArchiveMember {
    /// Its name as the header has it; a directory's without slashes at its end.
    pub name: Vec<u8>,
    /// What it is; the targets of links are as the header has them.
    pub kind: Kind,
    /// Where its contents begin, in bytes.
    pub offset: u64,
}

impl Member {
    /// Whether it is a directory.
    pub fn is_directory(&self) -> bool {
        self.kind == Kind::Directory
    }

    /// Bytes of its contents, holes included; 0 for all that is no regular file.
    pub fn size(&self) -> u64 {
        self.kind.size()
    }

    /// The member of a header, or what is wrong with it.
    fn of(header: &tarsum::Member, limits: &Limits) -> Result<Member, String> {
        let below_root = |what: &str, name: &[u8]| of_length(what, &below_root(what, name)?, limits);
        let name = below_root("name", &header.name)?;
        let kind = kind(header, below_root, |what, name| of_length(what, name, limits))?;
        let around = name.iter().filter(|&&byte| byte == b'/').count() as u64;
        limits.check(Limit::Depth, around + u64::from(kind == Kind::Directory))?;
        Ok(Member {
            name,
            kind,
            mode: number("mode", header.mode)? & 0o7777,
            uid: number("user id", header.uid)?,
            gid: number("group id", header.gid)?,
        })
    }
}

/// What a header says that a member is; these say what becomes of the targets of hard and of symbolic links.
fn kind(
    header: &tarsum::Member,
    hard_link: impl Fn(&str, &[u8]) -> Result<Vec<u8>, String>,
    symlink: impl Fn(&str, &[u8]) -> Result<Vec<u8>, String>,
) -> Result<Kind, String> {
    let device = || Ok::<_, String>((number("major", header.device.0)?, number("minor", header.device.1)?));
    Ok(match header.typeflag {
        b'1' => Kind::HardLink { target: hard_link("hard link target", &header.link_name)?.into() },
        b'2' => Kind::Symlink { target: symlink("link target", &header.link_name)?.into() },
        b'3' => device().map(|(major, minor)| Kind::CharDevice { major, minor })?,
        b'4' => device().map(|(major, minor)| Kind::BlockDevice { major, minor })?,
        b'5' => Kind::Directory,
        b'6' => Kind::Fifo,
        _ => Kind::File { size: u64::try_from(header.size).unwrap_or(0) },
    })
}

/// A name without `.`, `..` and slashes that mean nothing, unless one of its components leads out of the image. A slash in front
/// is the root of the image: layers of nixpkgs have it.
fn below_root(what: &str, name: &[u8]) -> Result<Vec<u8>, String> {
    let mut depth = 0_usize;
    for part in name.split(|&byte| byte == b'/') {
        depth = match part {
            b"" | b"." => depth,
            b".." => depth
                .checked_sub(1)
                .ok_or_else(|| format!("found the {what} {}, which leads out of the image", name.escape_ascii()))?,
            _ => depth + 1,
        };
    }
    Ok(clean_name(name))
}

/// A name that is not longer than any file's.
fn of_length(what: &str, name: &[u8], limits: &Limits) -> Result<Vec<u8>, String> {
    limits.check(Limit::Name, name.len() as u64).map_err(|exceeded| format!("a {what}: {exceeded}"))?;
    Ok(name.to_vec())
}

fn number(what: &str, number: i64) -> Result<u32, String> {
    u32::try_from(number).map_err(|_| format!("found the {what} {number}, expected 0 to {}", u32::MAX))
}

/// The members of a tar, from front to back.
#[derive(Debug)]
pub struct Members<R> {
    archive: Archive<R>,
    /// The header of the member that was read last.
    header: tarsum::Member,
}

impl<R: Read> Members<R> {
    /// Reads an uncompressed tar; best from a buffer, since headers are short.
    pub fn new(tar: R, limits: Limits) -> Members<R> {
        Members { archive: Archive::new(tar, limits), header: tarsum::Member::default() }
    }

    /// The next member; none at the end. Contents are read and dropped.
    ///
    /// # Errors
    ///
    /// What reading gives; `UnexpectedEof` if the tar ends inside a header or a member's contents; `InvalidData`, with
    /// the position of the member, if its header is none, if its name or a hard link's target leads out of the image, if a
    /// name or target has more than 4096 bytes, if its mode, owner or device numbers are negative or have more than 32
    /// bits, or if there are more than 2,000,000 members.
    pub fn next_member(&mut self) -> io::Result<Option<Member>> {
        match self.next_header()? {
            true => Member::of(&self.header, &self.archive.limits).map(Some).map_err(|cause| self.invalid(&cause)),
            false => Ok(None),
        }
    }

    /// The next member as one of an archive; none at the end. Contents are read and dropped.
    ///
    /// # Errors
    ///
    /// As [`next_member`](Members::next_member), but names may be any; and `InvalidData` if it has holes.
    pub fn next_archive_member(&mut self) -> io::Result<Option<ArchiveMember>> {
        if !self.next_header()? {
            return Ok(None);
        }
        if self.archive.holes().is_some() {
            return Err(self.invalid("found a sparse member, expected a plain one"));
        }
        let target = |_: &str, name: &[u8]| Ok(name.to_vec());
        let kind = kind(&self.header, target, target).map_err(|cause| self.invalid(&cause))?;
        let mut name = self.header.name.clone();
        while kind == Kind::Directory && name.ends_with(b"/") {
            name.pop();
        }
        Ok(Some(ArchiveMember { name, kind, offset: self.archive.offset }))
    }

    /// Goes on to the next header of a member; false at the end. One that describes all later ones is none.
    fn next_header(&mut self) -> io::Result<bool> {
        while let Some(found) = self.archive.next_member()? {
            if found.typeflag != b'g' {
                self.header = found;
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Writes the contents of the member that was read last, holes as zeros.
    ///
    /// # Errors
    ///
    /// What writing gives, and what [`next_member`](Members::next_member) does.
    pub fn copy_contents(&mut self, out: &mut dyn Write) -> io::Result<()> {
        // Most files are smaller.
        let mut buffer = vec![0; usize::try_from(self.header.size).unwrap_or(0).clamp(1, COPIED)];
        loop {
            match self.archive.read_contents(&mut buffer)? {
                0 => return Ok(()),
                n => out.write_all(&buffer[..n])?,
            }
        }
    }

    /// Bytes of the member that was read last that are not in the tar, but are zeros where its contents are written. They
    /// may be many times what the tar has.
    pub fn holes(&self) -> u64 {
        self.archive.holes().unwrap_or(0)
    }

    /// Whether a header was found at all: if not, an error says that the input is no tar.
    pub fn has_headers(&self) -> bool {
        self.archive.count > 0
    }

    /// Where the member that was read last begins, its extended headers counted.
    pub fn position(&self) -> u64 {
        self.archive.first
    }

    /// The time and the extended attributes of the member that was read last.
    pub fn meta(&self) -> FileMeta {
        let header = &self.header;
        let xattrs = header.xattrs.iter().filter(|(name, _)| !name.is_empty());
        let xattrs = xattrs.map(|(name, value)| (decode_xattr(name), value.as_slice().into())).collect();
        FileMeta { mtime: (header.mtime, nanoseconds(&header.exact_mtime)), xattrs }
    }

    /// Appends a header of the member that was read last under another name, as Python's tarfile writes it: with its
    /// mode, owner, time and extended attributes, as a hard link to a name if one is given. A file with holes has none
    /// there.
    pub(crate) fn append_header(&self, name: &[u8], link: Option<&[u8]>, out: &mut Vec<u8>) {
        let header = &self.header;
        let is_file = !header.is_header_only();
        let mut records = Records::default();
        if link.is_none() {
            header.xattrs.iter().for_each(|(name, value)| records.set(&[XATTR, name].concat(), value));
        }
        if header.exact_mtime.contains(&b'.') {
            records.set(b"mtime", &header.exact_mtime);
        }
        // Numbers are as `Member::of` has checked them.
        let id = |number: i64| u32::try_from(number).unwrap_or_default();
        let fields = HeaderFields {
            name,
            mode: id(header.mode) & 0o7777,
            uid: id(header.uid),
            gid: id(header.gid),
            size: if is_file && link.is_none() { u64::try_from(header.size).unwrap_or_default() } else { 0 },
            mtime: header.mtime,
            flag: match (link, is_file) {
                (Some(_), _) => b'1',
                (None, true) => b'0',
                (None, false) => header.typeflag,
            },
            link: link.unwrap_or(if header.typeflag == b'2' { &header.link_name } else { b"" }),
            uname: &header.uname,
            gname: &header.gname,
            device: matches!((header.typeflag, link), (b'3' | b'4', None))
                .then(|| (id(header.device.0), id(header.device.1))),
        };
        append_pax(&fields, records, out);
    }

    /// An error that names the header of the member that was read last.
    pub fn invalid(&self, cause: &str) -> io::Error {
        self.archive.invalid(cause)
    }

    /// Once there are no more members: how many bytes they take, headers and padding counted, without the zeros that end
    /// the tar. No multiple of [`BLOCK`](crate::BLOCK) if the input ends in the padding of the last one.
    pub fn end(&self) -> u64 {
        self.archive.start
    }
}

/// Nanoseconds of a time such as `1.25` that is not before the epoch; further digits are dropped.
pub(crate) fn nanoseconds(time: &[u8]) -> u32 {
    let fraction = time.iter().position(|&byte| byte == b'.').map_or(&b""[..], |point| &time[point + 1..]);
    if time.starts_with(b"-") || !fraction.iter().all(u8::is_ascii_digit) {
        return 0;
    }
    let digits = fraction.iter().chain(std::iter::repeat(&b'0')).take(9);
    digits.fold(0, |sum, digit| sum * 10 + u32::from(digit - b'0'))
}

/// The name of an attribute in whose keyword `=` and `%` are encoded (GNU tar, src/xheader.c, `xattr_decode_keyword`).
fn decode_xattr(keyword: &[u8]) -> Box<[u8]> {
    let mut name = Vec::with_capacity(keyword.len());
    let mut left = keyword;
    while let Some((&first, behind)) = left.split_first() {
        let (byte, rest) = match left {
            [b'%', b'3', b'D', rest @ ..] => (b'=', rest),
            [b'%', b'2', b'5', rest @ ..] => (b'%', rest),
            _ => (first, behind),
        };
        name.push(byte);
        left = rest;
    }
    name.into()
}

impl<R: Read + Seek> Members<R> {
    /// Passes over the contents of the member that was read last, so that [`next_member`](Members::next_member) need not
    /// read them.
    ///
    /// # Errors
    ///
    /// What seeking gives.
    pub fn pass_contents(&mut self) -> io::Result<()> {
        self.archive.pass_contents()
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::{BLOCK, Common, Dialect, Entry, Owner};
    use std::io::Cursor;

    /// A tar of these entries, whose files and padding are `x`.
    pub(crate) fn tar(dialect: Dialect, entries: &[Entry]) -> Vec<u8> {
        let common = Common { dialect, mtime: 1, owner: Owner::root() };
        let mut tar = Vec::new();
        for entry in entries {
            common.append_header(entry, &mut tar);
            tar.resize(tar.len() + (entry.kind.size() as usize).next_multiple_of(BLOCK), b'x');
        }
        tar.resize(tar.len() + 2 * BLOCK, 0);
        tar
    }

    /// The members, with contents read or passed over.
    fn members(tar: &[u8], pass: bool) -> io::Result<Vec<Member>> {
        let mut members = Members::new(Cursor::new(tar), Limits::default());
        let mut found = Vec::new();
        while let Some(member) = members.next_member()? {
            found.push(member);
            if pass {
                members.pass_contents()?;
            }
        }
        Ok(found)
    }

    #[test]
    fn names_and_sizes() {
        let long = "d/".to_owned() + &"n".repeat(150);
        let entries = [
            Entry::directory(b"./d", 0o755),
            Entry::file(b"/d//a", 0o644, 1025),
            Entry::file(long.as_bytes(), 0o644, 1),
            Entry::file(b"d/../empty", 0o644, 0),
        ];
        let expected = [("d", true, 0), ("d/a", false, 1025), (&*long, false, 1), ("empty", false, 0)];
        for dialect in [Dialect::Pax, Dialect::Gnu] {
            for pass in [false, true] {
                let found = members(&tar(dialect, &entries), pass).unwrap();
                let found: Vec<_> = found
                    .iter()
                    .map(|member| (std::str::from_utf8(&member.name).unwrap(), member.is_directory(), member.size()))
                    .collect();
                assert_eq!(found, expected, "{dialect:?} {pass}");
            }
        }
    }

    /// A header with one field of its own.
    fn header(field: std::ops::Range<usize>, bytes: &[u8]) -> Vec<u8> {
        let mut tar = tar(Dialect::Gnu, &[Entry::file(b"a", 0o644, 0)]);
        tar[field].copy_from_slice(bytes);
        tar[148..156].fill(b' ');
        let sum: u32 = tar[..BLOCK].iter().map(|&byte| u32::from(byte)).sum();
        tar[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
        tar
    }

    #[test]
    fn kinds_modes_and_owners() {
        let owner = Some(Box::new(Owner::numbered(3_000_000, u32::MAX)));
        let target = |target: &[u8]| Box::from(target);
        let kinds = [
            (Kind::File { size: 7 }, 0o4755),
            (Kind::Directory, 0o1777),
            (Kind::Symlink { target: target(b"../../x/./y/") }, 0o777),
            (Kind::HardLink { target: target(b"d/a") }, 0o644),
            (Kind::HardLink { target: target(&[b't'; 150]) }, 0o644),
            (Kind::Fifo, 0),
            (Kind::CharDevice { major: 1, minor: 3 }, 0o666),
            (Kind::BlockDevice { major: 8, minor: 300 }, 0o660),
        ];
        let entries =
            kinds.map(|(kind, mode)| Entry { name: b"a/b"[..].into(), kind, mode, owner: owner.clone(), xattrs: None });
        for dialect in [Dialect::Pax, Dialect::Gnu] {
            let found = members(&tar(dialect, &entries), true).unwrap();
            let expected = entries.clone().map(|Entry { kind, mode, .. }| Member {
                name: b"a/b".to_vec(),
                kind,
                mode,
                uid: 3_000_000,
                gid: u32::MAX,
            });
            assert_eq!(found, expected, "{dialect:?}");
        }
    }

    #[test]
    fn doubtful_headers() {
        for flag in [b'7', b'Z', 0] {
            let found = members(&header(156..157, &[flag]), false).unwrap();
            assert_eq!(found[0].kind, Kind::File { size: 0 }, "{flag}");
        }
        assert_eq!(members(&header(100..108, b"0100644\0"), false).unwrap()[0].mode, 0o644);
        let links = [b"/d/./a//".as_slice(), b"x/../d/a"]
            .map(|name| Entry::new(b"b", Kind::HardLink { target: name.into() }, 0));
        for member in members(&tar(Dialect::Pax, &links), false).unwrap() {
            assert_eq!(member.kind, Kind::HardLink { target: b"d/a"[..].into() });
        }
    }

    #[test]
    fn wrong_members() {
        #[track_caller]
        fn check(tar: &[u8], cause: &str) {
            let error = members(tar, true).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidData);
            assert_eq!(error.to_string(), format!("not a good tar: header at byte 0: {cause}"));
        }
        let large = [0x80, 0, 0, 1, 0, 0, 0, 0];
        for (field, what) in [(100..108, "mode"), (108..116, "user id"), (116..124, "group id")] {
            check(&header(field.clone(), &large), &format!("found the {what} 4294967296, expected 0 to 4294967295"));
            check(&header(field, &[0xff; 8]), &format!("found the {what} -1, expected 0 to 4294967295"));
        }
        for name in ["../a", "a/../../b", "/..", "./.././a"] {
            let tar = tar(Dialect::Gnu, &[Entry::file(name.as_bytes(), 0o644, 0)]);
            check(&tar, &format!("found the name {name}, which leads out of the image"));
        }
        let link = Entry::new(b"a", Kind::HardLink { target: b"../\x7f"[..].into() }, 0);
        let cause = "found the hard link target ../\\x7f, which leads out of the image";
        check(&tar(Dialect::Pax, &[link]), cause);
    }

    #[test]
    fn contents_that_are_cut_off_are_noticed() {
        let tar = tar(Dialect::Gnu, &[Entry::file(b"a", 0o644, 700)]);
        for end in 1..BLOCK + 700 {
            let kinds = [false, true].map(|pass| members(&tar[..end], pass).unwrap_err().kind());
            assert_eq!(kinds, [io::ErrorKind::UnexpectedEof; 2], "{end}");
        }
        assert_eq!(members(b"hello", true).unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
        assert_eq!(members(&[b'x'; BLOCK], true).unwrap_err().kind(), io::ErrorKind::InvalidData);
    }
}
