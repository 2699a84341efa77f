//! Members of a tar as Python's tarfile understands them, and their headers as it writes them again.
//!
//! nixpkgs' `stream_layered_image.py` copies a base image's layers with `addfile(getmember(name))`: whatever dialect the
//! base was written in, what comes out is PAX, and all PAX records that the member had are kept. The rules are those of
//! Lib/tarfile.py (3.9 to 3.13): `frombuf` and the `_proc_*` methods for reading, `create_pax_header` for writing.
//!
//! Stricter than Python: a damaged header is an error wherever it stands, sparse members are refused, and so are
//! extended headers of more than a mebibyte.

use layerstone_layer::{BLOCK, Common, Dialect, Entry, Kind, Owner, Records, append_pax_header};
use std::io::{self, Read, Seek, SeekFrom};
use std::ops::Range;

/// Most bytes of an extended header; more would be no name but an attack.
const MAX_EXTENSION: u64 = 1 << 20;

/// A member's header fields.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct TarInfo {
    /// Name, without the slash that a folder's has at its end.
    pub name: Vec<u8>,
    pub mode: u32,
    pub uid: u32,
    pub gid: u32,
    /// Size of the contents in bytes.
    pub size: u64,
    /// Seconds since the epoch, rounded if a PAX record has fractions.
    pub mtime: i64,
    /// The type flag.
    pub flag: u8,
    pub linkname: Vec<u8>,
    pub uname: Vec<u8>,
    pub gname: Vec<u8>,
    /// PAX records, its own and the global ones, in the order in which their keys first came.
    pub pax: Vec<(Vec<u8>, Vec<u8>)>,
}

/// A member and where its contents begin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Member {
    pub info: TarInfo,
    /// Offset of the contents in bytes.
    pub offset: u64,
}

/// Reads the headers of all members. What is no tar, or a damaged one, gives [`io::ErrorKind::InvalidData`].
pub(crate) fn read_members<R: Read + Seek>(tar: &mut R) -> io::Result<Vec<Member>> {
    let end = tar.seek(SeekFrom::End(0))?;
    let mut members = Vec::new();
    let mut at = 0;
    let mut global = Vec::new();
    let mut pending = Vec::new();
    while let Some(block) = read_block(tar, at, end)? {
        let mut info = TarInfo::from_block(&block, at)?;
        at += BLOCK as u64;
        if let b'L' | b'K' | b'x' | b'X' | b'g' = info.flag {
            let payload = read_payload(tar, at, end, info.size)?;
            at += info.size.next_multiple_of(BLOCK as u64);
            match info.flag {
                b'L' => pending.push(Extension::Name(until_nul(&payload).to_vec())),
                b'K' => pending.push(Extension::Link(until_nul(&payload).to_vec())),
                b'g' => parse_records(&payload, &mut global)?,
                _ => {
                    let mut records = global.clone();
                    parse_records(&payload, &mut records)?;
                    pending.push(Extension::Records(records));
                }
            }
            continue;
        }
        info.apply_records(&global)?;
        // The extension that stands nearest to the member is applied first.
        for extension in pending.drain(..).rev() {
            info.extend(extension)?;
        }
        let offset = at;
        if info.has_contents() {
            at = info.size.checked_next_multiple_of(BLOCK as u64).and_then(|size| at.checked_add(size)).unwrap_or(u64::MAX);
        }
        if offset.checked_add(info.stored_size()).is_none_or(|contents_end| contents_end > end) {
            return Err(damaged(format!("the archive ends in the contents of {}", info.name.escape_ascii())));
        }
        members.push(Member { info, offset });
    }
    if !pending.is_empty() {
        return Err(damaged("the archive ends after an extended header".to_owned()));
    }
    Ok(members)
}

enum Extension {
    Name(Vec<u8>),
    Link(Vec<u8>),
    Records(Vec<(Vec<u8>, Vec<u8>)>),
}

impl TarInfo {
    /// The fields of a header block; `at` is its place, for messages.
    fn from_block(block: &[u8; BLOCK], at: u64) -> io::Result<TarInfo> {
        let bad = |field: &str| damaged(format!("bad {field} in the header at byte {at}"));
        let integer = |range: Range<usize>, field| number(&block[range]).ok_or_else(|| bad(field));
        if !has_checksum(block) {
            return Err(if at == 0 { damaged("found no tar header".to_owned()) } else { bad("checksum") });
        }
        let mut info = TarInfo {
            name: until_nul(&block[0..100]).to_vec(),
            mode: (integer(100..108, "mode")? & 0o7777) as u32,
            uid: integer(108..116, "uid")?.try_into().map_err(|_| bad("uid"))?,
            gid: integer(116..124, "gid")?.try_into().map_err(|_| bad("gid"))?,
            size: integer(124..136, "size")?.try_into().map_err(|_| bad("size"))?,
            mtime: integer(136..148, "mtime")?.try_into().map_err(|_| bad("mtime"))?,
            flag: block[156],
            linkname: until_nul(&block[157..257]).to_vec(),
            uname: until_nul(&block[265..297]).to_vec(),
            gname: until_nul(&block[297..329]).to_vec(),
            pax: Vec::new(),
        };
        let prefix = until_nul(&block[345..500]);
        match info.flag {
            b'S' => return Err(damaged(format!("sparse member at byte {at}, expected a plain one"))),
            0 if info.name.ends_with(b"/") => info.flag = b'5',
            _ => {}
        }
        info.trim_folder();
        if !prefix.is_empty() && !matches!(info.flag, b'L' | b'K') {
            info.name = [prefix, b"/", &info.name].concat();
        }
        Ok(info)
    }

