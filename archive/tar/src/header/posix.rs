//! Writes GNU tar's POSIX dialect, for members with extended attributes, which its own dialect cannot hold: `--format=posix
//! --xattrs`, with `--pax-option=exthdr.name=%d/PaxHeaders/%f,delete=atime,delete=ctime` for bytes that are the same every
//! time (src/create.c, `start_header`; src/xheader.c).
//!
//! GNU tar takes attributes in the order in which a file system lists them; here they are sorted.

use super::HeaderFields;
use super::block::{Block, DEVICE_MAJOR, DEVICE_MINOR, GNAME, LINK, MODE, MTIME, NAME, UNAME, USTAR, append_extension};
use super::pax::Records;
use crate::Xattrs;
use crate::tree::split;

/// The largest number that a field of twelve bytes holds in octal digits.
const LARGEST: i64 = (1 << 33) - 1;

/// Appends the header blocks of a member and its attributes; `named` is false for `--numeric-owner`.
pub(super) fn append_posix(fields: &HeaderFields<'_>, xattrs: &Xattrs, named: bool, out: &mut Vec<u8>) {
    let mut records = Records::default();
    if fields.link.len() > NAME.len() {
        records.set(b"linkpath", fields.link);
    }
    if fields.name.len() > NAME.len() || !fields.name.is_ascii() {
        records.set(b"path", fields.name);
    }
    let mut block = Block::new(USTAR);
    block.text(NAME, fields.name);
    records.fill(fields, &mut block);
    block.text(LINK, fields.link);
    if named {
        records.text("uname", fields.uname, UNAME.len());
        records.text("gname", fields.gname, GNAME.len());
        block.text(UNAME, fields.uname);
        block.text(GNAME, fields.gname);
    }
    let (major, minor) = fields.device.unwrap_or_default();
    block.octal(DEVICE_MAJOR, u64::from(major));
    block.octal(DEVICE_MINOR, u64::from(minor));
    records.set_xattrs(xattrs);
    if let Some(payload) = records.plain_payload() {
        // The block before the records (src/xheader.c, `xheader_write`).
        let mut extension = Block::new(USTAR);
        extension.octal(MODE, 0o644);
        extension.octal(MTIME, fields.mtime.clamp(0, LARGEST) as u64);
        append_extension(extension, &header_name(fields.name), b'x', &payload, out);
    }
    out.extend_from_slice(&block.finish());
}

/// `%d/PaxHeaders/%f`: the directory as dirname(1) tells it, and the name as basename(1) does.
fn header_name(name: &[u8]) -> Vec<u8> {
    let name = name.strip_suffix(b"/").unwrap_or(name);
    let (directory, base) = if name.contains(&b'/') { split(name) } else { (&b"."[..], name) };
    [directory, b"/PaxHeaders/", base].concat()
}
