//! Reading headers: V7, ustar, GNU and PAX.

use super::{Pax, TarInfo};
use layerstone_image::HeaderBounds;
use layerstone_store::Limit;
use layerstone_tar::{ArchiveMember, BLOCK, Kind, Part, PartReader};
use std::collections::HashMap;
use std::io::{self, Read, Seek, SeekFrom};
use std::ops::Range;
use std::sync::Arc;

/// Bytes of memory that a record takes besides its own.
const RECORD_BYTES: usize = 96;

/// Reads the headers of all members, and adds their fields to `infos`. What is no tar, or a damaged one, or has more headers
/// than may be kept in memory, gives [`io::ErrorKind::InvalidData`].
pub(crate) fn read_members(
    tar: &Part,
    bounds: HeaderBounds,
    infos: &mut Vec<TarInfo>,
) -> io::Result<Vec<ArchiveMember>> {
    let mut headers = Headers { tar: tar.reader(), at: 0, end: tar.size(), global: Arc::default(), bounds };
    let mut members = Vec::new();
    while let Some((info, offset)) = headers.next_member()? {
        members.push(ArchiveMember { name: info.name.clone(), kind: info.kind(), offset });
        infos.push(info);
    }
    Ok(members)
}

/// Where reading stands.
struct Headers {
    tar: PartReader,
    at: u64,
    end: u64,
    /// Records for all members from here on.
    global: Arc<Pax>,
    bounds: HeaderBounds,
}

/// What a header before a member's own says about it.
enum Extension {
    Name(Vec<u8>),
    Link(Vec<u8>),
    Records(Pax),
}

impl Headers {
    /// The next member, and where its contents begin.
    fn next_member(&mut self) -> io::Result<Option<(TarInfo, u64)>> {
        let mut extensions = Vec::new();
        let begin = self.at;
        loop {
            let is_first = self.at == begin;
            let Some(block) = self.block()? else {
                let error = || damaged("the archive ends after an extended header");
                return if is_first { Ok(None) } else { Err(error()) };
            };
            let mut info = TarInfo::from_block(&block, self.at - BLOCK as u64)?;
            if !matches!(info.flag, b'L' | b'K' | b'x' | b'X' | b'g') {
                info.apply_records(&self.global)?;
                // The one that stands nearest to the member comes first.
                for extension in extensions.into_iter().rev() {
                    info.extend(extension, &self.global)?;
                }
                return self.pass_contents(info).map(Some);
            }
            let payload = self.payload(info.size)?;
            self.bounds.check_extensions(begin, self.at)?;
            match info.flag {
                b'L' => extensions.push(Extension::Name(until_nul(&payload).to_vec())),
                b'K' => extensions.push(Extension::Link(until_nul(&payload).to_vec())),
                b'g' => self.set_global(parse_records(&payload)?)?,
                _ => extensions.push(Extension::Records(parse_records(&payload)?)),
            }
        }
    }

    /// Records that hold for all members from here on. Members that came before keep those that they have.
    fn set_global(&mut self, records: Pax) -> io::Result<()> {
        self.global = over(&self.global, records);
        let bytes = bytes_of(&self.global);
        self.bounds.limits().check(Limit::GlobalRecords, bytes as u64)?;
        self.bounds.keep(bytes)
    }

    /// Steps over the contents.
    fn pass_contents(&mut self, info: TarInfo) -> io::Result<(TarInfo, u64)> {
        self.bounds.count()?;
        let own = if Arc::ptr_eq(&info.pax, &self.global) { 0 } else { bytes_of(&info.pax) };
        let names = [&info.name, &info.linkname, &info.uname, &info.gname].map(Vec::len);
        self.bounds.keep(own + names.iter().sum::<usize>())?;
        let offset = self.at;
        if let Kind::File { size } = info.kind() {
            let padded = size.checked_next_multiple_of(BLOCK as u64);
            let next = padded.and_then(|size| offset.checked_add(size)).filter(|next| *next <= self.end);
            let cut = || damaged(format!("the archive ends in the contents of {}", info.name.escape_ascii()));
            self.at = next.ok_or_else(cut)?;
        }
        Ok((info, offset))
    }

