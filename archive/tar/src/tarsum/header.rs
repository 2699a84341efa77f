//! Parses a header block, and the records of an extended header, into fields of a member.

use crate::BLOCK;
use crate::header::XATTR;
use std::collections::BTreeMap;

pub(super) type Block = [u8; BLOCK];

/// Keywords and values of an extended header; of a keyword that comes twice, the last value.
pub(crate) type Records = BTreeMap<Vec<u8>, Vec<u8>>;

/// The fields of a member; all but the last ones count in a tarsum.
#[derive(Clone, Debug, Default)]
pub(crate) struct Member {
    pub name: Vec<u8>,
    pub mode: i64,
    pub uid: i64,
    pub gid: i64,
    /// Size of the contents, holes included; links and directories may claim one and have none.
    pub size: i64,
    pub typeflag: u8,
    pub link_name: Vec<u8>,
    pub device: (i64, i64),
    pub xattrs: BTreeMap<Vec<u8>, Vec<u8>>,
    /// Modification time in seconds since the epoch.
    pub mtime: i64,
    /// The same as a record has it, with a fraction; empty if none does.
    pub exact_mtime: Vec<u8>,
    pub uname: Vec<u8>,
    pub gname: Vec<u8>,
    /// Times of access and of change, in seconds since the epoch, as the dialects of GNU and Schily have them.
    pub other_times: (Option<i64>, Option<i64>),
    /// What its extended header says.
    pub records: Records,
}

impl Member {
    /// Whether members of this type have no contents, whatever the size says.
    pub fn is_header_only(&self) -> bool {
        matches!(self.typeflag, b'1'..=b'6')
    }
}

/// How the fields behind the first 257 bytes of a header are laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Dialect {
    /// No such fields.
    V7,
    /// POSIX: ustar and pax.
    Ustar,
    /// Schily's, before POSIX.
    Star,
    /// GNU's.
    Gnu,
}

impl Dialect {
    /// The dialect of a header; none if its checksum is wrong. The sum of the bytes taken as signed is good too: Sun's
    /// tar made it.
    pub fn of(block: &Block) -> Option<Dialect> {
        let in_checksum = |at: usize| (148..156).contains(&at);
        let byte = |at: usize| if in_checksum(at) { b' ' } else { block[at] };
        let unsigned: i64 = (0..BLOCK).map(|at| i64::from(byte(at))).sum();
        let signed: i64 = (0..BLOCK).map(|at| i64::from(byte(at) as i8)).sum();
        octal(&block[148..156]).filter(|&sum| sum == unsigned || sum == signed)?;
        Some(match (&block[257..263], &block[263..265], &block[508..512]) {
            (b"ustar\0", _, b"tar\0") => Dialect::Star,
            (b"ustar\0", _, _) => Dialect::Ustar,
            (b"ustar ", b" \0", _) => Dialect::Gnu,
            _ => Dialect::V7,
        })
    }
}

/// The fields of a header block; none if one should be a number and is not.
pub(super) fn parse_fields(block: &Block, dialect: Dialect) -> Option<Member> {
    let mut member = Member {
        name: until_nul(&block[..100]).to_vec(),
        mode: number(&block[100..108])?,
        uid: number(&block[108..116])?,
        gid: number(&block[116..124])?,
        size: number(&block[124..136])?,
        typeflag: block[156],
        link_name: until_nul(&block[157..257]).to_vec(),
        mtime: number(&block[136..148])?,
        ..Member::default()
    };
    if dialect != Dialect::V7 {
        member.uname = until_nul(&block[265..297]).to_vec();
        member.gname = until_nul(&block[297..329]).to_vec();
        member.device = (number(&block[329..337])?, number(&block[337..345])?);
    }
    let prefix = match dialect {
        Dialect::V7 => &[],
        Dialect::Ustar => until_nul(&block[345..500]),
        Dialect::Star => {
            member.other_times = (Some(number(&block[476..488])?), Some(number(&block[488..500])?));
            until_nul(&block[345..476])
        }
        Dialect::Gnu => {
            let time = |field: &[u8]| number(field).filter(|_| field[0] != 0);
            if has_gnu_times(block) {
                member.other_times = (time(&block[345..357]), time(&block[357..369]));
            }
            gnu_prefix(block)
        }
    };
    if !prefix.is_empty() {
        member.name = [prefix, b"/", &member.name].concat();
    }
    Some(member)
}

/// GNU headers have two times where POSIX has the prefix. Go wrote prefixes there until 1.8, and still takes for one
/// what is ASCII and no pair of times.
fn gnu_prefix(block: &Block) -> &[u8] {
    let prefix = until_nul(&block[345..500]);
    if has_gnu_times(block) || !prefix.is_ascii() { &[] } else { prefix }
}

/// Whether there are times, or nothing, where a GNU header has them.
fn has_gnu_times(block: &Block) -> bool {
    let is_time = |field: &[u8]| field[0] == 0 || number(field).is_some();
    is_time(&block[345..357]) && is_time(&block[357..369])
}

