//! Header blocks of tar members, in the two dialects that an image of nixpkgs holds.
//!
//! Both share the 512-byte block of POSIX.1-2017 (pax, "ustar Interchange Format") and differ in what they do with what
//! does not fit: Python's tarfile puts a PAX extended header before it, GNU tar an entry named `././@LongLink`. Every
//! field here is pinned byte for byte by goldens made by the real tools, since layers made by us and by nixpkgs must
//! have one digest.

use crate::{Entry, Kind, Owner};

/// Size of a tar block in bytes; contents are padded to it.
pub const BLOCK: usize = 512;

/// How a member is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// Python 3.8 and later, `tarfile` with its default `PAX_FORMAT` and utf-8 (Lib/tarfile.py, `create_pax_header`):
    /// nixpkgs' store layers and stream archives.
    Pax,
    /// GNU tar 1.29 and later with its default `--format=gnu` (src/create.c): nixpkgs' customisation layers.
    Gnu,
}

/// The fields of a header that all members of a layer share.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Common {
    /// How members are written.
    pub dialect: Dialect,
    /// Modification time in seconds since the epoch.
    pub mtime: i64,
    /// Owner.
    pub owner: Owner,
}

impl Common {
    /// Appends the header blocks of a member, one or more, to `out`.
    pub fn append_header(&self, entry: &Entry, out: &mut Vec<u8>) {
        match self.dialect {
            Dialect::Pax => self.append_pax(entry, out),
            Dialect::Gnu => self.append_gnu(entry, out),
        }
    }

    fn append_pax(&self, entry: &Entry, out: &mut Vec<u8>) {
        let name = full_name(entry);
        let mut records = Records::default();
        records.text("path", &name, 100);
        records.text("linkpath", entry.kind.target(), 100);
        records.text("uname", self.owner.uname.as_bytes(), 32);
        records.text("gname", self.owner.gname.as_bytes(), 32);
        let mut block = Block::new(b"ustar\x0000");
        block.text(NAME, &ascii_replaced(&name));
        block.octal(MODE, u64::from(entry.mode));
        block.octal(UID, records.number("uid", i64::from(self.owner.uid), 7));
        block.octal(GID, records.number("gid", i64::from(self.owner.gid), 7));
        block.octal(SIZE, records.number("size", entry.kind.size() as i64, 11));
        block.octal(MTIME, records.number("mtime", self.mtime, 11));
        block.0[TYPE] = entry.kind.flag();
        block.text(LINK, &ascii_replaced(entry.kind.target()));
        block.text(UNAME, &ascii_replaced(self.owner.uname.as_bytes()));
        block.text(GNAME, &ascii_replaced(self.owner.gname.as_bytes()));
        block.device(&entry.kind);
        append_pax_header(&records, out);
        out.extend_from_slice(&block.finish());
    }

    fn append_gnu(&self, entry: &Entry, out: &mut Vec<u8>) {
        let name = full_name(entry);
        // GNU tar writes the link's text before the name when both are long.
        for (flag, text) in [(b'K', entry.kind.target()), (b'L', &*name)] {
            if text.len() > 100 {
                self.append_long(flag, text, out);
            }
        }
        let mut block = Block::new(b"ustar  \0");
        block.text(NAME, &name);
        block.octal(MODE, u64::from(entry.mode));
        block.number(UID, i128::from(self.owner.uid));
        block.number(GID, i128::from(self.owner.gid));
        block.number(SIZE, i128::from(entry.kind.size()));
        block.number(MTIME, i128::from(self.mtime));
        block.0[TYPE] = entry.kind.flag();
        block.text(LINK, entry.kind.target());
        block.text(UNAME, self.owner.uname.as_bytes());
        block.text(GNAME, self.owner.gname.as_bytes());
        block.device(&entry.kind);
        out.extend_from_slice(&block.finish());
    }

    /// A name or link text over 100 bytes, as the contents of an entry of its own, its NUL counted
    /// (src/create.c, `write_gnu_long_link`).
    fn append_long(&self, flag: u8, text: &[u8], out: &mut Vec<u8>) {
        let mut block = Block::new(b"ustar  \0");
        block.text(NAME, b"././@LongLink");
        block.octal(MODE, 0o644);
        block.octal(UID, 0);
        block.octal(GID, 0);
        block.octal(SIZE, text.len() as u64 + 1);
        block.octal(MTIME, 0);
        block.0[TYPE] = flag;
        // With --numeric-owner these stay empty like the member's own; without it, they are root's.
        block.text(UNAME, if self.owner.uname.is_empty() { b"" } else { b"root" });
        block.text(GNAME, if self.owner.gname.is_empty() { b"" } else { b"root" });
        out.extend_from_slice(&block.finish());
        out.extend_from_slice(text);
        out.push(0);
        pad(out);
    }
}

/// Appends the PAX extended header that holds `records`, if there are any: a block named `././@PaxHeader`, then the
/// records (Lib/tarfile.py, `_create_pax_generic_header`).
pub fn append_pax_header(records: &Records, out: &mut Vec<u8>) {
    let Some(payload) = records.payload() else { return };
    let mut block = Block::new(b"ustar\x0000");
    block.text(NAME, b"././@PaxHeader");
    for field in [MODE, UID, GID, MTIME] {
        block.octal(field, 0);
    }
    block.octal(SIZE, payload.len() as u64);
    block.0[TYPE] = b'x';
    out.extend_from_slice(&block.finish());
    out.extend_from_slice(&payload);
    pad(out);
}