    /// The next block; none at the end, which is a block of zeros or that of the file.
    fn block(&mut self) -> io::Result<Option<[u8; BLOCK]>> {
        if self.at == self.end {
            return Ok(None);
        }
        let mut block = [0; BLOCK];
        self.read(&mut block)?;
        Ok(Some(block).filter(|block| block.iter().any(|&byte| byte != 0)))
    }

    /// The contents of an extended header.
    fn payload(&mut self, size: u64) -> io::Result<Vec<u8>> {
        let checked = self.bounds.limits().check(Limit::ExtendedHeader, size);
        checked.map_err(|exceeded| damaged(format!("an extended header: {exceeded}")))?;
        let mut payload = vec![0; (size as usize).next_multiple_of(BLOCK)];
        self.read(&mut payload)?;
        payload.truncate(size as usize);
        Ok(payload)
    }

    fn read(&mut self, buffer: &mut [u8]) -> io::Result<()> {
        self.tar.seek(SeekFrom::Start(self.at))?;
        self.tar.read_exact(buffer).map_err(|e| match e.kind() {
            io::ErrorKind::UnexpectedEof if self.at == 0 => damaged("found no tar header"),
            io::ErrorKind::UnexpectedEof => damaged(format!("the archive ends in the header at byte {}", self.at)),
            _ => e,
        })?;
        self.at += buffer.len() as u64;
        Ok(())
    }
}

impl TarInfo {
    /// The fields of a header block; `at` is its offset, for messages.
    fn from_block(block: &[u8; BLOCK], at: u64) -> io::Result<TarInfo> {
        if !has_checksum(block) {
            let bad = format!("bad checksum in the header at byte {at}");
            return Err(damaged(if at == 0 { "found no tar header".to_owned() } else { bad }));
        }
        let mut info = TarInfo {
            name: until_nul(&block[0..100]).to_vec(),
            mode: field::<i128>(block, 100..108, "mode", at)? as u32 & 0o7777,
            uid: field(block, 108..116, "uid", at)?,
            gid: field(block, 116..124, "gid", at)?,
            size: field(block, 124..136, "size", at)?,
            mtime: field(block, 136..148, "mtime", at)?,
            flag: block[156],
            linkname: until_nul(&block[157..257]).to_vec(),
            uname: until_nul(&block[265..297]).to_vec(),
            gname: until_nul(&block[297..329]).to_vec(),
            pax: Arc::default(),
        };
        // Of no use, but Python reads them of every member.
        for range in [329..337, 337..345] {
            field::<i128>(block, range, "device number", at)?;
        }
        match info.flag {
            b'S' => return Err(damaged(format!("found a sparse member at byte {at}, expected a plain one"))),
            // V7 knows directories by the slash alone.
            0 if info.name.ends_with(b"/") => info.flag = b'5',
            _ => {}
        }
        info.trim_directory();
        let prefix = until_nul(&block[345..500]);
        if !prefix.is_empty() && !matches!(info.flag, b'L' | b'K') {
            info.name = [prefix, b"/", &info.name].concat();
        }
        Ok(info)
    }

    fn extend(&mut self, extension: Extension, global: &Arc<Pax>) -> io::Result<()> {
        match extension {
            Extension::Name(name) => self.name = name,
            Extension::Link(linkname) => self.linkname = linkname,
            Extension::Records(records) => self.apply_records(&over(global, records))?,
        }
        self.trim_directory();
        Ok(())
    }

    /// Overrides the fields that records name, and keeps the records. A number that is none counts as 0.
    fn apply_records(&mut self, records: &Arc<Pax>) -> io::Result<()> {
        for (key, value) in records.iter() {
            let bad = || damaged(format!("bad PAX record {}={}", key.escape_ascii(), value.escape_ascii()));
            let text = std::str::from_utf8(value).unwrap_or_default().trim();
            let integer = || text.parse::<i128>().unwrap_or(0);
            match key.as_slice() {
                b"path" => self.name = trim_slashes(value).to_vec(),
                b"linkpath" => self.linkname.clone_from(value),
                b"uname" => self.uname.clone_from(value),
                b"gname" => self.gname.clone_from(value),
                b"uid" => self.uid = integer().try_into().map_err(|_| bad())?,
                b"gid" => self.gid = integer().try_into().map_err(|_| bad())?,
                b"size" => self.size = integer().try_into().map_err(|_| bad())?,
                b"mtime" => match text.parse::<f64>() {
                    // Beyond 64 bits it saturates, which no header holds either.
                    Ok(time) if time.is_finite() => self.mtime = time.round_ties_even() as i64,
                    Ok(_) => return Err(bad()),
                    Err(_) => self.mtime = 0,
                },
                key if key.starts_with(b"GNU.sparse.") => {
                    let name = self.name.escape_ascii();
                    return Err(damaged(format!("found a sparse member {name}, expected a plain one")));
                }
                _ => {}
            }
        }
        self.pax = Arc::clone(records);
        self.trim_directory();
        Ok(())
    }