/// The records of an extended header: `LENGTH KEYWORD=VALUE\n` each, the length counting the whole record.
///
/// Sparse maps of version 0.0, whose keywords come again for every piece of data, are turned into version 0.1.
pub(super) fn parse_records(mut text: &[u8]) -> Option<Records> {
    let mut records = Records::new();
    let mut map: Vec<&[u8]> = Vec::new();
    while !text.is_empty() {
        let space = text.iter().position(|&byte| byte == b' ')?;
        let length = usize::try_from(decimal(&text[..space])?).ok()?;
        let (record, rest) = text.split_at_checked(length).filter(|_| length >= 5)?;
        text = rest;
        let record = record.get(space + 1..)?.strip_suffix(b"\n")?;
        let equals = record.iter().position(|&byte| byte == b'=')?;
        let (keyword, value) = (&record[..equals], &record[equals + 1..]);
        let is_text = matches!(keyword, b"path" | b"linkpath" | b"uname" | b"gname");
        if keyword.is_empty() || (if is_text { value } else { keyword }).contains(&0) {
            return None;
        }
        match keyword {
            b"GNU.sparse.offset" | b"GNU.sparse.numbytes" => {
                let expected: &[u8] =
                    if map.len().is_multiple_of(2) { b"GNU.sparse.offset" } else { b"GNU.sparse.numbytes" };
                if keyword != expected || value.contains(&b',') {
                    return None;
                }
                map.push(value);
            }
            _ => {
                records.insert(keyword.to_vec(), value.to_vec());
            }
        }
    }
    if !map.is_empty() {
        records.insert(b"GNU.sparse.map".to_vec(), map.join(&b','));
    }
    Some(records)
}

/// Replaces fields by records; none if a value is not what its keyword demands. An empty value leaves the field as it
/// is, contrary to POSIX: so does Go.
pub(super) fn apply_records(member: &mut Member, records: &Records) -> Option<()> {
    for (keyword, value) in records.iter().filter(|(_, value)| !value.is_empty()) {
        match keyword.as_slice() {
            b"path" => member.name.clone_from(value),
            b"linkpath" => member.link_name.clone_from(value),
            b"uid" => member.uid = decimal(value)?,
            b"gid" => member.gid = decimal(value)?,
            b"size" => member.size = decimal(value)?,
            b"uname" => member.uname.clone_from(value),
            b"gname" => member.gname.clone_from(value),
            b"mtime" => {
                member.mtime = time(value)?;
                member.exact_mtime.clone_from(value);
            }
            b"atime" | b"ctime" => drop(time(value)?),
            keyword => {
                if let Some(name) = keyword.strip_prefix(XATTR) {
                    member.xattrs.insert(name.to_vec(), value.clone());
                }
            }
        }
    }
    Some(())
}

/// A global extended header: a member of its own, and without effect on others.
pub(super) fn global(header: Member, records: Records) -> Member {
    let mut read = Member { name: header.name, ..Member::default() };
    // Go goes on after a bad value here.
    let _ = apply_records(&mut read, &records);
    Member { name: read.name, xattrs: read.xattrs, typeflag: header.typeflag, ..Member::default() }
}

/// The seconds of a time in a record: seconds, and a fraction without an end.
pub(crate) fn time(value: &[u8]) -> Option<i64> {
    let point = value.iter().position(|&byte| byte == b'.').unwrap_or(value.len());
    let seconds = decimal(&value[..point])?;
    value[point..].iter().skip(1).all(u8::is_ascii_digit).then_some(seconds)
}

/// A text field: up to the first NUL, or all of it.
pub(super) fn until_nul(field: &[u8]) -> &[u8] {
    &field[..field.iter().position(|&byte| byte == 0).unwrap_or(field.len())]
}

/// A number field: octal digits, or, where the first bit is set, a big-endian number in two's complement of which that
/// bit is no part (GNU's base-256).
pub(crate) fn number(field: &[u8]) -> Option<i64> {
    if field.first().is_none_or(|first| first & 0x80 == 0) {
        return octal(field);
    }
    let negative = field[0] & 0x40 != 0;
    let first = if negative { field[0] } else { field[0] & 0x7f };
    let mut value = i128::from(first as i8);
    for &byte in &field[1..] {
        value = value << 8 | i128::from(byte);
    }
    i64::try_from(value).ok()
}

/// Octal digits between any spaces and NULs, which may also end them; nothing is 0.
fn octal(field: &[u8]) -> Option<i64> {
    let is_filler = |byte: &u8| matches!(byte, b' ' | 0);
    let Some(start) = field.iter().position(|byte| !is_filler(byte)) else { return Some(0) };
    let end = field.iter().rposition(|byte| !is_filler(byte)).map_or(start, |last| last + 1);
    let mut value: i64 = 0;
    for byte in until_nul(&field[start..end]) {
        let digit = byte.checked_sub(b'0').filter(|&digit| digit < 8)?;
        value = value.checked_mul(8)?.checked_add(i64::from(digit))?;
    }
    Some(value)
}

/// A decimal number with or without sign.
pub(super) fn decimal(text: &[u8]) -> Option<i64> {
    std::str::from_utf8(text).ok()?.parse().ok()
}