/// The records of a PAX extended header, in the order in which they are written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Records(Vec<(Box<[u8]>, Box<[u8]>)>);

impl Records {
    /// Sets a record unless it is there: a record that was there before has priority (Lib/tarfile.py).
    pub fn set(&mut self, key: &[u8], value: &[u8]) {
        if !self.0.iter().any(|(k, _)| **k == *key) {
            self.0.push((key.into(), value.into()));
        }
    }

    /// Records a text that is not ASCII or longer than its field.
    pub fn text(&mut self, key: &str, text: &[u8], field: usize) {
        if !text.is_ascii() || text.len() > field {
            self.set(key.as_bytes(), text);
        }
    }

    /// Records a number that does not fit into a field of so many octal digits; returns what the field holds.
    pub fn number(&mut self, key: &str, number: i64, digits: u32) -> u64 {
        if (0..1 << (3 * digits)).contains(&number) {
            return number as u64;
        }
        self.set(key.as_bytes(), number.to_string().as_bytes());
        0
    }

    /// `LEN KEY=VALUE\n` for every record; first of all `hdrcharset=BINARY` if a value is not UTF-8. None for no
    /// records.
    fn payload(&self) -> Option<Vec<u8>> {
        if self.0.is_empty() {
            return None;
        }
        let mut payload = Vec::new();
        if self.0.iter().any(|(_, value)| std::str::from_utf8(value).is_err()) {
            payload.extend_from_slice(b"21 hdrcharset=BINARY\n");
        }
        for (key, value) in &self.0 {
            let rest = key.len() + value.len() + 3;
            payload.extend_from_slice(record_len(rest).to_string().as_bytes());
            payload.push(b' ');
            payload.extend_from_slice(key);
            payload.push(b'=');
            payload.extend_from_slice(value);
            payload.push(b'\n');
        }
        Some(payload)
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

type Field = std::ops::Range<usize>;
const NAME: Field = 0..100;
const MODE: Field = 100..108;
const UID: Field = 108..116;
const GID: Field = 116..124;
const SIZE: Field = 124..136;
const MTIME: Field = 136..148;
const CHECKSUM: Field = 148..156;
const TYPE: usize = 156;
const LINK: Field = 157..257;
const MAGIC: Field = 257..265;
const UNAME: Field = 265..297;
const GNAME: Field = 297..329;
const DEVICE_MAJOR: Field = 329..337;
const DEVICE_MINOR: Field = 337..345;

/// One header block under construction. The ustar prefix field is never used, as neither tool uses it.
struct Block([u8; BLOCK]);

impl Block {
    fn new(magic: &[u8; 8]) -> Block {
        let mut block = Block([0; BLOCK]);
        block.0[MAGIC].copy_from_slice(magic);
        block
    }

    /// As much of the text as fits.
    fn text(&mut self, field: Field, text: &[u8]) {
        let len = text.len().min(field.len());
        self.0[field][..len].copy_from_slice(&text[..len]);
    }

    /// Octal digits with leading zeros and a NUL; the number fits.
    fn octal(&mut self, field: Field, mut number: u64) {
        for digit in self.0[field.start..field.end - 1].iter_mut().rev() {
            *digit = b'0' + (number & 7) as u8;
            number >>= 3;
        }
    }

    /// Octal if it fits, otherwise GNU's base 256: big-endian two's complement, first bit set (src/create.c,
    /// `to_chars`).
    fn number(&mut self, field: Field, number: i128) {
        let digits = field.len() as u32 - 1;
        if (0..1 << (3 * digits)).contains(&number) {
            return self.octal(field, number as u64);
        }
        let bytes = number.to_be_bytes();
        let tail = &bytes[bytes.len() - field.len()..];
        self.0[field.clone()].copy_from_slice(tail);
        self.0[field.start] = if number < 0 { 0xff } else { 0x80 };
    }

    /// Device numbers, for devices only: both tools leave the fields NUL for everything else.
    fn device(&mut self, kind: &Kind) {
        if let Kind::CharDevice { major, minor } | Kind::BlockDevice { major, minor } = kind {
            self.octal(DEVICE_MAJOR, u64::from(*major));
            self.octal(DEVICE_MINOR, u64::from(*minor));
        }
    }

    /// The block with its checksum: six octal digits, NUL, space, counted with the field as spaces.
    fn finish(mut self) -> [u8; BLOCK] {
        self.0[CHECKSUM].fill(b' ');
        let sum: u64 = self.0.iter().map(|&b| u64::from(b)).sum();
        self.octal(CHECKSUM.start..CHECKSUM.end - 1, sum);
        self.0[CHECKSUM.end - 2] = 0;
        self.0
    }
}

/// Name as written: folders end in a slash.
fn full_name(entry: &Entry) -> Vec<u8> {
    let mut name = entry.name.to_vec();
    if matches!(entry.kind, Kind::Directory) && !name.ends_with(b"/") {
        name.push(b'/');
    }
    name
}

/// The text with `?` for every character that is not ASCII, and for every byte that is not UTF-8: Python's `ascii`
/// codec with `errors="replace"` on a name decoded with `surrogateescape`.
fn ascii_replaced(text: &[u8]) -> std::borrow::Cow<'_, [u8]> {
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

/// Zeros up to the next block.
fn pad(out: &mut Vec<u8>) {
    out.resize(out.len().next_multiple_of(BLOCK), 0);
}