    /// Directories are known by their type, not by a slash.
    fn trim_directory(&mut self) {
        if self.flag == b'5' {
            self.name.truncate(trim_slashes(&self.name).len());
        }
    }
}

/// `LEN KEY=VALUE\n` records up to the end or a NUL.
fn parse_records(mut payload: &[u8]) -> io::Result<Pax> {
    let mut records = Vec::new();
    while payload.first().is_some_and(|&byte| byte != 0) {
        let (key, value, rest) = parse_record(payload).ok_or_else(|| damaged("found a malformed PAX record"))?;
        records.push((key.to_vec(), value.to_vec()));
        payload = rest;
    }
    Ok(records)
}

/// Global records and those over them; an existing key keeps its position. Without any, the global ones are shared.
fn over(global: &Arc<Pax>, records: Pax) -> Arc<Pax> {
    if records.is_empty() {
        return Arc::clone(global);
    }
    let mut all = Pax::clone(global);
    let mut positions: HashMap<Vec<u8>, usize> = all.iter().map(|(key, _)| key.clone()).zip(0..).collect();
    for (key, value) in records {
        match positions.get(&key) {
            Some(&position) => all[position].1 = value,
            None => {
                positions.insert(key.clone(), all.len());
                all.push((key, value));
            }
        }
    }
    Arc::new(all)
}

/// Bytes of memory that records take.
fn bytes_of(records: &Pax) -> usize {
    records.iter().map(|(key, value)| key.len() + value.len() + RECORD_BYTES).sum()
}

fn parse_record(payload: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let space = payload.iter().position(|&byte| byte == b' ')?;
    let len: usize = std::str::from_utf8(&payload[..space]).ok()?.parse().ok()?;
    let (record, rest) = payload.split_at_checked(len)?;
    let record = record.get(space + 1..)?.strip_suffix(b"\n")?;
    let equals = record.iter().position(|&byte| byte == b'=').filter(|at| *at > 0)?;
    Some((&record[..equals], &record[equals + 1..], rest))
}

fn field<T: TryFrom<i128>>(block: &[u8; BLOCK], range: Range<usize>, name: &str, at: u64) -> io::Result<T> {
    let number = number(&block[range]).and_then(|number| T::try_from(number).ok());
    number.ok_or_else(|| damaged(format!("bad {name} in the header at byte {at}")))
}

/// A number field: octal digits among blanks, or GNU's base 256.
fn number(field: &[u8]) -> Option<i128> {
    let (first, rest) = field.split_first()?;
    if matches!(first, 0x80 | 0xff) {
        let start = if *first == 0xff { -1 } else { 0 };
        return Some(rest.iter().fold(start, |sum, &byte| sum << 8 | i128::from(byte)));
    }
    let text = std::str::from_utf8(until_nul(field)).ok()?.trim();
    if text.is_empty() { Some(0) } else { i128::from_str_radix(text, 8).ok() }
}

/// Whether the checksum is that of the block, summed as unsigned bytes, or as signed ones as some old tars did.
fn has_checksum(block: &[u8; BLOCK]) -> bool {
    let bytes = || block[..148].iter().chain(b"        ").chain(&block[156..]);
    let unsigned: i128 = bytes().map(|&byte| i128::from(byte)).sum();
    let signed: i128 = bytes().map(|&byte| i128::from(byte as i8)).sum();
    number(&block[148..156]).is_some_and(|sum| sum == unsigned || sum == signed)
}

fn until_nul(field: &[u8]) -> &[u8] {
    field.split(|&byte| byte == 0).next().unwrap_or_default()
}

fn trim_slashes(name: &[u8]) -> &[u8] {
    &name[..name.iter().rposition(|&byte| byte != b'/').map_or(0, |last| last + 1)]
}

fn damaged(cause: impl Into<String>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, cause.into())
}
