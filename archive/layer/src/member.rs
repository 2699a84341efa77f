//! The members of a layer that is there, whoever made it: names and sizes, read as docker reads them.
//!
//! What a doubtful header means is decided by the reader that [`tarsum`](crate::tarsum()) uses, which follows Go's.

use crate::tarsum::{Archive, clean_name};
use std::io::{self, Read, Seek};

/// What a member of a layer is called and how large it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Its name below the root of the image: no slash at either end, no empty, `.` or `..` component; empty for the
    /// root itself.
    pub name: Vec<u8>,
    /// Whether it is a folder.
    pub is_directory: bool,
    /// Bytes of its contents, holes included; 0 for all that is no regular file.
    pub size: u64,
}

/// The members of a tar, from front to back.
#[derive(Debug)]
pub struct Members<R>(Archive<R>);

impl<R: Read> Members<R> {
    /// Reads an uncompressed tar; best from a buffer, since headers are short.
    pub fn new(tar: R) -> Members<R> {
        Members(Archive::new(tar))
    }

    /// The next member; none at the end. Contents are read and dropped.
    ///
    /// # Errors
    ///
    /// What reading gives; `UnexpectedEof` if the tar ends inside a header or a member's contents; `InvalidData`, with
    /// the position of the member, if its header is none.
    pub fn next_member(&mut self) -> io::Result<Option<Member>> {
        while let Some(found) = self.0.next_member()? {
            // A header that describes all later ones is no member.
            if found.typeflag != b'g' {
                let size = if found.is_header_only() { 0 } else { u64::try_from(found.size).unwrap_or(0) };
                let name = clean_name(&found.name);
                return Ok(Some(Member { name, is_directory: found.typeflag == b'5', size }));
            }
        }
        Ok(None)
    }

    /// Once there are no more members: how many bytes they take, headers and padding counted, without the zeros that end
    /// the tar. No multiple of [`BLOCK`](crate::BLOCK) if the input ends in the padding of the last one.
    pub(crate) fn end(&self) -> u64 {
        self.0.end()
    }
}

impl<R: Read + Seek> Members<R> {
    /// Passes over the contents of the member that was read last, so that [`next_member`](Members::next_member) need not
    /// read them.
    ///
    /// # Errors
    ///
    /// What seeking gives.
    pub fn pass_contents(&mut self) -> io::Result<()> {
        self.0.pass_contents()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{BLOCK, Common, Dialect, Entry, Owner};
    use std::io::Cursor;

    fn tar(dialect: Dialect, entries: &[Entry]) -> Vec<u8> {
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
        let mut members = Members::new(Cursor::new(tar));
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
                    .map(|member| (std::str::from_utf8(&member.name).unwrap(), member.is_directory, member.size))
                    .collect();
                assert_eq!(found, expected, "{dialect:?} {pass}");
            }
        }
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
