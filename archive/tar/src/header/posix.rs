//! GNU tar's POSIX dialect, for members with extended attributes, which its own dialect cannot hold: `--format=posix
//! --xattrs`, with `--pax-option=exthdr.name=%d/PaxHeaders/%f,delete=atime,delete=ctime` for bytes that are the same every
//! time (src/create.c, `start_header`; src/xheader.c).
//!
//! GNU tar takes attributes in the order in which a file system lists them; here they are sorted.

use super::HeaderFields;
use super::block::{
    Block, DEVICE_MAJOR, DEVICE_MINOR, GID, GNAME, LINK, MODE, MTIME, NAME, SIZE, TYPE, UID, UNAME, pad,
};
use super::pax::Records;
use crate::Xattrs;

/// Magic and version of a ustar block.
const MAGIC: &[u8; 8] = b"ustar\x0000";
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
    let mut block = Block::new(MAGIC);
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
        append_extended(fields, &payload, out);
    }
    out.extend_from_slice(&block.finish());
}

/// The block before the records (src/xheader.c, `xheader_write`).
fn append_extended(fields: &HeaderFields<'_>, payload: &[u8], out: &mut Vec<u8>) {
    let mut block = Block::new(MAGIC);
    block.text(NAME, &header_name(fields.name));
    block.octal(MODE, 0o644);
    block.octal(UID, 0);
    block.octal(GID, 0);
    block.octal(SIZE, payload.len() as u64);
    block.octal(MTIME, fields.mtime.clamp(0, LARGEST) as u64);
    block.0[TYPE] = b'x';
    out.extend_from_slice(&block.finish());
    out.extend_from_slice(payload);
    pad(out);
}

/// `%d/PaxHeaders/%f`: the folder as dirname(1) tells it, and the name as basename(1) does.
fn header_name(name: &[u8]) -> Vec<u8> {
    let name = name.strip_suffix(b"/").unwrap_or(name);
    let (folder, base) = match name.iter().rposition(|&byte| byte == b'/') {
        Some(slash) => (&name[..slash], &name[slash + 1..]),
        None => (&b"."[..], name),
    };
    [folder, b"/PaxHeaders/", base].concat()
}
