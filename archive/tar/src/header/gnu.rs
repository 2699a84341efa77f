//! Writes GNU tar's dialect: old GNU blocks, `././@LongLink` entries for long names, base 256 for large numbers (src/create.c).

use super::HeaderFields;
use super::block::{Block, GID, GNAME, LINK, MODE, MTIME, NAME, SIZE, TYPE, UID, UNAME, append_extension};

/// Magic and version of an old GNU block, which run into each other.
const MAGIC: &[u8; 8] = b"ustar  \0";

/// Appends the header blocks of a member as GNU tar writes them in its GNU format; `named` is false for
/// `--numeric-owner`, with which no owner has a name.
pub(super) fn append_gnu(fields: &HeaderFields<'_>, named: bool, out: &mut Vec<u8>) {
    // The link's text comes before the name when both are long.
    for (flag, text) in [(b'K', fields.link), (b'L', fields.name)] {
        if text.len() > NAME.len() {
            append_long(flag, text, named, out);
        }
    }
    let mut block = Block::new(MAGIC);
    block.text(NAME, fields.name);
    block.octal(MODE, u64::from(fields.mode));
    block.number(UID, i128::from(fields.uid));
    block.number(GID, i128::from(fields.gid));
    block.number(SIZE, i128::from(fields.size));
    block.number(MTIME, i128::from(fields.mtime));
    block.0[TYPE] = fields.flag;
    block.text(LINK, fields.link);
    if named {
        block.text(UNAME, fields.uname);
        block.text(GNAME, fields.gname);
    }
    block.device(fields.device);
    out.extend_from_slice(&block.finish());
}

/// A long name or link text as the contents of an entry of its own, its NUL counted (`write_gnu_long_link`).
fn append_long(flag: u8, text: &[u8], named: bool, out: &mut Vec<u8>) {
    let mut block = Block::new(MAGIC);
    block.octal(MODE, 0o644);
    block.octal(MTIME, 0);
    if named {
        // Root's, whoever owns the member.
        block.text(UNAME, b"root");
        block.text(GNAME, b"root");
    }
    append_extension(block, b"././@LongLink", flag, &[text, b"\0"].concat(), out);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{BLOCK, Common, Dialect, Entry, Owner};

    fn header(entry: &Entry, mtime: i64, owner: Owner) -> Vec<u8> {
        let mut out = Vec::new();
        Common { dialect: Dialect::Gnu, mtime, owner }.append_header(entry, &mut out);
        out
    }

    #[test]
    fn long_names_follow_long_links() {
        let (name, target) = ([b'n'; 101], [b't'; 513]);
        let entry = Entry::symlink(&name, &target);
        let header = header(&entry, 1, Owner::numeric_root());
        // Link: header and 514 bytes; name: header and 102 bytes; the member itself.
        assert_eq!(header.len(), BLOCK * (1 + 2 + 1 + 1 + 1));
        assert_eq!((header[TYPE], header[3 * BLOCK + TYPE], header[5 * BLOCK + TYPE]), (b'K', b'L', b'2'));
        assert_eq!(&header[SIZE], b"00000001002\0");
        assert_eq!(&header[BLOCK..][..514], [&target[..], b"\0"].concat());
        assert_eq!(&header[5 * BLOCK..][NAME], &name[..100]);
    }

    #[test]
    fn hard_links_stand_as_they_are() {
        let link = |target: &[u8]| Entry::new(b"b", crate::Kind::HardLink { target: target.into() }, 0o644);
        let short = header(&link(b"./a/../x"), 1, Owner::root());
        assert_eq!((short.len(), short[TYPE], &short[SIZE]), (BLOCK, b'1', &b"00000000000\0"[..]));
        assert_eq!(&short[LINK][..9], b"./a/../x\0");
        let long = header(&link(&[b't'; 101]), 1, Owner::root());
        assert_eq!((long.len(), long[TYPE], long[2 * BLOCK + TYPE]), (3 * BLOCK, b'K', b'1'));
        assert_eq!(long[2 * BLOCK..][LINK], [b't'; 100]);
    }

    #[test]
    fn what_fits_exactly_is_not_long() {
        assert_eq!(header(&Entry::file(&[b'n'; 100], 0o644, 0), 1, Owner::numeric_root()).len(), BLOCK);
        // A directory's slash counts.
        assert_eq!(header(&Entry::directory(&[b'n'; 100], 0o755), 1, Owner::numeric_root()).len(), 3 * BLOCK);
    }

    /// GNU tar looks the name of user 0 up for the entry that holds a long name, and that of the member's for itself.
    #[test]
    fn long_names_belong_to_root() {
        let mut entry = Entry::file(&[b'n'; 101], 0o644, 0);
        entry.owner = Some(Box::new(Owner::numbered(1000, 0)));
        let header = header(&entry, 1, Owner::root());
        assert_eq!(
            (&header[UID], &header[UNAME][..5], &header[GNAME][..5]),
            (&b"0000000\0"[..], &b"root\0"[..], &b"root\0"[..])
        );
        let own = &header[2 * BLOCK..];
        assert_eq!((&own[UID], &own[UNAME][..5], &own[GNAME][..5]), (&b"0001750\0"[..], &[0; 5][..], &b"root\0"[..]));
    }

    #[test]
    fn large_numbers_are_base_256() {
        let header = header(&Entry::file(b"x", 0o644, 8 << 30), -2, Owner::root());
        assert_eq!(&header[SIZE], [0x80, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0]);
        assert_eq!(&header[MTIME], [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xfe]);
    }
}
