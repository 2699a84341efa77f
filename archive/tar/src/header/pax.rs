//! Writes Python's dialect: ustar blocks, and a PAX extended header for what does not fit (Lib/tarfile.py,
//! `create_pax_header`).

use super::HeaderFields;
use super::block::{Block, GID, GNAME, LINK, MODE, MTIME, NAME, SIZE, TYPE, UID, UNAME, USTAR, append_extension};
use crate::Xattrs;
use std::borrow::Cow;

/// Keywords of extended attributes begin so (star's convention, which all others follow).
pub(crate) const XATTR: &[u8] = b"SCHILY.xattr.";

/// Appends the header blocks of a member as Python's `tarfile` writes them in its PAX format. Records that are there
/// already stay, first and unchanged; one is added for each field that is too small or not ASCII.
pub fn append_pax(fields: &HeaderFields<'_>, mut records: Records, out: &mut Vec<u8>) {
    records.text("path", fields.name, 100);
    records.text("linkpath", fields.link, 100);
    records.text("uname", fields.uname, 32);
    records.text("gname", fields.gname, 32);
    let mut block = Block::new(USTAR);
    block.text(NAME, &ascii_replaced(fields.name));
    records.fill(fields, &mut block);
    block.text(LINK, &ascii_replaced(fields.link));
    block.text(UNAME, &ascii_replaced(fields.uname));
    block.text(GNAME, &ascii_replaced(fields.gname));
    block.device(fields.device);
    if let Some(payload) = records.payload() {
        // All else is zero (Lib/tarfile.py, `_create_pax_generic_header`).
        let mut extension = Block::new(USTAR);
        extension.octal(MODE, 0);
        extension.octal(MTIME, 0);
        append_extension(extension, b"././@PaxHeader", b'x', &payload, out);
    }
    out.extend_from_slice(&block.finish());
}

/// The records of a PAX extended header, in the order in which they are written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Records(Vec<Record>);

/// Key and value.
type Record = (Box<[u8]>, Box<[u8]>);

impl Records {
    /// Sets a record unless it is there: a record that was there before has priority (Lib/tarfile.py).
    pub fn set(&mut self, key: &[u8], value: &[u8]) {
        if !self.0.iter().any(|(k, _)| **k == *key) {
            self.0.push((key.into(), value.into()));
        }
    }

    /// Records extended attributes by star's keywords, in which GNU tar writes `%` as `%25` and `=`, which ends a
    /// keyword, as `%3D` (src/xheader.c, `xattr_encode_keyword`).
    pub fn set_xattrs(&mut self, xattrs: &Xattrs) {
        for (name, value) in xattrs {
            let mut keyword = XATTR.to_vec();
            for byte in name {
                match byte {
                    b'%' => keyword.extend_from_slice(b"%25"),
                    b'=' => keyword.extend_from_slice(b"%3D"),
                    byte => keyword.push(*byte),
                }
            }
            self.set(&keyword, value);
        }
    }

    /// Records a text that is not ASCII or longer than its field.
    pub(super) fn text(&mut self, key: &str, text: &[u8], field: usize) {
        if !text.is_ascii() || text.len() > field {
            self.set(key.as_bytes(), text);
        }
    }

    /// Fills in mode, owner, size, time and type, and records what does not fit.
    pub(super) fn fill(&mut self, fields: &HeaderFields<'_>, block: &mut Block) {
        block.octal(MODE, u64::from(fields.mode));
        block.octal(UID, self.number("uid", i64::from(fields.uid), 7));
        block.octal(GID, self.number("gid", i64::from(fields.gid), 7));
        block.octal(SIZE, self.number("size", i64::try_from(fields.size).unwrap_or(i64::MAX), 11));
        block.octal(MTIME, self.number("mtime", fields.mtime, 11));
        block.0[TYPE] = fields.flag;
    }

    /// Records a number that does not fit into a field of so many octal digits; returns what the field holds.
    fn number(&mut self, key: &str, number: i64, digits: u32) -> u64 {
        if (0..1 << (3 * digits)).contains(&number) {
            return number as u64;
        }
        self.set(key.as_bytes(), number.to_string().as_bytes());
        0
    }

    /// `LEN KEY=VALUE\n` for every record; first of all `hdrcharset=BINARY` if a value is not UTF-8. None for no
    /// records.
    fn payload(&self) -> Option<Vec<u8>> {
        let is_binary = |(_, value): &Record| std::str::from_utf8(value).is_err();
        let charset: &[u8] = if self.0.iter().any(is_binary) { b"21 hdrcharset=BINARY\n" } else { b"" };
        self.plain_payload().map(|payload| [charset, &payload].concat())
    }

    /// [`payload`](Records::payload) without a word about the character set.
    pub(super) fn plain_payload(&self) -> Option<Vec<u8>> {
        let text = |(key, value): &Record| {
            let len = record_len(key.len() + value.len() + 3).to_string();
            [len.as_bytes(), b" ", key, b"=", value, b"\n"].concat()
        };
        Some(self.0.iter().flat_map(text).collect()).filter(|payload: &Vec<u8>| !payload.is_empty())
    }
}