    fn extend(&mut self, extension: Extension) -> io::Result<()> {
        match extension {
            Extension::Name(name) => self.name = name,
            Extension::Link(linkname) => self.linkname = linkname,
            Extension::Records(records) => self.apply_records(&records)?,
        }
        self.trim_folder();
        Ok(())
    }

    /// Overrides the fields that records name, and keeps the records.
    fn apply_records(&mut self, records: &[(Vec<u8>, Vec<u8>)]) -> io::Result<()> {
        for (key, value) in records {
            let integer = || integer_of_text(value).unwrap_or(0);
            let bad = || damaged(format!("bad PAX record {}={}", key.escape_ascii(), value.escape_ascii()));
            match key.as_slice() {
                b"path" => self.name = trim_slashes(value).to_vec(),
                b"linkpath" => self.linkname = value.clone(),
                b"uname" => self.uname = value.clone(),
                b"gname" => self.gname = value.clone(),
                b"uid" => self.uid = integer().try_into().map_err(|_| bad())?,
                b"gid" => self.gid = integer().try_into().map_err(|_| bad())?,
                b"size" => self.size = integer().try_into().map_err(|_| bad())?,
                b"mtime" => self.mtime = rounded_time(value).ok_or_else(bad)?,
                sparse if sparse.starts_with(b"GNU.sparse.") => {
                    return Err(damaged(format!("sparse member {}, expected a plain one", self.name.escape_ascii())));
                }
                _ => {}
            }
        }
        self.pax = records.to_vec();
        self.trim_folder();
        Ok(())
    }

    /// Folders are known by their type, not by a slash.
    fn trim_folder(&mut self) {
        if self.flag == b'5' {
            self.name.truncate(trim_slashes(&self.name).len());
        }
    }

    pub(crate) fn is_symlink(&self) -> bool {
        self.flag == b'2'
    }

    pub(crate) fn is_hard_link(&self) -> bool {
        self.flag == b'1'
    }

    /// Whether contents follow: regular files (old, new, contiguous), and types that POSIX does not know.
    pub(crate) fn has_contents(&self) -> bool {
        !matches!(self.flag, b'1'..=b'6')
    }

    /// Bytes of contents that follow the header.
    pub(crate) fn stored_size(&self) -> u64 {
        if self.has_contents() { self.size } else { 0 }
    }

    /// The header blocks of a file or link, as Python writes them in its PAX format.
    pub(crate) fn header(&self) -> Vec<u8> {
        let mut records = Records::default();
        self.pax.iter().for_each(|(key, value)| records.set(key, value));
        records.text("path", &self.name, 100);
        records.text("linkpath", &self.linkname, 100);
        records.text("uname", &self.uname, 32);
        records.text("gname", &self.gname, 32);
        records.number("uid", i64::from(self.uid), 7);
        records.number("gid", i64::from(self.gid), 7);
        records.number("size", i64::try_from(self.stored_size()).unwrap_or(i64::MAX), 11);
        records.number("mtime", self.mtime, 11);
        let mut header = Vec::new();
        append_pax_header(&records, &mut header);
        header.extend_from_slice(&self.block());
        header
    }

    /// The member's own block: that of a file or symbolic link with the same fields, the type flag set to what it was.
    fn block(&self) -> [u8; BLOCK] {
        let kind = if self.linkname.is_empty() {
            Kind::File { size: self.stored_size() }
        } else {
            Kind::Symlink { target: self.linkname.as_slice().into() }
        };
        let owner = Owner { uid: self.uid, gid: self.gid, uname: text(&self.uname), gname: text(&self.gname) };
        let common = Common { dialect: Dialect::Pax, mtime: self.mtime, owner };
        let mut blocks = Vec::new();
        common.append_header(&Entry { name: self.name.as_slice().into(), kind, mode: self.mode }, &mut blocks);
        let mut block = *blocks.last_chunk::<BLOCK>().expect("a header ends in a block");
        block[156] = self.flag;
        let sum: u32 = checksummed(&block).map(u32::from).sum();
        block[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
        block
    }
}