/// Length of a record whose parts besides the length's own digits are `rest` bytes: the length counts itself.
fn record_len(rest: usize) -> usize {
    let mut len = rest;
    while rest + len.to_string().len() != len {
        len = rest + len.to_string().len();
    }
    len
}

/// The text with `?` for every character that is not ASCII, and for every byte that is not UTF-8: Python's `ascii`
/// codec with `errors="replace"` on a name decoded with `surrogateescape`.
fn ascii_replaced(text: &[u8]) -> Cow<'_, [u8]> {
    if text.is_ascii() {
        return text.into();
    }
    let mut ascii = Vec::with_capacity(text.len());
    for chunk in text.utf8_chunks() {
        ascii.extend(chunk.valid().chars().map(|c| if c.is_ascii() { c as u8 } else { b'?' }));
        ascii.extend(chunk.invalid().iter().map(|_| b'?'));
    }
    ascii.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{BLOCK, Common, Dialect, Entry, Kind, Owner};

    fn header(entry: &Entry, mtime: i64, owner: Owner) -> Vec<u8> {
        let mut out = Vec::new();
        Common { dialect: Dialect::Pax, mtime, owner }.append_header(entry, &mut out);
        out
    }

    #[track_caller]
    fn check(name: &[u8], records: &str, field: &[u8]) {
        let header = header(&Entry::file(name, 0o444, 3), 1, Owner::root());
        if records.is_empty() {
            assert_eq!(header.len(), BLOCK);
        } else {
            assert_eq!(&header[..NAME.end][..14], b"././@PaxHeader");
            assert_eq!(header[TYPE], b'x');
            let payload = &header[BLOCK..header.len() - BLOCK];
            let end = payload.iter().position(|&byte| byte == 0).unwrap_or(payload.len());
            assert_eq!(String::from_utf8_lossy(&payload[..end]), records);
        }
        let block = &header[header.len() - BLOCK..];
        assert_eq!(block[NAME].strip_suffix(&vec![0; NAME.len() - field.len()][..]), Some(field));
    }

    /// As Python 3.11's tarfile writes them.
    #[test]
    fn names() {
        check(b"/nix", "", b"/nix");
        check(&[b'n'; 100], "", &[b'n'; 100]);
        check(&[b'n'; 101], &format!("111 path={}\n", "n".repeat(101)), &[b'n'; 100]);
        // The length's own digits make the record longer, and then need one more digit.
        check(&[b'n'; 91], "", &[b'n'; 91]);
        check("h\u{e9}".as_bytes(), "12 path=h\u{e9}\n", b"h?");
        check(b"a\xe9", "21 hdrcharset=BINARY\n11 path=a\u{fffd}\n", b"a?");
        check(b"\xe2\x82z", "21 hdrcharset=BINARY\n12 path=\u{fffd}z\n", b"??z");
    }

    #[test]
    fn hard_links_stand_as_they_are() {
        let link = |target: &[u8]| Entry::new(b"b", Kind::HardLink { target: target.into() }, 0o644);
        let short = header(&link(b"./a/../x"), 1, Owner::root());
        assert_eq!((short.len(), short[TYPE], &short[SIZE]), (BLOCK, b'1', &b"00000000000\0"[..]));
        assert_eq!(&short[LINK][..9], b"./a/../x\0");
        let long = header(&link(&[b't'; 101]), 1, Owner::root());
        assert!(long[BLOCK..].starts_with(format!("115 linkpath={}\n", "t".repeat(101)).as_bytes()));
        assert_eq!((long[2 * BLOCK + TYPE], &long[2 * BLOCK..][LINK]), (b'1', &[b't'; 100][..]));
    }

    #[test]
    fn record_lengths_count_themselves() {
        for (rest, len) in [(8, 9), (9, 11), (97, 99), (98, 101), (996, 999), (997, 1001)] {
            assert_eq!(record_len(rest), len, "{rest}");
        }
    }

    #[test]
    fn what_does_not_fit_is_recorded_in_order() {
        let owner = Owner { uid: 2_097_152, gid: 2_097_151, uname: "u".repeat(33), gname: "g".repeat(32) };
        let entry = Entry::file(b"x", 0o644, 8 << 30);
        let header = header(&entry, -1, owner);
        let text = String::from_utf8_lossy(&header[BLOCK..2 * BLOCK]);
        let expected = format!("43 uname={}\n15 uid=2097152\n19 size=8589934592\n12 mtime=-1\n", "u".repeat(33));
        assert_eq!(text.trim_end_matches('\0'), expected);
        let block = &header[2 * BLOCK..];
        assert_eq!(&block[UID], b"0000000\0");
        assert_eq!(&block[GID], b"7777777\0");
        assert_eq!(&block[SIZE], b"00000000000\0");
        assert_eq!(&block[MTIME], b"00000000000\0");
    }

    #[test]
    fn devices_alone_have_numbers() {
        let device = Entry::new(b"null", Kind::CharDevice { major: 1, minor: 3 }, 0o666);
        let header = header(&device, 1, Owner::root());
        assert_eq!(&header[329..345], b"0000001\x000000003\0");
        assert_eq!(header[TYPE], b'3');
    }
}
